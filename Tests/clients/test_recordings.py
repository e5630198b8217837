# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""Recorded traffic of OpenAI and the compatible vendors, served by the scripted upstream, through the real binary.

Each recording goes through whole, one byte at a time and in five seeded splits. What comes out is read by the official
library's types and must say the same as the recording, which a small reference decoder below reads on its own.
"""

import json
import os
from pathlib import Path

import pytest
from openai._models import construct_type
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from conftest import KEY, Server, Upstream, chat_request, data_lines

RECORDINGS = os.environ.get("PARLEY_RECORDINGS")
# folder of the recordings -> kind of provider
KINDS = {
    "openai-chat": "openai", "cerebras": "cerebras", "dashscope": "openai-compatible", "deepseek": "deepseek",
    "gemini-openai-compat": "openai-compatible", "gpustack": "gpustack", "groq": "groq", "huggingface": "huggingface",
    "mistral": "mistral", "moonshot": "moonshot", "ollama": "ollama-openai", "openrouter": "openrouter",
    "perplexity": "perplexity", "together": "together", "writer": "writer", "xai": "xai",
    "zai": "zai",
}
SPLITS = [None, 1] + [{"seed": seed, "max": 64} for seed in range(1, 6)]


def cases():
    """(vendor, folder) of every recorded chat completion."""
    found = []
    for vendor in KINDS if RECORDINGS else []:
        for folder in sorted((Path(RECORDINGS) / vendor).glob("*/")):
            request = json.loads((folder / "request.json").read_text())
            kind = json.loads((folder / "case.json").read_text())["body_kind"]
            if (request.get("path") or "").partition("?")[0].endswith("/chat/completions") and kind in ("json", "sse", "text"):
                found.append((vendor, folder))
    return found


def plain(content):
    """The text of a content that may be a list of parts."""
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content if part.get("type", "text") == "text")
    return content or ""


def without_thinking(text):
    """The text without a leading inline thinking block, which may be told apart from the answer."""
    start, end = text.find("<think>"), text.find("</think>")
    return text[end + 8:] if 0 <= start < end or end >= 0 and start < 0 else text


FINISHES = (None, "stop", "length", "tool_calls", "content_filter", "function_call")


def readable(value, shape):
    """Asserts that the official library, which is lenient about extra values, reads the answer as `shape`."""
    done = construct_type(type_=shape, value=value)
    assert done.object == ("chat.completion.chunk" if shape is ChatCompletionChunk else "chat.completion")
    assert isinstance(done.id, str) and isinstance(done.created, int) and isinstance(done.model, str)
    for choice in done.choices:
        assert choice.finish_reason in FINISHES, choice.finish_reason
        part = choice.delta if shape is ChatCompletionChunk else choice.message
        assert part is not None and (part.content is None or isinstance(part.content, str))
        for call in part.tool_calls or []:
            assert call.function.arguments is None or isinstance(call.function.arguments, str)
            assert shape is ChatCompletion or isinstance(call.index, int)
    if done.usage:
        assert isinstance(done.usage.prompt_tokens, int) and isinstance(done.usage.total_tokens, int)


class Said:
    """What an answer said: text, refusal and tool calls by choice."""

    def __init__(self):
        self.text, self.calls, self.error = {}, {}, False

    def add(self, event, streamed):
        if event.get("error"):
            self.error = True
        for place, choice in enumerate(event.get("choices") or []):
            if choice.get("error"):
                self.error = True
            index = choice.get("index", place)
            part = (choice.get("delta") if streamed else choice.get("message")) or {}
            self.text[index] = self.text.get(index, "") + plain(part.get("content"))
            for position, call in enumerate(part.get("tool_calls") or []):
                held = self.calls.setdefault(index, {})
                number = call.get("index")
                if number is None:
                    known = [at for at, one in held.items() if one[0] == call.get("id")]
                    number = known[0] if known else len(held) if call.get("id") else position
                one = held.setdefault(number, [call.get("id"), "", ""])
                function = call.get("function") or {}
                one[1] += function.get("name") or ""
                arguments = function.get("arguments") or ""
                one[2] += arguments if isinstance(arguments, str) else json.dumps(arguments)

    def comparable(self):
        texts = {index: without_thinking(text).strip() for index, text in self.text.items()}
        calls = {index: [(name, loose(arguments)) for _, (_, name, arguments) in sorted(held.items())]
                 for index, held in self.calls.items() if held}
        return {index: text for index, text in texts.items() if text}, calls


def loose(arguments):
    """Arguments as a value where they are JSON."""
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return arguments


def reference(body, kind):
    said = Said()
    if kind == "sse":
        for data in data_lines(body):
            if data and data != "[DONE]":
                said.add(json.loads(data), True)
    else:
        try:
            value = json.loads(body)
            said.add(value if isinstance(value, dict) else {"error": value}, False)
        except ValueError:
            said.error = True
    return said


@pytest.fixture(scope="module")
def recording_server(tmp_path_factory):
    """One server with a provider per vendor, each with its catalogue row and the scripted upstream's address."""
    upstream = Upstream(tmp_path_factory.mktemp("upstream"))
    providers = {vendor: {"kind": kind, "base_url": upstream.url, "api_key": "x", "discover": False, "models": {"m": "m"}}
                 for vendor, kind in KINDS.items()}
    server = Server(tmp_path_factory.mktemp("recordings"), {
        "providers": providers, "defaults": {"retry": {"attempts": 1}}, "keys": [{"name": "test", "key": KEY}]})
    yield upstream, server
    server.stop()
    upstream.stop()


def test_how_many_recordings_there_are(capfd):
    with capfd.disabled():
        found = cases()
        print(f"\nrecordings: {len(found)} replayed, {len(SPLITS)} ways each" if found
              else "\nrecordings: none (PARLEY_RECORDINGS is not set)")
    assert not RECORDINGS or found


@pytest.mark.parametrize("vendor, folder", cases(), ids=lambda part: part if isinstance(part, str) else part.name)
def test_a_recording_comes_through(recording_server, vendor, folder):
    upstream, server = recording_server
    head = json.loads((folder / "response.headers.json").read_text())
    body = (folder / "response.body").read_bytes()
    kind = json.loads((folder / "case.json").read_text())["body_kind"]
    recorded = json.loads((folder / "request.json").read_text()).get("body")
    request = dict(recorded) if isinstance(recorded, dict) else {}
    request = {"messages": [{"role": "user", "content": "hi"}]} | request | {
        "model": f"{vendor}/m", "stream": kind == "sse" or bool(request.get("stream"))}
    wanted = reference(body, kind)
    failed = head["status"] >= 400 or wanted.error
    headers = {name: value for name, value in head["headers"].items()
               if name not in ("transfer-encoding", "content-length", "connection", "content-encoding", "date")}
    for split in SPLITS:
        upstream.clear()
        upstream.script([{"head": {"status": head["status"], "headers": headers, "framing": "chunked"}}]
                        + ([{"split": split}] if split else []) + [{"write_file": str(folder / "response.body")}])
        with server.raw(30) as raw:
            status, _, text = raw.send(chat_request(request)).answer()
        where = f"{vendor}/{folder.name}, split {split}, status {status}"
        if status >= 400:
            assert failed, f"{where}: {text[:600]}"
            error = json.loads(text)["error"]
            assert error["message"] and "type" in error, where
            continue
        assert status == 200, where
        said = Said()
        if request["stream"]:
            events = data_lines(text)
            for event in events:
                if event != "[DONE]":
                    value = json.loads(event)
                    said.add(value, True)
                    if not value.get("error"):
                        readable(value, ChatCompletionChunk)
            assert (events[-1] == "[DONE]") != said.error, f"{where}: {events[-2:]}"
        else:
            value = json.loads(text)
            said.add(value, False)
            readable(value, ChatCompletion)
        assert said.error == failed, f"{where}: {text[-600:]}"
        assert said.comparable() == wanted.comparable(), where
