// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyAccess
import ParleyConfiguration
import ParleyCore

/// Everything one event loop owns: its client connections, its upstream pools, and the sweep that keeps their deadlines.
///
/// A client connection, the logic of its requests and its upstream connections live on one shard, so that nothing on
/// the way of a request changes threads or takes a lock.
///
/// `@unchecked Sendable`: all of it is used only on `loop`, where its tasks run too (`loopExecutor`); what other threads may
/// call (`run`, `adopt`) hops there.
final class Shard: @unchecked Sendable {
    /// How often deadlines are looked at.
    static let sweepInterval = TimeAmount.milliseconds(250)

    let loop: any EventLoop
    let loopExecutor: LoopExecutor
    let gateway: GatewayState
    let contexts: TLSContexts
    let limits: EndpointLimits
    let accessLog: AccessLog?
    /// The live configuration; a call reads it once, at its start.
    private(set) var snapshot: Snapshot
    /// Where the control plane listens; nil where its paths are not served here.
    private(set) var console: Endpoint?
    var clients = SweepList<ClientConnection>()
    var streams = SweepList<UpstreamStream>()
    var sockets = SweepList<UpstreamSocket>()
    var pendings = SweepList<Pending>()
    var ids = RequestIDs()
    /// Writes the calls that end on this loop for the ledger.
    let accounts = CallWriter()
    var clock = DateHeader()
    var spare = SpareBuffer()
    private var pools: [ObjectIdentifier: (endpoint: Endpoint, pool: Pool)] = [:]
    private var sweeper: RepeatedTask?

    init(
        loop: any EventLoop, snapshot: Snapshot, gateway: GatewayState, contexts: TLSContexts,
        limits: EndpointLimits, accessLog: AccessLog?
    ) {
        self.loop = loop
        self.loopExecutor = LoopExecutor(loop)
        self.snapshot = snapshot
        self.gateway = gateway
        self.contexts = contexts
        self.limits = limits
        self.accessLog = accessLog
    }

    /// Starts the sweep.
    func start() {
        loop.execute {
            self.sweeper = self.loop.scheduleRepeatedTask(
                initialDelay: Self.sweepInterval, delay: Self.sweepInterval
            ) { _ in
                self.sweep()
            }
        }
    }

    /// Closes what is open and ends the sweep.
    func stop() async {
        try? await loop.submit {
            self.sweeper?.cancel()
            for client in self.clients.elements { client.close() }
            for entry in self.pools.values { entry.pool.close() }
            self.pools.removeAll()
            self.accessLog?.tick()
        }.get()
    }

    /// Lets connections that wait for a request notice that the server is shutting down.
    func wakeIdle() async {
        try? await loop.submit { for client in self.clients.elements { client.nudge() } }.get()
    }

    /// Ends every running call with an error.
    func abortAll() async {
        let error = ParleyError(
            .upstreamUnavailable, "The server is shutting down.", code: "shutting_down", status: 503)
        try? await loop.submit { for client in self.clients.elements { client.abort(error) } }.get()
    }

    /// Serves calls that start from now on with another configuration.
    func adopt(_ snapshot: Snapshot) {
        loop.execute { self.snapshot = snapshot }
    }

    /// Relays the paths of the control plane to where it listens.
    func relay(console: Endpoint?) {
        loop.execute { self.console = console }
    }

    /// Runs a task on this shard's loop.
    @discardableResult
    func run<Result: Sendable>(_ body: @escaping @Sendable () async -> Result) -> Task<Result, Never> {
        Task(executorPreference: loopExecutor, operation: body)
    }

    private func sweep() {
        let now = NIODeadline.now()
        for stream in streams.due(now) { stream.sweep(now: now) }
        for socket in sockets.due(now) { socket.sweep(now: now) }
        for pending in pendings.due(now) { pending.sweep(now: now) }
        for client in clients.due(now) { client.sweep(now: now) }
        for (id, entry) in pools where entry.pool.expire(now: now) { pools[id] = nil }
        accessLog?.tick()
    }

    /// How often a client connection is looked at. Its limits are long, as a rule: once a second is enough for thousands of
    /// them then.
    var clientInterval: TimeAmount {
        let server = snapshot.server
        var shortest = min(server.headerTimeout, server.idle)
        if server.keepaliveComment > .zero { shortest = min(shortest, server.keepaliveComment) }
        return min(.seconds(1), .nanoseconds(shortest.nanoseconds / 4))
    }

    private func pool(for endpoint: Endpoint) -> Pool {
        if let known = pools[ObjectIdentifier(endpoint)] { return known.pool }
        let pool = Pool(shard: self, endpoint: endpoint)
        pools[ObjectIdentifier(endpoint)] = (endpoint, pool)
        return pool
    }
}

extension Shard: Connector {
    var executor: any TaskExecutor { loopExecutor }

    func open(_ request: UpstreamRequest) async throws(ParleyError) -> any UpstreamAnswer {
        var isSecondTry = false
        while true {
            let (connection, slot) = try await pool(for: request.endpoint).acquire(
                connectTimeout: request.connectTimeout, by: request.headDeadline)
            let isReused = connection.requests > 0
            let isSent = connection.isActive
            let stream = UpstreamStream(shard: self, connection: connection, slot: slot)
            connection.send(request, filling: stream)
            do {
                try await stream.awaitHead(by: request.headDeadline)
                return stream
            } catch {
                // A pooled connection that the peer had already closed: nothing was done, so another one may be used.
                let isStale = isReused && !stream.hasArrived && error == UpstreamConnection.closedEarly
                guard isStale, !isSecondTry, !isSent || request.isIdempotent else { throw error }
                isSecondTry = true
            }
        }
    }

    func connect(_ request: UpstreamRequest) async throws(ParleyError) -> WebSocketOpening {
        let handshake = WebSocketHandshake()
        var head = request.head
        handshake.write(to: &head)
        // Nothing is said on a socket before it is open, so that asking twice does no harm.
        let upgrade = UpstreamRequest(
            endpoint: request.endpoint, head: head, body: request.body, isIdempotent: true, isUpgrade: true,
            connectTimeout: request.connectTimeout, headDeadline: request.headDeadline)
        let answer = try await open(upgrade)
        guard let socket = (answer as? UpstreamStream)?.socket else {
            guard (200..<300).contains(answer.status) else { return .refused(answer) }
            answer.cancel()
            throw ParleyError(
                .upstreamUnavailable, "The upstream has no WebSocket there: it answered with status \(answer.status).")
        }
        do throws(ParleyError) {
            try handshake.check(answer.headers)
            return .open(socket)
        } catch {
            socket.fail(error)
            throw error
        }
    }

    func sleep(_ time: TimeAmount) async throws(ParleyError) {
        let waiter = Waiter(loop)
        let end = NIODeadline.now() + time
        let timer = loop.scheduleTask(deadline: end) { waiter.signal() }
        while NIODeadline.now() < end, !Task.isCancelled { await waiter.wait() }
        timer.cancel()
        if Task.isCancelled { throw ParleyError(.cancelled, "The request was cancelled.") }
    }
}
