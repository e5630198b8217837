# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""iFlow's command: the stand-in is held to what iFlow's own SDK makes of it, and Parley to the stand-in."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from pathlib import Path

import iflow_sdk
import openai
import pytest

from conftest import KEY, Program, Server, chat, clean_environment, data_lines, wait_until
from test_acp import Log, alive, said

COMMAND = [sys.executable, str(Path(__file__).parent / "fakes" / "iflow_cli.py"), "--experimental-acp", "--port"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Command(Program):
    """The stand-in, started by the test."""

    def __init__(self, folder, **environment):
        self.log = Log(folder / "iflow.log")
        env = clean_environment(folder, FAKE_LOG=str(self.log.path), **environment)
        super().__init__([*COMMAND, "0"], folder, "command", env)
        self.port = int(self.wait_for(r"listening on (\d+)")[1])


@pytest.fixture
def command(tmp_path):
    running = []

    def run(**environment):
        running.append(Command(tmp_path / f"command{len(running)}", **environment))
        return running[-1]

    yield run
    for program in running:
        program.stop()


@pytest.fixture
def serve(tmp_path):
    running = []

    def run(port, sections=None, environment=None, **settings):
        log = Log(tmp_path / f"child{len(running)}.log")
        provider = {"kind": "iflow", "mode": "cli", "url": f"ws://127.0.0.1:{port}/acp?peer=iflow",
                    "environment": {"FAKE_LOG": str(log.path)} | (environment or {})} | settings
        config = {"providers": {"iflow": provider}, "defaults": {"retry": {"attempts": 1}},
                  "keys": [{"name": "one", "key": KEY}], "server": {"drain": "2s"}} | (sections or {})
        server = Server(tmp_path / f"server{len(running)}", config)
        server.child = log
        running.append(server)
        return server

    yield run
    for server in running:
        server.process.terminate()
        server.process.wait(20)
        assert not [pid for pid in server.child.agents() if alive(pid)]


def ask(server, text, **more):
    messages = text if isinstance(text, list) else [{"role": "user", "content": text}]
    return server.client().chat.completions.create(model="iflow", messages=messages, **more)


# The stand-in, as iFlow's own SDK sees it.


def talk(port, *texts, **options):
    """What the SDK's client gets: for each text the messages up to the end of the task."""

    async def run():
        results = []
        settings = iflow_sdk.IFlowOptions(
            url=f"ws://127.0.0.1:{port}/acp?peer=iflow", auto_start_process=False, cwd="/tmp", **options)
        async with iflow_sdk.IFlowClient(settings) as client:
            for text in texts:
                await client.send_message(text)
                results.append([])
                async for message in client.receive_messages():
                    results[-1].append(message)
                    if isinstance(message, iflow_sdk.ToolConfirmationRequestMessage):
                        await client.respond_to_tool_confirmation(message.request_id, "proceed_once")
                    if isinstance(message, (iflow_sdk.TaskFinishMessage, iflow_sdk.ErrorMessage)):
                        break
        return results

    return asyncio.run(asyncio.wait_for(run(), 60))


def words(messages):
    return "".join(message.chunk.text or "" for message in messages if isinstance(message, iflow_sdk.AssistantMessage))


def test_iflows_own_client_and_the_stand_in_agree(command):
    fake = command()
    plain, asked, old, huge, failed = talk(fake.port, "hello", "#permission", "#old", "#huge", "#error")
    assert re.fullmatch(r"turn 1 of session-\d+-0: hello", words(plain))
    assert any(message.chunk.thought for message in plain if isinstance(message, iflow_sdk.AssistantMessage))
    assert plain[-1].stop_reason.value == "end_turn"
    assert words(asked) == "proceed_once"
    assert any(isinstance(message, iflow_sdk.ToolCallMessage) for message in asked)
    assert re.fullmatch(r"tool_\d+ None None -32601", words(old))
    assert words(huge) == "y" * 200_000
    assert isinstance(failed[-1], iflow_sdk.ErrorMessage) and failed[-1].details == "the model is on fire"
    assert fake.log.all("session")[0]["settings"] == {"permission_mode": "yolo"}
    assert not fake.log.all("early"), "nothing is said before //ready"


def test_iflows_own_client_signs_in_and_interrupts_as_the_stand_in_wants_it(command):
    fake = command(FAKE_KEY="key-of-iflow")
    talk(fake.port, "hi", auth_method_id="use_iflow_ak", auth_method_info={"apiKey": "key-of-iflow"})
    assert fake.log.all("authenticate")[0]["method"] == "use_iflow_ak"

    async def interrupt():
        settings = iflow_sdk.IFlowOptions(
            url=f"ws://127.0.0.1:{fake.port}/acp", auto_start_process=False, auth_method_id="use_iflow_ak",
            auth_method_info={"apiKey": "key-of-iflow"})
        async with iflow_sdk.IFlowClient(settings) as client:
            await client.send_message("#hang")
            async for message in client.receive_messages():
                if isinstance(message, iflow_sdk.AssistantMessage) and "Waiting" in (message.chunk.text or ""):
                    await client.interrupt()
                if isinstance(message, iflow_sdk.TaskFinishMessage):
                    return message.stop_reason.value

    assert asyncio.run(asyncio.wait_for(interrupt(), 30)) == "cancelled"
    assert fake.log.all("cancel") and not fake.log.all("no id")


# Parley against the stand-in.


def test_the_list_has_iflows_model_and_every_other_name_is_not_found(command, serve):
    server = serve(command().port)
    assert [model.id for model in server.client().models.list()] == ["iflow/iflow", "iflow"]
    for name in ("iflow", "iflow/iflow"):
        assert server.client().models.retrieve(name).id == name
    for name in ("gpt-4", "iflow/glm-4"):
        with pytest.raises(openai.NotFoundError):
            server.client().models.retrieve(name)
        with pytest.raises(openai.NotFoundError):
            server.client().chat.completions.create(model=name, messages=[{"role": "user", "content": "hi"}])


def test_iflow_answers_whole_and_as_a_stream(command, serve):
    fake = command()
    server = serve(fake.port)
    answer = ask(server, "hello there")
    assert re.fullmatch(r"turn 1 of session-\d+-0: hello there", said(answer))
    assert answer.choices[0].message.reasoning_content == "Hm. "
    chunks = list(ask(server, "#slow 5", stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text.count("<") == 5 and chunks[-1].choices[0].finish_reason == "stop"
    assert not fake.log.all("early") and len(fake.log.all("connection")) == 1
    assert fake.log.all("session")[0]["settings"] == {"permission_mode": "default"}
    assert fake.log.all("initialize")[0]["capabilities"]["fs"] == {"readTextFile": False, "writeTextFile": False}


def test_a_conversation_goes_on_in_its_session(command, serve):
    fake = command()
    server = serve(fake.port)
    messages = [{"role": "user", "content": "one"}]
    messages += [{"role": "assistant", "content": said(ask(server, messages))}, {"role": "user", "content": "two"}]
    assert said(ask(server, messages)).startswith("turn 2 of ")
    assert [prompt["text"] for prompt in fake.log.all("prompt")] == ["one", "two"]


def test_conversations_at_the_same_time_never_mix_on_the_one_connection(command, serve):
    fake = command()
    server = serve(fake.port)

    async def run():
        client = server.async_client()
        calls = [client.chat.completions.create(
            model="iflow", messages=[{"role": "user", "content": "#slow 15"}]) for _ in range(8)]
        return await asyncio.gather(*calls)

    texts = [said(answer) for answer in asyncio.run(run())]
    for text in texts:
        session = text[1:].split(":")[0]
        assert text == "".join(f"<{session}:{number}>" for number in range(15))
    assert len(set(texts)) == 8 and len(fake.log.all("connection")) == 1


@pytest.mark.parametrize(("policy", "word", "mode"), [("deny", "cancel", "default"), ("allow", "proceed_once", "yolo")])
def test_permissions_by_iflows_own_options(command, serve, policy, word, mode):
    fake = command()
    server = serve(fake.port, permission=policy)
    assert said(ask(server, "#permission")) == word
    assert fake.log.all("session")[0]["settings"] == {"permission_mode": mode}


def test_requests_of_its_early_days_are_answered_and_long_messages_read(command, serve):
    server = serve(command().port)
    assert said(ask(server, "#old")) == "tool_1 None None -32601"
    assert said(ask(server, "#huge")) == "y" * 200_000


def test_a_key_signs_in_and_a_wrong_one_is_a_clear_error(command, serve):
    fake = command(FAKE_KEY="key-of-iflow")
    assert said(ask(serve(fake.port, api_key="key-of-iflow"), "hi"))
    for wrong in ({"api_key": "another-key"}, {}):
        with pytest.raises(openai.AuthenticationError) as refused:
            ask(serve(fake.port, **wrong), "hi")
        assert "another-key" not in str(refused.value)


def test_a_client_that_leaves_cancels_by_a_request(command, serve):
    fake = command()
    server = serve(fake.port)
    payload = json.dumps(chat("iflow", "#hang", stream=True))
    raw = server.raw()
    raw.send(f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
             f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n{payload}")
    raw.until(b"Waiting.")
    raw.close()
    fake.log.wait("cancel")
    assert not fake.log.all("no id")
    assert "LATE" not in said(ask(server, "#slow 5"))


def test_the_command_is_started_where_nothing_listens_and_again_when_it_dies(serve):
    port = free_port()
    server = serve(port, command=[*COMMAND, str(port)])
    assert said(ask(server, "hi"))
    first = server.child.all("start")[0]["pid"]
    body = json.dumps(chat("iflow", "#die", stream=True))
    _, _, text = server.request("POST", "/v1/chat/completions", body)
    assert "Last words" in text.decode() and "error" in json.loads(data_lines(text)[-1])
    assert said(ask(server, "hi again"))
    starts = server.child.all("start")
    assert len(starts) == 2 and not alive(first) and alive(starts[1]["pid"])
    os.kill(starts[1]["pid"], signal.SIGKILL)
    wait_until(lambda: not alive(starts[1]["pid"]), what="the command's end")
    # The connection's end may be noticed a moment later than the process's.
    wait_until(lambda: server.request("POST", "/v1/chat/completions", chat("iflow", "once more"))[0] == 200)
    server.process.terminate()
    server.process.wait(20)
    assert server.child.all("terminated")


def test_no_command_and_nothing_that_listens_is_a_clean_error(serve):
    server = serve(free_port())
    with pytest.raises(openai.APIStatusError, match="does not listen") as failed:
        ask(server, "hi")
    assert failed.value.status_code == 503
    server = serve(free_port(), command=["/nowhere/iflow"])
    with pytest.raises(openai.APIStatusError, match="is it installed") as failed:
        ask(server, "hi")
    assert failed.value.status_code == 503
