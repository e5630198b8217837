# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""Google's Gemini API."""

import json
import re

from .scenario import CALL_SIGNATURE, Refused, View, pieces

STREAM_TYPE = "text/event-stream"
FINISH = {"stop": "STOP", "length": "MAX_TOKENS", "tools": "STOP", "filter": "SAFETY"}
KNOWN = {"contents", "systemInstruction", "tools", "toolConfig", "safetySettings", "generationConfig", "cachedContent",
         "labels"}
GENERATION = {
    "temperature", "topP", "topK", "maxOutputTokens", "stopSequences", "candidateCount", "seed", "presencePenalty",
    "frequencyPenalty", "responseLogprobs", "logprobs", "responseMimeType", "responseSchema", "responseJsonSchema",
    "thinkingConfig", "responseModalities",
}


def other(method, path, headers, value):
    if method == "GET":
        return {"models": [{"name": "models/gemini-2.5-flash", "displayName": "Gemini 2.5 Flash",
                            "supportedGenerationMethods": ["generateContent", "countTokens"]}]}
    if path.split("?")[0].endswith(":countTokens"):
        return {"totalTokens": 42}
    return None


def camel(value):
    """The API takes snake case too, wherever it has words of its own."""
    if isinstance(value, list):
        return [camel(element) for element in value]
    if not isinstance(value, dict):
        return value
    keep = {"args", "response", "parameters", "parametersJsonSchema", "responseJsonSchema", "responseSchema"}
    renamed = {re.sub(r"_([a-z])", lambda found: found[1].upper(), name): inner for name, inner in value.items()}
    return {name: inner if name in keep else camel(inner) for name, inner in renamed.items()}


def read(path, headers, body):
    body = camel(body)
    place, _, query = path.partition("?")
    if not headers.get("x-goog-api-key") and "key=" not in query:
        raise Refused("Method doesn't allow unregistered callers", 403, "auth")
    model, _, method = place.rpartition("/")[2].partition(":")
    if set(body) - KNOWN:
        raise Refused(f'Invalid JSON payload received. Unknown name "{sorted(set(body) - KNOWN)[0]}"')
    config = body.get("generationConfig", {})
    if set(config) - GENERATION:
        raise Refused(f'Unknown name "{sorted(set(config) - GENERATION)[0]}" at generation_config')
    view = View(model=model, stream=method == "streamGenerateContent", temperature=config.get("temperature"),
                max_tokens=config.get("maxOutputTokens"), stop=config.get("stopSequences") or [])
    if view.stream and "alt=sse" not in query:
        raise Refused("this fake streams server-sent events only")
    view.schema = config.get("responseJsonSchema") or config.get("responseSchema")
    if view.schema and config.get("responseMimeType") != "application/json":
        raise Refused("response schema needs the JSON mime type")
    view.reasoning = config.get("thinkingConfig")
    view.tool_choice = body.get("toolConfig")
    for tool in body.get("tools", []):
        for declaration in tool.get("functionDeclarations", []):
            view.tools.append(declaration["name"])
    for part in (body.get("systemInstruction") or {}).get("parts", []):
        view.system += part["text"]
    contents(body["contents"], view)
    return view


def contents(turns, view):
    if turns[0].get("role") != "user":
        raise Refused("Please ensure that the first turn is a user turn.")
    pending = 0
    for turn in turns:
        if turn["role"] not in ("user", "model"):
            raise Refused("Please use a valid role: user, model.")
        if not turn["parts"]:
            raise Refused("contents.parts must not be empty.")
        answers = sum("functionResponse" in part for part in turn["parts"])
        if pending != answers:
            raise Refused("the number of function response parts must equal the number of function call parts")
        pending = sum("functionCall" in part for part in turn["parts"])
        text = ""
        for part in turn["parts"]:
            if "thoughtSignature" in part:
                view.signatures.append(part["thoughtSignature"])
            if "text" in part and not part.get("thought"):
                text += part["text"]
            elif "inlineData" in part:
                kind = part["inlineData"]["mimeType"]
                (view.images if kind.startswith("image/") else view.documents).append(f"data:{kind}")
            elif "fileData" in part:
                kind = part["fileData"].get("mimeType", "")
                label = f"url:{part['fileData']['fileUri']}"
                (view.documents if kind.startswith("application/") else view.images).append(label)
            elif "functionCall" in part:
                call = part["functionCall"]
                if not isinstance(call.get("args", {}), dict):
                    raise Refused("args must be an object")
                view.calls.append((call.get("id") or call["name"], call["name"], json.dumps(call.get("args", {}))))
            elif "functionResponse" in part:
                result = part["functionResponse"]
                if not isinstance(result["response"], dict):
                    raise Refused("response must be an object")
                names = [call[1] for call in view.calls]
                if result["name"] not in names:
                    raise Refused("function response without its call")
                values = list(result["response"].values())
                value = values[0] if len(values) == 1 and isinstance(values[0], str) else json.dumps(result["response"])
                view.results.append((result.get("id") or result["name"], value))
        if turn["role"] == "user" and text:
            view.texts.append(text)


def usage(made):
    thought = {"thoughtsTokenCount": made.thought} if made.thought else {}
    return {"promptTokenCount": made.input, "cachedContentTokenCount": made.cached,
            "candidatesTokenCount": made.output - made.thought, "totalTokenCount": made.input + made.output} | thought


def parts(made):
    list_ = []
    if made.reasoning:
        list_.append({"text": made.reasoning, "thought": True})
    if made.text:
        list_.append({"text": made.text})
    for number, (_, name, arguments) in enumerate(made.calls):
        part = {"functionCall": {"name": name, "args": json.loads(arguments)}}
        list_.append(part | ({"thoughtSignature": CALL_SIGNATURE} if number == 0 else {}))
    return list_


def frame(view, made, list_, finish=None):
    candidate = {"content": {"role": "model", "parts": list_}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "usageMetadata": usage(made), "modelVersion": view.model, "responseId": "r-fake"}


def whole(view, made):
    value = frame(view, made, parts(made), FINISH[made.finish])
    if made.finish == "filter":
        del value["candidates"][0]["content"]
    return value


def stream(view, made):
    def event(value):
        return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\r\n\r\n"

    for part in parts(made):
        if "text" not in part:
            yield event(frame(view, made, [part]))
            continue
        for piece in pieces(part["text"]):
            yield event(frame(view, made, [part | {"text": piece}]))
    if made.cut_after_text:
        return
    if made.error_after_text:
        yield event({"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}})
        return
    if made.finish == "filter":
        yield event(whole(view, made))
        return
    yield event(frame(view, made, [{"text": ""}], FINISH[made.finish]))


def failure(refusal):
    words = {"rate_limit": "RESOURCE_EXHAUSTED", "not_found": "NOT_FOUND", "auth": "PERMISSION_DENIED",
             "overloaded": "UNAVAILABLE"}
    status = 503 if refusal.kind == "overloaded" else refusal.status
    message = str(refusal)
    if refusal.kind == "context":
        message = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."
    error = {"code": status, "message": message, "status": words.get(refusal.kind, "INVALID_ARGUMENT")}
    if refusal.kind == "rate_limit":
        error["details"] = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}]
    return status, {"error": error}, {}
