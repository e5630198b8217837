# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""Kept answers: the same question of the same key, in every dialect, whole and streamed."""

import threading

import anthropic
from conftest import KEY, SSE, answer, chat, chunk, data_lines, failure, settings, wait_until, whole

OTHER = "sk-parley-test-another-key-of-someone"


def configured(upstream):
    config = settings(upstream.url, cache={"memory": "1MB", "ttl": "0"})
    config["models"] = {
        "kept": {"route": "fallback", "of": ["up/m"], "cache": {"ttl": "10m"}},
        "brief": {"route": "fallback", "of": ["up/m"], "cache": {"ttl": "300ms"}},
        "plain": "up/m",
    }
    config["keys"].append({"name": "other", "key": OTHER})
    return config


def ask(server, text="hi", model="kept", headers=None, key=None, **more):
    head = dict(headers or {})
    if key:
        head["Authorization"] = f"Bearer {key}"
    return server.request("POST", "/v1/chat/completions", chat(model, text, **more), head)


def test_a_question_is_answered_once_whatever_way_it_is_asked(upstream, start):
    server = start(configured(upstream))
    upstream.queue(answer(whole("once")), answer(whole("twice")))
    first = ask(server)
    assert (first[0], first[1]["x-parley-cache"]) == (200, "miss")
    second = server.client().chat.completions.with_raw_response.create(**chat("kept"))
    assert second.headers["x-parley-cache"] == "hit"
    assert second.parse().choices[0].message.content == "once"
    assert second.parse().usage.total_tokens == 5
    stream = server.client().chat.completions.create(**chat("kept", stream=True, stream_options={"include_usage": True}))
    pieces = list(stream)
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices) == "once"
    assert pieces[-1].usage.total_tokens == 5
    assert pieces[-2].choices[0].finish_reason == "stop"
    assert len(upstream.log()) == 1
    # The parts of the key: another question, another key, another field.
    assert b"twice" in ask(server, "other")[2]
    upstream.queue(answer(whole("three")), answer(whole("four")))
    assert b"three" in ask(server, key=OTHER)[2]
    assert b"four" in ask(server, temperature=0.1)[2]


def test_an_answer_serves_other_dialects(upstream, start):
    server = start(configured(upstream))
    upstream.queue(answer(whole("for all")))
    said = {"max_tokens": 50}
    assert b"for all" in ask(server, **said)[2]
    client = anthropic.Anthropic(base_url=server.origin, api_key=KEY, max_retries=0)
    message = client.messages.with_raw_response.create(
        model="kept", max_tokens=50, messages=[{"role": "user", "content": "hi"}])
    assert message.headers["x-parley-cache"] in ("hit", "miss")
    if message.headers["x-parley-cache"] == "hit":
        assert message.parse().content[0].text == "for all"
        assert len(upstream.log()) == 1


def test_a_stream_is_kept_once_it_was_read_to_its_end(upstream, start):
    server = start(configured(upstream))
    upstream.queue([SSE, {"sse": [chunk("Hel"), chunk("lo"), chunk(finish="stop")]}])
    status, headers, body = ask(server, stream=True)
    assert (status, headers["x-parley-cache"]) == (200, "miss")
    again = ask(server, stream=True)
    assert again[1]["x-parley-cache"] == "hit"
    assert data_lines(again[2])[-1] == "[DONE]" and b"Hello" in again[2]
    assert b"Hello" in ask(server)[2]
    assert len(upstream.log()) == 1


def test_clients_say_what_they_want_of_the_cache(upstream, start):
    server = start(configured(upstream))
    upstream.queue(*[answer(whole(word)) for word in ("one", "two", "three", "four")])
    assert b"one" in ask(server)[2]
    status, headers, body = ask(server, headers={"Cache-Control": "max-age=0, no-store"})
    assert b"two" in body and "x-parley-cache" not in headers
    assert b"one" in ask(server)[2]
    assert b"three" in ask(server, headers={"cache-control": "no-cache"})[2]
    assert b"three" in ask(server)[2]


def test_a_model_that_does_not_say_so_is_not_cached_and_time_runs_out(upstream, start):
    server = start(configured(upstream))
    upstream.queue(*[answer(whole(word)) for word in ("one", "two", "three", "four")])
    for word in (b"one", b"two"):
        status, headers, body = ask(server, model="plain")
        assert word in body and "x-parley-cache" not in headers
    assert b"three" in ask(server, model="brief")[2]
    wait_until(lambda: b"four" in ask(server, model="brief")[2], what="a new answer")


def test_failures_and_filtered_answers_are_not_kept(upstream, start):
    server = start(configured(upstream))
    upstream.queue(failure(400, "bad"), answer(whole("cut", finish="content_filter")), answer(whole("good")))
    assert ask(server)[0] == 400
    assert b"cut" in ask(server)[2]
    assert b"good" in ask(server)[2]
    assert b"good" in ask(server)[2]


def test_calls_that_are_the_same_and_run_at_once_ask_once(upstream, start):
    server = start(configured(upstream))
    upstream.queue([{"sleep_ms": 400}, *answer(whole("shared"))])
    results = []
    threads = [threading.Thread(target=lambda: results.append(ask(server))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    words = sorted(headers["x-parley-cache"] for _, headers, _ in results)
    assert all(status == 200 and b"shared" in body for status, _, body in results)
    assert words.count("miss") == 1 and "coalesced" in words
    assert len(upstream.log()) == 1


def test_when_the_one_who_asks_leaves_the_next_one_asks(upstream, start):
    from conftest import chat_request

    server = start(configured(upstream))
    upstream.queue([{"sleep_ms": 30000}, *answer(whole("never"))], answer(whole("second")))
    leaver = server.raw()
    leaver.send(chat_request(chat("kept")))
    upstream.wait_for_requests(1)
    results = []
    follower = threading.Thread(target=lambda: results.append(ask(server)))
    follower.start()
    follower.join(0.3)
    assert not results
    leaver.close()
    follower.join(10)
    assert results and b"second" in results[0][2]


def test_all_models_are_cached_where_the_configuration_says_so(upstream, start):
    config = configured(upstream) | {"cache": {"ttl": "1m"}}
    config["models"]["never"] = {"route": "fallback", "of": ["up/m"], "cache": {"ttl": "0"}}
    server = start(config)
    upstream.queue(*[answer(whole(word)) for word in ("one", "two", "three")])
    assert b"one" in ask(server, model="plain")[2]
    assert ask(server, model="plain")[1]["x-parley-cache"] == "hit"
    assert b"two" in ask(server, model="never")[2]
    assert b"three" in ask(server, model="never")[2]
    # A new configuration does not forget.
    server.reload(config | {"defaults": {"retry": {"attempts": 2}}})
    server.wait_for("configuration reloaded")
    assert ask(server, model="plain")[1]["x-parley-cache"] == "hit"
