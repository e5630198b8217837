// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import CParleyBytes
import NIOCore
import ParleyCore

/// What one read of an upstream connection brought.
struct Arrival {
    /// The head, in the read that completed it.
    var status: Int?
    /// The header lines that belong to `status`.
    var headers = HeaderBlock()
    /// All body bytes of the read, without their framing.
    private(set) var body: ByteBuffer?
    /// Whether `body` is a buffer of its own, not a slice of what was read.
    private var isJoined = false
    /// Whether the body is complete.
    var isComplete = false

    /// Adds body bytes: the first piece by reference, later ones into a buffer big enough for `expecting` more.
    mutating func append(_ piece: ByteBuffer, expecting more: Int) {
        guard piece.readableBytes > 0 else { return }
        guard body != nil else {
            body = piece
            return
        }
        if !isJoined { join(reserving: piece.readableBytes + more) }
        // Not through a binding: a second reference would have every write copy the whole.
        body?.writeImmutableBuffer(piece)
    }

    private mutating func join(reserving more: Int) {
        guard let first = body else { return }
        var joined = ByteBuffer()
        joined.reserveCapacity(first.readableBytes + more)
        joined.writeImmutableBuffer(first)
        body = joined
        isJoined = true
    }
}

/// A response that breaks HTTP's rules; the text says which, and never quotes the response.
struct FramingError: Error, Equatable {
    var reason: String
}

/// HTTP/1.1 response framing for upstreams: bytes in, heads and merged body bytes out.
///
/// A response is read as RFC 9112 section 6.3 says: no body for 1xx, 204 and 304, then chunked, then content-length,
/// else until the connection closes. Interim responses are skipped. All chunk payloads of one read become one buffer.
struct ResponseFraming {
    private enum State: Equatable {
        case head
        case length(Int)
        case chunkSize
        case chunkData(Int)
        case chunkEnd
        case trailers
        case untilClose
        /// Complete; whatever follows belongs to nobody.
        case done
    }

    private static let headLimit = 64 << 10
    private static let lineLimit = 4 << 10

    private var state = State.head
    /// Bytes of an incomplete head or line.
    private var held: ByteBuffer?
    /// Whether the connection may carry another request afterwards.
    private(set) var isReusable = true

    /// True once the head was read.
    var hasHead: Bool { state != .head }
    /// True when the body is complete.
    var isDone: Bool { state == .done }

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
        if var joined = held {
            held = nil
            joined.writeBuffer(&input)
            input = joined
        }
        while input.readableBytes > 0 {
            let before = input.readableBytes
            try step(&input, into: &arrival)
            if input.readableBytes == before { break }
        }
        if state == .done {
            // Bytes nobody asked for: such a connection is not trusted with another request.
            if input.readableBytes > 0 { isReusable = false }
        } else if input.readableBytes > 0 {
            held = input
        }
        arrival.isComplete = state == .done
    }

    /// The peer closed the connection.
    ///
    /// - Returns: whether the response was thereby completed.
    mutating func close() -> Bool {
        isReusable = false
        guard state == .untilClose else { return state == .done }
        state = .done
        return true
    }

    private mutating func step(_ input: inout ByteBuffer, into arrival: inout Arrival) throws(FramingError) {
        switch state {
        case .head: try readHead(&input, into: &arrival)
        case .length(let left): take(left, &input, into: &arrival) { $0 == 0 ? .done : .length($0) }
        case .chunkSize: try readChunkSize(&input)
        case .chunkData(let left): take(left, &input, into: &arrival) { $0 == 0 ? .chunkEnd : .chunkData($0) }
        case .chunkEnd:
            guard let line = try Self.line(&input) else { return }
            guard line.isEmpty else { throw FramingError(reason: "a chunk is longer than it says") }
            state = .chunkSize
        case .trailers:
            guard let line = try Self.line(&input) else { return }
            if line.isEmpty { state = .done }
        case .untilClose: take(input.readableBytes, &input, into: &arrival) { _ in .untilClose }
        case .done: return
        }
    }

    /// Moves up to `left` body bytes to the arrival; the first piece of a read is taken by reference.
    private mutating func take(
        _ left: Int, _ input: inout ByteBuffer, into arrival: inout Arrival, next: (Int) -> State
    ) {
        let count = min(left, input.readableBytes)
        guard let piece = input.readSlice(length: count) else { return }
        arrival.append(piece, expecting: input.readableBytes)
        state = next(left - count)
    }

    private mutating func readChunkSize(_ input: inout ByteBuffer) throws(FramingError) {
        guard let line = try Self.line(&input) else { return }
        var size = 0
        var digits = 0
        for byte in line {
            let digit: Int
            switch byte {
            case 0x30...0x39: digit = Int(byte) - 0x30
            case 0x41...0x46: digit = Int(byte) - 0x37
            case 0x61...0x66: digit = Int(byte) - 0x57
            case 0x3B, 0x20, 0x09: digit = -1
            default: throw FramingError(reason: "a chunk size is not a number")
            }
            if digit < 0 { break }
            digits += 1
            guard digits <= 15 else { throw FramingError(reason: "a chunk size is out of range") }
            size = size << 4 | digit
        }
        guard digits > 0 else { throw FramingError(reason: "a chunk size is missing") }
        state = size == 0 ? .trailers : .chunkData(size)
    }

    /// The next line without its end, or nil when it is not complete.
    private static func line(_ input: inout ByteBuffer) throws(FramingError) -> ByteBufferView? {
        let view = input.readableBytesView
        let end = view.withUnsafeBytes { $0.prefix(lineLimit).firstIndex(of: 0x0A) }
        guard let end else {
            if view.count > lineLimit { throw FramingError(reason: "a line of the chunked framing is too long") }
            return nil
        }
        var line = view[view.startIndex..<view.startIndex + end]
        if line.last == 0x0D { line = line.dropLast() }
        input.moveReaderIndex(forwardBy: end + 1)
        return line
    }

    private mutating func readHead(_ input: inout ByteBuffer, into arrival: inout Arrival) throws(FramingError) {
        guard let end = Self.headEnd(input) else {
            if input.readableBytes > Self.headLimit { throw FramingError(reason: "the head is too long") }
            return
        }
        guard let head = input.readSlice(length: end) else { return }
        let parsed = try ResponseHead(head)
        if (100...199).contains(parsed.status), parsed.status != 101 { return }
        arrival.status = parsed.status
        arrival.headers = parsed.headers
        isReusable = parsed.isReusable
        if parsed.status == 204 || parsed.status == 304 {
            state = .done
        } else if parsed.isChunked {
            state = .chunkSize
        } else if let length = parsed.contentLength {
            state = length == 0 ? .done : .length(length)
        } else {
            isReusable = false
            state = .untilClose
        }
    }

    /// The length of the head with its empty line, or nil when it is not complete.
    private static func headEnd(_ input: ByteBuffer) -> Int? {
        input.withUnsafeReadableBytes { bytes in
            guard let base = bytes.baseAddress else { return nil }
            let strict = parley_find(base, bytes.count, "\r\n\r\n", 4)
            let loose = parley_find(base, strict < 0 ? bytes.count : strict, "\n\n", 2)
            if loose >= 0 { return loose + 2 }
            return strict >= 0 ? strict + 4 : nil
        }
    }
}
