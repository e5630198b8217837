# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""Baidu Qianfan: the older API with access tokens, which says its errors with status 200, and version 2."""

import json
import threading
import time
from urllib.parse import parse_qs

from . import chat
from .scenario import Refused, View, pieces

STREAM_TYPE = "text/event-stream"
PAIRS = {"AK": "SK", "AK2": "SK2"}
ENDPOINTS = {"completions_pro", "completions", "eb-instant", "ernie_speed", "ernie-speed-128k", "ernie-own-model"}
KNOWN = {"messages", "system", "temperature", "top_p", "penalty_score", "max_output_tokens", "stop", "user_id",
         "functions", "tool_choice", "response_format", "stream", "disable_search", "enable_citation"}
CODES = {"rate_limit": 336501, "context": 336103, "not_found": 336005, "overloaded": 336100}
V2_CODES = {"rate_limit": "rpm_rate_limit_exceeded", "not_found": "invalid_model", "overloaded": "internal_error",
            "auth": "invalid_iam_token"}
V2_KEY = "bce-v3/ALTAK-fake/0123"


class State:
    """What the service remembers between requests."""

    def __init__(self):
        self.lock = threading.Lock()
        self.reset()

    def reset(self):
        with self.lock:
            self.calls = 0          # requests for tokens
            self.given = getattr(self, "given", 0)
            self.good = set()
            self.over = set()
            self.delay = 0          # seconds that a token takes
            self.lifetime = 2_592_000

    def give(self):
        with self.lock:
            self.calls += 1
            self.given += 1
            token = f"24.token/{self.given}+"
            self.good.add(token)
            return token

    def expire(self):
        """From now on every token given out so far is over."""
        with self.lock:
            self.over |= self.good
            self.good = set()


state = State()


class Coded(Refused):
    """A refusal with a code of Baidu's own, with status 200."""

    def __init__(self, message, code):
        super().__init__(message, 200)
        self.code = code


def other(method, path, headers, value):
    place, _, query = path.partition("?")
    if place == "/oauth/2.0/token":
        return token(method, parse_qs(query))
    if place.startswith("/v2/") and not place.endswith("/chat/completions"):
        bearer(headers)
        if place.endswith("/models"):
            return {"object": "list", "data": [{"id": "ernie-4.0-8k", "object": "model"}]}
        return vectors(value)
    if "/embeddings/" in place:
        allowed(query)
        if set(value) - {"input", "user_id"} or not isinstance(value["input"], list) or len(value["input"]) > 16:
            raise Coded("input must be a list of at most 16", 336003)
        return vectors(value)
    return None


def token(method, query):
    if method != "POST" or query.get("grant_type") != ["client_credentials"]:
        raise Refused("unsupported_grant_type", 400)
    if PAIRS.get(query.get("client_id", [""])[0]) != query.get("client_secret", ["-"])[0]:
        with state.lock:
            state.calls += 1
        refusal = Refused("unknown client id", 401)
        refusal.signs_in = True
        raise refusal
    time.sleep(state.delay)
    return {"access_token": state.give(), "expires_in": state.lifetime, "refresh_token": "25.x", "scope": "public",
            "session_key": "9mz", "session_secret": "b26"}


def allowed(query):
    """Looks at the token, as the gateway in front of the models does."""
    said = parse_qs(query).get("access_token", [""])[0]
    if said in state.over:
        raise Coded("Access token expired", 111)
    if said not in state.good:
        raise Coded("Access token invalid or no longer valid", 110)


def vectors(value):
    inputs = value["input"] if isinstance(value["input"], list) else [value["input"]]
    return {"id": "as-fake", "object": "embedding_list", "created": 1700000000,
            "data": [{"object": "embedding", "index": n, "embedding": [0.5, n]} for n in range(len(inputs))],
            "usage": {"prompt_tokens": 3, "total_tokens": 3}}


def bearer(headers):
    if headers.get("authorization") != f"Bearer {V2_KEY}":
        raise Refused("invalid_iam_token", 401, "auth")


def read(path, headers, body):
    place, _, query = path.partition("?")
    if place.startswith("/v2/"):
        bearer(headers)
        view = chat.read(place, headers, body)
        view.version = 2
        return view
    if "authorization" in headers:
        raise Coded("the token belongs into the address", 336003)
    allowed(query)
    if place.rpartition("/")[2] not in ENDPOINTS:
        raise Coded("the api does not exist", 336005)
    return ernie(place.rpartition("/")[2], body)


def ernie(endpoint, body):
    def bad(message, code=336003):
        raise Coded(message, code)

    if set(body) - KNOWN:
        bad(f"unknown parameter {sorted(set(body) - KNOWN)[0]}")
    if not 0 < body.get("temperature", 0.9) <= 1 or not 0 <= body.get("top_p", 0.8) <= 1:
        bad("temperature or top_p out of its interval")
    if not 1 <= body.get("penalty_score", 1) <= 2 or not 2 <= body.get("max_output_tokens", 2) <= 2048:
        bad("penalty_score or max_output_tokens out of its interval")
    if len(body.get("stop", [])) > 4 or any(len(word) > 20 for word in body.get("stop", [])):
        bad("stop")
    if body.get("response_format", "text") not in ("text", "json_object"):
        bad("response_format is text")
    view = View(model=endpoint, stream=body.get("stream", False), system=body.get("system", ""),
                temperature=body.get("temperature"), max_tokens=body.get("max_output_tokens"),
                stop=body.get("stop", []), tool_choice=body.get("tool_choice"))
    view.version, view.body = 1, body
    view.tools = [function["name"] for function in body.get("functions", []) if function["parameters"]]
    messages = body["messages"]
    if len(messages) % 2 == 0:
        bad("the length of messages must be an odd number", 336006)
    for place, message in enumerate(messages):
        role = message["role"]
        if role not in (("assistant",) if place % 2 else ("user", "function")):
            bad(f"the role of message {place} must not be {role}", 336006)
        if role == "user":
            view.texts.append(message["content"])
        elif role == "assistant" and "function_call" in message:
            call = message["function_call"]
            json.loads(call["arguments"])
            view.calls.append((str(len(view.calls)), call["name"], call["arguments"]))
            view.signatures.append(call.get("thoughts", ""))
        elif role == "function":
            if not view.calls or view.calls[-1][1] != message["name"]:
                bad("a function's turn without its call")
            view.results.append((view.calls[-1][0], message["content"]))
    return view


def frame(view, made, result, **more):
    call = None
    if made.calls and not result:
        _, name, arguments = made.calls[0]
        call = {"name": name, "thoughts": "I need the weather.", "arguments": arguments}
    finish = {"length": "length", "filter": "content_filter"}.get(made.finish, "normal")
    return {"id": "as-fake", "object": "chat.completion", "created": 1700000000, "result": result,
            "is_truncated": False, "need_clear_history": made.finish == "filter",
            "finish_reason": "function_call" if call else finish,
            "usage": {"prompt_tokens": made.input, "completion_tokens": made.output,
                      "total_tokens": made.input + made.output}} | ({"function_call": call} if call else {}) | more


def whole(view, made):
    return chat.whole(view, made) if view.version == 2 else frame(view, made, made.text)


def stream(view, made):
    if view.version == 2:
        yield from chat.stream(view, made)
        return

    def event(value):
        return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"

    nothing = {"prompt_tokens": made.input, "completion_tokens": 0, "total_tokens": made.input}
    for number, piece in enumerate(pieces(made.text)):
        yield event(frame(view, made, piece, sentence_id=number, is_end=False, usage=nothing))
    if made.cut_after_text:
        return
    if made.error_after_text:
        yield event({"error_code": 336100, "error_msg": "server high load", "id": "as-fake"})
        return
    yield event(frame(view, made, "", sentence_id=99, is_end=True))


def failure(refusal):
    if getattr(refusal, "signs_in", False):
        return 401, {"error": "invalid_client", "error_description": str(refusal)}, {}
    view = refusal.view
    if isinstance(refusal, Coded) or (view and view.version == 1):
        code = refusal.code if isinstance(refusal, Coded) else CODES.get(refusal.kind, 336003)
        return 200, {"error_code": code, "error_msg": str(refusal), "id": "as-fake"}, {}
    if refusal.kind == "context":
        return chat.failure(refusal)
    code = V2_CODES.get(refusal.kind, "invalid_argument")
    status = 500 if refusal.kind == "overloaded" else 400 if refusal.kind == "not_found" else refusal.status
    error = {"code": code, "message": str(refusal), "type": "invalid_request_error"}
    return status, {"error": error, "id": "as-fake"}, refusal.headers
