// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyTestKit
import Testing

@testable import ParleyGateway

@Suite("Upstreams that fail")
struct UpstreamFailureTests {
    private static let short = "timeout: {connect: 2s, first: 500ms, idle: 500ms, total: 60s}"

    private static func setup(_ defaults: String...) -> GatewayUnderTest.Setup {
        var setup = GatewayUnderTest.Setup()
        setup.defaults = [short] + defaults
        return setup
    }

    @Test("A port where nobody listens is a 502 that names it", arguments: [false, true])
    func refusedPort(stream: Bool) async throws {
        try await GatewayUnderTest.run(at: "http://127.0.0.1:9/v1") { gateway in
            let answer = try await gateway.post(Bodies.chat(stream: stream))
            #expect(answer.status == 502)
            #expect(answer["content-type"] == "application/json")
            #expect(answer.message.contains("127.0.0.1:9") && answer.message.contains("refused"))
            #expect(answer.error["type"] as? String == "server_error")
            #expect(answer.error["code"] as? String == "upstream_error")
        }
    }

    @Test(
        "A first answer that is no answer is a 502, whole and streamed",
        arguments: [
            ("nothing", [Script.Step.refuse]), ("a reset", [.cut(.rst)]),
            ("a garbage head", [.raw("SSH-2.0-x\r\n\r\n"), .cut(.fin)]),
            ("half a head", [.raw("HTTP/1.1 200 OK\r\ncontent-ty"), .cut(.fin)]),
            (
                "a head without end",
                [.raw("HTTP/1.1 200 OK\r\n" + String(repeating: "x: y\r\n", count: 20_000)), .cut(.fin)]
            ),
            ("two lengths", [.raw("HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\n{}{}"), .hang]),
            ("a bad chunk size", [.raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n"), .hang]),
            (
                "a web page",
                [
                    .head(.init(200, headers: ["content-type": "text/html"], framing: .length)),
                    .write("<html>login</html>"),
                ]
            ),
            ("an empty body", [.head(.init(200, headers: ["content-type": "application/json"], framing: .length))]),
            ("half the JSON", [Bodies.jsonHead, .write(String(Bodies.whole.prefix(60)))]),
            ("JSON of something else", [Bodies.jsonHead, .write(#"{"ok":true}"#)]),
            ("a redirect", [.head(.init(302, headers: ["location": "http://127.0.0.1:1/"], framing: .length))]),
            (
                "plain text",
                [.head(.init(200, headers: ["content-type": "text/plain"], framing: .length)), .write("Service ok")]
            ),
            (
                "a lying length",
                [
                    .head(.init(200, headers: ["content-type": "application/json"], framing: .declaredLength(5_000))),
                    .write(Bodies.whole), .cut(.fin),
                ]
            ),
            (
                "a length too short",
                [
                    .head(.init(200, headers: ["content-type": "application/json"], framing: .declaredLength(50))),
                    .write(Bodies.whole), .hang,
                ]
            ),
        ] as [(String, [Script.Step])])
    func noAnswer(what: String, steps: [Script.Step]) async throws {
        try await GatewayUnderTest.run(Self.setup(), scripts: [Script(steps: steps)]) { gateway, upstream in
            for stream in [false, true] {
                let answer = try await gateway.post(Bodies.chat(stream: stream))
                #expect(answer.status == 502, "\(answer.text)")
                #expect(!answer.message.isEmpty)
                #expect(!answer.text.contains("login"))
            }
            #expect(await upstream.requests().count == 2)
            try await gateway.waitForRunning(0)
        }
    }

    @Test("An upstream that hangs before its head is a 504, and its connection is closed", arguments: [false, true])
    func hangs(stream: Bool) async throws {
        try await GatewayUnderTest.run(Self.setup(), scripts: [Script(steps: [.hang])]) { gateway, upstream in
            let answer = try await gateway.post(Bodies.chat(stream: stream))
            #expect(answer.status == 504)
            #expect(answer.error["code"] as? String == "timeout")
            try await upstream.waitForRequest(toBe: .clientClosed)
        }
    }

    @Test("A stream that has only comments runs into the first-event limit")
    func hangsWithComments() async throws {
        let steps: [Script.Step] = [
            Bodies.streamHead, .repeat(.init(100_000, write: ": wait\n\n", everyMilliseconds: 50)),
        ]
        try await GatewayUnderTest.run(Self.setup(), scripts: [Script(steps: steps)]) { gateway, upstream in
            let answer = try await gateway.post(Bodies.chat(stream: true))
            #expect(answer.status == 504)
            try await upstream.waitForRequest(toBe: .clientClosed)
        }
    }

    @Test("A stream that goes silent ends in an error event without [DONE], and its upstream is closed")
    func hangsMidStream() async throws {
        let steps = [Bodies.streamHead, Bodies.events([Bodies.chunk("one ")]), .hang]
        try await GatewayUnderTest.run(Self.setup(), scripts: [Script(steps: steps)]) { gateway, upstream in
            let answer = try await gateway.post(Bodies.chat(stream: true))
            #expect(answer.status == 200)
            #expect(answer.streamedText == "one ")
            #expect(answer.streamError?["code"] as? String == "timeout")
            try await upstream.waitForRequest(toBe: .clientClosed)
        }
    }

    @Test("A whole answer that stops arriving is a 504")
    func hangsMidBody() async throws {
        let steps = [Bodies.jsonHead, .write(String(Bodies.whole.prefix(50))), .hang]
        try await GatewayUnderTest.run(Self.setup(), scripts: [Script(steps: steps)]) { gateway, upstream in
            let answer = try await gateway.post(Bodies.chat())
            #expect(answer.status == 504)
            try await upstream.waitForRequest(toBe: .clientClosed)
        }
    }

    @Test("The total limit ends a stream that never ends by itself")
    func total() async throws {
        var setup = GatewayUnderTest.Setup()
        setup.defaults = ["timeout: {connect: 2s, first: 20s, idle: 20s, total: 1s}"]
        let endless = Script.Step.repeat(
            .init(100_000, write: Bodies.frames([Bodies.chunk("x")]), everyMilliseconds: 20))
        try await GatewayUnderTest.run(setup, scripts: [Script(steps: [Bodies.streamHead, endless])]) {
            gateway, upstream in
            let answer = try await gateway.post(Bodies.chat(stream: true))
            #expect(answer.streamedText.hasPrefix("xxx"))
            #expect(answer.streamError?["code"] as? String == "timeout")
            try await upstream.waitForRequest(toBe: .clientClosed)
        }
    }

    @Test("The total limit covers waiting for a whole answer too")
    func totalWhole() async throws {
        var setup = GatewayUnderTest.Setup()
        setup.defaults = ["timeout: {connect: 2s, first: 20s, idle: 20s, total: 500ms}"]
        try await GatewayUnderTest.run(setup, scripts: [Script(steps: [.hang])]) { gateway, upstream in
            #expect(try await gateway.post(Bodies.chat()).status == 504)
            try await upstream.waitForRequest(toBe: .clientClosed)
        }
    }

    @Test(
        "A stream that is cut ends in an error event without [DONE], and is not asked for again",
        arguments: [Script.Cut.fin, .rst])
    func cutMidStream(cut: Script.Cut) async throws {
        let steps = [
            Bodies.streamHead, Bodies.events([Bodies.chunk("one "), Bodies.chunk("two")]), .sleep(milliseconds: 30),
            .cut(cut),
        ]
        let setup = Self.setup("retry: {attempts: 3, backoff: 10ms}")
        try await GatewayUnderTest.run(setup, scripts: [Script(steps: steps)]) { gateway, upstream in
            let client = try await gateway.connect()
            try await client.send(RawClient.post(Bodies.chat(stream: true)))
            let answer = try await client.answer()
            #expect(answer.streamedText == "one two")
            #expect(answer.streamError?["code"] as? String == "upstream_error")
            #expect(await upstream.requests().count == 1)
            // The client's connection is as good as before.
            try await client.send(RawClient.get("/health"))
            #expect(try await client.answer().status == 200)
        }
    }

    @Test("A chunk that is cut in half never reaches the client")
    func halfChunk() async throws {
        let half = "data: " + String(Bodies.chunk("two").prefix(40))
        let steps = [Bodies.streamHead, Bodies.events([Bodies.chunk("one ")]), .write(half), .end]
        try await GatewayUnderTest.run(scripts: [Script(steps: steps)]) { gateway, _ in
            let answer = try await gateway.post(Bodies.chat(stream: true))
            #expect(answer.text.hasPrefix(Bodies.frames([Bodies.chunk("one ")]) + "data: {\"error\""))
            #expect(answer.streamError != nil)
        }
    }

    @Test(
        "A cut before any content is tried again, and the client sees nothing of it",
        arguments: [
            [Script.Step.cut(.fin)], [.cut(.rst)], [Bodies.streamHead, .cut(.rst)],
            [Bodies.streamHead, .write(": ping\n\n"), .cut(.fin)],
            [
                Bodies.streamHead,
                .write("data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n"),
                .cut(.fin),
            ],
            [Bodies.streamHead, .end], [.head(.init(503, framing: .length)), .write("busy")],
        ] as [[Script.Step]])
    func cutBeforeContent(steps: [Script.Step]) async throws {
        let setup = Self.setup("retry: {attempts: 2, backoff: 10ms}")
        try await GatewayUnderTest.run(setup, scripts: [Script(times: 1, steps: steps)]) { gateway, upstream in
            let answer = try await gateway.post(Bodies.chat(stream: true))
            #expect(answer.status == 200)
            #expect(answer.streamedText == "Hello from upstream.")
            #expect(answer.events.last == "[DONE]")
            #expect(answer["x-parley-attempts"] == "2")
            #expect(await upstream.requests().count == 2)
        }
    }

    @Test("A fallback takes over when the first fails before content", arguments: [false, true])
    func fallback(stream: Bool) async throws {
        var setup = Self.setup()
        setup.models = ["both: {route: fallback, of: [up/first, up/second]}"]
        let failing = Script(match: .init(model: "first"), steps: stream ? [Bodies.streamHead, .cut(.fin)] : [.hang])
        try await GatewayUnderTest.run(setup, scripts: [failing]) { gateway, upstream in
            let answer = try await gateway.post(Bodies.chat("both", stream: stream))
            #expect(answer.status == 200)
            #expect(answer["x-parley-upstream"] == "up/second")
            #expect(await upstream.requests().map(\.model) == ["first", "second"])
        }
    }

    @Test("When every member of a fallback fails, the error lists them")
    func fallbackFails() async throws {
        var setup = Self.setup()
        setup.models = ["both: {route: fallback, of: [up/first, up/second]}"]
        try await GatewayUnderTest.run(setup, scripts: [Script(steps: [.refuse])]) { gateway, _ in
            let answer = try await gateway.post(Bodies.chat("both", stream: true))
            #expect(answer.status == 502)
            #expect(answer.message.contains("up/first") && answer.message.contains("up/second"))
            #expect(answer["x-parley-attempts"] == "2")
        }
    }

    @Test("A length that promises more than comes is an error event in a stream")
    func longLength() async throws {
        let head = Script.Step.head(
            .init(200, headers: ["content-type": "text/event-stream"], framing: .declaredLength(100_000)))
        let steps = [head, .write(Bodies.frames([Bodies.chunk("Hi")])), .cut(.fin)]
        try await GatewayUnderTest.run(scripts: [Script(steps: steps)]) { gateway, _ in
            let answer = try await gateway.post(Bodies.chat(stream: true))
            #expect(answer.streamedText == "Hi")
            #expect(answer.streamError != nil)
        }
    }

    @Test(
        "A length that promises less than comes ends the stream in an error event, and the connection is not used again"
    )
    func shortLength() async throws {
        let text = Bodies.frames([Bodies.chunk("Hi")])
        let head = Script.Step.head(
            .init(200, headers: ["content-type": "text/event-stream"], framing: .declaredLength(text.utf8.count)))
        let steps = [head, .write(text + Bodies.frames([Bodies.last, "[DONE]"]))]
        try await GatewayUnderTest.run(scripts: [Script(times: 1, steps: steps)]) { gateway, upstream in
            let answer = try await gateway.post(Bodies.chat(stream: true))
            #expect(answer.streamError != nil)
            #expect(try await gateway.post(Bodies.chat()).status == 200)
            #expect(await upstream.stats().totalConnections == 2)
        }
    }

    @Test("An error in a stream that has begun is passed on as its last event")
    func errorMidStream() async throws {
        let error = #"{"error":{"message":"Overloaded now.","type":"server_error","param":null,"code":"odd"}}"#
        let steps = [Bodies.streamHead, Bodies.events([Bodies.chunk("one"), error, Bodies.chunk("never"), "[DONE]"])]
        try await GatewayUnderTest.run(scripts: [Script(steps: steps)]) { gateway, _ in
            let answer = try await gateway.post(Bodies.chat(stream: true))
            #expect(answer.streamedText == "one")
            #expect((answer.streamError?["message"] as? String)?.contains("Overloaded now.") == true)
        }
    }

    @Test("An error as a stream's first event is an error answer")
    func errorFirst() async throws {
        let error =
            #"{"error":{"message":"No credit.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#
        try await GatewayUnderTest.run(scripts: [.stream([error])]) { gateway, _ in
            let answer = try await gateway.post(Bodies.chat(stream: true))
            #expect(answer.status >= 400)
            #expect(answer.message.contains("No credit."))
        }
    }

    @Test("A stream that ends after its finish reason without [DONE] is complete")
    func noDoneButFinish() async throws {
        try await GatewayUnderTest.run(scripts: [.stream(Bodies.stream("Hi"), done: false)]) { gateway, _ in
            let answer = try await gateway.post(Bodies.chat(stream: true))
            #expect(answer.text == Bodies.frames(Bodies.stream("Hi") + ["[DONE]"]))
        }
    }

    @Test("A stream that ends without finish reason and [DONE] is not complete")
    func noDoneNoFinish() async throws {
        try await GatewayUnderTest.run(scripts: [.stream([Bodies.chunk("Hi")], done: false)]) { gateway, _ in
            let answer = try await gateway.post(Bodies.chat(stream: true))
            #expect(answer.streamedText == "Hi")
            #expect(answer.streamError != nil)
        }
    }

    @Test("A stream for one that asked for a whole answer is put together, and the other way round")
    func otherShape() async throws {
        let scripts = [
            Script.stream([Bodies.chunk("Hi"), Bodies.last, Bodies.usage], match: .init(model: "streams")),
            Script.json(Bodies.whole, match: .init(model: "whole")),
        ]
        try await GatewayUnderTest.run(scripts: scripts) { gateway, _ in
            let whole = try await gateway.post(Bodies.chat("streams"))
            #expect(whole.status == 200)
            #expect(
                ((whole.json["choices"] as? [[String: Any]])?.first?["message"] as? [String: Any])?["content"]
                    as? String == "Hi")
            let stream = try await gateway.post(Bodies.chat("whole", stream: true))
            #expect(stream.streamedText == "Hi, wörld. 🌍")
            #expect(stream.events.last == "[DONE]")
        }
    }

    @Test("Retry-After is waited for")
    func retryAfter() async throws {
        let full = Script.json(
            #"{"error":{"message":"slow down"}}"#, status: 429, headers: ["retry-after": "1"], times: 1)
        let setup = Self.setup("retry: {attempts: 3, backoff: 10ms, max_wait: 5s}")
        try await GatewayUnderTest.run(setup, scripts: [full]) { gateway, upstream in
            let start = ContinuousClock.now
            let answer = try await gateway.post(Bodies.chat())
            #expect(answer.status == 200)
            #expect(answer["x-parley-attempts"] == "2")
            #expect(ContinuousClock.now - start >= .milliseconds(990))
            #expect(await upstream.requests().count == 2)
        }
    }

    @Test("A Retry-After beyond max_wait is handed to the client")
    func retryAfterTooLong() async throws {
        let full = Script.json(#"{"error":{"message":"slow down"}}"#, status: 429, headers: ["retry-after": "60"])
        let setup = Self.setup("retry: {attempts: 3, backoff: 10ms, max_wait: 1s}")
        try await GatewayUnderTest.run(setup, scripts: [full]) { gateway, upstream in
            let answer = try await gateway.post(Bodies.chat())
            #expect(answer.status == 429)
            #expect(answer["retry-after"] == "60")
            #expect(await upstream.requests().count == 1)
        }
    }

    @Test(
        "A connection that the upstream closed while it was idle does not fail the next call",
        arguments: [Script.Cut.fin, .rst])
    func stale(cut: Script.Cut) async throws {
        let steps: [Script.Step] = [
            .head(.init(200, headers: ["content-type": "application/json"], framing: .length)), .write(Bodies.whole),
            .end, .cut(cut),
        ]
        let setup = Self.setup("retry: {attempts: 2, backoff: 10ms}")
        try await GatewayUnderTest.run(setup, scripts: [Script(steps: steps)]) { gateway, upstream in
            for _ in 0..<20 {
                #expect(try await gateway.post(Bodies.chat()).text == Bodies.whole)
            }
            try await upstream.waitForOpenConnections(0)
            // Once the end was seen, no attempt is lost on it.
            try await Task.sleep(for: .milliseconds(100))
            let last = try await gateway.post(Bodies.chat())
            #expect(last.status == 200)
            #expect(last["x-parley-attempts"] == "1")
        }
    }
}
