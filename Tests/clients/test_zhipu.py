# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""Zhipu by both versions of its API, through every client library."""

import base64
import hashlib
import hmac
import json
import threading
import time

import pytest

from conftest import KEY, Server, wait_until
from drivers import DRIVERS, Chat
from fakes import zhipu
from fakes.scenario import PERSON, TEXT, THOUGHT, Refused

V4 = ["key/glm-4.6", "jwt/glm-4.6"]


@pytest.fixture(scope="module")
def shared_program(tmp_path_factory, shared_fakes):
    base = shared_fakes.url("zhipu") + "/api/paas"
    v4, v3 = {"kind": "zhipu", "base_url": base + "/v4"}, {"kind": "zhipu", "base_url": base + "/v3", "api": "v3"}
    program = Server(tmp_path_factory.mktemp("zhipu"), {
        "keys": [{"name": "tests", "key": KEY}],
        "defaults": {"retry": {"attempts": 1}},
        "providers": {
            "key": v4 | {"api_key": "abc.s3cret"},
            "jwt": v4 | {"api_key": ["abc.s3cret", "def.0ther"], "token": "jwt"},
            "old": v3 | {"api_key": "abc.s3cret"},
            "growing": v3 | {"api_key": "abc.s3cret", "params": {"incremental": False}},
            "wrong": v3 | {"api_key": "abc.guess"}, "wrong4": v4 | {"api_key": "abc.guess", "token": "jwt"},
        },
    })
    yield program
    program.stop()


@pytest.fixture
def program(shared_program, fakes):
    zhipu.state.reset()
    zhipu.state.over = frozenset()
    assert shared_program.alive()
    yield shared_program
    assert shared_program.alive(), shared_program.log_text()[-3000:]
    for secret in ("s3cret", "0ther", "guess", "eyJ"):
        assert secret not in shared_program.log_text()


@pytest.fixture(params=DRIVERS, ids=lambda driver: driver.name)
def driver(request, program):
    return lambda model: request.param(program, model)


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def stream(request):
    return request.param


@pytest.mark.parametrize("model", V4 + ["old/chatglm_turbo", "growing/chatglm_turbo"])
def test_text_and_usage_arrive_unchanged(driver, model, stream):
    client = driver(model)
    client.user("Say something. #plain")
    said = client.ask(stream=stream, system="Be a fish.")
    assert (said.text, said.finish, said.input, said.output) == (TEXT, "stop", 21, 13)
    assert not stream or said.chunks > 3


@pytest.mark.parametrize("model", ["key/glm-4.6", "old/chatglm_turbo"])
def test_the_system_text_reaches_the_upstream(driver, model, stream):
    client = driver(model)
    client.user("#say_system")
    assert client.ask(stream=stream, system="Be a 🐟.").text == "Be a 🐟."


def test_version_4_calls_tools_and_hears_their_results(driver, stream, fakes):
    client = driver("jwt/glm-4.6")
    client.user("Weather? #tools")
    said = client.ask(stream=stream, tools=True)
    assert said.finish == "tools"
    assert [call[1:] for call in said.calls] == [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Rome"})]
    client.results(list(zip(said.calls, ["18 °C", "21 °C"])))
    assert client.ask(stream=stream, tools=True).text == "18 °C; 21 °C"


def test_version_3_refuses_tools_by_name(driver, stream, fakes):
    client = driver("old/chatglm_turbo")
    client.user("Weather? #tools")
    with pytest.raises(client.refused) as caught:
        client.ask(stream=stream, tools=True)
    assert "tools" in str(caught.value) and "version 3" in str(caught.value)
    assert not fakes.seen


def test_version_4_thinks_and_follows_a_schema_by_instruction(driver, stream, fakes):
    client = driver("key/glm-4.6")
    client.user("Think. #thinking")
    said = client.ask(stream=stream, think=True)
    assert (said.reasoning, said.text) == (THOUGHT, TEXT)
    assert fakes.last("zhipu")["view"].reasoning == {"type": "enabled"}
    for model in ("key/glm-4.6", "old/chatglm_turbo"):
        client = driver(model)
        client.user("Who? #structured")
        assert json.loads(client.ask(stream=stream, schema=True).text) == json.loads(PERSON)


def test_version_4_gets_images_as_bare_base64(driver):
    client = driver("key/glm-4.6")
    client.user("#see", image=True)
    assert client.ask().text == "1 images, 0 documents"


@pytest.mark.parametrize("model", ["key/glm-4.6", "old/chatglm_turbo"])
def test_a_filtered_answer_is_told(driver, model):
    client = driver(model)
    client.user("#filtered")
    assert client.ask(stream=True).finish == "filter"


@pytest.mark.parametrize("model", ["key/glm-4.6", "old/chatglm_turbo"])
@pytest.mark.parametrize("scenario", ["midway_error", "cut"])
def test_a_stream_that_breaks_raises_an_error_in_the_library(driver, model, scenario):
    client = driver(model)
    client.user(f"#{scenario}")
    with pytest.raises(client.failed):
        client.ask(stream=True)


@pytest.mark.parametrize("model", ["key/glm-4.6", "old/chatglm_turbo"])
@pytest.mark.parametrize("scenario,kind", [("slow_down", "rate_limited"), ("too_long", "refused"),
                                           ("unknown_model", "missing")])
def test_an_error_is_the_librarys_own(driver, model, stream, scenario, kind):
    client = driver(model)
    client.user(f"#{scenario}")
    with pytest.raises(getattr(client, kind)):
        client.ask(stream=stream)


def test_bounds_are_kept_and_what_is_lost_is_named(program, fakes):
    answer = program.client().chat.completions.with_raw_response.create(
        model="key/glm-4.6", messages=[{"role": "developer", "content": "s"}, {"role": "user", "content": "#plain"}],
        temperature=0, top_p=1, stop=["a", "b"], tool_choice="required", user="u", max_completion_tokens=5,
        presence_penalty=1, parallel_tool_calls=True, logprobs=True,
        tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}])
    body = fakes.last("zhipu")["body"]
    assert (body["temperature"], body["do_sample"], body["top_p"], body["stop"]) == (0.01, False, 0.99, ["a"])
    assert (body["user_id"], body["max_tokens"]) == ("u", 5) and "tool_choice" not in body
    assert set(answer.headers["x-parley-dropped"].replace(" ", "").split(",")) == {
        "stop", "tool_choice", "presence_penalty", "parallel_tool_calls", "logprobs"}


def test_version_3_answers_as_the_older_adapter_did(program, fakes):
    """openai-style-api: the system's pair, the closed interval of top_p, and the id of the answer."""
    answer = program.client().chat.completions.create(
        model="old/chatglm_turbo", messages=[{"role": "system", "content": "S"}, {"role": "user", "content": "#plain"}],
        temperature=0.5, top_p=1)
    assert answer.id == "chatcmpl-8098"
    body = fakes.last("zhipu")["body"]
    assert body["prompt"][:2] == [{"role": "user", "content": "You need to follow the system settings:S"},
                                  {"role": "assistant", "content": "ok"}]
    assert (body["temperature"], body["top_p"]) == (0.5, 0.7)
    quoted = program.client().chat.completions.create(
        model="old/chatglm_turbo", messages=[{"role": "user", "content": "#plain quoted"}])
    assert quoted.choices[0].message.content == TEXT


@pytest.mark.parametrize("model", ["jwt/glm-4.6", "old/chatglm_turbo"])
def test_a_token_is_signed_once_and_anew_when_it_is_over(program, model, fakes, stream):
    client = Chat(program, model)
    for _ in range(8):
        client.messages = []
        client.user("#plain")
        client.ask(stream=stream)
    before = set(zhipu.state.tokens)
    assert len(before) == (2 if model.startswith("jwt") else 1)   # one for each key
    zhipu.state.expire()
    client.messages = []
    client.user("#plain")
    assert client.ask(stream=stream).text == TEXT
    refusals = [entry for entry in fakes.seen if entry["refusal"]]
    assert len(refusals) == 1 and len(set(zhipu.state.tokens) - before) == 1


@pytest.mark.parametrize("model", ["wrong/chatglm_turbo", "wrong4/glm-4.6"])
def test_a_wrong_secret_is_a_401_that_names_the_provider_and_no_secret(program, model, fakes, stream):
    status, headers, body = program.request(
        "POST", "/v1/chat/completions",
        {"model": model, "stream": stream, "messages": [{"role": "user", "content": "hi"}]})
    error = json.loads(body)["error"]
    assert (status, error["type"], error["code"]) == (401, "authentication_error", "invalid_api_key")
    assert error["message"].startswith(model.split("/")[0] + ": ")
    assert b"guess" not in body and b"eyJ" not in body
    assert len(fakes.seen) == 2   # signed anew once, no more


def test_many_callers_use_one_token(program):
    failures = []

    def one():
        client = Chat(program, "old/chatglm_turbo")
        client.user("#plain")
        if client.ask(stream=True).text != TEXT:
            failures.append("text")

    threads = [threading.Thread(target=one) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and len(set(zhipu.state.tokens)) == 1


@pytest.mark.parametrize("model", ["key/glm-4.6", "old/chatglm_turbo"])
def test_a_client_that_leaves_takes_the_upstream_along(program, model, fakes):
    with program.client().chat.completions.create(
            model=model, stream=True, messages=[{"role": "user", "content": "#endless"}]) as answer:
        for _ in range(3):
            next(iter(answer))
    wait_until(lambda: fakes.left, what="the upstream's connection being closed")


def test_models_are_listed_and_texts_embedded(program):
    ids = [model.id for model in program.client().models.list()]
    assert "key/glm-4.6" in ids and "jwt/glm-4.6" in ids
    vectors = program.client().embeddings.create(model="jwt/embedding-3", input=["a", "b"])
    assert [entry.embedding for entry in vectors.data] == [[0.5, 0], [0.5, 1]]


def token(secret="s3cret", scale=1000, life=60, **head):
    """A token as somebody would sign it who may have read the page wrong."""
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    now = int(time.time() * scale)
    text = ".".join([part({"alg": "HS256", "sign_type": "SIGN"} | head),
                     part({"api_key": "abc", "exp": now + life * scale, "timestamp": now})])
    code = hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()
    return text + "." + base64.urlsafe_b64encode(code).rstrip(b"=").decode()


@pytest.mark.parametrize("said,version", [
    (lambda: token("guess"), 3), (lambda: token(life=-1), 3), (lambda: token(scale=1), 3),
    (lambda: token(sign_type=None), 3), (lambda: token(alg="none"), 3), (lambda: "Bearer " + token(), 3),
    (lambda: token(), 4), (lambda: "Bearer abc.guess", 4), (lambda: "abc.s3cret", 3), (lambda: "", 3),
], ids=["signature", "over", "seconds", "sign_type", "alg", "bearer", "no bearer", "key", "key in version 3", "nothing"])
def test_the_fake_refuses_what_the_service_would(said, version):
    with pytest.raises(Refused):
        zhipu.signed_in({"authorization": said()}, version)


def test_the_fake_takes_both_ways_to_sign_in():
    zhipu.state.over = frozenset()
    zhipu.signed_in({"authorization": token()}, 3)
    zhipu.signed_in({"authorization": "Bearer " + token(typ="JWT")}, 4)
    zhipu.signed_in({"authorization": "Bearer abc.s3cret"}, 4)
