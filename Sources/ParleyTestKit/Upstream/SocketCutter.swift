// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.
import Glibc
import NIOCore

/// Sits next to the socket, below any TLS, so that a connection can be dropped without a goodbye.
final class SocketCutter: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer

    private var context: ChannelHandlerContext?

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    /// Closes the socket: with a reset, or as the end of a process would.
    func cut(_ cut: Script.Cut) {
        guard let context else { return }
        if cut == .rst, let socket = context.channel as? any SocketOptionProvider {
            // On the channel's own loop this takes effect before it returns.
            _ = socket.setSoLinger(linger(l_onoff: 1, l_linger: 0))
        }
        context.close(mode: .all, promise: nil)
    }
}
