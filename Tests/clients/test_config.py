# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""Configuration, reload, listeners and the life of the process."""

import json
import re
import socket
import ssl
import subprocess
import threading
import time

import pytest

from conftest import (
    KEY, SSE, Raw, Upstream, answer, built, chat, chat_request, chunk, clean_environment, data_lines, settings, wait_until)


def check(tmp_path, text, *arguments):
    """Runs `parley check`: (exit code, everything it printed)."""
    path = tmp_path / "parley.yaml"
    path.write_text(text)
    done = subprocess.run([built("PARLEY_BINARY", "parley"), "check", str(path), *arguments], capture_output=True,
                          text=True, timeout=30, env=clean_environment(tmp_path), cwd=tmp_path, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_good_file_passes_the_check(tmp_path):
    assert check(tmp_path, "providers:\n  up: {kind: openai, api_key: x}\n")[0] == 0
    assert check(tmp_path, "")[0] == 0


def test_every_mistake_is_told_at_once_with_its_place(tmp_path):
    code, text = check(tmp_path, (
        "server:\n"
        "  listen: 127.0.0.1:8080\n"
        "  body_limt: 32MB\n"           # 3: unknown, close to body_limit
        "  idle: 75 parsecs\n"          # 4: not a duration
        "providers:\n"
        "  up:\n"
        "    kind: opnai\n"             # 7: unknown kind
        "    api_key: x\n"
        "models:\n"
        "  a: nowhere/b\n"              # 10: no such provider
        "  r: {route: falback, of: [up/x]}\n"   # 11: unknown route
        "keys:\n"
        "  - {name: a}\n"))             # 13: no key
    assert code != 0
    for line in (3, 4, 7, 10, 11, 13):
        assert re.search(rf"parley\.yaml:{line}:\d+", text), f"line {line} is missing in:\n{text}"
    assert "body_limit" in text and "server.body_limt" in text and "fallback" in text


def test_broken_yaml_has_its_place(tmp_path):
    code, text = check(tmp_path, "server:\n  listen: [a\nproviders: {}\n")
    assert code != 0 and re.search(r"parley\.yaml:\d+:\d+", text)


def test_a_missing_variable_is_named(tmp_path):
    code, text = check(tmp_path, 'providers:\n  up: {kind: openai, api_key: "${NOT_SET_ANYWHERE}"}\n')
    assert "NOT_SET_ANYWHERE" in text and re.search(r"parley\.yaml:2:\d+", text)


def test_a_bad_file_does_not_start(start, tmp_path):
    server = start("server: {listne: 1}\n", wait=False)
    assert server.process.wait(10) != 0
    assert "listen" in server.log_text() and re.search(r":1:\d+", server.log_text())


@pytest.mark.parametrize("sighup", [True, False], ids=["SIGHUP", "file change"])
def test_reload_under_load_fails_no_request(start, upstream, sighup):
    server = start(settings(upstream.url))
    failures, counted, stop = [], [0], threading.Event()

    def load():
        with server.raw() as raw:
            while not stop.is_set():
                try:
                    status, _, text = raw.send(chat_request(chat(stream=counted[0] % 2 == 0))).answer()
                    counted[0] += 1
                    if status != 200:
                        failures.append((status, text))
                except (AssertionError, OSError) as error:
                    failures.append(error)
                    return

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for turn in range(3):
            server.reload(settings(upstream.url, models={"*": "up/*", f"new-{turn}": "up/m"}), sighup)
            wait_until(lambda name=f"new-{turn}": server.request("GET", f"/v1/models/{name}")[0] == 200, 15, "the new model")
        wait_until(lambda: counted[0] > 20 or failures, 15, "enough requests")
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert failures == [] and counted[0] > 20


def test_a_running_stream_finishes_on_the_old_configuration(start, upstream):
    upstream.script({"match": {"model": "long"}, "steps": [SSE, {"sse": [chunk("one")], "done": False}, {"sleep_ms": 1500},
                                                            {"sse": [chunk("two"), chunk(finish="stop")]}]})
    server = start(settings(upstream.url))
    with server.raw() as raw:
        raw.send(chat_request(chat("long", stream=True))).until(b"one")
        server.reload({"providers": {"demo": {"kind": "demo"}}, "keys": [{"name": "n", "key": "sk-parley-other-key-0123456789"}]})
        wait_until(lambda: server.request("POST", "/v1/chat/completions", chat("m"))[0] == 401, what="the new keys")
        raw.until(b"two")
        raw.until(b"[DONE]")


def test_a_bad_file_keeps_the_old_one_serving_and_says_why(start, upstream):
    server = start(settings(upstream.url))
    server.reload("providers: {up: {kind: openai, api_kee: x}}\n")
    server.wait_for(r"api_kee")
    assert server.request("POST", "/v1/chat/completions", chat())[0] == 200
    server.reload(settings(upstream.url, models={"*": "up/*", "again": "up/m"}))
    wait_until(lambda: server.request("GET", "/v1/models/again")[0] == 200, what="the repaired file")


KEYS = [
    {"name": "test", "key": KEY},
    {"name": "narrow", "key": "sk-narrow-0123456789abcdef", "models": ["fast", "deep/*"]},
    {"name": "forced", "key": "sk-forced-0123456789abcdef", "model": "fast", "params": {"temperature": 0.5, "top_p": 0.9},
     "force": {"max_tokens": 7}},
    {"name": "old", "key": "sk-old-0123456789abcdef", "expires": "2020-01-01"},
]


@pytest.fixture
def keyed(start, upstream):
    return start(settings(upstream.url, keys=KEYS, models={"fast": "up/real-fast", "deep/er": "up/real-deep", "other": "up/o", "*": "up/*"}))


def ask(server, key, value):
    return server.request("POST", "/v1/chat/completions", value, {"Authorization": f"Bearer {key}"}, key=False)


def test_a_forced_model_and_its_parameters(keyed, upstream):
    status, _, text = ask(keyed, KEYS[2]["key"], chat("anything", temperature=0.1, max_tokens=500))
    assert status == 200, text
    sent = json.loads(upstream.wait_for_requests(1)[0]["body"])
    assert sent["model"] == "real-fast" and sent["temperature"] == 0.1 and sent["top_p"] == 0.9 and sent["max_tokens"] == 7
    assert ask(keyed, KEYS[2]["key"], {"messages": chat()["messages"]})[0] == 200


def test_an_allow_list_refuses_with_a_403(keyed, upstream):
    assert ask(keyed, KEYS[1]["key"], chat("fast"))[0] == 200
    assert ask(keyed, KEYS[1]["key"], chat("deep/er"))[0] == 200
    status, _, text = ask(keyed, KEYS[1]["key"], chat("other"))
    assert status == 403 and json.loads(text)["error"]["message"]
    listed = json.loads(keyed.request("GET", "/v1/models", headers={"Authorization": f"Bearer {KEYS[1]['key']}"}, key=False)[2])
    assert {model["id"] for model in listed["data"]} == {"fast", "deep/er"}
    assert len(upstream.log()) == 2


def test_an_expired_key_is_a_401(keyed):
    assert ask(keyed, KEYS[3]["key"], chat("fast"))[0] == 401


def test_provider_parameters_renames_and_headers(start, upstream):
    server = start(settings(upstream.url, providers={"up": {
        "kind": "openai-compatible", "base_url": upstream.url, "api_key": "one", "headers": {"X-Team": "research"},
        "params": {"temperature": 0.8}, "force": {"user": "parley"}, "models": {"gpt-4o": "my-deployment"}}}))
    assert server.request("POST", "/v1/chat/completions", chat("up/gpt-4o", user="me"))[0] == 200
    entry = upstream.wait_for_requests(1)[0]
    sent = json.loads(entry["body"])
    assert (sent["model"], sent["temperature"], sent["user"]) == ("my-deployment", 0.8, "parley")
    assert entry["headers"]["x-team"] == "research" and entry["headers"]["authorization"] == "Bearer one"


def test_names_alias_wildcard_and_absent(start, upstream):
    server = start(settings(upstream.url, defaults={"model": "fast"}, models={
        "fast": "up/a", "faster": "fast", "gpt-*": "up/gpt-*", "gpt-4-*": "up/big-*", "*": "up/rest"}))
    for asked, sent in [("fast", "a"), ("faster", "a"), ("gpt-3", "gpt-3"), ("gpt-4-x", "big-x"), ("zzz", "rest"), ("up/direct", "direct")]:
        upstream.clear()
        status, _, text = server.request("POST", "/v1/chat/completions", chat(asked))
        assert status == 200, (asked, text)
        assert upstream.wait_for_requests(1)[0]["model"] == sent, asked
    upstream.clear()
    assert server.request("POST", "/v1/chat/completions", {"messages": chat()["messages"]})[0] == 200
    assert upstream.wait_for_requests(1)[0]["model"] == "a"


def test_no_model_named_and_none_to_take_lists_the_names(start, upstream):
    server = start(settings(upstream.url) | {"models": {"one": "up/a", "two": "up/b"}})
    status, _, text = server.request("POST", "/v1/chat/completions", {"messages": chat()["messages"]})
    assert status == 400 and "one" in json.loads(text)["error"]["message"] and "two" in json.loads(text)["error"]["message"]


def test_fallback_goes_on_after_an_error_and_stops_at_a_client_error(start, upstream):
    upstream.script({"match": {"model": "a"}, "steps": answer({"error": {"message": "x", "type": "server_error"}}, 500)},
                    {"match": {"model": "c"}, "steps": answer({"error": {"message": "bad", "type": "invalid_request_error"}}, 400)})
    server = start(settings(upstream.url, models={
        "ab": {"route": "fallback", "of": ["up/a", {"model": "up/b"}]}, "cb": {"route": "fallback", "of": ["up/c", "up/b"]}}))
    assert server.request("POST", "/v1/chat/completions", chat("ab"))[0] == 200
    assert [entry["model"] for entry in upstream.log()] == ["a", "b"]
    assert server.request("POST", "/v1/chat/completions", chat("cb"))[0] == 400


def test_a_feature_not_built_yet_is_a_501_and_a_warning(start, upstream):
    server = start(settings(upstream.url, providers={"other": {"kind": "replicate", "api_key": "k"}}, models={
        "think": "other/a"}))
    assert re.search(r"parley\.yaml:\d+", server.log_text())
    assert server.request("POST", "/v1/chat/completions", chat("think"))[0] == 501


def test_kill_9_and_a_restart_with_the_same_keys(start, upstream, tmp_path):
    server = start({"providers": {"demo": {"kind": "demo"}}}, folder=tmp_path / "same")
    key = server.wait_for(r"sk-parley-[\w-]+")[0]
    server.process.kill()
    server.process.wait()
    server.log_path.unlink()
    again = start({"providers": {"demo": {"kind": "demo"}}}, folder=tmp_path / "same")
    again.key = key
    assert again.request("POST", "/v1/chat/completions", chat("demo"))[0] == 200


def certificate(folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(folder / "key.pem"),
                    "-out", str(folder / "cert.pem")], check=True, capture_output=True)
    return {"certificate": str(folder / "cert.pem"), "key": str(folder / "key.pem")}


def test_a_tls_listener(start, upstream, tmp_path):
    files = certificate(tmp_path)
    server = start(settings(upstream.url, server={"tls": files}))
    assert server.origin.startswith("https://")
    context = ssl.create_default_context(cafile=files["certificate"])
    with socket.create_connection(("127.0.0.1", server.port), 10) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as secure:
            raw = server.raw()
            raw.close()
            raw.socket = secure
            for streamed in (False, True):
                status, _, text = raw.send(chat_request(chat(stream=streamed))).answer()
                assert status == 200 and (b"[DONE]" in text) == streamed
    with server.raw(5) as raw:  # plain HTTP on the TLS port does no harm
        raw.send("GET /health HTTP/1.1\r\nHost: p\r\n\r\n")
        assert raw.closed()


def test_a_tls_upstream_with_its_own_authority(start, tmp_path, tmp_path_factory):
    files = certificate(tmp_path)
    secure = Upstream(tmp_path_factory.mktemp("tls"), "--tls-cert", files["certificate"], "--tls-key", files["key"])
    try:
        base = f"https://localhost:{secure.port}/v1"
        provider = {"kind": "openai-compatible", "base_url": base, "api_key": "x"}
        good = start(settings(base, providers={"up": provider | {"tls": {"ca": files["certificate"]}}}))
        assert good.request("POST", "/v1/chat/completions", chat())[0] == 200
        strict = start(settings(base, providers={"up": provider}))
        assert strict.request("POST", "/v1/chat/completions", chat())[0] in (502, 503)
    finally:
        secure.stop()


def test_a_unix_socket_listener(start, upstream, tmp_path):
    path = f"/tmp/parley-test-{time.monotonic_ns()}.sock"
    server = start(settings(upstream.url, server={"listen": [f"unix:{path}", "127.0.0.1:0"]}),
                   arguments=("--listen", f"unix:{path}"), wait=False)
    try:
        wait_until(lambda: subprocess.run(["test", "-S", path], check=False).returncode == 0, what="the socket file")
        raw = Raw.__new__(Raw)
        raw.socket, raw.buffer = socket.socket(socket.AF_UNIX), b""
        raw.socket.settimeout(10)
        raw.socket.connect(path)
        assert raw.send(chat_request(chat())).answer()[0] == 200
        raw.close()
    finally:
        server.stop()
    assert subprocess.run(["test", "-e", path], check=False).returncode != 0, "the socket file goes with the server"


def test_sigterm_lets_running_streams_finish(start, upstream):
    upstream.script([SSE, {"sse": [chunk("one")], "done": False}, {"sleep_ms": 1000}, {"sse": [chunk("two"), chunk(finish="stop")]}])
    server = start(settings(upstream.url, server={"drain": "10s"}))
    with server.raw() as raw:
        raw.send(chat_request(chat(stream=True))).until(b"one")
        server.process.terminate()

        def closed():
            try:
                socket.create_connection(("127.0.0.1", server.port), 1).close()
                return False
            except OSError:
                return True

        wait_until(closed, what="the listener's close")
        raw.until(b"two")
        raw.until(b"[DONE]")
    assert server.process.wait(5) == 0


def test_sigterm_ends_streams_with_an_error_event_at_the_deadline(start, upstream):
    upstream.script([SSE, {"sse": [chunk("one")], "done": False}, {"hang": True}])
    server = start(settings(upstream.url, server={"drain": "1s"}))
    with server.raw(10) as raw:
        raw.send(chat_request(chat(stream=True))).until(b"one")
        server.process.terminate()
        text = raw.rest()
    events = data_lines(text)
    assert b"[DONE]" not in text and json.loads(events[-1])["error"]["message"]
    assert server.process.wait(5) == 0


def test_a_busy_port_names_its_holder_and_the_flag(start, upstream):
    first = start(settings(upstream.url))
    second = start(settings(upstream.url), arguments=("--listen", f"127.0.0.1:{first.port}"), wait=False)
    assert second.process.wait(10) != 0
    text = second.log_text()
    assert "--listen" in text and str(first.port) in text
    assert str(first.process.pid) in text or "parley" in text.lower()


def test_the_environment_gives_providers(start, upstream, tmp_path):
    folder = tmp_path / "env"
    server = start(folder=folder, env=clean_environment(folder, OPENAI_API_KEY="sk-not-real", GROQ_API_KEY="gsk-not-real"))
    server.wait_for(r"(?i)openai")
    server.wait_for(r"(?i)groq")
    text = server.log_text()
    assert "sk-not-real" not in text and "gsk-not-real" not in text


def test_version_and_help(parley_binary):
    for flag in ("--version", "--help"):
        done = subprocess.run([parley_binary, flag], capture_output=True, text=True, timeout=10, check=False)
        assert done.returncode == 0 and done.stdout
