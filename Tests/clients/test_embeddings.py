# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""Vectors and completed prompts with the official `openai` library, through the real binary and its demo model."""

import openai
import pytest

TEXTS = ["The quick brown fox", "A quick brown fox", "Something else"]


def test_vectors_come_the_same_as_numbers_and_as_base64(demo_server):
    client = demo_server.client()
    usual = client.embeddings.create(model="demo", input=TEXTS)  # the library asks for base64 and decodes it
    plain = client.embeddings.create(model="demo", input=TEXTS, encoding_format="float")
    assert [item.index for item in usual.data] == [0, 1, 2]
    assert all(isinstance(number, float) for number in usual.data[0].embedding)
    for a, b in zip(usual.data, plain.data):
        assert a.embedding == pytest.approx(b.embedding, abs=1e-6)
    assert usual.usage.prompt_tokens == usual.usage.total_tokens > 0


def test_dimensions_and_tokens(demo_server):
    made = demo_server.client().embeddings.create(model="demo", input=[[1, 2], [3]], dimensions=5)
    assert [len(item.embedding) for item in made.data] == [5, 5]


def test_an_empty_text_is_refused(demo_server):
    with pytest.raises(openai.BadRequestError) as refused:
        demo_server.client().embeddings.create(model="demo", input="")
    assert refused.value.param == "input"


def test_geminis_shape(demo_server):
    status, _, text = demo_server.request(
        "POST", "/v1beta/models/demo:embedContent", {"content": {"parts": [{"text": "hi"}]}})
    assert status == 200 and b'"embedding":{"values":[' in text, text


def test_a_prompt_is_completed_whole_and_streamed(demo_server):
    client = demo_server.client()
    done = client.completions.create(model="demo", prompt="Say hello", max_tokens=5, echo=True, logprobs=1)
    assert done.object == "text_completion" and done.choices[0].text.startswith("Say hello")
    assert done.choices[0].finish_reason == "length" and len(done.choices[0].logprobs.tokens) == 5
    chunks = list(client.completions.create(
        model="demo", prompt="Say hello", max_tokens=5, stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].text for c in chunks if c.choices)
    assert chunks[-1].usage.completion_tokens == 5


def test_what_a_chat_cannot_complete_is_refused(demo_server):
    with pytest.raises(openai.BadRequestError) as refused:
        demo_server.client().completions.create(model="demo", prompt=["one", "two"])
    assert refused.value.param == "prompt"
