# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""Anthropic's Messages."""

import json
import re

from .scenario import Refused, View, base64_checked, pieces

STREAM_TYPE = "text/event-stream; charset=utf-8"
FINISH = {"stop": "end_turn", "length": "max_tokens", "tools": "tool_use", "filter": "refusal"}
KNOWN = {
    "model", "max_tokens", "messages", "system", "stop_sequences", "stream", "temperature", "top_k", "top_p", "tools",
    "tool_choice", "thinking", "metadata", "service_tier", "output_config", "container", "cache_control",
}
NAME = re.compile(r"^[a-zA-Z0-9_-]{1,128}$")


def other(method, path, headers, value):
    if method == "GET" and path.split("?")[0].endswith("/models"):
        return {"data": [{"type": "model", "id": "claude-sonnet-4-5", "display_name": "Claude Sonnet 4.5",
                          "created_at": "2025-09-29T00:00:00Z"}], "first_id": "claude-sonnet-4-5",
                "last_id": "claude-sonnet-4-5", "has_more": False}
    if path.split("?")[0].endswith("/count_tokens"):
        read(path, headers, value | {"max_tokens": 1})
        return {"input_tokens": 42}
    return None


def read(path, headers, body):
    if not (headers.get("x-api-key") or headers.get("authorization")):
        raise Refused("x-api-key header is required", 401, "auth")
    if "anthropic-version" not in headers:
        raise Refused("anthropic-version: header is required")
    unknown = set(body) - KNOWN
    if unknown:
        raise Refused(f"{sorted(unknown)[0]}: Extra inputs are not permitted")
    if not isinstance(body.get("max_tokens"), int) or body["max_tokens"] < 1:
        raise Refused("max_tokens: Field required")
    view = View(model=body["model"], stream=body.get("stream", False), temperature=body.get("temperature"),
                max_tokens=body["max_tokens"], stop=body.get("stop_sequences") or [])
    if view.temperature is not None and not 0 <= view.temperature <= 1:
        raise Refused("temperature: range: 0..1")
    system = body.get("system") or []
    for block in [{"type": "text", "text": system}] if isinstance(system, str) else system:
        view.system += block["text"]
        view.cache_marks += "cache_control" in block
    view.tools = [tool["name"] for tool in body.get("tools", [])]
    for tool in body.get("tools", []):
        view.cache_marks += "cache_control" in tool
        if not NAME.match(tool["name"]):
            raise Refused("tools.0.name: String should match pattern")
        if "type" not in tool and tool["input_schema"].get("type") != "object":
            raise Refused("tools.0.input_schema.type: Field required")
    view.tool_choice = body.get("tool_choice")
    view.schema = ((body.get("output_config") or {}).get("format") or {}).get("schema")
    thinking = body.get("thinking") or {}
    view.reasoning = thinking.get("budget_tokens") or thinking.get("type") if thinking else None
    if thinking.get("type") == "enabled":
        if not 1024 <= thinking["budget_tokens"] < body["max_tokens"]:
            raise Refused("thinking.budget_tokens: out of range")
        if view.temperature not in (None, 1) or body.get("top_k") is not None:
            raise Refused("`temperature` may only be set to 1 when thinking is enabled")
    conversation(body["messages"], view, thinking)
    return view


def conversation(messages, view, thinking):
    if not messages:
        raise Refused("messages: at least one message is required")
    pending = []
    for number, message in enumerate(messages):
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if message["role"] not in ("user", "assistant"):
            raise Refused(f"messages.{number}.role: Input should be 'user' or 'assistant'")
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if pending and sorted(results) != sorted(pending):
            raise Refused("`tool_use` ids were found without `tool_result` blocks immediately after")
        if results and [block["type"] for block in blocks[:len(results)]] != ["tool_result"] * len(results):
            raise Refused("tool_result blocks must come first")
        if not pending and results:
            raise Refused("unexpected `tool_use_id` found in `tool_result` blocks")
        pending = [block["id"] for block in blocks if block["type"] == "tool_use"]
        text = ""
        for block in blocks:
            view.cache_marks += "cache_control" in block
            if isinstance(block.get("content"), list):
                view.cache_marks += sum("cache_control" in part for part in block["content"])
            if block["type"] == "text":
                if not block["text"]:
                    raise Refused("messages: text content blocks must be non-empty")
                text += block["text"]
            elif block["type"] in ("image", "document"):
                seen(block, view)
            elif block["type"] == "tool_use":
                if not isinstance(block["input"], dict) or not NAME.match(block["id"]):
                    raise Refused("tool_use.input: Input should be a valid dictionary")
                view.calls.append((block["id"], block["name"], json.dumps(block["input"])))
            elif block["type"] == "tool_result":
                view.results.append((block["tool_use_id"], result_text(block, view)))
            elif block["type"] == "thinking":
                if not block["signature"]:
                    raise Refused("thinking.signature: Invalid signature")
                view.signatures.append(block["signature"])
            elif block["type"] == "redacted_thinking":
                view.signatures.append(block["data"])
            else:
                raise Refused(f"messages.{number}.content: Input tag '{block['type']}' found")
        if message["role"] == "user" and text:
            view.texts.append(text)
        last = number == len(messages) - 1
        if message["role"] == "assistant" and last and text != text.rstrip():
            raise Refused("final assistant content cannot end with trailing whitespace")


def seen(block, view):
    source = block["source"]
    if source["type"] == "base64":
        base64_checked(source["data"])
    label = f"url:{source['url']}" if source["type"] == "url" else f"data:{source.get('media_type')}"
    (view.images if block["type"] == "image" else view.documents).append(label)


def result_text(block, view):
    content = block.get("content") or ""
    if isinstance(content, str):
        return content
    for part in content:
        if part["type"] == "image":
            seen(part, view)
    return "".join(part["text"] for part in content if part["type"] == "text")


def usage(made, output=None):
    return {"input_tokens": made.input - made.cached, "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": made.cached, "output_tokens": made.output if output is None else output,
            "service_tier": "standard"}


def blocks(made):
    list_ = []
    if made.reasoning:
        list_.append({"type": "thinking", "thinking": made.reasoning, "signature": made.signature})
    if made.text:
        list_.append({"type": "text", "text": made.text})
    for call, name, arguments in made.calls:
        list_.append({"type": "tool_use", "id": f"toolu_{call}", "name": name, "input": json.loads(arguments)})
    return list_


def whole(view, made):
    return {"id": "msg_fake01", "type": "message", "role": "assistant", "model": view.model, "content": blocks(made),
            "stop_reason": FINISH[made.finish], "stop_sequence": None, "usage": usage(made)}


def stream(view, made):
    def event(name, **fields):
        value = json.dumps({"type": name} | fields, ensure_ascii=False)
        return f"event: {name}\ndata: {value}\n\n".encode()

    message = whole(view, made) | {"content": [], "stop_reason": None, "usage": usage(made, 1)}
    yield event("message_start", message=message)
    yield event("ping")
    for index, block in enumerate(blocks(made)):
        def delta(**fields):
            return event("content_block_delta", index=index, delta=fields)
        if block["type"] == "thinking":
            yield event("content_block_start", index=index, content_block=block | {"thinking": "", "signature": ""})
            for piece in pieces(block["thinking"]):
                yield delta(type="thinking_delta", thinking=piece)
            yield delta(type="signature_delta", signature=block["signature"])
        elif block["type"] == "text":
            yield event("content_block_start", index=index, content_block={"type": "text", "text": ""})
            for piece in pieces(block["text"]):
                yield delta(type="text_delta", text=piece)
        else:
            yield event("content_block_start", index=index, content_block=block | {"input": {}})
            for piece in ["", *pieces(json.dumps(block["input"]))]:
                yield delta(type="input_json_delta", partial_json=piece)
        if made.cut_after_text:
            return
        if made.error_after_text:
            yield event("error", error={"type": "overloaded_error", "message": "Overloaded"})
            return
        yield event("content_block_stop", index=index)
    spent = {name: value for name, value in usage(made).items() if name != "service_tier"}
    yield event("message_delta", delta={"stop_reason": FINISH[made.finish], "stop_sequence": None}, usage=spent)
    yield event("message_stop")


def failure(refusal):
    types = {"rate_limit": "rate_limit_error", "not_found": "not_found_error", "auth": "authentication_error",
             "overloaded": "overloaded_error"}
    message = str(refusal)
    if refusal.kind == "context":
        message = "prompt is too long: 215000 tokens > 200000 maximum"
    return refusal.status, {"type": "error", "error": {"type": types.get(refusal.kind, "invalid_request_error"),
                                                       "message": message}, "request_id": "req_fake"}, refusal.headers
