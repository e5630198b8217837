# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""Many connections and clients that stop reading: memory and descriptors stay bounded."""

import http.client
import resource
import socket

import pytest

from conftest import SSE, chat, chat_request, chunk, settings, wait_until


def descriptors(count):
    """Skips the test where the machine does not allow that many descriptors."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < count:
        pytest.skip(f"needs {count} descriptors, the hard limit is {hard} (ulimit -Hn)")


def test_ten_thousand_idle_connections(start, upstream):
    descriptors(10500)
    server = start(settings(upstream.url, server={"max_connections": 10200}))
    before, opened = server.descriptors(), []
    try:
        for _ in range(10000):
            client = socket.socket()
            client.settimeout(20)
            client.connect(("127.0.0.1", server.port))
            opened.append(client)
        wait_until(lambda: server.descriptors() >= before + 10000, 30, "10,000 connections")
        assert server.request("POST", "/v1/chat/completions", chat())[0] == 200
        for client in opened[::500]:  # those that waited are still served
            client.sendall(b"GET /health HTTP/1.1\r\nHost: p\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
    finally:
        for client in opened:
            client.close()
    # The first call has opened the store, which has a few files.
    wait_until(lambda: server.descriptors() <= before + 20, 30, "the descriptors' return")


def test_a_small_limit_of_open_files_is_raised(start, upstream):
    descriptors(1000)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        server = start(settings(upstream.url))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    opened = [socket.create_connection(("127.0.0.1", server.port), 5) for _ in range(400)]
    try:
        for client in opened:
            client.settimeout(20)
            client.sendall(b"GET /health HTTP/1.1\r\nHost: p\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
    finally:
        for client in opened:
            client.close()


def test_connections_over_the_limit_do_no_harm(start, upstream):
    server = start(settings(upstream.url, server={"max_connections": 20}))
    opened = [socket.create_connection(("127.0.0.1", server.port), 5) for _ in range(60)]
    for client in opened:
        client.close()

    def served():
        try:
            return server.request("GET", "/health")[0] == 200
        except (OSError, http.client.HTTPException):
            return False
    wait_until(served, what="room for a request")


def test_clients_that_stop_reading_do_not_grow_memory(start, upstream):
    count = 2000
    descriptors(count * 2 + 500)
    upstream.script([SSE, {"sse": [chunk("one")], "done": False},
                     {"repeat": {"count": 1000000, "write": f"data: {chunk('x' * 2000)}\n\n", "every_ms": 250}}])
    server = start(settings(upstream.url, server={"max_connections": 10000}))
    before, clients = server.descriptors(), []
    request = chat_request(chat(stream=True))
    try:
        for _ in range(count):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(30)
            client.connect(("127.0.0.1", server.port))
            client.sendall(request)
            clients.append(client)
        wait_until(lambda: len(upstream.log()) >= count, 60, "all streams upstream")

        def written():
            return sum(entry["bytes_written"] for entry in upstream.log())
        wait_until(lambda: written() > 40_000_000, 60, "40 MB sent")
        one = server.rss()
        level = written()
        wait_until(lambda: written() > level + 60_000_000 or written() == level and level > 0, 60, "60 MB more sent")
        grown = server.rss() - one
        # 60 MB more went through or were held back; what is kept per stream is bounded by its buffers.
        assert grown < 0.5 * 60_000, f"{grown} KB more while clients did not read"
        assert server.rss() < 400_000
    finally:
        for client in clients:
            client.close()
    wait_until(lambda: server.descriptors() <= before + 20, 30, "the descriptors' return")
    assert server.request("GET", "/health")[0] == 200
