// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore

/// How far the response to the running request is.
struct Response {
    /// Whether no request is being answered.
    var isIdle = true
    /// Whether another request may follow on the connection.
    var keepsAlive = true
    /// Whether the client may still be sending what nobody will read.
    var lingers = false
    /// Whether the response was given up half-way, so that the connection must be cut.
    var isAborted = false
    /// Whether the head was sent.
    var hasHead = false
    /// The status that was sent.
    var status = 0
    /// How the body's end is told, once the head was sent.
    var framing = BodyFraming.none
    /// Whether the client speaks HTTP/1.0 and knows no chunks.
    var isHTTP10 = false
    /// Body bytes sent, framing not counted.
    var bytesOut = 0
    /// The head of a stream, ready in case a comment must be sent before the answer is there.
    var streamHead: AnswerHead?
    /// What a stream that waits is given, in the client's dialect; nothing where the dialect has no such thing.
    var keepAlive: StaticString = ": keep-alive\n\n"
    /// Set while the client does not read: when it is given up.
    var stalledUntil: NIODeadline?

    /// Whether a comment line may be sent now.
    var takesComments: Bool { streamHead != nil }
}

/// A piece of a stream on its way to the client.
struct OutgoingPiece {
    /// The bytes of a chunk's size line: eight hexadecimal digits and CR LF. Leading zeros are allowed (RFC 9112 section
    /// 7.1).
    fileprivate static let sizeLine = 10

    /// What to append the piece to.
    var bytes: ByteBuffer
    fileprivate let isChunked: Bool
    /// Whether room for the size line was left in front. A stream's first piece has none: it is often large and there
    /// already, and follows the head in a buffer of its own.
    fileprivate let hasSizeLine: Bool

    init(isChunked: Bool, isFirst: Bool, in bytes: consuming ByteBuffer) {
        self.isChunked = isChunked
        hasSizeLine = isChunked && !isFirst
        // Before it is stored: behind that it would have two owners for a moment, and be copied.
        if hasSizeLine { bytes.leaveSizeLine() }
        self.bytes = bytes
    }

    /// The piece's own length.
    var count: Int { bytes.readableBytes - (hasSizeLine ? Self.sizeLine : 0) }

    /// The eight hexadecimal digits of a number, the first one in the highest byte.
    static func hexadecimal(_ value: UInt32) -> UInt64 {
        // Each half of what is left moves apart, until every digit has a byte of its own.
        var digits = UInt64(value)
        digits = (digits << 16 | digits) & 0x0000_FFFF_0000_FFFF
        digits = (digits << 8 | digits) & 0x00FF_00FF_00FF_00FF
        digits = (digits << 4 | digits) & 0x0F0F_0F0F_0F0F_0F0F
        // Six more make a digit over 9 reach the fifth bit: such bytes are letters.
        let letters = (digits &+ 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
        return digits | 0x3030_3030_3030_3030 &+ letters &* 0x27
    }
}

extension ClientConnection {
    /// Sends a whole response.
    func send(_ head: AnswerHead, body: ByteBuffer, omitsBody: Bool = false) {
        guard !response.hasHead else { return }
        response.framing = head.status == 204 ? .none : .length(body.readableBytes)
        beginHead(head.status)
        let isJoined = body.readableBytes <= Self.joinLimit && !omitsBody
        var out = shard.spare.take(room: 512 + (isJoined ? body.readableBytes : 0))
        defer { shard.spare.give(back: out) }
        head.write(
            into: &out, framing: response.framing, keepAlive: response.keepsAlive, isHTTP10: response.isHTTP10,
            clock: &shard.clock)
        guard !omitsBody else {
            write(out)
            return
        }
        response.bytesOut += body.readableBytes
        if isJoined {
            out.writeImmutableBuffer(body)
            write(out)
        } else {
            write(out, body)
        }
    }

    /// A piece to fill and `send`.
    ///
    /// - Parameter bytes: what to fill. With no room where a piece waits for its contents: thousands may wait, and most of
    ///   them in vain, since what arrives goes to the client by a shorter way.
    func makePiece(in bytes: consuming ByteBuffer = ByteBuffer()) -> OutgoingPiece {
        OutgoingPiece(isChunked: !response.isHTTP10, isFirst: !response.hasHead, in: bytes)
    }

    /// Sends a piece of a stream, with the head where it was not sent yet. The piece is used up: it is changed in place,
    /// since a copy of the bytes would cost more than all the rest.
    func send(_ piece: inout OutgoingPiece, head: AnswerHead, isLast: Bool) {
        guard !response.hasHead else { return send(&piece, isLast: isLast) }
        var lead = startStream(head, isChunked: piece.isChunked)
        frame(&piece, behind: &lead, isLast: isLast)
        write(&lead, with: piece.bytes)
    }

    /// Sends a piece of a stream whose head was sent.
    private func send(_ piece: inout OutgoingPiece, isLast: Bool) {
        var lead = ByteBuffer()
        frame(&piece, behind: &lead, isLast: isLast)
        if lead.readableBytes > 0 {
            // The piece was made when the head was still to come, which then left with a comment.
            write(&lead, with: piece.bytes)
        } else if piece.bytes.readableBytes > 0 {
            write(piece.bytes)
        }
    }

    private func write(_ lead: inout ByteBuffer, with bytes: ByteBuffer) {
        if bytes.readableBytes <= Self.joinLimit {
            lead.writeImmutableBuffer(bytes)
            write(lead)
        } else {
            write(lead, bytes)
        }
    }

    /// Makes a chunk of a piece, whose size is appended to `lead` where the piece has no room for it.
    private func frame(_ piece: inout OutgoingPiece, behind lead: inout ByteBuffer, isLast: Bool) {
        let count = piece.count
        if piece.isChunked {
            if count > 0 {
                if piece.hasSizeLine {
                    piece.bytes.fillSizeLine(count, at: piece.bytes.readerIndex)
                } else {
                    let start = lead.writerIndex
                    lead.leaveSizeLine()
                    lead.fillSizeLine(count, at: start)
                }
                piece.bytes.endChunk()
            } else {
                piece.bytes.clear()
            }
            if isLast { piece.bytes.writeStaticString("0\r\n\r\n") }
        }
        response.bytesOut += count
    }
}

extension ClientConnection: AnswerSink {
    /// Whether a stream's head was sent and the client takes more of it.
    var isReady: Bool { isWritable && response.hasHead && response.takesComments }

    func send(filledBy fill: (inout ByteBuffer) -> Bool) -> NIODeadline? {
        guard isReady else { return nil }
        var piece = makePiece(in: shard.spare.take(room: 512))
        let isFilled = fill(&piece.bytes)
        if isFilled { send(&piece, isLast: false) }
        shard.spare.give(back: piece.bytes)
        return isFilled && isReady ? lastWrite : nil
    }
}

extension ClientConnection {
    /// Bytes up to which a second buffer costs more than a copy.
    private static let joinLimit = 4 << 10

    /// Sends a comment line on a stream that waits, so that nothing on the way takes it for dead.
    func sendComment() {
        guard let head = response.streamHead, response.keepAlive.utf8CodeUnitCount > 0 else { return }
        var piece = makePiece()
        piece.bytes.writeStaticString(response.keepAlive)
        send(&piece, head: head, isLast: false)
    }

    private func startStream(_ head: AnswerHead, isChunked: Bool) -> ByteBuffer {
        response.framing = isChunked ? .chunked : .close
        if !isChunked { response.keepsAlive = false }
        beginHead(head.status)
        var out = ByteBuffer()
        head.write(into: &out, framing: response.framing, keepAlive: response.keepsAlive, clock: &shard.clock)
        head.empty()
        return out
    }

    private func beginHead(_ status: Int) {
        response.hasHead = true
        response.status = status
    }
}

// Written straight into the memory: every piece of a stream has them, and the buffer's own functions for a few bytes cost as
// much as the rest of the piece.
extension ByteBuffer {
    /// Leaves room for a size line, which is to be filled before the bytes are sent.
    fileprivate mutating func leaveSizeLine() {
        reserveCapacity(minimumWritableBytes: OutgoingPiece.sizeLine)
        moveWriterIndex(forwardBy: OutgoingPiece.sizeLine)
    }

    /// Fills the room that was left for a size line at an index.
    fileprivate mutating func fillSizeLine(_ count: Int, at index: Int) {
        let digits = OutgoingPiece.hexadecimal(UInt32(truncatingIfNeeded: count))
        withVeryUnsafeMutableBytes { bytes in
            guard bytes.count >= index + OutgoingPiece.sizeLine else { return }
            bytes.storeBytes(of: digits.bigEndian, toByteOffset: index, as: UInt64.self)
            bytes.storeBytes(of: UInt16(0x0D0A).bigEndian, toByteOffset: index + 8, as: UInt16.self)
        }
    }

    /// Appends the CR LF behind a chunk.
    fileprivate mutating func endChunk() {
        reserveCapacity(minimumWritableBytes: 2)
        let end = writerIndex
        withVeryUnsafeMutableBytes { bytes in
            guard bytes.count >= end + 2 else { return }
            bytes.storeBytes(of: UInt16(0x0D0A).bigEndian, toByteOffset: end, as: UInt16.self)
        }
        moveWriterIndex(forwardBy: 2)
    }
}
