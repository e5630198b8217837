# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""Routes over upstreams of which two in three fail: every call succeeds before the commit point, and ends in a well-formed
error after it. The matrix of faults and strategies is printed."""

import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import KEY, SSE, Server, answer, chat, chat_request, chunk, data_lines, failure, settings, wait_until, whole

CALLS = 2
HTML = "<!doctype html><html><head><title>Sign in</title></head><body>Sign in</body></html>"
STRATEGIES = {
    "fallback": {"route": "fallback"}, "round-robin": {"route": "round-robin"}, "weighted": {"route": "weighted"},
    "fastest": {"route": "fastest"}, "race": {"route": "race"},
    "hedge": {"route": "fallback", "hedge": {"after": "100ms", "budget": "100%"}},
}
GOOD = {False: answer(whole("good")), True: [SSE, {"sse": [chunk("go"), chunk("od"), chunk(finish="stop")]}]}


def drip(streamed):
    if streamed:
        return [SSE, {"repeat": {"count": 8, "write": f"data: {chunk('x')}\n\n", "every_ms": 60}},
                {"sse": [chunk(finish="stop")]}]
    text = json.dumps(whole("good"))
    pieces = [text[at:at + 60] for at in range(0, len(text), 60)]
    steps = [{"head": {"status": 200, "headers": {"content-type": "application/json"}}}]
    for piece in pieces:
        steps += [{"write": piece}, {"sleep_ms": 60}]
    return steps


def broken(end):
    """A stream, or a whole answer, that stops in its middle."""
    return {True: [SSE, {"sse": [chunk("one "), chunk("two")], "done": False}, {"sleep_ms": 30}, end],
            False: [{"head": {"status": 200, "headers": {"content-type": "application/json"}}},
                    {"write": '{"id": "x", "choices": [{"ind'}, {"sleep_ms": 30}, end]}


def always(steps):
    return {True: steps, False: steps}


# What each fault does, for a stream and for a whole answer; whether it may show after the commit point of a stream.
FAULTS = {
    "refuse": (None, False),
    "hang before head": (always([{"hang": True}]), False),
    "hang mid-stream": (broken({"hang": True}), True),
    "429 with Retry-After": (always(failure(429, code="rate_limit_exceeded", headers={"retry-after": "1"})), False),
    "429": (always(failure(429, code="rate_limit_exceeded")), False),
    "500": (always(failure(500)), False),
    "503 then good": ("once", False),
    "cut": (broken({"cut": "rst"}), True),
    "cut before content": (always([SSE, {"sse": [chunk()], "done": False}, {"cut": "fin"}]), False),
    "error first": (always([SSE, {"sse": [json.dumps({"error": {"message": "overloaded", "type": "server_error"}})]}]), False),
    "slow drip": ("drip", False),
    "garbage": ({True: [SSE, {"write": "data: {\"choices\": [}\n\n"}], False: answer("{\"choices\": [")}, False),
    "200 with HTML": (always([{"head": {"status": 200, "headers": {"content-type": "text/html"}}}, {"write": HTML}]), False),
}


def cells():
    return [(fault, strategy, streamed) for fault in FAULTS for strategy in STRATEGIES for streamed in (False, True)]


def slug(*words):
    return "-".join(str(word).replace(" ", "-") for word in words)


def scripts_of(fault, name, streamed):
    """The scripts of a cell's two faulty members and its healthy one."""
    steps, _ = FAULTS[fault]
    made = [{"match": {"model": f"{name}-good"}, "steps": GOOD[streamed]}]
    for member in (1, 2):
        match = {"model": f"{name}-{member}"}
        if steps == "once":
            made.append({"match": match, "times": 1, "steps": failure(503)})
            made.append({"match": match, "steps": GOOD[streamed]})
        elif steps is not None:
            made.append({"match": match, "steps": drip(streamed) if steps == "drip" else steps[streamed]})
    return made


def post(port, value, timeout=15):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(value),
                           {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"})
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def verdict(status, text, streamed):
    """`ok`, `error` for a well-formed error behind some text, or what is wrong."""
    if status != 200:
        return f"status {status}: {text[:200]!r}"
    if not streamed:
        return "ok" if json.loads(text)["choices"][0]["message"]["content"] == "good" else f"{text[:200]!r}"
    events = data_lines(text)
    if events[-1] == "[DONE]":
        last = [json.loads(event) for event in events[:-1]]
        finished = any(choice.get("finish_reason") for event in last for choice in event.get("choices") or [])
        return "ok" if finished and not any("error" in event for event in last) else f"{events[-3:]}"
    error = json.loads(events[-1]).get("error")
    if "[DONE]" in events or not error or not error["message"]:
        return f"no proper end: {events[-3:]}"
    return "error"


@pytest.fixture(scope="module")
def matrix_server(tmp_path_factory, shared_upstream):
    shared_upstream.clear()
    models, scripts = {}, []
    for fault, strategy, streamed in cells():
        name = slug(fault, strategy, streamed)
        scripts += scripts_of(fault, name, streamed)
        bad = [f"dead/{name}-1", f"dead/{name}-2"] if FAULTS[fault][0] is None else [f"up/{name}-1", f"up/{name}-2"]
        models[name] = STRATEGIES[strategy] | {"of": [*bad, f"up/{name}-good"]}
    shared_upstream.script(*scripts)
    config = settings(shared_upstream.url, defaults={
        "retry": {"attempts": 2, "backoff": "10ms", "max_wait": "2s"},
        "timeout": {"connect": "1s", "first": "700ms", "idle": "700ms", "total": "15s"},
        "breaker": {"failures": 3, "cooldown": "5s"}})
    config["providers"]["dead"] = config["providers"]["up"] | {"base_url": "http://127.0.0.1:9/v1"}
    config["models"] = models
    server = Server(tmp_path_factory.mktemp("matrix"), config)
    yield server
    server.stop()
    shared_upstream.clear()


def test_one_healthy_upstream_of_three_is_enough(matrix_server, record_property):
    def run(cell):
        fault, strategy, streamed = cell
        found = []
        for _ in range(CALLS):
            status, text = post(matrix_server.port, chat(slug(*cell), stream=streamed))
            found.append(verdict(status, text, streamed))
        return cell, found

    with ThreadPoolExecutor(24) as pool:
        results = dict(pool.map(run, cells()))
    wrong = []
    lines = [f"{'fault':22}" + "".join(f"{name:>14}" for name in STRATEGIES) + "   (whole/stream)"]
    for fault, (_, shows) in FAULTS.items():
        row = f"{fault:22}"
        for strategy in STRATEGIES:
            marks = []
            for streamed in (False, True):
                found = results[fault, strategy, streamed]
                allowed = {"ok", "error"} if shows and streamed else {"ok"}
                bad = [one for one in found if one not in allowed]
                wrong += [(fault, strategy, streamed, one) for one in bad]
                marks.append("WRONG" if bad else "error" if "error" in found else "ok")
            row += f"{'/'.join(marks):>14}"
        lines.append(row)
    record_property("printed", "\n".join(lines))
    assert not wrong, wrong[:5]
    assert matrix_server.alive()


LEFT_WITHIN = 1000  # ms; the promise is 250, the rest is for busy machines


def all_closed(upstream, models):
    return all(entry["state"] == "client-closed" for model in models for entry in upstream.log(model))


@pytest.mark.parametrize("kind", ["race", "hedge"])
def test_a_client_that_leaves_closes_every_member(start, upstream, kind, record_property):
    models = [f"leave-{kind}-{number}" for number in range(3)]
    upstream.script(*[{"match": {"model": model}, "steps": [{"hang": True}]} for model in models])
    server = start(settings(upstream.url, models={
        "r": STRATEGIES[kind] | {"of": [f"up/{model}" for model in models]}}))
    expected = 3 if kind == "race" else 2
    with server.raw() as raw:
        raw.send(chat_request(chat("r")))
        wait_until(lambda: sum(len(upstream.log(model)) for model in models) == expected, what="every member asked")
        left = time.monotonic()
    wait_until(lambda: all_closed(upstream, models), what="every upstream connection closed")
    took = (time.monotonic() - left) * 1000
    record_property("printed", f"{kind}: every upstream closed {took:.0f} ms after the client left")
    assert took < LEFT_WITHIN


@pytest.mark.parametrize("kind", ["race", "hedge"])
def test_the_winner_closes_the_others(start, upstream, kind):
    models = [f"win-{kind}-{number}" for number in range(3)]
    upstream.script(*[{"match": {"model": model}, "steps": [{"hang": True}]} for model in (models[0], models[2])],
                    {"match": {"model": models[1]}, "steps": [{"sleep_ms": 100}, *GOOD[True]]})
    server = start(settings(upstream.url, models={
        "r": STRATEGIES[kind] | {"of": [f"up/{model}" for model in models]}}))
    status, headers, text = server.request("POST", "/v1/chat/completions", chat("r", stream=True))
    assert verdict(status, text, True) == "ok"
    assert headers["x-parley-upstream"] == f"up/{models[1]}"
    assert headers["x-parley-attempts"] == ("3" if kind == "race" else "2")
    wait_until(lambda: all_closed(upstream, (models[0], models[2])), what="the losers' connections closed")
