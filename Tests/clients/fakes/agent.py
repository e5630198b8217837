# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""An agent made with the official package of the Agent Client Protocol, which speaks on standard input and output.

A `#word` in the last text of a prompt says what it does; `FAKE_*` variables say what kind of agent it is. What happens to
it goes, a JSON object per line, to the file that `FAKE_LOG` names.
"""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys

import acp
from acp import schema

WORDS = re.compile(r"#([a-z-]+)(?: (\d+))?")


def note(what, **more):
    """One line of the log; a write of this size is not torn apart by other processes."""
    if path := os.environ.get("FAKE_LOG"):
        with open(path, "ab", 0) as log:
            log.write(json.dumps({"what": what, "pid": os.getpid()} | more).encode() + b"\n")


def flag(name):
    return bool(os.environ.get(f"FAKE_{name}"))


class Agent:
    """Remembers in each session what it was asked there."""

    def __init__(self):
        self.client = None
        self.sessions = {}
        self.running = {}
        self.made = 0

    def on_connect(self, client):
        self.client = client

    async def initialize(self, protocol_version, client_capabilities=None, client_info=None, **_):
        note("initialize", version=protocol_version, client=client_info.name if client_info else None,
             capabilities=client_capabilities.model_dump(by_alias=True, exclude_none=True), cwd=os.getcwd(),
             environment=sorted(os.environ))
        if flag("DIES_AT_START"):
            os._exit(4)
        await asyncio.sleep(float(os.environ.get("FAKE_START_SECONDS", 0)))
        return acp.InitializeResponse(
            protocol_version=int(os.environ.get("FAKE_VERSION", acp.PROTOCOL_VERSION)),
            agent_capabilities=schema.AgentCapabilities(
                prompt_capabilities=schema.PromptCapabilities(image=flag("IMAGES")),
                session_capabilities=schema.SessionCapabilities(close=schema.SessionCloseCapabilities())),
            auth_methods=[schema.AuthMethodAgent(id="device-code", name="By a code")] if flag("AUTH") else [])

    async def new_session(self, cwd, mcp_servers=None, **_):
        if flag("AUTH"):
            raise acp.RequestError.auth_required()
        self.made += 1
        session = f"{os.getpid()}-{self.made}"
        self.sessions[session] = []
        note("session", session=session, cwd=cwd, servers=mcp_servers)
        modes = schema.SessionModeState(current_mode_id="code", available_modes=[
            schema.SessionMode(id="code", name="Code"), schema.SessionMode(id="ask", name="Ask")])
        return acp.NewSessionResponse(session_id=session, modes=modes)

    async def set_session_mode(self, session_id, mode_id, **_):
        note("mode", session=session_id, mode=mode_id)
        return schema.SetSessionModeResponse()

    async def close_session(self, session_id, **_):
        note("close", session=session_id)
        self.sessions.pop(session_id, None)
        return schema.CloseSessionResponse()

    async def cancel(self, session_id, **_):
        note("cancel", session=session_id)
        if task := self.running.get(session_id):
            task.set()

    async def prompt(self, session_id, prompt, **_):
        if session_id not in self.sessions:
            raise acp.RequestError.invalid_params({"details": "no such session"})
        if session_id in self.running:
            raise acp.RequestError.invalid_request({"details": "a turn is running in this session"})
        texts = [block.text for block in prompt if block.type == "text"]
        self.sessions[session_id].append("".join(texts))
        note("prompt", session=session_id, text="".join(texts), kinds=[block.type for block in prompt])
        self.running[session_id] = asyncio.Event()
        try:
            return await Turn(self, session_id, prompt, texts[-1] if texts else "").run()
        finally:
            del self.running[session_id]


class Turn:
    """One prompt's work."""

    def __init__(self, agent, session, prompt, text):
        self.agent, self.session, self.blocks, self.text = agent, session, prompt, text
        found = WORDS.findall(text)
        self.word, self.number = (found[-1][0], int(found[-1][1] or 0)) if found else ("", 0)
        self.cancelled = agent.running[session]

    async def run(self):
        work = getattr(self, "do_" + self.word.replace("-", "_"), self.do_answer)
        return await work() or acp.PromptResponse(stop_reason="end_turn")

    async def update(self, update):
        await self.agent.client.session_update(session_id=self.session, update=update)

    async def say(self, *texts):
        for text in texts:
            await self.update(acp.update_agent_message_text(text))

    async def do_answer(self):
        seen = self.agent.sessions[self.session]
        await self.say(f"turn {len(seen)}", f" of {self.session}: ", self.text.strip()[-40:])

    async def do_thoughts(self):
        for piece in ("First ", "this, ", "then that."):
            await self.update(acp.update_agent_thought_text(piece))
        await self.say("Done", " thinking.")

    async def do_tools(self):
        await self.update(acp.update_plan([acp.plan_entry("Look", status="completed"), acp.plan_entry("Write")]))
        await self.update(acp.start_tool_call("t1", "Reading a file", kind="read", status="pending"))
        await self.update(acp.update_tool_call("t1", status="in_progress"))
        await self.update(acp.update_tool_call(
            "t1", status="completed", content=[acp.tool_content(acp.text_block("file content"))]))
        await self.say("I read it.")

    async def do_permission(self):
        await self.ask("execute")

    async def do_permission_read(self):
        await self.ask("read")

    async def ask(self, kind):
        call = f"call-{kind}"
        await self.update(acp.start_tool_call(call, "Something", kind=kind, status="pending"))
        answer = await self.agent.client.request_permission(
            session_id=self.session, tool_call=schema.ToolCallUpdate(tool_call_id=call), options=[
                schema.PermissionOption(option_id="yes", name="Yes", kind="allow_once"),
                schema.PermissionOption(option_id="always", name="Always", kind="allow_always"),
                schema.PermissionOption(option_id="no", name="No", kind="reject_once")])
        outcome = answer.outcome
        chosen = getattr(outcome, "option_id", outcome.outcome)
        note("permission", session=self.session, kind=kind, chosen=chosen)
        await self.say(f"{kind}: {chosen}")

    async def do_files(self):
        for ask in (
                self.agent.client.read_text_file(session_id=self.session, path="/etc/hostname"),
                self.agent.client.write_text_file(session_id=self.session, path="/tmp/x", content="x"),
                self.agent.client.create_terminal(session_id=self.session, command="id")):
            try:
                await ask
                await self.say("given ")
            except acp.RequestError as error:
                await self.say(f"{error.code} ")

    async def do_slow(self):
        for number in range(self.number or 20):
            await self.say(f"<{self.session}:{number}>")
            await asyncio.sleep(0.02)

    async def do_hang(self):
        await self.say("Waiting.")
        await self.cancelled.wait()
        # What a cancelled turn still says must reach nobody.
        await self.say("LATE WORDS")
        await asyncio.sleep(0.2)
        await self.say("LATER WORDS")
        return acp.PromptResponse(stop_reason="cancelled")

    async def do_silent(self):
        await self.cancelled.wait()
        return acp.PromptResponse(stop_reason="cancelled")

    async def do_die(self):
        await self.say("Last ", "words")
        await asyncio.sleep(0.05)
        os._exit(3)

    async def do_die_at_once(self):
        os._exit(3)

    async def do_huge(self):
        await self.update(acp.start_tool_call("big", "Big", kind="read", raw_output={"bytes": "x" * 2_000_000}))
        await self.say("y" * 300_000, "z" * 100_000)

    async def do_unknown(self):
        def raw(value):
            os.write(1, (value if isinstance(value, str) else json.dumps(value)).encode() + b"\n")
        await asyncio.sleep(0.05)
        raw("This is no JSON at all")
        raw([1, 2])
        raw({"jsonrpc": "2.0", "method": "_agent/news", "params": {"a": 1}})
        raw({"jsonrpc": "2.0", "id": "x-1", "method": "_agent/question", "params": {}})
        raw({"jsonrpc": "2.0", "id": 99999, "result": {"stopReason": "end_turn"}})
        raw({"jsonrpc": "2.0", "method": "session/update", "params": {
            "sessionId": self.session, "update": {"sessionUpdate": "telepathy", "content": {"a": [1]}}, "_meta": {}}})
        raw({"jsonrpc": "2.0", "method": "session/update", "params": {
            "sessionId": "nobody", "update": {"sessionUpdate": "agent_message_chunk",
                                              "content": {"type": "text", "text": "FOREIGN"}}}})
        await self.say("Still here.")

    async def do_usage(self):
        await self.say("Counted.")
        return acp.PromptResponse(stop_reason="end_turn", usage=schema.Usage(
            total_tokens=30, input_tokens=10, output_tokens=5, cached_read_tokens=12, thought_tokens=3))

    async def do_refuse(self):
        await self.say("I would rather not.")
        return acp.PromptResponse(stop_reason="refusal")

    async def do_length(self):
        await self.say("Cut off")
        return acp.PromptResponse(stop_reason="max_turn_requests")

    async def do_error(self):
        raise acp.RequestError.internal_error({"details": "the model is on fire"})

    async def do_invalid(self):
        raise acp.RequestError.invalid_params({"details": "not like this"})

    async def do_blocks(self):
        await self.say(", ".join(
            f"{block.type} {getattr(block, 'mime_type', '') or getattr(block, 'uri', '')}".strip()
            for block in self.blocks))

    async def do_complain(self):
        sys.stderr.write(f"the key is {os.environ.get('AGENT_KEY')}\nand a line\n")
        sys.stderr.flush()
        await self.say("Complained.")


def main():
    note("start")
    if flag("STUBBORN"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: (note("terminated"), os._exit(0)))
    if flag("CHILD"):
        child = subprocess.Popen(["sleep", "1000"], stdin=subprocess.DEVNULL)
        note("child", child=child.pid)
    if flag("DIES_BEFORE"):
        os._exit(5)
    asyncio.run(acp.run_agent(Agent(), use_unstable_protocol=True))
    note("end of input")
    while flag("STUBBORN"):
        signal.pause()


if __name__ == "__main__":
    main()
