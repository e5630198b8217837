# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""iFLYTEK Spark: the signed WebSocket API with real frames, and the HTTP API beside it."""

import base64
import email.utils
import hashlib
import hmac
import http
import json
import re
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

from .scenario import TEXT, THOUGHT, pieces

SKEW = 300
# path -> the domains that fit it and the most tokens of an answer
PATHS = {
    "/v1.1/chat": ({"general", "lite"}, 4096), "/v2.1/chat": ({"generalv2"}, 8192),
    "/v3.1/chat": ({"generalv3"}, 8192), "/chat/pro-128k": ({"pro-128k"}, 4096),
    "/v3.5/chat": ({"generalv3.5"}, 8192), "/chat/max-32k": ({"max-32k"}, 8192),
    "/v4.0/chat": ({"4.0Ultra"}, 8192), "/v1/x1": ({"x1"}, 32768),
}
# Only these know the system's role and functions.
LARGE = {"generalv3.5", "max-32k", "4.0Ultra"}
CODES = {
    10013: "InputAuditError:(the input failed review)", 10014: "OutputAuditError:(the output failed review)",
    10907: "TokenLimitError:(too many tokens)", 11200: "AppIdNoAuthError:(no licence)",
    11202: "SecondLimitError:(too many requests per second)", 10012: "EngineInternalError:(the engine failed)",
}
AUTHORIZATION = re.compile(
    r'(?:api_key|hmac username)="([^"]+)", algorithm="hmac-sha256", headers="host date request-line", '
    r'signature="([^"]+)"')


class Wrong(Exception):
    """A frame that the service refuses, with its code."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def signature(secret, host, date, path):
    text = f"host: {host}\ndate: {date}\nGET {path} HTTP/1.1"
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()).decode()


def only(value, what, *names, required=()):
    if not isinstance(value, dict):
        raise Wrong(10004, f"{what} is no object")
    for name in set(value) - set(names):
        raise Wrong(10163, f"{what} has an unknown member {name}")
    for name in required:
        if name not in value:
            raise Wrong(10163, f"{what} has no {name}")
    return value


def number(value, low, high, what, kinds=(int,)):
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        raise Wrong(10163, f"{what} is out of range")


def check_turns(turns, domain):
    if not isinstance(turns, list) or not turns:
        raise Wrong(10163, "there are no messages")
    wanted = "user"
    for place, turn in enumerate(turns):
        only(turn, "a message", "role", "content", "content_type", required=("role", "content"))
        if not isinstance(turn["content"], str) or not turn["content"]:
            raise Wrong(10163, "a message has no content")
        if turn["role"] == "system" and place == 0 and domain in LARGE:
            continue
        if turn["role"] != wanted:
            raise Wrong(10163, f"message {place} is of role {turn['role']}, not {wanted}")
        wanted = "assistant" if wanted == "user" else "user"
    if wanted == "user":
        raise Wrong(10163, "the last message is not the user's")


def check(frame, path, app_ids):
    """Holds a request frame to its schema; gives app id, chat parameters, turns and functions."""
    only(frame, "the frame", "header", "parameter", "payload", required=("header", "parameter", "payload"))
    header = only(frame["header"], "header", "app_id", "uid", "patch_id", required=("app_id",))
    if header["app_id"] not in app_ids:
        raise Wrong(11200, CODES[11200])
    uid = header.get("uid", "")
    if not isinstance(uid, str) or len(uid) > 32:
        raise Wrong(10163, "uid has more than 32 characters")
    chat = only(frame["parameter"], "parameter", "chat", required=("chat",))["chat"]
    only(chat, "chat", "domain", "temperature", "max_tokens", "top_k", "chat_id", "auditing", "tools",
         required=("domain",))
    domains, longest = PATHS[path]
    if chat["domain"] not in domains:
        raise Wrong(10163, f"the domain {chat['domain']} does not fit {path}")
    if "temperature" in chat:
        number(chat["temperature"], 1e-9, 1, "temperature", (int, float))
    if "max_tokens" in chat:
        number(chat["max_tokens"], 1, longest, "max_tokens")
    if "top_k" in chat:
        number(chat["top_k"], 1, 6, "top_k")
    payload = only(frame["payload"], "payload", "message", "functions", required=("message",))
    turns = only(payload["message"], "message", "text", required=("text",))["text"]
    check_turns(turns, chat["domain"])
    functions = []
    if "functions" in payload:
        if chat["domain"] not in LARGE:
            raise Wrong(10163, "functions are not supported")
        functions = only(payload["functions"], "functions", "text", required=("text",))["text"]
        for function in functions:
            only(function, "a function", "name", "description", "parameters", required=("name", "parameters"))
    return header, chat, turns, functions


class Spark:
    """The service on two ports: `url` for sockets, `http_url` for HTTP."""

    def __init__(self, apps=None, passwords=("password",)):
        # app id -> (key, secret)
        self.apps = apps or {"app00001": ("the-key", "the-secret")}
        self.passwords = set(passwords)
        self.offset = 0                 # how far this server's clock is ahead
        self.skew = SKEW
        self.lock = threading.Lock()
        self.seen = []                  # one entry per handshake
        self.open = 0
        self.most = 0                   # most connections at once
        self.socket_server = serve(self.answer, "127.0.0.1", 0, process_request=self.handshake, compression=None)
        self.port = self.socket_server.socket.getsockname()[1]
        threading.Thread(target=self.socket_server.serve_forever, daemon=True).start()
        self.http_server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http_server.daemon_threads = True
        self.http_server.spark = self
        threading.Thread(target=self.http_server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"ws://127.0.0.1:{self.port}"

    @property
    def http_url(self):
        return f"http://127.0.0.1:{self.http_server.server_address[1]}/v1"

    def stop(self):
        self.socket_server.shutdown()
        self.http_server.shutdown()
        self.http_server.server_close()

    def clear(self):
        with self.lock:
            self.seen.clear()
            self.offset, self.skew = 0, SKEW
            self.most = 0

    def last(self):
        with self.lock:
            return self.seen[-1]

    # The handshake

    def handshake(self, connection, request):
        parts = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        entry = {"path": parts.path, "query": query, "headers": dict(request.headers.raw_items()), "refused": None,
                 "frame": None, "closed": False, "app": None, "key": request.headers.get("sec-websocket-key")}
        with self.lock:
            self.seen.append(entry)
        connection.entry = entry
        refusal = self.refusal(parts.path, query, request.headers.get("host"), entry)
        if refusal is None:
            return None
        status, message = refusal
        entry["refused"] = message
        response = connection.respond(http.HTTPStatus(status), json.dumps({"message": message}))
        response.headers["content-type"] = "application/json"
        return response

    def refusal(self, path, query, host, entry):
        if path not in PATHS:
            return 404, "no route"
        if "authorization" not in query:
            return 401, "Unauthorized"
        found = AUTHORIZATION.fullmatch(base64.b64decode(query["authorization"], validate=True).decode())
        if found is None or query.get("host") != host:
            return 401, "HMAC signature cannot be verified"
        date = email.utils.parsedate_to_datetime(query["date"]).timestamp()
        if email.utils.formatdate(date, usegmt=True) != query["date"] or abs(
                time.time() + self.offset - date) > self.skew:
            return 403, ("HMAC signature cannot be verified, a valid date or x-date header is required for HMAC "
                         "Authentication")
        entry["app"] = next((app for app, (key, _) in self.apps.items() if key == found[1]), None)
        secret = self.apps[entry["app"]][1] if entry["app"] else ""
        if not hmac.compare_digest(signature(secret, host, query["date"], path), found[2]):
            return 401, "HMAC signature does not match"
        return None

    # One answer

    def answer(self, socket):
        with self.lock:
            self.open += 1
            self.most = max(self.most, self.open)
        try:
            text = socket.recv(timeout=10)
            entry = socket.entry
            if not isinstance(text, str):
                raise Wrong(10003, "the frame is not text")
            entry["frame"] = json.loads(text)
            said = Said(socket)
            try:
                header, chat, turns, functions = check(entry["frame"], entry["path"], {entry["app"]})
                entry["turns"] = turns
                perform(said, header, chat, turns, functions)
            except Wrong as wrong:
                said.error(wrong.code, str(wrong))
            except json.JSONDecodeError as error:
                said.error(10003, str(error))
        except (ConnectionClosed, TimeoutError):
            pass
        finally:
            socket.close()
            with self.lock:
                self.open -= 1
                socket.entry["closed"] = True
                socket.entry["close_code"] = socket.protocol.close_code


class Said:
    """Writes the frames of an answer."""

    def __init__(self, socket):
        self.socket = socket
        self.sid = f"cht000{uuid.uuid4().hex[:6]}@dx1"
        self.seq = 0

    def frame(self, status, item, usage=None):
        value = {"header": {"code": 0, "message": "Success", "sid": self.sid, "status": status},
                 "payload": {"choices": {"status": status, "seq": self.seq,
                                         "text": [{"content": "", "role": "assistant", "index": 0} | item]}}}
        if usage:
            prompt, completion = usage
            value["payload"]["usage"] = {"text": {
                "question_tokens": 4, "prompt_tokens": prompt, "completion_tokens": completion,
                "total_tokens": prompt + completion}}
        self.seq += 1
        # In fragments that split characters, as the standard allows.
        data = json.dumps(value, ensure_ascii=False).encode()
        self.socket.send((data[start:start + 41] for start in range(0, len(data), 41)), text=True)

    def text(self, text, thoughts=""):
        items = [{"reasoning_content": piece} for piece in pieces(thoughts)]
        items += [{"content": piece} for piece in pieces(text)]
        for place, item in enumerate(items):
            last = place == len(items) - 1
            self.frame(2 if last else min(place, 1), item, (21, 13) if last else None)

    def error(self, code, message=None):
        self.socket.send(json.dumps({"header": {
            "code": code, "message": message or CODES[code], "sid": self.sid, "status": 2}}))


def perform(said, header, chat, turns, functions):
    """Answers by the `#word` of the last turn."""
    last = turns[-1]["content"]
    found = re.search(r"#([a-z_0-9]+)", last)
    word = found[1] if found else "plain"
    if word in ("code_10013", "code_10907", "code_11200", "code_11202", "code_10012"):
        said.error(int(word.removeprefix("code_")))
    elif word == "filtered":
        said.frame(0, {"content": "Something "})
        said.frame(1, {"content": "odd"})
        said.error(10014)
    elif word in ("cut", "cut_at_once"):
        if word == "cut":
            said.frame(0, {"content": "Half an answer"})
        # Without status 2 and without a closing frame.
        said.socket.socket.shutdown(2)
    elif word == "error_inside":
        said.frame(0, {"content": "Half an answer"})
        said.error(10012)
    elif word == "endless":
        while True:
            said.frame(1, {"content": "fish "})
            time.sleep(0.01)
    elif word == "silent":
        said.socket.recv()
    elif word == "ping":
        said.socket.ping().wait(10)
        said.frame(0, {"content": "pinged "})
        said.socket.ping().wait(10)
        said.text("twice")
    elif word == "single":
        said.frame(2, {"content": "One frame."}, (3, 2))
    elif word == "search":
        said.socket.send(json.dumps({
            "header": {"code": 0, "message": "Success", "sid": said.sid, "status": 0},
            "payload": {"plugins": {"text": [{"name": "ifly_search", "content": "[]", "role": "tool"}]}}}))
        said.text("Found it.")
    elif word == "tools" and functions:
        said.frame(2, {"content_type": "text", "function_call": {
            "name": functions[0]["name"], "arguments": '{"city": "Paris"}'}}, (30, 9))
    elif word == "echo_turns":
        said.text(json.dumps([[turn["role"], turn["content"]] for turn in turns], ensure_ascii=False))
    elif word == "echo_id":
        said.text(f"{last} {header.get('uid', '')}")
    elif word == "garbage":
        said.socket.send("<html>not a frame</html>")
    else:
        said.text(TEXT, THOUGHT if chat["domain"] == "x1" else "")


class Handler(BaseHTTPRequestHandler):
    """The HTTP API: no space after `data:`, no finish reason, codes with status 200."""
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)))
        spark = self.server.spark
        with spark.lock:
            spark.seen.append({"path": self.path, "headers": dict(self.headers.items()), "body": body})
        wanted = "/v2/chat/completions" if body.get("model") == "x1" else "/v1/chat/completions"
        if self.path != wanted:
            return self.whole(404, {"message": "no route"})
        if self.headers.get("authorization", "").removeprefix("Bearer ") not in spark.passwords:
            return self.whole(401, {"error": {"message": "invalid user", "type": "api_error", "param": None,
                                              "code": None}})
        sid = "cha000b0003@dx1"
        words = " ".join(message["content"] for message in body["messages"] if isinstance(message["content"], str))
        found = re.search(r"#code_(\d+)", words)
        if found:
            return self.whole(200, {"code": int(found[1]), "message": CODES[int(found[1])], "sid": sid})
        usage = {"prompt_tokens": 21, "completion_tokens": 13, "total_tokens": 34}
        head = {"code": 0, "message": "Success", "sid": sid}
        message = {"role": "assistant", "content": TEXT}
        if "#tools" in words and body.get("tools"):
            call = {"type": "function", "id": "call_1",
                    "function": {"name": body["tools"][0]["function"]["name"], "arguments": '{"city": "Paris"}'}}
            message = {"role": "assistant", "content": "",
                       "tool_calls": [call] if body.get("tool_calls_switch") else call}
        if not body.get("stream"):
            return self.whole(200, head | {"choices": [{"message": message, "index": 0}], "usage": usage})
        head |= {"id": sid, "created": 1719546385}
        frames = [head | {"choices": [{"delta": message, "index": 0}]},
                  head | {"choices": [{"delta": {"role": "assistant", "content": ""}, "index": 0}], "usage": usage}]
        data = "".join(f"data:{json.dumps(frame, ensure_ascii=False)}\n\n" for frame in frames) + "data:[DONE]\n\n"
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(data.encode())))
        self.end_headers()
        self.wfile.write(data.encode())

    def whole(self, status, value):
        data = json.dumps(value, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
