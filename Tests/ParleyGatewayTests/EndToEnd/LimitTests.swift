// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyTestKit
import Testing

@testable import ParleyGateway

@Suite("Limits of a provider")
struct ConcurrencyTests {
    private static func setup(_ limit: Int, _ defaults: String...) -> GatewayUnderTest.Setup {
        var setup = GatewayUnderTest.Setup()
        setup.provider = ["limits: {concurrent: \(limit)}"]
        setup.defaults = defaults
        return setup
    }

    @Test("Never more requests at once than the limit, over all event loops, and all are answered", arguments: [1, 4])
    func neverExceeded(limit: Int) async throws {
        let steps: [Script.Step] = [
            .sleep(milliseconds: 40),
            .head(.init(200, headers: ["content-type": "application/json"], framing: .length)),
            .write(Bodies.whole),
        ]
        try await GatewayUnderTest.run(Self.setup(limit), scripts: [Script(steps: steps)]) { gateway, upstream in
            // Looked at every few milliseconds: on a busy machine a look may come late, but never sees too many.
            let most = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<50 {
                    group.addTask {
                        let answer = try await gateway.post(Bodies.chat())
                        #expect(answer.status == 200)
                        return 0
                    }
                }
                group.addTask {
                    var most = 0
                    var answered = 0
                    while answered < 50 {
                        let log = await upstream.requests()
                        most = max(most, log.count { $0.state == .open })
                        answered = log.count { $0.state == .complete }
                        try await Task.sleep(for: .milliseconds(2))
                    }
                    return most
                }
                return try await group.reduce(0, max)
            }
            #expect(most <= limit)
            #expect(await upstream.requests().count == 50)
        }
    }

    @Test(
        "A slot is given back after every kind of end",
        arguments: [
            (
                "whole",
                [
                    .head(.init(200, headers: ["content-type": "application/json"], framing: .length)),
                    .write(Bodies.whole),
                ]
            ),
            ("stream", [Bodies.streamHead, .sse(.init(Bodies.stream()))]),
            ("error", [.head(.init(500, framing: .length)), .write("{}")]),
            ("error without end", [.head(.init(500, framing: .declaredLength(1_000))), .write("{}"), .hang]),
            ("refused", [.refuse]), ("reset", [.cut(.rst)]), ("hang", [.hang]),
            ("garbage", [.raw("nonsense\r\n\r\n"), .hang]),
            ("cut", [Bodies.streamHead, Bodies.events([Bodies.chunk("x")]), .cut(.fin)]),
            ("silent", [Bodies.streamHead, Bodies.events([Bodies.chunk("x")]), .hang]),
            ("web page", [.head(.init(200, headers: ["content-type": "text/html"])), .write("<html>"), .hang]),
            ("open behind the end", [Bodies.streamHead, .sse(.init(Bodies.stream())), .hang]),
            (
                "error event",
                [Bodies.streamHead, .sse(.init([Bodies.chunk("x"), #"{"error":{"message":"x"}}"#])), .hang]
            ),
        ] as [(String, [Script.Step])])
    func givenBack(what: String, steps: [Script.Step]) async throws {
        let setup = Self.setup(1, "timeout: {connect: 5s, first: 1s, idle: 1s, total: 20s}")
        let script = Script(match: .init(model: "odd"), steps: steps)
        try await GatewayUnderTest.run(setup, scripts: [script]) { gateway, _ in
            for stream in [true, false] {
                _ = try await gateway.post(Bodies.chat("odd", stream: stream))
                let next = try await gateway.post(Bodies.chat("good"))
                #expect(next.status == 200, "\(next.text)")
            }
        }
    }

    @Test("A slot is given back when the client leaves in mid-stream, queued or before the head")
    func givenBackByLeaving() async throws {
        let scripts = [
            Script(
                match: .init(model: "stream"), steps: [Bodies.streamHead, Bodies.events([Bodies.chunk("x")]), .hang]),
            Script(match: .init(model: "hang"), steps: [.hang]),
        ]
        try await GatewayUnderTest.run(Self.setup(1), scripts: scripts) { gateway, upstream in
            for (number, model) in ["stream", "hang", "stream"].enumerated() {
                let client = try await gateway.connect()
                try await client.send(RawClient.post(Bodies.chat(model, stream: true)))
                try await upstream.wait(for: "request \(number)") { log in log.count { $0.state == .open } == 1 }
                let queued = try await gateway.connect()
                try await queued.send(RawClient.post(Bodies.chat("queued")))
                try await gateway.waitForRunning(2)
                queued.close()
                try await gateway.waitForRunning(1)
                client.close()
                #expect(try await gateway.post(Bodies.chat("good")).status == 200)
            }
        }
    }

    @Test("A request that finds no slot in time is a 503 that says why")
    func noSlot() async throws {
        let setup = Self.setup(1, "timeout: {connect: 5s, first: 500ms, idle: 20s, total: 20s}")
        let script = Script(
            match: .init(model: "long"), steps: [Bodies.streamHead, Bodies.events([Bodies.chunk("x")]), .hang])
        try await GatewayUnderTest.run(setup, scripts: [script]) { gateway, _ in
            let client = try await gateway.connect()
            try await client.send(RawClient.post(Bodies.chat("long", stream: true)))
            try await client.waitForBody("x")
            let answer = try await gateway.post(Bodies.chat("other"))
            #expect(answer.status == 503)
            #expect(answer.error["code"] as? String == "overloaded")
            client.close()
            #expect(try await gateway.post(Bodies.chat("other")).status == 200)
        }
    }

    @Test("Clients that come and go while others are answered leak no slot")
    func churn() async throws {
        let steps: [Script.Step] = [
            .sleep(milliseconds: 5), Bodies.streamHead, Bodies.events([Bodies.chunk("x")]), .sleep(milliseconds: 5),
            Bodies.events([Bodies.last, "[DONE]"]),
        ]
        try await GatewayUnderTest.run(Self.setup(3), scripts: [Script(steps: steps)]) { gateway, upstream in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for seed in 0..<60 as Range<UInt64> {
                    group.addTask {
                        var random = SeededGenerator(seed: seed)
                        let client = try await gateway.connect()
                        try await client.send(RawClient.post(Bodies.chat(stream: true)))
                        try await Task.sleep(for: .milliseconds(Int.random(in: 0...60, using: &random)))
                        if Bool.random(using: &random) { try? await client.reset() } else { client.close() }
                    }
                }
                try await group.waitForAll()
            }
            try await gateway.waitForRunning(0)
            for _ in 0..<6 { #expect(try await gateway.post(Bodies.chat(stream: true)).streamedText == "x") }
            try await upstream.wait(for: "no open request") { log in !log.contains { $0.state == .open } }
        }
    }
}

@Suite("Clients that do not read", .serialized)
struct BackPressureTests {
    private static let event = Bodies.frames([Bodies.chunk(String(repeating: "x", count: 64 << 10))])

    @Test("A client that stops reading stops its upstream, and gets everything once it reads again")
    func stalled() async throws {
        let count = 1_024
        let steps = [
            Bodies.streamHead, Script.Step.repeat(.init(count, write: Self.event)),
            Bodies.events([Bodies.last, "[DONE]"]),
        ]
        try await GatewayUnderTest.run(scripts: [Script(steps: steps)]) { gateway, upstream in
            let client = try await RawClient.connect(port: gateway.port, receiveBuffer: 64 << 10, keepsBodies: false)
            try await client.setReading(false)
            try await client.send(RawClient.post(Bodies.chat(stream: true)))
            let stopped = try await Self.stillness(of: upstream)
            #expect(stopped > 0)
            #expect(stopped < 32 << 20, "\(stopped) bytes were taken for a client that does not read")
            try await client.setReading(true)
            let answer = try await client.answer(within: .seconds(120))
            #expect(answer.isComplete)
            #expect(
                answer.bodyCount == count * Self.event.utf8.count + Bodies.frames([Bodies.last, "[DONE]"]).utf8.count)
        }
    }

    @Test("One client that does not read holds up nobody else")
    func othersGoOn() async throws {
        let script = Script(
            match: .init(model: "big"), steps: [Bodies.streamHead, .repeat(.init(1_024, write: Self.event))])
        var setup = GatewayUnderTest.Setup()
        setup.loops = 1
        try await GatewayUnderTest.run(setup, scripts: [script]) { gateway, upstream in
            let client = try await RawClient.connect(port: gateway.port, receiveBuffer: 64 << 10, keepsBodies: false)
            try await client.setReading(false)
            try await client.send(RawClient.post(Bodies.chat("big", stream: true)))
            _ = try await Self.stillness(of: upstream)
            for stream in [false, true] {
                #expect(try await gateway.post(Bodies.chat("small", stream: stream)).status == 200)
            }
            client.close()
            try await upstream.waitForRequest(toBe: .clientClosed, within: .seconds(5))
            try await gateway.waitForRunning(0)
        }
    }

    @Test("A client that never reads again is given up at the total limit, and its upstream closed")
    func givenUp() async throws {
        var setup = GatewayUnderTest.Setup()
        // No comment is due before that.
        setup.server = ["keepalive_comment: 5m"]
        setup.defaults = ["timeout: {connect: 5s, first: 5s, idle: 60s, total: 3s}"]
        let script = Script(steps: [Bodies.streamHead, .repeat(.init(1_024, write: Self.event))])
        try await GatewayUnderTest.run(setup, scripts: [script]) { gateway, upstream in
            let client = try await RawClient.connect(port: gateway.port, receiveBuffer: 64 << 10, keepsBodies: false)
            try await client.setReading(false)
            try await client.send(RawClient.post(Bodies.chat(stream: true)))
            try await upstream.waitForRequest(toBe: .clientClosed, within: .seconds(15))
            try await gateway.waitForRunning(0)
        }
    }

    @Test("An upstream that is slow to take a large request gets all of it")
    func slowUpstream() async throws {
        // The upstream reads everything before it answers; the request is far larger than what sockets hold.
        try await GatewayUnderTest.run { gateway, upstream async throws in
            let body = Bodies.chat(text: String(repeating: "x", count: 24 << 20))
            #expect(try await gateway.post(body, within: .seconds(60)).status == 200)
            #expect(await upstream.requests().first?.body.count == body.utf8.count)
        }
    }

    /// Waits until the upstream's count of written bytes stops growing, and returns it.
    private static func stillness(of upstream: ScriptedUpstream) async throws -> Int {
        var last = -1
        var since = ContinuousClock.now
        try await eventually("end of the upstream's writing", within: .seconds(60)) {
            let now = await upstream.requests().first?.bytesWritten ?? 0
            if now != last {
                last = now
                since = .now
            }
            return last > 0 && ContinuousClock.now - since > .milliseconds(700)
        }
        return last
    }
}
