# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""Claude's web site through the real binary, against a fake with a cookie, conversations and both ways of streaming."""

import asyncio
import json

import openai
import pytest
from accounts import PIXEL, TOOL, ask, configuration, every_client, leave, marked, nothing_leaked, raw, refusal
from conftest import wait_until
from fakes.claude_web import COOKIE, TEXT, ClaudeWeb

MODEL = "up/claude-web"
SECRET = "sk-ant-sid01-test-cookie-0123456789"


def settings(service, **more):
    return configuration({"kind": "claude-web", "base_url": service.url, "cookie": COOKIE} | more, "claude-web")


@pytest.fixture
def service():
    service = ClaudeWeb()
    yield service
    service.stop()
    assert service.faults == []


@pytest.fixture
def server(start, service):
    server = start(settings(service))
    yield server
    assert server.alive()
    nothing_leaked(server, SECRET)


def all_deleted(service, count):
    wait_until(lambda: len(service.deleted) == count and not service.conversations, what=f"{count} deletions")


def test_every_client_library_gets_the_answer(server, service):
    every_client(server, "Hi", TEXT, MODEL)
    assert marked(server, "Hi", MODEL)
    assert "up/claude-web" in [model.id for model in server.client().models.list()]
    all_deleted(service, 8)
    assert len(service.asked("GET", "/api/organizations")) == 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("script", ["plain", "old"])
def test_both_ways_of_streaming_are_read(server, script, stream):
    words, reason, _ = ask(server, f"Hi #{script}", MODEL, stream)
    assert words == TEXT and reason == "stop"


def test_a_stream_is_passed_on_while_it_comes(server, service):
    parts = server.client().chat.completions.create(
        model=MODEL, stream=True, messages=[{"role": "user", "content": "Hi #endless"}])
    first = next(part for part in parts if part.choices and part.choices[0].delta.content)
    assert first.choices[0].delta.content
    assert service.left == 0 and service.deleted == []
    parts.close()
    wait_until(lambda: service.left == 1, what="the upstream's connection closed")
    all_deleted(service, 1)


def test_a_site_with_the_way_of_2023_only_is_asked_so(server, service):
    service.has_completion = False
    for _ in range(2):
        assert ask(server, "Hi", MODEL)[0] == TEXT
    assert len(service.asked("POST", "/api/append_message")) == 2
    assert len(service.asked("POST", ".*/completion")) == 2


def test_claude_webs_prompt_template(start, server, service):
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "A \"q\"?"},
                {"role": "assistant", "content": "B"}, {"role": "user", "content": "C? #echo {history}"}]
    templated = start(settings(service, prompt="Answer {newMessage}\n{history}"))
    words = ask(templated, "", MODEL, messages=messages)[0]
    assert words.startswith("<<Answer C? #echo {history}\n[") and words.endswith("]>>")
    assert json.loads(words.removeprefix("<<Answer C? #echo {history}\n").removesuffix(">>")) == messages[:3]
    standard = ask(server, "", MODEL, messages=messages)[0]
    assert "C? #echo {history} \n [" in standard and '"content":"Be kind."' in standard
    assert ask(templated, "Alone #echo", MODEL)[0] == "<<Alone #echo>>"


def test_a_deletion_does_not_delay_the_answer_and_is_bounded(server, service):
    service.deletion_takes = 1.0

    async def everybody():
        client = server.async_client()
        return await asyncio.gather(*(client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "Hi"}]) for _ in range(8)))

    answers = asyncio.run(everybody())
    assert [answer.choices[0].message.content for answer in answers] == [TEXT] * 8
    assert len(service.deleted) < 8, "the answers did not wait for it"
    all_deleted(service, 8)


def test_single_conversation_and_one_that_is_named(start, service):
    single = start(settings(service, conversation="single"))
    places = {ask(single, "Hi #where", MODEL, stream)[0] for stream in (False, True, False)}
    assert len(places) == 1 and service.created == 1 and service.deleted == []
    named = start(settings(service, conversation=places.pop()))
    assert ask(named, "Hi", MODEL)[0] == TEXT and service.created == 1
    service.conversations.clear()
    fresh = {ask(named, "Hi #where", MODEL)[0] for _ in range(2)}
    assert len(fresh) == 1 and service.created == 2 and service.deleted == []


def test_conversations_that_are_kept_stay(start, service):
    server = start(settings(service, conversation="keep"))
    for _ in range(2):
        ask(server, "Hi", MODEL)
    assert service.created == 2 and service.deleted == [] and len(service.conversations) == 2


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("script, status, words", [
    ("page", 502, "renew `cookie`"), ("limit", 429, "limit of messages"), ("overloaded", 503, "overloaded")])
def test_failures_have_a_status_of_their_own(server, service, script, status, words, stream):
    got, error, headers = refusal(server, f"Hi #{script}", MODEL, stream)
    assert got == status and words in error["message"] and error["message"].startswith("up: ")
    if status == 429:
        assert 60 <= float(headers["retry-after"]) <= 90
    all_deleted(service, 1)


def test_an_error_or_a_cut_in_the_middle_is_an_error(server, service):
    for script in ("cut", "midway"):
        with pytest.raises(openai.APIError):
            list(server.client().chat.completions.create(
                model=MODEL, stream=True, messages=[{"role": "user", "content": f"Hi #{script}"}]))
        assert refusal(server, f"Hi #{script}", MODEL)[0] == (502 if script == "cut" else 503)
    all_deleted(service, 4)


def test_a_cookie_that_ended_is_a_401_that_says_so_and_nothing_else(start, service):
    server = start(settings(service, cookie="sessionKey=sk-ant-sid01-old-cookie-99"))
    status, error, headers = refusal(server, "Hi", MODEL)
    assert status == 401 and error["type"] == "authentication_error" and "renew `cookie`" in error["message"]
    assert "old-cookie" not in f"{error} {headers} {server.log_text()}"
    # One that ends later, too.
    service.cookies = {"sessionKey=sk-ant-sid01-old-cookie-99"}
    assert raw(server, "Hi", MODEL)[0] == 200
    service.cookies = set()
    assert refusal(server, "Hi", MODEL)[0] == 401


def test_cookies_rotate_and_rest_when_refused(start, service):
    service.cookies = {"sessionKey=one", "sessionKey=two"}
    server = start(settings(service, cookie=["sessionKey=bad", "one", "sessionKey=two"]))
    results = [raw(server, "Hi", MODEL)[0] for _ in range(7)]
    # The next cookie takes over within the call.
    assert results == [200] * 7
    asked = [headers["cookie"] for _, _, headers, _ in service.asked("POST", ".*/completion")]
    assert sorted(set(asked)) == ["sessionKey=one", "sessionKey=two"]


def test_what_it_cannot_do_is_refused_before_it_is_asked(server, service):
    for more, parameter in (({"tools": [TOOL]}, "tools"), ({"n": 2}, "n"),
                            ({"messages": [{"role": "user", "content": [PIXEL]}]}, "messages[0].content[0].image_url")):
        status, error, _ = refusal(server, "Hi", MODEL, **more)
        assert status == 400 and error["param"] == parameter
    assert service.seen == []


def test_a_model_that_is_named_is_asked_for(server, service):
    ask(server, "Hi", "up/claude-sonnet-4-5")
    ask(server, "Hi", MODEL)
    bodies = [json.loads(body) for _, _, _, body in service.asked("POST", ".*/completion")]
    assert [body.get("model") for body in bodies] == ["claude-sonnet-4-5", None]


def test_a_client_that_leaves_closes_the_upstream_at_once(server, service):
    leave(server, "Hi #endless", MODEL)
    wait_until(lambda: service.left == 1, what="the upstream's connection closed")
    all_deleted(service, 1)


def test_a_backend_that_is_not_there_is_a_502(start, service):
    assert refusal(start(settings(service, base_url="http://127.0.0.1:9")), "Hi", MODEL)[0] == 502
