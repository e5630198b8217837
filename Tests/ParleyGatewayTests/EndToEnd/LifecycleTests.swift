// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyTestKit
import Testing

@testable import ParleyGateway

@Suite("Reloading and stopping", .serialized)
struct LifecycleTests {
    /// A stream that says one word, waits, and ends.
    private static func slow(_ milliseconds: Int) -> Script {
        Script(
            match: .init(model: "slow"),
            steps: [
                Bodies.streamHead, Bodies.events([Bodies.chunk("one ")]), .sleep(milliseconds: milliseconds),
                Bodies.events([Bodies.chunk("two"), Bodies.last, "[DONE]"]),
            ])
    }

    private static let endless = Script(
        match: .init(model: "endless"),
        steps: [
            Bodies.streamHead, Bodies.events([Bodies.chunk("one")]), .hang,
        ])

    @Test("A running stream finishes with the old configuration while new calls use the new one")
    func adopt() async throws {
        var setup = GatewayUnderTest.Setup()
        setup.models = ["m: up/slow"]
        try await GatewayUnderTest.run(setup, scripts: [Self.slow(600)]) { gateway, upstream in
            let old = try await gateway.connect()
            try await old.send(RawClient.post(Bodies.chat(stream: true)))
            try await old.waitForBody("one ")
            var changed = setup
            changed.models = ["m: up/other"]
            changed.keys = ["{name: new, key: sk-parley-new-0123456789abcdef}"]
            try gateway.adopt(changed, upstream)
            let new = ["authorization: Bearer sk-parley-new-0123456789abcdef"]
            #expect(try await gateway.post(Bodies.chat(), headers: new).status == 200)
            #expect(try await gateway.post(Bodies.chat()).status == 401)
            let answer = try await old.answer()
            #expect(answer.streamedText == "one two")
            #expect(answer.events.last == "[DONE]")
            // The next call on the old connection is one of the new configuration.
            try await old.send(RawClient.post(Bodies.chat(), headers: new))
            #expect(try await old.answer().status == 200)
            #expect(await upstream.requests().map(\.model) == ["slow", "other", "other"])
        }
    }

    @Test("No call fails while the configuration changes again and again")
    func adoptUnderLoad() async throws {
        var setup = GatewayUnderTest.Setup()
        setup.provider = ["limits: {concurrent: 4}"]
        let used = setup
        try await GatewayUnderTest.run(used) { gateway, upstream in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for worker in 0..<4 {
                    group.addTask {
                        let client = try await gateway.connect()
                        for _ in 0..<40 {
                            try await client.send(RawClient.post(Bodies.chat(stream: worker % 2 == 0)))
                            #expect(try await client.answer().status == 200)
                        }
                    }
                }
                group.addTask {
                    for _ in 0..<40 {
                        try gateway.adopt(used, upstream)
                        try await Task.sleep(for: .milliseconds(3))
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test("Stopping waits for a running stream, takes no new connection and closes idle ones")
    func drain() async throws {
        try await GatewayUnderTest.run(scripts: [Self.slow(800)]) { gateway, _ in
            let idle = try await gateway.connect()
            try await idle.send(RawClient.get("/health"))
            #expect(try await idle.answer().status == 200)
            let untouched = try await gateway.connect()
            let client = try await gateway.connect()
            try await client.send(RawClient.post(Bodies.chat("slow", stream: true)))
            try await client.waitForBody("one ")
            let stopping = Task { await gateway.stop(drain: .seconds(20)) }
            try await idle.waitForClose(within: .seconds(5))
            try await untouched.waitForClose(within: .seconds(5))
            let port = gateway.port
            try await eventually("refusal of new connections") {
                guard let late = try? await RawClient.connect(port: port) else { return true }
                late.close()
                return false
            }
            let answer = try await client.answer()
            #expect(answer.streamedText == "one two")
            #expect(answer.events.last == "[DONE]")
            try await client.waitForClose()
            await stopping.value
            #expect(gateway.running == 0)
        }
    }

    @Test("Past the deadline a running stream ends in an error event, and its upstream is closed")
    func drainDeadline() async throws {
        try await GatewayUnderTest.run(scripts: [Self.endless]) { gateway, upstream in
            let client = try await gateway.connect()
            try await client.send(RawClient.post(Bodies.chat("endless", stream: true)))
            try await client.waitForBody("one")
            await gateway.stop(drain: .milliseconds(300))
            let answer = try await client.answer(within: .seconds(5))
            #expect(answer.streamedText == "one")
            #expect(answer.streamError?["code"] as? String == "shutting_down")
            try await client.waitForClose()
            try await upstream.waitForRequest(toBe: .clientClosed)
        }
    }

    @Test("Past the deadline a waiting call gets a 503", arguments: [false, true])
    func drainDeadlineWaiting(stream: Bool) async throws {
        try await GatewayUnderTest.run(scripts: [Script(steps: [.hang])]) { gateway, upstream in
            let client = try await gateway.connect()
            try await client.send(RawClient.post(Bodies.chat(stream: stream)))
            try await upstream.waitForRequests(count: 1)
            await gateway.stop(drain: .milliseconds(100))
            let answer = try await client.answer(within: .seconds(5))
            #expect(answer.status == 503)
            #expect(answer.error["code"] as? String == "shutting_down")
            try await client.waitForClose()
        }
    }

    @Test("Past the deadline a retry that waits does not hold the server up")
    func drainDeadlineRetry() async throws {
        var setup = GatewayUnderTest.Setup()
        setup.defaults = ["retry: {attempts: 3, backoff: 20s, max_wait: 20s}"]
        try await GatewayUnderTest.run(setup, scripts: [Script(steps: [.refuse])]) { gateway, upstream in
            let client = try await gateway.connect()
            try await client.send(RawClient.post(Bodies.chat()))
            try await upstream.waitForRequest(toBe: .cut)
            await gateway.stop(drain: .milliseconds(100))
            #expect(try await client.answer(within: .seconds(5)).status == 503)
        }
    }

    @Test("A client that does not read cannot hold the server up")
    func drainStalled() async throws {
        let frame = Bodies.frames([Bodies.chunk(String(repeating: "x", count: 64 << 10))])
        let script = Script(steps: [Bodies.streamHead, .repeat(.init(1_024, write: frame))])
        try await GatewayUnderTest.run(scripts: [script]) { gateway, upstream in
            let client = try await RawClient.connect(port: gateway.port, receiveBuffer: 64 << 10, keepsBodies: false)
            try await client.setReading(false)
            try await client.send(RawClient.post(Bodies.chat(stream: true)))
            try await upstream.wait(for: "a megabyte") { ($0.first?.bytesWritten ?? 0) > 1 << 20 }
            let stopping = Task { await gateway.stop(drain: .milliseconds(100)) }
            try await upstream.waitForRequest(toBe: .clientClosed, within: .seconds(10))
            await stopping.value
        }
    }

    @Test("A client in the middle of a request does not hold the server up")
    func drainHalfRequest() async throws {
        try await GatewayUnderTest.run { gateway, _ in
            let body = try await gateway.connect()
            try await body.send(RawClient.head("POST", "/v1/chat/completions", ["content-length: 100"]) + "{")
            let head = try await gateway.connect()
            try await head.send("GET /health HT")
            try await gateway.waitForRunning(1)
            let stopping = Task { await gateway.stop(drain: .milliseconds(100)) }
            try await body.waitForClose()
            try await head.waitForClose()
            await stopping.value
        }
    }

    @Test("While the server drains it says that it is not ready")
    func draining() async throws {
        try await GatewayUnderTest.run(scripts: [Self.slow(1_500)]) { gateway, _ in
            let client = try await gateway.connect()
            try await client.send(RawClient.post(Bodies.chat("slow", stream: true)) + RawClient.get("/health/ready"))
            try await client.waitForBody("one ")
            let stopping = Task { await gateway.stop(drain: .seconds(20)) }
            #expect(try await client.answer().events.last == "[DONE]")
            let ready = try await client.answer()
            #expect(ready.status == 503)
            #expect(ready["connection"] == "close")
            await stopping.value
        }
    }

    @Test("A connection without a request is closed after server.idle, a used one after its last answer")
    func idle() async throws {
        var setup = GatewayUnderTest.Setup()
        setup.server = ["idle: 1s"]
        try await GatewayUnderTest.run(setup, scripts: [Self.slow(2_500)]) { gateway, _ in
            let untouched = try await gateway.connect()
            let used = try await gateway.connect()
            try await used.send(RawClient.get("/health"))
            #expect(try await used.answer().status == 200)
            // One that is being answered is not idle, however long it takes.
            let busy = try await gateway.connect()
            try await busy.send(RawClient.post(Bodies.chat("slow", stream: true)))
            try await untouched.waitForClose()
            try await used.waitForClose()
            #expect(try await busy.answer().events.last == "[DONE]")
            try await busy.waitForClose()
            #expect(used.received.answers.isEmpty && untouched.received.answers.isEmpty)
        }
    }

    @Test("No more connections than max_connections are held")
    func maxConnections() async throws {
        var setup = GatewayUnderTest.Setup()
        setup.server = ["max_connections: 3"]
        setup.loops = 1
        try await GatewayUnderTest.run(setup) { gateway, _ in
            var clients: [RawClient] = []
            for _ in 0..<3 {
                let client = try await gateway.connect()
                try await client.send(RawClient.get("/health"))
                #expect(try await client.answer().status == 200)
                clients.append(client)
            }
            let over = try await gateway.connect()
            try await over.waitForClose()
            clients[0].close()
            try await eventually("place for another client") {
                guard let client = try? await gateway.connect() else { return false }
                defer { client.close() }
                try? await client.send(RawClient.get("/health"))
                return (try? await client.answer(within: .seconds(2)).status) == 200
            }
            for client in clients.dropFirst() { #expect(!client.received.isClosed) }
        }
    }

    @Test("Each request has one access line with what became of it, and no key or prompt")
    func accessLines() async throws {
        let folder = try TemporaryFolder()
        let sink = try LogSink(.file(path: folder.path("log"), rotate: 0, keep: 0), format: .json)
        try await GatewayUnderTest.run(scripts: [Self.endless], log: sink) { gateway, upstream in
            try await gateway.post(Bodies.chat("m1", stream: true), headers: ["x-request-id: streamed"])
            try await gateway.post(Bodies.chat("m2", text: "my secret prompt"), headers: ["x-request-id: whole"])
            try await gateway.post("{", headers: ["x-request-id: bad"])
            try await gateway.post(Bodies.chat(), headers: ["x-request-id: nokey", "authorization: Bearer sk-other"])
            let client = try await gateway.connect()
            try await client.send(RawClient.post(Bodies.chat("endless", stream: true), headers: ["x-request-id: left"]))
            try await client.waitForBody("one")
            client.close()
            try await gateway.waitForRunning(0)
            await gateway.stop(drain: .zero)
        }
        #expect(sink.flush(within: .seconds(30)))
        let text = try folder.text("log")
        #expect(!text.contains("secret prompt") && !text.contains("sk-"))
        var lines: [String: [String: Any]] = [:]
        for line in text.split(separator: "\n") {
            let entry = try object(String(line))
            let id = try #require(entry["id"] as? String)
            #expect(lines[id] == nil)
            lines[id] = entry
        }
        #expect(Set(lines.keys) == ["streamed", "whole", "bad", "nokey", "left"])
        for id in ["streamed", "whole"] {
            #expect(lines[id]?["status"] as? Int == 200)
            #expect(lines[id]?["outcome"] as? String == "ok")
            #expect(lines[id]?["input_tokens"] as? Int == 11)
            #expect(lines[id]?["output_tokens"] as? Int == 5)
            #expect(lines[id]?["finish"] as? String == "stop")
            #expect(lines[id]?["key"] as? String == "test")
            #expect(lines[id]?["first_ms"] != nil)
        }
        #expect(lines["streamed"]?["upstream"] as? String == "up/m1")
        #expect(lines["bad"]?["status"] as? Int == 400)
        #expect(lines["bad"]?["outcome"] as? String == "failed")
        #expect(lines["nokey"]?["status"] as? Int == 401)
        #expect(lines["nokey"]?["key"] == nil)
        #expect(lines["left"]?["outcome"] as? String == "cancelled")
        withExtendedLifetime(folder) {}
    }
}
