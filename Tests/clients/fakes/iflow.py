# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""iFlow as Parley meets it: the page to sign in at, the token endpoint, whose a token is, models and chats.

As strict as the service, or stricter: the client must come in the header and in the form, refresh tokens work once, a chat
needs the user's key and the command line's user-agent.
"""

import base64
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

CLIENT_ID = "client-10009"
CLIENT_SECRET = "client-secret-4Z3YjXycVsQvyGF1"
PIECE = 37


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.route()

    def do_POST(self):
        self.route()

    @property
    def fake(self):
        return self.server.fake

    def route(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        split = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(split.query).items()}
        with self.fake.lock:
            self.fake.seen.append((self.command, split.path, dict(self.headers), body, query))
        routes = {
            ("GET", "/oauth"): lambda: self.authorize(query),
            ("POST", "/oauth/token"): lambda: self.token(body),
            ("GET", "/api/oauth/getUserInfo"): lambda: self.user(query),
            ("GET", "/v1/models"): self.models,
            ("POST", "/v1/chat/completions"): lambda: self.chat(body),
        }
        found = routes.get((self.command, split.path))
        return found() if found else self.answer(404, {"error": "no such path", "path": split.path})

    def answer(self, status, value, headers=None):
        data = value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode()
        self.send_response(status)
        for name, text in ({"content-type": "application/json"} | (headers or {})).items():
            self.send_header(name, text)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    # The sign-in

    def authorize(self, query):
        wanted = {"client_id": CLIENT_ID, "loginMethod": "phone", "type": "phone"}
        if any(query.get(name) != value for name, value in wanted.items()) or not query.get("state"):
            return self.answer(400, {"error": "bad authorize request"})
        with self.fake.lock:
            code = self.fake.secret("code")
            self.fake.codes[code] = query["redirect"]
        back = query["redirect"] + "?" + urlencode({"code": code, "state": query["state"]})
        return self.answer(302, b"", {"location": back})

    def token(self, body):
        fake = self.fake
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        with fake.lock:
            fake.token_calls.append(form)
        time.sleep(fake.token_delay)
        basic = "Basic " + base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        if self.headers.get("authorization") != basic:
            return self.answer(401, {"error": "invalid_client", "error_description": "basic"})
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return self.answer(401, {"error": "invalid_client", "error_description": "form"})
        if self.headers.get("content-type") != "application/x-www-form-urlencoded":
            return self.answer(415, {"error": "invalid_request"})
        if self.headers.get("accept") != "application/json":
            return self.answer(406, {"error": "invalid_request"})
        if fake.token_answer is not None:
            return self.answer(*fake.token_answer)
        with fake.lock:
            grant = form.get("grant_type")
            if grant == "authorization_code":
                good = fake.codes.pop(form.get("code"), None)
                if good is None or good != form.get("redirect_uri"):
                    return self.answer(400, {"error": "invalid_grant"})
            elif grant == "refresh_token":
                # Rotating: each works once.
                if form.get("refresh_token") not in fake.refresh_tokens:
                    return self.answer(400, {"error": "invalid_grant", "error_description": "used or revoked"})
                if fake.rotates:
                    fake.refresh_tokens.discard(form["refresh_token"])
                if fake.rotates_key:
                    fake.api_key = fake.secret("sk-key")
            else:
                return self.answer(400, {"error": "unsupported_grant_type"})
            access = fake.secret("access")
            fake.access_tokens.add(access)
            value = {"access_token": access, "token_type": "bearer", "expires_in": fake.expires_in}
            if grant == "authorization_code" or fake.rotates:
                refresh = fake.secret("refresh")
                fake.refresh_tokens.add(refresh)
                value["refresh_token"] = refresh
            fake.expires_in = fake.expires_in_after
        return self.answer(200, value)

    def user(self, query):
        fake = self.fake
        fake.user_called.set()
        if fake.user_gate is not None:
            fake.user_gate.wait(30)
        if fake.user_answer is not None:
            return self.answer(*fake.user_answer)
        with fake.lock:
            if query.get("accessToken") not in fake.access_tokens:
                return self.answer(401, {"success": False, "message": "token expired"})
            return self.answer(200, {"success": True, "data": {
                "apiKey": fake.api_key, "nickName": "Ada", "phone": "13800000000", "modelName": "", "cna": ""}})

    # Models and chats

    def refusal(self):
        """What the service says to a request that is not signed in properly; nil where it is."""
        if self.headers.get("user-agent") != "iFlow-Cli":
            return 403, {"status": "403", "msg": "unknown client"}
        with self.fake.lock:
            good = self.headers.get("authorization") == f"Bearer {self.fake.api_key}"
        return None if good else self.fake.key_refusal

    def models(self):
        refusal = self.refusal()
        if refusal:
            return self.answer(*refusal)
        if self.fake.models_answer is not None:
            return self.answer(*self.fake.models_answer)
        return self.answer(200, {"object": "list", "data": [
            {"id": name, "object": "model", "created": 1700000000} for name in self.fake.model_names]})

    def chat(self, body):
        fake = self.fake
        refusal = self.refusal()
        if refusal:
            return self.answer(*refusal)
        if self.headers.get("content-type") != "application/json":
            return self.answer(415, {"status": "415", "msg": "not JSON"})
        request = json.loads(body)
        if fake.chat_answer is not None:
            return self.answer(*fake.chat_answer)
        base = {"id": "chat-1", "created": 1700000000, "model": request["model"]}
        usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
        if not request.get("stream"):
            whole = base | {"object": "chat.completion", "choices": [{
                "index": 0, "finish_reason": "stop",
                "message": {"role": "assistant", "content": fake.text, "reasoning_content": "Let me see."}}]}
            return self.answer(200, whole | ({"usage": usage} if fake.says_usage else {}))
        frames = [{"delta": {"role": "assistant", "content": ""}}, {"delta": {"reasoning_content": "Let me see."}}]
        frames += [{"delta": {"content": word + " "}} for word in fake.text.split()]
        frames += [{"delta": {}, "finish_reason": "stop"}]
        chunks = [base | {"object": "chat.completion.chunk",
                          "choices": [{"index": 0, "finish_reason": None} | frame]} for frame in frames]
        if fake.says_usage:
            chunks.append(base | {"object": "chat.completion.chunk", "choices": [], "usage": usage})
        data = b"".join(b"data: %b\n\n" % json.dumps(chunk, ensure_ascii=False).encode() for chunk in chunks)
        return self.stream(data + b"data: [DONE]\n\n")

    def stream(self, data):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        try:
            for start in range(0, len(data), PIECE):
                piece = data[start:start + PIECE]
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                self.wfile.flush()
                time.sleep(self.fake.pause)
            self.wfile.write(b"0\r\n\r\n")
        except ConnectionError:
            self.close_connection = True
            self.fake.left.set()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def handle_error(self, request, client_address):
        pass


class IFlow:
    """The service on a port of its own; what it does is changed by its attributes."""

    def __init__(self):
        self.lock = threading.RLock()
        self.secrets = [CLIENT_SECRET]
        self.codes, self.access_tokens, self.refresh_tokens = {}, set(), set()
        self.api_key = self.secret("sk-key")
        self.seen, self.token_calls = [], []
        # How long the next tokens live, and those after them.
        self.expires_in = self.expires_in_after = 3600
        self.rotates, self.rotates_key = True, False
        self.token_answer = self.user_answer = self.models_answer = self.chat_answer = None
        self.key_refusal = (200, {"status": "439", "msg": "Your API Token has expired.", "body": None})
        self.token_delay = self.pause = 0
        self.user_gate, self.user_called, self.left = None, threading.Event(), threading.Event()
        self.says_usage = True
        self.text = "Grüße von iFlow, 你好"
        self.model_names = ["glm-4.7", "qwen3-max", "kimi-k2-0905"]
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.fake = self
        self.origin = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def secret(self, kind):
        """A new secret, remembered so that tests can look for it where it must not be."""
        made = f"{kind}-{secrets.token_hex(12)}"
        self.secrets.append(made)
        return made

    def refreshes(self):
        return [form for form in self.token_calls if form.get("grant_type") == "refresh_token"]

    def chats(self):
        return [entry for entry in self.seen if entry[1] == "/v1/chat/completions"]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
