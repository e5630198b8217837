# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""The official `openai` library, sync and async, through the real binary."""

import asyncio
import json

import openai
import pydantic
import pytest

from conftest import SSE, answer, chunk, failure, settings, whole

TOOLS = [{"type": "function", "function": {
    "name": name, "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}
    for name in ("weather", "time_of")]
ASK = [{"role": "user", "content": "hi"}]


def test_a_whole_answer(server):
    done = server.client().chat.completions.create(model="m", messages=ASK)
    assert done.choices[0].message.content == "Hello from upstream."
    assert done.choices[0].finish_reason == "stop"
    assert done.usage.total_tokens == done.usage.prompt_tokens + done.usage.completion_tokens


def test_a_streamed_answer(server, upstream):
    chunks = list(server.client().chat.completions.create(model="m", messages=ASK, stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "Hello from upstream."
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"


async def test_the_async_client_whole_and_streamed(server):
    async with server.async_client() as client:
        done = await client.chat.completions.create(model="m", messages=ASK)
        assert done.choices[0].message.content == "Hello from upstream."
        stream = await client.chat.completions.create(model="m", messages=ASK, stream=True)
        text = [c.choices[0].delta.content or "" async for c in stream if c.choices]
        assert "".join(text) == "Hello from upstream."


async def test_fifty_async_calls_at_once_get_their_own_answers(server, upstream):
    upstream.script(*({"match": {"model": f"m{i}"}, "steps": answer(whole(f"answer {i}"))} for i in range(50)))
    async with server.async_client() as client:
        done = await asyncio.gather(*(client.chat.completions.create(model=f"m{i}", messages=ASK) for i in range(50)))
    assert [d.choices[0].message.content for d in done] == [f"answer {i}" for i in range(50)]


def test_the_request_reaches_the_upstream_as_it_was(server, upstream):
    server.client().chat.completions.create(
        model="m", messages=ASK, temperature=0.25, top_p=0.5, seed=7, stop=["a", "b"], presence_penalty=0.1,
        logit_bias={"50256": -100}, user="someone", metadata={"k": "v"}, extra_body={"unknown_field": {"b": 1, "a": [1.50]}})
    entry = upstream.wait_for_requests(1)[0]
    assert entry["headers"]["authorization"] == "Bearer upstream-key"
    sent = json.loads(entry["body"])
    assert sent["temperature"] == 0.25 and sent["seed"] == 7 and sent["stop"] == ["a", "b"]
    assert sent["logit_bias"] == {"50256": -100} and sent["user"] == "someone"
    assert sent["unknown_field"] == {"b": 1, "a": [1.5]}
    assert sent["model"] == "m"


def test_one_tool_call(server, upstream):
    done = server.client().chat.completions.create(
        model="m", messages=ASK, tools=TOOLS[:1], tool_choice="required")
    call = done.choices[0].message.tool_calls[0]
    assert (call.function.name, call.function.arguments) == ("weather", "{}")
    assert json.loads(upstream.wait_for_requests(1)[0]["body"])["tools"] == TOOLS[:1]


def parallel_calls():
    return [{"id": f"call_{i}", "type": "function",
             "function": {"name": name, "arguments": json.dumps({"city": "Zürich"})}}
            for i, name in enumerate(("weather", "time_of"))]


def test_parallel_tool_calls(server, upstream):
    value = whole(None, "tool_calls")
    value["choices"][0]["message"]["tool_calls"] = parallel_calls()
    upstream.script(answer(value))
    done = server.client().chat.completions.create(model="m", messages=ASK, tools=TOOLS)
    assert [c.function.name for c in done.choices[0].message.tool_calls] == ["weather", "time_of"]
    assert json.loads(done.choices[0].message.tool_calls[1].function.arguments) == {"city": "Zürich"}


def streamed_calls():
    def part(calls, finish=None):
        return json.dumps({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [
            {"index": 0, "delta": {"tool_calls": calls} if calls else {}, "finish_reason": finish}]})
    events = []
    for call in parallel_calls():
        index = int(call["id"][-1])
        text = call["function"]["arguments"]
        events.append(part([{"index": index, "id": call["id"], "type": "function",
                             "function": {"name": call["function"]["name"], "arguments": ""}}]))
        events += [part([{"index": index, "function": {"arguments": text[i:i + 3]}}]) for i in range(0, len(text), 3)]
    return [SSE, {"sse": events + [part(None, "tool_calls")]}]


def test_streamed_parallel_tool_calls(server, upstream):
    upstream.script(streamed_calls())
    calls = {}
    for event in server.client().chat.completions.create(model="m", messages=ASK, tools=TOOLS, stream=True):
        for call in (event.choices[0].delta.tool_calls or []) if event.choices else []:
            held = calls.setdefault(call.index, ["", ""])
            held[0] += call.function.name or ""
            held[1] += call.function.arguments or ""
    assert [calls[0][0], calls[1][0]] == ["weather", "time_of"]
    assert json.loads(calls[1][1]) == {"city": "Zürich"}


def test_a_conversation_with_tool_results_reaches_the_upstream(server, upstream):
    messages = ASK + [{"role": "assistant", "content": None, "tool_calls": parallel_calls()}] + [
        {"role": "tool", "tool_call_id": f"call_{i}", "content": "12"} for i in range(2)]
    server.client().chat.completions.create(model="m", messages=messages, tools=TOOLS)
    assert json.loads(upstream.wait_for_requests(1)[0]["body"])["messages"] == messages


class Place(pydantic.BaseModel):
    city: str
    people: int


def test_parse_gives_the_declared_type(server, upstream):
    upstream.script(answer(whole('{"city":"Bern","people":134000}')))
    done = server.client().chat.completions.parse(model="m", messages=ASK, response_format=Place)
    assert done.choices[0].message.parsed == Place(city="Bern", people=134000)
    assert json.loads(upstream.wait_for_requests(1)[0]["body"])["response_format"]["type"] == "json_schema"


def test_parse_of_a_stream(server, upstream):
    upstream.script([SSE, {"sse": [chunk('{"city":"Be'), chunk('rn","people":1}'), chunk(finish="stop")]}])
    with server.client().chat.completions.stream(model="m", messages=ASK, response_format=Place) as stream:
        assert stream.get_final_completion().choices[0].message.parsed == Place(city="Bern", people=1)


def test_a_refusal_is_told(server, upstream):
    value = whole(None)
    value["choices"][0]["message"]["refusal"] = "I will not."
    upstream.script(answer(value))
    done = server.client().chat.completions.parse(model="m", messages=ASK, response_format=Place)
    assert done.choices[0].message.refusal == "I will not." and done.choices[0].message.parsed is None


def test_image_audio_and_file_parts_reach_the_upstream(server, upstream):
    parts = [
        {"type": "text", "text": "what is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}}]
    server.client().chat.completions.create(model="m", messages=[{"role": "user", "content": parts}])
    assert json.loads(upstream.wait_for_requests(1)[0]["body"])["messages"][0]["content"] == parts


def test_logprobs_whole_and_streamed(server, upstream):
    logprobs = {"content": [{"token": "hé", "logprob": -0.125, "bytes": [104, 195, 169], "top_logprobs": []}], "refusal": None}
    value = whole("hé")
    value["choices"][0]["logprobs"] = logprobs
    piece = json.loads(chunk("hé"))
    piece["choices"][0]["logprobs"] = logprobs
    upstream.script({"times": 1, "steps": answer(value)}, [SSE, {"sse": [json.dumps(piece), chunk(finish="stop")]}])
    client = server.client()
    done = client.chat.completions.create(model="m", messages=ASK, logprobs=True, top_logprobs=0)
    assert done.choices[0].logprobs.content[0].logprob == -0.125
    chunks = list(client.chat.completions.create(model="m", messages=ASK, logprobs=True, stream=True))
    assert chunks[0].choices[0].logprobs.content[0].bytes == [104, 195, 169]


def test_two_choices(server, upstream):
    value = whole("one")
    value["choices"].append({"index": 1, "message": {"role": "assistant", "content": "two"}, "finish_reason": "stop"})
    second = json.loads(chunk("two"))
    second["choices"][0]["index"] = 1
    upstream.script({"times": 1, "steps": answer(value)}, [SSE, {"sse": [chunk("one"), json.dumps(second), chunk(finish="stop")]}])
    client = server.client()
    done = client.chat.completions.create(model="m", messages=ASK, n=2)
    assert [c.message.content for c in done.choices] == ["one", "two"]
    text = {0: "", 1: ""}
    for event in client.chat.completions.create(model="m", messages=ASK, n=2, stream=True):
        for choice in event.choices:
            text[choice.index] += choice.delta.content or ""
    assert text == {0: "one", 1: "two"}


def test_usage_of_a_stream_comes_when_asked_for_and_only_then(server, upstream):
    client = server.client()
    asked = list(client.chat.completions.create(
        model="m", messages=ASK, stream=True, stream_options={"include_usage": True}))
    assert asked[-1].choices == [] and asked[-1].usage.total_tokens > 0
    plain = list(client.chat.completions.create(model="m", messages=ASK, stream=True))
    assert all(event.usage is None for event in plain)
    assert all(event.choices for event in plain), "the usage chunk was asked for upstream only"
    sent = json.loads(upstream.wait_for_requests(2)[1]["body"])
    assert sent["stream_options"]["include_usage"] is True


def test_reasoning_content_passes(server, upstream):
    value = whole("4")
    value["choices"][0]["message"]["reasoning_content"] = "2 and 2"
    upstream.script(answer(value))
    done = server.client().chat.completions.create(model="m", messages=ASK)
    assert done.choices[0].message.reasoning_content == "2 and 2"


def test_models_are_listed_and_retrieved(start, upstream):
    server = start(settings(upstream.url, models={"*": "up/*", "fast": "up/m", "a/b": "up/m"}))
    client = server.client()
    listed = [model.id for model in client.models.list()]
    assert {"fast", "a/b"} <= set(listed) and "*" not in listed
    assert client.models.retrieve("fast").id == "fast"
    assert client.models.retrieve("a/b").id == "a/b"


ERRORS = [
    (400, "invalid_request_error", openai.BadRequestError), (401, "invalid_request_error", None),
    (403, "permission_error", openai.PermissionDeniedError), (404, "invalid_request_error", openai.NotFoundError),
    (422, "invalid_request_error", openai.APIStatusError), (429, "rate_limit_error", openai.RateLimitError),
    (500, "server_error", openai.InternalServerError), (503, "server_error", openai.InternalServerError),
]


@pytest.mark.parametrize("status, kind, wanted", ERRORS, ids=lambda part: str(part) if isinstance(part, int) else "")
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_upstream_error_has_its_class(server, upstream, status, kind, wanted, stream):
    upstream.script(failure(status, "the reason", "some_code", kind))
    with pytest.raises(wanted or openai.APIStatusError) as caught:
        list(server.client().chat.completions.create(model="m", messages=ASK, stream=stream))
    error = caught.value
    assert isinstance(error.body, dict) and error.body["message"] and "type" in error.body
    assert "upstream-key" not in str(error)
    if wanted in (openai.BadRequestError, openai.RateLimitError):
        # A rate limit has the one code that clients look for, whatever the vendor calls it.
        assert error.code == ("rate_limit_exceeded" if status == 429 else "some_code")
        assert "the reason" in error.message


def test_no_key_and_a_wrong_key_are_authentication_errors(server, upstream):
    for key in ("sk-parley-wrong", server.key[:-1], server.key + "x"):
        with pytest.raises(openai.AuthenticationError) as caught:
            server.client(api_key=key).chat.completions.create(model="m", messages=ASK)
        assert caught.value.code == "invalid_api_key" and key not in str(caught.value)
    status, headers, text = server.request("POST", "/v1/chat/completions", {"model": "m", "messages": ASK}, key=False)
    assert status == 401 and json.loads(text)["error"]["message"]
    assert upstream.log() == []


def test_a_slow_upstream_is_a_timeout_of_the_client(server, upstream):
    upstream.script([{"hang": True}])
    with pytest.raises(openai.APITimeoutError):
        server.client(timeout=0.5).chat.completions.create(model="m", messages=ASK)


def test_the_library_retries_and_succeeds(server, upstream):
    upstream.script({"times": 2, "steps": failure(503, headers={"retry-after": "0"})})
    done = server.client(max_retries=3).chat.completions.create(model="m", messages=ASK)
    assert done.choices[0].message.content == "Hello from upstream."
    assert len(upstream.log()) == 3


def test_headers_request_id_and_rate_limits_pass(server, upstream):
    upstream.script(answer(whole(), headers={
        "x-ratelimit-remaining-requests": "41", "x-ratelimit-reset-tokens": "6m0s", "set-cookie": "a=b",
        "openai-organization": "secret-org"}))
    raw = server.client().chat.completions.with_raw_response.create(
        model="m", messages=ASK, extra_headers={"x-request-id": "mine-1"})
    assert raw.headers["x-request-id"] == "mine-1"
    assert raw.headers["x-ratelimit-remaining-requests"] == "41"
    assert raw.headers["x-ratelimit-reset-tokens"] == "6m0s"
    assert "set-cookie" not in raw.headers
    raw = server.client().chat.completions.with_raw_response.create(model="m", messages=ASK)
    assert raw.headers["x-request-id"]


def test_a_stream_left_early_does_not_spoil_the_client(server, upstream):
    upstream.script({"match": {"model": "long"}, "steps": [SSE, {"repeat": {"count": 1000, "write": f"data: {chunk('x')}\n\n", "every_ms": 20}}]})
    client = server.client()
    stream = client.chat.completions.create(model="long", messages=ASK, stream=True)
    next(iter(stream))
    stream.close()
    assert client.chat.completions.create(model="m", messages=ASK).choices[0].message.content
