// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
import NIOCore
import ParleyCore

/// A response that breaks HTTP's rules; the text says which, and never quotes the response.
struct FramingError: Error, Equatable {
    var reason: String
}

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
        case chunked(ChunkReader)
        case untilClose
        /// Complete; whatever follows belongs to nobody.
        case done
    }

    private static let headLimit = 64 << 10

    private var state = State.head
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
        case .chunked(var reader):
            state = .done
            let used = try reader.read(input, into: &arrival)
            input.moveReaderIndex(forwardBy: used)
            if !reader.isDone { state = .chunked(reader) }
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
            if input.readableBytes > Self.headLimit { throw FramingError(reason: "the head is too long") }
            held = input
            return false
        }
        let parsed = try ResponseHead(head)
        if (100...199).contains(parsed.status), parsed.status != 101 { return true }
        arrival.status = parsed.status
        arrival.headers = parsed.headers
        isReusable = parsed.isReusable
        if parsed.status == 101 {
            isReusable = false
            state = .untilClose
        } else if parsed.status == 204 || parsed.status == 304 {
            state = .done
        } else if parsed.isChunked {
            state = .chunked(ChunkReader())
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
            guard let base = bytes.baseAddress else { return nil }
            var at = 0
            while at < bytes.count, let lineEnd = memchr(base + at, 0x0A, bytes.count - at) {
                at = base.distance(to: UnsafeRawPointer(lineEnd)) + 1
                if at < bytes.count, bytes[at] == 0x0A { return at + 1 }
                if at + 1 < bytes.count, bytes[at] == 0x0D, bytes[at + 1] == 0x0A { return at + 2 }
            }
            return nil
        }
    }
}

/// The chunked transfer coding (RFC 9112 section 7.1), byte by byte between payloads, so that a read may end anywhere.
struct ChunkReader {
    private enum State {
        case size(value: Int, digits: Int)
        /// In a chunk extension or the white space before it.
        case restOfSizeLine(value: Int)
        case payload(Int)
        /// Between a payload and the next size: CR LF, or LF.
        case payloadEnd
        /// In the trailer section, with the bytes of the line so far.
        case trailers(line: Int)
        case done
    }

    /// The most bytes that one framing line may have.
    private static let lineLimit = 4 << 10

    private var state = State.size(value: 0, digits: 0)
    private var lineLength = 0

    /// Whether the last chunk and the trailer section were read.
    var isDone: Bool {
        if case .done = state { return true }
        return false
    }

    /// Reads on.
    ///
    /// - Returns: how many bytes belong to this body.
    mutating func read(_ input: ByteBuffer, into arrival: inout Arrival) throws(FramingError) -> Int {
        var failure: FramingError?
        var only: Range<Int>?
        var index = 0
        input.withUnsafeReadableBytes { bytes in
            failure = walk(bytes, &index) { piece in
                guard only == nil else { return false }
                only = piece
                return true
            }
        }
        if let failure { throw failure }
        guard let first = only else { return index }
        guard index < input.readableBytes, !isDone else {
            // A single payload is taken by reference.
            arrival.body = input.getSlice(at: input.readerIndex + first.lowerBound, length: first.count)
            return index
        }
        var joined = ByteBuffer()
        _ = input.withUnsafeReadableBytes { bytes in
            joined.writeWithUnsafeMutableBytes(minimumWritableBytes: bytes.count - first.lowerBound) { out in
                guard let target = out.baseAddress, let source = bytes.baseAddress else { return 0 }
                memcpy(target, source + first.lowerBound, first.count)
                var count = first.count
                failure = walk(bytes, &index) { piece in
                    // All payloads together are shorter than the bytes they came in.
                    memcpy(target + count, source + piece.lowerBound, piece.count)
                    count += piece.count
                    return true
                }
                return count
            }
        }
        if let failure { throw failure }
        arrival.body = joined
        return index
    }

    /// Goes over the bytes from `index` on, and gives `take` every payload, or part of one, until it says no: that one is
    /// then not read yet.
    @inline(__always)
    private mutating func walk(
        _ bytes: UnsafeRawBufferPointer, _ index: inout Int, _ take: (Range<Int>) -> Bool
    ) -> FramingError? {
        while index < bytes.count {
            switch state {
            case .done: return nil
            case .payload(let left):
                let count = min(left, bytes.count - index)
                guard take(Range(uncheckedBounds: (index, index + count))) else { return nil }
                index += count
                state = count == left ? .payloadEnd : .payload(left - count)
            case .size(value: 0, digits: 0):
                // Nearly every chunk lies in one piece; the others are read byte by byte.
                if let chunk = Self.wholeChunk(bytes, at: index) {
                    guard take(chunk) else { return nil }
                    index = chunk.upperBound + 2
                    continue
                }
                fallthrough
            default:
                if let failure = step(bytes[index]) { return failure }
                index += 1
            }
        }
        return nil
    }

    /// The payload of the chunk that begins at `start`, where all of it is there in its plainest form and is not the last.
    @inline(__always)
    private static func wholeChunk(_ bytes: UnsafeRawBufferPointer, at start: Int) -> Range<Int>? {
        var size = 0
        var at = start
        while at < bytes.count, at < start + 8, let digit = digit(bytes[at]) {
            size = size << 4 | digit
            at += 1
        }
        guard size > 0, at + 1 < bytes.count, bytes[at] == 0x0D, bytes[at + 1] == 0x0A else { return nil }
        let end = at + 2 + size
        guard end + 1 < bytes.count, bytes[end] == 0x0D, bytes[end + 1] == 0x0A else { return nil }
        return Range(uncheckedBounds: (at + 2, end))
    }

    @inline(__always)
    private static func digit(_ byte: UInt8) -> Int? {
        switch byte {
        case 0x30...0x39: Int(byte) - 0x30
        case 0x41...0x46: Int(byte) - 0x37
        case 0x61...0x66: Int(byte) - 0x57
        default: nil
        }
    }

    /// Takes one byte of the framing.
    private mutating func step(_ byte: UInt8) -> FramingError? {
        lineLength = byte == 0x0A ? 0 : lineLength + 1
        guard lineLength <= Self.lineLimit else {
            return FramingError(reason: "a line of the chunked framing is too long")
        }
        switch state {
        case .size(let value, let digits): return stepSize(byte, value, digits)
        case .restOfSizeLine(let value):
            if byte == 0x0A { state = value == 0 ? .trailers(line: 0) : .payload(value) }
        case .payloadEnd:
            if byte == 0x0A {
                state = .size(value: 0, digits: 0)
            } else if byte != 0x0D || lineLength > 1 {
                return FramingError(reason: "a chunk is longer than it says")
            }
        case .trailers(let line):
            if byte == 0x0A {
                state = line == 0 ? .done : .trailers(line: 0)
            } else if byte != 0x0D {
                state = .trailers(line: line + 1)
            }
        case .payload, .done: break
        }
        return nil
    }

    private mutating func stepSize(_ byte: UInt8, _ value: Int, _ digits: Int) -> FramingError? {
        guard let digit = Self.digit(byte) else {
            guard [0x3B, 0x20, 0x09, 0x0D, 0x0A].contains(byte) else {
                return FramingError(reason: "a chunk size is not a number")
            }
            guard digits > 0 else { return FramingError(reason: "a chunk size is missing") }
            state = .restOfSizeLine(value: value)
            if byte == 0x0A { state = value == 0 ? .trailers(line: 0) : .payload(value) }
            return nil
        }
        guard digits < 15 else { return FramingError(reason: "a chunk size is out of range") }
        state = .size(value: value << 4 | digit, digits: digits + 1)
        return nil
    }
}
