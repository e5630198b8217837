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
    /// A chunk's size line: eight hexadecimal digits and CR LF. Leading zeros are allowed (RFC 9112 section 7.1).
    fileprivate static let sizeLine: StaticString = "00000000\r\n"

    /// What to append the piece to.
    var bytes: ByteBuffer
    fileprivate let isChunked: Bool
    /// Whether room for the size line was left in front. A stream's first piece has none: it is often large and there
    /// already, and follows the head in a buffer of its own.
    fileprivate let hasSizeLine: Bool

    init(isChunked: Bool, isFirst: Bool, in bytes: consuming ByteBuffer) {
        self.isChunked = isChunked
        hasSizeLine = isChunked && !isFirst
        self.bytes = bytes
        if hasSizeLine { self.bytes.writeStaticString(Self.sizeLine) }
    }

    /// The piece's own length.
    var count: Int { bytes.readableBytes - (hasSizeLine ? Self.sizeLine.utf8CodeUnitCount : 0) }
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
        let count = piece.count
        var lead = response.hasHead ? ByteBuffer() : startStream(head, isChunked: piece.isChunked)
        if piece.isChunked {
            if count > 0 {
                if piece.hasSizeLine {
                    Self.writeSize(count, over: &piece.bytes, at: piece.bytes.readerIndex)
                } else {
                    let start = lead.writerIndex
                    lead.writeStaticString(OutgoingPiece.sizeLine)
                    Self.writeSize(count, over: &lead, at: start)
                }
                piece.bytes.writeStaticString(isLast ? "\r\n0\r\n\r\n" : "\r\n")
            } else {
                piece.bytes.clear()
                if isLast { piece.bytes.writeStaticString("0\r\n\r\n") }
            }
        }
        response.bytesOut += count
        guard lead.readableBytes > 0 else {
            if piece.bytes.readableBytes > 0 { write(piece.bytes) }
            return
        }
        if piece.bytes.readableBytes <= Self.joinLimit {
            lead.writeImmutableBuffer(piece.bytes)
            write(lead)
        } else {
            write(lead, piece.bytes)
        }
    }
}

extension ClientConnection: AnswerSink {
    /// Whether a stream's head was sent and the client takes more of it.
    var isReady: Bool { isWritable && response.hasHead && response.takesComments }

    func send(filledBy fill: (inout ByteBuffer) -> Bool) {
        guard let head = response.streamHead else { return }
        var piece = makePiece(in: shard.spare.take(room: 512))
        if fill(&piece.bytes) { send(&piece, head: head, isLast: false) }
        shard.spare.give(back: piece.bytes)
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

    /// Writes a chunk's size over the digits of a size line.
    private static func writeSize(_ count: Int, over out: inout ByteBuffer, at index: Int) {
        let offset = index - out.readerIndex
        var rest = UInt32(truncatingIfNeeded: count)
        out.withUnsafeMutableReadableBytes { bytes in
            guard bytes.count >= offset + 8 else { return }
            for place in stride(from: offset + 7, through: offset, by: -1) {
                let digit = UInt8(truncatingIfNeeded: rest & 15)
                bytes[place] = digit < 10 ? digit + 0x30 : digit + 0x57
                rest >>= 4
            }
        }
    }
}
