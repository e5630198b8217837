# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""Moderations, images, audio, rerank, files and batches through the real binary, with the official `openai` library."""

import base64
import http.client
import io
import json
import socket
import threading
import time

import openai
import pytest

from conftest import KEY, answer, failure, settings, wait_until

SOUND = bytes(range(256)) * 2_000


def seen(upstream, path):
    """The requests for a path, oldest first."""
    return [entry for entry in upstream.control("GET", "/__log") if entry["path"].split("?")[0] == path]


def raw_body(entry):
    return base64.b64decode(entry["body_base64"]) if "body_base64" in entry else entry["body"].encode()


def one(upstream, path):
    return wait_until(lambda: seen(upstream, path), what=f"a request for {path}")[0]


@pytest.fixture
def aliased(start, upstream):
    """A server with an alias for each of the models here."""
    return start(settings(upstream.url, models={name: f"up/{name}-upstream" for name in ("guard", "paint", "voice")}))


def test_moderations(aliased, upstream):
    upstream.script(answer({"id": "modr-1", "model": "guard-upstream", "results": [
        {"flagged": True, "categories": {}, "category_scores": {}, "category_applied_input_types": {}}]}))
    done = aliased.client().moderations.create(model="guard", input=["a", "b"])
    assert done.id == "modr-1" and done.results[0].flagged
    assert json.loads(one(upstream, "/v1/moderations")["body"]) == {"input": ["a", "b"], "model": "guard-upstream"}


def test_moderations_without_a_model_go_to_the_only_provider(aliased, upstream):
    upstream.script(answer({"id": "modr-2", "model": "x", "results": []}))
    assert aliased.client().moderations.create(input="a").id == "modr-2"
    assert json.loads(one(upstream, "/v1/moderations")["body"]) == {"input": "a"}


def test_images_are_made(aliased, upstream):
    picture = base64.b64encode(SOUND).decode()
    upstream.script(answer({"created": 1, "data": [{"b64_json": picture}], "usage": {
        "input_tokens": 5, "output_tokens": 6, "total_tokens": 11,
        "input_tokens_details": {"text_tokens": 5, "image_tokens": 0}}}))
    done = aliased.client().images.generate(model="paint", prompt="a cat", size="1024x1024")
    assert done.data[0].b64_json == picture and done.usage.total_tokens == 11
    assert json.loads(one(upstream, "/v1/images/generations")["body"])["model"] == "paint-upstream"
    aliased.wait_for(r"POST /v1/images/generations 200 .*upstream=up/paint-upstream .*in=5 out=6")


def test_images_are_edited(aliased, upstream):
    upstream.script(answer({"created": 1, "data": [{"url": "http://x/y.png"}]}))
    done = aliased.client().images.edit(
        model="paint", prompt="more cats", image=[("a.png", io.BytesIO(SOUND), "image/png"), ("b.png", SOUND)])
    assert done.data[0].url == "http://x/y.png"
    body = raw_body(one(upstream, "/v1/images/edits"))
    assert body.count(SOUND) == 2 and b"\r\npaint-upstream\r\n" in body and b"more cats" in body


def test_speech_is_streamed(aliased, upstream):
    upstream.script([{"head": {"status": 200, "headers": {"content-type": "audio/mpeg"}}},
                     {"repeat": {"count": 10, "write": "sound-$i;"}}])
    with aliased.client().audio.speech.with_streaming_response.create(
            model="voice", voice="alloy", input="Hello") as response:
        assert response.headers["content-type"] == "audio/mpeg"
        assert b"".join(response.iter_bytes()) == b"".join(b"sound-%d;" % i for i in range(10))
    assert json.loads(one(upstream, "/v1/audio/speech")["body"])["model"] == "voice-upstream"


@pytest.mark.parametrize("size", [100, 5 << 20])
def test_audio_is_transcribed(aliased, upstream, size):
    upstream.script(answer({"text": "hello", "usage": {"type": "duration", "seconds": 3}}))
    sound = (SOUND * 20)[:size]
    done = aliased.client().audio.transcriptions.create(model="voice", file=("a.wav", sound), language="en")
    assert done.text == "hello"
    entry = one(upstream, "/v1/audio/transcriptions")
    body = raw_body(entry)
    assert sound in body and b"\r\nvoice-upstream\r\n" in body
    assert int(entry["headers"]["content-length"]) == len(body)


def test_transcriptions_as_text_and_as_a_stream(aliased, upstream):
    upstream.script({"times": 1, "steps": [
        {"head": {"status": 200, "headers": {"content-type": "text/plain"}, "framing": "length"}}, {"write": "1\nhello\n"}]})
    text = aliased.client().audio.translations.create(model="voice", file=("a.wav", SOUND), response_format="srt")
    assert text == "1\nhello\n"
    events = [json.dumps({"type": "transcript.text.delta", "delta": "hel"}),
              json.dumps({"type": "transcript.text.done", "text": "hello"})]
    upstream.script([{"head": {"status": 200, "headers": {"content-type": "text/event-stream"}}},
                     {"sse": events, "done": False}])
    stream = aliased.client().audio.transcriptions.create(model="voice", file=("a.wav", SOUND), stream=True)
    assert [event.type for event in stream] == ["transcript.text.delta", "transcript.text.done"]


def test_files_from_upload_to_delete(aliased, upstream):
    file = {"id": "file-1", "object": "file", "bytes": 3, "created_at": 1, "filename": "a.jsonl", "purpose": "batch",
            "status": "processed"}
    client = aliased.client()
    upstream.script({"match": {"path": "/v1/files"}, "times": 1, "steps": answer(file)})
    assert client.files.create(file=("a.jsonl", SOUND), purpose="batch").id == "file-1"
    assert SOUND in raw_body(one(upstream, "/v1/files"))
    upstream.script({"match": {"path": "/v1/files"}, "times": 1, "steps": answer(
        {"object": "list", "data": [file], "has_more": False})})
    assert [f.id for f in client.files.list(purpose="batch")] == ["file-1"]
    assert seen(upstream, "/v1/files")[1]["path"] == "/v1/files?purpose=batch"
    upstream.script({"match": {"path": "/v1/files/file-1/content"}, "steps": [
        {"head": {"status": 200, "headers": {"content-type": "application/octet-stream"}, "framing": "length"}},
        {"write": "a\nb\n"}]})
    assert client.files.content("file-1").read() == b"a\nb\n"
    upstream.script({"match": {"path": "/v1/files/file-1"}, "times": 1, "steps": answer(file)})
    assert client.files.retrieve("file-1").filename == "a.jsonl"
    upstream.script({"match": {"path": "/v1/files/file-1"}, "steps": answer(
        {"id": "file-1", "object": "file", "deleted": True})})
    assert client.files.delete("file-1").deleted


def test_batches_from_create_to_cancel(aliased, upstream):
    batch = {"id": "batch_1", "object": "batch", "endpoint": "/v1/chat/completions", "input_file_id": "file-1",
             "completion_window": "24h", "status": "validating", "created_at": 1}
    client = aliased.client()
    upstream.script({"match": {"path": "/v1/batches"}, "times": 1, "steps": answer(batch)})
    made = client.batches.create(input_file_id="file-1", endpoint="/v1/chat/completions", completion_window="24h")
    assert made.id == "batch_1"
    upstream.script({"match": {"path": "/v1/batches"}, "steps": answer(
        {"object": "list", "data": [batch], "has_more": False})})
    assert [b.id for b in client.batches.list(limit=5)] == ["batch_1"]
    upstream.script({"match": {"path": "/v1/batches/batch_1"}, "steps": answer(batch)})
    assert client.batches.retrieve("batch_1").status == "validating"
    upstream.script({"match": {"path": "/v1/batches/batch_1/cancel"}, "steps": answer(batch | {"status": "cancelling"})})
    assert client.batches.cancel("batch_1").status == "cancelling"


def test_rerank(aliased, upstream):
    upstream.script(answer({"results": [{"index": 0, "relevance_score": 0.5}]}))
    for path in ("/v1/rerank", "/v2/rerank"):
        status, headers, body = aliased.request(
            "POST", path, {"model": "guard", "query": "q", "documents": ["a"]})
        assert status == 200 and json.loads(body)["results"] and headers["x-parley-model"] == "guard"
    assert [json.loads(entry["body"])["model"] for entry in seen(upstream, "/v1/rerank")] == ["guard-upstream"] * 2


def test_errors_reach_the_library_as_they_were(aliased, upstream):
    upstream.script(failure(400, "Your prompt was refused.", "content_policy_violation", "invalid_request_error"))
    with pytest.raises(openai.BadRequestError) as caught:
        aliased.client().images.generate(model="paint", prompt="x")
    assert caught.value.code == "content_policy_violation"
    with pytest.raises(openai.AuthenticationError):
        aliased.client(api_key="sk-wrong").files.list()


def test_two_providers_and_a_choice(start, upstream):
    config = settings(upstream.url)
    config["providers"]["down"] = config["providers"]["up"] | {"base_url": "http://127.0.0.1:9/v1"}
    server = start(config)
    with pytest.raises(openai.BadRequestError, match="up, down"):
        server.client().files.list()
    upstream.script(answer({"object": "list", "data": [], "has_more": False}))
    assert list(server.client().files.list(extra_query={"provider": "up"})) == []
    assert list(server.client(default_headers={"x-parley-provider": "up"}).files.list()) == []
    assert seen(upstream, "/v1/files")[0]["path"] == "/v1/files"


class Sink:
    """An upstream that takes an upload only when it is let, and then answers."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.go, self.count = threading.Event(), 0
        threading.Thread(target=self.serve, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}/v1"

    def serve(self):
        peer, _ = self.listener.accept()
        self.go.wait(60)
        tail = b""
        while not tail.endswith(b"--end--\r\n"):
            data = peer.recv(1 << 20)
            if not data:
                return
            self.count += len(data)
            tail = (tail + data)[-64:]
        peer.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")


def test_a_large_upload_for_a_slow_upstream_takes_no_memory(start):
    sink = Sink()
    server = start(settings(sink.url))
    form = (b'--end\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n'
            b'--end\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n')
    size, end = 96 << 20, b"\r\n--end--\r\n"
    connection = socket.create_connection(("127.0.0.1", server.port), 60)
    before = server.rss()

    def send():
        connection.sendall((
            f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
            f"Content-Type: multipart/form-data; boundary=end\r\nContent-Length: {len(form) + size + len(end)}\r\n\r\n"
        ).encode() + form)
        for _ in range(size >> 20):
            connection.sendall(b"x" * (1 << 20))
        connection.sendall(end)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    time.sleep(1.5)
    assert sender.is_alive(), "all of it was taken for an upstream that does not read"
    assert server.rss() - before < 6_000
    sink.go.set()
    sender.join(60)
    reply = http.client.HTTPResponse(connection)
    reply.begin()
    assert reply.status == 200 and reply.read() == b"{}"
    assert sink.count > size
    assert server.rss() - before < 12_000
    connection.close()
