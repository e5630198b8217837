# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""FlowGPT: two requests per answer, signed with MD5, answered in lines of JSON."""

import hashlib
import re
import time
import uuid

from .account import PAGE, Refusal, Service, line, word

TOKEN, DEVICE = "eyJhbGciOiJIUzI1NiJ9.flowgpt-test-token.c2lnbmF0dXJl", "device-of-the-test-1"
PROMPTS = {"prompt-one", "prompt-two"}
CHAT = {"model", "nsfw", "question", "temperature", "userId", "promptId", "conversationId", "documentIds", "generateImage",
        "generateAudio"}
SHORT = "Grüße 🐟, short."
LONG = "A long answer without any preamble, dear 🐟. " * 9
PREAMBLE = "**Thinking about it:** the user wants a fish.\n\n**Response:**"


class FlowGPT(Service):
    def clear(self):
        super().clear()
        self.tokens = {TOKEN}
        self.conversations = {}
        self.nonces = set()

    def route(self, handler, method, path, query, headers, value):
        self.check(headers)
        if (method, path) == ("POST", "/conversation/create"):
            return self.create(handler, value)
        if (method, path) == ("POST", "/v3/chat"):
            return self.chat(handler, headers, value)
        raise Refusal(404, {"message": "Not Found"})

    def check(self, headers):
        expected = {"accept": "*/*", "content-type": "application/json", "origin": "https://flowgpt.com",
                    "referer": "https://flowgpt.com/", "x-flow-device-id": DEVICE, "x-flow-language": "en",
                    "accept-language": "zh-CN,zh;q=0.9,en;q=0.8"}
        for name, text in expected.items():
            self.require(headers.get(name) == text, f"{name} is {headers.get(name)}")
        scheme, _, token = headers.get("authorization", "").partition(" ")
        self.require(scheme == "Bearer", "no bearer token")
        if token not in self.tokens:
            # Some gateways repeat what they refuse.
            raise Refusal(401, {"message": f"jwt expired: {token}"})

    def create(self, handler, value):
        self.require(set(value) == {"promptId", "location", "messages"}, f"members {sorted(value)}")
        self.require(value["location"] == "CHAT_PAGE", "location")
        self.require(value["promptId"] in PROMPTS, f"no prompt {value['promptId']}", 404)
        for message in value["messages"]:
            self.require(message["role"] in ("system", "user", "assistant"), f"role {message['role']}")
            self.require(isinstance(message["content"], str), "content")
        script = word(value["messages"][-1]["content"])
        if script == "refused_create":
            raise Refusal(401, {"message": "Unauthorized"})
        if script == "page_on_create":
            raise Refusal(403, PAGE)
        if script == "no_id":
            return handler.whole(200, {"ok": True})
        made = str(uuid.uuid4())
        with self.lock:
            self.conversations[made] = value
        handler.whole(201, {"id": made, "title": "New chat"})

    def chat(self, handler, headers, value):
        self.signed(headers)
        self.require(set(value) == CHAT, f"members {sorted(set(value) ^ CHAT)}")
        self.require(isinstance(value["temperature"], (int, float)), "temperature")
        fixed = {"model": "FlowGPT-Ares", "nsfw": False, "userId": "", "documentIds": [], "generateImage": False,
                 "generateAudio": False}
        self.require(all(value[name] == one for name, one in fixed.items()), f"fixed members {value}")
        with self.lock:
            # One conversation for one question: it is used up.
            created = self.conversations.pop(value["conversationId"], None)
        self.require(created is not None, "the conversation was not created", 404)
        self.require(created["promptId"] == value["promptId"], "another prompt than the conversation's")
        self.require(created["messages"][-1]["content"] == value["question"], "not the last message")
        self.answer(handler, word(value["question"]), value["question"])

    def signed(self, headers):
        stamp, nonce = headers.get("x-timestamp", ""), headers.get("x-nonce", "")
        self.require(re.fullmatch(r"\d+", stamp) and abs(time.time() - int(stamp)) < 180, "timestamp", 403)
        self.require(re.fullmatch(r"[0-9a-f]{32}", nonce), "nonce", 403)
        with self.lock:
            is_new = nonce not in self.nonces
            self.nonces.add(nonce)
        self.require(is_new, "the nonce was used before", 403)
        expected = hashlib.md5((stamp + nonce + DEVICE).encode()).hexdigest()
        self.require(headers.get("x-signature") == expected, "signature", 403)

    def answer(self, handler, script, question):
        kind = "application/x-ndjson"
        if script == "broken":
            raise Refusal(500, {"message": "Internal server error"})
        if script == "slow_down":
            raise Refusal(429, {"message": "Too many requests"}, {"retry-after": "7"})
        if script == "page":
            return handler.whole(200, PAGE)
        if script == "endless":
            return handler.stream((line({"data": "fish "}) for _ in range(6000)), kind, pause=0.01)
        if script == "mix":
            # Every piece says whose it is.
            mine = re.search(r"no (\d+)\.", question)[1]
            pieces = ["Pre", "amble. Resp", "onse:**", " "] + [f"<{mine}:{count}>" for count in range(40)]
            return handler.stream([line({"data": piece}) for piece in pieces], kind, seed=int(mine), pause=0.002)
        pieces = {
            "plain": [SHORT[:4], SHORT[4:]],
            "long": [LONG[start:start + 13] for start in range(0, len(LONG), 13)],
            "prefixed": [PREAMBLE[:50], PREAMBLE[50:-3], PREAMBLE[-3:], " \n", "\n ", " Hello", " 🐟", " Response:** again."],
            "garbage": ["Half ", None, "and half."],
            "garbage_first": [None, "All there."],
            "cut": ["Half a"],
        }.get(script, [f"You said: {question}"])
        lines = [b"}{ no JSON at all\n\n" if piece is None else line({"data": piece}) for piece in pieces]
        handler.stream([*lines[:1], b"\r\n", line({"event": "ping"}), *lines[1:]] if script != "garbage_first" else lines,
                       kind, cut=script == "cut", seed=len(question))
