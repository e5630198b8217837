# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""Alibaba DashScope: its own API for text and for what sees, and the compatible mode."""

import json

from . import chat, responses
from .scenario import Refused, View, pieces, shown

STREAM_TYPE = "text/event-stream"
KEY = "sk-dashscope-fake"
PARAMETERS = {
    "result_format", "incremental_output", "temperature", "top_p", "top_k", "max_tokens", "seed", "stop",
    "presence_penalty", "n", "tools", "tool_choice", "response_format", "logprobs", "top_logprobs", "enable_search",
    "enable_thinking", "thinking_budget", "repetition_penalty", "parallel_tool_calls",
}
COMPATIBLE = {"enable_thinking", "thinking_budget", "enable_search", "top_k", "repetition_penalty"}
STREAM_ONLY = ("qwq", "qvq", "qwen3-8b")
CODES = {"rate_limit": (429, "Throttling.RateQuota"), "not_found": (404, "ModelNotFound"),
         "overloaded": (503, "ModelUnavailable"), "auth": (401, "InvalidApiKey"), "context": (400, "InvalidParameter")}


def signed_in(headers):
    if headers.get("authorization") != f"Bearer {KEY}":
        raise Refused("Invalid API-key provided.", 401, "auth")


def other(method, path, headers, value):
    if method == "GET":
        signed_in(headers)
        return {"object": "list", "data": [{"id": "qwen-plus", "object": "model"}]}
    if path.endswith("/text-embedding/text-embedding"):
        signed_in(headers)
        texts = value["input"]["texts"]
        if set(value) - {"model", "input", "parameters"} or len(texts) > 10:
            raise Refused("batch size is invalid, it should not be larger than 10.")
        return {"output": {"embeddings": [
            {"text_index": n, "embedding": [0.5, n]} for n in range(len(texts))]},
            "usage": {"total_tokens": 3}, "request_id": "r-fake"}
    if path.endswith("/embeddings"):
        signed_in(headers)
        inputs = value["input"] if isinstance(value["input"], list) else [value["input"]]
        if len(inputs) > 10:
            raise Refused("batch size is invalid, it should not be larger than 10.")
        return {"object": "list", "model": value["model"], "usage": {"prompt_tokens": 3, "total_tokens": 3},
                "data": [{"object": "embedding", "index": n, "embedding": [0.5, n]} for n in range(len(inputs))]}
    return None


def read(path, headers, body):
    signed_in(headers)
    if path.endswith("/responses"):
        view = responses.read(path, headers, body)
        view.face = "responses"
        return view
    if path.startswith("/compatible-mode/"):
        return compatible(path, headers, body)
    sees = "/multimodal-generation/" in path
    if set(body) != {"model", "input", "parameters"} or set(body["input"]) != {"messages"}:
        raise Refused("the body has a model, an input and parameters")
    given = body["parameters"]
    if set(given) - PARAMETERS or given.get("result_format") != "message":
        raise Refused(f"unknown parameter among {sorted(given)}")
    if not 0 <= given.get("temperature", 1) < 2 or not 0 < given.get("top_p", 0.5) < 1:
        raise Refused("Temperature should be in [0.0, 2.0)")
    if given.get("tool_choice") == "required":
        raise Refused("tool_choice is one of the strings that should be ['none','auto']")
    view = View(model=body["model"], stream=headers.get("x-dashscope-sse") == "enable",
                temperature=given.get("temperature"), max_tokens=given.get("max_tokens"), stop=given.get("stop", []))
    view.face, view.incremental, view.body = "native", given.get("incremental_output", False), body
    view.schema = given.get("response_format", {}).get("json_schema", {}).get("schema")
    view.reasoning = given.get("thinking_budget")
    view.tools = [tool["function"]["name"] for tool in given.get("tools", [])]
    view.sees = sees
    for message in body["input"]["messages"]:
        turn(message, sees, view)
    return view


def turn(message, sees, view):
    content = message["content"]
    if isinstance(content, list) != sees:
        raise Refused("contents are lists where models see, and text elsewhere")
    for part in content if sees else []:
        if "image" in part:
            view.images.append(shown(part["image"]))
    text = "".join(part.get("text", "") for part in content) if sees else content
    role = message["role"]
    if role == "system":
        view.system += text
    elif role == "user":
        view.texts.append(text)
    elif role == "assistant":
        for call in message.get("tool_calls", []):
            json.loads(call["function"]["arguments"])
            view.calls.append((call["id"], call["function"]["name"], call["function"]["arguments"]))
    elif role == "tool":
        view.results.append((message["tool_call_id"], text))
    else:
        raise Refused(f"{role} is not one of ['system', 'assistant', 'user', 'tool']")


def compatible(path, headers, body):
    if body.get("tool_choice") == "required":
        raise Refused("tool_choice is one of the strings that should be ['none','auto']")
    if body["model"].startswith(STREAM_ONLY) and not body.get("stream"):
        raise Refused("parameter.enable_thinking must be set to false for non-streaming calls")
    said = json.dumps(body["messages"]).lower()
    if body.get("response_format", {}).get("type") == "json_object" and "json" not in said:
        raise Refused("'messages' must contain the word 'json' in some form")
    if any(message["role"] == "developer" for message in body["messages"]):
        raise Refused("developer is not one of ['system', 'assistant', 'user', 'tool', 'function']")
    view = chat.read(path, headers, {name: value for name, value in body.items() if name not in COMPATIBLE})
    view.face, view.body = "compatible", body
    view.reasoning = body.get("thinking_budget")
    view.counts = bool((body.get("stream_options") or {}).get("include_usage"))
    return view


def native(view, made, message, finish, output=None):
    if view.sees and "content" in message:
        message = message | {"content": [{"text": message["content"]}] if message["content"] else []}
    return {"output": {"choices": [{"finish_reason": finish, "message": {"role": "assistant"} | message}]},
            "usage": {"input_tokens": made.input, "output_tokens": made.output if output is None else output,
                      "total_tokens": made.input + made.output,
                      "prompt_tokens_details": {"cached_tokens": made.cached},
                      "output_tokens_details": {"reasoning_tokens": made.thought}},
            "request_id": "r-fake"}


def calls(made):
    return [{"index": index, "id": call, "type": "function", "function": {"name": name, "arguments": arguments}}
            for index, (call, name, arguments) in enumerate(made.calls)]


def whole(view, made):
    if view.face != "native":
        return (chat if view.face == "compatible" else responses).whole(view, made)
    message = {"content": made.text}
    if made.reasoning:
        message["reasoning_content"] = made.reasoning
    if made.calls:
        message["tool_calls"] = calls(made)
    return native(view, made, message, {"tools": "tool_calls"}.get(made.finish, made.finish))


def stream(view, made):
    if view.face == "responses":
        yield from responses.stream(view, made)
        return
    if view.face == "compatible":
        for data in chat.stream(view, made):
            if b'"choices": [], "usage"' not in data or view.counts:
                yield data
        return
    number = 0

    def event(value, name="result", status=200):
        nonlocal number
        number += 1
        data = json.dumps(value, ensure_ascii=False)
        return f"id:{number}\nevent:{name}\n:HTTP_STATUS/{status}\ndata:{data}\n\n".encode()

    text = thought = ""
    for piece in pieces(made.reasoning):
        thought += piece
        said = piece if view.incremental else thought
        yield event(native(view, made, {"content": "", "reasoning_content": said}, "null", number))
    for piece in pieces(made.text):
        text += piece
        message = {"content": piece if view.incremental else text}
        if not view.incremental and made.reasoning:
            message["reasoning_content"] = thought
        yield event(native(view, made, message, "null", number))
    if made.cut_after_text:
        return
    if made.error_after_text:
        yield event({"code": "InternalError.Algo", "message": "An internal error has occured.", "request_id": "r"},
                    "error", 500)
        return
    yield from called(view, made, event)
    last = {"content": "" if view.incremental else text}
    if made.calls and not view.incremental:
        last["tool_calls"] = calls(made)
    yield event(native(view, made, last, {"tools": "tool_calls"}.get(made.finish, made.finish)))


def called(view, made, event):
    """Calls piece by piece, or as they are so far."""
    done = []
    for call in calls(made):
        so_far = ""
        for piece in pieces(call["function"]["arguments"]):
            first = not so_far
            so_far += piece
            if view.incremental:
                function = {"name": call["function"]["name"] if first else "", "arguments": piece}
                list_ = [call | {"id": call["id"] if first else "", "function": function}]
            else:
                list_ = done + [call | {"function": {"name": call["function"]["name"], "arguments": so_far}}]
            yield event(native(view, made, {"content": "", "tool_calls": list_}, "null"))
        done.append(call)


def failure(refusal):
    status, code = CODES.get(refusal.kind, (refusal.status, "InvalidParameter"))
    message = str(refusal)
    if refusal.kind == "context":
        message = "Range of input length should be [1, 30720]"
    view = refusal.view
    if view and view.face != "native":
        error = {"message": message, "type": code, "param": None, "code": code}
        return status, {"error": error, "request_id": "r-fake"}, refusal.headers
    return status, {"code": code, "message": message, "request_id": "r-fake"}, refusal.headers
