# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""Conversations whose history the server keeps."""

import json
import threading

import anthropic
import openai
import pytest
from conftest import KEY, SSE, answer, chat, chat_request, chunk, clean_environment, settings, wait_until, whole

OTHER = "sk-parley-test-another-key-of-someone"


def configured(upstream, **sections):
    config = settings(upstream.url, **sections)
    config["keys"].append({"name": "other", "key": OTHER})
    return config


def said(upstream, index=-1):
    """What the model was told: (role, text) of every message."""
    messages = json.loads(upstream.log()[index]["body"])["messages"]
    def text(content):
        return content if isinstance(content, str) else "".join(part["text"] for part in content)
    return [(message["role"], text(message["content"])) for message in messages]


def test_a_conversation_goes_on_with_new_messages_alone(upstream, start):
    client = start(configured(upstream)).client()
    upstream.queue(answer(whole("Hello Ada")), answer(whole("You are Ada")), answer(whole("again")))
    talk = {"model": "m", "extra_body": {"conversation_id": "talk-1"}}
    client.chat.completions.create(
        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "I am Ada"}], **talk)
    second = client.chat.completions.create(messages=[{"role": "user", "content": "Who am I?"}], **talk)
    assert second.choices[0].message.content == "You are Ada"
    assert said(upstream) == [
        ("system", "Be brief."), ("user", "I am Ada"), ("assistant", "Hello Ada"), ("user", "Who am I?")]
    # The id is Parley's own affair.
    assert all("conversation_id" not in json.loads(entry["body"]) for entry in upstream.log())
    # Another system message takes the place of the first.
    client.chat.completions.create(messages=[
        {"role": "system", "content": "Be long."}, {"role": "user", "content": "More"}], **talk)
    assert [role for role, _ in said(upstream)] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert said(upstream)[0] == ("system", "Be long.")


def test_the_header_does_the_same_in_every_dialect_and_streams_are_kept_before_they_end(upstream, start):
    server = start(configured(upstream))
    upstream.queue(
        [SSE, {"sse": [chunk("Hello"), chunk(" Ada"), chunk(finish="stop")]}],
        answer(whole("You are Ada")))
    header = {"X-Conversation-Id": "talk-2"}
    stream = server.client().chat.completions.create(
        **chat("m", "I am Ada", stream=True), extra_headers=header)
    assert "".join(piece.choices[0].delta.content or "" for piece in stream if piece.choices) == "Hello Ada"
    client = anthropic.Anthropic(base_url=server.origin, api_key=KEY, max_retries=0)
    message = client.messages.create(
        model="m", max_tokens=50, messages=[{"role": "user", "content": "Who am I?"}], extra_headers=header)
    assert message.content[0].text == "You are Ada"
    assert said(upstream) == [("user", "I am Ada"), ("assistant", "Hello Ada"), ("user", "Who am I?")]


def test_a_conversation_can_be_read_and_forgotten_by_its_own_key_only(upstream, start):
    server = start(configured(upstream))
    upstream.queue(answer(whole("Hello")))
    server.request("POST", "/v1/chat/completions", chat("m") | {"conversation_id": "talk-3"})
    status, _, body = server.request("GET", "/v1/conversations/talk-3")
    found = json.loads(body)
    assert status == 200 and found["object"] == "conversation" and found["turns"] == 1
    assert [message["content"] for message in found["messages"]] == ["hi", "Hello"]
    other = {"Authorization": f"Bearer {OTHER}"}
    for method in ("GET", "DELETE"):
        status, _, body = server.request(method, "/v1/conversations/talk-3", headers=other)
        assert status == 404 and json.loads(body)["error"]["code"] == "conversation_not_found"
    assert json.loads(server.request("DELETE", "/v1/conversations/talk-3")[2])["deleted"] is True
    assert server.request("GET", "/v1/conversations/talk-3")[0] == 404
    assert server.request("PATCH", "/v1/conversations/talk-3")[0] == 405


def test_another_key_begins_its_own_conversation(upstream, start):
    server = start(configured(upstream))
    upstream.queue(answer(whole("one")), answer(whole("two")))
    server.client().chat.completions.create(**chat("m", "secret"), extra_body={"conversation_id": "shared"})
    server.client(api_key=OTHER).chat.completions.create(**chat("m", "hi"), extra_body={"conversation_id": "shared"})
    assert said(upstream) == [("user", "hi")]


def test_turns_of_one_conversation_come_one_after_the_other(upstream, start):
    server = start(configured(upstream))
    upstream.queue(*[[{"sleep_ms": 60}, *answer(whole(f"a{number}"))] for number in range(6)])
    results = []

    def turn(number):
        results.append(server.request(
            "POST", "/v1/chat/completions", chat("m", f"q{number}") | {"conversation_id": "busy"})[0])

    threads = [threading.Thread(target=turn, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [200] * 6
    # Each turn knew all turns before it.
    assert sorted(len(json.loads(entry["body"])["messages"]) for entry in upstream.log()) == [1, 3, 5, 7, 9, 11]


def test_who_leaves_while_waiting_or_in_the_middle_leaves_nothing_behind(upstream, start):
    server = start(configured(upstream))
    upstream.queue([SSE, {"sse": [chunk("Hel")], "done": False}, {"hang": True}], answer(whole("fresh")))
    request = chat("m", "never", stream=True) | {"conversation_id": "left"}
    first, second = server.raw(), server.raw()
    first.send(chat_request(request))
    first.until(b"Hel")
    second.send(chat_request(request))
    second.close()
    first.close()
    done = server.client().chat.completions.create(**chat("m", "now"), extra_body={"conversation_id": "left"})
    assert done.choices[0].message.content == "fresh"
    assert said(upstream) == [("user", "now")]


def test_a_conversation_survives_kill_minus_nine(upstream, start, tmp_path):
    home = clean_environment(tmp_path / "home")
    server = start(configured(upstream), env=home)
    upstream.queue(answer(whole("Hello Ada")), answer(whole("You are Ada")))
    talk = {"extra_body": {"conversation_id": "durable"}}
    server.client().chat.completions.create(**chat("m", "I am Ada"), **talk)
    server.process.kill()
    server.process.wait()
    again = start(configured(upstream), env=home)
    again.client().chat.completions.create(**chat("m", "Who am I?"), **talk)
    assert said(upstream) == [("user", "I am Ada"), ("assistant", "Hello Ada"), ("user", "Who am I?")]


def test_responses_survive_kill_minus_nine_and_share_the_path(upstream, start, tmp_path):
    home = clean_environment(tmp_path / "home")
    server = start(configured(upstream), env=home)
    upstream.queue(answer(whole("Hello Ada")), answer(whole("You are Ada")), answer(whole("Still Ada")))
    first = server.client().responses.create(model="m", input="I am Ada", conversation="conv_1")
    server.process.kill()
    server.process.wait()
    again = start(configured(upstream), env=home)
    client = again.client()
    assert client.responses.retrieve(first.id).output_text == "Hello Ada"
    client.responses.create(model="m", input="Who am I?", previous_response_id=first.id)
    assert said(upstream) == [("user", "I am Ada"), ("assistant", "Hello Ada"), ("user", "Who am I?")]
    client.responses.create(model="m", input="And now?", conversation="conv_1")
    assert said(upstream)[-1] == ("user", "And now?")
    found = json.loads(again.request("GET", "/v1/conversations/conv_1")[2])
    assert found["turns"] == 2 and found["items"][0]["content"] == "I am Ada"
    assert json.loads(again.request("DELETE", "/v1/conversations/conv_1")[2])["deleted"] is True
    assert again.request("GET", f"/v1/responses/{first.id}")[0] == 404


def test_a_history_that_is_too_long_is_shortened_by_whole_turns(upstream, start):
    server = start(configured(upstream))
    too_long = answer({"error": {
        "message": "This model's maximum context length is 10 tokens.", "type": "invalid_request_error",
        "code": "context_length_exceeded", "param": "messages"}}, 400)
    upstream.queue(*[answer(whole(f"a{number}")) for number in range(4)], too_long, answer(whole("fits")))
    client = server.client()
    for number in range(4):
        client.chat.completions.create(messages=[
            {"role": "system", "content": "s"}, {"role": "user", "content": f"q{number}"}],
            model="m", extra_body={"conversation_id": "long"})
    done = client.chat.completions.create(**chat("m", "now"), extra_body={"conversation_id": "long"})
    assert done.choices[0].message.content == "fits"
    assert said(upstream) == [
        ("system", "s"), ("user", "q2"), ("assistant", "a2"), ("user", "q3"), ("assistant", "a3"), ("user", "now")]


def test_no_more_turns_are_kept_than_configured_and_silence_ends_a_conversation(upstream, start):
    server = start(configured(upstream, conversations={"idle": "1s", "max_turns": 2}))
    upstream.queue(*[answer(whole(f"a{number}")) for number in range(5)])
    talk = {"extra_body": {"conversation_id": "short"}}
    for number in range(4):
        server.client().chat.completions.create(**chat("m", f"q{number}"), **talk)
    assert [text for _, text in said(upstream)] == ["q1", "a1", "q2", "a2", "q3"]
    wait_until(lambda: server.request("GET", "/v1/conversations/short")[0] == 404, 5, "forgetting")
    server.client().chat.completions.create(**chat("m", "anew"), **talk)
    assert said(upstream) == [("user", "anew")]


def test_tools_and_their_results_stay_together(upstream, start):
    server = start(configured(upstream))
    call = whole(None)
    call["choices"][0]["message"]["tool_calls"] = [
        {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}]
    call["choices"][0]["finish_reason"] = "tool_calls"
    upstream.queue(answer(call), answer(whole("42")))
    talk = {"model": "m", "extra_body": {"conversation_id": "tools"}}
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    client = server.client()
    client.chat.completions.create(messages=[{"role": "user", "content": "use f"}], tools=tools, **talk)
    client.chat.completions.create(
        messages=[{"role": "tool", "tool_call_id": "call_1", "content": "42"}], tools=tools, **talk)
    messages = json.loads(upstream.log()[-1]["body"])["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool"]
    assert messages[1]["tool_calls"][0]["function"] == {"name": "f", "arguments": "{\"a\":1}"}


@pytest.mark.parametrize("wrong", [5, "", "a b", "x" * 201, {"id": "x"}])
def test_what_is_no_id_is_refused(upstream, start, wrong):
    server = start(configured(upstream))
    with pytest.raises(openai.BadRequestError) as refused:
        server.client().chat.completions.create(**chat("m"), extra_body={"conversation_id": wrong})
    assert refused.value.param == "conversation_id"


def test_a_fresh_id_can_be_asked_for(upstream, start):
    server = start(configured(upstream))
    made = server.client().conversations.create()
    assert made.id.startswith("conv_") and made.object == "conversation"
    with pytest.raises(openai.BadRequestError):
        server.client().conversations.create(items=[{"type": "message", "role": "user", "content": "hi"}])
    upstream.queue(answer(whole("Hello")))
    server.client().responses.create(model="m", input="I am Ada", conversation=made.id)
    assert server.client().conversations.retrieve(made.id).id == made.id
