# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""`langchain-openai` through the real binary."""

import json

import pydantic
from langchain_openai import ChatOpenAI

from conftest import answer, whole
from test_openai_sdk import streamed_calls


def model(server, **options):
    return ChatOpenAI(model="m", base_url=server.url, api_key=server.key, max_retries=0, timeout=20, **options)


def weather(city: str) -> str:
    """The weather of a city."""
    return city


def time_of(city: str) -> str:
    """The time in a city."""
    return city


class Place(pydantic.BaseModel):
    """A place."""

    city: str


def test_invoke(server):
    done = model(server).invoke("hi")
    assert done.content == "Hello from upstream." and done.usage_metadata["total_tokens"] > 0


def test_stream(server):
    parts = list(model(server, stream_usage=True).stream("hi"))
    assert "".join(part.content for part in parts) == "Hello from upstream."
    assert any(part.usage_metadata for part in parts)


async def test_async_invoke_and_stream(server):
    assert (await model(server).ainvoke("hi")).content == "Hello from upstream."
    assert "".join([part.content async for part in model(server).astream("hi")]) == "Hello from upstream."


def test_bound_tools_are_called(server):
    done = model(server).bind_tools([weather], tool_choice="required").invoke("call tool")
    assert done.tool_calls[0]["name"] == "weather"


def test_streamed_tool_calls_are_joined(server, upstream):
    upstream.script(streamed_calls())
    joined = None
    for part in model(server).bind_tools([weather, time_of]).stream("hi"):
        joined = part if joined is None else joined + part
    assert [(call["name"], call["args"]) for call in joined.tool_calls] == [
        ("weather", {"city": "Zürich"}), ("time_of", {"city": "Zürich"})]


def test_structured_output(server, upstream):
    upstream.script(answer(whole('{"city":"Bern"}')))
    assert model(server).with_structured_output(Place, method="json_schema").invoke("where?") == Place(city="Bern")
    assert json.loads(upstream.wait_for_requests(1)[0]["body"])["response_format"]["type"] == "json_schema"
