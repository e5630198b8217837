// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import NIOEmbedded
import NIOHTTP1
import ParleyCore
import ParleyTestKit
import Testing

@testable import ParleyGateway

/// A request as a reader understood it.
private struct Understood: Equatable {
    var method: String
    var target: String
    var isHTTP10: Bool
    var keepsAlive: Bool
    var length: Int?
    var isChunked: Bool
    var body: [UInt8] = []
    var isComplete = false
}

/// What a reader understood, and whether it gave up.
private struct Reading: Equatable {
    var requests: [Understood] = []
    var failure: String?
    /// Whether it waits for the rest of a head.
    var isPending = false

    mutating func append(_ bytes: ByteBuffer) {
        guard let last = requests.indices.last else { return }
        requests[last].body += Array(bytes.readableBytesView)
    }

    mutating func end() {
        guard let last = requests.indices.last else { return }
        requests[last].isComplete = true
    }

    /// As our own framing reads it.
    init(ours pieces: [[UInt8]], headLimit: Int = 16 << 10) {
        var framing = RequestFraming(headLimit: headLimit)
        for piece in pieces {
            do throws(FramingError) {
                try framing.read(ByteBuffer(bytes: piece)) { part in
                    switch part {
                    case .head(let head):
                        requests.append(
                            Understood(
                                method: head.method.rawValue, target: head.target, isHTTP10: head.isHTTP10,
                                keepsAlive: head.keepsAlive, length: head.contentLength, isChunked: head.isChunked))
                    case .body(let bytes): append(bytes)
                    case .end: end()
                    }
                }
            } catch {
                failure = failure ?? error.reason
            }
        }
        isPending = framing.isHeadPending
    }

    /// As NIO's decoder (llhttp) reads it.
    init(llhttp bytes: [UInt8]) {
        let channel = EmbeddedChannel()
        let decoder = HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes)
        do {
            try channel.pipeline.syncOperations.addHandler(ByteToMessageHandler(decoder))
            try channel.writeInbound(ByteBuffer(bytes: bytes))
        } catch {
            failure = "\(error)"
        }
        while let part = try? channel.readInbound(as: HTTPServerRequestPart.self) {
            switch part {
            case .head(let head):
                let coding = head.headers["transfer-encoding"]
                requests.append(
                    Understood(
                        method: head.method.rawValue, target: head.uri,
                        isHTTP10: head.version.minor == 0, keepsAlive: head.isKeepAlive,
                        length: head.headers.first(name: "content-length").flatMap { Int($0) },
                        isChunked: !coding.isEmpty))
            case .body(let bytes): append(bytes)
            case .end: end()
            }
        }
        _ = try? channel.finish()
    }
}

private let post = "POST /v1/chat/completions HTTP/1.1\r\nHost: p\r\n"

private let requests = [
    post + "Content-Length: 5\r\nAuthorization: Bearer sk-1\r\n\r\nhelloGET /health HTTP/1.1\r\nhost:p\r\n\r\n",
    post + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n00B;a=\"b\"\r\nwörld! you\r\n0\r\nx-trailer: 1\r\n\r\n",
    post + "transfer-encoding:\tCHUNKED \r\n\r\n1\r\na\r\n0\r\n\r\n\r\nGET /v1/models?a=b HTTP/1.1\r\nHost: p\r\n\r\n",
    "GET http://p/health HTTP/1.0\r\nConnection: keep-alive\r\n\r\nHEAD / HTTP/1.1\r\nHost: ü\r\nConnection: x, Close\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: p\r\nX-Empty:\r\nX-Blank:  \t\r\n\r\nDELETE /a HTTP/1.1\r\nHost: p\r\nContent-Length: 0\r\n\r\n",
]

@Suite struct RequestFramingTests {
    @Test(arguments: requests)
    func `requests are read the same wherever the bytes are split`(text: String) {
        let bytes = Array(text.utf8)
        let whole = Reading(ours: [bytes])
        #expect(whole.failure == nil)
        #expect(whole.requests.allSatisfy { $0.isComplete })
        for at in bytes.indices {
            #expect(Reading(ours: [Array(bytes[..<at]), Array(bytes[at...])]) == whole, "split at \(at)")
        }
        #expect(Reading(ours: bytes.map { [$0] }) == whole)
    }

    @Test(arguments: requests)
    func `requests are read as llhttp reads them`(text: String) {
        #expect(Reading(ours: [Array(text.utf8)]) == Reading(llhttp: Array(text.utf8)))
    }

    @Test(arguments: [
        "GET /a HTTP/1.1\nHost: p\r\n\r\n", "GET /a HTTP/1.1\r\nHost: p\n\r\n", "GET /a HTTP/1.1\r\nHost: p\r\n\n",
        "GET /a HTTP/1.1\r\nHost : p\r\n\r\n", "GET /a HTTP/1.1\r\nHost: p\r\n folded\r\n\r\n",
        "GET /a HTTP/1.1\r\n: p\r\n\r\n", "GET /a HTTP/1.1\r\nHost\r\n\r\n", "GET /a HTTP/1.1\r\nHost: a\rb\r\n\r\n",
        "GET /a HTTP/1.1\r\nX: a\u{0}b\r\n\r\n", "GET /a HTTP/1.1\r\nX: a\u{7F}b\r\n\r\n", "GET  /a HTTP/1.1\r\n\r\n",
        "GET /a  HTTP/1.1\r\n\r\n", "GET /a\tHTTP/1.1\r\n\r\n", "GET /a HTTP/1.2\r\n\r\n", "GET /a HTTP/2.0\r\n\r\n",
        "GET /a http/1.1\r\n\r\n", "GET HTTP/1.1\r\n\r\n", " GET /a HTTP/1.1\r\n\r\n", "GET a HTTP/1.1\r\n\r\n",
        "GET /ä HTTP/1.1\r\n\r\n", "GE(T /a HTTP/1.1\r\n\r\n", "\u{16}\u{3}\u{1}", "\nGET /a HTTP/1.1\r\n\r\n",
        post + "Content-Length: 1\r\nContent-Length: 1\r\n\r\na", post + "Content-Length: 1, 1\r\n\r\na",
        post + "Content-Length:\r\n\r\n", post + "Content-Length: +1\r\n\r\na", post + "Content-Length: 0x1\r\n\r\na",
        post + "Content-Length: 9999999999999999999\r\n\r\n", post + "Content-Length: 1 1\r\n\r\na",
        post + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        post + "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
        post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        post + "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n",
        post + "Transfer-Encoding: identity\r\n\r\n",
        "POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ])
    func `what could be understood in two ways is refused`(text: String) {
        let reading = Reading(ours: [Array(text.utf8)])
        #expect(reading.failure != nil)
        #expect(reading.requests.isEmpty)
        #expect(Reading(ours: Array(text.utf8).map { [$0] }).failure != nil)
    }

    @Test(arguments: [
        "\r\n", "x\r\n", "g\r\n", "-1\r\n", "1 \r\na\r\n", "1\na\r\n", "1\r\na\n", "1\r\nab\r\n", "1\r\na\r\rn",
        "1;a\u{0}\r\na\r\n",
        "1;a\na\r\n", "0\r\n\n", "0\r\na\u{1}b\r\n\r\n", "0\r\nx: y\n\r\n", "0000000000000001\r\na\r\n",
        "ffffffffffffffff\r\n",
        "1;\r\ra\r\n",
    ])
    func `chunks that another reader might see differently are refused`(body: String) {
        let text = Array((post + "Transfer-Encoding: chunked\r\n\r\n" + body).utf8)
        for reading in [Reading(ours: [text]), Reading(ours: text.map { [$0] })] {
            #expect(reading.failure != nil)
            #expect(reading.requests.count == 1)
            #expect(reading.requests.first?.isComplete == false)
        }
    }

    @Test func `chunk extensions and trailers have a limit`() {
        let head = post + "Transfer-Encoding: chunked\r\n\r\n"
        let extensions = String(repeating: "1;" + String(repeating: "e", count: 1000) + "\r\na\r\n", count: 20)
        #expect(Reading(ours: [Array((head + extensions).utf8)]).failure != nil)
        let trailers = "0\r\n" + String(repeating: "t: " + String(repeating: "e", count: 1000) + "\r\n", count: 20)
        #expect(Reading(ours: [Array((head + trailers).utf8)]).failure != nil)
        // What is only framing has none: an upload may come in pieces of a byte.
        let many = Array((head + String(repeating: "1\r\na\r\n", count: 20_000) + "0\r\n\r\n").utf8)
        let reading = Reading(
            ours: stride(from: 0, to: many.count, by: 7).map { Array(many[$0..<min($0 + 7, many.count)]) })
        #expect(reading.failure == nil)
        #expect(reading.requests.first?.body.count == 20_000)
    }

    @Test func `a head may be as long as the limit and no longer`() {
        let start = "GET / HTTP/1.1\r\nHost: p\r\nX: "
        let fits = Array((start + String(repeating: "a", count: 1000 - start.utf8.count - 4) + "\r\n\r\n").utf8)
        #expect(Reading(ours: [fits], headLimit: 1000).failure == nil)
        #expect(Reading(ours: fits.map { [$0] }, headLimit: 1000).failure == nil)
        #expect(Reading(ours: [fits], headLimit: 999).failure == FramingError.headTooLong.reason)
        #expect(Reading(ours: fits.map { [$0] }, headLimit: 999).failure == FramingError.headTooLong.reason)
    }

    @Test func `nothing is read behind what could not be read`() {
        let bytes = Array("GET /a\r\n\r\nGET /b HTTP/1.1\r\nHost: p\r\n\r\n".utf8)
        #expect(Reading(ours: [bytes]).requests.isEmpty)
        #expect(Reading(ours: bytes.map { [$0] }).requests.isEmpty)
    }

    /// llhttp is what this reader replaced: nothing that it refuses is let through, and nothing is read in another way.
    @Test func `whatever is let through, llhttp reads the same`() {
        var random = SeededGenerator(seed: 0x5EED)
        var accepted = 0
        for _ in 0..<6_000 {
            let bytes = Self.mutated(&random)
            let ours = Reading(ours: [bytes])
            #expect(Reading(ours: bytes.map { [$0] }).failure.map { _ in 1 } == ours.failure.map { _ in 1 })
            guard ours.failure == nil, !ours.isPending, ours.requests.allSatisfy({ Self.known.contains($0.method) })
            else { continue }
            accepted += 1
            let theirs = Reading(llhttp: bytes)
            if let failure = theirs.failure, Self.tolerated.contains(failure) {
                #expect(ours.requests.starts(with: theirs.requests.prefix { $0.isComplete }))
            } else {
                #expect(ours == theirs, "\(String(decoding: bytes, as: UTF8.self).debugDescription)")
            }
        }
        #expect(accepted > 500)
    }

    /// llhttp knows a list of methods; here a method is a token, and what is not served gets a 405.
    private static let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]

    /// What llhttp says of chunk extensions, of a content-length among trailers and of the host in a target, none of which
    /// are read here; and of what follows a request that ends the connection, where nothing more is read.
    private static let tolerated = [
        "strict mode assertion", "unknown (http_parser error)", "invalid URL",
        "invalid character in content-length header",
        "data received after completed connection: close message",
    ]

    private static func mutated(_ random: inout SeededGenerator) -> [UInt8] {
        var bytes = Array(requests[Int.random(in: requests.indices, using: &random)].utf8)
        // No blanks: llhttp does not trim all that RFC 9110 has trimmed.
        let spices = [
            "\r", "\n", "\r\n", ":", "\u{0}", "0", "1", "a", ";", ",", "chunked", "Content-Length: 3\r\n",
        ]
        for _ in 0...Int.random(in: 0...2, using: &random) {
            guard let at = bytes.indices.randomElement(using: &random) else { break }
            let end = min(bytes.count, at + Int.random(in: 1...4, using: &random))
            switch Int.random(in: 0...3, using: &random) {
            case 0: bytes[at] = UInt8.random(in: 0x21 ... .max, using: &random)
            case 1: bytes.removeSubrange(at..<end)
            case 2: bytes.insert(contentsOf: bytes[at..<end], at: at)
            default: bytes.insert(contentsOf: Array((spices.randomElement(using: &random) ?? "").utf8), at: at)
            }
        }
        return bytes
    }
}
