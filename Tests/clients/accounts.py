# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""What the suites over account-backed services have in common."""

import contextlib
import json

import anthropic
from conftest import KEY
from google import genai
from google.genai import types

TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
PIXEL = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}


def configuration(provider, model, **more):
    """One provider, whose every model is asked for by any name."""
    return {"keys": [{"name": "tests", "key": KEY}], "defaults": {"retry": {"attempts": 1}},
            "providers": {"up": provider}, "models": {model: f"up/{model}"}, "log": {"level": "trace"}} | more


def ask(server, text, model="up/m", stream=False, **more):
    """One question by the official client: the text, and what else the answer says."""
    messages = more.pop("messages", [{"role": "user", "content": text}])
    return said(server.client(), messages, model, stream, more)


def said(client, messages, model, stream, more):
    if not stream:
        done = client.chat.completions.create(model=model, messages=messages, **more)
        return done.choices[0].message.content, done.choices[0].finish_reason, done.usage
    parts = list(client.chat.completions.create(
        model=model, messages=messages, stream=True, stream_options={"include_usage": True}, **more))
    chosen = [part.choices[0] for part in parts if part.choices]
    return ("".join(choice.delta.content or "" for choice in chosen),
            next(choice.finish_reason for choice in reversed(chosen) if choice.finish_reason), parts[-1].usage)


def by_anthropic(server, text, model="up/m", stream=False):
    """The same by Anthropic's client."""
    client = anthropic.Anthropic(base_url=server.origin, api_key=server.key, max_retries=0, timeout=20)
    arguments = {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": text}]}
    if not stream:
        done = client.messages.create(**arguments)
        return done.content[0].text, done.stop_reason, done.usage
    with client.messages.stream(**arguments) as events:
        whole = "".join(events.text_stream)
        done = events.get_final_message()
    return whole, done.stop_reason, done.usage


def by_gemini(server, text, model="up/m", stream=False):
    """The same by Google's client."""
    client = genai.Client(api_key=server.key, http_options=types.HttpOptions(base_url=server.origin, timeout=20_000))
    if not stream:
        done = client.models.generate_content(model=model, contents=text)
        return done.text, done.candidates[0].finish_reason, done.usage_metadata
    parts = list(client.models.generate_content_stream(model=model, contents=text))
    return ("".join(part.text or "" for part in parts), parts[-1].candidates[0].finish_reason, parts[-1].usage_metadata)


def every_client(server, text, expected, model):
    """The three official clients, whole and streamed, are told the text and how many tokens it may have been."""
    for stream in (False, True):
        words, reason, usage = ask(server, text, model, stream)
        assert words == expected and reason == "stop", stream
        assert usage.prompt_tokens > 0 and usage.completion_tokens > 0
        words, reason, usage = by_anthropic(server, text, model, stream)
        assert words == expected and reason == "end_turn" and usage.output_tokens > 0, stream
        words, reason, usage = by_gemini(server, text, model, stream)
        assert words == expected and reason == "STOP" and usage.candidates_token_count > 0, stream


def raw(server, text, model, stream=False, path="/v1/chat/completions", **more):
    """Status, headers and body without a client library."""
    value = {"model": model, "stream": stream, "messages": [{"role": "user", "content": text}]} | more
    return server.request("POST", path, value)


def marked(server, text, model):
    """Whether answers say that their tokens are an estimate, whole and streamed."""
    return [raw(server, text, model, stream)[1].get("x-parley-estimated") for stream in (False, True)] == ["true"] * 2


def refusal(server, text, model, stream=False, **more):
    """The status, the error and the headers of what must be refused."""
    status, headers, body = raw(server, text, model, stream, **more)
    assert status >= 400, body
    return status, json.loads(body)["error"], headers


def leave(server, text, model):
    """A client that reads a little of a stream and goes away."""
    from conftest import Raw, chat_request
    client = Raw(server.port)
    with contextlib.closing(client):
        client.send(chat_request({"model": model, "stream": True, "messages": [{"role": "user", "content": text}]}))
        client.until(b"fish")


def nothing_leaked(server, *secrets):
    """No secret is in what the server wrote, nor in a file beside it but the store."""
    log = server.log_text()
    assert "POST" in log or "chat" in log
    for secret in secrets:
        assert secret not in log, secret
