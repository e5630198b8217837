# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""An OpenAI-compatible upstream that plays a script: a line per call, by the model's name, recorded with its time."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def step(title, content, action="continue", **options):
    """A line that is a step."""
    value = {"title": title, "content": content, "next_action": action}
    return line(json.dumps(value, ensure_ascii=False), **options)


def line(text, status=200, usage=None, pause=0.0, tools=None, hold=None, cut=False):
    """What one call gets: text in small pieces with a pause between them.

    `hold` is an event that is waited for before the last piece; `cut` closes the connection there instead.
    """
    return {"text": text, "status": status, "usage": usage or USAGE, "pause": pause, "tools": tools, "hold": hold,
            "cut": cut}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.whole(200, {"object": "list", "data": []})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)))
        chain = self.server.chain
        script = chain.take(body, self.path)
        if not self.headers.get("authorization", "").startswith("Bearer "):
            return self.whole(401, {"error": {"message": "no key"}})
        if body.get("response_format", {}).get("type") == "json_object" and "json" not in json.dumps(
                body["messages"]).lower():
            return self.whole(400, {"error": {"message": "'messages' must contain the word 'json'"}})
        if script["status"] != 200:
            return self.whole(script["status"], {"error": {"message": "scripted"}})
        if body.get("stream"):
            return self.stream(body, script)
        message = {"role": "assistant", "content": script["text"]}
        if script["tools"]:
            message["tool_calls"] = script["tools"]
        if script["hold"]:
            script["hold"].wait(20)
        self.whole(200, {
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if script["tools"] else "stop"}],
            "usage": script["usage"]})

    def whole(self, status, value):
        data = json.dumps(value, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def chunk(self, body, delta, finish=None, **more):
        value = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": body["model"],
                 "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]} | more
        self.write(f"data: {json.dumps(value, ensure_ascii=False)}\n\n".encode())

    def write(self, data):
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()

    def stream(self, body, script):
        chain = self.server.chain
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        text = script["text"]
        pieces = [text[at:at + 3] for at in range(0, len(text), 3)]
        chain.opened()
        try:
            self.chunk(body, {"role": "assistant", "content": ""})
            for place, piece in enumerate(pieces):
                if script["hold"] and place == len(pieces) - 1:
                    self.hold(script["hold"])
                if script["cut"] and place == len(pieces) - 1:
                    self.close_connection = True
                    return
                self.chunk(body, {"content": piece})
                time.sleep(script["pause"])
            for place, call in enumerate(script["tools"] or []):
                self.chunk(body, {"tool_calls": [{"index": place} | call]})
            self.chunk(body, {}, "tool_calls" if script["tools"] else "stop")
            self.chunk(body, {}, choices=[], usage=script["usage"])
            self.write(b"data: [DONE]\n\n")
            self.wfile.write(b"0\r\n\r\n")
        except ConnectionError:
            chain.left()
        finally:
            chain.closed()

    def hold(self, event):
        """Waits, and notices when the peer leaves meanwhile."""
        self.connection.settimeout(0.02)
        while not event.is_set():
            try:
                if not self.connection.recv(1):
                    raise ConnectionResetError
            except TimeoutError:
                continue
        self.connection.settimeout(None)


class Chain:
    """The upstream on a port of its own."""

    def __init__(self):
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.chain = self
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        self.lock = threading.Lock()
        self.reset()
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def reset(self):
        with self.lock:
            self.scripts, self.seen, self.streams, self.aborted, self.gone = {}, [], 0, 0, []

    def script(self, *lines, model="m"):
        """The lines of a model; the last one is played for ever."""
        with self.lock:
            self.scripts[model] = list(lines)

    def take(self, body, path):
        with self.lock:
            self.seen.append({"body": body, "time": time.monotonic(), "path": path})
            lines = self.scripts.get(body["model"]) or [line("nothing scripted", status=500)]
            return lines.pop(0) if len(lines) > 1 else lines[0]

    def opened(self):
        with self.lock:
            self.streams += 1

    def closed(self):
        with self.lock:
            self.streams -= 1

    def left(self):
        with self.lock:
            self.aborted += 1
            self.gone.append(time.monotonic())

    @property
    def bodies(self):
        with self.lock:
            return [entry["body"] for entry in self.seen]

    @property
    def waits(self):
        """Seconds between the calls."""
        with self.lock:
            times = [entry["time"] for entry in self.seen]
        return [after - before for before, after in zip(times, times[1:])]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
