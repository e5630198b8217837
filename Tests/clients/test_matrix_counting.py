# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""Tokens of a request, counted by the vendor where it counts them and estimated where it does not."""

import pytest
from drivers import Gemini, Messages
from test_matrix import UPSTREAMS, upstream  # noqa: F401 (fixture)

TOOLS = [{"name": "get_weather", "input_schema": {"type": "object", "properties": {}}}]


def test_anthropics_count(matrix, upstream, fakes):
    client = Messages(matrix, UPSTREAMS[upstream]).client
    raw = client.messages.with_raw_response.count_tokens(
        model=UPSTREAMS[upstream], messages=[{"role": "user", "content": "Count me. " * 20}], tools=TOOLS,
        system="Be brief.")
    count = raw.parse().input_tokens
    if upstream in ("anthropic", "gemini"):
        assert count == 42
        assert "x-parley-estimated" not in raw.headers
        assert fakes.last(upstream)["path"].split("?")[0].endswith(("/count_tokens", ":countTokens"))
    else:
        assert 40 <= count <= 120
        assert raw.headers["x-parley-estimated"] == "true"


def test_geminis_count(matrix, upstream, fakes):
    client = Gemini(matrix, UPSTREAMS[upstream]).client
    answer = client.models.count_tokens(model=UPSTREAMS[upstream], contents="Count me. " * 20)
    headers = {name.lower(): value for name, value in answer.sdk_http_response.headers.items()}
    if upstream in ("anthropic", "gemini"):
        assert answer.total_tokens == 42
        assert "x-parley-estimated" not in headers
    else:
        assert 30 <= answer.total_tokens <= 120
        assert headers["x-parley-estimated"] == "true"
