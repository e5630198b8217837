# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""OpenAI's Chat Completions."""

import json

from .scenario import Refused, View, pieces, shown

STREAM_TYPE = "text/event-stream"
FINISH = {"stop": "stop", "length": "length", "tools": "tool_calls", "filter": "content_filter"}
KNOWN = {
    "model", "messages", "tools", "tool_choice", "parallel_tool_calls", "response_format", "max_tokens",
    "max_completion_tokens", "temperature", "top_p", "frequency_penalty", "presence_penalty", "stop", "n", "logprobs",
    "top_logprobs", "seed", "reasoning_effort", "user", "stream", "stream_options", "metadata", "store", "service_tier",
    "logit_bias", "modalities", "verbosity", "prompt_cache_key", "safety_identifier",
}

LEGACY = {"model", "prompt", "suffix", "max_tokens", "temperature", "top_p", "n", "stream", "stream_options", "logprobs",
          "echo", "stop", "presence_penalty", "frequency_penalty", "best_of", "logit_bias", "user", "seed"}


def other(method, path, headers, value):
    if method == "GET" and path.endswith("/models"):
        return {"object": "list", "data": [{"id": "gpt-4o-mini", "object": "model", "created": 1, "owned_by": "fake"}]}
    return None


def read(path, headers, body):
    if not headers.get("authorization", "").startswith("Bearer "):
        raise Refused("no key", 401, "auth")
    if path.endswith("/completions") and not path.endswith("/chat/completions"):
        return prompt(body)
    unknown = set(body) - KNOWN
    if unknown:
        raise Refused(f"Unrecognized request argument supplied: {sorted(unknown)[0]}")
    view = View(model=body["model"], stream=body.get("stream", False), temperature=body.get("temperature"))
    view.max_tokens = body.get("max_completion_tokens") or body.get("max_tokens")
    stop = body.get("stop") or []
    view.stop = [stop] if isinstance(stop, str) else stop
    view.reasoning = body.get("reasoning_effort")
    view.schema = (body.get("response_format") or {}).get("json_schema", {}).get("schema")
    view.tools = [tool["function"]["name"] for tool in body.get("tools", [])]
    view.tool_choice = body.get("tool_choice")
    pending = set()
    for message in body["messages"]:
        role = message["role"]
        if pending and role != "tool":
            raise Refused("An assistant message with 'tool_calls' must be followed by tool messages.")
        parts = message.get("content")
        parts = [{"type": "text", "text": parts}] if isinstance(parts, str) else parts or []
        text = "".join(part.get("text", "") for part in parts if part["type"] == "text")
        if role in ("system", "developer"):
            view.system += text
        elif role == "user":
            view.texts.append(text)
        elif role == "assistant":
            for call in message.get("tool_calls") or []:
                json.loads(call["function"]["arguments"])
                view.calls.append((call["id"], call["function"]["name"], call["function"]["arguments"]))
                pending.add(call["id"])
        elif role == "tool":
            if message["tool_call_id"] not in pending:
                raise Refused("a tool message without its call")
            pending.discard(message["tool_call_id"])
            view.results.append((message["tool_call_id"], text))
        else:
            raise Refused(f"Invalid value: '{role}'")
        for part in parts:
            if part["type"] == "image_url":
                url = part["image_url"]["url"]
                view.images.append(shown(url))
            elif part["type"] == "file":
                view.documents.append(part["file"].get("filename") or "file")
                shown(part["file"].get("file_data") or "url:")
            elif part["type"] not in ("text", "refusal", "input_audio"):
                raise Refused(f"Invalid content type '{part['type']}'")
    return view


def prompt(body):
    """A legacy completion."""
    unknown = set(body) - LEGACY
    if unknown:
        raise Refused(f"Unrecognized request argument supplied: {sorted(unknown)[0]}")
    view = View(model=body["model"], stream=body.get("stream", False), max_tokens=body.get("max_tokens"))
    view.texts.append(body["prompt"])
    view.completes, view.echo = True, body.get("echo", False)
    return view


def usage(made):
    return {"prompt_tokens": made.input, "completion_tokens": made.output, "total_tokens": made.input + made.output,
            "prompt_tokens_details": {"cached_tokens": made.cached},
            "completion_tokens_details": {"reasoning_tokens": made.thought}}


def completion(view, made, text, finish=None, **more):
    return {"id": "cmpl-fake", "object": "text_completion", "created": 1700000000, "model": view.model,
            "choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": finish}]} | more


def whole(view, made):
    if view.completes:
        text = (view.texts[0] if view.echo else "") + made.text
        return completion(view, made, text, FINISH[made.finish], usage=usage(made))
    message = {"role": "assistant", "content": made.text or None, "refusal": None}
    if made.reasoning:
        message["reasoning_content"] = made.reasoning
    if made.calls:
        message["tool_calls"] = [
            {"id": call, "type": "function", "function": {"name": name, "arguments": arguments}}
            for call, name, arguments in made.calls]
    return {"id": "chatcmpl-fake", "object": "chat.completion", "created": 1700000000, "model": view.model,
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": FINISH[made.finish]}],
            "usage": usage(made)}


def stream(view, made):
    def chunk(delta, finish=None, **more):
        value = {"id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 1700000000, "model": view.model,
                 "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]} | more
        return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"

    if view.completes:
        for piece in pieces((view.texts[0] if view.echo else "") + made.text):
            yield b"data: " + json.dumps(completion(view, made, piece)).encode() + b"\n\n"
        yield b"data: " + json.dumps(completion(view, made, "", FINISH[made.finish])).encode() + b"\n\n"
        last = completion(view, made, "", choices=[], usage=usage(made))
        yield b"data: " + json.dumps(last).encode() + b"\n\n"
        yield b"data: [DONE]\n\n"
        return
    yield chunk({"role": "assistant", "content": ""})
    for piece in pieces(made.reasoning):
        yield chunk({"reasoning_content": piece})
    for piece in pieces(made.text):
        yield chunk({"content": piece})
    if made.cut_after_text:
        return
    if made.error_after_text:
        yield b'data: {"error": {"message": "The server had an error.", "type": "server_error", "code": null}}\n\n'
        return
    for index, (call, name, arguments) in enumerate(made.calls):
        yield chunk({"tool_calls": [{"index": index, "id": call, "type": "function",
                                     "function": {"name": name, "arguments": ""}}]})
        for piece in pieces(arguments):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield chunk({}, FINISH[made.finish])
    yield chunk(None, choices=[], usage=usage(made))
    yield b"data: [DONE]\n\n"


def failure(refusal):
    types = {"rate_limit": ("rate_limit_exceeded", "requests"), "context": ("context_length_exceeded", "invalid_request_error"),
             "not_found": ("model_not_found", "invalid_request_error"), "auth": ("invalid_api_key", "invalid_request_error")}
    code, kind = types.get(refusal.kind, (None, "invalid_request_error"))
    status = 503 if refusal.kind == "overloaded" else refusal.status
    return status, {"error": {"message": str(refusal), "type": kind, "param": None, "code": code}}, refusal.headers
