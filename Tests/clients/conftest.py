# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""Starts the real binary and the scripted upstream for the suites; every port is one the system chose."""

import contextlib
import http.client
import json
import os
import re
import resource
import signal
import socket
import subprocess
import time
from pathlib import Path

import openai
import pytest
import yaml

pytest_plugins = ["matrix", "printed"]
ROOT = Path(__file__).resolve().parent.parent.parent
KEY = "sk-parley-test-0123456789abcdefghij"
UPSTREAM_KEY = "upstream-key"

_hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (_hard, _hard))


def built(variable, name):
    """The binary the environment names, else the newest one built."""
    if os.environ.get(variable):
        return os.environ[variable]
    found = [path for path in (ROOT / ".build/release" / name, ROOT / ".build/debug" / name) if path.exists()]
    if not found:
        pytest.exit(f"{name} is not built: run script/test, or set {variable}", 3)
    return str(max(found, key=lambda path: path.stat().st_mtime))


def wait_until(check, seconds=10.0, what="the condition"):
    """Polls until `check` gives something true, and returns it."""
    limit = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > limit:
            raise AssertionError(f"{what} did not hold within {seconds} s")
        time.sleep(0.01)


def clean_environment(folder, **more):
    """An environment without any provider's key."""
    env = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
    return env | {
        "HOME": str(folder), "XDG_STATE_HOME": str(folder / "state"), "XDG_CONFIG_HOME": str(folder / "config"),
        "SWIFT_BACKTRACE": "enable=no",
    } | more


class Program:
    """A program started for a test, whose output goes to a file; ended by its own id."""

    def __init__(self, command, folder, name, env=None):
        folder.mkdir(parents=True, exist_ok=True)
        self.log_path = folder / f"{name}.log"
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=env, cwd=folder)

    def log_text(self):
        return self.log_path.read_text(errors="replace")

    def wait_for(self, pattern, seconds=20):
        def look():
            found = re.search(pattern, self.log_text())
            if not found and self.process.poll() is not None:
                raise AssertionError(f"{self.process.args} ended with {self.process.returncode}:\n{self.log_text()}")
            return found
        return wait_until(look, seconds, f"{pattern!r} in the output")

    def alive(self):
        return self.process.poll() is None

    def stop(self):
        if self.alive():
            self.process.terminate()
            try:
                self.process.wait(3)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Upstream(Program):
    """The scripted upstream and its control API."""

    def __init__(self, folder, *arguments):
        super().__init__([built("PARLEY_UPSTREAM_BINARY", "scripted-upstream"), "--port", "0", *arguments],
                         folder, "upstream", {"SWIFT_BACKTRACE": "enable=no"})
        self.port = int(self.wait_for(r"listening 127\.0\.0\.1:(\d+)")[1])
        self.url = f"http://127.0.0.1:{self.port}/v1"

    def control(self, method, path, value=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, None if value is None else json.dumps(value))
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status < 300, text
            return json.loads(text) if text else None
        finally:
            connection.close()

    def script(self, *scripts):
        """Appends scripts; a bare list of steps is a script that always matches."""
        self.control("POST", "/__script", [{"steps": one} if isinstance(one, list) else one for one in scripts])

    def queue(self, *scripts):
        """Appends scripts that answer one request each, in order."""
        self.script(*({"times": 1, "steps": steps} for steps in scripts))

    def clear(self):
        self.control("DELETE", "/__script")

    def log(self, model=None):
        """The chat requests seen, oldest first."""
        return [entry for entry in self.control("GET", "/__log")
                if entry["path"].endswith("/chat/completions") and model in (None, entry.get("model"))]

    def stats(self):
        return self.control("GET", "/__stats")

    def wait_for_requests(self, count, model=None, seconds=10):
        return wait_until(lambda: len(self.log(model)) >= count and self.log(model), seconds, f"{count} requests upstream")


class Server(Program):
    """`parley serve` with a configuration of its own."""

    def __init__(self, folder, config=None, env=None, arguments=(), key=KEY, wait=True):
        self.folder, self.key = folder, key
        folder.mkdir(parents=True, exist_ok=True)
        self.config_path = folder / "parley.yaml"
        command = [built("PARLEY_BINARY", "parley"), "serve", *arguments]
        if config is not None:
            self.write(config)
            command += ["--config", str(self.config_path)]
        if not any("listen" in argument for argument in arguments):
            command += ["--listen", "127.0.0.1:0"]
        super().__init__(command, folder, "parley", env or clean_environment(folder))
        if wait:
            found = self.wait_for(r"(https?)://127\.0\.0\.1:(\d+)")
            self.port = int(found[2])
            self.origin = f"{found[1]}://127.0.0.1:{self.port}"
            self.url = f"{self.origin}/v1"

    def write(self, config):
        text = config if isinstance(config, str) else yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
        fresh = self.config_path.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self.config_path)

    def reload(self, config, sighup=True):
        self.write(config)
        if sighup:
            self.process.send_signal(signal.SIGHUP)

    def client(self, **options):
        return openai.OpenAI(**({"base_url": self.url, "api_key": self.key, "max_retries": 0, "timeout": 20} | options))

    def async_client(self, **options):
        return openai.AsyncOpenAI(
            **({"base_url": self.url, "api_key": self.key, "max_retries": 0, "timeout": 20} | options))

    def raw(self, timeout=20):
        return Raw(self.port, timeout)

    def request(self, method, path, value=None, headers=None, key=True, timeout=20):
        """One request on a connection of its own: (status, headers, body bytes)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            head = {"Authorization": f"Bearer {self.key}"} if key else {}
            payload = value if value is None or isinstance(value, (bytes, str)) else json.dumps(value)
            if payload is not None:
                head["Content-Type"] = "application/json"
            connection.request(method, path, payload, head | (headers or {}))
            answer = connection.getresponse()
            return answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def rss(self):
        """Resident KB."""
        return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())[1])

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


class Raw:
    """A client that sends exactly the bytes it is told to."""

    def __init__(self, port, timeout=20):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(data.encode() if isinstance(data, str) else data)
        return self

    def more(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            data = b""
        self.buffer += data
        return data

    def until(self, mark):
        while mark not in self.buffer:
            if not self.more():
                raise AssertionError(f"closed before {mark!r}: {self.buffer[-500:]!r}")
        head, _, self.buffer = self.buffer.partition(mark)
        return head

    def take(self, count):
        while len(self.buffer) < count:
            if not self.more():
                raise AssertionError(f"closed {count - len(self.buffer)} bytes early: {self.buffer[-500:]!r}")
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def answer(self, body=True):
        """Reads one whole answer: (status, headers, body)."""
        lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1])
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        if not body or status < 200 or status in (204, 304):
            return status, headers, b""
        if headers.get("transfer-encoding") == "chunked":
            data = b""
            while size := int(self.until(b"\r\n").split(b";")[0], 16):
                data += self.take(size)
                self.take(2)
            self.until(b"\r\n")
            return status, headers, data
        if "content-length" in headers:
            return status, headers, self.take(int(headers["content-length"]))
        return status, headers, self.rest()

    def rest(self):
        """Everything until the peer closes."""
        while self.more():
            pass
        data, self.buffer = self.buffer, b""
        return data

    def closed(self):
        """Whether the peer has closed or does so before the time limit."""
        try:
            while self.more():
                pass
            return True
        except TimeoutError:
            return False


def chat_request(value, key=KEY, headers="", path="/v1/chat/completions"):
    """The bytes of a chat request."""
    payload = value if isinstance(value, bytes) else json.dumps(value).encode()
    return (f"POST {path} HTTP/1.1\r\nHost: parley\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
            f"{headers}Content-Length: {len(payload)}\r\n\r\n").encode() + payload


def chat(model="m", text="hi", **more):
    return {"model": model, "messages": [{"role": "user", "content": text}]} | more


def chunk(content=None, finish=None, **more):
    """One chunk of a streamed answer as JSON text."""
    delta = {} if content is None else {"content": content}
    return json.dumps({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]} | more)


def whole(content="hello", finish="stop", **more):
    """A whole answer."""
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}} | more


SSE = {"head": {"status": 200, "headers": {"content-type": "text/event-stream"}}}


def answer(value, status=200, headers=None, framing="length"):
    """Steps of a whole answer."""
    text = value if isinstance(value, str) else json.dumps(value)
    return [{"head": {"status": status, "headers": {"content-type": "application/json"} | (headers or {}),
                      "framing": framing}}, {"write": text}]


def failure(status, message="no", code=None, kind="server_error", headers=None):
    """Steps of an error in OpenAI's envelope."""
    return answer({"error": {"message": message, "type": kind, "param": None, "code": code}}, status, headers)


def data_lines(text):
    """The data of every event of a stream, in order."""
    return [line[5:].strip() for line in text.decode().replace("\r\n", "\n").split("\n") if line.startswith("data:")]


def settings(upstream_url, **sections):
    """A configuration whose names all lead to the scripted upstream; sections are merged over it."""
    config = {
        "server": {},
        "providers": {"up": {"kind": "openai-compatible", "base_url": upstream_url, "api_key": UPSTREAM_KEY,
                             # Asking for the list of models would use up a script that a test has laid out.
                             "discover": False}},
        "defaults": {"retry": {"attempts": 1}},
        "models": {"*": "up/*"},
        "keys": [{"name": "test", "key": KEY}],
    }
    for name, value in sections.items():
        config[name] = config[name] | value if isinstance(value, dict) and name in config else value
    return config


@pytest.fixture(scope="session")
def parley_binary():
    return built("PARLEY_BINARY", "parley")


@pytest.fixture(scope="module")
def shared_upstream(tmp_path_factory):
    program = Upstream(tmp_path_factory.mktemp("upstream"))
    yield program
    program.stop()


@pytest.fixture
def upstream(shared_upstream):
    shared_upstream.clear()
    return shared_upstream


@pytest.fixture
def start(tmp_path):
    """Starts servers for one test and ends them: start(config, …) -> Server."""
    started = []

    def one(config=None, **options):
        folder = options.pop("folder", None) or tmp_path / f"server{len(started)}"
        server = Server(folder, config, **options)
        started.append(server)
        return server

    yield one
    for server in started:
        server.stop()


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory, shared_upstream):
    """One server for a module's tests that need no configuration of their own."""
    folder = tmp_path_factory.mktemp("server")
    program = Server(folder, settings(
        shared_upstream.url, server={"cors": ["https://app.example.com"], "body_limit": "1MB", "header_timeout": "1s",
                                     "compatibility": ["billing"]}))
    yield program
    program.stop()


@pytest.fixture
def server(shared_server, upstream):
    assert shared_server.alive(), f"the server is gone:\n{shared_server.log_text()[-3000:]}"
    yield shared_server
    assert shared_server.alive(), f"the server did not survive:\n{shared_server.log_text()[-3000:]}"


@pytest.fixture(scope="module")
def demo_server(tmp_path_factory):
    """`parley serve` with no file and nothing in the environment."""
    program = Server(tmp_path_factory.mktemp("demo"), key="")
    program.key = program.wait_for(r"sk-parley-[\w-]+")[0]
    yield program
    program.stop()
