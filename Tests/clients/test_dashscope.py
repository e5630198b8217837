# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""Alibaba DashScope by its own API and in compatible mode, through every client library."""

import json

import pytest

from conftest import KEY, Server, wait_until
from drivers import DRIVERS
from fakes import dashscope
from fakes.scenario import PERSON, TEXT, THOUGHT

BOTH = ["native/qwen-plus", "compatible/qwen-plus"]
ALL = BOTH + ["growing/qwen-plus", "native/qwen-vl-max"]


@pytest.fixture(scope="module")
def shared_program(tmp_path_factory, shared_fakes):
    base = shared_fakes.url("dashscope")
    own = {"kind": "dashscope", "base_url": base + "/api/v1", "api_key": dashscope.KEY, "api": "native"}
    program = Server(tmp_path_factory.mktemp("dashscope"), {
        "keys": [{"name": "tests", "key": KEY}],
        "defaults": {"retry": {"attempts": 1}},
        "providers": {
            "native": own,
            "growing": own | {"params": {"incremental_output": False}},
            "compatible": {"kind": "dashscope", "base_url": base + "/compatible-mode/v1", "api_key": dashscope.KEY},
            "wrong": own | {"api_key": "sk-guessed0123456789"},
        },
    })
    yield program
    program.stop()


@pytest.fixture
def program(shared_program, fakes):
    assert shared_program.alive()
    yield shared_program
    assert shared_program.alive(), shared_program.log_text()[-3000:]
    assert "guessed" not in shared_program.log_text() and dashscope.KEY not in shared_program.log_text()


@pytest.fixture(params=DRIVERS, ids=lambda driver: driver.name)
def driver(request, program):
    return lambda model: request.param(program, model)


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def stream(request):
    return request.param


@pytest.mark.parametrize("model", ALL)
def test_text_and_usage_arrive_unchanged(driver, model, stream):
    client = driver(model)
    client.user("Say something. #plain")
    said = client.ask(stream=stream, system="Be a fish.")
    assert (said.text, said.finish, said.input, said.cached, said.output) == (TEXT, "stop", 21, 8, 13)
    assert not stream or said.chunks > 3


@pytest.mark.parametrize("model", BOTH + ["growing/qwen-plus"])
def test_parallel_tool_calls_and_their_results_go_round(driver, model, stream):
    client = driver(model)
    client.user("Weather? #tools")
    said = client.ask(stream=stream, tools=True)
    assert said.finish == "tools"
    assert [call[1:] for call in said.calls] == [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Rome"})]
    client.results(list(zip(said.calls, ["18 °C", "21 °C"])))
    assert client.ask(stream=stream, tools=True).text == "18 °C; 21 °C"


@pytest.mark.parametrize("model", BOTH + ["growing/qwen-plus"])
def test_reasoning_is_asked_for_with_a_budget_and_shown(driver, model, stream, fakes):
    client = driver(model)
    client.user("Think. #thinking")
    said = client.ask(stream=stream, think=True)
    assert (said.reasoning, said.text) == (THOUGHT, TEXT)
    # Responses are relayed, where the word is understood.
    relayed = client.name == "openai-responses" and model.startswith("compatible")
    assert fakes.last("dashscope")["view"].reasoning in (("low",) if relayed else (1024, 2048))


@pytest.mark.parametrize("model", BOTH)
def test_a_schema_is_followed_and_a_length_limit_told(driver, model, stream, fakes):
    client = driver(model)
    client.user("Who? #structured")
    assert json.loads(client.ask(stream=stream, schema=True).text) == json.loads(PERSON)
    client = driver(model)
    client.user("#length")
    said = client.ask(stream=stream, max_tokens=77)
    assert (said.text, said.finish) == ("Cut sho", "length")
    assert fakes.last("dashscope")["view"].max_tokens == 77


def test_images_go_to_the_place_for_models_that_see(driver, fakes):
    for model in ("native/qwen-vl-max", "compatible/qwen-vl-max"):
        client = driver(model)
        client.user("#see", image=True)
        assert client.ask().text == "1 images, 0 documents"
    client = driver("native/qwen-plus")
    client.user("#see", image=True)
    with pytest.raises(client.refused):
        client.ask()


@pytest.mark.parametrize("model", BOTH)
@pytest.mark.parametrize("scenario,kind", [("slow_down", "rate_limited"), ("too_long", "refused"),
                                           ("unknown_model", "missing"), ("overloaded", "unavailable")])
def test_an_error_is_the_librarys_own(driver, model, stream, scenario, kind):
    client = driver(model)
    client.user(f"#{scenario}")
    with pytest.raises(getattr(client, kind)):
        client.ask(stream=stream)


@pytest.mark.parametrize("model", BOTH)
@pytest.mark.parametrize("scenario", ["midway_error", "cut"])
def test_a_stream_that_breaks_raises_an_error_in_the_library(driver, model, scenario):
    client = driver(model)
    client.user(f"#{scenario}")
    with pytest.raises(client.failed):
        client.ask(stream=True)


@pytest.mark.parametrize("model", ["compatible/qwq-plus", "compatible/qwen3-8b"])
def test_models_that_only_stream_answer_whole_too(driver, model, stream, fakes):
    client = driver(model)
    client.user("#thinking")
    said = client.ask(stream=stream, think=True)
    assert (said.text, said.reasoning, said.output) == (TEXT, THOUGHT, 13)
    assert fakes.last("dashscope")["view"].stream


def test_a_forced_call_is_dropped_and_named_and_json_is_said(program, fakes):
    for model in BOTH:
        answer = program.client().chat.completions.with_raw_response.create(
            model=model, messages=[{"role": "developer", "content": "s"}, {"role": "user", "content": "#plain"}],
            tool_choice="required", temperature=2 if model.startswith("native") else 1,
            tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}])
        assert answer.headers["x-parley-dropped"] == "tool_choice"
    program.client().chat.completions.create(
        model="compatible/qwen-plus", messages=[{"role": "user", "content": "#plain"}],
        response_format={"type": "json_object"})
    assert "JSON" in fakes.last("dashscope")["body"]["messages"][0]["content"]


def test_a_refused_key_is_a_401_that_names_the_provider(program, stream):
    status, _, body = program.request(
        "POST", "/v1/chat/completions",
        {"model": "wrong/qwen-plus", "stream": stream, "messages": [{"role": "user", "content": "hi"}]})
    error = json.loads(body)["error"]
    assert (status, error["code"]) == (401, "invalid_api_key") and error["message"].startswith("wrong: ")
    assert b"guessed" not in body


def test_texts_are_embedded_ten_at_a_time(program, fakes):
    for model in ("native/text-embedding-v4", "compatible/text-embedding-v4"):
        vectors = program.client().embeddings.create(model=model, input=["x"] * 23)
        assert len(vectors.data) == 23 and vectors.usage.prompt_tokens == 9


@pytest.mark.parametrize("model", BOTH)
def test_a_client_that_leaves_takes_the_upstream_along(program, model, fakes):
    with program.client().chat.completions.create(
            model=model, stream=True, messages=[{"role": "user", "content": "#endless"}]) as answer:
        for _ in range(3):
            next(iter(answer))
    wait_until(lambda: fakes.left, what="the upstream's connection being closed")


def test_models_are_listed(program):
    ids = [model.id for model in program.client().models.list()]
    assert "native/qwen-plus" in ids and "compatible/qwen-plus" in ids
