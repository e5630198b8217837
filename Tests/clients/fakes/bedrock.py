# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""Amazon Bedrock's Converse."""

import json
import re
import struct
import urllib.parse
import zlib

from .scenario import Refused, View, base64_checked, pieces

STREAM_TYPE = "application/vnd.amazon.eventstream"
FINISH = {"stop": "end_turn", "length": "max_tokens", "tools": "tool_use", "filter": "content_filtered"}
KNOWN = {"messages", "system", "inferenceConfig", "toolConfig", "guardrailConfig", "additionalModelRequestFields",
         "additionalModelResponseFieldPaths", "performanceConfig", "requestMetadata", "promptVariables",
         "outputConfig", "serviceTier"}


def other(method, path, headers, value):
    if method == "GET":
        return {"modelSummaries": [{"modelId": "anthropic.claude-sonnet-4-5-20250929-v1:0",
                                    "responseStreamingSupported": True}]}
    return None


def read(path, headers, body):
    authorization = headers.get("authorization", "")
    if not authorization.startswith(("Bearer ", "AWS4-HMAC-SHA256 ")):
        raise Refused("Missing Authentication Token", 403, "auth")
    place = re.fullmatch(r"/model/([^/]+)/(converse|converse-stream)", path)
    if not place:
        raise Refused(f"Unknown operation {path}", 404, "not_found")
    if set(body) - KNOWN:
        raise Refused(f"Unexpected field {sorted(set(body) - KNOWN)[0]}")
    view = View(model=urllib.parse.unquote(place[1]), stream=place[2] == "converse-stream")
    config = body.get("inferenceConfig", {})
    view.temperature, view.max_tokens = config.get("temperature"), config.get("maxTokens")
    view.stop = config.get("stopSequences") or []
    more = body.get("additionalModelRequestFields") or {}
    view.reasoning = more.get("thinking") or more.get("reasoning_config")
    view.schema = more.get("output_config") or body.get("outputConfig")
    for block in body.get("system", []):
        view.system += block.get("text", "")
        view.cache_marks += "cachePoint" in block
    tools = body.get("toolConfig") or {}
    view.tools = [tool["toolSpec"]["name"] for tool in tools.get("tools", []) if "toolSpec" in tool]
    view.cache_marks += sum("cachePoint" in tool for tool in tools.get("tools", []))
    view.tool_choice = tools.get("toolChoice")
    conversation(body["messages"], view)
    if (view.calls or view.results) and not view.tools:
        raise Refused("The toolConfig field must be defined when using toolUse and toolResult content blocks.")
    return view


def conversation(messages, view):
    last, pending = None, set()
    for message in messages:
        if message["role"] == last:
            raise Refused("A conversation must alternate between user and assistant roles.")
        last = message["role"]
        results = {block["toolResult"]["toolUseId"] for block in message["content"] if "toolResult" in block}
        if pending != results:
            raise Refused("Expected toolResult blocks for the following Ids")
        pending = set()
        text = ""
        for block in message["content"]:
            if "text" in block:
                if not block["text"].strip():
                    raise Refused("The text field in the ContentBlock object is blank.")
                text += block["text"]
            elif "image" in block:
                base64_checked(block["image"]["source"]["bytes"])
                view.images.append(f"data:image/{block['image']['format']}")
            elif "document" in block:
                if not re.fullmatch(r"[A-Za-z0-9\[\]() -]+", block["document"]["name"]):
                    raise Refused("document name")
                base64_checked(block["document"]["source"]["bytes"])
                view.documents.append(block["document"]["format"])
            elif "toolUse" in block:
                if not isinstance(block["toolUse"]["input"], dict):
                    raise Refused("toolUse.input must be an object")
                view.calls.append((block["toolUse"]["toolUseId"], block["toolUse"]["name"],
                                   json.dumps(block["toolUse"]["input"])))
                pending.add(block["toolUse"]["toolUseId"])
            elif "toolResult" in block:
                result = block["toolResult"]
                view.results.append((result["toolUseId"], "".join(
                    part.get("text") or json.dumps(part.get("json", "")) for part in result["content"] if "image" not in part)))
                view.images += [f"data:image/{part['image']['format']}" for part in result["content"] if "image" in part]
            elif "reasoningContent" in block:
                view.signatures.append(block["reasoningContent"].get("reasoningText", {}).get("signature"))
            elif "cachePoint" in block:
                view.cache_marks += 1
            else:
                raise Refused(f"unknown block {list(block)}")
        if message["role"] == "user" and text:
            view.texts.append(text)
    if messages[0]["role"] != "user":
        raise Refused("A conversation must start with a user message.")


def usage(made):
    return {"inputTokens": made.input - made.cached, "outputTokens": made.output,
            "totalTokens": made.input + made.output, "cacheReadInputTokens": made.cached, "cacheWriteInputTokens": 0}


def blocks(made):
    list_ = []
    if made.reasoning:
        list_.append({"reasoningContent": {"reasoningText": {"text": made.reasoning, "signature": made.signature}}})
    if made.text:
        list_.append({"text": made.text})
    for call, name, arguments in made.calls:
        list_.append({"toolUse": {"toolUseId": f"tooluse_{call}", "name": name, "input": json.loads(arguments)}})
    return list_


def whole(view, made):
    return {"output": {"message": {"role": "assistant", "content": blocks(made)}}, "stopReason": FINISH[made.finish],
            "usage": usage(made), "metrics": {"latencyMs": 5}}


def message(kind, value, exception=False):
    """One binary message with its checksums."""
    names = {":exception-type" if exception else ":event-type": kind, ":content-type": "application/json",
             ":message-type": "exception" if exception else "event"}
    headers = b"".join(
        struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", 7, len(text)) + text.encode()
        for name, text in names.items())
    payload = json.dumps(value, ensure_ascii=False).encode()
    prelude = struct.pack(">II", len(headers) + len(payload) + 16, len(headers))
    data = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return data + struct.pack(">I", zlib.crc32(data))


def stream(view, made):
    yield message("messageStart", {"role": "assistant"})
    for index, block in enumerate(blocks(made)):
        def delta(value):
            return message("contentBlockDelta", {"contentBlockIndex": index, "delta": value})
        if "reasoningContent" in block:
            for piece in pieces(made.reasoning):
                yield delta({"reasoningContent": {"text": piece}})
            yield delta({"reasoningContent": {"signature": made.signature}})
        elif "text" in block:
            for piece in pieces(made.text):
                yield delta({"text": piece})
        else:
            use = block["toolUse"]
            yield message("contentBlockStart", {"contentBlockIndex": index, "start": {
                "toolUse": {"toolUseId": use["toolUseId"], "name": use["name"]}}})
            for piece in pieces(json.dumps(use["input"])):
                yield delta({"toolUse": {"input": piece}})
        if made.cut_after_text:
            return
        if made.error_after_text:
            yield message("modelStreamErrorException", {"message": "The model failed."}, exception=True)
            return
        yield message("contentBlockStop", {"contentBlockIndex": index})
    yield message("messageStop", {"stopReason": FINISH[made.finish]})
    yield message("metadata", {"usage": usage(made), "metrics": {"latencyMs": 5}})


def failure(refusal):
    types = {"rate_limit": "ThrottlingException", "not_found": "ResourceNotFoundException",
             "auth": "AccessDeniedException", "overloaded": "ServiceUnavailableException"}
    status = 503 if refusal.kind == "overloaded" else refusal.status
    text = str(refusal)
    if refusal.kind == "context":
        text = "Input is too long for requested model."
    return status, {"message": text}, {"x-amzn-errortype": types.get(refusal.kind, "ValidationException")} | refusal.headers
