// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore

/// A request's body on its way to an upstream while it still arrives: as much as the connection takes, no more.
final class OutgoingUpload {
    private let source: any RequestUpload
    private let isChunked: Bool
    private unowned let stream: UpstreamStream
    private let listener: @Sendable () -> Void
    private var isOpen = true
    private var isPumping = false
    /// Whether all of it was sent.
    private(set) var isComplete = false

    /// An upload for `stream`; `listener` is called when there is more.
    init(_ source: any RequestUpload, stream: UpstreamStream, listener: @escaping @Sendable () -> Void) {
        self.source = source
        self.stream = stream
        self.listener = listener
        isChunked = source.length == nil
    }

    /// Sends the head and what is there of the body.
    func begin(behind head: inout ByteBuffer, _ context: ChannelHandlerContext) {
        if let length = source.length {
            head.writeString("content-length: \(length)\r\n\r\n")
        } else {
            head.writeStaticString("transfer-encoding: chunked\r\n\r\n")
        }
        context.write(NIOAny(head), promise: nil)
        source.listen(listener)
        pump(context)
        context.flush()
    }

    /// Sends what is there, as far as the connection has room.
    func pump(_ context: ChannelHandlerContext) {
        // A flush may make room and call this again.
        guard isOpen, !isPumping else { return }
        isPumping = true
        defer { isPumping = false }
        while isOpen, context.channel.isWritable {
            switch source.read() {
            case .bytes(let bytes):
                write(bytes, context)
                context.flush()
                stream.uploadMoved()
            case .nothing: return
            case .end:
                if isChunked { context.writeAndFlush(NIOAny(ByteBuffer(staticString: "0\r\n\r\n")), promise: nil) }
                isComplete = true
                stop()
                stream.uploadEnded()
            case .failed(let error):
                stop()
                stream.fail(error)
            }
        }
    }

    /// Reads no more of it.
    func stop() {
        guard isOpen else { return }
        isOpen = false
        source.listen(nil)
    }

    private func write(_ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
        guard isChunked else {
            context.write(NIOAny(bytes), promise: nil)
            return
        }
        let size = ByteBuffer(string: String(bytes.readableBytes, radix: 16) + "\r\n")
        context.write(NIOAny(size), promise: nil)
        context.write(NIOAny(bytes), promise: nil)
        context.write(NIOAny(ByteBuffer(staticString: "\r\n")), promise: nil)
    }
}
