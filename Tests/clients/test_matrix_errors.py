# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""What a client does wrong comes back as its library's own exception, in its dialect's envelope."""

import json

import anthropic
import openai
import pytest
from conftest import wait_until
from drivers import DRIVERS, Chat, Gemini, Messages, Responses
from google import genai
from google.genai import errors as genai_errors
from google.genai import types
from test_matrix import UPSTREAMS, driver, upstream  # noqa: F401 (fixtures)

IDS = [driver.name for driver in DRIVERS]


def status_of(error):
    return getattr(error, "status_code", None) or error.code


@pytest.mark.parametrize("kind", DRIVERS, ids=IDS)
def test_a_wrong_key_is_the_librarys_authentication_error(matrix, kind):
    client = kind(matrix, UPSTREAMS["chat"])
    client.client = {
        Chat: lambda: matrix.client(api_key="sk-wrong"), Responses: lambda: matrix.client(api_key="sk-wrong"),
        Messages: lambda: anthropic.Anthropic(base_url=matrix.origin, api_key="sk-wrong", max_retries=0),
        Gemini: lambda: genai.Client(api_key="sk-wrong", http_options=types.HttpOptions(base_url=matrix.origin)),
    }[kind]()
    client.user("#plain")
    wanted = {Messages: anthropic.AuthenticationError, Gemini: genai_errors.ClientError}
    with pytest.raises(wanted.get(kind, openai.AuthenticationError)) as refused:
        client.ask()
    assert status_of(refused.value) == 401
    assert "sk-wrong" not in str(refused.value)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("kind", DRIVERS, ids=IDS)
def test_an_unknown_model_is_not_found(matrix, kind, streamed):
    client = kind(matrix, "no-such-model")
    client.user("#plain")
    with pytest.raises(client.missing) as refused:
        client.ask(stream=streamed)
    assert status_of(refused.value) == 404
    assert "no-such-model" in str(refused.value)


def odd_part(client):
    """Adds a turn with a part of a kind that nobody has; gives the path it is named by."""
    if isinstance(client, Chat):
        client.messages.append({"role": "user", "content": [{"type": "smell", "smell": "x"}]})
        return "messages[0].content[0]"
    if isinstance(client, Responses):
        client.items.append({"role": "user", "content": [{"type": "smell", "smell": "x"}]})
        return "input[0].content[0]"
    client.messages.append({"role": "user", "content": [{"type": "smell", "smell": "x"}]})
    return "messages[0].content[0]"


@pytest.mark.parametrize("kind", [Chat, Responses, Messages], ids=IDS[:3])
def test_an_unknown_kind_of_part_is_refused_by_its_path(matrix, kind, upstream, fakes):
    own = {Chat: "chat", Responses: "responses", Messages: "anthropic"}[kind]
    client = kind(matrix, UPSTREAMS[upstream])
    path = odd_part(client)
    if upstream == own:
        # Relayed: what the vendor does not know it refuses itself.
        with pytest.raises(client.refused):
            client.ask()
        return
    with pytest.raises(client.refused) as refused:
        client.ask()
    # Such an item of Responses is only refused where the other vendor's request is written: by that one's path.
    place = path.replace("input", "messages")
    assert getattr(refused.value, "param", place) == place and place in str(refused.value) + place * (kind is Chat)
    assert not fakes.seen


@pytest.mark.parametrize("kind", DRIVERS, ids=IDS)
def test_an_unknown_role_is_refused_by_its_path(matrix, kind, fakes):
    foreign = "chat" if kind is not Chat else "anthropic"
    client = kind(matrix, UPSTREAMS[foreign])
    client.user("#plain")
    turns = {Chat: "messages", Responses: "items", Messages: "messages", Gemini: "contents"}[kind]
    if kind is Gemini:
        client.contents[0].role = "narrator"
    else:
        getattr(client, turns)[0]["role"] = "narrator"
    place = {Responses: "input", Gemini: "contents"}.get(kind, "messages")
    with pytest.raises(client.refused) as refused:
        client.ask()
    named = getattr(refused.value, "param", None) or str(refused.value)
    assert f"{place}[0].role" in named and "narrator" in str(refused.value)
    assert not fakes.seen


PATHS = {
    "openai": ["/v1/chat/completions", "/v1/responses", "/v1/completions", "/v1/embeddings"],
    "anthropic": ["/v1/messages", "/v1/messages/count_tokens"],
    "gemini": ["/v1beta/models/{}:generateContent", "/v1beta/models/{}:streamGenerateContent?alt=sse",
               "/v1beta/models/{}:countTokens"],
}


def envelope(family, value):
    """The type word and the message of an error in a vendor's envelope."""
    if family == "openai":
        assert set(value) == {"error"} and set(value["error"]) == {"message", "type", "param", "code"}
        return value["error"]["type"], value["error"]["message"]
    if family == "anthropic":
        assert value["type"] == "error"
        return value["error"]["type"], value["error"]["message"]
    assert set(value) == {"error"} and value["error"]["code"] == 400
    return value["error"]["status"], value["error"]["message"]


WORDS = {"openai": "invalid_request_error", "anthropic": "invalid_request_error", "gemini": "INVALID_ARGUMENT"}


@pytest.mark.parametrize("family,path", [(family, path) for family in PATHS for path in PATHS[family]])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"model": 7}', b"{}", b'{"a": 1e999999}'])
def test_a_body_that_is_no_request_is_refused_in_the_dialects_envelope(matrix, family, path, body):
    place = path.format("claude/claude-sonnet-4-5")
    status, headers, text = matrix.request("POST", place, body)
    assert status == 400, (status, text)
    assert headers["content-type"].startswith("application/json")
    kind, message = envelope(family, json.loads(text))
    assert kind == WORDS[family] and message


@pytest.mark.parametrize("family,path,body,field", [
    ("openai", "/v1/chat/completions", {}, "messages"),
    ("openai", "/v1/chat/completions", {"messages": []}, "messages"),
    ("openai", "/v1/chat/completions", {"messages": [{"content": "x"}]}, "messages[0].role"),
    ("openai", "/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}], "temperature": "hot"},
     "temperature"),
    ("openai", "/v1/responses", {"input": 7}, "input"),
    ("openai", "/v1/responses", {"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]},
     "input[0].call_id"),
    ("anthropic", "/v1/messages", {"messages": [{"role": "user", "content": "x"}]}, "max_tokens"),
    ("anthropic", "/v1/messages", {"max_tokens": 5}, "messages"),
    ("anthropic", "/v1/messages", {"max_tokens": 5, "messages": [{"role": "user"}]}, "messages[0].content"),
    ("gemini", "/v1beta/models/{}:generateContent", {}, "contents"),
    ("gemini", "/v1beta/models/{}:generateContent", {"contents": [{"parts": [{"inlineData": {"data": "eA=="}}]}]},
     "contents[0].parts[0].inlineData.mimeType"),
])
def test_a_missing_or_wrong_field_is_named(matrix, family, path, body, field):
    model = UPSTREAMS["gemini" if family != "gemini" else "anthropic"]
    if family != "gemini":
        body = body | {"model": model}
    status, _, text = matrix.request("POST", path.format(model), body)
    assert status == 400, text
    value = json.loads(text)
    kind, message = envelope(family, value)
    assert kind == WORDS[family]
    # Only OpenAI's envelope has a place for the field.
    assert (value["error"]["param"] == field) if family == "openai" else (field in message)


@pytest.mark.parametrize("kind", DRIVERS, ids=IDS)
def test_a_client_that_leaves_takes_its_upstream_with_it(matrix, kind, upstream, fakes):
    client = kind(matrix, UPSTREAMS[upstream])
    client.user("#endless")
    if kind is Chat:
        events = client.client.chat.completions.create(model=client.model, messages=client.messages, stream=True)
    elif kind is Responses:
        events = client.client.responses.create(model=client.model, input=client.items, stream=True, store=False)
    elif kind is Messages:
        events = client.client.messages.create(
            model=client.model, messages=client.messages, max_tokens=5000, stream=True)
    else:
        events = client.client.models.generate_content_stream(model=client.model, contents=client.contents)
    for number, _ in enumerate(events):
        if number == 5:
            break
    if kind is Gemini:
        events.close()
        client.client.close()
    else:
        events.close()
    wait_until(lambda: fakes.left, what="the end of the upstream's connection")
