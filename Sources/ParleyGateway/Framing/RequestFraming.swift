// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore

/// HTTP/1.1 request framing for clients (RFC 9112): bytes in; heads, bodies and their ends out.
///
/// Strict where a reader in front of this one might see other requests in the same bytes: every line ends with CR LF, there
/// is one length or the chunked coding and never both, and nothing is folded, guessed or repaired.
struct RequestFraming {
    /// A part of a request, in their order.
    enum Part {
        case head(RequestHead)
        case body(ByteBuffer)
        case end
    }

    private enum State {
        case head
        case length(Int)
        /// In chunks, which `chunks` reads.
        case chunked
        /// Behind what could not be read, and behind the last request: nothing more is read.
        case over
    }

    private var state = State.head
    private var chunks = ChunkReader(isStrict: true)
    /// Whether another request may follow the one that is being read.
    private var goesOn = true
    /// The beginning of a head that is not complete.
    private var held: ByteBuffer?
    /// Where in `held` the line begins that is not complete.
    private var lineStart = 0
    /// The most bytes of a head.
    private let headLimit: Int

    init(headLimit: Int) {
        self.headLimit = headLimit
    }

    /// Whether a head has begun and is not complete.
    var isHeadPending: Bool { held != nil }

    /// Takes in what a read brought, and hands out what became of it.
    ///
    /// Bytes behind a request that ends the connection are ignored, and so is all behind an error.
    ///
    /// - Throws: `FramingError` for what is not HTTP.
    mutating func read(_ bytes: ByteBuffer, _ take: (Part) -> Void) throws(FramingError) {
        var input = bytes
        do throws(FramingError) {
            while input.readableBytes > 0 { try step(&input, take) }
        } catch {
            state = .over
            held = nil
            throw error
        }
    }

    /// Reads one part.
    private mutating func step(_ input: inout ByteBuffer, _ take: (Part) -> Void) throws(FramingError) {
        switch state {
        case .head:
            guard let head = try readHead(&input) else { return }
            goesOn = head.keepsAlive
            take(.head(head))
            if head.isChunked {
                chunks = ChunkReader(isStrict: true)
                state = .chunked
            } else if let length = head.contentLength, length > 0 {
                state = .length(length)
            } else {
                end(take)
            }
        case .length(let left):
            let count = min(left, input.readableBytes)
            guard let body = input.readSlice(length: count) else { return }
            take(.body(body))
            state = .length(left - count)
            if count == left { end(take) }
        case .chunked:
            var body: ByteBuffer?
            let used = try chunks.read(input, into: &body)
            input.moveReaderIndex(forwardBy: used)
            if let body { take(.body(body)) }
            if chunks.isDone { end(take) }
        case .over: input.clear()
        }
    }

    private mutating func end(_ take: (Part) -> Void) {
        state = goesOn ? .head : .over
        take(.end)
    }

    // MARK: Heads

    /// The next head; nil where the input ends before it does.
    private mutating func readHead(_ input: inout ByteBuffer) throws(FramingError) -> RequestHead? {
        if var joined = held {
            held = nil
            joined.writeBuffer(&input)
            input = joined
        } else {
            lineStart = 0
        }
        skipEmptyLines(&input)
        guard let first = input.getInteger(at: input.readerIndex, as: UInt8.self) else { return nil }
        let length = try headLength(input)
        guard (length ?? input.readableBytes) <= headLimit else { throw FramingError.headTooLong }
        guard let length else {
            // Somebody who speaks TLS, or anything else, waits for an answer and not for the end of a head.
            guard first.isTokenCharacter || first == 0x0D && input.readableBytes == 1 else {
                throw FramingError.noMethod
            }
            held = input
            input.clear()
            return nil
        }
        let head: Result<RequestHead, FramingError> = input.withUnsafeReadableBytes { bytes in
            do throws(FramingError) {
                return .success(try RequestHead(UnsafeRawBufferPointer(rebasing: bytes[..<length])))
            } catch {
                return .failure(error)
            }
        }
        input.moveReaderIndex(forwardBy: length)
        return try head.get()
    }

    /// Clients may send an empty line behind a body.
    private func skipEmptyLines(_ input: inout ByteBuffer) {
        while input.readableBytes >= 2, input.getInteger(at: input.readerIndex, as: UInt16.self) == 0x0D0A {
            input.moveReaderIndex(forwardBy: 2)
        }
    }

    /// The length of the head with its empty line; nil where it is not complete.
    private mutating func headLength(_ input: ByteBuffer) throws(FramingError) -> Int? {
        var start = lineStart
        var failure: FramingError?
        let end: Int? = input.withUnsafeReadableBytes { bytes in
            while let feed = bytes.place(of: 0x0A, from: start) {
                guard feed > start, bytes[feed - 1] == 0x0D else {
                    failure = FramingError(reason: "a line of the head does not end with CR LF")
                    return nil
                }
                if feed == start + 1 { return feed + 1 }
                start = feed + 1
            }
            return nil
        }
        if let failure { throw failure }
        lineStart = start
        return end
    }
}

/// The lines of a request's head, which ends with an empty one; every line ends with CR LF.
struct HeadLines {
    private let bytes: UnsafeRawBufferPointer
    private var start = 0

    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
    }

    /// The next line without its end; nil behind the last one.
    mutating func next() -> UnsafeRawBufferPointer? {
        guard let feed = bytes.place(of: 0x0A, from: start), feed > start + 1 else { return nil }
        defer { start = feed + 1 }
        return UnsafeRawBufferPointer(rebasing: bytes[start..<feed - 1])
    }
}
