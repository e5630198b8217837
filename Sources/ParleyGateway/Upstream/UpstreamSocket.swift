// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import NIOSSL
import NIOWebSocket
import ParleyCore

/// One WebSocket to an upstream: a mailbox of messages that the channel fills and one task empties. The same task or
/// another one sends.
///
/// `@unchecked Sendable`: created, filled and emptied only on the event loop of its channel, where its shard lives too.
final class UpstreamSocket: ChannelInboundHandler, WebSocket, @unchecked Sendable {
    typealias InboundIn = WebSocketFrame
    typealias OutboundOut = WebSocketFrame

    /// Unread bytes above which the channel stops reading.
    private static let highWater = 64 << 10
    /// What a message costs beside its bytes: empty ones must not pile up either.
    private static let overhead = 64
    /// How long the peer may take to end the connection after the closing frames.
    private static let rest = TimeAmount.seconds(1)

    private let shard: Shard
    private let waiter: Waiter
    /// Wakes the task that sends.
    private let writing: Waiter
    /// When that task has waited long enough.
    private var sendDeadline = NIODeadline.distantFuture
    private var isSendLate = false
    private var context: ChannelHandlerContext?
    private var unread = CircularBuffer<ByteBuffer>()
    private var unreadSize = 0
    private var isReading = true
    /// Nothing comes any more, as agreed.
    private var isEnded = false
    private var failure: ParleyError?
    /// Whether the closing frame was sent; nothing follows it.
    private var isClosing = false
    /// This socket's place within the endpoint's limit, until it is closed.
    private var slot: EndpointSlot?
    /// When the task has waited long enough, or the connection is closed for good.
    private var deadline = NIODeadline.distantFuture
    private var isAwaited = false
    private var isLate = false
    /// The place in the shard's list of sockets.
    var sweepIndex = -1

    init(shard: Shard, slot: EndpointSlot?) {
        self.shard = shard
        self.slot = slot
        waiter = Waiter(shard.loop)
        writing = Waiter(shard.loop)
        shard.sockets.add(self)
    }

    // MARK: The task's side

    func send(_ text: ByteBuffer, by deadline: NIODeadline) async throws(ParleyError) {
        if let failure { throw failure }
        guard !isClosing, let context else { throw Self.closed }
        if Task.isCancelled { throw abort() }
        write(.text, text)
        while !context.channel.isWritable {
            try await waitForRoom(until: deadline)
            if let failure { throw failure }
            if isClosing { throw Self.closed }
        }
    }

    func next(by deadline: NIODeadline) async throws(ParleyError) -> ByteBuffer? {
        while true {
            if let message = unread.popFirst() {
                unreadSize -= message.readableBytes + Self.overhead
                resume()
                return message
            }
            if let failure { throw failure }
            if isEnded { return nil }
            try await wait(until: deadline)
        }
    }

    func close() {
        guard failure == nil else { return }
        if Task.isCancelled, !isEnded { return fail(Self.cancelled, .goingAway) }
        isEnded = true
        unread.removeAll()
        unreadSize = 0
        resume()
        beginClosing(.normalClosure)
        wake()
    }

    private func wait(until deadline: NIODeadline) async throws(ParleyError) {
        if Task.isCancelled { throw abort() }
        if !isClosing { expire(at: deadline) }
        isAwaited = true
        await waiter.wait()
        isAwaited = false
        if Task.isCancelled { throw abort() }
        guard isLate else { return }
        isLate = false
        throw ParleyError(.timeout, "The upstream went silent for longer than the time allowed.")
    }

    private func waitForRoom(until deadline: NIODeadline) async throws(ParleyError) {
        if Task.isCancelled { throw abort() }
        sendDeadline = deadline
        expire(at: self.deadline)
        await writing.wait()
        sendDeadline = .distantFuture
        if Task.isCancelled { throw abort() }
        guard isSendLate else { return }
        isSendLate = false
        throw ParleyError(.timeout, "The upstream did not take a message within the time allowed.")
    }

    /// Wakes whoever waits.
    private func wake() {
        waiter.signal()
        writing.signal()
    }

    /// Nobody wants the socket any more: it is closed without waiting for the peer's consent.
    private func abort() -> ParleyError {
        fail(Self.cancelled, .goingAway)
        return Self.cancelled
    }

    private func expire(at deadline: NIODeadline) {
        self.deadline = deadline
        shard.sockets.setDeadline(min(deadline, sendDeadline), of: self)
    }

    private func resume() {
        guard !isReading, unreadSize <= Self.highWater, let context else { return }
        isReading = true
        context.channel.setOption(.autoRead, value: true).whenFailure { _ in }
    }

    // MARK: The channel's side

    /// The socket cannot go on; what came before stays readable.
    ///
    /// - Parameter code: what the peer is told, where it can still be told anything.
    func fail(_ error: ParleyError, _ code: WebSocketErrorCode? = nil) {
        guard !isEnded, failure == nil else { return }
        failure = error
        if let code { writeClose(code) }
        context?.close(promise: nil)
        leave()
        wake()
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let frame = unwrapInboundIn(data)
        switch frame.opcode {
        case .text: receive(frame.data)
        case .binary: fail(Self.breach("sent a binary message where text was expected"), .unacceptableData)
        case .ping where !isClosing && context.channel.isWritable:
            // A peer that does not read its answers gets none.
            write(.pong, frame.data)
        case .connectionClose: peerCloses(frame.data)
        default: break
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if !unread.isEmpty { waiter.signal() }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { writing.signal() }
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(ParleyError(.upstreamUnavailable, "The upstream closed the connection without ending the WebSocket."))
        leave()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        // A peer that closes TLS without saying so, or in the middle of a frame: EOF follows.
        case NIOSSLError.uncleanShutdown, is ByteToMessageDecoderError: return
        case NIOWebSocketError.invalidFrameLength, NIOWebSocketFrameAggregator.Error.accumulatedFrameSizeIsTooLarge,
            NIOWebSocketFrameAggregator.Error.tooManyFragments:
            fail(Self.breach("sent a message that is too long"), .messageTooLarge)
        case is NIOWebSocketError, is NIOWebSocketFrameAggregator.Error, is ServerFrameError:
            fail(Self.breach("broke the rules of WebSocket"), .protocolError)
        default: lose(error)
        }
        context.close(promise: nil)
    }

    private func lose(_ error: any Error) {
        fail(
            ParleyError(.upstreamUnavailable, "The connection to the upstream failed (\(ConnectFailure.name(error)))."))
    }

    private func receive(_ message: ByteBuffer) {
        guard !isClosing, failure == nil else { return }
        guard message.isText else {
            return fail(Self.breach("sent a message that is not UTF-8"), .dataInconsistentWithMessage)
        }
        unread.append(message)
        unreadSize += message.readableBytes + Self.overhead
        if unreadSize > Self.highWater, isReading {
            isReading = false
            context?.channel.setOption(.autoRead, value: false).whenFailure { _ in }
        }
    }

    /// The peer's closing frame: answered, unless it answers ours (RFC 6455 section 5.5.1).
    private func peerCloses(_ data: ByteBuffer) {
        guard !isClosing else {
            context?.close(promise: nil)
            return
        }
        guard failure == nil else { return }
        let code = data.readableBytes >= 2 ? data.getInteger(at: data.readerIndex, as: UInt16.self) : nil
        switch code {
        case nil, 1000?, 1001?: isEnded = true
        case let code?:
            failure = ParleyError(.upstreamUnavailable, "The upstream closed the WebSocket with code \(code).")
        }
        beginClosing(.normalClosure)
        wake()
    }

    // MARK: Closing

    /// Sends the closing frame, and leaves the peer a moment to end the connection.
    private func beginClosing(_ code: WebSocketErrorCode) {
        guard !isClosing else { return }
        writeClose(code)
        slot?.release()
        slot = nil
        expire(at: .now() + Self.rest)
    }

    private func writeClose(_ code: WebSocketErrorCode) {
        guard !isClosing else { return }
        isClosing = true
        var data = ByteBuffer()
        data.write(webSocketErrorCode: code)
        write(.connectionClose, data)
    }

    private func write(_ opcode: WebSocketOpcode, _ data: ByteBuffer) {
        guard let context else { return }
        let frame = WebSocketFrame(fin: true, opcode: opcode, maskKey: .random(), data: data)
        context.writeAndFlush(wrapOutboundOut(frame), promise: nil)
    }

    private func leave() {
        slot?.release()
        slot = nil
        shard.sockets.remove(self)
    }

    private static let cancelled = ParleyError(.cancelled, "The request was cancelled.")
    private static let closed = ParleyError(.upstreamUnavailable, "The WebSocket is closed.")

    private static func breach(_ what: String) -> ParleyError {
        ParleyError(.upstreamUnavailable, "The upstream \(what).")
    }
}

extension UpstreamSocket: Swept {
    /// Called by the shard's sweep.
    func sweep(now: NIODeadline) {
        if sendDeadline <= now {
            sendDeadline = .distantFuture
            isSendLate = true
            writing.signal()
        }
        guard deadline <= now else { return expire(at: deadline) }
        expire(at: .distantFuture)
        if isClosing {
            context?.close(promise: nil)
        } else if isAwaited {
            isLate = true
            waiter.signal()
        }
    }
}

extension ByteBuffer {
    /// Whether these bytes are UTF-8.
    fileprivate var isText: Bool {
        (try? getUTF8ValidatedString(at: readerIndex, length: readableBytes)) != nil
    }
}
