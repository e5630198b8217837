// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Logging
public import NIOCore
import NIOPosix
public import ParleyAccess
public import ParleyConfiguration
public import ParleyCore
import ParleyModels

/// The data plane: listens, relays, and can be given another configuration while it runs.
public final class Gateway: Sendable {
    /// Where it listens; a port of 0 in the settings is the real one here.
    public let addresses: [ListenAddress]

    private let group: MultiThreadedEventLoopGroup
    private let shards: [Shard]
    private let listeners: [any Channel]
    private let state: GatewayState

    /// Starts to listen; when this returns, connections are taken.
    ///
    /// - Parameters:
    ///   - sink: where access lines go; nil writes none.
    ///   - loops: event loops, one per core by default.
    ///   - responses: where answers of Responses are kept; nil keeps them in memory.
    ///   - conversations: where conversations are kept; nil keeps them in memory.
    ///   - ledger: where the account of calls is kept; nil keeps none.
    /// - Throws: `ListenError` when an address cannot be used.
    public static func start(
        _ settings: ServerSettings, snapshot: Snapshot, sink: LogSink?, loops: Int = System.coreCount,
        responses: (any ResponseStore)? = nil, conversations: (any ConversationStore)? = nil,
        ledger: (any Ledger)? = nil
    ) async throws -> Gateway {
        let tls = try Listener.tls(settings.tls)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: max(1, loops))
        let state = GatewayState(
            responses: responses ?? MemoryResponseStore(), conversations: conversations ?? MemoryConversationStore(),
            ledger: ledger, isSecure: tls != nil)
        let contexts = TLSContexts()
        let limits = EndpointLimits()
        var shards: [ObjectIdentifier: Shard] = [:]
        for loop in group.makeIterator() {
            let shard = Shard(
                loop: loop, snapshot: snapshot, gateway: state, contexts: contexts, limits: limits,
                accessLog: sink.map { AccessLog(sink: $0) })
            shards[ObjectIdentifier(loop)] = shard
            shard.start()
        }
        let listener = Listener(group: group, shards: shards, settings: settings, tls: tls, state: state)
        var channels: [any Channel] = []
        do {
            for address in settings.listen { channels.append(try await listener.listen(on: address)) }
        } catch {
            for channel in channels { try? await channel.close() }
            try? await group.shutdownGracefully()
            throw error
        }
        return Gateway(
            group: group, shards: Array(shards.values), listeners: channels, state: state,
            addresses: zip(settings.listen, channels).map { Self.real($0, $1) })
    }

    private init(
        group: MultiThreadedEventLoopGroup, shards: [Shard], listeners: [any Channel], state: GatewayState,
        addresses: [ListenAddress]
    ) {
        self.group = group
        self.shards = shards
        self.listeners = listeners
        self.state = state
        self.addresses = addresses
    }

    private static func real(_ address: ListenAddress, _ channel: any Channel) -> ListenAddress {
        guard case .tcp(let host, 0) = address, let port = channel.localAddress?.port else { return address }
        return .tcp(host: host, port: port)
    }

    /// A way to upstreams for work that belongs to no client's request, such as listing models.
    public var connector: any Connector { shards[0] }

    /// Serves calls that start from now on with another configuration; running ones finish with theirs.
    public func adopt(_ snapshot: Snapshot) {
        for shard in shards { shard.adopt(snapshot) }
    }

    /// Relays the paths of the control plane to where it listens; nil: they are unknown paths.
    public func relay(console: Endpoint?) {
        for shard in shards { shard.relay(console: console) }
    }

    /// Runs something on an event loop of the gateway, where `connector` works.
    public func run<Result: Sendable>(_ body: @escaping @Sendable () async -> Result) async -> Result {
        await shards[0].run(body).value
    }

    /// Requests being answered at the moment.
    public var running: Int { state.requests }

    /// Stops: no new connections, running calls finish within `drain`, the rest end with a proper error.
    ///
    /// - Parameter whenDrained: ends what calls have left running, while the event loops still turn.
    public func stop(drain: TimeAmount, whenDrained: () async -> Void = {}) async {
        state.drain()
        for listener in listeners { try? await listener.close() }
        for shard in shards { await shard.wakeIdle() }
        let deadline = NIODeadline.now() + drain
        while state.requests > 0, NIODeadline.now() < deadline {
            try? await Task.sleep(nanoseconds: 20_000_000)
        }
        for shard in shards { await shard.abortAll() }
        // What is written now must still reach the clients.
        let farewell = NIODeadline.now() + .seconds(2)
        while state.connections > 0, NIODeadline.now() < farewell {
            try? await Task.sleep(nanoseconds: 10_000_000)
        }
        await whenDrained()
        for shard in shards { await shard.stop() }
        try? await group.shutdownGracefully()
    }
}
