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
    /// Set while the client does not read: when it is given up.
    var stalledUntil: NIODeadline?

    /// Whether a comment line may be sent now.
    var takesComments: Bool { streamHead != nil }
}

/// A piece of a stream on its way to the client, with room for its framing in front.
struct OutgoingPiece {
    /// A chunk's size line: eight hexadecimal digits and CR LF. Leading zeros are allowed (RFC 9112 section 7.1).
    fileprivate static let sizeLine: StaticString = "00000000\r\n"

    /// What to append the piece to.
    var bytes = ByteBuffer()
    fileprivate let isChunked: Bool
    fileprivate let start: Int

    init(isChunked: Bool) {
        self.isChunked = isChunked
        if isChunked {
            bytes.reserveCapacity(512)
            bytes.writeStaticString(Self.sizeLine)
        }
        start = bytes.writerIndex
    }

    /// The piece's own length.
    var count: Int { bytes.writerIndex - start }
}

extension ClientConnection {
    /// Sends a whole response.
    func send(_ head: AnswerHead, body: ByteBuffer, omitsBody: Bool = false) {
        guard !response.hasHead else { return }
        response.framing = head.status == 204 ? .none : .length(body.readableBytes)
        beginHead(head.status)
        var out = ByteBuffer()
        let isJoined = body.readableBytes <= 32 << 10 && !omitsBody
        out.reserveCapacity(512 + (isJoined ? body.readableBytes : 0))
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
            context?.write(wrapOutboundOut(out), promise: nil)
            write(body)
        }
    }

    /// A piece to fill and `send`.
    func makePiece() -> OutgoingPiece {
        OutgoingPiece(isChunked: !response.isHTTP10)
    }

    /// Sends a piece of a stream, with the head where it was not sent yet.
    func send(_ piece: OutgoingPiece, head: AnswerHead, isLast: Bool) {
        var out = piece.bytes
        let count = piece.count
        if piece.isChunked {
            if count > 0 {
                Self.patchSize(of: &out, count)
                out.writeStaticString(isLast ? "\r\n0\r\n\r\n" : "\r\n")
            } else {
                out.clear()
                if isLast { out.writeStaticString("0\r\n\r\n") }
            }
        }
        response.bytesOut += count
        if !response.hasHead {
            var first = startStream(head, isChunked: piece.isChunked)
            if out.readableBytes <= 32 << 10 {
                first.writeImmutableBuffer(out)
                write(first)
                return
            }
            context?.write(wrapOutboundOut(first), promise: nil)
        }
        if out.readableBytes > 0 { write(out) }
    }

    /// Sends a comment line on a stream that waits, so that nothing on the way takes it for dead.
    func sendComment() {
        guard let head = response.streamHead else { return }
        var piece = makePiece()
        piece.bytes.writeStaticString(": keep-alive\n\n")
        send(piece, head: head, isLast: false)
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

    private static func patchSize(of out: inout ByteBuffer, _ count: Int) {
        var rest = UInt32(truncatingIfNeeded: count)
        out.withUnsafeMutableReadableBytes { bytes in
            guard bytes.count >= 8 else { return }
            for offset in stride(from: 7, through: 0, by: -1) {
                let digit = UInt8(truncatingIfNeeded: rest & 15)
                bytes[offset] = digit < 10 ? digit + 0x30 : digit + 0x57
                rest >>= 4
            }
        }
    }
}
