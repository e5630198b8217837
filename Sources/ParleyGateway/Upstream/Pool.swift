// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore

/// The connections of one event loop to one endpoint, and the requests that wait for one.
///
/// `@unchecked Sendable`: used only on its shard's event loop; `wake`, which others call, hops there.
final class Pool: @unchecked Sendable {
    /// Idle connections are closed after this long: most services close theirs after 60 s or more.
    private static let idleLimit = TimeAmount.seconds(45)
    /// Idle connections kept at most.
    private static let idleCount = 512

    unowned let shard: Shard
    let endpoint: Endpoint
    private let limit: EndpointLimit?
    /// Idle connections; the one used last is taken first, so that the others can expire.
    private var idle: [UpstreamConnection] = []
    private var queue: [Pending] = []
    private var connecting = 0
    private var lastUse = NIODeadline.now()

    init(shard: Shard, endpoint: Endpoint) {
        self.shard = shard
        self.endpoint = endpoint
        self.limit = shard.limits.limit(of: endpoint)
    }

    /// A connection ready for a request, with the slot it uses; waits only when none is idle.
    func acquire(
        connectTimeout: TimeAmount, by deadline: NIODeadline
    ) async throws(ParleyError) -> (UpstreamConnection, EndpointSlot?) {
        lastUse = .now()
        if queue.isEmpty, limit == nil, let connection = takeIdle() { return (connection, nil) }
        let pending = Pending(shard.loop, connectTimeout: connectTimeout)
        queue.append(pending)
        shard.pendings.add(pending, deadline: deadline)
        pump()
        while pending.connection == nil, pending.failure == nil, !Task.isCancelled {
            await pending.waiter.wait()
        }
        shard.pendings.remove(pending)
        if let connection = pending.connection {
            if !Task.isCancelled { return (connection, pending.slot) }
            release(connection)
        }
        queue.removeAll { $0 === pending }
        pending.slot?.release()
        pump()
        throw pending.failure ?? ParleyError(.cancelled, "The request was cancelled.")
    }

    /// Takes back a connection whose answer is complete.
    func release(_ connection: UpstreamConnection) {
        guard idle.count < Self.idleCount else {
            connection.close()
            return
        }
        idle.append(connection)
        if !queue.isEmpty { pump() }
    }

    /// Forgets a connection that was closed.
    func remove(_ connection: UpstreamConnection) {
        if let index = idle.lastIndex(where: { $0 === connection }) { idle.remove(at: index) }
    }

    /// Looks again at the requests that wait; may be called from any thread.
    func wake() {
        shard.loop.execute { self.pump() }
    }

    /// Closes connections that were idle for long.
    ///
    /// - Returns: whether the pool is of no more use.
    func expire(now: NIODeadline) -> Bool {
        while let oldest = idle.first, oldest.idleSince + Self.idleLimit < now {
            idle.removeFirst()
            oldest.close()
        }
        return idle.isEmpty && queue.isEmpty && connecting == 0 && lastUse + .minutes(5) < now
    }

    /// Closes every idle connection.
    func close() {
        let connections = idle
        idle.removeAll()
        for connection in connections { connection.close() }
    }

    private func takeIdle() -> UpstreamConnection? {
        while let connection = idle.popLast() {
            if connection.isActive { return connection }
        }
        return nil
    }

    /// Gives slots and connections to those who wait, in order, and dials as many connections as are missing.
    private func pump() {
        var missing = 0
        var dialTimeout = TimeAmount.seconds(5)
        var served = 0
        for pending in queue {
            if let limit, pending.slot == nil {
                pending.slot = limit.take(for: self)
                if pending.slot == nil { break }
            }
            // Only those in front can be served by the idle ones, so that nobody is overtaken.
            if missing == 0, let connection = takeIdle() {
                pending.connection = connection
                pending.waiter.signal()
                served += 1
            } else {
                missing += 1
                dialTimeout = pending.connectTimeout
            }
        }
        if served > 0 { queue.removeFirst(served) }
        // Counted now: a Unix-domain socket connects at once, and its request is served before the next one is dialled.
        for _ in 0..<max(0, missing - connecting) { dial(timeout: dialTimeout) }
    }

    private func dial(timeout: TimeAmount) {
        connecting += 1
        Dialer.connect(endpoint, pool: self, on: shard.loop, timeout: timeout, contexts: shard.contexts)
            .whenComplete { result in
                self.connecting -= 1
                switch result {
                case .success(let connection):
                    self.idle.append(connection)
                case .failure(let error):
                    guard let index = self.queue.firstIndex(where: { self.limit == nil || $0.slot != nil }) else {
                        return
                    }
                    let pending = self.queue.remove(at: index)
                    pending.fail(ConnectFailure.error(error, to: self.endpoint))
                }
                self.pump()
            }
    }
}

/// A request that waits for a connection.
///
/// `@unchecked Sendable`: used only on its shard's event loop.
final class Pending: Swept, @unchecked Sendable {
    let waiter: Waiter
    let connectTimeout: TimeAmount
    var sweepIndex = -1
    var connection: UpstreamConnection?
    var slot: EndpointSlot?
    private(set) var failure: ParleyError?

    init(_ loop: any EventLoop, connectTimeout: TimeAmount) {
        self.waiter = Waiter(loop)
        self.connectTimeout = connectTimeout
    }

    func fail(_ error: ParleyError) {
        guard connection == nil, failure == nil else { return }
        failure = error
        waiter.signal()
    }

    func sweep(now: NIODeadline) {
        fail(
            slot == nil
                ? ParleyError(
                    .upstreamUnavailable, "The provider is busy with as many requests as its limit allows.",
                    code: "overloaded", status: 503)
                : ParleyError(.timeout, "No connection to the upstream could be made within the time allowed."))
    }
}
