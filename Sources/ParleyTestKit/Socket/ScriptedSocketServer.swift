// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.
import NIOCore
import NIOPosix
import Synchronization

/// A WebSocket server that does exactly what its scripts say, wrong things included.
///
/// It listens on the loopback interface. Each connection takes the next script; the last one is for all that follow.
public final class ScriptedSocketServer: Sendable {
    /// The port that was bound.
    public let port: Int
    /// Whether it speaks TLS.
    public let isSecure: Bool

    private let log: SocketLog
    private let group: MultiThreadedEventLoopGroup
    private let listener: any Channel

    /// Scheme, address and port, as a WebSocket's URL has them.
    public var origin: String { "\(isSecure ? "wss" : "ws")://127.0.0.1:\(port)" }

    private init(
        _ listener: any Channel, isSecure: Bool, log: SocketLog, group: MultiThreadedEventLoopGroup
    ) {
        port = listener.localAddress?.port ?? 0
        self.isSecure = isSecure
        self.log = log
        self.group = group
        self.listener = listener
    }

    /// Starts a server on a free port.
    ///
    /// - Throws: the system's error if no port can be bound, `NIOSSLError` for a bad certificate.
    public static func start(_ scripts: [SocketScript], tls: TestCertificate? = nil) async throws
        -> ScriptedSocketServer
    {
        let context = try tls?.serverContext()
        let log = SocketLog(scripts)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        do {
            let listener = try await ServerBootstrap(group: group)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .serverChannelOption(.backlog, value: 1_024)
                .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try SocketConnection.add(to: channel.pipeline.syncOperations, log: log, tls: context)
                    }
                }
                .bind(host: "127.0.0.1", port: 0).get()
            return ScriptedSocketServer(listener, isSecure: tls != nil, log: log, group: group)
        } catch {
            try? await group.shutdownGracefully()
            throw error
        }
    }

    /// Runs a server for as long as the body runs, then stops it.
    @discardableResult
    public static func with<Result>(
        _ scripts: SocketScript..., tls: TestCertificate? = nil,
        _ body: (ScriptedSocketServer) async throws -> Result
    ) async throws -> Result {
        let server = try await start(scripts, tls: tls)
        do {
            let result = try await body(server)
            await server.stop()
            return result
        } catch {
            await server.stop()
            throw error
        }
    }

    /// Closes the listener and every connection.
    public func stop() async {
        try? await listener.close().get()
        try? await group.shutdownGracefully()
    }

    /// The connections that got as far as the handshake, oldest first.
    public func visits() async -> [SocketVisit] {
        for loop in group.makeIterator() { try? await loop.submit {}.get() }
        return log.visits.withLock { $0 }
    }

    /// Waits until a visit, counted from 0, satisfies a condition, asking every few milliseconds.
    ///
    /// - Throws: `ScriptedUpstream.WaitedTooLong`, or `CancellationError`.
    @discardableResult
    public func visit(
        _ index: Int = 0, within bound: Duration = .seconds(10), _ condition: (SocketVisit) -> Bool
    ) async throws -> SocketVisit {
        let deadline = ContinuousClock.now + bound
        while true {
            let visits = await visits()
            if visits.indices.contains(index), condition(visits[index]) { return visits[index] }
            guard ContinuousClock.now < deadline else {
                throw ScriptedUpstream.WaitedTooLong(description: "no such visit within \(bound): \(visits)")
            }
            try await Task.sleep(for: .milliseconds(2))
        }
    }
}

/// Scripts to be taken and what came of them.
final class SocketLog: Sendable {
    let visits = Mutex<[SocketVisit]>([])
    private let scripts: Mutex<[SocketScript]>

    init(_ scripts: [SocketScript]) {
        self.scripts = Mutex(scripts)
    }

    /// Notes a connection and takes its script.
    func begin(_ visit: SocketVisit) -> (index: Int, script: SocketScript) {
        let index = visits.withLock { visits in
            visits.append(visit)
            return visits.count - 1
        }
        let script = scripts.withLock { $0.count > 1 ? $0.removeFirst() : $0.first }
        return (index, script ?? SocketScript())
    }

    func update(_ index: Int, _ change: (inout SocketVisit) -> Void) {
        visits.withLock { if $0.indices.contains(index) { change(&$0[index]) } }
    }
}
