// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyTestKit
import Testing

@testable import ParleyGateway

@Suite("Bad requests")
struct BadRequestTests {
    /// Sends a request, expects an error envelope, and the server to take another client's request afterwards.
    private func expectError(
        _ statuses: Set<Int>, _ request: String, _ setup: GatewayUnderTest.Setup = .init(), closes: Bool = false,
        location: SourceLocation = #_sourceLocation
    ) async throws {
        try await GatewayUnderTest.run(setup) { gateway, upstream in
            let client = try await gateway.connect()
            try await client.send(request)
            let answer = try await client.answer()
            #expect(statuses.contains(answer.status), "\(answer.status) \(answer.text)", sourceLocation: location)
            #expect(!answer.message.isEmpty, sourceLocation: location)
            #expect(answer["x-request-id"] != nil, sourceLocation: location)
            #expect(await upstream.requests().isEmpty, sourceLocation: location)
            if closes {
                #expect(answer["connection"] == "close", sourceLocation: location)
                try await client.waitForClose()
            }
            #expect(client.received.answers.isEmpty, sourceLocation: location)
            #expect(try await gateway.get("/health").status == 200, sourceLocation: location)
        }
    }

    private static let rest = "authorization: Bearer \(GatewayUnderTest.key)\r\n"
    private static let line = "POST /v1/chat/completions HTTP/1.1\r\n"

    @Test(
        "A request whose framing is doubtful is refused and its connection closed",
        arguments: [
            ("both lengths", "host: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
            ("both lengths, turned", "host: a\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n"),
            ("two lengths", "host: a\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}"),
            ("the same length twice", "host: a\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\n{}"),
            ("a list of lengths", "host: a\r\ncontent-length: 2, 2\r\n\r\n{}"),
            ("a negative length", "host: a\r\ncontent-length: -1\r\n\r\n"),
            ("a signed length", "host: a\r\ncontent-length: +2\r\n\r\n{}"),
            ("a length too large for a number", "host: a\r\ncontent-length: 99999999999999999999999\r\n\r\n"),
            ("a bad chunk size", "host: a\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n{}\r\n0\r\n\r\n"),
            ("a negative chunk size", "host: a\r\ntransfer-encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n"),
            ("a huge chunk size", "host: a\r\ntransfer-encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n{}\r\n"),
            ("a chunk longer than it says", "host: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n"),
            ("bare LF", "host: a\ncontent-length: 2\n\n{}"), ("bare LF in a value", "host: a\r\nx: a\nb: c\r\n\r\n"),
            ("bare CR in a value", "host: a\r\nx: a\rb\r\n\r\n"),
            ("obs-fold", "host: a\r\nx: a\r\n b\r\ncontent-length: 2\r\n\r\n{}"),
            ("NUL", "host: a\r\nx: a\0b\r\ncontent-length: 2\r\n\r\n{}"),
            ("a space before the colon", "host: a\r\ncontent-length : 2\r\n\r\n{}"),
            ("a space before the name", " host: a\r\ncontent-length: 2\r\n\r\n{}"),
            ("an empty name", "host: a\r\n: b\r\n\r\n"), ("a line without a colon", "host: a\r\nnonsense\r\n\r\n"),
            ("no host", "content-length: 2\r\n\r\n{}"),
            ("two hosts", "host: a\r\nhost: b\r\ncontent-length: 2\r\n\r\n{}"),
            ("gzip as transfer-encoding", "host: a\r\ntransfer-encoding: gzip\r\n\r\n"),
            ("gzip below chunked", "host: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
            ("chunked twice", "host: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
            ("chunked in disguise", "host: a\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n"),
        ])
    func framing(name: String, headers: String) async throws {
        try await expectError([400, 501], Self.line + Self.rest + headers, closes: true)
    }

    @Test(
        "What is no HTTP/1.1 at all is refused",
        arguments: [
            "hello\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/3.7\r\nhost: a\r\n\r\n", "GET / HTTP/2.0\r\nhost: a\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{FC}\u{3}\u{3}\r\n\r\n",
            "GET /a b HTTP/1.1\r\nhost: a\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}",
        ])
    func noHTTP(text: String) async throws {
        try await expectError([400, 404, 505], text)
    }

    @Test("The answer to a request that cannot be read arrives although more is sent")
    func unreadableAndMore() async throws {
        try await GatewayUnderTest.run { gateway, _ in
            for _ in 0..<5 {
                let client = try await gateway.connect()
                let sending = Task {
                    try await client.send("GET /health HTTP/1.1\r\nno header\r\n\r\n")
                    for _ in 0..<50 { try await client.send([UInt8](repeating: 0x20, count: 20_000)) }
                }
                let answer = try await client.answer()
                _ = await sending.result
                #expect(answer.status == 400)
                try await client.waitForClose()
            }
        }
    }

    @Test("A compressed body is a 415")
    func contentEncoding() async throws {
        try await expectError(
            [415], RawClient.post(Bodies.chat(), headers: ["content-encoding: gzip"]), closes: true)
    }

    @Test(
        "A body that is not a chat request is a 400 and the connection goes on",
        arguments: [
            "", "{", "[]", "null", "7", "\"text\"", "{\"model\":\"m\"}", "{\"model\":7,\"messages\":[]}",
            "{\"messages\":\"x\",\"model\":\"m\"}",
            "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],}",
            "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]} trailing",
            "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\nb\"}]}",
            "{\"model\":\"m\",\"stream\":\"yes\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
            "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":01}]}",
        ])
    func notChat(body: String) async throws {
        try await GatewayUnderTest.run { gateway, upstream in
            let client = try await gateway.connect()
            try await client.send(RawClient.post(body))
            let answer = try await client.answer()
            #expect(answer.status == 400, "\(answer.text)")
            #expect(answer.error["type"] as? String == "invalid_request_error")
            #expect(!answer.message.isEmpty)
            try await client.send(RawClient.get("/health"))
            #expect(try await client.answer().status == 200)
            #expect(await upstream.requests().isEmpty)
        }
    }

    @Test("Bytes that are not UTF-8 are a 400")
    func invalidUTF8() async throws {
        try await GatewayUnderTest.run { gateway, upstream in
            for bad: [UInt8] in [[0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF0, 0x9F, 0x8C]] {
                let parts = Bodies.chat(text: "|").split(separator: "|").map { Array($0.utf8) }
                let body = parts[0] + bad + parts[1]
                let client = try await gateway.connect()
                let headers = ["content-length: \(body.count)"]
                try await client.send(Array(RawClient.head("POST", "/v1/chat/completions", headers).utf8) + body)
                #expect(try await client.answer().status == 400)
            }
            #expect(await upstream.requests().isEmpty)
        }
    }

    @Test("JSON nested without end is a 400", arguments: ["[", "{\"a\":"])
    func nesting(opening: String) async throws {
        let deep = String(repeating: opening, count: 200_000)
        let body = Bodies.chat(more: ",\"deep\":\(deep)")
        try await expectError([400], RawClient.post(body))
    }

    @Test("A body over the limit is a 413 before it is sent, and the answer arrives although it is sent on")
    func bodyTooLarge() async throws {
        var setup = GatewayUnderTest.Setup()
        setup.server = ["body_limit: 64KB"]
        try await GatewayUnderTest.run(setup) { gateway, upstream in
            let client = try await gateway.connect()
            try await client.send(RawClient.head("POST", "/v1/chat/completions", ["content-length: 4000000"]))
            let sending = Task {
                let piece = [UInt8](repeating: 0x20, count: 40_000)
                for _ in 0..<100 { try await client.send(piece) }
            }
            let answer = try await client.answer()
            _ = await sending.result
            #expect(answer.status == 413)
            #expect(answer.error["code"] as? String == "request_too_large")
            #expect(answer["connection"] == "close")
            try await client.waitForClose()
            #expect(await upstream.requests().isEmpty)
        }
    }

    @Test("A chunked body that passes the limit is a 413, and nothing is held beyond it")
    func chunkedTooLarge() async throws {
        var setup = GatewayUnderTest.Setup()
        setup.server = ["body_limit: 64KB"]
        try await GatewayUnderTest.run(setup) { gateway, upstream in
            let client = try await gateway.connect()
            try await client.send(RawClient.head("POST", "/v1/chat/completions", ["transfer-encoding: chunked"]))
            let sending = Task {
                let piece = Array("2710\r\n".utf8) + [UInt8](repeating: 0x20, count: 10_000) + Array("\r\n".utf8)
                for _ in 0..<200 { try await client.send(piece) }
            }
            let answer = try await client.answer()
            _ = await sending.result
            #expect(answer.status == 413)
            try await client.waitForClose()
            #expect(await upstream.requests().isEmpty)
            #expect(gateway.running == 0)
        }
    }

    @Test("A body of exactly the limit is taken")
    func bodyAtLimit() async throws {
        var setup = GatewayUnderTest.Setup()
        setup.server = ["body_limit: 4KB"]
        try await GatewayUnderTest.run(setup) { gateway, _ async throws in
            let base = Bodies.chat()
            let exact = base + String(repeating: " ", count: 4096 - base.utf8.count)
            #expect(try await gateway.post(exact).status == 200)
            #expect(try await gateway.post(exact + " ").status == 413)
        }
    }

    @Test(
        "A head over the limit is a 431, whether it is in one line, in many, or the target",
        arguments: [
            RawClient.get("/health", headers: ["x-long: \(String(repeating: "x", count: 5_000))"]),
            RawClient.get("/health", headers: (0..<200).map { "x-\($0): \(String(repeating: "y", count: 40))" }),
            RawClient.get("/health?\(String(repeating: "x", count: 5_000))"),
        ])
    func headTooLarge(request: String) async throws {
        var setup = GatewayUnderTest.Setup()
        setup.server = ["header_limit: 4KB"]
        try await expectError([414, 431], request, setup, closes: true)
    }

    @Test("A head that does not end is a 408")
    func slowHead() async throws {
        var setup = GatewayUnderTest.Setup()
        setup.server = ["header_timeout: 300ms"]
        try await expectError([408], "GET /health HTTP/1.1\r\nhost: a\r\n", setup, closes: true)
    }

    @Test("A head that trickles in byte by byte is a 408 all the same")
    func tricklingHead() async throws {
        var setup = GatewayUnderTest.Setup()
        setup.server = ["header_timeout: 500ms"]
        try await GatewayUnderTest.run(setup) { gateway, _ in
            let client = try await gateway.connect()
            let trickle = Task {
                try await client.send("GET /health HTTP/1.1\r\nx: ")
                while !Task.isCancelled {
                    try await client.send("x")
                    try await Task.sleep(for: .milliseconds(20))
                }
            }
            #expect(try await client.answer(within: .seconds(10)).status == 408)
            trickle.cancel()
            try await client.waitForClose()
        }
    }

    @Test("A body that stops arriving is a 408", arguments: ["content-length: 1000", "transfer-encoding: chunked"])
    func slowBody(framing: String) async throws {
        var setup = GatewayUnderTest.Setup()
        setup.server = ["header_timeout: 300ms"]
        try await GatewayUnderTest.run(setup) { gateway, upstream in
            let client = try await gateway.connect()
            // In one piece: on a busy machine a second one could come after the answer.
            let beginning = framing.hasPrefix("t") ? "2\r\n{\"\r\n" : "{"
            try await client.send(RawClient.head("POST", "/v1/chat/completions", [framing]) + beginning)
            let answer = try await client.answer()
            #expect(answer.status == 408)
            #expect(answer.error["code"] as? String == "request_timeout")
            try await client.waitForClose()
            #expect(gateway.running == 0)
            #expect(await upstream.requests().isEmpty)
        }
    }

    @Test("A body that keeps arriving slowly is waited for")
    func steadyBody() async throws {
        var setup = GatewayUnderTest.Setup()
        setup.server = ["header_timeout: 3s"]
        try await GatewayUnderTest.run(setup) { gateway, _ in
            let client = try await gateway.connect()
            let body = Bodies.chat()
            try await client.send(
                RawClient.head("POST", "/v1/chat/completions", ["content-length: \(body.utf8.count)"]))
            // Longer than the limit in all, never silent for as long.
            for piece in Splits.Plan.even(body, parts: 10) {
                try await client.send(piece)
                try await Task.sleep(for: .milliseconds(350))
            }
            #expect(try await client.answer().status == 200)
        }
    }

    @Test("Random bytes never stop the server", arguments: 0..<20)
    func garbage(seed: UInt64) async throws {
        try await GatewayUnderTest.run { gateway, _ in
            var random = SeededGenerator(seed: seed)
            let alphabet = Array("\r\n\r\n :0123456789abcGETPOST/v1/chatHTTP/1.1{}\",".utf8) + [0, 0xFF, 0x80]
            for _ in 0..<20 {
                let client = try await gateway.connect()
                let starts = [
                    "", "GET /health HTTP/1.1\r\n",
                    Self.line + Self.rest + "host: a\r\ntransfer-encoding: chunked\r\n\r\n",
                ]
                let start = starts[Int.random(in: 0..<starts.count, using: &random)]
                let noise = (0..<Int.random(in: 1...200, using: &random)).map { _ in
                    alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
                }
                try? await client.send(Array(start.utf8) + noise)
                if Bool.random(using: &random) { try? await client.reset() } else { client.close() }
            }
            #expect(try await gateway.get("/health").status == 200)
            try await gateway.waitForRunning(0)
        }
    }
}

extension Splits.Plan {
    /// A text in so many parts of about the same length.
    fileprivate static func even(_ text: String, parts: Int) -> [[UInt8]] {
        let bytes = Array(text.utf8)
        let size = max(1, (bytes.count + parts - 1) / parts)
        return stride(from: 0, to: bytes.count, by: size).map { Array(bytes[$0..<min($0 + size, bytes.count)]) }
    }
}
