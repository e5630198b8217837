# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""iFlow's command as its own SDK knows it: the Agent Client Protocol over a WebSocket, with its differences.

    python iflow_cli.py --experimental-acp --port 8090

It says `//ready` late, sends other `//` lines between its messages, and refuses what comes in the wrong order. A `#word`
in a prompt says what it does. What happens to it goes, a JSON object per line, to the file that `FAKE_LOG` names;
`FAKE_KEY` makes it want that key before there is a session.
"""

import argparse
import asyncio
import itertools
import json
import os
import re
import signal
import urllib.parse

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

WORDS = re.compile(r"#([a-z-]+)(?: (\d+))?")
LARGEST = 10 * 1024 * 1024


def note(what, **more):
    if path := os.environ.get("FAKE_LOG"):
        with open(path, "ab", 0) as log:
            log.write(json.dumps({"what": what, "pid": os.getpid()} | more).encode() + b"\n")


class Refusal(Exception):
    def __init__(self, code, message, details=None):
        super().__init__(message)
        self.error = {"code": code, "message": message} | ({"data": {"details": details}} if details else {})


class Connection:
    """One WebSocket and its sessions."""

    numbers = itertools.count()

    def __init__(self, socket):
        self.socket = socket
        self.is_ready = self.is_initialized = False
        self.is_authenticated = not os.environ.get("FAKE_KEY")
        self.sessions, self.running, self.waiting = {}, {}, {}
        self.ids = itertools.count(1000)
        self.tasks = set()

    async def serve(self):
        note("connection", path=self.socket.request.path)
        greeting = asyncio.create_task(self.greet())
        try:
            async for text in self.socket:
                if not self.is_ready:
                    note("early", text=text[:100])
                    continue
                self.take(json.loads(text))
        except ConnectionClosed:
            pass
        finally:
            note("gone")
            greeting.cancel()
            for task in self.tasks:
                task.cancel()

    async def greet(self):
        await self.socket.send("//stderr Loaded settings")
        await asyncio.sleep(float(os.environ.get("FAKE_READY_SECONDS", 0.15)))
        await self.socket.send("//debug almost")
        self.is_ready = True
        await self.socket.send("//ready\n")

    def take(self, message):
        if "method" in message:
            self.start(self.answer(message))
        elif (waiting := self.waiting.pop(message.get("id"), None)) and not waiting.done():
            waiting.set_result(message)

    def start(self, work):
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def send(self, **message):
        await self.socket.send(json.dumps({"jsonrpc": "2.0"} | message))

    async def ask(self, method, params):
        """Sends a request and waits for its answer."""
        number = next(self.ids)
        self.waiting[number] = asyncio.get_running_loop().create_future()
        await self.send(id=number, method=method, params=params)
        return await self.waiting[number]

    async def answer(self, message):
        method, params, number = message["method"], message.get("params") or {}, message.get("id")
        try:
            work = {
                "initialize": self.initialize, "authenticate": self.authenticate, "session/new": self.new_session,
                "session/prompt": self.prompt, "session/cancel": self.cancel,
            }.get(method)
            if work is None:
                raise Refusal(-32601, "Method not found")
            if number is None:
                note("no id", method=method)
                return
            result = {"result": await work(params)}
        except Refusal as refusal:
            result = {"error": refusal.error}
        if number is not None:
            await self.send(id=number, **result)

    async def initialize(self, params):
        if params.get("protocolVersion") != 1 or "fs" not in params.get("clientCapabilities", {}):
            raise Refusal(-32602, "Invalid params", "protocolVersion and clientCapabilities.fs are needed")
        self.is_initialized = True
        note("initialize", capabilities=params["clientCapabilities"])
        return {
            "protocolVersion": 1, "isAuthenticated": self.is_authenticated,
            "agentCapabilities": {"loadSession": False, "promptCapabilities": {"image": True}},
            "authMethods": [{"id": "iflow", "name": "iFlow"}, {"id": "use_iflow_ak", "name": "Key", "description": None}]}

    async def authenticate(self, params):
        if not self.is_initialized:
            raise Refusal(-32600, "Invalid request")
        note("authenticate", method=params.get("methodId"))
        if os.environ.get("FAKE_KEY") not in (None, (params.get("methodInfo") or {}).get("apiKey")):
            raise Refusal(-32603, "Wrong key")
        self.is_authenticated = True
        return {"methodId": params["methodId"]}

    async def new_session(self, params):
        if not self.is_initialized:
            raise Refusal(-32600, "Invalid request")
        if not self.is_authenticated:
            raise Refusal(-32000, "Authentication required")
        if not os.path.isabs(params.get("cwd", "")) or not isinstance(params.get("mcpServers"), list):
            raise Refusal(-32602, "Invalid params", "cwd and mcpServers are needed")
        session = f"session-{os.getpid()}-{next(self.numbers)}"
        self.sessions[session] = []
        note("session", session=session, cwd=params["cwd"], settings=params.get("settings"))
        return {"sessionId": session}

    async def cancel(self, params):
        note("cancel", session=params.get("sessionId"))
        if event := self.running.get(params.get("sessionId")):
            event.set()
        return None

    async def prompt(self, params):
        session = params.get("sessionId")
        if session not in self.sessions:
            raise Refusal(-32602, "Invalid params", "no such session")
        if session in self.running:
            raise Refusal(-32600, "Invalid request", "a turn is running")
        text = "".join(block.get("text", "") for block in params["prompt"])
        self.sessions[session].append(text)
        note("prompt", session=session, text=text)
        self.running[session] = asyncio.Event()
        try:
            found = WORDS.findall(text)
            word, number = (found[-1][0], int(found[-1][1] or 0)) if found else ("", 0)
            work = getattr(self, "do_" + word.replace("-", "_"), self.do_answer)
            return {"stopReason": await work(session, text, number) or "end_turn"}
        finally:
            del self.running[session]

    async def update(self, session, **update):
        await self.send(method="session/update", params={"sessionId": session, "update": update})

    async def say(self, session, *texts):
        for text in texts:
            await self.update(session, sessionUpdate="agent_message_chunk", agentId="main",
                              content={"type": "text", "text": text})
            await self.socket.send("//stderr a line between")

    async def do_answer(self, session, text, _):
        await self.update(session, sessionUpdate="agent_thought_chunk", content={"type": "text", "text": "Hm. "})
        await self.say(session, f"turn {len(self.sessions[session])}", f" of {session}: ", text.strip()[-40:])

    async def do_slow(self, session, _, number):
        for index in range(number or 20):
            await self.say(session, f"<{session}:{index}>")
            await asyncio.sleep(0.02)

    async def do_permission(self, session, *_):
        await self.update(session, sessionUpdate="tool_call", toolCallId="t1", title="Run", kind="execute",
                          status="pending", toolName="run_shell_command", args={"command": "ls"})
        answer = await self.ask("session/request_permission", {
            "sessionId": session, "toolCall": {"toolCallId": "t1", "title": "Run", "type": "execute"},
            "options": [{"optionId": name, "name": name} for name in
                        ("proceed_once", "proceed_always", "proceed_always_tool", "cancel")]})
        outcome = answer["result"]["outcome"]
        await self.say(session, outcome.get("optionId", outcome["outcome"]))

    async def do_old(self, session, *_):
        pushed = await self.ask("pushToolCall", {"label": "Read", "icon": "file"})
        changed = await self.ask("updateToolCall", {"toolCallId": pushed["result"]["id"], "status": "finished"})
        finished = await self.ask("notifyTaskFinish", {})
        unknown = await self.ask("somethingElse", {})
        await self.say(session, f"{pushed['result']['id']} {changed['result']} {finished['result']} ",
                       str(unknown["error"]["code"]))

    async def do_hang(self, session, *_):
        await self.say(session, "Waiting.")
        await self.running[session].wait()
        await self.say(session, "LATE WORDS")
        return "cancelled"

    async def do_huge(self, session, *_):
        await self.update(session, sessionUpdate="tool_call_update", toolCallId="t", content=[
            {"type": "markdown", "content": {"type": "text", "text": "x" * 1_000_000}}])
        await self.say(session, "y" * 200_000)

    async def do_die(self, session, *_):
        await self.say(session, "Last words")
        await asyncio.sleep(0.05)
        os._exit(3)

    async def do_error(self, *_):
        raise Refusal(-32603, "Internal error", "the model is on fire")


async def handle(socket):
    path = urllib.parse.urlsplit(socket.request.path).path
    if path != "/acp":
        await socket.close(1008, "only /acp")
        return
    await Connection(socket).serve()


async def main(port, on_start=None):
    stop = asyncio.get_running_loop().create_future()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, lambda: stop.done() or stop.set_result(None))
    async with serve(handle, "127.0.0.1", port, max_size=LARGEST, ping_interval=None) as server:
        note("start", port=port)
        if on_start:
            on_start(server)
        print(f"listening on {server.sockets[0].getsockname()[1]}", flush=True)
        await stop
        note("terminated")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--experimental-acp", action="store_true", required=True)
    parser.add_argument("--port", type=int, required=True)
    asyncio.run(main(parser.parse_args().port))
