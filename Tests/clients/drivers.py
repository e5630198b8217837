# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""The official client libraries behind one face, so that a test can be run with each of them.

A driver keeps the conversation in its library's own objects and gives back what the library parsed."""

import base64
import json
from dataclasses import dataclass, field

import anthropic
import openai
from google import genai
from google.genai import errors as genai_errors
from google.genai import types
from openai.types.chat import ChatCompletionMessage, ChatCompletionMessageFunctionToolCall
from openai.types.chat.chat_completion import Choice

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
PDF = b"%PDF-1.4\n%%EOF\n"
SCHEMA = {
    "type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"], "additionalProperties": False,
}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@dataclass
class Said:
    """An answer in neutral words."""
    text: str = ""
    reasoning: str = ""
    calls: list = field(default_factory=list)   # (id, name, arguments as an object)
    finish: str = ""                            # stop, length, tools, filter
    input: object = None
    cached: object = None
    output: object = None
    chunks: int = 0


def data_url(kind, data):
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


class Chat:
    """`openai`, chat completions."""
    name = "openai-chat"
    rate_limited, refused, missing = openai.RateLimitError, openai.BadRequestError, openai.NotFoundError
    unavailable = openai.InternalServerError
    failed = (openai.APIError,)
    finish = {"stop": "stop", "length": "length", "tool_calls": "tools", "content_filter": "filter"}

    def __init__(self, server, model):
        self.client, self.model, self.messages = server.client(), model, []

    def user(self, text, image=False, document=False):
        parts = [{"type": "text", "text": text}]
        if image:
            parts.append({"type": "image_url", "image_url": {"url": data_url("image/png", PNG)}})
        if document:
            parts.append({"type": "file", "file": {"filename": "a.pdf", "file_data": data_url("application/pdf", PDF)}})
        self.messages.append({"role": "user", "content": parts if image or document else text})

    def results(self, values):
        for call, value in values:
            self.messages.append({"role": "tool", "tool_call_id": call[0], "content": value})

    def ask(self, stream=False, system=None, tools=False, schema=False, think=False, **more):
        options = dict(more)
        messages = ([{"role": "system", "content": system}] if system else []) + self.messages
        if tools:
            options["tools"] = [{"type": "function", "function": {"name": "get_weather", "parameters": CITY}}]
        if schema:
            options["response_format"] = {
                "type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": SCHEMA}}
        if think:
            options["reasoning_effort"] = "low"
        arguments = dict(model=self.model, messages=messages, **options)
        if not stream:
            answer = self.client.chat.completions.create(**arguments)
            return self.read(answer.choices[0], answer.usage, 1)
        return self.read(*self.gather(self.client.chat.completions.create(
            **arguments, stream=True, stream_options={"include_usage": True})))

    def gather(self, chunks):
        """The library's own helper raises at a length limit; so the deltas are put together here."""
        message, calls, finish, usage, count = {"role": "assistant", "content": ""}, {}, None, None, 0
        for count, chunk in enumerate(chunks, 1):
            usage = chunk.usage or usage
            for choice in chunk.choices:
                finish = choice.finish_reason or finish
                delta = choice.delta.model_dump(exclude_none=True)
                for name in ("content", "reasoning_content"):
                    if delta.get(name):
                        message[name] = message.get(name, "") + delta[name]
                if "reasoning_details" in delta:
                    message.setdefault("reasoning_details", []).extend(delta["reasoning_details"])
                for call in delta.get("tool_calls", []):
                    index = call.pop("index")
                    known = calls.setdefault(index, call)
                    if known is not call:
                        known["function"]["arguments"] += call["function"].get("arguments") or ""
        if calls:
            message["tool_calls"] = [calls[index] for index in sorted(calls)]
        choice = Choice.construct(finish_reason=finish, index=0, message=ChatCompletionMessage.construct(**message))
        choice.message.tool_calls = [
            ChatCompletionMessageFunctionToolCall.model_validate(call) for call in message.get("tool_calls", [])] or None
        return choice, usage, count

    def read(self, choice, usage, count):
        message = choice.message
        said = Said(message.content or "", getattr(message, "reasoning_content", None) or "", chunks=count,
                    finish=self.finish[choice.finish_reason])
        for call in message.tool_calls or []:
            said.calls.append((call.id, call.function.name, json.loads(call.function.arguments)))
        said.input, said.output = usage.prompt_tokens, usage.completion_tokens
        if usage.prompt_tokens_details:
            said.cached = usage.prompt_tokens_details.cached_tokens
        self.messages.append(message.model_dump(exclude_none=True))
        return said


class Responses:
    """`openai`, responses, stateless: the output is replayed as input."""
    name = "openai-responses"
    rate_limited, refused, missing = openai.RateLimitError, openai.BadRequestError, openai.NotFoundError
    unavailable = openai.InternalServerError
    failed = (openai.APIError,)

    def __init__(self, server, model):
        self.client, self.model, self.items = server.client(), model, []

    def user(self, text, image=False, document=False):
        parts = [{"type": "input_text", "text": text}]
        if image:
            parts.append({"type": "input_image", "image_url": data_url("image/png", PNG), "detail": "auto"})
        if document:
            parts.append({"type": "input_file", "filename": "a.pdf", "file_data": data_url("application/pdf", PDF)})
        self.items.append({"role": "user", "content": parts})

    def results(self, values):
        for call, value in values:
            self.items.append({"type": "function_call_output", "call_id": call[0], "output": value})

    def ask(self, stream=False, system=None, tools=False, schema=False, think=False, **more):
        options = dict(more)
        if "max_tokens" in options:
            options["max_output_tokens"] = options.pop("max_tokens")
        if system:
            options["instructions"] = system
        if tools:
            options["tools"] = [{"type": "function", "name": "get_weather", "parameters": CITY, "strict": False}]
        if schema:
            options["text"] = {"format": {"type": "json_schema", "name": "person", "schema": SCHEMA, "strict": True}}
        if think:
            options["reasoning"] = {"effort": "low", "summary": "auto"}
        arguments = dict(model=self.model, input=self.items, store=False,
                         include=["reasoning.encrypted_content"], **options)
        if not stream:
            return self.read(self.client.responses.create(**arguments), 1)
        count, number, final = 0, -1, None
        for event in self.client.responses.create(**arguments, stream=True):
            assert event.sequence_number == number + 1
            number, count = event.sequence_number, count + 1
            if event.type in ("response.completed", "response.incomplete"):
                final = event.response
            if event.type in ("error", "response.failed"):
                raise openai.APIError("the stream failed", request=None, body=None)
        assert final is not None, "no final event"
        return self.read(final, count)

    def read(self, response, count):
        said = Said(response.output_text, chunks=count)
        for item in response.output:
            if item.type == "reasoning":
                said.reasoning += "".join(part.text for part in item.summary)
                said.reasoning += "".join(part.text for part in item.content or [])
            elif item.type == "function_call":
                said.calls.append((item.call_id, item.name, json.loads(item.arguments)))
            self.items.append(item.model_dump(exclude_none=True))
        reason = response.incomplete_details.reason if response.incomplete_details else None
        said.finish = {"max_output_tokens": "length", "content_filter": "filter", None: "stop"}[reason]
        if said.calls and reason is None:
            said.finish = "tools"
        said.input, said.output = response.usage.input_tokens, response.usage.output_tokens
        said.cached = response.usage.input_tokens_details.cached_tokens
        return said


class Messages:
    """`anthropic`."""
    name = "anthropic"
    rate_limited, refused, missing = anthropic.RateLimitError, anthropic.BadRequestError, anthropic.NotFoundError
    unavailable = anthropic.InternalServerError
    failed = (anthropic.APIError,)
    finish = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tools",
              "refusal": "filter"}

    def __init__(self, server, model):
        self.client = anthropic.Anthropic(base_url=server.origin, api_key=server.key, max_retries=0, timeout=20)
        self.model, self.messages = model, []

    def user(self, text, image=False, document=False):
        blocks = [{"type": "text", "text": text}]
        if image:
            blocks.append({"type": "image", "source": {
                "type": "base64", "media_type": "image/png", "data": base64.b64encode(PNG).decode()}})
        if document:
            blocks.append({"type": "document", "source": {
                "type": "base64", "media_type": "application/pdf", "data": base64.b64encode(PDF).decode()}})
        self.messages.append({"role": "user", "content": blocks})

    def results(self, values):
        self.messages.append({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": call[0], "content": value} for call, value in values]})

    def ask(self, stream=False, system=None, tools=False, schema=False, think=False, **more):
        options = {"max_tokens": 4096} | more
        if system:
            options["system"] = system
        if tools:
            options["tools"] = [{"name": "get_weather", "input_schema": CITY}]
        if schema:
            options["output_config"] = {"format": {"type": "json_schema", "schema": SCHEMA}}
        if think:
            options["thinking"] = {"type": "enabled", "budget_tokens": 2048}
        # The library has names for the fields of today's models alone.
        more = {name: options.pop(name) for name in ("temperature", "top_k", "top_p") if name in options}
        arguments = dict(model=self.model, messages=self.messages, extra_body=more, **options)
        if not stream:
            return self.read(self.client.messages.create(**arguments), 1)
        with self.client.messages.stream(**arguments) as events:
            count = sum(1 for _ in events)
            return self.read(events.get_final_message(), count)

    def read(self, message, count):
        said = Said(chunks=count, finish=self.finish[message.stop_reason])
        for block in message.content:
            if block.type == "text":
                said.text += block.text
            elif block.type == "thinking":
                said.reasoning += block.thinking
            elif block.type == "tool_use":
                said.calls.append((block.id, block.name, block.input))
        usage = message.usage
        said.cached = usage.cache_read_input_tokens or 0
        said.input = usage.input_tokens + said.cached + (usage.cache_creation_input_tokens or 0)
        said.output = usage.output_tokens
        self.messages.append({"role": "assistant", "content": [
            block.model_dump(exclude_none=True, exclude={"parsed_output"}) for block in message.content]})
        return said


class Gemini:
    """`google-genai`."""
    name = "gemini"
    rate_limited = refused = missing = genai_errors.ClientError
    unavailable = genai_errors.ServerError
    failed = (genai_errors.APIError,)
    finish = {"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "filter", "PROHIBITED_CONTENT": "filter"}

    def __init__(self, server, model):
        self.client = genai.Client(
            api_key=server.key, http_options=types.HttpOptions(base_url=server.origin, timeout=20_000))
        self.model, self.contents = model, []

    def user(self, text, image=False, document=False):
        parts = [types.Part.from_text(text=text)]
        if image:
            parts.append(types.Part.from_bytes(data=PNG, mime_type="image/png"))
        if document:
            parts.append(types.Part.from_bytes(data=PDF, mime_type="application/pdf"))
        self.contents.append(types.Content(role="user", parts=parts))

    def results(self, values):
        parts = []
        for call, value in values:
            part = types.Part.from_function_response(name=call[1], response={"result": value})
            part.function_response.id = call[0]
            parts.append(part)
        self.contents.append(types.Content(role="user", parts=parts))

    def ask(self, stream=False, system=None, tools=False, schema=False, think=False, **more):
        config = types.GenerateContentConfig(
            system_instruction=system, automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True))
        if "max_tokens" in more:
            config.max_output_tokens = more.pop("max_tokens")
        for name, value in more.items():
            setattr(config, name, value)
        if tools:
            config.tools = [types.Tool(function_declarations=[types.FunctionDeclaration(
                name="get_weather", description="The weather", parameters_json_schema=CITY)])]
        if schema:
            config.response_mime_type, config.response_json_schema = "application/json", SCHEMA
        if think:
            config.thinking_config = types.ThinkingConfig(include_thoughts=True, thinking_budget=2048)
        arguments = dict(model=self.model, contents=self.contents, config=config)
        if not stream:
            return self.read([self.client.models.generate_content(**arguments)])
        return self.read(list(self.client.models.generate_content_stream(**arguments)))

    def read(self, responses):
        said, kept = Said(chunks=len(responses)), []
        for response in responses:
            for candidate in response.candidates or []:
                for part in (candidate.content.parts if candidate.content else None) or []:
                    kept.append(part)
                    if part.function_call:
                        call = part.function_call
                        said.calls.append((call.id, call.name, call.args))
                    elif part.thought:
                        said.reasoning += part.text or ""
                    else:
                        said.text += part.text or ""
                if candidate.finish_reason:
                    said.finish = self.finish[candidate.finish_reason.name]
        usage = responses[-1].usage_metadata
        said.input, said.cached = usage.prompt_token_count, usage.cached_content_token_count
        said.output = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
        if said.calls and said.finish == "stop":
            said.finish = "tools"
        self.contents.append(types.Content(role="model", parts=kept))
        return said


DRIVERS = [Chat, Responses, Messages, Gemini]
