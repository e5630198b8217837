# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""What routes do beside falling back: breakers, keys, affinity, system messages, resuming, and what explains them."""

import json
import os
import subprocess

import pytest

from conftest import SSE, answer, chat, chunk, data_lines, failure, settings, wait_until, whole

USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}


def route(upstream, strategy="fallback", of=("first", "second"), **more):
    return settings(upstream.url, models={"r": {"route": strategy, "of": [f"up/{name}" for name in of]} | more})


def ask(server, **more):
    status, headers, text = server.request("POST", "/v1/chat/completions", chat("r") | more)
    return status, headers, json.loads(text)


def counts(upstream, *names):
    return [len(upstream.log(name)) for name in names]


def text_of(events):
    return "".join(choice["delta"].get("content") or "" for event in events for choice in event.get("choices") or [])


def test_a_breaker_opens_probes_and_closes(start, upstream):
    upstream.script({"match": {"model": "first"}, "times": 3, "steps": failure(500)},
                    {"match": {"model": "first"}, "steps": answer(whole("first"))},
                    {"match": {"model": "second"}, "steps": answer(whole("second"))})
    before = counts(upstream, "first")[0]
    server = start(route(upstream, breaker={"failures": 2, "cooldown": "1s"}))
    for _ in range(6):
        assert ask(server)[0] == 200
    assert counts(upstream, "first")[0] - before == 2, "after two failures it is left alone"
    # The first probe fails, the second one finds it well.
    wait_until(lambda: ask(server)[2]["choices"][0]["message"]["content"] == "first", 10, "the recovery")
    assert counts(upstream, "first")[0] - before == 4


def test_where_all_are_left_alone_the_least_bad_is_tried(start, upstream):
    upstream.script({"match": {"model": "first"}, "times": 1, "steps": failure(500)},
                    {"match": {"model": "second"}, "times": 1, "steps": failure(500)})
    server = start(route(upstream, breaker={"failures": 1, "cooldown": "1h"}))
    assert ask(server)[0] in (500, 502, 503)
    assert ask(server)[0] == 200


def test_health_outlives_a_reload(start, upstream):
    upstream.script({"match": {"model": "keep1"}, "steps": failure(500)},
                    {"match": {"model": "keep2"}, "steps": answer(whole("second"))})
    config = route(upstream, of=("keep1", "keep2"), breaker={"failures": 1, "cooldown": "1h"})
    server = start(config)
    assert ask(server)[0] == 200
    config["models"]["other"] = "up/keep2"
    server.reload(config)
    wait_until(lambda: server.request("POST", "/v1/chat/completions", chat("other"))[0] == 200, what="the reload")
    assert ask(server)[0] == 200
    assert counts(upstream, "keep1") == [1]


def test_a_refused_key_and_a_full_one_make_way_for_the_next(start, upstream):
    def keyed(key, steps):
        return {"match": {"model": "keys", "header": {"authorization": f"Bearer {key}"}}, "steps": steps}
    upstream.script(keyed("one", failure(401, code="invalid_api_key")),
                    keyed("two", failure(429, code="rate_limit_exceeded", headers={"retry-after": "20"})),
                    keyed("three", answer(whole("by the third key"))))
    config = settings(upstream.url, models={"r": "up/keys"})
    config["providers"]["up"]["api_key"] = ["one", "two", "three"]
    config["defaults"]["retry"] = {"attempts": 2, "backoff": "10s"}
    server = start(config)
    for _ in range(3):
        status, headers, value = ask(server)
        assert status == 200 and value["choices"][0]["message"]["content"] == "by the third key"
    assert headers["x-parley-attempts"] == "1"
    assert len(upstream.log("keys")) == 5, "each bad key was tried once"


def test_a_full_upstream_is_left_alone_for_as_long_as_it_says(start, upstream):
    upstream.script({"match": {"model": "full"}, "steps": failure(429, headers={"retry-after": "60"})})
    config = route(upstream, of=("full", "free"))
    config["defaults"]["retry"] = {"attempts": 3, "backoff": "10s"}
    server = start(config)
    for _ in range(4):
        assert ask(server)[0] == 200
    assert counts(upstream, "full", "free") == [1, 4]


def test_sticky_by_user_and_by_key(start, upstream):
    names = [f"sticky{number}" for number in range(4)]
    server = start(route(upstream, "random", of=names, affinity="user"))
    seen = {}
    for user in range(12):
        found = {ask(server, user=f"user-{user}")[1]["x-parley-upstream"] for _ in range(3)}
        assert len(found) == 1
        seen[user] = found.pop()
    assert len(set(seen.values())) > 1
    server = start(route(upstream, "random", of=names, affinity="key"))
    assert len({ask(server)[1]["x-parley-upstream"] for _ in range(12)}) == 1


def test_a_system_message_and_params_of_a_route(start, upstream):
    upstream.script({"match": {"model": "first"}, "steps": failure(500)})
    server = start(route(upstream, system="Be brief.", params={"temperature": 0.25}))
    assert ask(server, messages=[{"role": "system", "content": "Mine."}, {"role": "user", "content": "hi"}])[0] == 200
    sent = json.loads(upstream.log("second")[-1]["body"])
    assert [message["content"] for message in sent["messages"]] == ["Be brief.", "Mine.", "hi"]
    assert sent["temperature"] == 0.25


@pytest.mark.parametrize("kind", ["context", "filter"])
def test_the_model_for_what_no_other_member_can(start, upstream, kind):
    code, setting = (("context_length_exceeded", "on_context_exceeded") if kind == "context"
                     else ("content_filter", "on_content_filter"))
    upstream.script({"match": {"model": f"{kind}1"}, "steps": failure(400, code=code, kind="invalid_request_error")},
                    {"match": {"model": f"{kind}3"}, "steps": answer(whole("special"))})
    server = start(route(upstream, of=(f"{kind}1", f"{kind}2"), **{setting: f"up/{kind}3"}))
    status, headers, value = ask(server)
    assert status == 200 and value["choices"][0]["message"]["content"] == "special"
    assert headers["x-parley-upstream"] == f"up/{kind}3"
    assert counts(upstream, f"{kind}2") == [0]


@pytest.mark.parametrize("resume", [True, False])
def test_a_stream_that_is_cut_goes_on_at_the_next_member(start, upstream, resume):
    cut, rest = f"cut-{resume}", f"rest-{resume}"
    upstream.script(
        {"match": {"model": cut}, "steps": [
            SSE, {"sse": [chunk("one "), chunk("two ")], "done": False}, {"sleep_ms": 50}, {"cut": "rst"}]},
        {"match": {"model": rest}, "steps": [SSE, {"sse": [chunk("three"), chunk(finish="stop", usage=USAGE)]}]})
    server = start(route(upstream, of=(cut, rest), resume=resume))
    status, _, text = server.request(
        "POST", "/v1/chat/completions", chat("r", stream=True, stream_options={"include_usage": True}))
    assert status == 200
    events = data_lines(text)
    if not resume:
        assert "error" in json.loads(events[-1]) and "[DONE]" not in events
        return
    assert events.count("[DONE]") == 1 and events[-1] == "[DONE]"
    values = [json.loads(event) for event in events[:-1]]
    assert text_of(values) == "one two three"
    assert len({value["id"] for value in values}) == 1
    reasons = [choice["finish_reason"] for value in values for choice in value["choices"] if choice.get("finish_reason")]
    assert reasons == ["stop"]
    sent = json.loads(upstream.log(rest)[-1]["body"])["messages"]
    assert sent[-2] == {"role": "assistant", "content": "one two "} and sent[-1]["role"] == "user"


def test_a_tool_call_that_was_begun_is_not_continued(start, upstream):
    delta = {"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{"}}]}
    value = json.loads(chunk("let me see"))
    value["choices"][0]["delta"] = delta
    upstream.script({"match": {"model": "tool1"}, "steps": [
        SSE, {"sse": [chunk("let me see"), json.dumps(value)], "done": False}, {"sleep_ms": 50}, {"cut": "rst"}]})
    server = start(route(upstream, of=("tool1", "tool2"), resume=True))
    _, _, text = server.request("POST", "/v1/chat/completions", chat("r", stream=True))
    assert "error" in json.loads(data_lines(text)[-1])
    assert counts(upstream, "tool2") == [0]


def test_signed_blocks_keep_a_call_at_upstreams_that_can_read_them(start, upstream):
    config = route(upstream)
    config["providers"]["claude"] = {
        "kind": "anthropic", "base_url": upstream.url.removesuffix("/v1"), "api_key": "x", "discover": False}
    config["models"]["r"]["of"] = ["up/first", "claude/signed"]
    said = {"id": "msg_1", "type": "message", "role": "assistant", "model": "signed", "stop_reason": "end_turn",
            "content": [{"type": "text", "text": "hello"}], "usage": {"input_tokens": 1, "output_tokens": 1}}
    upstream.script({"match": {"model": "signed"}, "steps": answer(said)})
    server = start(config)
    thought = {"type": "thinking", "thinking": "hm", "signature": "c2lnbmF0dXJl"}
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": [thought, {"type": "text", "text": "x"}]},
                {"role": "user", "content": "on"}]
    request = {"model": "r", "max_tokens": 10, "messages": messages}
    status, headers, text = server.request("POST", "/v1/messages", request)
    assert headers["x-parley-upstream"] == "claude/signed", text
    request["messages"] = request["messages"][:1]
    status, headers, text = server.request("POST", "/v1/messages", request)
    assert headers["x-parley-upstream"] == "up/first", text


def explain(server, *arguments, env=None):
    from conftest import built, clean_environment
    return subprocess.run(
        [built("PARLEY_BINARY", "parley"), "explain", *arguments], capture_output=True, text=True, timeout=20,
        env=clean_environment(server.folder) | (env or {}), cwd=server.folder)


def test_explain_shows_the_tree_and_live_health(start, upstream):
    upstream.script({"match": {"model": "ex1"}, "steps": failure(500)})
    config = route(upstream, of=("ex1", "ex2"), breaker={"failures": 1, "cooldown": "1h"}) | {
        "admin": {"key": "the-admin-key"}}
    del config["models"]["*"]
    server = start(config)
    assert ask(server)[0] == 200
    static = explain(server, "r", "--config", str(server.config_path))
    assert static.returncode == 0, static.stderr
    assert "r (route: fallback)" in static.stdout and "breaker closed" in static.stdout
    live = explain(server, "r", "--url", server.origin, env={"PARLEY_ADMIN_KEY": "the-admin-key"})
    assert live.returncode == 0, live.stderr
    assert "breaker open" in live.stdout and "up/ex2" in live.stdout
    tree = json.loads(explain(server, "r", "--json", "--url", server.origin, "--key", "the-admin-key").stdout)
    assert [member["health"]["state"] for member in tree["members"]] == ["open", "closed"]
    assert explain(server, "nothing", "--url", server.origin, "--key", "the-admin-key").returncode != 0
    refused = explain(server, "r", "--url", server.origin, "--key", server.key)
    assert refused.returncode != 0 and "breaker" not in refused.stdout
    assert server.request("GET", "/admin/explain/r", key=False)[0] == 401
    status, _, text = server.request("GET", "/admin/explain/up%2Fex1", headers={"Authorization": "Bearer the-admin-key"}, key=False)
    assert status == 200 and json.loads(text)["name"] == "up/ex1"
