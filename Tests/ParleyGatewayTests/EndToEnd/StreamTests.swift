// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyTestKit
import Testing

@testable import ParleyGateway

@Suite("Streams of every shape")
struct StreamShapeTests {
    @Test("An event of 8 MB passes unchanged")
    func largeEvent() async throws {
        let big = Bodies.chunk(String(repeating: "wörd ", count: 1_400_000))
        try await GatewayUnderTest.run(scripts: [.stream([Bodies.chunk("Hi"), big, Bodies.last])]) { gateway, _ in
            let answer = try await gateway.post(Bodies.chat(stream: true), within: .seconds(60))
            #expect(answer.bodyCount == Bodies.frames([Bodies.chunk("Hi"), big, Bodies.last, "[DONE]"]).utf8.count)
            #expect(answer.body == Array(Bodies.frames([Bodies.chunk("Hi"), big, Bodies.last, "[DONE]"]).utf8))
        }
    }

    @Test("A hundred thousand events pass unchanged")
    func manyEvents() async throws {
        let many = Script.Step.repeat(.init(100_000, write: Bodies.frames([Bodies.chunk("$i ")])))
        let steps = [Bodies.streamHead, many, .write(Bodies.frames([Bodies.last, "[DONE]"]))]
        try await GatewayUnderTest.run(scripts: [Script(steps: steps)]) { gateway, _ in
            let answer = try await gateway.post(Bodies.chat(stream: true), within: .seconds(120))
            var expected: [UInt8] = []
            for number in 0..<100_000 { expected += Array(Bodies.frames([Bodies.chunk("\(number) ")]).utf8) }
            expected += Array(Bodies.frames([Bodies.last, "[DONE]"]).utf8)
            #expect(answer.isComplete)
            #expect(answer.body == expected)
        }
    }

    @Test("Lines that end in CRLF pass unchanged")
    func crlf() async throws {
        let steps = [Bodies.streamHead, Script.Step.sse(.init(Bodies.stream("Hi"), crlf: true))]
        try await GatewayUnderTest.run(scripts: [Script(steps: steps)]) { gateway, _ in
            let answer = try await gateway.post(Bodies.chat(stream: true))
            #expect(answer.text == (Bodies.stream("Hi") + ["[DONE]"]).map { "data: \($0)\r\n\r\n" }.joined())
        }
    }

    @Test("Comments pass unchanged, before, between and after events")
    func comments() async throws {
        let text =
            ": a\n\n: OPENROUTER PROCESSING\n\n" + Bodies.frames([Bodies.chunk("Hi")]) + ":\n\n"
            + Bodies.frames([Bodies.last]) + ": b\n\n" + Bodies.frames(["[DONE]"])
        try await GatewayUnderTest.run(scripts: [Script(steps: [Bodies.streamHead, .write(text)])]) {
            gateway, _ async throws in
            #expect(try await gateway.post(Bodies.chat(stream: true)).text == text)
        }
    }

    @Test("An upstream that ends its framing a moment after [DONE] keeps its connection")
    func lateEnd() async throws {
        let steps: [Script.Step] = [
            Bodies.streamHead, .write(Bodies.frames(Bodies.stream("Hi") + ["[DONE]"])), .sleep(milliseconds: 100), .end,
        ]
        var setup = GatewayUnderTest.Setup()
        setup.loops = 1
        try await GatewayUnderTest.run(setup, scripts: [Script(steps: steps)]) { gateway, upstream in
            for number in 0..<3 {
                #expect(try await gateway.post(Bodies.chat(stream: true)).isComplete)
                try await upstream.waitForRequest(number, toBe: .complete)
                // The end has left the upstream; let it arrive.
                try await Task.sleep(for: .milliseconds(100))
            }
            #expect(await upstream.stats().totalConnections == 1)
        }
    }

    @Test("Nothing behind [DONE] reaches the client")
    func afterDone() async throws {
        let text = Bodies.frames(Bodies.stream("Hi") + ["[DONE]"])
        let more = Bodies.frames([Bodies.chunk("never")])
        try await GatewayUnderTest.run(scripts: [Script(steps: [Bodies.streamHead, .write(text + more)])]) {
            gateway, _ async throws in
            #expect(try await gateway.post(Bodies.chat(stream: true)).text == text)
        }
    }

    @Test("The client's end does not wait for an upstream that keeps its connection open behind [DONE]")
    func openBehindDone() async throws {
        let text = Bodies.frames(Bodies.stream("Hi") + ["[DONE]"])
        let steps = [Bodies.streamHead, Script.Step.write(text), .hang]
        try await GatewayUnderTest.run(scripts: [Script(steps: steps)]) { gateway, upstream in
            let answer = try await gateway.post(Bodies.chat(stream: true), within: .seconds(10))
            #expect(answer.text == text)
            try await upstream.waitForRequest(toBe: .clientClosed, within: .seconds(5))
        }
    }

    @Test(
        "However the upstream's bytes are cut, the client gets the same ones",
        arguments: [
            Script.Split.size(1), .size(2), .size(3), .size(7), .random(seed: 1, max: 40), .random(seed: 2, max: 300),
        ])
    func splits(split: Script.Split) async throws {
        let data = ["wörld ", "🌍", "漢字", "\\ud83c\\udf0d"].map { Bodies.chunk($0) } + [Bodies.last]
        let text = Bodies.frames(data + ["[DONE]"])
        let scripts = [
            Script(match: .init(model: "s"), steps: [Bodies.streamHead, .split(split), .write(text)]),
            Script(match: .init(model: "w"), steps: [Bodies.jsonHead, .split(split), .write(Bodies.whole)]),
            // The head in pieces too.
            Script(
                match: .init(model: "h"),
                steps: [
                    .split(split),
                    .raw(
                        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
                            + "\(String(text.utf8.count, radix: 16))\r\n\(text)\r\n0\r\n\r\n"),
                    .cut(.fin),
                ]),
        ]
        try await GatewayUnderTest.run(scripts: scripts) { gateway, _ async throws in
            #expect(try await gateway.post(Bodies.chat("s", stream: true)).text == text)
            #expect(try await gateway.post(Bodies.chat("w")).text == Bodies.whole)
            #expect(try await gateway.post(Bodies.chat("h", stream: true)).text == text)
        }
    }

    @Test("The usage chunk is left out however it is cut", arguments: [1, 5, 64])
    func splitUsage(size: Int) async throws {
        let data = [Bodies.chunk("Hi"), Bodies.last, Bodies.usage]
        let steps = [Bodies.streamHead, Script.Step.split(.size(size)), .sse(.init(data))]
        try await GatewayUnderTest.run(scripts: [Script(steps: steps)]) { gateway, _ in
            let answer = try await gateway.post(Bodies.chat(stream: true))
            #expect(answer.text == Bodies.frames([Bodies.chunk("Hi"), Bodies.last, "[DONE]"]))
        }
    }

    @Test("Informational answers before the real one are skipped")
    func interim() async throws {
        let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
        let script = Script(steps: [
            .raw(text), .head(.init(200, headers: ["content-type": "application/json"], framing: .length)),
            .write(Bodies.whole),
        ])
        try await GatewayUnderTest.run(scripts: [script]) { gateway, _ async throws in
            #expect(try await gateway.post(Bodies.chat()).text == Bodies.whole)
        }
    }

    @Test("A body without a length ends with the connection")
    func untilClose() async throws {
        let head = { (type: String) in Script.Step.head(.init(200, headers: ["content-type": type], framing: .close)) }
        let scripts = [
            Script(match: .init(model: "w"), steps: [head("application/json"), .write(Bodies.whole), .close]),
            Script(
                match: .init(model: "s"), steps: [head("text/event-stream"), .sse(.init(Bodies.stream("Hi"))), .close]),
        ]
        try await GatewayUnderTest.run(scripts: scripts) { gateway, _ async throws in
            #expect(try await gateway.post(Bodies.chat("w")).text == Bodies.whole)
            #expect(
                try await gateway.post(Bodies.chat("s", stream: true)).text
                    == Bodies.frames(Bodies.stream("Hi") + ["[DONE]"]))
        }
    }
}

@Suite("Comments on streams that wait")
struct KeepAliveCommentTests {
    private static var setup: GatewayUnderTest.Setup {
        var setup = GatewayUnderTest.Setup()
        setup.server = ["keepalive_comment: 200ms"]
        return setup
    }

    @Test("A stream that waits for its first event gets comments, then the events")
    func before() async throws {
        let steps: [Script.Step] = [.sleep(milliseconds: 1_500), Bodies.streamHead, .sse(.init(Bodies.stream("Hi")))]
        try await GatewayUnderTest.run(Self.setup, scripts: [Script(steps: steps)]) { gateway, _ in
            let answer = try await gateway.post(Bodies.chat(stream: true))
            #expect(answer.status == 200)
            #expect(answer["content-type"] == "text/event-stream; charset=utf-8")
            #expect(answer.text.hasPrefix(": keep-alive\n\n"))
            #expect(
                answer.text.replacing(": keep-alive\n\n", with: "") == Bodies.frames(Bodies.stream("Hi") + ["[DONE]"]))
        }
    }

    @Test("A stream that pauses gets comments between its events, never inside one")
    func during() async throws {
        let frame = Bodies.frames([Bodies.chunk("two")])
        let steps: [Script.Step] = [
            Bodies.streamHead, Bodies.events([Bodies.chunk("one ")]), .write(String(frame.prefix(30))),
            .sleep(milliseconds: 1_200), .write(String(frame.dropFirst(30))), Bodies.events([Bodies.last, "[DONE]"]),
        ]
        try await GatewayUnderTest.run(Self.setup, scripts: [Script(steps: steps)]) { gateway, _ in
            let answer = try await gateway.post(Bodies.chat(stream: true))
            #expect(answer.text.contains(": keep-alive\n\n"))
            #expect(
                answer.text.replacing(": keep-alive\n\n", with: "")
                    == Bodies.frames([Bodies.chunk("one "), Bodies.chunk("two"), Bodies.last, "[DONE]"]))
        }
    }

    @Test("An error after a comment is an event of the stream, and the connection goes on")
    func errorAfter() async throws {
        let steps: [Script.Step] = [
            .sleep(milliseconds: 1_000), .head(.init(500, framing: .length)),
            .write(#"{"error":{"message":"broken"}}"#),
        ]
        try await GatewayUnderTest.run(Self.setup, scripts: [Script(steps: steps)]) { gateway, _ in
            let client = try await gateway.connect()
            try await client.send(RawClient.post(Bodies.chat(stream: true)))
            let answer = try await client.answer()
            #expect(answer.status == 200)
            #expect(answer.text.hasPrefix(": keep-alive\n\n"))
            #expect(answer.streamError != nil)
            try await client.send(RawClient.get("/health"))
            #expect(try await client.answer().status == 200)
        }
    }

    @Test("A whole answer gets no comments")
    func whole() async throws {
        let steps: [Script.Step] = [
            .sleep(milliseconds: 1_000),
            .head(.init(200, headers: ["content-type": "application/json"], framing: .length)), .write(Bodies.whole),
        ]
        try await GatewayUnderTest.run(Self.setup, scripts: [Script(steps: steps)]) { gateway, _ async throws in
            #expect(try await gateway.post(Bodies.chat()).text == Bodies.whole)
        }
    }

    @Test("Zero turns comments off")
    func off() async throws {
        var setup = Self.setup
        setup.server = ["keepalive_comment: 0"]
        let steps: [Script.Step] = [.sleep(milliseconds: 1_000), Bodies.streamHead, .sse(.init(Bodies.stream("Hi")))]
        try await GatewayUnderTest.run(setup, scripts: [Script(steps: steps)]) { gateway, _ async throws in
            #expect(
                try await gateway.post(Bodies.chat(stream: true)).text
                    == Bodies.frames(Bodies.stream("Hi") + ["[DONE]"]))
        }
    }

    @Test("A client that half sent its next request still gets comments")
    func halfNextRequest() async throws {
        let steps: [Script.Step] = [.sleep(milliseconds: 1_500), Bodies.streamHead, .sse(.init(Bodies.stream("Hi")))]
        try await GatewayUnderTest.run(Self.setup, scripts: [Script(steps: steps)]) { gateway, _ in
            let client = try await gateway.connect()
            try await client.send(RawClient.post(Bodies.chat(stream: true)))
            try await client.send("GET /health HT")
            let answer = try await client.answer()
            #expect(answer.text.contains(": keep-alive\n\n"))
            #expect(answer.events.last == "[DONE]")
            try await client.send("TP/1.1\r\nhost: a\r\n\r\n")
            #expect(try await client.answer().status == 200)
        }
    }
}
