// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyTestKit
import Testing

@testable import ParleyGateway

@Suite("Client connections")
struct ConnectionTests {
    @Test("Ten requests sent at once are answered in order", arguments: [false, true])
    func pipelining(stream: Bool) async throws {
        // Later ones would be ready sooner.
        let scripts = (0..<10).map { number in
            let wait = Script.Step.sleep(milliseconds: (10 - number) * 8)
            let match = Script.Match(model: "m\(number)")
            let text = "answer \(number)"
            return stream
                ? Script(match: match, steps: [wait, Bodies.streamHead, .sse(.init(Bodies.stream(text)))])
                : Script(
                    match: match,
                    steps: [
                        wait, .head(.init(200, framing: .length)), .write(Bodies.whole.replacing("Hi,", with: text)),
                    ])
        }
        try await GatewayUnderTest.run(scripts: scripts) { gateway, _ in
            let client = try await gateway.connect()
            let all = (0..<10).map {
                RawClient.post(Bodies.chat("m\($0)", stream: stream), headers: ["x-request-id: r\($0)"])
            }
            try await client.send(all.joined())
            for number in 0..<10 {
                let answer = try await client.answer()
                #expect(answer["x-request-id"] == "r\(number)")
                #expect(answer.text.contains("answer \(number)"))
            }
            #expect(!client.received.isClosed)
        }
    }

    @Test("A connection serves one request after the other, good and bad, and so does its upstream's")
    func keepAlive() async throws {
        try await GatewayUnderTest.run { gateway, upstream in
            let client = try await gateway.connect()
            for _ in 0..<5 {
                try await client.send(RawClient.post(Bodies.chat()))
                #expect(try await client.answer().status == 200)
                try await client.send(RawClient.post(Bodies.chat(stream: true)))
                #expect(try await client.answer().events.last == "[DONE]")
                try await client.send(RawClient.post("{nonsense"))
                #expect(try await client.answer().status == 400)
                try await client.send(RawClient.get("/nowhere"))
                #expect(try await client.answer().status == 404)
            }
            #expect(await upstream.stats().totalConnections == 1)
        }
    }

    @Test("After Connection: close the answer says so and the connection ends", arguments: [false, true])
    func close(stream: Bool) async throws {
        try await GatewayUnderTest.run { gateway, _ in
            let client = try await gateway.connect()
            try await client.send(RawClient.post(Bodies.chat(stream: stream), headers: ["connection: close"]))
            let answer = try await client.answer()
            #expect(answer.status == 200)
            #expect(answer["connection"] == "close")
            try await client.waitForClose()
        }
    }

    @Test("HTTP/1.0 gets a body without chunks that ends with the connection", arguments: [false, true])
    func http10(stream: Bool) async throws {
        try await GatewayUnderTest.run { gateway, _ in
            let client = try await gateway.connect()
            let body = Bodies.chat(stream: stream)
            try await client.send(
                RawClient.head(
                    "POST", "/v1/chat/completions", ["host: -", "content-length: \(body.utf8.count)"], version: "1.0")
                    + body)
            let answer = try await client.answer()
            #expect(answer.status == 200)
            #expect(answer["transfer-encoding"] == nil)
            if stream { #expect(answer.events.last == "[DONE]") }
            try await client.waitForClose()
        }
    }

    @Test("HTTP/1.0 with keep-alive is told whether it gets it")
    func http10KeepAlive() async throws {
        try await GatewayUnderTest.run { gateway, _ in
            let client = try await gateway.connect()
            try await client.send(RawClient.head("GET", "/health", ["connection: keep-alive"], version: "1.0"))
            let answer = try await client.answer()
            #expect(answer.status == 200)
            // RFC 9112 section 9.3: a 1.0 client knows only what it is told, and else waits for the end.
            if answer["connection"]?.lowercased() != "keep-alive" { try await client.waitForClose(within: .seconds(3)) }
        }
    }

    @Test("A client that waits for 100 Continue is asked for the body")
    func expectContinue() async throws {
        try await GatewayUnderTest.run { gateway, upstream in
            let client = try await gateway.connect()
            let body = Bodies.chat()
            try await client.send(
                RawClient.head(
                    "POST", "/v1/chat/completions", ["expect: 100-continue", "content-length: \(body.utf8.count)"]))
            #expect(try await client.answer().status == 100)
            try await client.send(body)
            #expect(try await client.answer().status == 200)
            #expect(await upstream.requests().map(\.bodyText) == [body])
        }
    }

    @Test("A client that waits for 100 Continue and has a wrong key is told at once")
    func expectRefused() async throws {
        try await GatewayUnderTest.run { gateway, _ in
            let client = try await gateway.connect()
            let headers = ["expect: 100-continue", "content-length: 100000", "authorization: Bearer no"]
            try await client.send(RawClient.head("POST", "/v1/chat/completions", headers))
            let answer = try await client.answer()
            #expect(answer.status == 401)
            #expect(answer["connection"] == "close")
            try await client.waitForClose()
        }
    }

    @Test("A chunked body is read however it is cut", arguments: [1, 2, 3, 7, 1_000])
    func chunkedBody(size: Int) async throws {
        var setup = GatewayUnderTest.Setup()
        // Hundreds of sends, each of which waits its turn where many tests run at once.
        setup.server = ["header_timeout: 5m"]
        try await GatewayUnderTest.run(setup) { gateway, upstream in
            let body = Array(Bodies.chat(text: "wörld 🌍").utf8)
            var framed: [UInt8] = Array(
                RawClient.head("POST", "/v1/chat/completions", ["Transfer-Encoding: Chunked"]).utf8)
            for start in stride(from: 0, to: body.count, by: size) {
                let piece = body[start..<min(start + size, body.count)]
                framed += Array("\(String(piece.count, radix: 16));ext=\"1\"\r\n".utf8) + piece + Array("\r\n".utf8)
            }
            framed += Array("0\r\nx-trailer: 1\r\n\r\n".utf8)
            let client = try await gateway.connect()
            for start in stride(from: 0, to: framed.count, by: size * 2 + 1) {
                try await client.send(Array(framed[start..<min(start + size * 2 + 1, framed.count)]))
            }
            #expect(try await client.answer().status == 200)
            #expect(await upstream.requests().map(\.body) == [body])
            try await client.send(RawClient.get("/health"))
            #expect(try await client.answer().status == 200)
        }
    }

    @Test(
        "An offer to upgrade is not taken, and the connection is never left silent",
        arguments: [
            ["connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABkAARAAAAAAAIAAAAA"],
            ["connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13"], ["upgrade: h2c"],
        ])
    func upgrade(headers: [String]) async throws {
        try await GatewayUnderTest.run { gateway, _ in
            for request in [
                RawClient.post(Bodies.chat(), headers: headers), RawClient.get("/health", headers: headers),
            ] {
                let client = try await gateway.connect()
                try await client.send(request)
                #expect(try await client.answer(within: .seconds(5)).status == 200)
                // Either it goes on or it is closed, maybe by now; silence would hang the client.
                try? await client.send(RawClient.get("/health"))
                try await client.wait("answer or end", within: .seconds(5)) { !$0.answers.isEmpty || $0.isClosed }
            }
        }
    }

    @Test("A connection that is idle after a stream is closed in time, however late the stream's next comment was due")
    func idleAfterStream() async throws {
        var setup = GatewayUnderTest.Setup()
        setup.server = ["idle: 2s", "keepalive_comment: 5m"]
        // Long enough for several sweeps.
        let steps: [Script.Step] = [
            Bodies.streamHead, .sleep(milliseconds: 1_500), .sse(.init(Bodies.stream("Hi"))),
        ]
        try await GatewayUnderTest.run(setup, scripts: [Script(steps: steps)]) { gateway, _ in
            let client = try await gateway.connect()
            try await client.send(RawClient.post(Bodies.chat(stream: true)))
            #expect(try await client.answer().events.last == "[DONE]")
            try await client.waitForClose(within: .seconds(30))
        }
    }

    @Test("The client's own headers do not reach the upstream")
    func ownHeaders() async throws {
        try await GatewayUnderTest.run { gateway, upstream in
            let headers = [
                "x-secret: 1", "cookie: a=b", "te: trailers", "openai-beta: assistants=v2", "x-request-id: q",
            ]
            #expect(try await gateway.post(Bodies.chat(), headers: headers).status == 200)
            let sent = try #require(await upstream.requests().first).headers
            for name in ["x-secret", "cookie", "te"] { #expect(sent[name] == nil) }
            #expect(sent["openai-beta"] == "assistants=v2")
            #expect(sent["host"] == "127.0.0.1:\(upstream.port)")
        }
    }

    @Test("Many connections at once each get their own answers")
    func many() async throws {
        let scripts = (0..<100).map {
            Script.json(Bodies.whole.replacing("Hi,", with: "answer \($0)!"), match: .init(model: "m\($0)"))
        }
        try await GatewayUnderTest.run(scripts: scripts) { gateway, _ in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<100 {
                    group.addTask {
                        let answer = try await gateway.post(Bodies.chat("m\(number)"))
                        #expect(answer.text.contains("answer \(number)!"))
                    }
                }
                try await group.waitForAll()
            }
        }
    }
}
