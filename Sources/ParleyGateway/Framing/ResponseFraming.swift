// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore

/// What one read of an upstream connection brought.
struct Arrival {
    /// The status, in the read that completed the head.
    var status: Int?
    /// The header lines that belong to `status`.
    var headers = HeaderBlock()
    /// All body bytes of the read, without their framing.
    var body: ByteBuffer?
    /// Whether the body is complete.
    var isComplete = false
}

/// HTTP/1.1 response framing for upstreams: bytes in, heads and merged body bytes out.
///
/// A response is read as RFC 9112 section 6.3 says: no body for 1xx, 204 and 304, then chunked, then content-length,
/// else until the connection closes. Interim responses are skipped; behind 101 another protocol begins, whose bytes are
/// a body without an end here. All chunk payloads of one read become one buffer.
struct ResponseFraming {
    private enum State {
        case head
        case length(Int)
        /// In chunks, which `chunks` reads.
        case chunked
        case untilClose
        /// Complete; whatever follows belongs to nobody.
        case done
    }

    private static let headLimit = 64 << 10

    private var state = State.head
    private var chunks = ChunkReader()
    /// The beginning of a head that is not complete.
    private var held: ByteBuffer?
    /// Whether the connection may carry another request afterwards.
    private(set) var isReusable = true

    /// True when the body is complete.
    var isDone: Bool {
        if case .done = state { return true }
        return false
    }

    /// Prepares for the next response on the connection.
    mutating func reset() {
        state = .head
        held = nil
        isReusable = true
    }

    /// Takes in what a read brought.
    ///
    /// - Throws: `FramingError` for what is not HTTP; the connection cannot be used any further.
    mutating func read(_ bytes: ByteBuffer, into arrival: inout Arrival) throws(FramingError) {
        var input = bytes
        while case .head = state, input.readableBytes > 0 {
            guard try readHead(&input, into: &arrival) else { return }
        }
        switch state {
        case .head: return
        case .length(let left):
            let count = min(left, input.readableBytes)
            if count > 0 { arrival.body = input.readSlice(length: count) }
            state = count == left ? .done : .length(left - count)
        case .chunked:
            let used = try chunks.read(input, into: &arrival.body)
            guard chunks.isDone else { return }
            input.moveReaderIndex(forwardBy: used)
            state = .done
        case .untilClose:
            if input.readableBytes > 0 { arrival.body = input }
            return
        case .done: break
        }
        guard isDone else { return }
        // Bytes nobody asked for: such a connection is not trusted with another request.
        if input.readableBytes > 0 { isReusable = false }
        arrival.isComplete = true
    }

    /// The peer closed the connection.
    ///
    /// - Returns: whether the response is complete.
    mutating func close() -> Bool {
        isReusable = false
        if case .untilClose = state { state = .done }
        return isDone
    }

    /// Reads a head, which may be an interim one.
    ///
    /// - Returns: false when it is not complete.
    private mutating func readHead(_ input: inout ByteBuffer, into arrival: inout Arrival) throws(FramingError) -> Bool
    {
        if var joined = held {
            held = nil
            joined.writeBuffer(&input)
            input = joined
        }
        guard let end = Self.headEnd(input), let head = input.readSlice(length: end) else {
            if input.readableBytes > Self.headLimit { throw FramingError.headTooLong }
            held = input
            return false
        }
        let parsed = try ResponseHead(head)
        if (100...199).contains(parsed.status), parsed.status != 101 { return true }
        arrival.status = parsed.status
        // A copy where more is to come: the lines alone would keep the whole read alive for as long as that takes.
        let isWhole = parsed.contentLength.map { $0 <= input.readableBytes } ?? false
        arrival.headers = HeaderBlock(isWhole ? parsed.lines : ByteBuffer(bytes: parsed.lines.readableBytesView))
        isReusable = parsed.isReusable
        if parsed.status == 101 {
            isReusable = false
            state = .untilClose
        } else if parsed.status == 204 || parsed.status == 304 {
            state = .done
        } else if parsed.isChunked {
            chunks = ChunkReader()
            state = .chunked
        } else if let length = parsed.contentLength {
            state = length == 0 ? .done : .length(length)
        } else {
            isReusable = false
            state = .untilClose
        }
        return true
    }

    /// The length of the head with its empty line, or nil when it is not complete.
    private static func headEnd(_ input: ByteBuffer) -> Int? {
        input.withUnsafeReadableBytes { bytes in
            var at = 0
            while let lineEnd = bytes.place(of: 0x0A, from: at) {
                at = lineEnd + 1
                if at < bytes.count, bytes[at] == 0x0A { return at + 1 }
                if at + 1 < bytes.count, bytes[at] == 0x0D, bytes[at + 1] == 0x0A { return at + 2 }
            }
            return nil
        }
    }
}
