// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.
import FoundationEssentials
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// An upstream that does exactly what its scripts say, wrong things included.
///
/// It listens on the loopback interface, speaks HTTP/1.1, and writes its answers as raw bytes, so that it can lie
/// about lengths, drop connections in the middle of a chunk, or send anything one byte at a time. Without a script it
/// answers as OpenAI would. The control API (`POST /__script`, `GET /__log`, …) is on the same port.
public final class ScriptedUpstream: Sendable {
    /// Counts of connections and requests, control traffic left out.
    public struct Stats: Sendable, Hashable {
        /// Connections that are open now.
        public var openConnections: Int
        /// Connections ever accepted.
        public var totalConnections: Int
        /// Requests received in full.
        public var requests: Int
    }

    /// Waiting was given up.
    public struct WaitedTooLong: Error, CustomStringConvertible {
        /// What was waited for and what there was instead.
        public let description: String
    }

    /// The port that was bound.
    public let port: Int
    /// Scheme, address and port: `http://127.0.0.1:port`.
    public let origin: String

    private let state: UpstreamState
    private let group: MultiThreadedEventLoopGroup
    private let listener: any Channel

    /// The origin followed by `/v1`, the base that OpenAI clients are given.
    public var baseURL: String { "\(origin)/v1" }

    private init(
        port: Int, origin: String, state: UpstreamState, group: MultiThreadedEventLoopGroup, listener: any Channel
    ) {
        self.port = port
        self.origin = origin
        self.state = state
        self.group = group
        self.listener = listener
    }

    /// Starts an upstream.
    ///
    /// - Parameters:
    ///   - scripts: The first scripts.
    ///   - tls: The certificate to serve TLS with; `nil` serves plain HTTP.
    ///   - port: The port to bind; 0 takes a free one.
    ///   - loops: The number of event loops, each with a thread.
    /// - Throws: The system's error if the port cannot be bound, `NIOSSLError` for a bad certificate.
    public static func start(
        scripts: [Script] = [], tls: TestCertificate? = nil, port: Int = 0, loops: Int = 1
    ) async throws -> ScriptedUpstream {
        let tlsContext = try tls?.serverContext()
        let state = UpstreamState()
        state.add(scripts)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: max(1, loops))
        do {
            let listener = try await ServerBootstrap(group: group)
                .serverChannelOption(.backlog, value: 4_096)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .serverChannelOption(.maxMessagesPerRead, value: 64)
                .childChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try add(to: channel.pipeline.syncOperations, state: state, tls: tlsContext)
                    }
                }
                .bind(host: "127.0.0.1", port: port).get()
            let bound = listener.localAddress?.port ?? 0
            let origin = "\(tls == nil ? "http" : "https")://127.0.0.1:\(bound)"
            return ScriptedUpstream(port: bound, origin: origin, state: state, group: group, listener: listener)
        } catch {
            try? await group.shutdownGracefully()
            throw error
        }
    }

    private static func add(
        to pipeline: ChannelPipeline.SynchronousOperations, state: UpstreamState, tls: NIOSSLContext?
    ) throws {
        let cutter = SocketCutter()
        try pipeline.addHandler(cutter)
        if let tls { try pipeline.addHandler(NIOSSLServerHandler(context: tls)) }
        try pipeline.addHandler(ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes)))
        try pipeline.addHandler(UpstreamConnection(state: state, cutter: cutter))
    }

    /// Runs an upstream for as long as the body runs, then stops it.
    @discardableResult
    public static func with<Result>(
        scripts: [Script] = [], tls: TestCertificate? = nil, _ body: (ScriptedUpstream) async throws -> Result
    ) async throws -> Result {
        let upstream = try await start(scripts: scripts, tls: tls)
        do {
            let result = try await body(upstream)
            await upstream.stop()
            return result
        } catch {
            await upstream.stop()
            throw error
        }
    }

    /// Closes the listener and every connection.
    public func stop() async {
        try? await listener.close().get()
        try? await group.shutdownGracefully()
    }

    /// Returns when the listener has closed.
    public func closed() async {
        try? await listener.closeFuture.get()
    }

    /// Appends a script; earlier ones are asked first.
    public func add(_ script: Script) async {
        state.add([script])
    }

    /// Forgets the scripts and the log.
    public func clear() async {
        state.clear()
    }

    /// The log: the requests so far, oldest first. Those for benchmark models are not in it.
    public func requests() async -> [LoggedRequest] {
        // A client may have its answer before the loop that wrote it has noted so; let every loop finish its round.
        for loop in group.makeIterator() { try? await loop.submit {}.get() }
        return state.log()
    }

    /// The counts.
    public func stats() async -> Stats {
        let stats = state.stats()
        return Stats(
            openConnections: stats.openConnections, totalConnections: stats.totalConnections, requests: stats.requests)
    }

    /// Waits until the log satisfies a condition, asking every few milliseconds.
    ///
    /// - Parameters:
    ///   - what: What is waited for, for the error's sake.
    ///   - bound: How long to wait at most.
    /// - Returns: The log that satisfied the condition.
    /// - Throws: `WaitedTooLong`, or `CancellationError`.
    @discardableResult
    public func wait(
        for what: String, within bound: Duration = .seconds(10), _ condition: ([LoggedRequest]) -> Bool
    ) async throws -> [LoggedRequest] {
        let clock = ContinuousClock()
        let deadline = clock.now + bound
        while true {
            let log = await requests()
            if condition(log) { return log }
            guard clock.now < deadline else {
                let found = log.map { "\($0.method) \($0.path) \($0.state.rawValue)" }
                throw WaitedTooLong(description: "no \(what) within \(bound); the log: \(found)")
            }
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    /// Waits until this many requests have come in.
    @discardableResult
    public func waitForRequests(count: Int, within bound: Duration = .seconds(10)) async throws -> [LoggedRequest] {
        try await wait(for: "\(count) requests", within: bound) { $0.count >= count }
    }

    /// Waits until a request, counted from 0 in the log's order, has reached a state.
    @discardableResult
    public func waitForRequest(
        _ index: Int = 0, toBe wanted: LoggedRequest.State, within bound: Duration = .seconds(10)
    ) async throws -> LoggedRequest {
        let log = try await wait(for: "request \(index) that is \(wanted.rawValue)", within: bound) {
            $0.indices.contains(index) && $0[index].state == wanted
        }
        return log[index]
    }

    /// Waits until this many connections are open, no more and no fewer.
    public func waitForOpenConnections(_ count: Int, within bound: Duration = .seconds(10)) async throws {
        let clock = ContinuousClock()
        let deadline = clock.now + bound
        while state.stats().openConnections != count {
            guard clock.now < deadline else {
                throw WaitedTooLong(description: "\(state.stats().openConnections) connections, not \(count)")
            }
            try await Task.sleep(for: .milliseconds(2))
        }
    }
}
