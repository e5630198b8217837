# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""Models that think by asking others, through the vendors' own clients, over an upstream that plays a script."""

import json
import re
import threading
import time

import anthropic
import openai
import pytest
from google import genai
from google.genai import types

from conftest import KEY, Server, wait_until
from fakes.chain import Chain, line, step

PANEL_KEY = "sk-parley-panel-0123456789abcdefghij"
FIRST = step("Look \"closely\"", "Line one\nZeile zwei 😀 \\ é")
LAST = step("Conclude", "So it is 42.", "final_answer")
ASK = [{"role": "user", "content": "What is 6 times 7?"}]


@pytest.fixture(scope="module")
def chain():
    upstream = Chain()
    yield upstream
    upstream.stop()


@pytest.fixture(scope="module")
def shared(tmp_path_factory, chain):
    def steps(**more):
        return {"reason": "steps", "with": "up/m", "tokens": {"step": 300, "final": 200}, "wait": "1s"} | more

    program = Server(tmp_path_factory.mktemp("reasoning"), {
        "keys": [{"name": "tests", "key": KEY, "strategies": ["vote", "panel"]}, {"name": "plain", "key": PANEL_KEY}],
        "providers": {"up": {"kind": "openai-compatible", "base_url": chain.url, "api_key": "k"}},
        "models": {
            "fast": "up/m", "o1": steps(), "quick": steps(wait="10ms"), "md": steps(show="markdown", whole="steps-json"),
            "details": steps(show="details"), "short": steps(max_steps=3), "backed": {"route": "fallback", "of": ["dead", "fast"]},
            "dead": steps(**{"with": "up/dead", "wait": "1ms"}),
            "reflected": {"reason": "reflect", "with": "fast"},
            "voted": {"reason": "vote", "with": "fast", "samples": 3},
            "best": {"reason": "best-of", "with": "fast", "judge": "up/judge", "samples": 2},
            "committee": {"reason": "panel", "with": ["up/a", "up/b"], "judge": "up/judge"},
            "again": {"reason": "reread", "with": "fast"}, "planned": {"reason": "plan", "with": "fast"},
        },
    })
    yield program
    program.stop()


@pytest.fixture
def program(shared, chain):
    chain.reset()
    yield shared
    assert shared.alive(), shared.log_text()[-3000:]


def chunks(program, model, **options):
    return list(program.client().chat.completions.create(
        model=model, messages=ASK, stream=True, stream_options={"include_usage": True}, **options))


def joined(parts, name):
    return "".join(getattr(part.choices[0].delta, name, None) or "" for part in parts if part.choices)


# The chain


def test_steps_come_as_reasoning(program, chain):
    chain.script(FIRST, LAST, line("It is 42."))
    parts = chunks(program, "o1")
    assert joined(parts, "content") == "It is 42."
    assert joined(parts, "reasoning_content").startswith(
        'Step 1: Look "closely"\nLine one\nZeile zwei 😀 \\ é\n\nStep 2: Conclude\nSo it is 42.\n\nThought for ')
    usage = parts[-1].usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (30, 15)
    assert usage.completion_tokens_details.reasoning_tokens == 10
    assert [body["max_tokens"] for body in chain.bodies] == [300, 300, 200]
    assert [body.get("temperature") for body in chain.bodies] == [0.2, 0.2, None]
    assert [body.get("response_format") for body in chain.bodies] == [{"type": "json_object"}] * 2 + [None]
    assert parts[-2].choices[0].finish_reason == "stop"


def test_reasoning_arrives_before_the_first_inner_call_ends(program, chain):
    hold = threading.Event()
    chain.script(step("Think", "about this at some length", hold=hold), LAST, line("42"))
    stream = program.client().chat.completions.create(model="o1", messages=ASK, stream=True)
    text = ""
    for part in stream:
        text += getattr(part.choices[0].delta, "reasoning_content", None) or ""
        if "at some" in text:
            break
    assert len(chain.bodies) == 1
    hold.set()
    assert "".join(part.choices[0].delta.content or "" for part in stream if part.choices) == "42"


def test_markdown_is_the_originals(program, chain):
    chain.script(FIRST, LAST, step("ignored", "It is\n\"42\"."))
    frames = [part.choices[0].delta.content for part in chunks(program, "md") if part.choices]
    frames = [frame for frame in frames if frame]
    assert frames[:-1] == [
        " ", '\n\n## Step 1: Look "closely"\nLine one\nZeile zwei 😀 \\ é', "\n\n## Step 2: Conclude\nSo it is 42.",
        '\n\n### Final Answer\nIt is\n"42".']
    assert re.fullmatch(r"\n\n\*\*Total thinking time: \d+\.\d\d seconds\*\*", frames[-1])


def test_details_are_the_originals(program, chain):
    chain.script(FIRST, LAST, line("It is\n42."))
    text = joined(chunks(program, "details"), "content")
    assert re.sub(r"\d+\.\d\d", "T", text) == (
        ' <details open>\n<summary>Step 1: Look "closely"</summary>\nLine one<br>Zeile zwei 😀 \\ é\n</details>'
        "<details open>\n<summary>Step 2: Conclude</summary>\nSo it is 42.\n</details>"
        "### Final Answer\nIt is<br>42.\n\n**Total thinking time: T seconds**")


def test_the_object_that_lists_the_steps(program, chain):
    chain.script(FIRST, LAST, line("It is 42."))
    status, headers, body = program.request("POST", "/v1/chat/completions", {"model": "md", "messages": ASK})
    value = json.loads(body)
    assert status == 200 and headers["content-type"].startswith("application/json")
    assert [one[:2] for one in value["steps"]] == [
        ['Step 1: Look "closely"', "Line one\nZeile zwei 😀 \\ é"], ["Step 2: Conclude", "So it is 42."],
        ["Final Answer", "It is 42."]]
    assert all(isinstance(one[2], float) for one in value["steps"])
    assert value["total_thinking_time"] == pytest.approx(sum(one[2] for one in value["steps"]))
    assert set(value) == {"steps", "total_thinking_time"}


def test_a_whole_answer(program, chain):
    chain.script(FIRST, LAST, line("It is 42."))
    answer = program.client().chat.completions.create(model="o1", messages=ASK)
    assert answer.choices[0].message.content == "It is 42."
    assert answer.choices[0].message.reasoning_content.startswith("Step 1:")
    assert answer.usage.completion_tokens == 15 and answer.usage.completion_tokens_details.reasoning_tokens == 10
    assert not any(body.get("stream") for body in chain.bodies)


@pytest.mark.parametrize("bad", [line("I think 42"), line("{}", status=500), line('{"title":"a","content":"b"}')],
                         ids=["not JSON", "500", "a key lacks"])
def test_a_step_is_tried_three_times_with_a_second_between(program, chain, bad):
    chain.script(bad, bad, LAST, line("42"))
    assert joined(chunks(program, "o1"), "content") == "42"
    assert len(chain.bodies) == 4
    assert chain.waits[0] >= 1 and chain.waits[1] >= 1 and chain.waits[2] < 1


def test_a_step_that_never_comes_is_left_out(program, chain):
    bad = line("no JSON at all")
    chain.script(FIRST, bad, bad, bad, line("42"))
    status, headers, body = program.request("POST", "/v1/chat/completions", {"model": "quick", "messages": ASK})
    assert status == 200 and headers["x-parley-degraded"] == "step 2"
    assert json.loads(body)["choices"][0]["message"]["content"] == "42"


def test_a_chain_that_never_ends_is_ended(program, chain):
    chain.script(FIRST)
    chunks(program, "short")
    assert [body["max_tokens"] for body in chain.bodies] == [300, 300, 300, 200]


def test_a_dead_model_is_an_error_and_falls_back(program, chain):
    chain.script(line("", status=500), model="dead")
    chain.script(line("from the other"))
    with pytest.raises(openai.InternalServerError):
        chunks(program, "dead")
    assert joined(chunks(program, "backed"), "content") == "from the other"


# The other dialects


def test_messages(program, chain):
    client = anthropic.Anthropic(base_url=program.origin, api_key=KEY, max_retries=0)
    chain.script(FIRST, LAST, line("It is 42."), FIRST, LAST, line("Still 42."))
    with client.messages.stream(model="o1", max_tokens=500, messages=ASK) as stream:
        answer = stream.get_final_message()
    assert [block.type for block in answer.content] == ["thinking", "text"]
    assert answer.content[0].thinking.startswith("Step 1:") and answer.content[1].text == "It is 42."
    assert answer.usage.output_tokens == 15
    turns = ASK + [{"role": "assistant", "content": [block.model_dump() for block in answer.content]},
                   {"role": "user", "content": "Are you sure?"}]
    again = client.messages.create(model="o1", max_tokens=500, messages=turns)
    assert again.content[-1].text == "Still 42." and again.content[0].type == "thinking"
    assert "Step 1" not in json.dumps(chain.bodies[3]["messages"][1:])
    assert chain.bodies[5]["max_completion_tokens"] == 500


def test_responses(program, chain):
    chain.script(FIRST, LAST, line("It is 42."), FIRST, LAST, line("Still 42."))
    with program.client().responses.stream(model="o1", input="What is 6 times 7?") as stream:
        answer = stream.get_final_response()
    assert [item.type for item in answer.output] == ["reasoning", "message"]
    assert answer.output_text == "It is 42."
    assert answer.output[0].summary[0].text.startswith("Step 1:")
    assert answer.usage.output_tokens_details.reasoning_tokens == 10
    again = program.client().responses.create(model="o1", input="Sure?", previous_response_id=answer.id)
    assert again.output_text == "Still 42."


def test_gemini(program, chain):
    client = genai.Client(api_key=KEY, http_options={"base_url": program.origin})
    chain.script(FIRST, LAST, line("It is 42."), FIRST, LAST, line("Still 42."))
    chat = client.chats.create(
        model="o1", config={"thinking_config": types.ThinkingConfig(include_thoughts=True)})
    thoughts, text, usage = "", "", None
    for part in chat.send_message_stream("What is 6 times 7?"):
        for piece in part.candidates[0].content.parts or [] if part.candidates else []:
            if piece.thought:
                thoughts += piece.text or ""
            else:
                text += piece.text or ""
        usage = part.usage_metadata or usage
    assert text == "It is 42." and thoughts.startswith("Step 1:")
    assert usage.thoughts_token_count == 10 and usage.candidates_token_count == 5
    assert chat.send_message("Sure?").text == "Still 42."


def test_reasoning_sent_back_by_a_chat_client(program, chain):
    chain.script(FIRST, LAST, line("42"))
    turns = ASK + [{"role": "assistant", "content": "42", "reasoning_content": "Step 1: …"},
                   {"role": "user", "content": "Sure?"}]
    answer = program.client().chat.completions.create(model="o1", messages=turns)
    assert answer.choices[0].message.content == "42"


# The other strategies


def test_tools_are_for_the_answer_and_their_results_continue(program, chain):
    tool = {"type": "function", "function": {"name": "weather", "description": "The weather.",
                                             "parameters": {"type": "object", "properties": {}}}}
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    chain.script(LAST, line("", tools=[call]))
    parts = chunks(program, "o1", tools=[tool])
    made = [one for part in parts if part.choices for one in part.choices[0].delta.tool_calls or []]
    assert made[0].function.name == "weather" and parts[-2].choices[0].finish_reason == "tool_calls"
    assert "tools" not in chain.bodies[0] and chain.bodies[1]["tools"][0]["function"]["name"] == "weather"
    chain.script(LAST, line("Sunny."))
    turns = ASK + [{"role": "assistant", "content": None, "tool_calls": [call]},
                   {"role": "tool", "tool_call_id": "call_1", "content": "sun"}]
    answer = program.client().chat.completions.create(model="o1", messages=turns, tools=[tool])
    assert answer.choices[0].message.content == "Sunny."
    assert not any("tool_calls" in message for message in chain.bodies[2]["messages"])
    assert [message["role"] for message in chain.bodies[3]["messages"]][:3] == ["user", "assistant", "tool"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model, calls, answer, scripts", [
    ("reflected", 3, "better", {"m": ["draft", "worse", "better"]}),
    ("voted", 3, "Answer: 42", {"m": ["Answer: 42"]}),
    ("best", 3, "draft", {"m": ["draft"], "judge": ["Best: 1"]}),
    ("committee", 3, "both", {"a": ["A"], "b": ["B"], "judge": ["both"]}),
    ("again", 1, "42", {"m": ["42"]}),
    ("planned", 3, "solved", {"m": ["plan", "solved", "CORRECT"]}),
    ("vote:fast", 5, "Answer: 1", {"m": ["Answer: 1"]}),
    ("panel:fast", 4, "same", {"m": ["same"]}),
    ("panel:voted", 12, "Answer: 1", {"m": ["Answer: 1"]}),
])
def test_every_strategy(program, chain, stream, model, calls, answer, scripts):
    for name, texts in scripts.items():
        chain.script(*[line(text) for text in texts], model=name)
    if stream:
        parts = chunks(program, model)
        text, usage = joined(parts, "content"), parts[-1].usage
    else:
        whole = program.client().chat.completions.create(model=model, messages=ASK)
        text, usage = whole.choices[0].message.content, whole.usage
    assert text == answer and len(chain.bodies) == calls
    assert (usage.prompt_tokens, usage.completion_tokens) == (10 * calls, 5 * calls)
    if calls > 1:
        assert usage.completion_tokens_details.reasoning_tokens == 5 * (calls - 1)


def test_a_panel_shows_a_draft_while_it_is_written(program, chain):
    hold = threading.Event()
    chain.script(line("the first draft at length"), model="a")
    chain.script(line("the second draft", hold=hold), model="b")
    chain.script(line("both"), model="judge")
    stream = program.client().chat.completions.create(model="committee", messages=ASK, stream=True)
    text = ""
    for part in stream:
        text += getattr(part.choices[0].delta, "reasoning_content", None) or ""
        if "at len" in text:
            break
    assert not hold.is_set() and len(chain.bodies) == 2
    hold.set()
    assert "both" in "".join(part.choices[0].delta.content or "" for part in stream if part.choices)


@pytest.mark.parametrize("model", ["committee", "voted"])
def test_a_client_that_leaves_closes_every_inner_call(program, chain, model):
    hold = threading.Event()
    for name in ("a", "b", "m"):
        chain.script(line("never to be finished", hold=hold), model=name)
    stream = program.client().chat.completions.create(model=model, messages=ASK, stream=True)
    next(stream)
    inner = 2 if model == "committee" else 3
    wait_until(lambda: chain.streams == inner)
    left = time.monotonic()
    stream.response.close()
    wait_until(lambda: chain.aborted == inner)
    assert max(chain.gone) - left < 0.25
    hold.set()


def test_lost_drafts_are_told(program, chain):
    chain.script(line("A"), model="a")
    chain.script(line("", status=400), model="b")
    chain.script(line("just A"), model="judge")
    status, headers, _ = program.request("POST", "/v1/chat/completions", {"model": "committee", "messages": ASK})
    assert status == 200 and headers["x-parley-degraded"] == "1 of 2 drafts"


# Names and refusals


def test_a_strategy_by_name_needs_leave(program, chain):
    chain.script(line("Answer: 1"))
    for key, model, status, code in [
        (PANEL_KEY, "vote:fast", 403, "strategy_not_allowed"), (KEY, "steps:fast", 403, "strategy_not_allowed"),
        (KEY, "vote:fats", 404, "model_not_found"), (PANEL_KEY, "o1:fast", 404, "model_not_found"),
    ]:
        got, _, body = program.request(
            "POST", "/v1/chat/completions", {"model": model, "messages": ASK}, {"Authorization": f"Bearer {key}"}, key=False)
        assert (got, json.loads(body)["error"]["code"]) == (status, code), model
    listed = [model.id for model in program.client().models.list()]
    assert "o1" in listed and "committee" in listed and not any(":" in name for name in listed)


def test_more_than_one_answer_is_refused(program, chain):
    with pytest.raises(openai.BadRequestError) as refusal:
        program.client().chat.completions.create(model="o1", messages=ASK, n=2)
    assert refusal.value.param == "n" and not chain.bodies
