# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""iFLYTEK Spark behind the real binary: sockets, signatures, HTTP, and what goes wrong."""

import asyncio
import json
import time

import anthropic
import openai
import pytest
from conftest import KEY, Server, wait_until
from drivers import CITY
from fakes.scenario import TEXT, THOUGHT
from fakes.spark import Spark
from google import genai
from google.genai import types

APPS = {"app00001": ("key-one", "secret-one"), "app00002": ("key-two", "secret-two")}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "Weather.", "parameters": CITY}}]


def provider(fake, **more):
    return {"kind": "spark", "base_url": fake.url, "app_id": "app00001", "api_key": "key-one",
            "api_secret": "secret-one"} | more


@pytest.fixture(scope="module")
def shared_spark():
    fake = Spark(APPS, passwords=("password", "key-one:secret-one"))
    yield fake
    fake.stop()


@pytest.fixture
def spark(shared_spark):
    shared_spark.clear()
    return shared_spark


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory, shared_spark):
    fake = shared_spark
    program = Server(tmp_path_factory.mktemp("spark"), {
        "keys": [{"name": "tests", "key": KEY}],
        "defaults": {"retry": {"attempts": 1}},
        "providers": {
            "spark": provider(fake),
            "wrong": provider(fake, api_secret="not-the-secret"),
            "both": provider(fake, app_id=["app00001", "app00002"], api_key=["key-one", "key-two"],
                             api_secret=["secret-one", "secret-two"]),
            "half": provider(fake, app_id="app00001,app00002", api_key="key-one,key-two",
                             api_secret="secret-one,wrong-two"),
            "few": provider(fake, limits={"concurrent": 2}),
            "lost": provider(fake, base_url=fake.url + "/v9/chat"),
            "dead": provider(fake, base_url="ws://127.0.0.1:9"),
            "http": {"kind": "spark", "transport": "http", "base_url": fake.http_url, "api_key": "password"},
            "pair": {"kind": "spark", "transport": "http", "base_url": fake.http_url, "api_key": "key-one",
                     "api_secret": "secret-one"},
        },
    })
    yield program
    program.stop()


@pytest.fixture
def server(shared_server, spark):
    yield shared_server
    assert shared_server.alive(), f"the server did not survive:\n{shared_server.log_text()[-3000:]}"
    wait_until(lambda: spark.open == 0, 5, "every socket closed")
    log = shared_server.log_text()
    assert "secret-one" not in log and "authorization=" not in log


def ask(server, text, model="spark/v3.5", **more):
    messages = more.pop("messages", [{"role": "user", "content": text}])
    return server.client().chat.completions.create(model=model, messages=messages, **more)


def stream(server, text, model="spark/v3.5", **more):
    """The chunks of a stream and what ended it."""
    chunks = []
    try:
        for chunk in ask(server, text, model, stream=True, stream_options={"include_usage": True}, **more):
            chunks.append(chunk)
    except openai.APIError as error:
        return chunks, error
    return chunks, None


def text_of(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def finish_of(chunks):
    return next(chunk.choices[0].finish_reason for chunk in reversed(chunks) if chunk.choices)


@pytest.mark.parametrize("word", ["plain", "ping"])
def test_text_whole_and_streamed(server, spark, word):
    wanted = TEXT if word == "plain" else "pinged twice"
    whole = ask(server, f"#{word}")
    assert whole.choices[0].message.content == wanted and whole.choices[0].finish_reason == "stop"
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (21, 13)
    assert "cht000" in whole.id
    chunks, error = stream(server, f"#{word}")
    assert error is None and text_of(chunks) == wanted and finish_of(chunks) == "stop"
    assert chunks[-1].usage.total_tokens == 34


@pytest.mark.parametrize("model,path,domain", [
    ("lite", "/v1.1/chat", "lite"), ("general", "/v1.1/chat", "general"), ("v1.1", "/v1.1/chat", "general"),
    ("v1.5", "/v1.1/chat", "general"), ("v2.0", "/v2.1/chat", "generalv2"), ("v2.1", "/v2.1/chat", "generalv2"),
    ("v3.0", "/v3.1/chat", "generalv3"), ("v3.1", "/v3.1/chat", "generalv3"), ("generalv3", "/v3.1/chat", "generalv3"),
    ("pro-128k", "/chat/pro-128k", "pro-128k"), ("v3.5", "/v3.5/chat", "generalv3.5"),
    ("max-32k", "/chat/max-32k", "max-32k"), ("v4.0", "/v4.0/chat", "4.0Ultra"), ("4.0Ultra", "/v4.0/chat", "4.0Ultra"),
    ("x1", "/v1/x1", "x1"), ("SparkDesk-v3.5", "/v3.5/chat", "generalv3.5"),
])
def test_every_version_goes_to_its_address_with_its_domain(server, spark, model, path, domain):
    answer = ask(server, "hello", f"spark/{model}", max_tokens=100_000, temperature=2)
    assert answer.choices[0].message.content == TEXT
    seen = spark.last()
    assert seen["path"] == path and seen["refused"] is None
    chat = seen["frame"]["parameter"]["chat"]
    assert chat["domain"] == domain and chat["temperature"] == 1


def test_an_unknown_version_is_not_found(server, spark):
    with pytest.raises(openai.NotFoundError) as refused:
        ask(server, "hello", "spark/v9")
    assert "generalv3.5" in str(refused.value) and not spark.seen


def test_the_versions_are_listed(server):
    listed = {model.id for model in server.client().models.list()}
    assert {"spark/lite", "spark/generalv3.5", "spark/4.0Ultra", "spark/x1", "http/generalv3.5"} <= listed


def test_reasoning_of_x1(server, spark):
    chunks, error = stream(server, "think", "spark/x1")
    assert error is None and text_of(chunks) == TEXT
    thoughts = "".join(getattr(chunk.choices[0].delta, "reasoning_content", None) or ""
                       for chunk in chunks if chunk.choices)
    assert thoughts == THOUGHT
    with anthropic.Anthropic(base_url=server.origin, api_key=KEY, max_retries=0).messages.stream(
            model="spark/x1", max_tokens=900, messages=[{"role": "user", "content": "think"}],
            thinking={"type": "enabled", "budget_tokens": 1024}) as streamed:
        message = streamed.get_final_message()
    assert [block.type for block in message.content] == ["thinking", "text"]


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_and_their_results(server, spark, streamed):
    question = {"role": "user", "content": "#tools How is Paris?"}
    if streamed:
        chunks, error = stream(server, "#tools How is Paris?", "spark/v4.0", tools=TOOLS)
        assert error is None and finish_of(chunks) == "tool_calls"
        deltas = [call for chunk in chunks if chunk.choices for call in chunk.choices[0].delta.tool_calls or []]
        call = {"id": deltas[0].id, "type": "function", "function": {
            "name": deltas[0].function.name, "arguments": "".join(delta.function.arguments for delta in deltas)}}
    else:
        choice = ask(server, "#tools How is Paris?", "spark/v4.0", tools=TOOLS).choices[0]
        assert choice.finish_reason == "tool_calls" and not choice.message.content
        call = choice.message.tool_calls[0].model_dump(include={"id", "type", "function"})
    assert json.loads(call["function"]["arguments"]) == {"city": "Paris"} and call["id"].startswith("call_")
    functions = spark.last()["frame"]["payload"]["functions"]["text"]
    assert functions == [{"name": "get_weather", "description": "Weather.", "parameters": CITY}]
    answer = ask(server, "", "spark/v4.0", messages=[
        question, {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": "21 degrees"},
        {"role": "user", "content": "#echo_turns"}])
    turns = json.loads(answer.choices[0].message.content)
    assert [role for role, _ in turns] == ["user", "assistant", "user"]
    assert "get_weather" in turns[1][1] and "Paris" in turns[1][1]
    assert turns[2][1] == "The function get_weather returned: 21 degrees\n#echo_turns"


def test_tools_of_a_version_without_any_are_refused(server, spark):
    with pytest.raises(openai.BadRequestError) as refused:
        ask(server, "#tools", "spark/lite", tools=TOOLS)
    assert refused.value.param == "tools" and not spark.seen


@pytest.mark.parametrize("model,wanted", [
    ("spark/v3.5", [["system", "Be brief."], ["user", "#echo_turns"]]),
    ("spark/lite", [["user", "You need to follow the system settings:Be brief."], ["assistant", "ok"],
                    ["user", "#echo_turns"]]),
])
def test_the_system_turn_as_each_version_takes_it(server, model, wanted):
    answer = ask(server, "", model, messages=[
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "#echo_turns"}])
    assert json.loads(answer.choices[0].message.content) == wanted


def test_temperature_is_halved_as_openai_style_api_did(server, spark):
    for said, sent in [(2, 1), (1, 0.5), (0.7, 0.35), (0, 0.01)]:
        ask(server, "hello", temperature=said)
        assert spark.last()["frame"]["parameter"]["chat"]["temperature"] == pytest.approx(sent)
    ask(server, "hello")
    assert "temperature" not in spark.last()["frame"]["parameter"]["chat"]


def test_a_users_name_is_the_uid_and_what_cannot_be_said_is_named(server, spark):
    raw = server.client().chat.completions.with_raw_response.create(
        model="spark/v3.5", messages=[{"role": "user", "content": "hello"}], user="u" * 40, top_p=0.5, stop=["x"],
        extra_body={"top_k": 9})
    header = spark.last()["frame"]["header"]
    assert header == {"app_id": "app00001", "uid": "u" * 32}
    assert spark.last()["frame"]["parameter"]["chat"]["top_k"] == 6
    assert set(raw.headers["x-parley-dropped"].replace(" ", "").split(",")) == {"top_p", "stop"}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("word,kind,code", [
    ("code_10013", openai.BadRequestError, "content_filter"),
    ("code_10907", openai.BadRequestError, "context_length_exceeded"),
    ("code_11200", openai.PermissionDeniedError, None), ("code_11202", openai.RateLimitError, "rate_limit_exceeded"),
    ("code_10012", openai.InternalServerError, None), ("cut_at_once", openai.InternalServerError, None),
    ("garbage", openai.InternalServerError, None),
])
def test_a_code_before_any_text_is_an_error_of_its_class(server, word, kind, code, streamed):
    with pytest.raises(kind) as refused:
        answer = ask(server, f"#{word}", stream=streamed)
        list(answer if streamed else [])
    if code:
        assert refused.value.code == code


def test_an_answer_that_fails_review_keeps_its_text(server):
    chunks, error = stream(server, "#filtered")
    assert error is None and text_of(chunks) == "Something odd" and finish_of(chunks) == "content_filter"
    whole = ask(server, "#filtered")
    assert whole.choices[0].message.content == "Something odd"
    assert whole.choices[0].finish_reason == "content_filter"


@pytest.mark.parametrize("word", ["cut", "error_inside"])
def test_an_answer_that_breaks_off_is_no_clean_end(server, word):
    chunks, error = stream(server, f"#{word}")
    assert text_of(chunks) == "Half an answer" and error is not None
    with pytest.raises(openai.InternalServerError):
        ask(server, f"#{word}")


@pytest.mark.parametrize("word,text", [("single", "One frame."), ("search", "Found it.")])
def test_odd_shapes_of_answers(server, word, text):
    assert ask(server, f"#{word}").choices[0].message.content == text
    chunks, error = stream(server, f"#{word}")
    assert error is None and text_of(chunks) == text


def test_a_wrong_secret_is_the_gateways_own_refused_key(server, spark):
    with pytest.raises(openai.AuthenticationError) as refused:
        ask(server, "hello", "wrong/v3.5")
    assert "HMAC signature" in str(refused.value) and "not-the-secret" not in str(refused.value)
    assert spark.last()["refused"] == "HMAC signature does not match"


@pytest.mark.parametrize("offset", [-400, 400])
def test_a_clock_that_is_off_is_said_so(server, spark, offset):
    spark.offset = offset
    with pytest.raises(openai.PermissionDeniedError) as refused:
        ask(server, "hello")
    assert "clock" in str(refused.value)
    spark.offset = 0
    assert ask(server, "hello").choices[0].message.content == TEXT


def test_a_wrong_address_and_a_dead_service(server):
    with pytest.raises(openai.NotFoundError) as lost:
        ask(server, "hello", "lost/v3.5")
    assert "base_url" in str(lost.value)
    with pytest.raises(openai.InternalServerError) as dead:
        ask(server, "hello", "dead/v3.5")
    assert "127.0.0.1:9" in str(dead.value)


def test_fifty_calls_one_after_the_other_are_signed_each_for_itself(server, spark):
    # With a service that takes signatures for seconds only, one that is kept over the pause would be refused.
    spark.skew = 5
    for number in range(50):
        if number == 25:
            time.sleep(7)
        assert ask(server, "hello").choices[0].message.content == TEXT
    assert len(spark.seen) == 50 and not any(entry["refused"] for entry in spark.seen)
    assert len({entry["key"] for entry in spark.seen}) == 50


def test_several_credentials_rotate_together(server, spark):
    for _ in range(6):
        ask(server, "hello", "both/v3.5")
    assert [entry["app"] for entry in spark.seen].count("app00001") == 3
    assert all(entry["frame"]["header"]["app_id"] == entry["app"] for entry in spark.seen)


def test_a_credential_that_was_refused_rests(server, spark):
    # The next credential takes over within the call.
    for _ in range(8):
        ask(server, "hello", "half/v3.5")
    assert sum(1 for entry in spark.seen if entry["refused"]) == 1


def test_callers_at_the_same_time_do_not_mix(server, spark):
    async def main():
        client = server.async_client(timeout=60)

        async def one(number):
            pieces = await client.chat.completions.create(
                model="spark/v3.5", stream=True, user=f"user-{number}",
                messages=[{"role": "user", "content": f"#echo_id {number}"}])
            text = ""
            async for chunk in pieces:
                text += chunk.choices[0].delta.content or ""
            return text
        return await asyncio.gather(*(one(number) for number in range(100)))
    assert asyncio.run(main()) == [f"#echo_id {number} user-{number}" for number in range(100)]
    assert len(spark.seen) == 100


def test_the_providers_limit_counts_sockets(server, spark):
    async def main():
        client = server.async_client(timeout=60)
        await asyncio.gather(*(client.chat.completions.create(
            model="few/v3.5", messages=[{"role": "user", "content": "#ping"}]) for _ in range(12)))
    asyncio.run(main())
    # A socket that was closed at this end may count at the other for a moment longer.
    assert spark.most <= 4 and len(spark.seen) == 12


@pytest.mark.parametrize("word", ["endless", "silent"])
def test_a_client_that_leaves_closes_the_socket(server, spark, word):
    raw = server.raw()
    body = json.dumps({"model": "spark/v3.5", "stream": True, "messages": [{"role": "user", "content": f"#{word}"}]})
    raw.send(f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n"
             f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}")
    entry = wait_until(lambda: spark.seen and spark.seen[-1]["frame"] and spark.seen[-1], 10, "a frame")
    raw.close()
    wait_until(lambda: entry["closed"], 5, "a closed socket")


def test_clients_of_other_dialects(server, spark):
    message = anthropic.Anthropic(base_url=server.origin, api_key=KEY, max_retries=0).messages.create(
        model="spark/v4.0", max_tokens=100, system="Be brief.", messages=[{"role": "user", "content": "hello"}])
    assert message.content[0].text == TEXT and message.usage.output_tokens == 13
    client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=server.origin))
    answer = client.models.generate_content(model="spark/v4.0", contents="hello")
    assert answer.text == TEXT
    streamed = "".join(part.text or "" for part in client.models.generate_content_stream(
        model="spark/v4.0", contents="hello"))
    assert streamed == TEXT
    response = server.client().responses.create(model="spark/v3.5", input="hello")
    assert response.output_text == TEXT


@pytest.mark.parametrize("name,bearer", [("http", "password"), ("pair", "key-one:secret-one")])
def test_the_http_api(server, spark, name, bearer):
    for model, domain, path in [("v3.5", "generalv3.5", "/v1/chat/completions"), ("4.0Ultra", "4.0Ultra", "/v1/chat/completions"),
                                ("x1", "x1", "/v2/chat/completions")]:
        whole = ask(server, "hello", f"{name}/{model}")
        assert whole.choices[0].message.content == TEXT and whole.choices[0].finish_reason == "stop"
        seen = spark.last()
        assert seen["path"] == path and seen["body"]["model"] == domain and seen["body"]["tool_calls_switch"] is True
        assert seen["headers"]["authorization"] == f"Bearer {bearer}"
    chunks, error = stream(server, "hello", f"{name}/v3.5")
    assert error is None and text_of(chunks) == TEXT and finish_of(chunks) == "stop"
    call = ask(server, "#tools", f"{name}/v3.5", tools=TOOLS).choices[0]
    assert call.finish_reason == "tool_calls" and call.message.tool_calls[0].function.name == "get_weather"


@pytest.mark.parametrize("code,kind", [
    (10013, openai.BadRequestError), (10907, openai.BadRequestError), (11200, openai.PermissionDeniedError),
    (11202, openai.RateLimitError), (10012, openai.InternalServerError)])
def test_codes_over_http_mean_the_same(server, code, kind):
    with pytest.raises(kind):
        ask(server, f"#code_{code}", "http/v3.5")
