# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""Amazon Bedrock through the real binary, against a stand-in that judges requests as AWS's own library does."""

import datetime
import http.server
import json
import struct
import threading
import urllib.parse
import zlib

import botocore.auth
import botocore.session
import botocore.validate
import openai
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from conftest import settings

MODEL = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
CREDENTIALS = Credentials("TESTACCESSKEY", "test-secret-key", "test-token")
SHAPES = botocore.session.get_session().get_service_model("bedrock-runtime")
USAGE = {"inputTokens": 7, "outputTokens": 4, "totalTokens": 11}


def message(headers, payload):
    head = b"".join(bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(text)) + text.encode()
                    for name, text in headers.items())
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + head + payload
    return body + struct.pack(">I", zlib.crc32(body))


def event(kind, value):
    return message({":event-type": kind, ":content-type": "application/json", ":message-type": "event"},
                   json.dumps(value).encode())


class Bedrock(http.server.BaseHTTPRequestHandler):
    """Refuses what AWS would refuse, and answers the rest with what the test laid out."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):  # noqa: N802
        body = self.rfile.read(int(self.headers["content-length"]))
        server = self.server
        server.seen.append((self.path, dict(self.headers), json.loads(body)))
        fault = self.signature_fault(body) or self.shape_fault(body)
        if fault:
            server.faults.append(fault)
            return self.send(400, "application/json", json.dumps({"message": fault}).encode(), "ValidationException")
        if self.path.endswith("/converse-stream"):
            return self.send(200, "application/vnd.amazon.eventstream", server.stream)
        return self.send(200, "application/json", json.dumps(server.whole).encode())

    def signature_fault(self, body):
        stamp = self.headers["x-amz-date"]
        request = AWSRequest("POST", f"http://{self.headers['host']}{self.path}", data=body,
                             headers={"content-type": self.headers["content-type"]})
        moment = datetime.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ")
        plain = botocore.auth.get_current_datetime
        botocore.auth.get_current_datetime = lambda *_, **__: moment
        try:
            botocore.auth.SigV4Auth(CREDENTIALS, "bedrock", "us-east-1").add_auth(request)
        finally:
            botocore.auth.get_current_datetime = plain
        if request.headers["Authorization"] != self.headers["authorization"]:
            return f"signature: {request.headers['Authorization']} is not {self.headers['authorization']}"
        return None

    def shape_fault(self, body):
        shape = SHAPES.operation_model("Converse").input_shape
        model = urllib.parse.unquote(self.path.split("/")[2])
        report = botocore.validate.ParamValidator().validate({"modelId": model} | json.loads(body), shape)
        return report.generate_report() if report.has_errors() else None

    def send(self, status, kind, body, error=None):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        if error:
            self.send_header("x-amzn-errortype", error)
        self.end_headers()
        for start in range(0, len(body), 7):
            self.wfile.write(body[start:start + 7])
            self.wfile.flush()


@pytest.fixture
def bedrock():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bedrock)
    server.seen, server.faults = [], []
    server.whole = {"output": {"message": {"role": "assistant", "content": [{"text": "Hello."}]}},
                    "stopReason": "end_turn", "usage": USAGE, "metrics": {"latencyMs": 1}}
    server.stream = b"".join([
        event("messageStart", {"role": "assistant"}),
        event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hel"}}),
        event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "lo."}}),
        event("contentBlockStop", {"contentBlockIndex": 0}), event("messageStop", {"stopReason": "end_turn"}),
        event("metadata", {"usage": USAGE, "metrics": {"latencyMs": 1}})])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join(5)
    server.server_close()


@pytest.fixture
def client(bedrock, start):
    provider = {"kind": "bedrock", "region": "us-east-1", "access_key": CREDENTIALS.access_key,
                "secret_key": CREDENTIALS.secret_key, "session_token": CREDENTIALS.token, "discover": False,
                "base_url": f"http://127.0.0.1:{bedrock.server_port}"}
    config = settings("http://127.0.0.1:9/v1")
    config["providers"] = {"aws": provider}
    config["models"] = {"*": "aws/*"}
    return start(config).client()


def tool(name):
    return {"type": "function", "function": {"name": name, "description": "Does it.", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}


def test_a_whole_answer_is_signed_as_aws_signs(bedrock, client):
    done = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "grüße"}])
    assert bedrock.faults == []
    assert done.choices[0].message.content == "Hello." and done.usage.total_tokens == 11
    path, headers, _ = bedrock.seen[0]
    assert path == f"/model/{MODEL.replace(':', '%3A')}/converse" and headers["x-amz-security-token"] == "test-token"


def test_a_stream_in_small_pieces_is_read(bedrock, client):
    parts = list(client.chat.completions.create(
        model="arn:aws:bedrock:us-east-1:123456789012:inference-profile/" + MODEL, stream=True,
        stream_options={"include_usage": True}, messages=[{"role": "user", "content": "hi"}]))
    assert bedrock.faults == []
    assert "".join(part.choices[0].delta.content or "" for part in parts if part.choices) == "Hello."
    assert parts[-1].usage.total_tokens == 11


def test_a_full_request_has_the_shape_that_aws_documents(bedrock, client):
    pixel = "data:image/png;base64,iVBORw0KGgo="
    file = {"filename": "Größe_1.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}
    for model in (MODEL, "us.amazon.nova-2-lite-v1:0", "mistral.mistral-large-2407-v1:0", "openai.gpt-oss-120b-1:0"):
        client.chat.completions.create(
            model=model, max_tokens=4000, temperature=0.3, top_p=0.9, stop=["END"], reasoning_effort="low",
            tools=[tool("weather"), tool("clock")], tool_choice="auto", user="me", seed=1,
            response_format={"type": "json_schema", "json_schema": {"name": "r", "schema": {"type": "object"}}},
            extra_body={"guardrailConfig": {"guardrailIdentifier": "g1", "guardrailVersion": "1"}},
            messages=[
                {"role": "system", "content": [
                    {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]},
                {"role": "user", "content": [
                    {"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": pixel}},
                    {"type": "file", "file": file}, {"type": "file", "file": file}]},
                {"role": "assistant", "content": None, "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}},
                    {"id": "call.2/x", "type": "function", "function": {"name": "clock", "arguments": ""}}]},
                {"role": "tool", "tool_call_id": "call_1", "content": '{"degrees": 7.0}'},
                {"role": "tool", "tool_call_id": "call.2/x", "content": ""},
                {"role": "user", "content": "And?"}])
        assert bedrock.faults == [], model
    turns = bedrock.seen[0][2]["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    calls = [block["toolUse"]["toolUseId"] for block in turns[1]["content"]]
    results = [block["toolResult"]["toolUseId"] for block in turns[2]["content"] if "toolResult" in block]
    assert calls == results


def test_an_exception_before_the_first_words_is_an_error_with_its_status(bedrock, client):
    bedrock.stream = message({":message-type": "exception", ":exception-type": "throttlingException",
                              ":content-type": "application/json"}, b'{"message":"Too many tokens"}')
    with pytest.raises(openai.RateLimitError, match="Too many tokens"):
        client.chat.completions.create(model=MODEL, stream=True, messages=[{"role": "user", "content": "hi"}])
