# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""`parley chat` and `parley models` as a person at a terminal, or a script in a pipe, meets them."""

import json
import os
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pexpect
import pytest

from conftest import settings

PROMPT = "\r> \x1b[K"
LIMIT = 20


def chunk(**delta):
    return {"model": "m-1", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


FINISH = {"model": "m-1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
USAGE = {"model": "m-1", "choices": [], "usage": {
    "prompt_tokens": 7, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 3},
    "completion_tokens_details": {"reasoning_tokens": 2}}}


class Handler(BaseHTTPRequestHandler):
    """A server whose answer is told by the name of the model."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.seen.append({"path": self.path, "authorization": self.headers.get("authorization")})
        data = [{"id": "zeta", "object": "model", "owned_by": "far"}, {"id": "alpha", "object": "model", "owned_by": "near"}]
        self.whole(200, {"object": "list", "data": data})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.seen.append({"path": self.path, "authorization": self.headers.get("authorization"), "body": body})
        kind = body.get("model", "plain")
        if kind == "missing":
            self.whole(404, {"error": {"message": "there is no model missing", "code": "model_not_found"}})
        elif kind == "locked":
            self.whole(401, {"error": {"message": "that key is not known", "code": "invalid_api_key"}})
        elif kind == "whole":
            self.whole(200, {"model": "m-1", "choices": [{"message": {"content": "all at once"}, "finish_reason": "stop"}]})
        else:
            self.stream(kind, body)

    def whole(self, status, value):
        text = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def stream(self, kind, body):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        said = [m["content"] for m in body["messages"]]
        if kind == "thinking":
            self.event(chunk(reasoning_content="hmm"))
        if kind == "silent":
            return self.wait_for_close()
        self.event(chunk(role="assistant", content=""))
        if kind == "control":
            self.event(chunk(content="a\x1b[2Jb\x07c"))
        elif kind == "split":
            text = "data: " + json.dumps(chunk(content="grüße 🌍"), ensure_ascii=False) + "\n\n"
            for byte in text.encode():
                self.bytes(bytes([byte]))
        else:
            self.event(chunk(content=f"you said: {said[-1]}"))
        if kind == "endless":
            return self.wait_for_close()
        if kind == "error":
            self.event({"error": {"message": "the upstream went away", "type": "server_error"}})
        elif kind == "cut":
            self.close_connection = True
            return
        else:
            self.event(FINISH)
            self.event(USAGE)
            self.bytes(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def event(self, value):
        self.bytes(b"data: " + json.dumps(value).encode() + b"\n\n")

    def bytes(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def wait_for_close(self):
        self.connection.settimeout(LIMIT)
        try:
            self.server.closed.append(self.connection.recv(1) == b"")
        except OSError as error:
            self.server.closed.append(not isinstance(error, TimeoutError))
        self.close_connection = True


@pytest.fixture
def scripted():
    """A server under the test's control."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.seen, server.closed = [], []
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def environment(tmp_path, **more):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PARLEY_", "XDG_")) and k != "NO_COLOR"}
    return kept | {"TERM": "xterm", "XDG_STATE_HOME": str(tmp_path), "SWIFT_BACKTRACE": "enable=no"} | more


@pytest.fixture
def run(parley_binary, tmp_path):
    """Runs the command in a pipe."""
    def call(*arguments, stdin="", **env):
        return subprocess.run([str(parley_binary), *arguments], input=stdin, text=True, capture_output=True,
                              timeout=LIMIT, env=environment(tmp_path, **env))
    return call


@pytest.fixture
def terminal(parley_binary, tmp_path):
    """Runs the command at a terminal."""
    children = []

    def call(*arguments, **env):
        child = pexpect.spawn(str(parley_binary), list(arguments), env=environment(tmp_path, **env),
                              encoding="utf-8", timeout=LIMIT, dimensions=(24, 60))
        children.append(child)
        return child
    yield call
    for child in children:
        child.close(force=True)


def started(terminal, url, *arguments, **env):
    child = terminal("chat", *arguments, "--url", url, "--key", "k", **env)
    child.expect_exact(PROMPT)
    return child


# In a pipe


def test_a_question_on_standard_input_prints_the_answer_alone(run, scripted):
    result = run("chat", "--url", scripted.url, "--key", "k-1", stdin="hi there\n")
    assert (result.returncode, result.stdout, result.stderr) == (0, "you said: hi there\n", "")
    assert scripted.seen[0]["authorization"] == "Bearer k-1"
    assert "model" not in scripted.seen[0]["body"]


def test_message_model_and_system_reach_the_server(run, scripted):
    result = run("chat", "thinking", "-m", "hello", "--system", "be brief", PARLEY_URL=scripted.url + "/v1/")
    assert (result.returncode, result.stdout) == (0, "you said: hello\n")
    body = scripted.seen[0]["body"]
    assert body["model"] == "thinking" and body["stream"] is True
    assert body["messages"] == [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}]


def test_an_answer_that_is_no_stream_is_understood(run, scripted):
    assert run("chat", "whole", "-m", "x", "--url", scripted.url).stdout == "all at once\n"


def test_a_character_split_between_reads_survives(run, scripted):
    assert run("chat", "split", "-m", "x", "--url", scripted.url).stdout == "grüße 🌍\n"


@pytest.mark.parametrize("model, answer, words", [
    ("missing", "", "there is no model missing"),
    ("locked", "", "that key is not known"),
    ("error", "you said: x\n", "the upstream went away"),
    ("cut", "you said: x\n", "closed before the answer was complete"),
])
def test_an_error_ends_with_its_message_and_status_one(run, scripted, model, answer, words):
    result = run("chat", model, "-m", "x", "--url", scripted.url)
    assert (result.returncode, result.stdout) == (1, answer)
    assert words in result.stderr


def test_a_server_that_is_not_there_is_named_with_the_way_to_start_one(run):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    for arguments in (["chat", "-m", "x"], ["models"]):
        result = run(*arguments, "--url", url)
        assert result.returncode == 1
        assert url in result.stderr and "parley serve" in result.stderr


def test_an_empty_question_is_refused(run, scripted):
    result = run("chat", "--url", scripted.url, stdin=" \n")
    assert result.returncode == 1 and "empty" in result.stderr and scripted.seen == []


def test_the_generated_key_is_sent_to_this_machine_only(run, scripted, tmp_path):
    (tmp_path / "parley").mkdir()
    (tmp_path / "parley" / "client.key").write_text("sk-parley-generated\n")
    run("models", "--url", scripted.url)
    run("models", "--url", scripted.url, PARLEY_API_KEY="sk-from-environment")
    assert [seen["authorization"] for seen in scripted.seen] == [
        "Bearer sk-parley-generated", "Bearer sk-from-environment"]
    name = socket.gethostname()
    try:
        local = socket.gethostbyname(name).startswith("127.")
    except OSError:
        pytest.skip("this machine's name has no address")
    if local:
        run("models", "--url", scripted.url.replace("127.0.0.1", name))
        assert scripted.seen[-1]["authorization"] is None


def test_models_are_a_sorted_table_or_json(run, scripted):
    result = run("models", "--url", scripted.url)
    assert result.stdout == "MODEL  FROM\nalpha  near\nzeta   far\n"
    listed = json.loads(run("models", "--json", "--url", scripted.url).stdout)
    assert [entry["id"] for entry in listed] == ["alpha", "zeta"]


# At a terminal


def test_turns_build_a_conversation_that_clear_forgets(terminal, scripted):
    child = started(terminal, scripted.url, "thinking")
    child.sendline("one")
    child.expect_exact("\x1b[2mhmm\x1b[22m")
    child.expect_exact("you said: one")
    child.expect_exact("m-1 · 7 in (3 cached) · 9 out (2 reasoning)")
    child.expect_exact(PROMPT)
    child.sendline("/system be kind")
    child.expect_exact(PROMPT)
    child.sendline("two")
    child.expect_exact("you said: two")
    child.expect_exact(PROMPT)
    assert [(m["role"], m["content"]) for m in scripted.seen[-1]["body"]["messages"]] == [
        ("system", "be kind"), ("user", "one"), ("assistant", "you said: one"), ("user", "two")]
    child.sendline("/clear")
    child.expect_exact(PROMPT)
    child.sendline("//three")
    child.expect_exact("you said: /three")
    child.expect_exact(PROMPT)
    assert len(scripted.seen[-1]["body"]["messages"]) == 2
    child.sendline("/quit")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


@pytest.mark.parametrize("model, shown", [("endless", "you said: go"), ("silent", "⠙")])
def test_control_c_stops_an_answer_and_closes_its_connection(terminal, scripted, model, shown):
    child = started(terminal, scripted.url, model)
    child.sendline("go")
    child.expect_exact(shown)
    child.sendintr()
    child.expect_exact("(stopped)")
    child.expect_exact(PROMPT)
    end = time.monotonic() + LIMIT
    while not scripted.closed and time.monotonic() < end:
        time.sleep(0.02)
    assert scripted.closed == [True]
    child.sendline("/model plain")
    child.expect_exact(PROMPT)
    child.sendline("again")
    child.expect_exact("you said: again")


def test_control_c_twice_at_the_prompt_leaves(terminal, scripted):
    child = started(terminal, scripted.url)
    child.send("half a line")
    child.expect_exact("half a line")
    child.sendintr()
    child.expect_exact("^C")
    child.sendintr()
    child.expect_exact("again to leave")
    child.expect_exact(PROMPT)
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130


def test_control_d_leaves(terminal, scripted):
    child = started(terminal, scripted.url)
    child.sendeof()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_lines_are_edited_recalled_and_pasted(terminal, scripted):
    child = started(terminal, scripted.url)
    child.send("wörldx\x7f\x01hello \x05!\r")
    child.expect_exact("you said: hello wörld!")
    child.expect_exact(PROMPT)
    child.send("\x1b[A\x7f?\r")
    child.expect_exact("you said: hello wörld?")
    child.expect_exact(PROMPT)
    child.send("\x1b[200~first\rsecond\r\x1b[201~\r")
    child.expect_exact("you said: first\r\nsecond")
    child.expect_exact(PROMPT)
    long = "long " * 2000
    child.send("\x1b[200~" + long + "\x1b[201~\r")
    child.expect_exact("m-1 ·")
    assert scripted.seen[-1]["body"]["messages"][-1]["content"] == long.strip()


def test_a_models_words_cannot_command_the_terminal(terminal, scripted):
    child = started(terminal, scripted.url, "control")
    child.sendline("go")
    child.expect_exact("a\ufffd[2Jb\ufffdc")


def test_an_error_keeps_the_conversation_going(terminal, scripted):
    child = started(terminal, scripted.url, "missing")
    child.sendline("one")
    child.expect_exact("Error: there is no model missing")
    child.expect_exact(PROMPT)
    child.sendline("/model plain")
    child.expect_exact(PROMPT)
    child.sendline("two")
    child.expect_exact("you said: two")
    assert [m["content"] for m in scripted.seen[-1]["body"]["messages"]] == ["two"]
    child.expect_exact(PROMPT)
    child.sendline("/models")
    child.expect_exact("alpha  near")
    child.expect_exact(PROMPT)
    child.sendline("/nonsense")
    child.expect_exact("no command /nonsense")


def test_a_plain_terminal_gets_no_escapes(terminal, scripted):
    child = terminal("chat", "thinking", "--url", scripted.url, TERM="dumb")
    child.expect_exact("> ")
    child.sendline("one")
    child.expect_exact("you said: one")
    child.expect_exact("> ")
    child.sendeof()
    child.expect(pexpect.EOF)
    assert "\x1b" not in child.before


def test_a_terminal_is_restored_when_the_process_is_told_to_end(parley_binary, tmp_path, scripted):
    shell = pexpect.spawn("/bin/sh", env=environment(tmp_path, PS1="$ "), encoding="utf-8", timeout=LIMIT)
    shell.expect_exact("$ ")
    shell.sendline(f"'{parley_binary}' chat --url {scripted.url}; echo left=$?")
    shell.expect_exact(PROMPT)
    found = subprocess.run(["pgrep", "-P", str(shell.pid)], capture_output=True, text=True, check=True)
    os.kill(int(found.stdout.split()[0]), 15)
    shell.expect_exact("left=143")
    shell.sendline("stty -a")
    shell.expect(r"[^-]icanon")
    shell.expect(r"[^-]echo ")
    shell.close(force=True)


# Against the real server


def test_the_real_server_answers(run, start, upstream):
    server = start(settings(upstream.url, models={"m": "up/m"}))
    listed = json.loads(run("models", "--json", "--url", server.url, "--key", server.key).stdout)
    assert listed
    result = run("chat", listed[0]["id"], "-m", "Say hello.", "--url", server.url, "--key", server.key)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip()


def test_the_real_server_refuses_a_wrong_key(run, server):
    result = run("chat", "any", "-m", "x", "--url", server.url, "--key", "wrong")
    assert result.returncode == 1 and result.stdout == "" and "key" in result.stderr
