// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import NIOSSL
import ParleyCore

/// One connection to an upstream, used by one request at a time.
///
/// `@unchecked Sendable`: every method runs on the event loop of its channel, where its shard and its pool live too.
final class UpstreamConnection: DirectHandler, ChannelInboundHandler, RemovableChannelHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer

    /// Bodies up to this size are sent in one buffer with the head.
    private static let joinLimit = 32 << 10

    private let pool: Pool
    private var framing = ResponseFraming()
    private var current: UpstreamStream?
    private var isReading = true
    /// The body that is being sent while it arrives.
    private var upload: OutgoingUpload?
    /// Whether the request asks for a WebSocket.
    private var isUpgrade = false
    /// When the connection became idle.
    private(set) var idleSince = NIODeadline.now()
    /// How many requests it has carried.
    private(set) var requests = 0

    init(pool: Pool) {
        self.pool = pool
    }

    /// Whether the connection still stands.
    private(set) var isActive = false

    /// The connection stands. Said by whoever made it: behind a proxy or TLS there is no event of the channel for it, and
    /// for plain connections the event comes after the pool was told.
    func begin() {
        isActive = context?.channel.isActive ?? false
    }

    /// Sends a request whose answer fills `stream`.
    func send(_ request: UpstreamRequest, filling stream: UpstreamStream) {
        guard context != nil, isActive else {
            stream.fail(Self.closedEarly)
            return
        }
        requests += 1
        current = stream
        isUpgrade = request.isUpgrade
        framing.reset()
        if let upload = request.upload {
            var head = request.head
            return begin(upload, behind: &head, filling: stream)
        }
        let body = request.body
        let length = body?.readableBytes ?? 0
        let room = request.head.readableBytes + 40 + (length <= Self.joinLimit ? length : 0)
        let shard = pool.shard
        var out = shard.spare.take(room: room)
        out.writeImmutableBuffer(request.head)
        if body != nil {
            out.writeStaticString("content-length: ")
            out.writeDecimal(length)
            out.writeStaticString("\r\n")
        }
        out.writeStaticString("\r\n")
        if let body, length > Self.joinLimit {
            transmit(out, body)
        } else {
            if let body { out.writeImmutableBuffer(body) }
            transmit(out)
        }
        shard.spare.give(back: out)
    }

    /// The reader has caught up.
    func drained(_ stream: UpstreamStream) {
        guard current === stream, !isReading, let context else { return }
        isReading = true
        context.channel.setOption(.autoRead, value: true).whenFailure { _ in }
    }

    /// The request was given up before its answer was complete: the connection is of no further use.
    func abandon(_ stream: UpstreamStream) {
        guard current === stream else { return }
        current = nil
        stopUpload()
        close()
    }

    /// Closes the connection at once.
    func close() {
        isActive = false
        context?.close(promise: nil)
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        attach(to: context, isPlain: !pool.endpoint.isSecure)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        detach()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        guard let stream = current else {
            // An idle connection has nothing to say.
            close()
            return
        }
        var arrival = Arrival()
        do {
            try framing.read(bytes, into: &arrival)
        } catch {
            fail(ParleyError(.upstreamUnavailable, "The upstream broke HTTP's rules: \(error.reason)."))
            return
        }
        if isUpgrade, arrival.status == 101 { return handOver(stream, arrival, context) }
        stream.receive(&arrival)
        // What a service has refused it does not want the rest of; such a connection is not used again.
        if let status = arrival.status, status >= 300 { upload?.stop() }
        if arrival.isComplete {
            finish()
            stream.signal()
        } else if stream.isFull, isReading {
            isReading = false
            context.channel.setOption(.autoRead, value: false).whenFailure { _ in }
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { upload?.pump(context) }
        context.fireChannelWritabilityChanged()
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        current?.signal()
        if isReading { readOn() }
    }

    func channelInactive(context: ChannelHandlerContext) {
        isActive = false
        stopUpload()
        if let stream = current {
            if framing.close(), framing.isDone {
                current = nil
                stream.end()
                stream.signal()
            } else {
                fail(stream.hasArrived ? Self.cut : Self.closedEarly)
            }
        }
        pool.remove(self)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A peer that closes TLS without saying so: EOF follows, and the framing knows whether anything is missing.
        if let error = error as? NIOSSLError, case .uncleanShutdown = error { return }
        fail(
            ParleyError(.upstreamUnavailable, "The connection to the upstream failed (\(ConnectFailure.name(error)))."))
        close()
    }

    private func finish() {
        current = nil
        if !isReading, let context {
            isReading = true
            context.channel.setOption(.autoRead, value: true).whenFailure { _ in }
        }
        guard framing.isReusable, isActive, stopUpload() else {
            close()
            return
        }
        idleSince = .now()
        pool.release(self)
    }

    /// Gives the channel to the WebSocket that the service has switched to, with what came of it already.
    private func handOver(_ stream: UpstreamStream, _ arrival: Arrival, _ context: ChannelHandlerContext) {
        current = nil
        isActive = false
        let socket = stream.upgrade(arrival)
        let pipeline = context.pipeline.syncOperations
        do {
            try pipeline.addHandlers(WebSocketPipeline.handlers(ending: socket), position: .after(self))
            if let early = arrival.body { context.fireChannelRead(NIOAny(early)) }
            pipeline.removeHandler(self, promise: nil)
        } catch {
            socket.fail(Self.cut)
            close()
        }
        stream.signal()
    }

    private func begin(_ upload: UpstreamUpload, behind head: inout ByteBuffer, filling stream: UpstreamStream) {
        guard let context else { return }
        stream.awaitUpload(upload)
        let outgoing = OutgoingUpload(upload.source, stream: stream) { [weak self] in
            guard let self, let context = self.context else { return }
            self.upload?.pump(context)
        }
        self.upload = outgoing
        outgoing.begin(behind: &head, context)
    }

    /// Reads no more of an upload.
    ///
    /// - Returns: whether there was none, or all of it was sent.
    @discardableResult
    private func stopUpload() -> Bool {
        guard let upload else { return true }
        self.upload = nil
        upload.stop()
        // Its last bytes may still wait in the channel.
        followChannel()
        return upload.isComplete
    }

    private func fail(_ error: ParleyError) {
        guard let stream = current else { return }
        stream.fail(error)
    }

    /// The connection was closed before any byte of the answer came.
    static let closedEarly = ParleyError(
        .upstreamUnavailable, "The upstream closed the connection without an answer.")
    private static let cut = ParleyError(
        .upstreamUnavailable, "The upstream closed the connection in the middle of its answer.")
}
