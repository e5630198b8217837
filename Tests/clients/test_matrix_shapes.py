# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""Raw answers, held strictly against the libraries' own models: no field missing, none of a wrong type."""

import json
import warnings

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from google.genai.types import GenerateContentResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter
from test_matrix import UPSTREAMS, upstream  # noqa: F401 (fixture)

TOOL = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
SCENARIOS = ["plain", "tools", "thinking", "length", "filtered"]


def chat(text, stream):
    return "/v1/chat/completions", {
        "messages": [{"role": "user", "content": text}], "stream": stream, "reasoning_effort": "low",
        "tools": [{"type": "function", "function": {"name": "get_weather", "parameters": TOOL}}]}


def responses(text, stream):
    return "/v1/responses", {
        "input": text, "stream": stream, "store": False, "reasoning": {"effort": "low", "summary": "auto"},
        "tools": [{"type": "function", "name": "get_weather", "parameters": TOOL, "strict": False}]}


def messages(text, stream):
    return "/v1/messages", {
        "messages": [{"role": "user", "content": text}], "max_tokens": 4096, "stream": stream,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "tools": [{"name": "get_weather", "input_schema": TOOL}]}


def gemini(text, stream):
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return "/v1beta/models/{}:" + method, {
        "contents": [{"role": "user", "parts": [{"text": text}]}],
        "generationConfig": {"thinkingConfig": {"includeThoughts": True}},
        "tools": [{"functionDeclarations": [{"name": "get_weather", "parametersJsonSchema": TOOL}]}]}


WHOLE = {chat: ChatCompletion, responses: Response, messages: Message, gemini: GenerateContentResponse}
PIECE = {chat: ChatCompletionChunk, responses: ResponseStreamEvent, messages: RawMessageStreamEvent,
         gemini: GenerateContentResponse}
ADAPTERS = {model: TypeAdapter(model) for model in [*WHOLE.values(), *PIECE.values()]}


def unknown(model, path=""):
    """Fields that the library's models have no name for, where they keep such beside their own."""
    found = [f"{path}.{name}" for name in getattr(model, "model_extra", None) or {}]
    for name in getattr(type(model), "model_fields", {}):
        inner = getattr(model, name)
        for one in inner if isinstance(inner, list) else [inner]:
            if hasattr(type(one), "model_fields"):
                found += unknown(one, f"{path}.{name}")
    return found


# What OpenAI's library has no name for, and its service sends or other vendors' clients look for.
KNOWN_EXTRAS = {
    ".choices.message.reasoning_content", ".choices.message.reasoning_details", ".choices.delta.reasoning_content",
    ".choices.delta.reasoning_details", ".choices.message.tool_calls.extra_content",
    ".choices.delta.tool_calls.extra_content", ".store", ".response.store",
    ".name",  # of `function_call_arguments.done`: some versions of the library demand it
}


def held(model, text):
    """Reads one JSON text with a library's model, strictly, and writes it again without a warning."""
    made = ADAPTERS[model].validate_json(text, strict=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made.model_dump_json(exclude_none=True)
    assert not set(unknown(made)) - KNOWN_EXTRAS
    return made


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("dialect", [chat, responses, messages, gemini], ids=lambda one: one.__name__)
def test_a_whole_answer_is_what_the_library_declares(matrix, dialect, upstream, scenario):
    path, body = dialect(f"#{scenario}", False)
    model = UPSTREAMS[upstream]
    if dialect is not gemini:
        body["model"] = model
    status, _, text = matrix.request("POST", path.format(model), body)
    assert status == 200, text
    held(WHOLE[dialect], text)


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("dialect", [chat, responses, messages, gemini], ids=lambda one: one.__name__)
def test_every_event_of_a_stream_is_what_the_library_declares(matrix, dialect, upstream, scenario):
    path, body = dialect(f"#{scenario}", True)
    model = UPSTREAMS[upstream]
    if dialect is not gemini:
        body["model"] = model
    status, headers, text = matrix.request("POST", path.format(model), body)
    assert status == 200 and headers["content-type"].startswith("text/event-stream"), text
    frames = [frame for frame in text.decode().replace("\r\n", "\n").split("\n\n") if frame]
    for frame in frames:
        lines = dict(line.split(": ", 1) for line in frame.split("\n"))
        if lines["data"] == "[DONE]":
            assert dialect is chat and frame is frames[-1]
            continue
        if lines.get("event") == "ping":
            continue
        made = held(PIECE[dialect], lines["data"])
        assert "event" not in lines or lines["event"] == made.type == json.loads(lines["data"])["type"]
