# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""FlowGPT through the real binary, against a fake that checks every header and the signature."""

import asyncio
import re

import openai
import pytest
from accounts import PIXEL, TOOL, ask, configuration, every_client, leave, marked, nothing_leaked, raw, refusal
from conftest import Server, wait_until
from fakes.flowgpt import DEVICE, LONG, PREAMBLE, SHORT, TOKEN, FlowGPT

MODEL = "up/gpt-4-free"


def settings(service, **more):
    provider = {"kind": "flowgpt", "base_url": service.url, "token": TOKEN, "device_id": DEVICE,
                "models": {"chatgpt-5-pro": "prompt-two", "gpt-4-free": "prompt-one"}, "default_model": "gpt-4-free"}
    return configuration(provider | more, "gpt-4-free")


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    service = FlowGPT()
    server = Server(tmp_path_factory.mktemp("flowgpt"), settings(service))
    yield service, server
    server.stop()
    service.stop()
    nothing_leaked(server, TOKEN, DEVICE)


@pytest.fixture
def service(shared):
    shared[0].clear()
    yield shared[0]
    assert shared[0].faults == []


@pytest.fixture
def server(shared, service):
    assert shared[1].alive()
    return shared[1]


def test_every_client_library_gets_the_answer(server):
    every_client(server, "Hi #plain", SHORT, MODEL)
    assert marked(server, "Hi #plain", MODEL)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("script, expected", [
    ("plain", SHORT), ("long", LONG), ("prefixed", "Hello 🐟 Response:** again."), ("garbage", "Half and half."),
    ("garbage_first", "All there.")])
def test_the_text_is_the_answer_without_the_preamble_and_said_once(server, script, expected, stream):
    words, reason, _ = ask(server, f"Hi #{script}", MODEL, stream)
    assert words == expected and reason == "stop" and PREAMBLE[:10] not in words


def test_flowgpts_alias_to_prompt_id_map_with_a_default(server, service):
    for model, prompt in (("up/gpt-4-free", "prompt-one"), ("up/chatgpt-5-pro", "prompt-two"),
                          ("up/never-heard-of", "prompt-one"), ("gpt-4-free", "prompt-one")):
        service.clear()
        done = server.client().chat.completions.create(model=model, messages=[{"role": "user", "content": "Hi"}])
        assert done.model == model
        assert all(f'"promptId":"{prompt}"' in body for _, _, _, body in service.seen)
    listed = [model.id for model in server.client().models.list()]
    assert "up/gpt-4-free" in listed and "up/chatgpt-5-pro" in listed


def test_the_whole_conversation_goes_into_a_new_one_each_time(server, service):
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "A?"},
                {"role": "assistant", "content": "B."}, {"role": "user", "content": [{"type": "text", "text": "C?"}]}]
    for _ in range(2):
        ask(server, "", MODEL, messages=messages, temperature=0.3)
    created = [body for _, _, _, body in service.asked("POST", "/conversation/create")]
    assert len(created) == 2 and '"content":"Be kind."' in created[0] and '"content":"C?"' in created[0]
    assert all('"temperature":0.3' in body for _, _, _, body in service.asked("POST", "/v3/chat"))


def test_what_it_cannot_do_is_refused_before_it_is_asked(server, service):
    for more, parameter in (({"tools": [TOOL]}, "tools"), ({"n": 2}, "n"),
                            ({"messages": [{"role": "user", "content": [PIXEL]}]}, "messages[0].content[0].image_url"),
                            ({"response_format": {"type": "json_object"}}, "response_format")):
        status, error, _ = refusal(server, "Hi", MODEL, **more)
        assert status == 400 and error["param"] == parameter
    assert service.seen == []
    _, headers, _ = raw(server, "Hi", MODEL, top_p=0.5, max_tokens=5)
    assert headers["x-parley-dropped"] == "max_tokens, top_p"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("script, status, words", [
    ("refused_create", 401, "renew `token`"), ("page_on_create", 502, "web page"), ("no_id", 502, "no conversation"),
    ("broken", 502, ""), ("slow_down", 429, ""), ("page", 502, "web page")])
def test_failures_have_a_status_of_their_own(server, script, status, words, stream):
    got, error, headers = refusal(server, f"Hi #{script}", MODEL, stream)
    assert got == status and words in error["message"] and error["message"].startswith("up: ")
    if status == 429:
        assert headers["retry-after"] == "7"
    if status == 401:
        assert error["type"] == "authentication_error"


def test_an_answer_that_is_cut_is_an_error(server):
    with pytest.raises(openai.APIError):
        list(server.client().chat.completions.create(
            model=MODEL, stream=True, messages=[{"role": "user", "content": "Hi #cut"}]))
    assert refusal(server, "Hi #cut", MODEL)[0] == 502


def test_a_wrong_token_is_not_repeated_to_anybody(start, service):
    server = start(settings(service, token="eyJ-wrong-token-0123456789"))
    status, error, headers = refusal(server, "Hi", MODEL)
    assert status == 401 and "renew `token`" in error["message"]
    assert "eyJ-wrong" not in f"{error} {headers} {server.log_text()}" and DEVICE not in f"{error} {headers}"


def test_tokens_rotate_and_rest_when_refused(start, service):
    service.tokens = {"good-one", "good-two"}
    server = start(settings(service, token=["bad-one", "good-one", "good-two"]))
    results = [raw(server, "Hi", MODEL)[0] for _ in range(7)]
    # The next token takes over within the call.
    assert results == [200] * 7
    used = {headers["authorization"] for _, _, headers, _ in service.seen}
    assert used == {"Bearer bad-one", "Bearer good-one", "Bearer good-two"}


def test_a_client_that_leaves_closes_the_upstream_at_once(server, service):
    leave(server, "Hi #endless", MODEL)
    wait_until(lambda: service.left == 1, what="the upstream's connection closed")


def test_a_backend_that_is_not_there_is_a_502(start, service):
    server = start(settings(service, base_url="http://127.0.0.1:9"))
    assert refusal(server, "Hi", MODEL)[0] == 502


def test_two_hundred_concurrent_streams_never_mix(server, service):
    client = server.async_client(timeout=120)

    async def one(number):
        text = ""
        parts = await client.chat.completions.create(
            model=MODEL, stream=True, messages=[{"role": "user", "content": f"This is no {number}. #mix"}])
        async for part in parts:
            text += part.choices[0].delta.content or "" if part.choices else ""
        return text

    async def everybody():
        return await asyncio.gather(*(one(number) for number in range(200)))

    for number, text in enumerate(asyncio.run(everybody())):
        assert text == "".join(f"<{number}:{count}>" for count in range(40))
    assert len(service.asked("POST", "/v3/chat")) == 200
    assert len({re.search(r'"conversationId":"([^"]+)"', body)[1] for _, _, _, body in service.asked("POST", "/v3/chat")}) == 200
