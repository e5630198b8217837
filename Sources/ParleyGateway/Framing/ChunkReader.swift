// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import CParleyBytes
import Glibc
import NIOCore

/// A message that breaks HTTP's rules; the text says which, and never quotes the message.
struct FramingError: Error, Equatable {
    var reason: String

    static let noMethod = FramingError(reason: "the method is none")
    static let headTooLong = FramingError(reason: "the head is too long")
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
    /// The most bytes that a client's chunk extensions and trailers may have together.
    private static let extraLimit = 16 << 10

    private var state = State.size(value: 0, digits: 0)
    private var lineLength = 0
    /// Whether the framing is taken only as it should be written.
    private let isStrict: Bool
    private var followsReturn = false
    private var isInTrailerValue = false
    private var extra = 0

    /// A reader of one body.
    ///
    /// - Parameter isStrict: for what strangers send, where somebody in between who reads the same bytes less exactly must
    ///   not see other chunks.
    init(isStrict: Bool = false) {
        self.isStrict = isStrict
    }

    /// Whether the last chunk and the trailer section were read.
    var isDone: Bool {
        if case .done = state { return true }
        return false
    }

    /// Reads on.
    ///
    /// - Returns: how many bytes belong to this body.
    mutating func read(_ input: ByteBuffer, into body: inout ByteBuffer?) throws(FramingError) -> Int {
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
            body = input.getSlice(at: input.readerIndex + first.lowerBound, length: first.count)
            return index
        }
        var joined = ByteBuffer()
        _ = input.withUnsafeReadableBytes { bytes in
            joined.writeWithUnsafeMutableBytes(minimumWritableBytes: bytes.count - first.lowerBound) { out in
                guard let target = out.baseAddress, let source = bytes.baseAddress else { return 0 }
                memcpy(target, source + first.lowerBound, first.count)
                var count = first.count
                if case .size(value: 0, digits: 0) = state {
                    var used = 0
                    count += parley_join_chunks(source + index, bytes.count - index, target + count, &used)
                    index += used
                }
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
        body = joined
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
        if isStrict, let failure = check(byte) { return failure }
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

    /// What else must be true of a byte of the framing where it is strict.
    private mutating func check(_ byte: UInt8) -> FramingError? {
        guard (byte == 0x0A) == followsReturn else {
            return FramingError(reason: "a line of the chunked framing does not end with CR LF")
        }
        followsReturn = byte == 0x0D
        guard byte >= 0x20 && byte != 0x7F || byte == 0x09 || byte == 0x0A || byte == 0x0D else {
            return FramingError(reason: "a control character is in the chunked framing")
        }
        switch state {
        case .size:
            if byte == 0x20 || byte == 0x09 { return FramingError(reason: "white space follows a chunk size") }
        case .restOfSizeLine, .trailers:
            if byte != 0x0A { extra += 1 }
            guard extra <= Self.extraLimit else {
                return FramingError(reason: "the chunk extensions and trailers are too long")
            }
            if case .trailers = state { return checkTrailer(byte) }
        case .payload, .payloadEnd, .done: break
        }
        return nil
    }

    private mutating func checkTrailer(_ byte: UInt8) -> FramingError? {
        let nameless = FramingError(reason: "a trailer has no name")
        switch byte {
        case 0x0A: isInTrailerValue = false
        case 0x0D: return isInTrailerValue || lineLength == 1 ? nil : nameless
        case UInt8(ascii: ":") where !isInTrailerValue:
            isInTrailerValue = true
            return lineLength > 1 ? nil : nameless
        default: return isInTrailerValue || byte.isTokenCharacter ? nil : nameless
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
