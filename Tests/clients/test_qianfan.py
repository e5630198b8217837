# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""Baidu Qianfan by both versions of its API, through every client library."""

import asyncio
import json

import pytest

from conftest import KEY, Server, wait_until
from drivers import DRIVERS
from fakes import qianfan
from fakes.scenario import PERSON, TEXT

OLD, NEW = "old/ERNIE-4.0-8K", "new/ernie-4.0-8k"


def settings(base):
    return {
        "keys": [{"name": "tests", "key": KEY}],
        "defaults": {"retry": {"attempts": 1}},
        "providers": {
            "old": {"kind": "qianfan", "base_url": base, "api_key": "AK", "secret_key": "SK"},
            "pairs": {"kind": "qianfan", "base_url": base, "api_key": ["AK|SK", "AK2|SK2"], "api": "v1"},
            "new": {"kind": "qianfan", "base_url": base + "/v2", "api_key": qianfan.V2_KEY, "api": "v2"},
            "wrong": {"kind": "qianfan", "base_url": base, "api_key": "AK", "secret_key": "guessed"},
            "wrong2": {"kind": "qianfan", "base_url": base + "/v2", "api_key": "bce-v3/guessed", "api": "v2"},
        },
    }


@pytest.fixture
def program(tmp_path, fakes):
    """A server of its own for each test: a token is kept as long as it lives."""
    qianfan.state.reset()
    server = Server(tmp_path / "parley", settings(fakes.url("qianfan")))
    yield server
    assert server.alive(), server.log_text()[-3000:]
    server.stop()
    for secret in ("guessed", "client_secret", "24.token", "access_token"):
        assert secret not in server.log_text()


@pytest.fixture(scope="module")
def shared_program(tmp_path_factory, shared_fakes):
    qianfan.state.reset()
    server = Server(tmp_path_factory.mktemp("qianfan"), settings(shared_fakes.url("qianfan")))
    yield server
    server.stop()


@pytest.fixture(params=DRIVERS, ids=lambda driver: driver.name)
def driver(request, shared_program, fakes):
    return lambda model: request.param(shared_program, model)


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def stream(request):
    return request.param


def chat(program, model=OLD, text="#plain", **more):
    status, headers, body = program.request(
        "POST", "/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": text}]} | more)
    return status, headers, body


@pytest.mark.parametrize("model", [OLD, NEW, "pairs/ernie-own-model"])
def test_text_and_usage_arrive_unchanged(driver, model, stream):
    client = driver(model)
    client.user("Say something. #plain")
    said = client.ask(stream=stream, system="Be a fish.")
    assert (said.text, said.finish, said.input, said.output) == (TEXT, "stop", 21, 13)
    assert not stream or said.chunks > 3


@pytest.mark.parametrize("model", [OLD, NEW])
def test_the_system_text_reaches_the_upstream(driver, model, stream):
    client = driver(model)
    client.user("#say_system")
    assert client.ask(stream=stream, system="Be a 🐟.").text == "Be a 🐟."


def test_a_conversation_goes_on_in_turns_that_alternate(driver, fakes):
    client = driver(OLD)
    client.user("One. #plain")
    client.ask()
    client.user("Two.")
    client.user("Three.")
    client.ask()
    assert [turn["role"] for turn in fakes.last("qianfan")["body"]["messages"]] == ["user", "assistant", "user"]


def test_the_older_api_calls_one_function_a_turn_and_hears_its_result(driver, stream, fakes):
    client = driver(OLD)
    client.user("Weather? #tools")
    said = client.ask(stream=stream, tools=True)
    assert said.finish == "tools" and said.reasoning == "I need the weather."
    assert [call[1:] for call in said.calls] == [("get_weather", {"city": "Paris"})]
    client.results([(said.calls[0], "18 °C")])
    text = client.ask(stream=stream, tools=True).text
    assert "18 °C" in text
    view = fakes.last("qianfan")["view"]
    assert view.tools == ["get_weather"] and json.loads(view.calls[0][2]) == {"city": "Paris"}


def test_version_2_calls_several_tools_at_once(driver, stream):
    client = driver(NEW)
    client.user("Weather? #tools")
    said = client.ask(stream=stream, tools=True)
    assert len(said.calls) == 2
    client.results(list(zip(said.calls, ["18 °C", "21 °C"])))
    assert client.ask(stream=stream, tools=True).text == "18 °C; 21 °C"


@pytest.mark.parametrize("model", [OLD, NEW])
def test_a_schema_is_followed(driver, model, stream):
    client = driver(model)
    client.user("Who? #structured")
    assert json.loads(client.ask(stream=stream, schema=True).text) == json.loads(PERSON)


@pytest.mark.parametrize("model", [OLD, NEW])
def test_a_length_limit_and_a_filter_are_told(driver, model, stream):
    client = driver(model)
    client.user("#length")
    said = client.ask(stream=stream, max_tokens=77)
    assert (said.text, said.finish) == ("Cut sho", "length")
    client = driver(model)
    client.user("#filtered")
    assert client.ask(stream=stream).finish == "filter"


@pytest.mark.parametrize("model", [OLD, NEW])
@pytest.mark.parametrize("scenario,kind", [("slow_down", "rate_limited"), ("too_long", "refused"),
                                           ("unknown_model", "missing"), ("overloaded", "unavailable")])
def test_an_error_is_the_librarys_own(driver, model, stream, scenario, kind):
    client = driver(model)
    client.user(f"#{scenario}")
    with pytest.raises(getattr(client, kind)):
        client.ask(stream=stream)


@pytest.mark.parametrize("model", [OLD, NEW])
@pytest.mark.parametrize("scenario", ["midway_error", "cut"])
def test_a_stream_that_breaks_raises_an_error_in_the_library(driver, model, scenario):
    client = driver(model)
    client.user(f"#{scenario}")
    with pytest.raises(client.failed):
        client.ask(stream=True)


def test_images_are_refused_by_name(driver, fakes):
    client = driver(OLD)
    client.user("#see", image=True)
    with pytest.raises(client.refused) as caught:
        client.ask()
    assert "takes no images" in str(caught.value)
    assert not fakes.seen


def test_a_token_is_fetched_once_and_again_when_it_is_over(program, fakes, stream):
    for _ in range(3):
        assert chat(program, stream=stream)[0] == 200
    assert qianfan.state.calls == 1
    qianfan.state.expire()
    assert chat(program, stream=stream)[0] == 200
    assert qianfan.state.calls == 2
    vectors = program.client().embeddings.create(model="old/bge-large-zh", input=["a"] * 20)
    assert len(vectors.data) == 20 and qianfan.state.calls == 2
    qianfan.state.expire()
    assert program.client().embeddings.create(model="old/bge-large-zh", input="a").data[0].embedding == [0.5, 0]
    assert qianfan.state.calls == 3


async def many(program, count):
    """`count` callers at once, each on a connection of its own."""
    async def one():
        reader, writer = await asyncio.open_connection("127.0.0.1", program.port)
        body = json.dumps({"model": OLD, "messages": [{"role": "user", "content": "#plain"}]}).encode()
        writer.write((f"POST /v1/chat/completions HTTP/1.1\r\nHost: p\r\nAuthorization: Bearer {KEY}\r\n"
                      f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body)
        answer = await reader.read()
        writer.close()
        return int(answer.split()[1])
    return await asyncio.gather(*(one() for _ in range(count)))


def test_500_callers_on_an_expired_token_cause_one_refresh(program):
    """T46: a stampede for tokens is answered with 429, and the pair is locked."""
    qianfan.state.delay = 0.5
    assert set(asyncio.run(many(program, 500))) == {200}
    assert qianfan.state.calls == 1
    qianfan.state.expire()
    assert set(asyncio.run(many(program, 500))) == {200}
    assert qianfan.state.calls == 2


def test_a_restart_keeps_the_token(tmp_path, fakes):
    qianfan.state.reset()
    config = settings(fakes.url("qianfan")) | {"store": f"sqlite:{tmp_path}/parley.db"}
    for run in ("one", "two"):
        server = Server(tmp_path / run, config)
        assert chat(server)[0] == 200 and chat(server, stream=True)[0] == 200
        server.stop()
    assert qianfan.state.calls == 1
    kept = [file for file in tmp_path.rglob("*") if file.is_file() and "parley.db" in str(file.relative_to(tmp_path))]
    assert kept and not any(b"AK|SK" in file.read_bytes() for file in kept)
    qianfan.state.expire()   # what was kept is over: it is replaced, and kept in turn
    for run in ("three", "four"):
        server = Server(tmp_path / run, config)
        assert chat(server)[0] == 200
        server.stop()
    assert qianfan.state.calls == 2


def test_each_pair_has_a_token_of_its_own(program):
    for _ in range(4):
        assert chat(program, "pairs/ERNIE-4.0-8K")[0] == 200
    assert qianfan.state.calls == 2


@pytest.mark.parametrize("model,word", [("wrong/ERNIE-4.0-8K", "secret_key"), ("wrong2/ernie-4.0-8k", "API key")])
def test_a_refused_key_is_a_401_that_says_what_to_renew(program, model, word, stream):
    status, _, body = chat(program, model, stream=stream)
    error = json.loads(body)["error"]
    assert (status, error["type"], error["code"]) == (401, "authentication_error", "invalid_api_key")
    assert word in error["message"] and error["message"].startswith(model.split("/")[0] + ": ")
    assert b"guessed" not in body


def test_a_model_that_is_not_there_is_a_404(program):
    status, _, body = chat(program, "old/no-such-model")
    assert status == 404 and json.loads(body)["error"]["code"] == "model_not_found"


def test_bounds_are_kept_and_what_is_lost_is_named(program, fakes):
    answer = program.client().chat.completions.with_raw_response.create(
        model=OLD, messages=[{"role": "assistant", "content": "Hello!"}, {"role": "user", "content": "#plain"}],
        temperature=0, top_p=1.0, frequency_penalty=2, stop=["a", "x" * 21], user="u", max_tokens=9999, seed=1)
    body = fakes.last("qianfan")["body"]
    assert (body["temperature"], body["penalty_score"], body["stop"]) == (0.01, 2, ["a"])
    assert (body["user_id"], body["max_output_tokens"]) == ("u", 2048)
    assert set(answer.headers["x-parley-dropped"].replace(" ", "").split(",")) == {"messages[]", "stop", "seed"}


def test_a_client_that_leaves_takes_the_upstream_along(program, fakes):
    with program.client().chat.completions.create(
            model=OLD, stream=True, messages=[{"role": "user", "content": "#endless"}]) as answer:
        for _ in range(3):
            next(iter(answer))
    wait_until(lambda: fakes.left, what="the upstream's connection being closed")
