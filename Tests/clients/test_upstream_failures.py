# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""Upstreams that fail in every way, and clients that leave in every phase."""

import json
import time

import openai
import pytest

from conftest import SSE, answer, chat, chat_request, chunk, data_lines, failure, settings, wait_until, whole

LEFT_WITHIN = 1000  # ms; the promise is 250, the rest is for busy machines


@pytest.fixture
def quick(start, upstream):
    """A server with short time limits, all but the total one (a test that only ends by that one has failed); `quick(retry=…)` overrides a section."""
    def one(**sections):
        return start(settings(upstream.url, **{"defaults": {
            "retry": {"attempts": 1}, "timeout": {"connect": "1s", "first": "1s", "idle": "1s", "total": "2m"}}} | sections))
    return one


def stream(server, model="m", **more):
    """A streamed call: (status, the data of its events, raw text)."""
    with server.raw(30) as raw:
        status, headers, text = raw.send(chat_request(chat(model, stream=True, **more))).answer()
    return status, data_lines(text), text


def text_of(events):
    found = ""
    for event in events:
        if event != "[DONE]":
            for choice in json.loads(event).get("choices") or []:
                found += (choice.get("delta") or {}).get("content") or ""
    return found


def ends_well(events):
    assert events[-1] == "[DONE]" and not any("error" in json.loads(e) for e in events[:-1])


def ends_in_error(events):
    """The last event is a well-formed error, and nothing claims the stream is done."""
    assert "[DONE]" not in events, events[-3:]
    error = json.loads(events[-1])["error"]
    assert error["message"] and "type" in error and "code" in error
    return error


def is_error(status, text, *statuses):
    assert status in statuses, (status, text[:300])
    error = json.loads(text)["error"]
    assert error["message"] and "type" in error
    return error


def refused_upstream(upstream):
    upstream.script([{"refuse": True}])


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_a_refusing_upstream_is_an_error_answer(quick, upstream, streamed):
    refused_upstream(upstream)
    status, _, text = quick().request("POST", "/v1/chat/completions", chat(stream=streamed))
    is_error(status, text, 502, 503)


def test_a_port_where_nobody_listens(start):
    server = start(settings("http://127.0.0.1:9/v1"))
    status, _, text = server.request("POST", "/v1/chat/completions", chat())
    is_error(status, text, 502, 503)


def test_a_name_that_does_not_exist(start):
    server = start(settings("http://upstream.invalid/v1"))
    status, _, text = server.request("POST", "/v1/chat/completions", chat())
    is_error(status, text, 502, 503, 504)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_no_head_in_time_is_a_504(quick, upstream, streamed):
    upstream.script([{"hang": True}])
    status, _, text = quick().request("POST", "/v1/chat/completions", chat(stream=streamed))
    is_error(status, text, 504)
    wait_until(lambda: upstream.log()[0]["state"] == "client-closed", what="the upstream connection's end")


def test_silence_in_mid_stream_is_an_error_event(quick, upstream):
    upstream.script([SSE, {"sse": [chunk("one "), chunk("two")], "done": False}, {"hang": True}])
    status, events, _ = stream(quick())
    assert status == 200 and text_of(events[:-1]) == "one two"
    ends_in_error(events)
    wait_until(lambda: upstream.log()[0]["state"] == "client-closed", what="the upstream connection's end")


def test_the_total_limit_ends_an_endless_stream(start, upstream):
    upstream.script([SSE, {"repeat": {"count": 100000, "write": f"data: {chunk('x')}\n\n", "every_ms": 20}}])
    server = start(settings(upstream.url, defaults={"retry": {"attempts": 1}, "timeout": {"total": "1s"}}))
    status, events, _ = stream(server)
    assert status == 200
    ends_in_error(events)


@pytest.mark.parametrize("cut", ["fin", "rst"])
@pytest.mark.parametrize("first", [[{"cut": "X"}], [SSE, {"cut": "X"}], [SSE, {"write": ": ping\n\n"}, {"cut": "X"}]],
                         ids=["before the head", "after the head", "after a comment"])
def test_a_cut_before_content_is_retried(quick, upstream, first, cut):
    steps = json.loads(json.dumps(first).replace('"X"', f'"{cut}"'))
    upstream.script({"times": 1, "steps": steps})
    server = quick(defaults={"retry": {"attempts": 2, "backoff": "10ms"}})
    status, events, _ = stream(server)
    assert status == 200 and text_of(events) == "Hello from upstream."
    ends_well(events)
    assert len(upstream.log()) == 2


def test_a_cut_before_content_falls_back(quick, upstream):
    upstream.script({"match": {"model": "first"}, "steps": [SSE, {"cut": "fin"}]})
    server = quick(models={"both": {"route": "fallback", "of": ["up/first", "up/second"]}})
    status, events, _ = stream(server, "both")
    assert status == 200 and text_of(events) == "Hello from upstream."
    assert [entry["model"] for entry in upstream.log()] == ["first", "second"]


@pytest.mark.parametrize("cut", ["fin", "rst"])
def test_a_cut_in_mid_stream_is_an_error_event_and_not_retried(quick, upstream, cut):
    upstream.script([SSE, {"sse": [chunk("one "), chunk("two")], "done": False}, {"sleep_ms": 50}, {"cut": cut}])
    status, events, _ = stream(quick(defaults={"retry": {"attempts": 3}}))
    assert status == 200 and text_of(events[:-1]) == "one two"
    ends_in_error(events)
    assert len(upstream.log()) == 1


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_a_length_that_promises_more(quick, upstream, streamed):
    if streamed:
        upstream.script([{"head": SSE["head"] | {"framing": {"length": 100000}}},
                         {"write": f"data: {chunk('one')}\n\n"}, {"sleep_ms": 50}, {"cut": "fin"}])
        status, events, _ = stream(quick())
        assert status == 200 and text_of(events[:-1]) == "one"
        ends_in_error(events)
    else:
        upstream.script(answer(whole(), framing={"length": 100000}) + [{"cut": "fin"}])
        status, _, text = quick().request("POST", "/v1/chat/completions", chat())
        is_error(status, text, 502)


def test_a_length_that_promises_less_does_not_leak_into_the_next_answer(quick, upstream):
    upstream.script({"times": 1, "steps": answer(whole(), framing={"length": 20})})
    server = quick()
    status, _, text = server.request("POST", "/v1/chat/completions", chat())
    is_error(status, text, 502)
    status, _, text = server.request("POST", "/v1/chat/completions", chat())
    assert status == 200 and json.loads(text)["choices"][0]["message"]["content"] == "Hello from upstream."


HTML = "<!doctype html><html><body>Please sign in</body></html>"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("kind, body", [
    ("text/html", HTML), ("application/json", HTML), ("text/event-stream", HTML), ("application/json", ""),
    ("application/json", "{"), ("application/json", "null"), ("text/plain", "ok")],
    ids=["html", "html as json", "html as stream", "empty", "cut", "null", "text"])
def test_nonsense_with_200_is_an_error(quick, upstream, kind, body, streamed):
    upstream.script([{"head": {"status": 200, "headers": {"content-type": kind}, "framing": "length"}}, {"write": body}])
    status, _, text = quick().request("POST", "/v1/chat/completions", chat(stream=streamed))
    if status == 200:
        assert streamed
        ends_in_error(data_lines(text))
    else:
        is_error(status, text, 502)
    assert b"sign in" not in text


@pytest.mark.parametrize("raw", [
    "SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 abc OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "\0\0\0\0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 200 OK\r\nA: " + "x" * 200000])
def test_garbage_instead_of_http(quick, upstream, raw):
    upstream.script([{"raw": raw}, {"sleep_ms": 20}, {"cut": "fin"}])
    status, _, text = quick().request("POST", "/v1/chat/completions", chat())
    is_error(status, text, 502)


def test_a_hundred_thousand_events(quick, upstream):
    upstream.script([SSE, {"repeat": {"count": 100000, "write": f"data: {chunk('ab')}\n\n"}},
                     {"sse": [chunk(finish="stop")]}])
    status, events, text = stream(quick())
    assert status == 200 and len(events) == 100002
    ends_well([events[0], events[-1]])


def test_an_eight_megabyte_event(quick, upstream):
    upstream.script([SSE, {"sse": [chunk("é" * (4 << 20)), chunk(finish="stop")]}])
    status, events, _ = stream(quick())
    assert status == 200 and text_of(events) == "é" * (4 << 20)
    ends_well(events)


@pytest.mark.parametrize("split", [None, 1, {"seed": 3, "max": 9}], ids=["whole", "byte-wise", "random"])
@pytest.mark.parametrize("crlf", [False, True], ids=["lf", "crlf"])
def test_line_ends_comments_and_split_characters(quick, upstream, crlf, split):
    end = "\r\n" if crlf else "\n"
    text = (f": a comment{end}{end}data: {chunk('Grüße ')}{end}{end}: PROCESSING{end}{end}event: message{end}"
            f"data:{chunk('日本 🎉')}{end}{end}data: {chunk(finish='stop')}{end}{end}data: [DONE]{end}{end}")
    upstream.script([SSE] + ([{"split": split}] if split else []) + [{"write": text}])
    status, events, _ = stream(quick())
    assert status == 200 and text_of(events) == "Grüße 日本 🎉"
    ends_well(events)


def test_an_error_frame_in_mid_stream(quick, upstream):
    upstream.script([SSE, {"sse": [chunk("one"), json.dumps({"error": {
        "message": "overloaded", "type": "server_error", "code": "overloaded", "param": None}})], "done": False}])
    server = quick()
    status, events, _ = stream(server)
    assert status == 200 and "overloaded" in ends_in_error(events)["message"]
    with pytest.raises(openai.APIError):
        list(server.client().chat.completions.create(model="m", messages=chat()["messages"], stream=True))


def test_an_error_frame_first_is_retried(quick, upstream):
    upstream.script({"times": 1, "steps": [SSE, {"sse": [json.dumps({"error": {
        "message": "overloaded", "type": "server_error", "code": 503, "param": None}})], "done": False}]})
    status, events, _ = stream(quick(defaults={"retry": {"attempts": 2, "backoff": "10ms"}}))
    assert status == 200 and text_of(events) == "Hello from upstream."


def test_no_done_after_a_finish_reason_is_completed(quick, upstream):
    upstream.script([SSE, {"sse": [chunk("one"), chunk(finish="stop")], "done": False}])
    status, events, _ = stream(quick())
    assert status == 200 and text_of(events) == "one"
    ends_well(events)


def test_no_done_and_no_finish_reason_is_an_error(quick, upstream):
    upstream.script([SSE, {"sse": [chunk("one")], "done": False}])
    status, events, _ = stream(quick())
    assert status == 200
    ends_in_error(events)


def test_retry_after_is_honoured(quick, upstream):
    upstream.script({"times": 1, "steps": failure(429, headers={"retry-after": "1"})})
    server = quick(defaults={"retry": {"attempts": 2, "backoff": "1ms", "max_wait": "5s"}})
    began = time.monotonic()
    assert server.request("POST", "/v1/chat/completions", chat())[0] == 200
    assert time.monotonic() - began >= 0.95, "it waits as long as it was told"
    assert len(upstream.log()) == 2


def test_a_retry_after_over_max_wait_is_passed_on(quick, upstream):
    upstream.script(failure(429, "slow down", headers={"retry-after": "3600"}))
    server = quick(defaults={"retry": {"attempts": 3, "max_wait": "1s"}})
    status, headers, text = server.request("POST", "/v1/chat/completions", chat())
    assert status == 429 and headers["retry-after"] == "3600" and "slow down" in json.loads(text)["error"]["message"]
    assert len(upstream.log()) == 1


def test_a_500_is_retried_and_a_400_is_not(quick, upstream):
    upstream.script({"match": {"model": "a"}, "times": 2, "steps": failure(500)}, {"match": {"model": "b"}, "steps": failure(400)})
    server = quick(defaults={"retry": {"attempts": 3, "backoff": "1ms"}})
    assert server.request("POST", "/v1/chat/completions", chat("a"))[0] == 200
    assert server.request("POST", "/v1/chat/completions", chat("b"))[0] == 400
    assert (len(upstream.log("a")), len(upstream.log("b"))) == (3, 1)


def test_attempts_are_all_tries_together(quick, upstream):
    upstream.script(failure(503))
    server = quick(defaults={"retry": {"attempts": 3, "backoff": "1ms"}})
    status, _, text = server.request("POST", "/v1/chat/completions", chat())
    is_error(status, text, 503, 502)
    assert len(upstream.log()) == 3


def test_comments_keep_a_waiting_stream_alive(start, upstream):
    upstream.script([SSE, {"sse": [chunk("one")], "done": False}, {"sleep_ms": 2600}, {"sse": [chunk("two"), chunk(finish="stop")]}])
    server = start(settings(upstream.url, server={"keepalive_comment": "1s"}))
    status, events, text = stream(server)
    assert status == 200 and text_of(events) == "onetwo"
    between = text[text.index(b"one"):text.index(b"two")]
    assert sum(line.startswith(b":") for line in between.split(b"\n")) >= 1
    ends_well(events)


def test_a_stale_pooled_connection_is_not_the_clients_problem(quick, upstream):
    upstream.script({"times": 1, "steps": answer(whole()) + [{"end": True}, {"sleep_ms": 100}, {"cut": "rst"}]})
    server = quick()
    assert server.request("POST", "/v1/chat/completions", chat())[0] == 200
    wait_until(lambda: upstream.stats()["open_connections"] == 0, what="the upstream's close")
    for _ in range(5):
        assert server.request("POST", "/v1/chat/completions", chat())[0] == 200


def test_a_connection_is_used_again(quick, upstream):
    server = quick()
    with server.raw() as raw:
        for _ in range(5):
            assert raw.send(chat_request(chat())).answer()[0] == 200
    assert len({entry["connection"] for entry in upstream.log()}) == 1


# Clients that leave


def left(upstream, count=1):
    """Waits until the upstream saw its connection close and checks how soon after our own close."""
    closed = time.monotonic()
    wait_until(lambda: upstream.log() and upstream.log()[count - 1]["state"] == "client-closed", 5, "the upstream's close")
    assert (time.monotonic() - closed) * 1000 < LEFT_WITHIN


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_a_client_leaves_while_waiting_for_the_head(server, upstream, streamed):
    upstream.script([{"hang": True}])
    with server.raw() as raw:
        raw.send(chat_request(chat(stream=streamed)))
        upstream.wait_for_requests(1)
    left(upstream)


def test_a_client_leaves_while_a_whole_answer_is_coming(server, upstream):
    upstream.script([{"head": {"status": 200, "headers": {"content-type": "application/json"}, "framing": {"length": 5000}}},
                     {"write": '{"id":'}, {"hang": True}])
    with server.raw() as raw:
        raw.send(chat_request(chat()))
        wait_until(lambda: upstream.wait_for_requests(1)[0]["bytes_written"] > 0, what="the first bytes")
    left(upstream)


@pytest.mark.parametrize("busy", [False, True], ids=["silent", "sending"])
@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
def test_a_client_leaves_in_mid_stream(server, upstream, busy, reset):
    upstream.script([SSE, {"sse": [chunk("one")], "done": False},
                     {"repeat": {"count": 100000, "write": f"data: {chunk('x')}\n\n", "every_ms": 20}} if busy else {"hang": True}])
    with server.raw() as raw:
        raw.send(chat_request(chat(stream=True))).until(b"one")
        if reset:
            raw.socket.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SO_LINGER 0: a reset
    left(upstream)


def test_a_client_leaves_while_queued(start, upstream):
    upstream.script({"match": {"model": "first"}, "steps": [SSE, {"sse": [chunk("one")], "done": False}, {"hang": True}]})
    server = start(settings(upstream.url, providers={"up": {
        "kind": "openai-compatible", "base_url": upstream.url, "api_key": "x", "limits": {"concurrent": 1}}}))
    with server.raw() as first, server.raw() as second, server.raw() as third:
        first.send(chat_request(chat("first", stream=True))).until(b"one")
        second.send(chat_request(chat("second")))
        third.send(chat_request(chat("third")))
        second.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            second.more()
        second.close()
        first.close()
        assert third.answer()[0] == 200
    assert [entry["model"] for entry in upstream.log()] == ["first", "third"], "who left the queue is never sent"


def test_the_server_still_serves_after_many_left(server, upstream):
    upstream.script({"match": {"model": "long"}, "steps": [SSE, {"sse": [chunk("one")], "done": False}, {"hang": True}]})
    before = server.descriptors()
    raws = [server.raw() for _ in range(100)]
    for raw in raws:
        raw.send(chat_request(chat("long", stream=True)))
    for raw in raws:
        raw.until(b"one")
    for raw in raws:
        raw.close()
    wait_until(lambda: all(e["state"] == "client-closed" for e in upstream.log()), what="all upstream connections' end")
    wait_until(lambda: server.descriptors() <= before + 10, what="the descriptors' return")
    assert server.request("POST", "/v1/chat/completions", chat())[0] == 200
