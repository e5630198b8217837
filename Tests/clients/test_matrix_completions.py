# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""Legacy completions with the official library against every kind of upstream."""

import pytest
from fakes.scenario import TEXT
from test_matrix import UPSTREAMS, upstream  # noqa: F401 (fixture)

PROMPT = "Go on. #plain"


def test_a_prompt_is_completed_whole(matrix, upstream):
    made = matrix.client().completions.create(model=UPSTREAMS[upstream], prompt=PROMPT, max_tokens=50)
    assert made.object == "text_completion"
    assert (made.choices[0].text, made.choices[0].finish_reason) == (TEXT, "stop")
    assert (made.usage.prompt_tokens, made.usage.completion_tokens) == (21, 13)


def test_a_prompt_is_completed_in_a_stream(matrix, upstream):
    chunks = list(matrix.client().completions.create(
        model=UPSTREAMS[upstream], prompt=PROMPT, max_tokens=50, stream=True, stream_options={"include_usage": True}))
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == TEXT
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason] == ["stop"]
    assert chunks[-1].usage.completion_tokens == 13


@pytest.mark.parametrize("streamed", [False, True])
def test_the_prompt_is_echoed(matrix, upstream, streamed):
    made = matrix.client().completions.create(
        model=UPSTREAMS[upstream], prompt=PROMPT, max_tokens=50, echo=True, stream=streamed)
    chunks = list(made) if streamed else [made]
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == PROMPT + TEXT
