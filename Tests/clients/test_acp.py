# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""Agents through the real binary: a real one, made with the official package of the Agent Client Protocol."""

import asyncio
import json
import os
import re
import signal
import sys
import threading
from pathlib import Path

import anthropic
import openai
import pytest
from google import genai

from conftest import KEY, Server, chat, clean_environment, data_lines, wait_until

AGENT = [sys.executable, str(Path(__file__).parent / "fakes" / "agent.py")]
PNG = "data:image/png;base64,iVBORw0KGgo="


class Log:
    """What happened to the agents, as they tell it."""

    def __init__(self, path):
        self.path = path

    def all(self, what=None):
        if not self.path.exists():
            return []
        entries = [json.loads(line) for line in self.path.read_text().splitlines()]
        return [entry for entry in entries if what in (None, entry["what"])]

    def wait(self, what, count=1, seconds=15):
        return wait_until(lambda: len(self.all(what)) >= count and self.all(what), seconds, f"{count} times {what!r}")

    def agents(self):
        return {entry["pid"] for entry in self.all("start")}


def alive(pid):
    """Whether a process runs; one that is dead and not reaped does not count, and is a fault of its own."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def is_zombie(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False


@pytest.fixture
def start(tmp_path):
    """Starts a gateway with one agent provider; what it leaves running is a failure."""
    started = []

    def run(environment=None, retry=1, timeout=None, sections=None, **settings):
        number = len(started)
        log = Log(tmp_path / f"agent{number}.log")
        project = tmp_path / "project"
        project.mkdir(exist_ok=True)
        variables = {"FAKE_LOG": str(log.path)} | (environment or {})
        config = {
            "providers": {"agent": {
                "kind": "acp", "command": AGENT, "directory": str(project), "environment": variables} | settings},
            "defaults": {"retry": {"attempts": retry}} | ({"timeout": timeout} if timeout else {}),
            "keys": [{"name": "one", "key": KEY}, {"name": "two", "key": KEY + "-two"}],
            "server": {"drain": "2s"}, "log": {"level": "debug"},
        } | (sections or {})
        folder = tmp_path / f"server{number}"
        env = clean_environment(folder, OPENAI_API_KEY="sk-not-for-agents", GATEWAY_SECRET="not for agents either")
        server = Server(folder, config, env=env)
        server.agents = log
        started.append(server)
        return server

    yield run
    for server in started:
        server.process.terminate()
        server.process.wait(20)
        # Children of a gateway that was killed are reaped by whoever takes orphans in, when it likes.
        was_killed = server.process.returncode == -9
        left = [pid for pid in server.agents.agents() if alive(pid) or is_zombie(pid) and not was_killed]
        assert not left, f"agents are left: {left}"


def ask(server, text, client=None, **more):
    client = client or server.client()
    messages = text if isinstance(text, list) else [{"role": "user", "content": text}]
    return client.chat.completions.create(model="agent/agent", messages=messages, **more)


def said(answer):
    return answer.choices[0].message.content


def stream(server, text, client=None, **more):
    """The pieces of a stream's text, and its last chunk."""
    pieces, last = [], None
    for chunk in ask(server, text, client, stream=True, **more):
        if chunk.choices and chunk.choices[0].delta.content:
            pieces.append(chunk.choices[0].delta.content)
        last = chunk
    return pieces, last


# What an agent says.


def test_an_agent_answers_whole_and_as_a_stream(start):
    server = start()
    answer = ask(server, "hello there")
    assert re.fullmatch(r"turn 1 of \d+-0: hello there", said(answer))
    assert answer.choices[0].finish_reason == "stop"
    pieces, _ = stream(server, "and again")
    assert len(pieces) > 1 and "".join(pieces).endswith("and again")
    hello = server.agents.all("initialize")[0]
    assert hello["version"] == 1 and hello["client"] == "parley"
    # The agent's library fills up what it knows beyond that.
    assert hello["capabilities"]["fs"] == {"readTextFile": False, "writeTextFile": False}
    assert hello["capabilities"]["terminal"] is False


def test_the_official_clients_of_other_vendors_reach_an_agent_too(start):
    server = start()
    message = anthropic.Anthropic(base_url=server.origin, api_key=KEY, max_retries=0).messages.create(
        model="agent/agent", max_tokens=100, messages=[{"role": "user", "content": "#thoughts"}])
    assert message.content[-1].text == "Done thinking." and message.stop_reason == "end_turn"
    client = genai.Client(api_key=KEY, http_options={"base_url": server.origin})
    answer = client.models.generate_content(model="agent/agent", contents="hello")
    assert answer.text.endswith("hello")


def test_thoughts_are_reasoning(start):
    server = start()
    message = ask(server, "#thoughts").choices[0].message
    assert (message.content, message.reasoning_content) == ("Done thinking.", "First this, then that.")


@pytest.mark.parametrize("shown", [False, True])
def test_tools_and_plans_are_told_where_that_is_wanted_and_are_never_tool_calls(start, shown):
    server = start(show_tools=shown)
    message = ask(server, "#tools").choices[0].message
    assert message.content == "I read it." and not message.tool_calls
    reasoning = getattr(message, "reasoning_content", None) or ""
    assert ("[Reading a file: done]" in reasoning) == shown
    assert ("- [x] Look" in reasoning) == shown
    assert "file content" not in reasoning


@pytest.mark.parametrize(("word", "reason"), [("#refuse", "content_filter"), ("#length", "length")])
def test_how_a_turn_ends(start, word, reason):
    server = start()
    assert ask(server, word).choices[0].finish_reason == reason


def test_usage_is_the_agents_own_or_an_estimate_that_says_so(start):
    server = start()
    raw = server.client().chat.completions.with_raw_response.create(
        model="agent/agent", messages=[{"role": "user", "content": "#usage"}])
    usage = raw.parse().usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (22, 8)
    assert usage.prompt_tokens_details.cached_tokens == 12
    assert raw.headers.get("x-parley-estimated") != "true" or usage.total_tokens == 30
    raw = server.client().chat.completions.with_raw_response.create(
        model="agent/agent", messages=[{"role": "user", "content": "count me"}])
    assert raw.parse().usage.completion_tokens > 0 and raw.headers["x-parley-estimated"] == "true"


def test_lines_of_any_length_and_of_any_kind_are_read(start):
    server = start()
    assert said(ask(server, "#huge")) == "y" * 300_000 + "z" * 100_000
    pieces, _ = stream(server, "#huge")
    assert "".join(pieces) == "y" * 300_000 + "z" * 100_000
    assert said(ask(server, "#unknown")) == "Still here."


def test_images_go_to_agents_that_can_see_and_are_refused_clearly_by_others(start):
    content = [{"type": "text", "text": "#blocks"}, {"type": "image_url", "image_url": {"url": PNG}}]
    sighted = start({"FAKE_IMAGES": "1"})
    assert said(ask(sighted, [{"role": "user", "content": content}])) == "text, image image/png"
    blind = start()
    with pytest.raises(openai.BadRequestError, match="does not take images"):
        ask(blind, [{"role": "user", "content": content}])


def test_a_clients_tools_are_refused_clearly(start):
    server = start()
    with pytest.raises(openai.BadRequestError, match="own tools") as refused:
        ask(server, "hi", tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}])
    assert refused.value.param == "tools"
    assert not server.agents.agents(), "an agent is started when it is needed"


# Conversations.


def test_a_conversation_goes_on_in_its_session_with_only_what_is_new(start):
    server = start()
    messages = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "one"}]
    for number in (1, 2, 3):
        answer = said(ask(server, messages))
        assert answer.startswith(f"turn {number} of ")
        messages += [{"role": "assistant", "content": answer}, {"role": "user", "content": f"more {number}"}]
    prompts = server.agents.all("prompt")
    assert len({prompt["session"] for prompt in prompts}) == 1
    assert prompts[0]["text"] == "System:\nBe short.\n\nUser:\none"
    assert [prompt["text"] for prompt in prompts[1:]] == ["more 1", "more 2"]


def test_a_history_that_no_session_has_seen_is_told_as_a_whole_in_a_new_one(start):
    server = start()
    first = said(ask(server, "one"))
    history = [{"role": "user", "content": "one"}, {"role": "assistant", "content": first},
               {"role": "user", "content": "two"}]
    # Somebody else's conversation, though it looks the same.
    other = server.client(api_key=KEY + "-two")
    assert said(ask(server, history, other)).startswith("turn 1 of ")
    changed = [history[0], {"role": "assistant", "content": first + "!"}, history[2]]
    assert said(ask(server, changed)).startswith("turn 1 of ")
    assert said(ask(server, history)).startswith("turn 2 of ")
    # The session has gone on, so the same history forks.
    assert said(ask(server, history)).startswith("turn 1 of ")
    texts = [prompt["text"] for prompt in server.agents.all("prompt")]
    assert texts[1] == f"User:\none\n\nAssistant:\n{first}\n\nUser:\ntwo"
    assert texts[3] == "two" and texts[4] == texts[1]


def test_a_mode_of_the_agent_can_be_asked_for_by_name(start):
    server = start()
    server.client().chat.completions.create(
        model="agent/ask", messages=[{"role": "user", "content": "hi"}])
    assert server.agents.all("mode")[0]["mode"] == "ask"
    assert [model.id for model in server.client().models.list()] == ["agent/agent", "agent"]


@pytest.mark.parametrize("processes", [1, 2])
def test_conversations_at_the_same_time_never_mix(start, processes):
    server = start(processes=processes)

    async def run():
        client = server.async_client()

        async def one():
            text = ""
            async for chunk in await client.chat.completions.create(
                    model="agent/agent", messages=[{"role": "user", "content": "#slow 25"}], stream=True):
                text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
            return text

        return await asyncio.gather(*[one() for _ in range(8)])

    texts = asyncio.run(run())
    sessions = set()
    for text in texts:
        session = text[1:].split(":")[0]
        assert text == "".join(f"<{session}:{number}>" for number in range(25))
        sessions.add(session)
    assert len(sessions) == 8
    assert len(server.agents.agents()) == processes


def test_more_turns_than_fit_wait_for_their_seats(start):
    server = start(processes=1, limits={"concurrent": 2})

    async def run():
        client = server.async_client()
        calls = [client.chat.completions.create(
            model="agent/agent", messages=[{"role": "user", "content": f"#slow {10 + n}"}]) for n in range(6)]
        return await asyncio.gather(*calls)

    answers = [said(answer) for answer in asyncio.run(run())]
    assert sorted(answer.count("<") for answer in answers) == [10, 11, 12, 13, 14, 15]


# What an agent may do.


@pytest.mark.parametrize(("policy", "word", "outcome"), [
    (None, "#permission", "execute: no"), ("deny", "#permission", "execute: no"),
    ("allow", "#permission", "execute: yes"),
    ({"read": "allow", "execute": "deny"}, "#permission", "execute: no"),
    ({"read": "allow", "execute": "deny"}, "#permission-read", "read: yes"),
])
def test_permissions_are_by_policy(start, policy, word, outcome):
    server = start(**({"permission": policy} if policy else {}))
    assert said(ask(server, word)) == outcome


def test_files_and_terminals_are_not_offered(start):
    server = start(permission="allow")
    assert said(ask(server, "#files")) == "-32601 -32601 -32601 "


def test_an_agent_works_in_its_folder_and_sees_only_its_own_environment(start, tmp_path):
    server = start({"AGENT_KEY": "key-of-the-agent"})
    ask(server, "hi")
    hello, session = server.agents.all("initialize")[0], server.agents.all("session")[0]
    assert hello["cwd"] == session["cwd"] == str(tmp_path / "project") and session["servers"] == []
    assert {"AGENT_KEY", "PATH", "HOME"} <= set(hello["environment"])
    assert not {"OPENAI_API_KEY", "GATEWAY_SECRET"} & set(hello["environment"])
    pid = hello["pid"]
    assert os.getsid(pid) == pid, "an agent is not bound to the gateway's terminal"
    ours, its = ({os.readlink(entry) for entry in Path(f"/proc/{number}/fd").iterdir()}
                 for number in (server.process.pid, pid))
    assert not [handle for handle in ours & its if handle.startswith("socket:")], "an agent has no socket of the gateway"


def test_what_an_agent_complains_of_is_in_the_debug_log_without_secrets(start):
    server = start({"AGENT_KEY": "key-of-the-agent"})
    assert said(ask(server, "#complain")) == "Complained."
    server.wait_for(r"agent .*the key is \*\*\*")
    server.wait_for(r"agent .*and a line")
    assert "key-of-the-agent" not in server.log_text()


# When it goes wrong.


def test_a_client_that_leaves_cancels_its_turn_and_nobody_hears_the_rest(start):
    server = start(processes=1)
    raw = server.raw()
    payload = json.dumps(chat("agent/agent", "#hang", stream=True))
    raw.send(f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
             f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n{payload}")
    raw.until(b"Waiting.")
    raw.close()
    cancelled = server.agents.wait("cancel")[0]
    assert cancelled["session"] == server.agents.all("prompt")[0]["session"]
    # The same conversation, and another one, while the old turn still talks.
    for _ in range(4):
        assert "LATE" not in said(ask(server, "#slow 5"))
    assert all(prompt["session"] != cancelled["session"] for prompt in server.agents.all("prompt")[1:])


def test_a_turn_that_says_nothing_times_out_and_is_cancelled(start):
    server = start(timeout={"first": "6s", "idle": "1s"})
    ask(server, "hi")
    with pytest.raises(openai.APIStatusError) as late:
        ask(server, "#silent", stream=True)
    assert late.value.status_code == 504
    server.agents.wait("cancel")
    assert said(ask(server, "hi"))


def test_an_agent_that_dies_in_a_turn_is_a_clean_error_and_the_next_call_works(start):
    server = start(processes=1, retry=3)
    body = json.dumps(chat("agent/agent", "#die", stream=True))
    status, _, text = server.request("POST", "/v1/chat/completions", body)
    lines = data_lines(text)
    assert status == 200 and "words" in text.decode()
    assert json.loads(lines[-1])["error"]["code"] == "agent_failed"
    with pytest.raises(openai.APIStatusError) as failed:
        ask(server, "#die-at-once")
    assert failed.value.status_code == 502 and failed.value.code == "agent_failed"
    assert len([prompt for prompt in server.agents.all("prompt") if "at-once" in prompt["text"]]) == 1, \
        "what an agent has begun is not begun again"
    assert said(ask(server, "hi")).startswith("turn 1 of ")
    assert len(server.agents.agents()) == 3


@pytest.mark.parametrize(("word", "status", "words"), [
    ("#error", 502, "the model is on fire"), ("#invalid", 400, "not like this")])
def test_an_agents_errors_are_told_in_its_words(start, word, status, words):
    server = start()
    with pytest.raises(openai.APIStatusError, match=words) as failed:
        ask(server, word)
    assert failed.value.status_code == status
    assert said(ask(server, "hi"))


def test_an_agent_that_wants_a_sign_in_says_how(start):
    server = start({"FAKE_AUTH": "1"})
    with pytest.raises(openai.AuthenticationError, match="device-code"):
        ask(server, "hi")


@pytest.mark.parametrize("environment", [{"FAKE_DIES_BEFORE": "1"}, {"FAKE_DIES_AT_START": "1"}, {"FAKE_VERSION": "7"}])
def test_an_agent_that_does_not_come_up_is_a_clean_error_and_is_not_started_over_and_over(start, environment):
    server = start(environment)
    for _ in range(8):
        with pytest.raises(openai.APIStatusError) as failed:
            ask(server, "hi")
        assert failed.value.status_code in (502, 503)
    assert len(server.agents.agents()) < 8


def test_a_command_that_is_not_there_is_a_clean_error(start):
    server = start(command=["/nowhere/agent"])
    with pytest.raises(openai.APIStatusError, match="is it installed") as failed:
        ask(server, "hi")
    assert failed.value.status_code == 503


@pytest.mark.parametrize("settings", [{"directory": "/nowhere"}, {"permission": {"write": "allow"}}, {"command": []}])
def test_settings_that_cannot_work_are_refused_at_the_start(tmp_path, settings):
    config = {"providers": {"agent": {"kind": "acp", "command": AGENT} | settings}}
    server = Server(tmp_path, config, wait=False)
    assert server.process.wait(20) != 0
    assert f"providers.agent.{next(iter(settings))}" in server.log_text()


def test_killing_an_agent_under_load_loses_no_other_call_and_leaks_no_process(start):
    server = start({"FAKE_CHILD": "1"}, processes=2)

    async def run():
        client = server.async_client(timeout=60)

        async def one():
            text = ""
            try:
                async for chunk in await client.chat.completions.create(
                        model="agent/agent", messages=[{"role": "user", "content": "#slow 60"}], stream=True):
                    text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
            except openai.APIError as error:
                return text, error
            return text, None

        calls = [asyncio.create_task(one()) for _ in range(12)]
        await asyncio.to_thread(server.agents.wait, "prompt", 12)
        victim = server.agents.all("prompt")[0]["pid"]
        os.kill(victim, signal.SIGKILL)
        return victim, await asyncio.gather(*calls)

    victim, results = asyncio.run(run())
    sessions = {prompt["session"]: prompt["pid"] for prompt in server.agents.all("prompt")}
    lost = [prompt for prompt in server.agents.all("prompt") if prompt["pid"] == victim]
    whole = [text for text, error in results if error is None]
    assert len(whole) == 12 - len(lost) and lost and whole
    for text in whole:
        session = text[1:].split(":")[0]
        assert text == "".join(f"<{session}:{number}>" for number in range(60)) and sessions[session] != victim
    for _, error in results:
        assert error is None or "agent" in str(error)
    assert said(ask(server, "hi"))
    children = {entry["pid"]: entry["child"] for entry in server.agents.all("child")}
    wait_until(lambda: not alive(children[victim]), what="the end of what the killed agent had started")
    wait_until(lambda: not alive(victim) and not is_zombie(victim), what="nothing left of the killed agent")
    running = [pid for pid in server.agents.agents() if alive(pid)]
    assert len(running) <= 2
    server.process.terminate()
    server.process.wait(20)
    assert not [pid for pid in server.agents.agents() | set(children.values()) if alive(pid)]


# The end of agents.


@pytest.mark.parametrize("stubborn", [False, True])
def test_agents_end_with_the_gateway(start, stubborn):
    server = start({"FAKE_CHILD": "1"} | ({"FAKE_STUBBORN": "1"} if stubborn else {}))
    ask(server, "hi")
    server.process.terminate()
    server.process.wait(20)
    children = {entry["child"] for entry in server.agents.all("child")}
    assert not [pid for pid in server.agents.agents() | children if alive(pid)]


def test_agents_notice_that_the_gateway_was_killed(start):
    server = start()
    ask(server, "hi")
    server.process.kill()
    server.process.wait()
    wait_until(lambda: not any(alive(pid) for pid in server.agents.agents()), what="the end of the agent")


def test_a_reload_keeps_an_unchanged_agent_and_ends_one_that_is_gone(start):
    server = start()
    answer = said(ask(server, "one"))
    config = server.config_path.read_text()
    server.reload(config + "\n# nothing new\n")
    server.wait_for("configuration reloaded")
    history = [{"role": "user", "content": "one"}, {"role": "assistant", "content": answer},
               {"role": "user", "content": "two"}]
    assert said(ask(server, history)).startswith("turn 2 of ")
    assert len(server.agents.agents()) == 1
    # One that is in a turn goes on until the turn is over.
    results = []
    turn = threading.Thread(target=lambda: results.append(said(ask(server, "#slow 40"))))
    turn.start()
    server.agents.wait("prompt", 3)
    server.reload({"providers": {"demo": {"kind": "demo"}}, "keys": [{"name": "one", "key": KEY}]})
    turn.join(20)
    assert results and results[0].count("<") == 40
    wait_until(lambda: not any(alive(pid) for pid in server.agents.agents()), 15, "the end of the agent")
