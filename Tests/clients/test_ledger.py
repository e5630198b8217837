# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""The account of calls through the real binary: every call once, with all that was done for it."""

import json
import random
import subprocess
import threading
import time

import pytest

from conftest import (KEY, SSE, answer, built, chat, chat_request, chunk, clean_environment, failure, settings, wait_until,
                      whole)

ADMIN = "admin-key-for-tests-0123456789"
PRICES = {f"up/{model}": {"input": 1, "output": 2} for model in ("a", "b", "m")}


@pytest.fixture
def ledger(start, upstream):
    """A server with prices and an admin key; sections are merged over its configuration."""
    def one(**sections):
        options = {name: sections.pop(name) for name in ("folder", "env") if name in sections}
        config = settings(upstream.url, prices=PRICES, admin={"key": ADMIN}, **sections)
        return start(config, **options)
    return one


def admin(server, path, key=ADMIN):
    status, _, body = server.request("GET", path, headers={"Authorization": f"Bearer {key}"}, key=False)
    return status, json.loads(body)


def record(server, call):
    """The account of a call, as soon as it is there."""
    def look():
        status, body = admin(server, f"/admin/calls/{call}")
        return body if status == 200 else None
    return wait_until(look, what=f"the record of {call}")


def ask(server, model="m", call="call-1", **more):
    """A whole call with an id of its own: (status, headers, body)."""
    return server.request("POST", "/v1/chat/completions", chat(model, **more), {"x-request-id": call})


def test_a_call_has_its_record(ledger, upstream):
    server = ledger()
    upstream.script(answer(whole(usage={"prompt_tokens": 1000, "completion_tokens": 10, "total_tokens": 1010,
                                        "prompt_tokens_details": {"cached_tokens": 400}})))
    status, headers, _ = ask(server, "m", "plain")
    assert status == 200 and headers["x-request-id"] == "plain"
    found = record(server, "plain")
    assert (found["key"], found["model"], found["upstream"]) == ("test", "m", "up/m")
    assert (found["operation"], found["dialect"], found["stream"]) == ("chat", "openai-chat", False)
    assert (found["status"], found["outcome"], found["finish"]) == (200, "ok", "stop")
    assert found["usage"] == {"input": 1000, "cache_read": 400, "output": 10}
    assert found["cost_usd"] == 0.00102
    assert [one["upstream"] for one in found["attempts"]] == ["up/m"]
    assert "failure" not in found["attempts"][0] and found["attempts"][0]["cost_usd"] == 0.00102
    assert found["total_ms"] >= found["first_ms"] > 0 and abs(found["time"] / 1000 - time.time()) < 60
    assert "cost=0.001020000" in server.wait_for(r".*id=plain.*")[0]


def test_a_stream_has_its_record(ledger, upstream):
    server = ledger()
    upstream.script([SSE, {"sse": [chunk("one"), chunk(finish="stop"),
                                   chunk(usage={"prompt_tokens": 7, "completion_tokens": 3}, choices=[])]}])
    ask(server, "m", "streamed", stream=True)
    found = record(server, "streamed")
    assert found["stream"] is True and found["usage"] == {"input": 7, "output": 3} and found["cost_usd"] == 0.000013


def test_nothing_of_a_conversation_or_a_key_is_kept(ledger, upstream, tmp_path):
    server = ledger()
    upstream.script(answer(whole("the secret answer")))
    ask(server, "m", "quiet", text="the secret question")
    record(server, "quiet")
    server.stop()
    kept = b"".join(path.read_bytes() for path in server.folder.rglob("*") if path.is_file() and "parley.db" in str(path))
    assert b"quiet" in kept
    for secret in (b"secret question", b"secret answer", KEY.encode(), ADMIN.encode(), b"upstream-key"):
        assert secret not in kept


def test_only_the_admin_key_opens_the_account(ledger, upstream):
    server = ledger()
    assert admin(server, "/admin/calls/x", KEY)[0] == 401
    assert server.request("GET", "/admin/calls", key=False)[0] == 401
    status, body = admin(server, "/admin/calls/none")
    assert status == 404 and body["error"]["code"] == "no_such_call"
    assert admin(server, "/admin/calls?limit=x")[0] == 400


def test_a_client_that_leaves_in_the_middle_pays_for_what_was_sent(ledger, upstream):
    server = ledger()
    upstream.script([SSE, {"sse": [chunk("one "), chunk("two "), chunk("three")], "done": False}, {"hang": True}])
    with server.raw() as raw:
        raw.send(chat_request(chat("m", "x" * 4000, stream=True), headers="x-request-id: gone\r\n")).until(b"three")
    found = record(server, "gone")
    assert found["outcome"] == "cancelled" and found["error"] == "cancelled"
    assert found["usage"]["estimated"] is True
    assert found["usage"]["output"] == 3 and 900 < found["usage"]["input"] < 1100
    assert found["cost_usd"] > 0.0009 and "failure" not in found["attempts"][0]


def test_a_client_that_leaves_before_the_answer_has_a_record_too(ledger, upstream):
    server = ledger()
    upstream.script([{"hang": True}])
    with server.raw() as raw:
        raw.send(chat_request(chat("m"), headers="x-request-id: early\r\n"))
        upstream.wait_for_requests(1)
    found = record(server, "early")
    assert found["outcome"] == "cancelled" and found["status"] == 0
    assert [one["failure"] for one in found["attempts"]] == ["cancelled"] and "cost_usd" not in found


def test_failover_shows_each_attempt_and_why(ledger, upstream):
    server = ledger(models={"both": {"route": "fallback", "of": ["up/a", "up/b"]}}, log={"format": "json"})
    upstream.script({"match": {"model": "a"}, "steps": failure(429, code="rate_limit_exceeded")},
                    {"match": {"model": "b"}, "steps": answer(whole())})
    status, headers, _ = ask(server, "both", "failover")
    assert status == 200 and headers["x-parley-attempts"] == "2"
    found = record(server, "failover")
    assert [(one["upstream"], one.get("failure")) for one in found["attempts"]] == [
        ("up/a", "rateLimited"), ("up/b", None)]
    assert found["upstream"] == "up/b" and found["cost_usd"] == 0.000007
    line = next(json.loads(text) for text in server.wait_for(r".*\"id\":\"failover\".*")[0].splitlines())
    assert line["cost_usd"] == 0.000007
    assert [(one["upstream"], one.get("failure")) for one in line["attempts_detail"]] == [
        ("up/a", "rateLimited"), ("up/b", None)]
    assert all(one["ms"] >= 0 for one in line["attempts_detail"])


def test_a_call_that_nobody_could_answer_says_who_was_asked(ledger, upstream):
    server = ledger(models={"both": {"route": "fallback", "of": ["up/a", "up/b"]}})
    upstream.script({"match": {"model": "a"}, "steps": failure(500)}, {"match": {"model": "b"}, "steps": failure(503)})
    assert ask(server, "both", "failed")[0] == 503
    found = record(server, "failed")
    assert (found["outcome"], found["status"], found["error"]) == ("failed", 503, "upstreamUnavailable")
    assert [one["failure"] for one in found["attempts"]] == ["upstreamUnavailable"] * 2 and "usage" not in found
    text = server.wait_for(r".*id=failed.*")[0]
    assert "tried=up/a:upstreamUnavailable:" in text and ",up/b:upstreamUnavailable:" in text


def test_every_leg_of_a_race_is_under_the_one_call(ledger, upstream):
    server = ledger(models={"both": {"route": "race", "of": ["up/a", "up/b"]}})
    upstream.script({"match": {"model": "a"}, "steps": [{"hang": True}]},
                    {"match": {"model": "b"}, "steps": [{"sleep_ms": 100}, *answer(whole())]})
    assert ask(server, "both", "race")[0] == 200
    found = record(server, "race")
    legs = {one["upstream"]: one for one in found["attempts"]}
    assert set(legs) == {"up/a", "up/b"} and found["upstream"] == "up/b"
    assert legs["up/a"]["failure"] == "cancelled" and legs["up/a"]["usage"] == {
        "input": 3, "output": 0, "estimated": True}
    assert found["usage"] == {"input": 3, "output": 2}
    assert found["cost_usd"] == pytest.approx(0.000003 + 0.000007)


def test_a_call_for_no_model_is_recorded_and_one_without_a_key_is_not(ledger, upstream):
    server = ledger(models={"*": "gone/*"}, providers={"gone": {"kind": "openai-compatible", "base_url": "http://127.0.0.1:1",
                                                                "models": {"x": "x"}, "discover": False}})
    server.request("POST", "/v1/chat/completions", chat("one"), {"x-request-id": "nobody"}, key=False)
    assert ask(server, "one", "nowhere")[0] == 404
    found = record(server, "nowhere")
    assert (found["outcome"], found["error"], found["attempts"]) == ("failed", "notFound", [])
    assert admin(server, "/admin/calls/nobody")[0] == 404


def test_calls_survive_a_restart_and_are_summed_up(ledger, upstream, tmp_path):
    server = ledger(folder=tmp_path / "same")
    upstream.script({"times": 3, "steps": answer(whole())})
    for number in range(3):
        ask(server, "m", f"call-{number}")
    server.stop()
    server.log_path.unlink()
    again = ledger(folder=tmp_path / "same")
    assert [call["id"] for call in admin(again, "/admin/calls?limit=2")[1]["calls"]] == ["call-2", "call-1"]
    assert admin(again, "/admin/calls?key=other")[1]["calls"] == []
    for by, name in (("key", "test"), ("model", "m"), ("upstream", "up/m")):
        printed = subprocess.run(
            [built("PARLEY_BINARY", "parley"), "usage", "--config", str(again.config_path), "--by", by, "--json"],
            env=clean_environment(again.folder), capture_output=True, text=True, timeout=30, check=True).stdout
        assert json.loads(printed) == [{
            by: name, "attempts" if by == "upstream" else "calls": 3, "failed": 0,
            "usage": {"input": 9, "output": 6}, "cost_usd": 0.000021, "unpriced": 0}]
    table = subprocess.run(
        [built("PARLEY_BINARY", "parley"), "usage", "--config", str(again.config_path)],
        env=clean_environment(again.folder), capture_output=True, text=True, timeout=30, check=True).stdout
    assert table.splitlines()[0].split() == [
        "MODEL", "CALLS", "FAILED", "INPUT", "CACHE", "READ", "CACHE", "WRITE", "OUTPUT", "REASONING", "COST", "USD",
        "UNPRICED"]


def test_what_was_answered_survives_kill_9(ledger, upstream, tmp_path):
    server = ledger(folder=tmp_path / "same")
    upstream.script({"times": 1000, "steps": answer(whole())})
    killed = threading.Event()
    answered = []

    def one(number):
        turn = 0
        while not killed.is_set():
            try:
                status = ask(server, "m", f"call-{number}-{turn}")[0]
            except OSError:
                return
            if status == 200:
                answered.append((time.monotonic(), f"call-{number}-{turn}"))
            turn += 1

    threads = [threading.Thread(target=one, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    # In the middle of what the store is being given; then what was answered a moment before has to be there.
    wait_until(lambda: len(answered) > 100, 20, "a hundred answers")
    time.sleep(random.Random(len(answered)).random() / 2)
    killed.set()
    for thread in threads:
        thread.join()
    wanted = {call for _, call in answered}
    time.sleep(0.1)
    server.process.kill()
    server.process.wait()
    server.log_path.unlink()
    again = ledger(folder=tmp_path / "same")
    found = wait_until(
        lambda: (lambda calls: calls if len(calls) >= len(wanted) else None)(
            [call["id"] for call in admin(again, "/admin/calls?limit=1000")[1]["calls"]]), what="every call")
    assert len(found) == len(set(found)) and wanted <= set(found)
    assert record(again, "call-0-0")["status"] == 200
    journals = list((again.folder / "state" / "parley" / "parley.db.calls").iterdir())
    again.stop()
    assert len(journals) <= 1 and not list((again.folder / "state" / "parley" / "parley.db.calls").iterdir())


def test_calls_under_way_to_the_store_are_found_and_none_is_there_twice_after_kill_9(ledger, upstream, tmp_path):
    upstream.script({"times": 1000, "steps": answer(whole())})
    folder = tmp_path / "same"
    wanted = set()
    for turn in range(3):
        server = ledger(folder=folder)
        # Killed at once: what a life before left may be half in the store.
        for number in range(20):
            ask(server, "m", f"turn-{turn}-{number}")
            wanted.add(f"turn-{turn}-{number}")
        time.sleep(0.05 + 0.1 * turn)
        server.process.kill()
        server.process.wait()
        server.log_path.unlink()
    server = ledger(folder=folder)
    found = wait_until(
        lambda: (lambda calls: calls if len(calls) >= len(wanted) else None)(
            [call["id"] for call in admin(server, "/admin/calls?limit=1000")[1]["calls"]]), what="every call")
    assert sorted(found) == sorted(wanted)


def test_two_servers_share_a_store(ledger, upstream, tmp_path):
    upstream.script({"times": 1000, "steps": answer(whole())})
    store = f"sqlite:{tmp_path / 'shared.db'}"
    servers = [ledger(store=store), ledger(store=store)]
    threads = [threading.Thread(target=lambda which: [ask(servers[which], "m", f"{which}-{number}")
                                                      for number in range(50)], args=(which,)) for which in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list((tmp_path / "shared.db.calls").glob("*.journal"))) == 2
    assert record(servers[1], "0-49")["id"] == "0-49" and record(servers[0], "1-49")["id"] == "1-49"
    servers[0].process.kill()
    servers[0].process.wait()

    def all_there():
        calls = [call["id"] for call in admin(servers[1], "/admin/calls?limit=1000")[1]["calls"]]
        return calls if len(calls) >= 100 else None
    assert len(set(wait_until(all_there, what="the calls of both"))) == 100


def test_an_id_of_the_servers_own_is_found(ledger, upstream):
    server = ledger()
    upstream.script({"times": 2, "steps": answer(whole())})
    for _ in range(2):
        status, headers, _ = server.request("POST", "/v1/chat/completions", chat("m"))
        call = headers["x-request-id"]
        assert status == 200 and len(call) == 28
        assert record(server, call)["id"] == call
        admin(server, "/admin/calls")
        assert admin(server, f"/admin/calls/{call}")[0] == 200, "from the store"


def test_a_store_that_cannot_be_written_fails_no_call(ledger, upstream, tmp_path):
    (tmp_path / "file").write_text("no folder")
    server = ledger(store=f"sqlite:{tmp_path / 'file' / 'parley.db'}")
    upstream.script({"times": 5, "steps": answer(whole())})
    for number in range(5):
        assert ask(server, "m", f"call-{number}")[0] == 200

    def health():
        status, _, body = server.request("GET", "/health", key=False)
        assert status == 200
        found = json.loads(body)
        return found if found["status"] == "degraded" else None
    assert wait_until(health, what="degraded health")["ledger"] == {"status": "failing", "waiting": 5, "lost": 0}
    server.wait_for("calls are not recorded")
    assert server.request("GET", "/health/ready", key=False)[0] == 200
    assert record(server, "call-3")["status"] == 200, "what waits in memory can be read"


def test_every_call_is_there_once_whoever_leaves(ledger, upstream):
    server = ledger()
    upstream.script({"match": {"model": "long"}, "times": 1000, "steps": [
        SSE, {"repeat": {"count": 40, "write": f"data: {chunk('x')}\n\n", "every_ms": 20}},
        {"sse": [chunk(finish="stop")]}]})
    dice = random.Random(7)

    def one(number, leaves):
        request = chat_request(chat("long", stream=True), headers=f"x-request-id: many-{number}\r\n")
        with server.raw(30) as raw:
            raw.send(request)
            if leaves is None:
                raw.until(b"[DONE]")
            else:
                time.sleep(leaves)

    threads = [threading.Thread(target=one, args=(number, dice.choice([None, None, 0.01, 0.2, 0.4, 0.6])))
               for number in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    def all_there():
        calls = admin(server, "/admin/calls?limit=1000")[1]["calls"]
        # Who left before the request was read has asked nobody for anything.
        logged = [line for line in server.log_text().splitlines() if " id=many-" in line and " model=" in line]
        return calls if len(calls) == len(logged) > 50 else None
    calls = wait_until(all_there, 20, "every call in the ledger")
    names = [call["id"] for call in calls]
    assert len(names) == len(set(names))
    assert {call["outcome"] for call in calls} <= {"ok", "cancelled"}
    for call in calls:
        assert len(call["attempts"]) <= 1
        if call["outcome"] == "ok":
            assert call["id"] and call["status"] == 200
