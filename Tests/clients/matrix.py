# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""One server in front of a fake of every kind."""

import pytest
from conftest import KEY, Server
from fakes import Fakes


@pytest.fixture(scope="module")
def shared_fakes():
    fakes = Fakes()
    yield fakes
    fakes.stop()


@pytest.fixture
def fakes(shared_fakes):
    shared_fakes.clear()
    return shared_fakes


@pytest.fixture(scope="module")
def shared_matrix(tmp_path_factory, shared_fakes):
    program = Server(tmp_path_factory.mktemp("matrix"), {
        "keys": [{"name": "tests", "key": KEY}],
        "defaults": {"retry": {"attempts": 1}},
        "providers": {
            "chat": {"kind": "openai-compatible", "base_url": shared_fakes.url("chat") + "/v1", "api_key": "k"},
            "responses": {"kind": "openai", "base_url": shared_fakes.url("responses") + "/v1", "api_key": "k"},
            "claude": {"kind": "anthropic", "base_url": shared_fakes.url("anthropic"), "api_key": "k"},
            "gemini": {"kind": "gemini", "base_url": shared_fakes.url("gemini"), "api_key": "k"},
            "bedrock": {"kind": "bedrock", "base_url": shared_fakes.url("bedrock"), "region": "eu-central-1",
                        "api_key": "k"},
        },
    })
    yield program
    program.stop()


@pytest.fixture
def matrix(shared_matrix, fakes):
    assert shared_matrix.alive(), f"the server is gone:\n{shared_matrix.log_text()[-3000:]}"
    yield shared_matrix
    assert shared_matrix.alive(), f"the server did not survive:\n{shared_matrix.log_text()[-3000:]}"
