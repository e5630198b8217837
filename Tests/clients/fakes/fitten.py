# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""Fitten Code: tokens of a sign-in that end and are refreshed, and a prompt made of role tokens."""

import re
import time
import urllib.parse
import uuid

from .account import PAGE, Refusal, Service, line, word

USER, PASSWORD, USER_ID = "ada@example.com", "correct horse battery", "user/42+x"
ROLE = re.compile(r"<\|(system|user|assistant)\|>\n(.*?)\n?<\|end\|>\n", re.S)
TEXT = "Grüße 🐟: def fish():\n    return 1"


class Fitten(Service):
    def clear(self):
        super().clear()
        self.access = self.refresh = None
        self.logins = self.refreshes = 0
        self.refuses_refresh = self.refuses_login = self.refuses_all = False
        self.refresh_takes = 0.0

    def expire(self):
        """The access token is good no more; the refresh token still is."""
        with self.lock:
            self.access = f"gone-{uuid.uuid4()}"

    def route(self, handler, method, path, query, headers, value):
        if (method, path) == ("POST", "/codeuser/auth/login"):
            return self.login(handler, headers, value)
        if (method, path) == ("POST", "/codeuser/auth/refresh_access_token"):
            return self.renew(handler, headers, value)
        if (method, path) == ("POST", "/codeapi/chat_auth"):
            return self.chat(handler, query, headers, value)
        raise Refusal(404, {"detail": "Not Found"})

    def login(self, handler, headers, value):
        self.require(set(value) == {"username", "password"}, f"members {sorted(value)}")
        self.require(headers.get("content-type") == "application/json", "content type")
        self.require("authorization" not in headers, "a token at the sign-in")
        with self.lock:
            self.logins += 1
        if self.refuses_login or (value["username"], value["password"]) != (USER, PASSWORD):
            raise Refusal(401, {"detail": f"wrong password {value['password']} for {value['username']}"})
        with self.lock:
            self.access, self.refresh = f"access-{uuid.uuid4()}", f"refresh-{uuid.uuid4()}"
            tokens = {"access_token": self.access, "refresh_token": self.refresh}
        handler.whole(200, tokens | {"user_info": {"user_id": USER_ID, "username": USER}})

    def renew(self, handler, headers, value):
        self.require(value is None, "a body")
        with self.lock:
            self.refreshes += 1
        time.sleep(self.refresh_takes)
        if self.refuses_refresh or headers.get("authorization") != f"Bearer {self.refresh}":
            raise Refusal(401, {"detail": "refresh token expired"})
        with self.lock:
            self.access = f"access-{uuid.uuid4()}"
        handler.whole(200, {"access_token": self.access})

    def chat(self, handler, query, headers, value):
        self.require(headers.get("content-type") == "application/json", "content type")
        self.require(set(value) == {"inputs", "ft_token"}, f"members {sorted(value)}")
        key = urllib.parse.parse_qs(query, strict_parsing=True).get("apikey")
        self.require(key == [USER_ID] and value["ft_token"] == USER_ID, f"apikey {key}, ft_token {value['ft_token']}")
        if self.refuses_all or headers.get("authorization") != f"Bearer {self.access}":
            raise Refusal(401, {"detail": "token expired"})
        turns = self.turns(value["inputs"])
        self.answer(handler, word(turns[-1][1]), turns)

    def turns(self, inputs):
        """Takes the template apart; nothing may be left over."""
        end = "\n<|assistant|>"
        self.require(inputs.endswith(end), "the prompt's end")
        rest, turns, at = inputs[:-len(end)] + "\n", [], 0
        while at < len(rest):
            found = ROLE.match(rest, at)
            self.require(found, f"the template at {at}: {rest[at:at + 60]!r}")
            self.require(not re.search(r"<\|\w+\|>", found[2]), "a role token within a turn")
            turns.append((found[1], found[2]))
            at = found.end()
        self.require(any(role == "system" for role, _ in turns), "no system turn")
        self.require(any(role == "user" for role, _ in turns), "no user turn")
        return turns

    def answer(self, handler, script, turns):
        kind = "text/event-stream"
        if script == "slow_down":
            raise Refusal(429, {"detail": "Too many requests"}, {"retry-after": "7"})
        if script == "broken":
            raise Refusal(500, {"detail": "boom"})
        if script == "page":
            raise Refusal(403, PAGE)
        if script == "endless":
            return handler.stream((line({"delta": "fish "}) for _ in range(6000)), kind, pause=0.01)
        said = {"plain": TEXT, "turns": repr(turns), "length": str(sum(len(text) for _, text in turns))}
        text = said.get(script, TEXT)
        lines = [line({"delta": text[start:start + 5]}) for start in range(0, len(text), 5)]
        if script == "garbage":
            lines[1:1] = [b"not JSON at all\n", line({"delta": ""}), line({"other": 1}), b"\n"]
        if script == "garbage_first":
            lines[:0] = [b"event: nothing\n"]
        if script == "cut":
            return handler.stream(lines[:2], kind, cut=True)
        handler.stream([*lines, line({"delta": "", "finish_reason": "stop"})], kind, seed=len(text), largest=9)
