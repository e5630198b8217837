# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""OpenAI's Responses."""

import json

from .scenario import Refused, View, pieces, shown

STREAM_TYPE = "text/event-stream"
KNOWN = {
    "model", "input", "instructions", "previous_response_id", "conversation", "include", "max_output_tokens",
    "max_tool_calls", "metadata", "parallel_tool_calls", "prompt", "prompt_cache_key", "reasoning", "safety_identifier",
    "service_tier", "store", "stream", "stream_options", "temperature", "text", "tool_choice", "tools", "top_logprobs",
    "top_p", "truncation", "background", "user",
}


def other(method, path, headers, value):
    if method == "GET" and path.endswith("/models"):
        return {"object": "list", "data": [{"id": "o3-pro", "object": "model", "created": 1, "owned_by": "fake"}]}
    return None


def read(path, headers, body):
    if not headers.get("authorization", "").startswith("Bearer "):
        raise Refused("no key", 401, "auth")
    if not path.endswith("/responses"):
        raise Refused(f"this model is only supported in v1/responses, not {path}", 404, "not_found")
    if set(body) - KNOWN:
        raise Refused(f"Unknown parameter: '{sorted(set(body) - KNOWN)[0]}'.")
    view = View(model=body["model"], stream=body.get("stream", False), temperature=body.get("temperature"),
                max_tokens=body.get("max_output_tokens"), system=body.get("instructions") or "")
    view.tools = [tool["name"] for tool in body.get("tools", []) if tool["type"] == "function"]
    view.tool_choice = body.get("tool_choice")
    view.reasoning = (body.get("reasoning") or {}).get("effort")
    view.schema = ((body.get("text") or {}).get("format") or {}).get("schema")
    items = body["input"]
    for item in [{"role": "user", "content": items}] if isinstance(items, str) else items:
        read_item(item, view)
    known = {call[0] for call in view.calls}
    if known != {result[0] for result in view.results}:
        raise Refused("No tool output found for function call.")
    return view


def read_item(item, view):
    kind = item.get("type", "message")
    if kind == "function_call":
        json.loads(item["arguments"])
        view.calls.append((item["call_id"], item["name"], item["arguments"]))
    elif kind == "function_call_output":
        output = item["output"]
        if not isinstance(output, str):
            view.images += [shown(part["image_url"]) for part in output if part["type"] == "input_image"]
            output = "".join(part.get("text", "") for part in output)
        view.results.append((item["call_id"], output))
    elif kind == "reasoning":
        view.signatures.append(item.get("encrypted_content"))
    elif kind == "message":
        content = item["content"]
        plain = "output_text" if item["role"] == "assistant" else "input_text"
        parts = [{"type": plain, "text": content}] if isinstance(content, str) else content
        text = ""
        for part in parts:
            wanted = ("output_text", "refusal") if item["role"] == "assistant" else (
                "input_text", "input_image", "input_file", "input_audio")
            if part["type"] not in wanted:
                raise Refused(f"Invalid value: '{part['type']}'. Supported values are: {wanted}")
            text += part.get("text", "")
            if part["type"] == "input_image":
                url = part["image_url"]
                view.images.append(shown(url))
            if part["type"] == "input_file":
                view.documents.append(part.get("filename") or "file")
                shown(part.get("file_data") or "url:")
        if item["role"] in ("system", "developer"):
            view.system += text
        elif item["role"] == "user":
            view.texts.append(text)
    else:
        raise Refused(f"Invalid value: '{kind}'")


def usage(made):
    return {"input_tokens": made.input, "input_tokens_details": {"cached_tokens": made.cached, "cache_write_tokens": 0},
            "output_tokens": made.output, "output_tokens_details": {"reasoning_tokens": made.thought},
            "total_tokens": made.input + made.output}


def items(made):
    list_ = []
    if made.reasoning:
        list_.append({"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": made.reasoning}],
                      "encrypted_content": made.signature})
    if made.text or not made.calls:
        list_.append({"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
                      "content": [{"type": "output_text", "text": made.text, "annotations": [], "logprobs": []}]})
    for call, name, arguments in made.calls:
        list_.append({"id": f"fc_{call}", "type": "function_call", "call_id": call, "name": name,
                      "arguments": arguments, "status": "completed"})
    return list_


def whole(view, made, status=None, output=None):
    reason = {"length": "max_output_tokens", "filter": "content_filter"}.get(made.finish)
    status = status or ("incomplete" if reason else "completed")
    return {"id": "resp_fake", "object": "response", "created_at": 1700000000, "status": status, "error": None,
            "incomplete_details": {"reason": reason} if status == "incomplete" else None, "instructions": None,
            "max_output_tokens": view.max_tokens, "model": view.model, "output": items(made) if output is None else output,
            "parallel_tool_calls": True, "previous_response_id": None, "reasoning": {"effort": None, "summary": None},
            "store": True, "temperature": 1.0, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [],
            "top_p": 1.0, "truncation": "disabled", "usage": usage(made) if status != "in_progress" else None,
            "user": None, "metadata": {}}


def stream(view, made):
    number = -1

    def event(kind, /, **fields):
        nonlocal number
        number += 1
        value = json.dumps({"type": kind, "sequence_number": number} | fields, ensure_ascii=False)
        return f"event: {kind}\ndata: {value}\n\n".encode()

    started = whole(view, made, "in_progress", [])
    yield event("response.created", response=started)
    yield event("response.in_progress", response=started)
    for index, item in enumerate(items(made)):
        place = {"item_id": item["id"], "output_index": index}
        if item["type"] == "reasoning":
            yield event("response.output_item.added", output_index=index, item=item | {"summary": []})
            part = {"type": "summary_text", "text": ""}
            yield event("response.reasoning_summary_part.added", **place, summary_index=0, part=part)
            for piece in pieces(made.reasoning):
                yield event("response.reasoning_summary_text.delta", **place, summary_index=0, delta=piece)
            yield event("response.reasoning_summary_text.done", **place, summary_index=0, text=made.reasoning)
            yield event("response.reasoning_summary_part.done", **place, summary_index=0,
                        part=part | {"text": made.reasoning})
        elif item["type"] == "message":
            yield event("response.output_item.added", output_index=index, item=item | {"content": [], "status": "in_progress"})
            part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
            yield event("response.content_part.added", **place, content_index=0, part=part)
            for piece in pieces(made.text):
                yield event("response.output_text.delta", **place, content_index=0, delta=piece, logprobs=[])
            if made.cut_after_text:
                return
            if made.error_after_text:
                failed = started | {"status": "failed", "error": {"code": "server_error", "message": "The server failed."}}
                yield event("response.failed", response=failed)
                return
            yield event("response.output_text.done", **place, content_index=0, text=made.text, logprobs=[])
            yield event("response.content_part.done", **place, content_index=0, part=part | {"text": made.text})
        else:
            yield event("response.output_item.added", output_index=index,
                        item=item | {"arguments": "", "status": "in_progress"})
            for piece in pieces(item["arguments"]):
                yield event("response.function_call_arguments.delta", **place, delta=piece)
            yield event("response.function_call_arguments.done", **place, name=item["name"], arguments=item["arguments"])
        yield event("response.output_item.done", output_index=index, item=item)
    done = whole(view, made)
    yield event(f"response.{done['status']}", response=done)


def failure(refusal):
    from . import chat
    return chat.failure(refusal)
