# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""Every client library against every kind of upstream, whole and streamed: what the library parsed is what was said."""

import json

import pytest

from drivers import DRIVERS
from fakes.scenario import CALL_SIGNATURE, PERSON, SIGNATURE, TEXT, THOUGHT

# What a library finds odd in an answer it says as a warning.
pytestmark = pytest.mark.filterwarnings("error")

UPSTREAMS = {
    "chat": "chat/gpt-4o-mini", "responses": "responses/o3-pro", "anthropic": "claude/claude-sonnet-4-5",
    "gemini": "gemini/gemini-2.5-flash", "bedrock": "bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0",
}


@pytest.fixture(params=DRIVERS, ids=lambda driver: driver.name)
def driver(request, matrix):
    return lambda upstream: request.param(matrix, UPSTREAMS[upstream])


@pytest.fixture(params=list(UPSTREAMS))
def upstream(request):
    return request.param


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def stream(request):
    return request.param


def test_text_and_usage_arrive_unchanged(driver, upstream, stream):
    client = driver(upstream)
    client.user("Say something. #plain")
    said = client.ask(stream=stream)
    assert (said.text, said.finish) == (TEXT, "stop")
    assert (said.input, said.cached, said.output) == (21, 8, 13)
    assert not stream or said.chunks > 3


def test_the_system_text_reaches_the_upstream(driver, upstream, stream):
    client = driver(upstream)
    client.user("#say_system")
    assert client.ask(stream=stream, system="Be a 🐟.").text == "Be a 🐟."


def test_parallel_tool_calls_and_their_results_go_round(driver, upstream, stream, fakes):
    client = driver(upstream)
    client.user("Weather? #tools")
    said = client.ask(stream=stream, tools=True)
    assert said.finish == "tools"
    assert [call[1:] for call in said.calls] == [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Rome"})]
    assert len({call[0] for call in said.calls}) == 2 or client.name == "gemini"
    client.results(list(zip(said.calls, ["18 °C", "21 °C"])))
    assert client.ask(stream=stream, tools=True).text == "18 °C; 21 °C"
    view = fakes.last(upstream)["view"]
    assert [json.loads(call[2]) for call in view.calls] == [{"city": "Paris"}, {"city": "Rome"}]
    assert view.tools == ["get_weather"]
    if upstream == "gemini" and client.name != "anthropic":  # whose calls have no place for a signature
        assert view.signatures == [CALL_SIGNATURE]


def test_reasoning_is_shown_and_only_its_origin_gets_the_signature_back(driver, upstream, stream, fakes):
    client = driver(upstream)
    client.user("Think. #thinking")
    said = client.ask(stream=stream, think=True)
    assert (said.reasoning, said.text) == (THOUGHT, TEXT)
    assert fakes.last(upstream)["view"].reasoning
    client.user("Go on. #plain")
    assert client.ask(stream=stream, think=True).text
    signatures = fakes.last(upstream)["view"].signatures
    if upstream in ("anthropic", "bedrock") or (upstream == "responses" and client.name != "anthropic"):
        assert signatures == [SIGNATURE]


def test_structured_output_is_asked_for_in_the_upstreams_own_way(driver, upstream, stream):
    client = driver(upstream)
    client.user("Who? #structured")
    assert json.loads(client.ask(stream=stream, schema=True).text) == json.loads(PERSON)


def test_a_length_limit_is_told(driver, upstream, stream, fakes):
    client = driver(upstream)
    client.user("#length")
    said = client.ask(stream=stream, max_tokens=77)
    assert (said.text, said.finish) == ("Cut sho", "length")
    assert fakes.last(upstream)["view"].max_tokens == 77


def test_a_filtered_answer_is_told(driver, upstream, stream):
    client = driver(upstream)
    client.user("#filtered")
    assert client.ask(stream=stream).finish == "filter"


def test_an_image_and_a_document_reach_the_upstream(driver, upstream):
    client = driver(upstream)
    client.user("#see", image=True, document=True)
    assert client.ask().text == "1 images, 1 documents"


def test_a_rate_limit_is_the_librarys_own_error_with_its_delay(driver, upstream, stream):
    client = driver(upstream)
    client.user("#slow_down")
    with pytest.raises(client.rate_limited) as caught:
        client.ask(stream=stream)
    error = caught.value
    assert getattr(error, "status_code", None) == 429 or error.code == 429
    assert error.response.headers["retry-after"] == "7"


@pytest.mark.parametrize("scenario,status", [("too_long", 400), ("unknown_model", 404), ("overloaded", None)])
def test_a_refusal_is_the_librarys_own_error(driver, upstream, stream, scenario, status):
    client = driver(upstream)
    kind = {"too_long": client.refused, "unknown_model": client.missing, "overloaded": client.unavailable}[scenario]
    client.user(f"#{scenario}")
    with pytest.raises(kind) as caught:
        client.ask(stream=stream)
    found = getattr(caught.value, "status_code", None) or caught.value.code
    assert found == status or (status is None and found in (502, 503, 529))


@pytest.mark.parametrize("scenario", ["midway_error", "cut"])
def test_a_stream_that_breaks_raises_an_error_in_the_library(driver, upstream, scenario):
    client = driver(upstream)
    client.user(f"#{scenario}")
    with pytest.raises(client.failed):
        client.ask(stream=True)
