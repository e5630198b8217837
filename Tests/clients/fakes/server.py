# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""The server the fakes live in: one prefix per kind, answers sent in small pieces."""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from . import bedrock, chat, dashscope, gemini, messages, qianfan, responses, zhipu
from .scenario import Refused, answer

WIRES = {"chat": chat, "responses": responses, "anthropic": messages, "gemini": gemini, "bedrock": bedrock,
         "zhipu": zhipu, "qianfan": qianfan, "dashscope": dashscope}
# Odd, so that frames and characters are cut anywhere.
PIECE = 37


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.handle_any()

    def do_POST(self):
        self.handle_any()

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        kind, _, path = self.path.lstrip("/").partition("/")
        wire = WIRES.get(kind)
        if wire is None:
            return self.whole(404, {"error": "no such fake"})
        headers = {name.lower(): value for name, value in self.headers.items()}
        view = None
        try:
            value = json.loads(body) if body else None
            extra = wire.other(self.command, "/" + path, headers, value)
            if extra is not None:
                self.server.fakes.note(kind, path, headers, value, None)
                return self.whole(200, extra)
            view = wire.read("/" + path, headers, value)
            self.server.fakes.note(kind, path, headers, value, view)
            made = answer(view)
        except Refused as refusal:
            self.server.fakes.note(kind, path, headers, body.decode("utf-8", "replace"), view, str(refusal))
            refusal.view = view
            status, value, more = wire.failure(refusal)
            return self.whole(status, value, more)
        if not view.stream:
            return self.whole(200, wire.whole(view, made))
        self.stream(wire, view, made)

    def whole(self, status, value, headers=None):
        data = json.dumps(value, ensure_ascii=False).encode()
        self.send_response(status)
        for name, text in ({"content-type": "application/json"} | (headers or {})).items():
            self.send_header(name, text)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def stream(self, wire, view, made):
        self.send_response(200)
        self.send_header("content-type", wire.STREAM_TYPE)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        try:
            for data in wire.stream(view, made):
                for start in range(0, len(data), PIECE):
                    piece = data[start:start + PIECE]
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                    self.wfile.flush()
                time.sleep(made.pause)
            if made.cut_after_text:
                self.close_connection = True
                return
            self.wfile.write(b"0\r\n\r\n")
        except ConnectionError:
            self.server.fakes.note_left(view)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    # Hundreds of callers come at once.
    request_queue_size = 1024

    def handle_error(self, request, client_address):
        """A peer that leaves is no news; anything else is a fault of the fakes and is printed."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Fakes:
    """The fakes on a port of their own."""

    def __init__(self):
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.fakes = self
        self.port = self.server.server_address[1]
        self.lock = threading.Lock()
        self.seen = []
        self.left = []
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, kind):
        return f"http://127.0.0.1:{self.port}/{kind}"

    def note(self, kind, path, headers, value, view, refusal=None):
        with self.lock:
            self.seen.append({"kind": kind, "path": path, "headers": headers, "body": value, "view": view,
                              "refusal": refusal})

    def note_left(self, view):
        """The peer closed the connection in the middle of an answer."""
        with self.lock:
            self.left.append(view)

    def last(self, kind):
        """The last request of that kind."""
        with self.lock:
            return next(entry for entry in reversed(self.seen) if entry["kind"] == kind)

    def clear(self):
        with self.lock:
            self.seen.clear()
            self.left.clear()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
