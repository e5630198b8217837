# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""Claude's web site: a cookie, an organisation, conversations, and both ways of streaming."""

import json
import re
import time
import uuid

from .account import PAGE, Refusal, Service, word

COOKIE = "sessionKey=sk-ant-sid01-test-cookie-0123456789; lastActiveOrg=x"
ORGANIZATION = "0f4c6a5e-0000-4000-8000-00000000000a"
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
TEXT = "Grüße 🐟, from the web."
COMPLETION = {"prompt", "timezone", "attachments", "files", "rendering_mode"}


class ClaudeWeb(Service):
    def clear(self):
        super().clear()
        self.cookies = {COOKIE}
        self.conversations = {}      # id -> prompts
        self.deleted = []
        self.created = 0
        self.has_completion = True   # else only the way of 2023
        self.deletion_takes = 0.0

    def route(self, handler, method, path, query, headers, value):
        self.check(method, headers)
        if (method, path) == ("GET", "/api/organizations"):
            return handler.whole(200, [{"uuid": ORGANIZATION, "name": "mine"}, {"uuid": "another", "name": "other"}])
        place = f"/api/organizations/{ORGANIZATION}/chat_conversations"
        if (method, path) == ("POST", place):
            return self.create(handler, value)
        one = re.fullmatch(re.escape(place) + r"/([^/]+)(/completion)?", path)
        if method == "DELETE" and one and not one[2]:
            return self.delete(handler, one[1], value)
        if method == "POST" and one and one[2] and self.has_completion:
            self.require(COMPLETION <= set(value) <= COMPLETION | {"model"}, f"members {sorted(value)}")
            self.require(value["rendering_mode"] == "messages", "rendering mode")
            return self.ask(handler, headers, one[1], value["prompt"], self.messages)
        if (method, path) == ("POST", "/api/append_message"):
            return self.append(handler, headers, value)
        raise Refusal(404, {"type": "error", "error": {"type": "not_found_error", "message": "Not found"}})

    def check(self, method, headers):
        if headers.get("cookie") not in self.cookies:
            raise Refusal(403, {"type": "error", "error": {
                "type": "permission_error", "message": f"Invalid authorization: {headers.get('cookie')}",
                "details": {"error_code": "account_session_invalid"}}})
        self.require(headers.get("referer") == "https://claude.ai/chats", f"referer {headers.get('referer')}")
        if method == "POST":
            self.require(headers.get("origin") == "https://claude.ai", f"origin {headers.get('origin')}")
            self.require(headers.get("content-type") == "application/json", "content type")

    def create(self, handler, value):
        self.require(set(value) == {"uuid", "name"} and value["name"] == "", f"members {value}")
        self.require(re.fullmatch(UUID, value["uuid"]), f"uuid {value['uuid']}")
        with self.lock:
            self.require_new(value["uuid"])
            self.conversations[value["uuid"]] = []
            self.created += 1
        handler.whole(201, {"uuid": value["uuid"], "name": "", "summary": "", "created_at": "2026-11-21T00:00:00Z"})

    def require_new(self, made):
        if made in self.conversations:
            raise Refusal(409, {"type": "error", "error": {"type": "invalid_request_error", "message": "exists"}})

    def delete(self, handler, conversation, value):
        self.require(value == conversation, f"the body {value} is not the id")
        time.sleep(self.deletion_takes)
        with self.lock:
            self.conversations.pop(conversation, None)
            self.deleted.append(conversation)
        handler.whole(204, None)

    def append(self, handler, headers, value):
        self.require(set(value) == {"completion", "organization_uuid", "conversation_uuid", "text", "attachments"},
                     f"members {sorted(value)}")
        self.require(set(value["completion"]) == {"prompt", "timezone", "model"}, "completion")
        self.require(value["completion"]["prompt"] == value["text"], "the prompt must be there twice")
        self.require(value["organization_uuid"] == ORGANIZATION, "organisation")
        self.ask(handler, headers, value["conversation_uuid"], value["text"], self.completions)

    def ask(self, handler, headers, conversation, prompt, spell):
        self.require(headers.get("accept") == "text/event-stream, text/event-stream", "accept")
        with self.lock:
            if conversation not in self.conversations:
                raise Refusal(404, {"type": "error", "error": {"type": "not_found_error", "message": "Not found"}})
            self.conversations[conversation].append(prompt)
        script = word(prompt)
        if script == "page":
            raise Refusal(403, PAGE, {"cf-mitigated": "challenge"})
        if script == "limit":
            nested = json.dumps({"type": "exceeded_limit", "resetsAt": int(time.time()) + 90, "remaining": None})
            raise Refusal(429, {"type": "error", "error": {"type": "rate_limit_error", "message": nested}})
        if script == "overloaded":
            raise Refusal(529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
        if script == "old":
            spell = self.completions
        text = f"{conversation}" if script == "where" else f"<<{prompt}>>" if script == "echo" else TEXT
        if script == "endless":
            return handler.stream(spell("fish " * 6000, False), "text/event-stream", pause=0.01)
        is_cut = script == "cut"
        frames = spell(text, is_cut)
        if script == "midway":
            frames = [*spell("Half a", True), b'event: error\ndata: {"type":"error","error":'
                      b'{"type":"overloaded_error","message":"Overloaded"}}\n\n']
        handler.stream(frames, "text/event-stream; charset=utf-8", cut=is_cut, seed=len(prompt))

    def messages(self, text, is_cut):
        def frame(value):
            return f"event: {value['type']}\ndata: {json.dumps(value)}\n\n".encode()
        yield frame({"type": "message_start", "message": {"id": "chatcompl_01", "type": "message", "role": "assistant",
                                                          "model": "claude-sonnet-4-5", "content": []}})
        yield frame({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
        yield b": comment\n\n"
        for start in range(0, len(text), 5):
            yield frame({"type": "content_block_delta", "index": 0,
                         "delta": {"type": "text_delta", "text": text[start:start + 5]}})
        if is_cut:
            return
        yield frame({"type": "content_block_stop", "index": 0})
        yield frame({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}})
        yield frame({"type": "message_limit", "message_limit": {"type": "within_limit"}})
        yield frame({"type": "message_stop"})

    def completions(self, text, is_cut):
        def frame(piece, reason=None):
            return b"event: completion\r\ndata: " + json.dumps({
                "completion": piece, "stop_reason": reason, "model": "claude-2.0", "truncated": False, "stop": reason and
                "\n\nHuman:", "log_id": "x", "exception": None, "messageLimit": {"type": "within_limit"}},
                ensure_ascii=False).encode() + b"\r\n\r\n"
        for start in range(0, len(text), 5):
            yield frame(text[start:start + 5])
        if not is_cut:
            yield frame("", "stop_sequence")
