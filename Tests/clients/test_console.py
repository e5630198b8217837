# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""The control plane through the real binary: who is let in, and what strangers are told."""

import http.client
import os
import socket
import stat

import pytest

from conftest import KEY, wait_until

ADMIN = "admin-key-for-tests-0123456789"
HTML = {"Accept": "text/html"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def configuration(**more):
    return {"admin": {"key": ADMIN}, "providers": {"demo": {"kind": "demo"}},
            "keys": [{"name": "test", "key": KEY}]} | more


def get(server, path, headers=None, method="GET"):
    return server.request(method, path, headers=headers, key=False)


def post(server, path, fields, headers=None):
    return server.request("POST", path, fields, FORM | (headers or {}), key=False)


def sign_in(server, **more):
    status, headers, _ = post(server, "/oauth/sign-in", f"key={ADMIN}", HTML | more)
    assert status == 303
    return headers["set-cookie"]


def through(path, target, headers):
    """One GET over a Unix-domain socket."""
    connection = http.client.HTTPConnection("localhost", timeout=10)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(path))
    connection.request("GET", target, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_the_admin_key_opens_it_and_no_other_key(start):
    server = start(configuration())
    assert get(server, "/oauth", {"Authorization": f"Bearer {ADMIN}"})[0] == 200
    assert get(server, "/oauth", {"Authorization": f"bearer {ADMIN}"})[0] == 200
    for shown in [KEY, ADMIN[:-1], ADMIN + "x", ADMIN.upper(), "", " "]:
        status, headers, body = get(server, "/oauth", {"Authorization": f"Bearer {shown}"})
        assert status == 401 and headers["www-authenticate"].startswith("Bearer")
        assert b"admin" in body and ADMIN.encode() not in body
    assert get(server, "/oauth", {"x-api-key": ADMIN})[0] == 401
    assert get(server, f"/oauth?key={ADMIN}")[0] == 401
    assert get(server, "/oauth", {"Authorization": f"Basic {ADMIN}"})[0] == 401
    # And the admin key is none of a client's.
    assert server.request("GET", "/v1/models", headers={"Authorization": f"Bearer {ADMIN}"}, key=False)[0] == 401


def test_a_browser_signs_in_and_out(start):
    server = start(configuration())
    status, headers, _ = get(server, "/oauth", HTML)
    assert (status, headers["location"]) == (303, "/oauth/sign-in")
    status, _, page = get(server, "/oauth/sign-in", HTML)
    assert status == 200 and b"<form" in page and b'type="password"' in page
    cookie = sign_in(server)
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Secure" not in cookie and "Max-Age=43200" in cookie
    assert ADMIN not in cookie
    browser = HTML | {"Cookie": "other=1; " + cookie.split(";")[0]}
    status, _, page = get(server, "/oauth", browser)
    assert status == 200 and ADMIN.encode() not in page
    token = page.decode().split('name="token" value="')[1].split('"')[0]
    assert post(server, "/oauth/sign-out", "", browser)[0] == 403
    status, headers, _ = post(server, "/oauth/sign-out", f"token={token}", browser)
    assert status == 303 and "Max-Age=0" in headers["set-cookie"]
    assert get(server, "/oauth", browser)[0] == 303
    assert get(server, "/oauth", HTML | {"Cookie": "parley_session="})[0] == 303


def test_the_form_goes_back_to_a_page_of_ours_only(start):
    server = start(configuration())
    for asked, gets in [("/oauth/x", "/oauth/x"), ("//evil.example", "/oauth"), ("https://evil.example", "/oauth")]:
        status, headers, _ = post(server, "/oauth/sign-in", f"key={ADMIN}&next={asked}", HTML)
        assert (status, headers["location"]) == (303, gets)


@pytest.mark.parametrize("headers", [
    {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
    {"Origin": "null"},
])
def test_another_sites_form_is_refused(start, headers):
    server = start(configuration())
    assert post(server, "/oauth/sign-in", f"key={ADMIN}", HTML | headers)[0] == 403
    assert post(server, "/oauth/sign-in", f"key={ADMIN}", HTML | {"Origin": server.origin,
                                                                  "Sec-Fetch-Site": "same-origin"})[0] == 303


def test_guessing_comes_to_an_end(start):
    server = start(configuration())
    for _ in range(5):
        assert get(server, "/oauth", {"Authorization": "Bearer wrong"})[0] == 401
        assert post(server, "/oauth/sign-in", "key=wrong", HTML)[0] == 401
    for status, headers, _ in [get(server, "/oauth", {"Authorization": f"Bearer {ADMIN}"}),
                               post(server, "/oauth/sign-in", f"key={ADMIN}", HTML),
                               # An address that somebody only claims changes nothing.
                               get(server, "/oauth", {"Authorization": f"Bearer {ADMIN}", "X-Parley-Peer": "10.0.0.9",
                                                      "X-Forwarded-For": "10.0.0.9"})]:
        assert status == 429 and 0 < int(headers["retry-after"]) <= 60
    # Clients notice nothing of it.
    assert server.request("GET", "/v1/models")[0] == 200


def test_every_answer_is_safe_to_look_at(start):
    server = start(configuration())
    for path, status in [("/oauth/sign-in", 200), ("/oauth", 401), ("/oauth/nothing/here", 404),
                         ("/oauth/callback", 400)]:
        got, headers, _ = get(server, path)
        assert got == status, path
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-frame-options"] == "DENY" and headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store" and headers["referrer-policy"] == "same-origin"
        assert headers["x-request-id"] and "access-control-allow-origin" not in headers
    status, headers, page = get(server, "/oauth/%3Cscript%3E/login", HTML | {
        "Cookie": sign_in(server).split(";")[0]})
    assert status == 404 and b"<script" not in page
    status, headers, body = get(server, "/oauth/sign-in", method="HEAD")
    assert (status, body) == (200, b"")
    assert get(server, "/oauth/style.css")[1]["content-type"].startswith("text/css")


def test_tls_makes_the_cookie_secure(start):
    server = start(configuration())
    assert "; Secure" in sign_in(server, **{"X-Forwarded-Proto": "https"})


def test_a_key_is_made_once_and_its_place_is_said(start, tmp_path):
    folder = tmp_path / "server"
    config = configuration()
    del config["admin"]
    server = start(config, folder=folder)
    path = folder / "state" / "parley" / "admin.key"
    server.wait_for("Try it")
    assert str(path) in server.log_text() and "/oauth" in server.log_text()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    secret = path.read_text().strip()
    assert get(server, "/oauth", {"Authorization": f"Bearer {secret}"})[0] == 200
    server.stop()
    server.log_path.unlink()
    server = start(config, folder=folder)
    server.wait_for("Try it")
    assert path.read_text().strip() == secret and str(path) in server.log_text() and secret not in server.log_text()
    assert get(server, "/oauth", {"Authorization": f"Bearer {secret}"})[0] == 200


def test_the_socket_is_the_owners_and_goes_with_the_process(start):
    server = start(configuration())
    server.wait_for("Try it")
    folder = server.folder / "state" / "parley"
    sockets = [entry for entry in os.scandir(folder) if entry.name.endswith(".sock")]
    if not sockets:  # the folder's name is too long for one
        pytest.skip("the socket is elsewhere")
    assert stat.S_IMODE(sockets[0].stat().st_mode) == 0o600
    server.process.kill()
    server.process.wait()
    server.log_path.unlink()
    again = start(configuration(), folder=server.folder)
    again.wait_for("Try it")
    names = [entry.name for entry in os.scandir(folder) if entry.name.endswith(".sock")]
    assert names == [f"console-{again.process.pid}.sock"]
    again.stop()
    assert [entry.name for entry in os.scandir(folder) if entry.name.endswith(".sock")] == []


def test_off_is_off(start):
    server = start(configuration(console={"listen": "off"}))
    for path in ["/oauth", "/oauth/sign-in", "/oauth/callback?state=1"]:
        assert get(server, path, {"Authorization": f"Bearer {ADMIN}"})[0] == 404
    assert not (server.folder / "state").exists()


def test_an_address_of_its_own(start):
    server = start(configuration(console={"listen": "127.0.0.1:0"}))
    port = int(server.wait_for(r"console\s+http://127\.0\.0\.1:(\d+)/oauth")[1])
    assert port != server.port
    assert get(server, "/oauth", {"Authorization": f"Bearer {ADMIN}"})[0] == 404
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/oauth", headers={"Authorization": f"Bearer {ADMIN}"})
    assert connection.getresponse().status == 200


def test_a_socket_of_its_own(start, tmp_path):
    path = tmp_path / "c.sock"
    server = start(configuration(console={"listen": f"unix:{path}"}))
    server.wait_for("Try it")
    assert through(path, "/oauth", {"Authorization": f"Bearer {ADMIN}"})[0] == 200
    assert get(server, "/oauth", {"Authorization": f"Bearer {ADMIN}"})[0] == 404


def test_what_keeps_it_from_starting_is_said(start):
    busy = socket.create_server(("127.0.0.1", 0))
    server = start(configuration(console={"listen": f"127.0.0.1:{busy.getsockname()[1]}"}), wait=False)
    assert server.process.wait(20) != 0
    assert "console.listen: cannot listen" in server.log_text()
    busy.close()


def test_a_client_key_that_is_the_admin_key_too_is_said(start):
    server = start(configuration(admin={"key": KEY}))
    server.wait_for('admin.key is also the key "')
    assert get(server, "/oauth", {"Authorization": f"Bearer {KEY}"})[0] == 200


def test_a_console_that_nobody_asked_for_does_not_keep_the_gateway_from_serving(start, tmp_path):
    state = tmp_path / "no-folder"
    state.write_text("a file")
    server = start({name: value for name, value in configuration().items() if name not in ("admin", "console")},
                   env={"XDG_STATE_HOME": str(state)})
    server.wait_for("the console is not there")
    assert server.request("GET", "/v1/models")[0] == 200


def test_a_session_ends(start):
    server = start(configuration(console={"session": "1s"}))
    browser = HTML | {"Cookie": sign_in(server).split(";")[0]}

    wait_until(lambda: get(server, "/oauth", browser)[0] == 303, what="the session's end")


def test_starting_opens_no_database(start):
    server = start(configuration(), env=None)
    server.wait_for("Try it")
    assert not (server.folder / "state" / "parley" / "parley.db").exists()
    assert server.request("GET", "/health")[0] == 200
