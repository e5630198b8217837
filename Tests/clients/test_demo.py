# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""Zero configuration: the built-in model answers on a machine with nothing."""

import json
import re
import subprocess

import openai
import pydantic
import pytest

ASK = [{"role": "user", "content": "Say hello."}]
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}}}


class Place(pydantic.BaseModel):
    city: str
    people: int
    tags: list[str]


def test_a_whole_answer_with_usage(demo_server):
    done = demo_server.client().chat.completions.create(model="demo", messages=ASK)
    assert done.choices[0].message.content and done.choices[0].finish_reason == "stop"
    assert done.usage.prompt_tokens > 0 and done.usage.completion_tokens > 0


def test_a_streamed_answer_with_usage(demo_server):
    chunks = list(demo_server.client().chat.completions.create(
        model="demo", messages=ASK, stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert chunks[-1].usage.total_tokens > 0


def test_no_model_named_takes_the_only_one(demo_server):
    status, _, text = demo_server.request("POST", "/v1/chat/completions", {"messages": ASK})
    assert status == 200, text


def test_a_tool_is_called_when_required(demo_server):
    done = demo_server.client().chat.completions.create(model="demo", messages=ASK, tools=[TOOL], tool_choice="required")
    call = done.choices[0].message.tool_calls[0]
    assert call.function.name == "weather" and done.choices[0].finish_reason == "tool_calls"
    assert "city" in json.loads(call.function.arguments)


def test_a_tool_call_streams(demo_server):
    name, arguments = "", ""
    for event in demo_server.client().chat.completions.create(
            model="demo", messages=ASK, tools=[TOOL], tool_choice="required", stream=True):
        for call in (event.choices[0].delta.tool_calls or []) if event.choices else []:
            name, arguments = name + (call.function.name or ""), arguments + (call.function.arguments or "")
    assert name == "weather" and "city" in json.loads(arguments)


def test_a_schema_is_honoured(demo_server):
    done = demo_server.client().chat.completions.parse(model="demo", messages=ASK, response_format=Place)
    assert isinstance(done.choices[0].message.parsed, Place)


def test_n_gives_that_many_choices(demo_server):
    done = demo_server.client().chat.completions.create(model="demo", messages=ASK, n=3)
    assert [choice.index for choice in done.choices] == [0, 1, 2]
    seen = {choice.index for event in demo_server.client().chat.completions.create(
        model="demo", messages=ASK, n=3, stream=True) for choice in event.choices}
    assert seen == {0, 1, 2}


def test_stop_ends_before_the_word(demo_server):
    whole = demo_server.client().chat.completions.create(model="demo", messages=ASK).choices[0].message.content
    word = whole.split()[1]
    cut = demo_server.client().chat.completions.create(model="demo", messages=ASK, stop=[word]).choices[0]
    assert word not in cut.message.content and whole.startswith(cut.message.content) and cut.finish_reason == "stop"


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_a_length_limit_is_honoured(demo_server, field):
    done = demo_server.client().chat.completions.create(model="demo", messages=ASK, **{field: 1})
    assert done.choices[0].finish_reason == "length" and done.usage.completion_tokens == 1


def test_an_unknown_model_says_which_variable_to_set(demo_server):
    with pytest.raises(openai.NotFoundError) as caught:
        demo_server.client().chat.completions.create(model="gpt-4o", messages=ASK)
    assert caught.value.code == "model_not_found"
    assert "OPENAI_API_KEY" in caught.value.message and "demo" in caught.value.message


def test_the_models_are_listed(demo_server):
    assert "demo" in [model.id for model in demo_server.client().models.list()]


def test_the_printed_curl_line_works_when_pasted(demo_server):
    text = demo_server.wait_for(r"(?s)curl -N.*?-d '.*?'\n")[0]
    done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    assert "choices" in done.stdout and "error" not in done.stdout, done.stdout


def test_the_key_is_kept_private_and_reused(start, tmp_path):
    first = start(folder=tmp_path / "same")
    key = first.wait_for(r"sk-parley-[\w-]+")[0]
    first.process.kill()
    first.process.wait()
    kept = [path for path in (tmp_path / "same/state/parley").rglob("*") if path.is_file()]
    assert kept and all(path.stat().st_mode & 0o077 == 0 for path in kept)
    first.log_path.unlink()
    second = start(folder=tmp_path / "same")
    assert second.wait_for(r"sk-parley-[\w-]+")[0] == key
    left = {path.name for path in (tmp_path / "same").iterdir()}
    assert left <= {"state", "config", "parley.log"}, "nothing is dropped in the working directory"


def test_replies_and_failures_can_be_scripted(start):
    server = start({"providers": {"demo": {"kind": "demo", "replies": ["One.", "Two."], "delay": "1ms"}},
                    "keys": [{"name": "test", "key": "sk-parley-test-0123456789abcdefghij"}]})
    said = {server.client().chat.completions.create(model="demo", messages=ASK).choices[0].message.content
            for _ in range(2)}
    assert said <= {"One.", "Two."} and said
    failing = start({"providers": {"demo": {"kind": "demo", "fail": 1}}, "defaults": {"retry": {"attempts": 1}},
                     "keys": [{"name": "test", "key": "sk-parley-test-0123456789abcdefghij"}]})
    with pytest.raises(openai.APIStatusError):
        failing.client().chat.completions.create(model="demo", messages=ASK)


def test_no_key_of_anyone_is_in_the_log(demo_server):
    demo_server.request("POST", "/v1/chat/completions", {"model": "demo", "messages": [
        {"role": "user", "content": "a very private sentence"}]})
    log = demo_server.log_text()
    assert "a very private sentence" not in log
    lines = [line for line in log.split("\n") if re.search(r"\b200\b", line)]
    assert all(demo_server.key not in line for line in lines)
