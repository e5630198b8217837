# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""Zhipu's API: version 4 (OpenAI's chat with an accent) and version 3 (`invoke`, `sse-invoke`), with their tokens."""

import base64
import hashlib
import hmac
import json
import threading
import time

from . import chat
from .scenario import Refused, View, pieces

STREAM_TYPE = "text/event-stream"
KEYS = {"abc": "s3cret", "def": "0ther"}
V3 = {"prompt", "temperature", "top_p", "request_id", "incremental"}
V4 = {"model", "messages", "tools", "tool_choice", "response_format", "max_tokens", "temperature", "top_p", "stop",
      "stream", "do_sample", "request_id", "user_id", "thinking", "reasoning_effort", "sensitive_word_check", "meta"}
FINISH = chat.FINISH | {"filter": "sensitive"}
CODES = {"rate_limit": "1302", "context": "1261", "not_found": "1211", "overloaded": "1120", "auth": "1002"}


class State:
    """What the service remembers between requests."""

    def __init__(self):
        self.lock = threading.Lock()
        self.reset()

    def reset(self):
        self.tokens = []        # every token seen, in order
        self.refuse_before = 0  # tokens signed before that (in milliseconds) are over

    def expire(self):
        """From now on every token seen so far is over, as with a service whose clock is ahead."""
        with self.lock:
            self.over = set(self.tokens)

    over = frozenset()


state = State()


class Denied(Refused):
    """A refusal with a code of Zhipu's own."""

    def __init__(self, message, code, status, version):
        super().__init__(message, status, "auth")
        self.code, self.version = code, version


def decoded(part):
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def signed_in(headers, version):
    """Checks the key or the token as strictly as it says in the vendor's words."""
    def deny(message, code=1002):
        raise Denied(message, code, 401, version)

    said = headers.get("authorization") or deny("Header中未收到Authorization参数", 1001)
    if version == 4:
        if not said.startswith("Bearer "):
            deny("no bearer")
        said = said[7:]
        name, _, secret = said.partition(".")
        if KEYS.get(name) == secret:
            return
    parts = said.split(".")
    if len(parts) != 3 or " " in said:
        deny("no token: version 3 wants it without a word before it")
    with state.lock:
        state.tokens.append(said)
    head, claims = decoded(parts[0]), decoded(parts[1])
    if head.get("alg") != "HS256" or head.get("sign_type") != "SIGN":
        deny("sign_type must be SIGN")
    secret = KEYS.get(claims.get("api_key")) or deny("no such key")
    code = hmac.new(secret.encode(), f"{parts[0]}.{parts[1]}".encode(), hashlib.sha256).digest()
    if base64.urlsafe_b64encode(code).rstrip(b"=").decode() != parts[2]:
        deny("the signature is wrong")
    now = time.time() * 1000
    for name in ("exp", "timestamp"):
        if not isinstance(claims.get(name), int) or claims[name] < 10 ** 12:
            deny(f"{name} must count milliseconds")
    if claims["exp"] <= now or said in state.over:
        deny("Authorization Token已过期", 1003)
    if claims["timestamp"] > now + 5000:
        deny("a token of the future")


def other(method, path, headers, value):
    version = 3 if "/v3/" in path else 4
    if method == "GET" and path.endswith("/models"):
        signed_in(headers, version)
        return {"object": "list", "data": [{"id": "glm-4.6", "object": "model", "owned_by": "z-ai"}]}
    if path.endswith("/embeddings"):
        signed_in(headers, version)
        inputs = value["input"] if isinstance(value["input"], list) else [value["input"]]
        return {"object": "list", "model": value["model"], "usage": {"prompt_tokens": 3, "total_tokens": 3},
                "data": [{"object": "embedding", "index": n, "embedding": [0.5, n]} for n in range(len(inputs))]}
    return None


def read(path, headers, body):
    return read_v3(path, headers, body) if "/v3/" in path else read_v4(headers, body)


def read_v3(path, headers, body):
    signed_in(headers, 3)

    def bad(message):
        raise Denied(message, 1214, 400, 3)

    if headers.get("content-type", "").lower() != "application/json; charset=utf-8":
        bad("content-type")
    if set(body) - V3:
        bad(f"unknown parameter {sorted(set(body) - V3)[0]}")
    if not 0 < body.get("temperature", 0.9) <= 1 or not 0 < body.get("top_p", 0.7) < 1:
        bad("temperature or top_p out of its interval")
    model, verb = path.split("/")[-2:]
    view = View(model=model, stream=verb == "sse-invoke", temperature=body.get("temperature"))
    view.version, view.incremental = 3, body.get("incremental", True)
    turns = body["prompt"]
    for place, turn in enumerate(turns):
        if turn["role"] not in ("user", "assistant") or set(turn) != {"role", "content"}:
            bad(f"role {turn['role']}")
        start = "You need to follow the system settings:"
        if turn["role"] == "user" and turn["content"].startswith(start):
            if turns[place + 1] != {"role": "assistant", "content": "ok"}:
                bad("no ok behind the system's turn")
            view.system += turn["content"][len(start):]
        elif turn["role"] == "user":
            view.texts.append(turn["content"])
    return view


def read_v4(headers, body):
    signed_in(headers, 4)

    def bad(message, code=1210):
        raise Denied(message, code, 400, 4)

    if set(body) - V4:
        bad(f"unknown parameter {sorted(set(body) - V4)[0]}")
    if not 0 < body.get("temperature", 0.5) < 1 or not 0 < body.get("top_p", 0.5) < 1:
        bad("temperature or top_p out of its interval")
    if len(body.get("stop", [])) > 1 or not isinstance(body.get("stop", []), list):
        bad("stop takes one word in a list")
    if body.get("tool_choice", "auto") != "auto":
        bad("tool_choice knows only auto")
    if body.get("response_format", {}).get("type", "text") not in ("text", "json_object"):
        bad("response_format knows text and json_object")
    if "reasoning_effort" in body and not body["model"].startswith("glm-5"):
        bad("reasoning_effort is for GLM-5")
    for message in body["messages"]:
        if message["role"] not in ("system", "user", "assistant", "tool"):
            bad("角色信息不正确", 1214)
        for part in message["content"] if isinstance(message.get("content"), list) else []:
            url = part.get("image_url", {}).get("url", "")
            if url.startswith("data:"):
                bad("an image goes as bare base64", 1214)
            if url and not url.startswith("http"):
                part["image_url"]["url"] = "data:image/png;base64," + url
    known = {name: value for name, value in body.items() if name in chat.KNOWN}
    view = chat.read("/chat/completions", headers, known)
    view.version, view.do_sample = 4, body.get("do_sample", True)
    view.reasoning = body.get("thinking")
    view.body = body
    return view


def usage(made):
    return chat.usage(made)


def whole(view, made):
    if view.version == 4:
        value = chat.whole(view, made) | {"request_id": "req-fake"}
        value["choices"][0]["finish_reason"] = FINISH[made.finish]
        return value
    text = json.dumps(made.text, ensure_ascii=False) if "#plain quoted" in " ".join(view.texts) else made.text
    return {"code": 200, "msg": "操作成功", "success": True, "data": {
        "request_id": "8098", "task_id": "8098", "task_status": "SUCCESS",
        "choices": [{"role": "assistant", "content": text}],
        "usage": {"prompt_tokens": made.input, "completion_tokens": made.output,
                  "total_tokens": made.input + made.output}}}


def stream(view, made):
    return stream_v3(view, made) if view.version == 3 else stream_v4(view, made)


def event_v3(name, text, meta=None):
    # No space behind the colon, but where the text begins with one.
    lines = "".join(f"data: {line}\n" if line.startswith(" ") else f"data:{line}\n" for line in text.split("\n"))
    return (f"event:{name}\nid:7654321\n{lines}" + (f"meta:{json.dumps(meta)}\n" if meta else "") + "\n").encode()


def stream_v3(view, made):
    said = ""
    for piece in pieces(made.text):
        said += piece
        yield event_v3("add", piece if view.incremental else said)
    if made.cut_after_text:
        return
    if made.error_after_text:
        yield event_v3("error", '{"code":1230,"msg":"the flow broke","success":false}')
        return
    meta = {"request_id": "8098", "task_id": "8098", "task_status": "SUCCESS", "usage": {
        "prompt_tokens": made.input, "completion_tokens": made.output, "total_tokens": made.input + made.output}}
    yield event_v3("interrupted" if made.finish == "filter" else "finish", "", meta)


def stream_v4(view, made):
    def chunk(delta, finish=None, **more):
        choice = {"index": 0, "delta": {"role": "assistant"} | delta}
        if finish:
            choice["finish_reason"] = finish
        value = {"id": "20250101", "object": "chat.completion.chunk", "created": 1700000000, "model": view.model,
                 "request_id": "req-fake", "choices": [choice]} | more
        return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"

    for piece in pieces(made.reasoning):
        yield chunk({"reasoning_content": piece})
    for piece in pieces(made.text):
        yield chunk({"content": piece})
    if made.cut_after_text:
        return
    if made.error_after_text:
        yield 'data: {"error":{"code":"1302","message":"并发数过高"}}\n\n'.encode()
        return
    if made.calls:
        # Calls come whole.
        yield chunk({"tool_calls": [
            {"index": index, "id": call, "type": "function", "function": {"name": name, "arguments": arguments}}
            for index, (call, name, arguments) in enumerate(made.calls)]})
    yield chunk({"content": ""}, FINISH[made.finish], usage=usage(made))
    yield b"data: [DONE]\n\n"


def failure(refusal):
    view = refusal.view
    version = refusal.version if isinstance(refusal, Denied) else view.version if view else 4
    code = str(refusal.code if isinstance(refusal, Denied) else CODES.get(refusal.kind, "1210"))
    if version == 3:
        # With status 200, and the code a number.
        return 200, {"code": int(code), "msg": str(refusal), "success": False}, {}
    status = 500 if refusal.kind == "overloaded" else 400 if refusal.kind == "not_found" else refusal.status
    return status, {"error": {"code": code, "message": str(refusal)}}, refusal.headers
