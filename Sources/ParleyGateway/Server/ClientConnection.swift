// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyConfiguration
import ParleyCore

/// A client's connection: requests queue here as they arrive, one task answers them in order.
///
/// `@unchecked Sendable`: every method runs on the event loop of the connection, where its task runs too.
final class ClientConnection: DirectHandler, ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer

    /// Requests that may wait on a connection before it stops reading (pipelining).
    private static let queueLimit = 4
    /// How long a connection that was refused something may go on sending before it is closed.
    private static let lingerTime = TimeAmount.seconds(2)

    let shard: Shard
    /// Whether the connection has no TLS.
    private let isPlain: Bool
    /// Signalled with every event, the close of the connection and an abort included.
    private let waiter: Waiter
    private var task: Task<Void, Never>?
    private var framing: RequestFraming
    /// Requests not yet taken by the task, the newest maybe incomplete.
    private var queue: [Request] = []
    /// The request whose body is arriving.
    private var receiving: Request?
    private var isReading = true
    /// The upload that the running request's body goes to.
    private var upload: ClientUpload?
    private var gotPart = false
    /// Whether the channel's buffer takes more.
    private var hasRoom = true
    private var headPendingSince: NIODeadline?
    private var lastRead = NIODeadline.now()
    private(set) var lastWrite = NIODeadline.now()
    private var lingerUntil: NIODeadline?
    private(set) var isClosed = false
    /// Why the running call must end although the client is still there; set when the server shuts down.
    private(set) var abortion: ParleyError?
    var sweepIndex = -1
    /// Whether the next sweep comes when a comment is due, later than any other limit allows.
    private var isSweptLate = false
    /// Who sent the last request.
    var caller: Caller?
    /// The response being written.
    var response = Response()

    init(shard: Shard, headLimit: Int, isPlain: Bool) {
        self.shard = shard
        self.isPlain = isPlain
        framing = RequestFraming(headLimit: headLimit)
        self.waiter = Waiter(shard.loop)
    }

    // MARK: The task's side

    /// The next request, as soon as its head is there; nil when the connection is to end.
    func nextRequest() async -> Request? {
        while !isClosed, abortion == nil {
            if !queue.isEmpty {
                let request = queue.removeFirst()
                adjustReading()
                return request
            }
            if shard.gateway.isDraining { return nil }
            await waiter.waitForSignal()
        }
        return nil
    }

    /// The client's address; nil on a Unix-domain socket.
    var peer: String? { context?.channel.remoteAddress?.ipAddress }

    /// Waits until a request's body is complete, asking for it first where the client waits to be asked.
    ///
    /// - Throws: what is wrong with it, or `cancelled`.
    func awaitBody(of request: Request) async throws(ParleyError) {
        try await awaitBody(of: request) { _ throws(ParleyError) in request.isComplete }
    }

    /// Waits until so much of a request's body is there that `isEnough`, or all of it.
    ///
    /// - Throws: what is wrong with it, or `cancelled`.
    func awaitBody(
        of request: Request, until isEnough: (ByteBuffer) throws(ParleyError) -> Bool
    ) async throws(ParleyError) {
        if request.expectsContinue, !request.isComplete, request.failure == nil {
            request.expectsContinue = false
            write(ByteBuffer(staticString: "HTTP/1.1 100 Continue\r\n\r\n"))
        }
        while request.failure == nil, !isClosed, abortion == nil {
            if try isEnough(request.body) || request.isComplete { break }
            await waiter.waitForSignal()
        }
        if let failure = request.failure ?? abortion { throw failure }
        if isClosed { throw ParleyError(.cancelled, "The client left.") }
    }

    /// Hands what is left of a request's body to an upload; nil takes it back.
    func attach(_ upload: ClientUpload?) {
        self.upload = upload
    }

    /// Whether the client takes more at the moment, and nothing is in the way of sending it.
    var isWritable: Bool { !isClosed && abortion == nil && hasRoom }

    /// Waits until the client takes more, so that nothing piles up for one that reads slowly.
    ///
    /// - Throws: `cancelled` when the client left or did not read anything until `deadline`.
    func awaitWritable(by deadline: NIODeadline) async throws(ParleyError) {
        while !isClosed, abortion == nil, !hasRoom {
            response.stalledUntil = deadline
            sweepSoon()
            await waiter.waitForSignal()
            response.stalledUntil = nil
        }
        if isClosed { throw ParleyError(.cancelled, "The client left.") }
        if let abortion { throw abortion }
    }

    /// Sends bytes as they are.
    func write(_ bytes: ByteBuffer) {
        guard !isClosed else { return }
        lastWrite = .now()
        transmit(bytes)
    }

    /// Sends bytes that lie in two places.
    func write(_ first: ByteBuffer, _ second: ByteBuffer) {
        guard !isClosed else { return }
        lastWrite = .now()
        transmit(first, second)
    }

    /// Closes once everything was sent.
    func finish() {
        guard !isClosed else { return }
        whenSent { self.close() }
    }

    /// Ends a connection on which the client may still be sending: it gets time to read the answer first, since closing
    /// with unread bytes would make its system throw the answer away.
    func linger() {
        guard let context, !isClosed else { return }
        lingerUntil = .now() + Self.lingerTime
        adjustReading()
        context.close(mode: .output, promise: nil)
    }

    /// Closes at once.
    func close() {
        context?.close(promise: nil)
    }

    /// Ends the running call with an error; the connection closes behind it.
    func abort(_ error: ParleyError) {
        if response.isIdle, queue.isEmpty, receiving == nil {
            close()
            return
        }
        abortion = error
        task?.cancel()
        waiter.signal()
    }

    /// Wakes a task that waits for a request, so that it notices that the server is draining.
    func nudge() {
        waiter.signal()
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        attach(to: context, isPlain: isPlain)
        shard.clients.add(self, deadline: .now())
        shard.gateway.opened()
        task = shard.run { await self.serve() }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        detach()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard lingerUntil == nil else { return }
        do throws(FramingError) {
            try framing.read(unwrapInboundIn(data)) { take($0) }
        } catch {
            refuse(error)
        }
    }

    private func take(_ part: RequestFraming.Part) {
        gotPart = true
        switch part {
        case .head(let head): begin(head)
        case .body(let bytes):
            receiving?.append(bytes)
            if isReading, receiving?.isFull == true { adjustReading() }
        case .end:
            receiving?.isComplete = true
            receiving = nil
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        lastRead = .now()
        if !framing.isHeadPending {
            headPendingSince = nil
        } else if gotPart || headPendingSince == nil {
            headPendingSince = lastRead
        }
        gotPart = false
        upload?.changed()
        waiter.signal()
        if isReading { readOn() }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        hasRoom = context.channel.isWritable
        if hasRoom { waiter.signal() }
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) {
        guard !isClosed else { return }
        isClosed = true
        shard.clients.remove(self)
        shard.gateway.closed()
        task?.cancel()
        upload?.changed()
        waiter.signal()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // The connection broke, or TLS could not be agreed on: there is nobody to tell.
        close()
    }

    private func refuse(_ error: FramingError) {
        guard error != .headTooLong else { return refuse(Self.headTooLarge) }
        refuse(
            ParleyError(.invalid, "The request is not valid HTTP/1.1: \(error.reason).", code: "invalid_http"))
    }

    private static let headTooLarge = ParleyError(
        .tooLarge, "The request's head is larger than server.header_limit allows.", code: "header_too_large",
        status: 431)

    private func begin(_ head: RequestHead) {
        let request = Request(head, limit: shard.snapshot.server.bodyLimit)
        receiving = request
        queue.append(request)
        if isReading { adjustReading() }
    }

    /// Ends the connection with an answer to whatever was arriving.
    private func refuse(_ failure: ParleyError) {
        if let request = receiving {
            request.fail(failure)
            receiving = nil
        } else {
            queue.append(Request(failure: failure))
        }
        upload?.changed()
        waiter.signal()
    }

    /// Reads on, or stops reading, as what has arrived was taken or not.
    func adjustReading() {
        let hasPlace = queue.count < Self.queueLimit && receiving?.isFull != true
        guard isReading != (hasPlace || lingerUntil != nil) else { return }
        isReading.toggle()
        // The client had no chance to send while it was not read.
        if isReading { lastRead = .now() }
        context?.channel.setOption(.autoRead, value: isReading).whenFailure { _ in }
    }

    /// What answers a request; not a part of `serve`, whose frame is held as long as the connection.
    @inline(never)
    private func exchange(for request: Request) -> Exchange {
        response = Response()
        response.isIdle = false
        return Exchange(shard: shard, client: self, request: request)
    }

    private func serve() async {
        while let request = await nextRequest() {
            await exchange(for: request).run()
            response.isIdle = true
            sweepSoon()
            upload = nil
            guard response.keepsAlive, !response.isAborted, !isClosed else { break }
        }
        guard !isClosed else { return }
        if response.isAborted {
            close()
        } else if response.lingers {
            linger()
        } else {
            finish()
        }
    }
}

extension ClientConnection: Swept {
    func sweep(now: NIODeadline) {
        let server = shard.snapshot.server
        enforceLimits(server, now)
        var next = now + shard.clientInterval
        // A stream needs no look before its comment: thousands may be open for minutes.
        isSweptLate = response.takesComments && response.stalledUntil == nil && server.keepaliveComment > .zero
        if isSweptLate { next = max(next, lastWrite + server.keepaliveComment) }
        shard.clients.setDeadline(next, of: self)
    }

    /// What a sweep would come too late for begins.
    private func sweepSoon() {
        guard isSweptLate else { return }
        isSweptLate = false
        shard.clients.setDeadline(.now(), of: self)
    }

    private func enforceLimits(_ server: ServerRules, _ now: NIODeadline) {
        if let lingerUntil {
            if lingerUntil <= now { close() }
        } else if let stalled = response.stalledUntil, stalled <= now {
            close()
        } else if response.takesComments {
            // Whatever of the next request is arriving meanwhile has time until this one is answered.
            if server.keepaliveComment > .zero, lastWrite + server.keepaliveComment <= now { sendComment() }
        } else if let request = receiving {
            guard isReading, lastRead + server.headerTimeout < now, !request.expectsContinue else { return }
            refuse(Self.slow("body"))
        } else if response.isIdle {
            sweepIdle(server, now)
        }
    }

    private func sweepIdle(_ server: ServerRules, _ now: NIODeadline) {
        if let since = headPendingSince {
            guard since + server.headerTimeout < now, lastWrite + server.headerTimeout < now else { return }
            headPendingSince = nil
            refuse(Self.slow("head"))
        } else if queue.isEmpty, max(lastRead, lastWrite) + server.idle < now {
            close()
        }
    }

    private static func slow(_ part: String) -> ParleyError {
        ParleyError(
            .timeout, "The request's \(part) did not arrive within server.header_timeout.", code: "request_timeout",
            status: 408)
    }
}
