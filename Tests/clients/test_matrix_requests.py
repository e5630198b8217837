# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""What the client libraries ask for reaches every kind of upstream in its own words, or is refused or named."""

import base64

import pytest
from drivers import CITY, PNG, Chat, Gemini, Messages, Responses
from google.genai import types
from test_matrix import UPSTREAMS, driver, stream, upstream  # noqa: F401 (fixtures)

NAME = "get_weather"
CHOICES = {
    "openai-chat": {
        "required": {"tool_choice": "required"}, "none": {"tool_choice": "none"},
        "named": {"tool_choice": {"type": "function", "function": {"name": NAME}}}},
    "openai-responses": {
        "required": {"tool_choice": "required"}, "none": {"tool_choice": "none"},
        "named": {"tool_choice": {"type": "function", "name": NAME}}},
    "anthropic": {
        "required": {"tool_choice": {"type": "any"}}, "none": {"tool_choice": {"type": "none"}},
        "named": {"tool_choice": {"type": "tool", "name": NAME}}},
    "gemini": {
        word: {"tool_config": types.ToolConfig(function_calling_config=types.FunctionCallingConfig(**config))}
        for word, config in {
            "required": {"mode": "ANY"}, "none": {"mode": "NONE"},
            "named": {"mode": "ANY", "allowed_function_names": [NAME]}}.items()},
}
FOUND = {
    "chat": {"required": "required", "none": "none", "named": {"type": "function", "function": {"name": NAME}}},
    "responses": {"required": "required", "none": "none", "named": {"type": "function", "name": NAME}},
    "anthropic": {"required": {"type": "any"}, "none": {"type": "none"}, "named": {"type": "tool", "name": NAME}},
    "gemini": {
        "required": {"functionCallingConfig": {"mode": "ANY"}}, "none": {"functionCallingConfig": {"mode": "NONE"}},
        "named": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": [NAME]}}},
    # Converse has no word for none: the tools are left out.
    "bedrock": {"required": {"any": {}}, "none": None, "named": {"tool": {"name": NAME}}},
}


@pytest.mark.parametrize("choice", ["required", "none", "named"])
def test_the_choice_of_a_tool_is_said_in_the_upstreams_words(driver, upstream, choice, fakes):
    client = driver(upstream)
    client.user("#plain")
    client.ask(tools=True, **CHOICES[client.name][choice])
    view = fakes.last(upstream)["view"]
    assert view.tool_choice == FOUND[upstream][choice]
    assert view.tools == ([] if (upstream, choice) == ("bedrock", "none") else [NAME])


def test_sampling_and_stop_sequences_arrive(driver, upstream, fakes):
    client = driver(upstream)
    client.user("#plain")
    stop = {"openai-chat": "stop", "anthropic": "stop_sequences", "gemini": "stop_sequences"}.get(client.name)
    client.ask(temperature=0.5, **({stop: ["END", "."]} if stop else {}))
    view = fakes.last(upstream)["view"]
    assert view.temperature == 0.5
    if stop and upstream != "responses":  # it has none: named below
        assert view.stop == ["END", "."]


ADDRESS = "https://example.com/cat.png"


def with_address(client):
    if isinstance(client, Chat):
        client.messages.append({"role": "user", "content": [
            {"type": "text", "text": "#see"}, {"type": "image_url", "image_url": {"url": ADDRESS}}]})
    elif isinstance(client, Responses):
        client.items.append({"role": "user", "content": [
            {"type": "input_text", "text": "#see"},
            {"type": "input_image", "image_url": ADDRESS, "detail": "auto"}]})
    elif isinstance(client, Messages):
        client.messages.append({"role": "user", "content": [
            {"type": "text", "text": "#see"}, {"type": "image", "source": {"type": "url", "url": ADDRESS}}]})
    else:
        client.contents.append(types.Content(role="user", parts=[
            types.Part.from_text(text="#see"), types.Part.from_uri(file_uri=ADDRESS, mime_type="image/png")]))


def test_an_image_by_its_address_arrives_as_such(driver, upstream, fakes):
    client = driver(upstream)
    with_address(client)
    if upstream == "bedrock":  # it fetches nothing
        with pytest.raises(client.refused) as refused:
            client.ask()
        assert "Bedrock does not fetch images" in str(refused.value)
        return
    assert client.ask().text == "1 images, 0 documents"
    assert fakes.last(upstream)["view"].images == [f"url:{ADDRESS}"]


def test_a_tools_result_with_an_image_arrives(matrix, upstream, fakes):
    client = Messages(matrix, UPSTREAMS[upstream])
    picture = {"type": "image", "source": {
        "type": "base64", "media_type": "image/png", "data": base64.b64encode(PNG).decode()}}
    client.messages = [
        {"role": "user", "content": "#see"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": NAME, "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": [
            {"type": "text", "text": "a map"}, picture]}]},
    ]
    assert client.ask(tools=True).text == "1 images, 0 documents"
    view = fakes.last(upstream)["view"]
    assert view.images == ["data:image/png"]
    assert [result[1] for result in view.results] in (["a map"], ['{"result": "a map"}'])


MARK = {"cache_control": {"type": "ephemeral"}}
MARKED = {
    "system": [{"type": "text", "text": "Be brief."} | MARK],
    "tools": [{"name": NAME, "input_schema": CITY} | MARK],
    "messages": [{"role": "user", "content": [{"type": "text", "text": "#plain"} | MARK]}],
}


def test_cache_marks_arrive_or_are_named(matrix, upstream, fakes):
    client = Messages(matrix, UPSTREAMS[upstream]).client
    raw = client.messages.with_raw_response.create(model=UPSTREAMS[upstream], max_tokens=64, **MARKED)
    dropped = raw.headers.get("x-parley-dropped", "")
    if upstream in ("anthropic", "bedrock"):
        assert fakes.last(upstream)["view"].cache_marks == 3
        assert "cache_control" not in dropped
    else:
        assert "cache_control" in dropped.split(", ")


STRICT = {"x-parley-strict": "true"}


@pytest.mark.parametrize("kind,more,field", [
    (Chat, {"seed": 7}, "seed"), (Responses, {"truncation": "auto"}, "truncation"),
    (Messages, {"metadata": {"user_id": "u"}, "top_k": 5}, "top_k"), (Gemini, {"top_k": 5}, "top_k"),
], ids=lambda value: getattr(value, "name", None))
def test_what_would_be_left_out_is_refused_where_the_client_wants_it(matrix, kind, more, field, fakes):
    upstream = "anthropic" if kind in (Chat, Responses) else "responses"
    client = kind(matrix, UPSTREAMS[upstream])
    client.user("#plain")
    client.ask(**more)
    fakes.clear()
    if kind is Gemini:
        more = more | {"http_options": types.HttpOptions(headers=STRICT)}
    else:
        more = more | {"extra_headers": STRICT}
    with pytest.raises(client.refused) as refused:
        client.ask(**more)
    assert field in str(refused.value)
    assert not fakes.seen
