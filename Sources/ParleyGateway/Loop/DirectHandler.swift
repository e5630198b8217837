// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
import NIOCore
import NIOPosix

/// A channel's handler with a short way to its socket, past the pipeline of the channel.
///
/// A channel's pipeline and its queue of pending writes cost 2,900 instructions and some sixty reference counts a write;
/// the system call that they come to costs less. So bytes go straight into the socket as long as it takes all of them. What
/// it does not take at once goes to the channel, which waits, tells of back-pressure and finds out what is wrong; until all
/// of that has left, everything else follows it there.
///
/// Connections are such handlers rather than have a part that does this: of thousands of slow streams everything has left
/// the processor's caches by the time of the next event, and each further object costs as much as some hundred instructions.
///
/// Used only on the event loop of its channel.
class DirectHandler {
    private typealias Socket = NIOTransportAccessibleChannelCore<NIOBSDSocket.Handle>

    /// The place in the channel's pipeline; nil before and behind.
    private(set) final var context: ChannelHandlerContext?
    /// Nil where bytes must not go past the pipeline. It is asked for its descriptor at every write, which it refuses once
    /// it is closed: the number may be another connection's by then.
    private final var socket: (any Socket)?
    /// Writes that the channel has not completed.
    private final var queued = 0

    /// The handler has come into a pipeline.
    ///
    /// - Parameter isPlain: whether bytes leave as they are: no other handler changes them on their way.
    final func attach(to context: ChannelHandlerContext, isPlain: Bool) {
        self.context = context
        socket = isPlain ? context.channel._channelCore as? any Socket : nil
    }

    /// The handler has left its pipeline: nothing is sent any more.
    final func detach() {
        context = nil
        socket = nil
    }

    /// Sends bytes.
    final func transmit(_ bytes: ByteBuffer) {
        let sent = send { socket in
            bytes.withUnsafeReadableBytes { Glibc.send(socket, $0.baseAddress, $0.count, Self.flags) }
        }
        if sent < bytes.readableBytes { enqueue(bytes.dropping(sent)) }
    }

    /// Sends bytes that lie in two places, without putting them together first.
    final func transmit(_ first: ByteBuffer, _ second: ByteBuffer) {
        let sent = send { socket in
            first.withUnsafeReadableBytes { first in
                second.withUnsafeReadableBytes { second in Self.send(first, second, to: socket) }
            }
        }
        let left = first.readableBytes - sent
        if left > 0 {
            context?.write(NIOAny(first.dropping(sent)), promise: nil)
            enqueue(second)
        } else if -left < second.readableBytes {
            enqueue(second.dropping(-left))
        }
    }

    /// Asks for what arrives next, which the pipeline would do behind each read. Only for who does not want to be left alone.
    final func readOn() {
        socket?.read0()
    }

    /// Makes what is written from now on wait for all that was written to the channel itself.
    final func followChannel() {
        enqueue(ByteBuffer())
    }

    /// Does something once everything has left, or cannot leave any more.
    final func whenSent(_ action: @escaping () -> Void) {
        // An empty write completes after all others.
        context?.writeAndFlush(NIOAny(ByteBuffer())).assumeIsolated().whenComplete { _ in action() }
    }

    private static let flags = CInt(MSG_NOSIGNAL) | CInt(MSG_DONTWAIT)

    /// Lets the socket take what it takes.
    ///
    /// - Returns: how many bytes it took; none where it is full, broken, or not to be used. The channel will see why.
    private func send(_ body: (CInt) -> Int) -> Int {
        guard queued == 0, let socket, let count = try? socket.withUnsafeTransport(body) else { return 0 }
        return max(count, 0)
    }

    private static func send(
        _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer, to socket: CInt
    ) -> Int {
        withUnsafeTemporaryAllocation(of: iovec.self, capacity: 2) { parts in
            parts[0] = iovec(iov_base: UnsafeMutableRawPointer(mutating: first.baseAddress), iov_len: first.count)
            parts[1] = iovec(iov_base: UnsafeMutableRawPointer(mutating: second.baseAddress), iov_len: second.count)
            var message = msghdr()
            message.msg_iov = parts.baseAddress
            message.msg_iovlen = parts.count
            return sendmsg(socket, &message, flags)
        }
    }

    private func enqueue(_ bytes: ByteBuffer) {
        guard let context else { return }
        queued += 1
        context.writeAndFlush(NIOAny(bytes)).assumeIsolated().whenComplete { _ in self.queued -= 1 }
    }
}

extension ByteBuffer {
    /// What is readable behind the first `count` bytes.
    fileprivate func dropping(_ count: Int) -> ByteBuffer {
        var rest = self
        rest.moveReaderIndex(forwardBy: count)
        return rest
    }
}
