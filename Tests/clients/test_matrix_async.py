# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""The libraries' asynchronous clients, many streams at once."""

import asyncio

import anthropic
import pytest
from fakes.scenario import TEXT
from google import genai
from google.genai import types
from test_matrix import UPSTREAMS, upstream  # noqa: F401 (fixture)

AT_ONCE = 20


async def chat(matrix, model):
    async with matrix.async_client() as client:
        async def one(number):
            stream = await client.chat.completions.create(
                model=model, messages=[{"role": "user", "content": f"{number} #plain"}], stream=True)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
        return await asyncio.gather(*map(one, range(AT_ONCE)))


async def responses(matrix, model):
    async with matrix.async_client() as client:
        async def one(number):
            async with client.responses.stream(model=model, input=f"{number} #plain", store=False) as stream:
                final = await stream.get_final_response()
            return final.output_text
        return await asyncio.gather(*map(one, range(AT_ONCE)))


async def messages(matrix, model):
    async with anthropic.AsyncAnthropic(base_url=matrix.origin, api_key=matrix.key, max_retries=0) as client:
        async def one(number):
            async with client.messages.stream(
                    model=model, max_tokens=500, messages=[{"role": "user", "content": f"{number} #plain"}]) as stream:
                return await stream.get_final_text()
        return await asyncio.gather(*map(one, range(AT_ONCE)))


async def gemini(matrix, model):
    client = genai.Client(api_key=matrix.key, http_options=types.HttpOptions(base_url=matrix.origin)).aio

    async def one(number):
        stream = await client.models.generate_content_stream(model=model, contents=f"{number} #plain")
        return "".join([chunk.text or "" async for chunk in stream])
    try:
        return await asyncio.gather(*map(one, range(AT_ONCE)))
    finally:
        await client.aclose()


@pytest.mark.parametrize("library", [chat, responses, messages, gemini], ids=lambda one: one.__name__)
def test_twenty_streams_at_once_are_all_whole(library, matrix, upstream):
    assert asyncio.run(library(matrix, UPSTREAMS[upstream])) == [TEXT] * AT_ONCE


def test_a_chat_of_googles_library_goes_on_after_a_stream(matrix, upstream, fakes):
    """It keeps every frame of a stream as a turn of its own."""
    client = genai.Client(api_key=matrix.key, http_options=types.HttpOptions(base_url=matrix.origin))
    talk = client.chats.create(model=UPSTREAMS[upstream], config=types.GenerateContentConfig(
        thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_budget=2048)))
    first = "".join(chunk.text or "" for chunk in talk.send_message_stream("#thinking"))
    assert first == TEXT
    assert "".join(chunk.text or "" for chunk in talk.send_message_stream("More."))
    assert len(fakes.last(upstream)["view"].texts) == 2
