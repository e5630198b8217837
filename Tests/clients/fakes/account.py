# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""What the fakes of account-backed services have in common: state between requests, and answers in odd pieces."""

import json
import random
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Headers by which a client would pretend to be a browser.
BROWSER = re.compile(r"^(sec-|dnt$|te$|upgrade-insecure-requests$)")


class Refusal(Exception):
    """The service refuses: a status and a body, JSON unless it is a page."""

    def __init__(self, status, body, headers=None):
        super().__init__(str(body))
        self.status, self.body, self.headers = status, body, headers or {}


PAGE = "<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>Checking your browser</body></html>"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def handle_any(self):
        data = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        path, _, query = self.path.partition("?")
        service = self.server.service
        with service.lock:
            service.seen.append((self.command, self.path, headers, data.decode("utf-8", "replace")))
        try:
            self.check_browser(headers)
            service.route(self, self.command, path, query, headers, json.loads(data) if data else None)
        except Refusal as refusal:
            self.whole(refusal.status, refusal.body, refusal.headers)

    do_GET = do_POST = do_DELETE = handle_any

    def check_browser(self, headers):
        """Parley says who it is."""
        fault = [name for name in headers if BROWSER.match(name)]
        if fault or "Mozilla" in headers.get("user-agent", ""):
            self.server.service.fault(f"pretends to be a browser: {fault or headers['user-agent']}")

    def whole(self, status, value, headers=None):
        is_page = isinstance(value, str) and value.startswith("<")
        data = b"" if value is None else value.encode() if is_page else json.dumps(value, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("content-type", "text/html; charset=utf-8" if is_page else "application/json")
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def stream(self, frames, kind, cut=False, pause=0.0, seed=0, largest=23):
        """Sends frames in pieces that begin and end anywhere, in the middle of characters too."""
        dice = random.Random(seed)
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        try:
            for frame in frames:
                start = 0
                while start < len(frame):
                    piece = frame[start:start + dice.randint(1, largest)]
                    start += len(piece)
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                    self.wfile.flush()
                if pause:
                    time.sleep(pause)
            if cut:
                self.close_connection = True
                return
            self.wfile.write(b"0\r\n\r\n")
        except ConnectionError:
            with self.server.service.lock:
                self.server.service.left += 1


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def handle_error(self, request, client_address):
        """A peer that leaves is no news; anything else is a fault of the fake and is printed."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Service:
    """A fake on a port of its own. A subclass has `route(handler, method, path, query, headers, value)`."""

    def __init__(self):
        self.lock = threading.Lock()
        self.clear()
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.service = self
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def clear(self):
        self.seen = []     # (method, path with query, headers, body)
        self.faults = []   # what no client may do
        self.left = 0      # peers that closed in the middle of an answer

    def fault(self, text):
        with self.lock:
            self.faults.append(text)

    def require(self, holds, text, status=400):
        """Refuses what the service would refuse, and remembers it: a test looks for faults at its end."""
        if not holds:
            self.fault(text)
            raise Refusal(status, {"message": text})

    def asked(self, method, path):
        """The requests of that method whose path matches."""
        with self.lock:
            return [entry for entry in self.seen if entry[0] == method and re.fullmatch(path, entry[1])]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def word(text):
    """The scenario that a text asks for by `#word`."""
    found = re.search(r"#([a-z0-9_]+)", text)
    return found[1] if found else "plain"


def line(value):
    """A line of JSON."""
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"
