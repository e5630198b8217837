# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""HTTP as strangers speak it: raw bytes against the real binary."""

import json
import time

import pytest

from conftest import KEY, answer, chat, chat_request, settings, wait_until, whole

ORIGIN = "https://app.example.com"


def envelope(text):
    error = json.loads(text)["error"]
    assert error["message"] and "type" in error and "code" in error and "param" in error
    return error


def refused(server, data, *statuses, closes=True):
    """Sends bytes that must be refused in the envelope, and that the connection is then closed."""
    with server.raw(10) as raw:
        status, _, text = raw.send(data).answer()
        assert status in statuses, (status, text)
        if text:
            envelope(text)
        if closes:
            assert raw.closed()


def test_the_request_id_is_kept_or_made(server):
    _, headers, _ = server.request("GET", "/health", headers={"X-Request-Id": "abc-123"})
    assert headers["x-request-id"] == "abc-123"
    ids = {server.request("GET", "/health")[1]["x-request-id"] for _ in range(3)}
    assert len(ids) == 3


@pytest.mark.parametrize("method, path, status", [
    ("GET", "/nothing", 404), ("POST", "/v1/nothing", 404), ("GET", "/v1/chat/completions", 405),
    ("DELETE", "/v1/models", 405), ("POST", "/health", 405)])
def test_unknown_paths_and_wrong_methods_get_the_envelope(server, method, path, status):
    got, headers, text = server.request(method, path, {} if method == "POST" else None)
    assert got == status and headers["content-type"].startswith("application/json")
    assert headers["x-request-id"]
    assert envelope(text)["type"] == "invalid_request_error"
    if status == 405:
        assert headers["allow"]


def test_an_unknown_model_names_the_closest(start, upstream):
    server = start(settings(upstream.url, providers={"up": {
        "kind": "openai-compatible", "base_url": upstream.url, "api_key": "x", "discover": False}},
        models={"claude-fast": "up/a"}) | {"models": {"claude-fast": "up/a"}})
    status, _, text = server.request("POST", "/v1/chat/completions", chat("claude-fsat"))
    assert status == 404 and envelope(text)["code"] == "model_not_found" and "claude-fast" in envelope(text)["message"]
    assert server.request("GET", "/v1/models/claude-fsat")[0] == 404


def test_cors_preflight_and_answers(server):
    status, headers, _ = server.request("OPTIONS", "/v1/chat/completions", key=False, headers={
        "Origin": ORIGIN, "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type"})
    assert status in (200, 204) and headers["access-control-allow-origin"] == ORIGIN
    assert "POST" in headers["access-control-allow-methods"]
    assert "authorization" in headers["access-control-allow-headers"].lower()
    _, headers, _ = server.request("POST", "/v1/chat/completions", chat(), {"Origin": ORIGIN})
    assert headers["access-control-allow-origin"] == ORIGIN and "origin" in headers["vary"].lower()
    _, headers, _ = server.request("POST", "/v1/chat/completions", chat(), {"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in headers


def test_head_has_no_body_and_keeps_the_connection(server):
    with server.raw() as raw:
        status, _, _ = raw.send("HEAD /health HTTP/1.1\r\nHost: p\r\n\r\n").answer(body=False)
        assert status == 200
        assert raw.send("GET /health HTTP/1.1\r\nHost: p\r\n\r\n").answer()[0] == 200


def test_paths_without_v1(server):
    assert server.request("GET", "/models")[0] == 200
    status, _, text = server.request("POST", "/chat/completions", chat())
    assert status == 200 and json.loads(text)["choices"][0]["message"]["content"] == "Hello from upstream."


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
def test_health_needs_no_key(server, path):
    assert server.request("GET", path, key=False)[0] == 200


def test_pipelined_requests_are_answered_in_order(server, upstream):
    upstream.script({"match": {"model": "slow"}, "steps": [
        {"sleep_ms": 150}, *answer(whole(id="slow"))]})
    with server.raw() as raw:
        raw.send(chat_request(chat("slow")) + b"GET /health HTTP/1.1\r\nHost: p\r\n\r\n" * 8 + chat_request(chat("m")))
        assert json.loads(raw.answer()[2])["id"] == "slow"
        for _ in range(8):
            assert raw.answer()[0] == 200
        assert json.loads(raw.answer()[2])["choices"]


def test_one_connection_serves_many_requests(server):
    with server.raw() as raw:
        for turn in range(20):
            status, _, text = raw.send(chat_request(chat(stream=turn % 2 == 1))).answer()
            assert status == 200 and (b"[DONE]" in text) == (turn % 2 == 1)


def test_a_byte_at_a_time(server):
    with server.raw() as raw:
        raw.socket.setsockopt(6, 1, 1)  # TCP_NODELAY
        for byte in chat_request(chat()):
            raw.send(bytes([byte]))
        assert raw.answer()[0] == 200


def test_expect_100_continue(server):
    data = chat_request(chat(), headers="Expect: 100-continue\r\n")
    head, _, body = data.partition(b"\r\n\r\n")
    with server.raw(5) as raw:
        assert raw.send(head + b"\r\n\r\n").answer()[0] == 100
        assert raw.send(body).answer()[0] == 200


def test_expect_100_continue_with_a_wrong_key_is_refused_before_the_body(server):
    head = chat_request(chat(), key="sk-wrong", headers="Expect: 100-continue\r\n").partition(b"\r\n\r\n")[0]
    with server.raw(5) as raw:
        assert raw.send(head + b"\r\n\r\n").answer()[0] in (401, 100)


def chunked(pieces, trailer=b""):
    head = (f"POST /v1/chat/completions HTTP/1.1\r\nHost: p\r\nAuthorization: Bearer {KEY}\r\n"
            "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n").encode()
    return head + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n" + trailer + b"\r\n"


def test_chunked_request_bodies(server, upstream):
    text = json.dumps(chat(text="héllo")).encode()
    with server.raw() as raw:
        assert raw.send(chunked([text[i:i + 7] for i in range(0, len(text), 7)])).answer()[0] == 200
        assert raw.send(chunked([text], b"X-Trailer: a\r\n")).answer()[0] == 200
    assert json.loads(upstream.wait_for_requests(2)[0]["body"])["messages"][0]["content"] == "héllo"


BAD_BODIES = {
    "empty": b"", "not JSON": b"hello", "cut": b'{"model":"m","messages":[', "an array": b"[]", "a string": b'"m"',
    "model is a number": b'{"model":5,"messages":[{"role":"user","content":"x"}]}',
    "messages missing": b'{"model":"m"}', "messages is text": b'{"model":"m","messages":"x"}',
    "messages is empty": b'{"model":"m","messages":[]}',
    "stream is text": b'{"model":"m","stream":"yes","messages":[{"role":"user","content":"x"}]}',
    "invalid UTF-8": b'{"model":"m","messages":[{"role":"user","content":"\xff\xfe"}]}',
    "deep": b'{"model":"m","messages":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "trailing": b'{"model":"m","messages":[{"role":"user","content":"x"}]} x', "NUL": b'{"model":"m\x00"}',
    "a bad number": b'{"model":"m","temperature":01,"messages":[{"role":"user","content":"x"}]}',
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_a_bad_body_is_a_400_and_the_connection_lives(server, upstream, body):
    with server.raw() as raw:
        status, _, text = raw.send(chat_request(body)).answer()
        assert status == 400, text
        assert envelope(text)["type"] == "invalid_request_error"
        assert raw.send(chat_request(chat())).answer()[0] == 200
    assert len(upstream.log()) == 1, "what is invalid does not go upstream"


def test_a_body_over_the_limit_is_refused_unread(server):
    head = (f"POST /v1/chat/completions HTTP/1.1\r\nHost: p\r\nAuthorization: Bearer {KEY}\r\n"
            "Content-Length: 104857600\r\n\r\n").encode()
    before = server.rss()
    with server.raw(10) as raw:
        raw.send(head + b"x" * 1000)
        status, _, text = raw.answer()
        assert status == 413 and envelope(text)["message"]
    with server.raw(10) as raw:  # chunked: found out while reading
        raw.send(head.replace(b"Content-Length: 104857600", b"Transfer-Encoding: chunked"))
        piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        for _ in range(40):
            raw.send(piece)
        assert raw.answer()[0] == 413
    assert server.rss() - before < 20_000


@pytest.mark.parametrize("head", [
    "X-Big: " + "a" * 100_000 + "\r\n", "".join(f"X-{i}: {'b' * 50}\r\n" for i in range(2000))], ids=["one", "many"])
def test_oversized_headers_are_a_431(server, head):
    refused(server, f"GET /health HTTP/1.1\r\nHost: p\r\n{head}\r\n", 431)


def test_an_oversized_target_is_refused(server):
    refused(server, f"GET /{'a' * 100_000} HTTP/1.1\r\nHost: p\r\n\r\n", 414, 431)


def test_slow_headers_are_a_408(server):
    with server.raw(10) as raw:
        raw.send("GET /health HTTP/1.1\r\nHost: p\r\n")
        assert raw.answer()[0] == 408
        assert raw.closed()


def test_slow_headers_that_trickle_are_a_408(server):
    with server.raw(10) as raw:
        raw.send("GET /health HTTP/1.1\r\n")
        limit = time.monotonic() + 8
        raw.socket.settimeout(0.2)
        while time.monotonic() < limit and b"\r\n\r\n" not in raw.buffer:
            raw.send("X")
            try:
                if not raw.more():
                    break
            except TimeoutError:
                pass
        assert raw.buffer.startswith(b"HTTP/1.1 408")


def test_a_body_that_stops_is_a_408(server):
    with server.raw(15) as raw:
        raw.send(chat_request(chat())[:-5])
        assert raw.answer()[0] == 408


SMUGGLING = {
    "both lengths": "POST /v1/chat/completions HTTP/1.1\r\nHost: p\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": "POST /v1/chat/completions HTTP/1.1\r\nHost: p\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    "a list of lengths": "POST /v1/chat/completions HTTP/1.1\r\nHost: p\r\nContent-Length: 4, 5\r\n\r\nabcde",
    "negative length": "POST /v1/chat/completions HTTP/1.1\r\nHost: p\r\nContent-Length: -1\r\n\r\n",
    "plus length": "POST /v1/chat/completions HTTP/1.1\r\nHost: p\r\nContent-Length: +4\r\n\r\nabcd",
    "overflowing length": "POST /v1/chat/completions HTTP/1.1\r\nHost: p\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    "obs-fold": "GET /health HTTP/1.1\r\nHost: p\r\nX-A: b\r\n c\r\n\r\n",
    "bare LF": "GET /health HTTP/1.1\nHost: p\n\n",
    "bare LF in a header": "GET /health HTTP/1.1\r\nHost: p\nX: y\r\n\r\n",
    "space before colon": "GET /health HTTP/1.1\r\nHost : p\r\n\r\n",
    "bad chunk size": "POST /v1/chat/completions HTTP/1.1\r\nHost: p\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
    "chunk overflow": "POST /v1/chat/completions HTTP/1.1\r\nHost: p\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc\r\n",
    "unknown coding": "POST /v1/chat/completions HTTP/1.1\r\nHost: p\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "no host": "GET /health HTTP/1.1\r\n\r\n",
    "two hosts": "GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "NUL in a header": "GET /health HTTP/1.1\r\nHost: p\r\nX-A: a\0b\r\n\r\n",
    "garbage": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n",
    "HTTP/2 preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no version": "GET /health\r\n\r\n",
}


@pytest.mark.parametrize("text", SMUGGLING.values(), ids=SMUGGLING.keys())
def test_a_malformed_request_is_refused_and_closed(server, upstream, text):
    data = text.replace("Host: p\r\n", f"Host: p\r\nAuthorization: Bearer {KEY}\r\n", 1).encode("latin-1")
    refused(server, data, 400, 405, 501, 505)
    assert upstream.log() == []


def test_http_1_0(server):
    with server.raw() as raw:
        status, headers, text = raw.send(chat_request(chat(stream=True)).replace(b"HTTP/1.1", b"HTTP/1.0", 1)).answer()
        assert status == 200 and "transfer-encoding" not in headers
        assert text.rstrip().endswith(b"data: [DONE]") and raw.closed()


def test_connection_close_is_honoured(server):
    with server.raw() as raw:
        status, headers, _ = raw.send(chat_request(chat(), headers="Connection: close\r\n")).answer()
        assert status == 200 and headers["connection"].lower() == "close" and raw.closed()


def test_other_key_headers(server):
    text = json.dumps(chat())
    assert server.request("POST", "/v1/chat/completions", text, {"x-api-key": KEY}, key=False)[0] == 200
    assert server.request("POST", "/v1/chat/completions", text, {"Authorization": f"bearer {KEY}"}, key=False)[0] == 200


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_billing_paths(server, prefix):
    status, _, text = server.request("GET", f"{prefix}/dashboard/billing/subscription")
    assert status == 200 and json.loads(text)["object"] == "billing_subscription"
    assert json.loads(text)["hard_limit_usd"] == 100000000
    status, _, text = server.request("GET", f"{prefix}/dashboard/billing/usage?start_date=2026-01-01&end_date=2026-02-01")
    assert status == 200 and json.loads(text)["object"] == "list" and "total_usage" in json.loads(text)


def test_realtime_and_later_features_say_so(server):
    status, _, text = server.request("GET", "/v1/realtime")
    assert status in (404, 501) and envelope(text)["message"]


def test_the_log_has_one_line_per_request_without_secrets(server, upstream):
    server.request("POST", "/v1/chat/completions", chat(text="a very private sentence"), {"X-Request-Id": "find-me-1"})
    wait_until(lambda: "find-me-1" in server.log_text(), what="the access line")
    lines = [line for line in server.log_text().split("\n") if "find-me-1" in line]
    assert len(lines) == 1 and "200" in lines[0]
    assert "a very private sentence" not in server.log_text() and KEY not in server.log_text()
    assert "upstream-key" not in server.log_text()
