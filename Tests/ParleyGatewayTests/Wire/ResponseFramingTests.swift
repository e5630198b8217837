// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyTestKit
import Testing

@testable import ParleyGateway

/// What a response amounts to once all of it was read.
private struct Outcome: Equatable {
    var status: Int?
    var contentType: String?
    var body: [UInt8] = []
    var isComplete = false
    var isReusable = false
}

private func read(_ pieces: [[UInt8]], closes: Bool = false) throws(FramingError) -> Outcome {
    var framing = ResponseFraming()
    var outcome = Outcome()
    for piece in pieces {
        var arrival = Arrival()
        try framing.read(ByteBuffer(bytes: piece), into: &arrival)
        if let status = arrival.status {
            outcome.status = status
            outcome.contentType = arrival.headers.first("content-type")
        }
        if let body = arrival.body { outcome.body += Array(body.readableBytesView) }
        outcome.isComplete = arrival.isComplete
    }
    if closes { outcome.isComplete = framing.close() }
    outcome.isReusable = framing.isReusable
    return outcome
}

@Suite("Upstream response framing")
struct ResponseFramingTests {
    private static let chunked =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        + "5\r\nhello\r\n00000001;ext=1\r\n \r\nB\r\nwörld!\r\n\r\n\r\n0\r\nx-trailer: 1\r\n\r\n"
    private static let sized = "HTTP/1.1 404 Not Found\r\ncontent-length:  4 \r\nCONTENT-TYPE:a/b\r\n\r\nbody"
    private static let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + sized

    @Test("A response split in two anywhere reads as the whole one", arguments: [chunked, sized, interim])
    func everySplit(response: String) throws {
        let bytes = Array(response.utf8)
        let whole = try read([bytes])
        #expect(whole.isComplete)
        #expect(whole.isReusable)
        for split in 0...bytes.count {
            let parts = try read([Array(bytes[..<split]), Array(bytes[split...])])
            #expect(parts == whole, "split at \(split)")
        }
        let trickled = try read(bytes.map { [$0] })
        #expect(trickled == whole)
    }

    @Test("Chunk payloads of one read arrive as one buffer")
    func mergesChunks() throws {
        let outcome = try read([Array(Self.chunked.utf8)])
        #expect(String(decoding: outcome.body, as: UTF8.self) == "hello wörld!\r\n\r\n")
        #expect(outcome.contentType == "text/event-stream")
    }

    @Test("Without a length the body ends with the connection, which is then of no more use")
    func untilClose() throws {
        let outcome = try read([Array("HTTP/1.1 200 OK\r\n\r\nabc".utf8)], closes: true)
        #expect(String(decoding: outcome.body, as: UTF8.self) == "abc")
        #expect(outcome.isComplete)
        #expect(!outcome.isReusable)
    }

    @Test(
        "A connection that closes too early leaves the response incomplete",
        arguments: [
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc", "HTTP/1.1 200 OK\r\ntransfer-enc",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        ])
    func cut(response: String) throws {
        let outcome = try read([Array(response.utf8)], closes: true)
        #expect(!outcome.isComplete)
    }

    @Test(
        "204 and 304 have no body whatever their headers say",
        arguments: ["204 No Content", "304 Not Modified"])
    func bodiless(status: String) throws {
        let outcome = try read([Array("HTTP/1.1 \(status)\r\ncontent-length: 10\r\n\r\n".utf8)])
        #expect(outcome.isComplete)
    }

    @Test(
        "A connection is not reused when the peer says close, speaks HTTP/1.0 or sends more than it announced",
        arguments: [
            "HTTP/1.1 200 OK\r\nconnection: Close\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab",
        ])
    func notReusable(response: String) throws {
        let outcome = try read([Array(response.utf8)])
        #expect(outcome.isComplete)
        #expect(!outcome.isReusable)
    }

    @Test(
        "What is not HTTP is refused",
        arguments: [
            "SSH-2.0-OpenSSH_9.2\r\n\r\n", "HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 1, 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFF\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nabcd\r\n",
        ])
    func refuses(response: String) {
        #expect(throws: FramingError.self) { try read([Array(response.utf8)]) }
    }

    @Test("Heads and framing lines that never end are refused instead of kept")
    func endless() {
        let head = Array("HTTP/1.1 200 OK\r\n".utf8) + [UInt8](repeating: 0x61, count: 70 << 10)
        #expect(throws: FramingError.self) { try read([head]) }
        let line =
            Array("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5;".utf8)
            + [UInt8](repeating: 0x61, count: 8 << 10)
        #expect(throws: FramingError.self) { try read([line]) }
    }

    @Test("Random bytes after any beginning never crash the framing", arguments: 0..<200)
    func survivesGarbage(seed: Int) {
        var random = SeededGenerator(seed: UInt64(seed))
        let beginnings = [
            "", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", Self.chunked,
        ]
        var bytes = Array(beginnings[seed % beginnings.count].utf8)
        let alphabet = Array("\r\n0123456789abcdefHTP/1. :;x".utf8)
        for _ in 0..<300 {
            bytes.append(alphabet[Int(random.next() % UInt64(alphabet.count))])
        }
        // An error or an outcome, nothing else.
        _ = try? read(bytes.map { [$0] }, closes: true)
        _ = try? read([bytes], closes: true)
    }
}
