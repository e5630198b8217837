# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""iFlow's API through the real binary: by a key, and by a sign-in from the first page to the last refresh."""

import asyncio
import http.client
import json
import os
import re
import stat
import threading
from urllib.parse import parse_qs, urlsplit

import anthropic
import google.genai
import google.genai.types

import pytest

from conftest import KEY, chat, wait_until
from fakes.iflow import CLIENT_ID, CLIENT_SECRET, IFlow

ADMIN = "admin-key-for-tests-0123456789"
HTML = {"Accept": "text/html,application/xhtml+xml"}
BEARER = {"Authorization": f"Bearer {ADMIN}"}


@pytest.fixture
def iflow():
    fake = IFlow()
    yield fake
    fake.stop()


def configuration(fake, name="flow", **more):
    provider = {"kind": "iflow", "mode": "api", "base_url": fake.origin + "/v1",
                "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET} | more
    return {"admin": {"key": ADMIN}, "providers": {name: {k: v for k, v in provider.items() if v is not None}},
            "defaults": {"retry": {"attempts": 1}}, "keys": [{"name": "test", "key": KEY}]}


def keyed(fake, **more):
    return configuration(fake, api_key=fake.api_key, client_id=None, client_secret=None, **more)


def follow(url, headers=None):
    """One GET, not following anything: (status, headers, body)."""
    split = urlsplit(url)
    connection = http.client.HTTPConnection(split.hostname, split.port, timeout=20)
    try:
        connection.request("GET", split.path + ("?" + split.query if split.query else ""), headers=headers or {})
        answer = connection.getresponse()
        return answer.status, {n.lower(): v for n, v in answer.getheaders()}, answer.read().decode()
    finally:
        connection.close()


def browser(server):
    """Signs a browser in at the console; returns the headers it sends from then on."""
    status, headers, _ = server.request(
        "POST", "/oauth/sign-in", f"key={ADMIN}", HTML | {
            "Content-Type": "application/x-www-form-urlencoded", "Origin": server.origin}, key=False)
    assert status == 303, status
    return HTML | {"Cookie": headers["set-cookie"].split(";")[0]}


def begin(server, headers, path="/oauth/login"):
    """Begins a sign-in; returns the address the vendor sends the browser back to."""
    status, answer, _ = follow(server.origin + path, headers)
    assert status == 303, status
    status, answer, _ = follow(answer["location"])
    assert status == 302
    return answer["location"]


def sign_in(server):
    headers = browser(server)
    status, _, page = follow(begin(server, headers), headers)
    assert status == 200, page
    return page


def again(start, server, config):
    """Starts once more with what the last process has kept."""
    server.stop()
    server.log_path.unlink()
    return start(config, folder=server.folder)


def say(server, model="flow/glm-4.7", **more):
    return server.request("POST", "/v1/chat/completions", chat(model, "hi", **more))


def error(body):
    return json.loads(body)["error"]


# By a key


def test_a_fixed_key_answers_whole_and_streamed(start, iflow):
    server = start(keyed(iflow))
    client = server.client()
    whole = client.chat.completions.create(model="flow/glm-4.7", messages=[{"role": "user", "content": "hi"}])
    assert whole.choices[0].message.content == iflow.text
    assert whole.choices[0].message.reasoning_content == "Let me see."
    assert whole.usage.total_tokens == 18
    text = "".join(
        chunk.choices[0].delta.content or "" for chunk in client.chat.completions.create(
            model="flow/glm-4.7", messages=[{"role": "user", "content": "hi"}], stream=True) if chunk.choices)
    assert text == iflow.text + " "
    seen = iflow.chats()[-1][2]
    assert seen["user-agent"] == "iFlow-Cli" and seen["authorization"] == f"Bearer {iflow.api_key}"


def test_every_client_is_answered(start, iflow):
    server = start(keyed(iflow))
    message = anthropic.Anthropic(base_url=server.origin, api_key=KEY, max_retries=0).messages.create(
        model="flow/glm-4.7", max_tokens=100, messages=[{"role": "user", "content": "hi"}])
    assert message.content[-1].text == iflow.text
    gemini = google.genai.Client(
        api_key=KEY, http_options=google.genai.types.HttpOptions(base_url=server.origin))
    text = "".join(part.text or "" for part in gemini.models.generate_content_stream(
        model="flow/glm-4.7", contents="hi"))
    assert text == iflow.text + " "


def test_usage_that_is_missing_is_made_up_for(start, iflow):
    iflow.says_usage = False
    server = start(keyed(iflow))
    status, _, body = say(server)
    usage = json.loads(body)["usage"]
    assert status == 200 and isinstance(usage["total_tokens"], int)
    with server.client().chat.completions.create(
            model="flow/glm-4.7", messages=[{"role": "user", "content": "hi"}], stream=True) as stream:
        assert "".join(c.choices[0].delta.content or "" for c in stream if c.choices) == iflow.text + " "


@pytest.mark.parametrize("upstream, status, code", [
    ((200, {"status": "439", "msg": "Your API Token has expired.", "body": None}), 401, "invalid_api_key"),
    ((200, {"status": "434", "msg": "Invalid apiKey"}), 401, "invalid_api_key"),
    ((401, {"msg": "no"}), 401, "invalid_api_key"),
    ((200, {"status": "449", "msg": "Too fast"}), 429, None),
    ((429, {"status": "449", "msg": "Too fast"}), 429, None),
    ((200, {"status": "435", "msg": "Model not supported"}), 404, "model_not_found"),
    ((400, {"status": "435", "msg": "Model not supported"}), 404, "model_not_found"),
    ((500, {"error": "broken"}), 502, None),
    ((200, {"status": 500, "msg": "broken"}), 502, None),
    ((200, b"<html><title>Verify you are human</title></html>"), 502, None),
    ((200, b"{\"cut"), 502, None),
    ((200, b""), 502, None),
])
@pytest.mark.parametrize("stream", [False, True])
def test_what_the_service_says_of_errors(start, iflow, upstream, status, code, stream):
    iflow.chat_answer = upstream
    server = start(keyed(iflow))
    got, _, body = say(server, stream=stream)
    assert got == status, body
    if code:
        assert error(body)["code"] == code
    said = upstream[1].get("msg") if isinstance(upstream[1], dict) else None
    if said:
        assert said in error(body)["message"]


def test_a_dead_service_and_a_client_that_leaves(start, iflow):
    iflow.text, iflow.pause = "word " * 2000, 0.01
    server = start(keyed(iflow))
    with server.raw() as raw:
        payload = json.dumps(chat("flow/glm-4.7", stream=True))
        raw.send(f"POST /v1/chat/completions HTTP/1.1\r\nHost: p\r\nAuthorization: Bearer {KEY}\r\n"
                 f"Content-Length: {len(payload)}\r\n\r\n{payload}")
        raw.until(b"word")
    assert iflow.left.wait(10)
    status, _, body = say(start(keyed(iflow, base_url="http://127.0.0.1:1/v1")))
    assert status == 502 and "flow:" in error(body)["message"]


def test_settings_that_make_no_sense_are_refused(start, iflow):
    for change, word in [({"api_key": "k"}, "client_id"), ({"client_secret": None}, "client_secret"),
                         ({"client_id": None, "client_secret": None}, "api_key")]:
        server = start(configuration(iflow, **change), wait=False)
        assert server.process.wait(20) != 0
        assert f"providers.flow.{word}" in server.log_text()


# The sign-in


def test_sign_in_from_the_first_page_to_the_first_answer(start, iflow):
    server = start(configuration(iflow))
    status, _, body = say(server)
    assert status == 401 and "/oauth/flow/login" in error(body)["message"]
    assert error(body)["code"] == "not_logged_in"

    # A browser without a session is sent to the form, and then back.
    status, headers, _ = follow(server.origin + "/oauth/login", HTML)
    assert (status, headers["location"]) == (303, "/oauth/sign-in?next=%2Foauth%2Flogin")
    cookies = browser(server)
    status, headers, page = follow(server.origin + "/oauth/login", cookies)
    assert status == 303 and headers["location"].startswith(iflow.origin + "/oauth?")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(headers["location"]).query).items()}
    assert asked["redirect"] == server.origin + "/oauth/callback"
    assert (asked["client_id"], asked["loginMethod"], asked["type"]) == (CLIENT_ID, "phone", "phone")
    assert re.fullmatch(r"[A-Za-z0-9\-._~]{16,}", asked["state"])
    assert "redirect_uri" not in asked and CLIENT_SECRET not in page

    back = follow(headers["location"])[1]["location"]
    status, headers, page = follow(back, cookies)
    assert status == 200 and "Ada" in page and headers["cache-control"] == "no-store"
    assert iflow.token_calls[-1]["redirect_uri"] == server.origin + "/oauth/callback"
    status, _, body = say(server)
    assert status == 200 and json.loads(body)["choices"][0]["message"]["content"] == iflow.text


def test_the_pages_of_a_named_provider(start, iflow):
    config = configuration(iflow)
    config["providers"]["zwei.te"] = dict(config["providers"]["flow"])
    server = start(config)
    cookies = browser(server)
    assert follow(server.origin + "/oauth/login", cookies)[0] == 404  # which of the two?
    back = begin(server, cookies, "/oauth/zwei.te/login")
    assert urlsplit(back).path == "/oauth/zwei.te/callback"
    assert follow(back, cookies)[0] == 200
    assert say(server, "zwei.te/glm-4.7")[0] == 200 and say(server, "flow/glm-4.7")[0] == 401
    page = follow(server.origin + "/oauth", cookies)[2]
    assert "zwei.te" in page and "flow" in page
    assert follow(server.origin + "/oauth/nobody/login", cookies)[0] == 404


def test_a_tool_signs_in_with_the_admin_key(start, iflow):
    server = start(configuration(iflow))
    status, headers, body = follow(server.origin + "/oauth/flow/login", BEARER)
    assert status == 303 and json.loads(body)["location"] == headers["location"]
    back = follow(headers["location"])[1]["location"]
    status, _, body = follow(back)
    assert status == 200 and json.loads(body)["signed_in"] is True
    providers = json.loads(follow(server.origin + "/oauth", BEARER)[2])["providers"]
    assert [(p["name"], p["signed_in"], p["user"]) for p in providers] == [("flow", True, "Ada")]


def test_a_state_that_does_not_match_is_refused(start, iflow):
    server = start(configuration(iflow))
    cookies = browser(server)
    back = begin(server, cookies)
    state = parse_qs(urlsplit(back).query)["state"][0]
    for wrong in [back.replace(state, "x" * len(state)), back.replace(f"&state={state}", ""),
                  server.origin + "/oauth/callback?code=1"]:
        status, _, page = follow(wrong, cookies)
        assert status == 400 and "Begin again" in page
    # Another browser, which somebody may have sent here, does not finish what this one began.
    assert follow(back, browser(server))[0] == 403
    assert iflow.token_calls == []
    assert follow(back, cookies)[0] == 400  # used up by the try before

    back = begin(server, cookies)
    assert follow(back, cookies)[0] == 200
    assert follow(back, cookies)[0] == 400  # works once
    assert len(iflow.token_calls) == 1


def test_what_goes_wrong_at_the_vendor_is_told(start, iflow):
    server = start(configuration(iflow))
    cookies = browser(server)
    state = parse_qs(urlsplit(begin(server, cookies)).query)["state"][0]
    status, _, body = follow(f"{server.origin}/oauth/callback?error=access_denied%3Cscript&state={state}",
                             {"Cookie": cookies["Cookie"]})
    assert (status, error(body)["message"]) == (400, "OAuth error: access_deniedscript.")
    state = parse_qs(urlsplit(begin(server, cookies)).query)["state"][0]
    assert follow(f"{server.origin}/oauth/callback?state={state}", cookies)[0] == 400
    for attribute, value, word in [
        ("token_answer", (400, {"error": "invalid_grant"}), "invalid_grant"),
        ("token_answer", (200, {"token_type": "bearer"}), "without a token"),
        ("token_answer", (503, b"<html>"), "503"),
        ("user_answer", (401, {}), "not valid"),
        ("user_answer", (200, {"success": False, "data": None}), "no key"),
        ("user_answer", (200, {"success": True, "data": {"nickName": "x"}}), "no key"),
    ]:
        setattr(iflow, attribute, value)
        status, _, body = follow(begin(server, cookies), {"Cookie": cookies["Cookie"]})
        assert status == 500 and error(body)["message"].startswith("OAuth callback failed: ") and word in body
        setattr(iflow, attribute, None)
    assert say(server)[0] == 401


def test_a_restart_keeps_the_login(start, iflow):
    config = configuration(iflow)
    server = start(config)
    sign_in(server)
    server.process.kill()
    server.process.wait()
    store = server.folder / "state" / "parley" / "parley.db"
    assert stat.S_IMODE(os.stat(store).st_mode) == 0o600
    server = again(start, server, config)
    assert say(server)[0] == 200
    assert len(iflow.token_calls) == 1
    # Forgotten is forgotten, also after another start.
    cookies = browser(server)
    token = re.search(r'name="token" value="([^"]+)"', follow(server.origin + "/oauth", cookies)[2])[1]
    form = cookies | {"Content-Type": "application/x-www-form-urlencoded"}
    assert server.request("POST", "/oauth/flow/logout", "token=wrong", form, key=False)[0] == 403
    assert server.request("POST", "/oauth/flow/logout", f"token={token}", form, key=False)[0] == 200
    assert say(again(start, server, config))[0] == 401


def test_a_store_of_ones_own(start, iflow):
    server = start(configuration(iflow) | {"store": "sqlite:own.db"})
    sign_in(server)
    assert (server.folder / "own.db").exists() and not (server.folder / "state/parley/parley.db").exists()


@pytest.mark.parametrize("store, words", [
    ("sqlite:/nowhere/at/all.db", "/nowhere/at/all.db cannot be opened"),
    ("postgres://user:password-of-it@h/d", "PostgreSQL is not built yet"),
])
def test_a_store_that_cannot_be_opened_is_an_error_with_words(start, iflow, store, words):
    server = start(configuration(iflow) | {"store": store}, wait=False)
    assert server.process.wait(20) == 1
    assert words in server.log_text() and "password-of-it" not in server.log_text()
    # Who keeps nothing needs no store.
    assert say(start(keyed(iflow) | {"store": store}))[0] == 200


# Refreshing


def test_five_hundred_callers_on_an_expired_login_cause_one_refresh(start, iflow):
    iflow.expires_in, iflow.rotates_key, iflow.token_delay = 1, True, 0.5
    server = start(configuration(iflow))
    sign_in(server)
    payload = json.dumps(chat("flow/glm-4.7")).encode()
    request = (f"POST /v1/chat/completions HTTP/1.1\r\nHost: p\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n"
               f"Content-Length: {len(payload)}\r\n\r\n").encode() + payload

    async def one():
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request)
        answer = await asyncio.wait_for(reader.read(), 60)
        writer.close()
        return answer.split(b"\r\n", 1)[0]

    async def everyone():
        return await asyncio.gather(*[one() for _ in range(500)])

    assert set(asyncio.run(everyone())) == {b"HTTP/1.1 200 OK"}
    assert len(iflow.refreshes()) == 1 and len(iflow.chats()) == 500


def test_a_refused_refresh_says_where_to_sign_in_and_is_not_repeated(start, iflow):
    iflow.expires_in = 1
    server = start(configuration(iflow))
    sign_in(server)
    iflow.refresh_tokens.clear()
    for _ in range(3):
        status, _, body = say(server)
        assert status == 401
        assert error(body)["type"] == "authentication_error" and error(body)["code"] == "token_refresh_failed"
        assert "log in again at /oauth/flow/login" in error(body)["message"]
    assert len(iflow.refreshes()) == 1
    page = follow(server.origin + "/oauth", browser(server))[2]
    assert "invalid_grant" in page
    iflow.expires_in = 3600
    sign_in(server)
    assert say(server)[0] == 200


def test_a_key_that_the_refresh_changed_is_used_and_kept(start, iflow):
    iflow.expires_in, iflow.rotates_key = 1, True
    server = start(configuration(iflow))
    sign_in(server)
    old = iflow.api_key
    assert say(server)[0] == 200 and iflow.api_key != old
    assert iflow.chats()[-1][2]["authorization"] == f"Bearer {iflow.api_key}"
    assert say(again(start, server, configuration(iflow)))[0] == 200
    assert len(iflow.refreshes()) == 1


def test_a_refresh_token_that_stays_is_kept(start, iflow):
    iflow.expires_in = iflow.expires_in_after = 1
    server = start(configuration(iflow))
    sign_in(server)
    iflow.rotates = False
    assert say(server)[0] == 200
    wait_until(lambda: say(server)[0] == 200 and len(iflow.refreshes()) == 2, what="another refresh")
    used = [form["refresh_token"] for form in iflow.refreshes()]
    assert len(used) == 2 and used[0] == used[1]


@pytest.mark.parametrize("refusal", [(200, {"status": "439", "msg": "expired", "body": None}), (401, {"msg": "no"})])
@pytest.mark.parametrize("stream", [False, True])
def test_a_refused_key_is_renewed_once(start, iflow, refusal, stream):
    server = start(configuration(iflow))
    sign_in(server)
    iflow.key_refusal = refusal
    iflow.api_key = iflow.secret("sk-key")
    status, _, body = say(server, stream=stream)
    assert status == 200, body
    assert len(iflow.refreshes()) == 1
    # Where new tokens do not help, the refusal is the answer.
    iflow.chat_answer = refusal
    status, _, body = say(server, stream=stream)
    assert status == 401 and error(body)["code"] == "invalid_api_key"
    assert len(iflow.refreshes()) == 2


def test_tokens_are_kept_before_they_are_used(start, iflow):
    """A refresh token works once: killed right after it was used, Parley must know its successor."""
    iflow.expires_in = 1
    server = start(configuration(iflow))
    sign_in(server)
    iflow.user_called.clear()
    iflow.user_gate = threading.Event()
    caller = threading.Thread(target=lambda: ignore(lambda: say(server)))
    caller.start()
    assert iflow.user_called.wait(10)  # the new tokens were given out, nothing was done with them yet
    server.process.kill()
    server.process.wait()
    iflow.user_gate.set()
    iflow.user_gate = None
    caller.join()
    server = again(start, server, configuration(iflow))
    assert say(server)[0] == 200
    assert len(iflow.refreshes()) == 1


def ignore(body):
    try:
        body()
    except (OSError, http.client.HTTPException):
        pass


def test_while_the_login_still_works_a_refresh_may_fail(start, iflow):
    iflow.expires_in = 240  # less than the five minutes before which it is renewed
    server = start(configuration(iflow))
    sign_in(server)
    iflow.token_answer = (503, {"error": "temporarily_unavailable"})
    assert say(server)[0] == 200
    assert len(iflow.refreshes()) == 1


def test_a_sign_in_that_fails_for_now_is_not_a_refusal(start, iflow):
    iflow.expires_in = 0
    server = start(configuration(iflow))
    sign_in(server)
    iflow.token_answer = (503, {"error": "temporarily_unavailable"})
    status, _, body = say(server)
    assert (status, error(body)["code"]) == (502, "token_refresh_failed")
    iflow.token_answer = None
    wait_until(lambda: say(server)[0] == 200, what="another try")


def test_two_processes_with_one_store_use_each_others_tokens(start, iflow, tmp_path):
    iflow.expires_in = 1
    config = configuration(iflow) | {"store": f"sqlite:{tmp_path}/shared.db"}
    first, second = start(config), start(config)
    sign_in(first)
    # The second one looks into the store again after a while, and refreshes: the token that the first knows is used up.
    wait_until(lambda: say(second)[0] == 200, what="the other's login")
    assert say(first)[0] == 200
    assert len(iflow.refreshes()) == 1


# Models


def test_models_are_listed_and_refreshed(start, iflow):
    server = start(keyed(iflow))
    names = [model["id"] for model in json.loads(server.request("GET", "/v1/models")[2])["data"]]
    assert names[:2] == ["flow/glm-4.7", "flow/iFlow-ROME-30BA3B"] and "flow/qwen3-max" in names
    assert len(names) == len(set(names))
    iflow.model_names = ["brand-new"]
    status, _, body = server.request("POST", "/v1/models/refresh")
    assert status == 200 and "flow/brand-new" in body.decode() and "qwen3-max" not in body.decode()
    # A service that lists nothing takes nothing away.
    iflow.models_answer = (500, {"error": "no"})
    status, _, body = server.request("POST", "/models/refresh")
    assert status == 200 and "flow/brand-new" in body.decode()
    shape = server.request("POST", "/v1/models/refresh", headers={"anthropic-version": "2023-06-01"})[2]
    assert json.loads(shape)["data"][0]["type"] == "model"
    for method in ("GET", "PUT", "DELETE"):
        status, headers, _ = server.request(method, "/v1/models/refresh")
        assert (status, headers["allow"]) == (405, "POST")
    assert server.request("POST", "/v1/models/refresh", key=False)[0] == 401


def test_models_of_other_providers_are_refreshed_too(start, iflow, upstream):
    config = keyed(iflow)
    config["providers"]["up"] = {"kind": "openai-compatible", "base_url": upstream.url, "api_key": "k"}
    server = start(config)
    server.request("GET", "/v1/models")
    wait_until(lambda: any(e["path"].endswith("/models") for e in upstream.control("GET", "/__log")))
    before = sum(e["path"].endswith("/models") for e in upstream.control("GET", "/__log"))
    assert server.request("POST", "/v1/models/refresh")[0] == 200
    assert sum(e["path"].endswith("/models") for e in upstream.control("GET", "/__log")) == before + 1


# Secrets


def test_no_secret_is_in_a_log_a_page_or_an_error(start, iflow):
    iflow.expires_in, iflow.rotates_key = 1, True
    config = configuration(iflow) | {"log": {"level": "trace"}}
    server = start(config)
    cookies = browser(server)
    answers = [sign_in(server), follow(server.origin + "/oauth", cookies)[2],
               follow(server.origin + "/oauth", BEARER)[2], say(server)[2].decode()]
    iflow.refresh_tokens.clear()
    iflow.api_key = iflow.secret("sk-key")
    answers += [say(server)[2].decode(), say(server, stream=True)[2].decode(),
                follow(server.origin + "/oauth/flow/refresh", cookies)[2]]
    state = parse_qs(urlsplit(begin(server, cookies)).query)["state"][0]
    answers.append(follow(f"{server.origin}/oauth/callback?code=made-up-code&state={state}", cookies)[2])
    server.stop()
    everything = "\n".join(answers) + server.log_text()
    assert "/oauth/callback" in server.log_text()
    for secret in iflow.secrets + [ADMIN, cookies["Cookie"].split("=")[1], state, "made-up-code"]:
        assert secret not in everything
