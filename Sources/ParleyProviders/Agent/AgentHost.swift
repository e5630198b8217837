// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import Synchronization

/// Moves messages between an agent and its link, and ends the agent when the link is closed.
protocol AgentTransport: Sendable {
    /// Runs an agent to its end: what it says goes into `link`, what lies in the link's outbox goes to it.
    ///
    /// It ends when the agent does or when the outbox has ended, and when it returns nothing of the agent is left.
    /// - Returns: why it ended, for those who still wait.
    func run(_ link: AgentLink, through connector: any Connector) async -> ParleyError

    /// Whether it must run on the connector's event loop.
    var isOnLoop: Bool { get }
}

/// One agent that runs: its connection, what it can do, and the task that it lives in.
final class AgentHost: Sendable {
    /// How long an agent may take to say what it can do.
    private static let greetingLimit = TimeAmount.seconds(60)

    let id: Int
    let link: AgentLink
    let terms: AgentTerms
    /// What it can do, once it has said so.
    private let abilities = AgentGate<AgentAbilities>()
    private let task = Mutex<Task<Void, Never>?>(nil)

    init(id: Int, terms: AgentTerms) {
        self.id = id
        self.terms = terms
        link = AgentLink(terms.flavour, permissions: terms.permissions)
    }

    /// Starts the agent.
    ///
    /// - Parameter whenEnded: called once, when nothing of it is left.
    func start(
        _ transport: any AgentTransport, through connector: any Connector,
        whenEnded: @escaping @Sendable (AgentHost) -> Void
    ) {
        let life: @Sendable () async -> Void = { [self] in
            let greeting = Task { await greet() }
            let reason = await transport.run(link, through: connector)
            link.close(reason)
            abilities.open(.failure(reason))
            await greeting.value
            AgentProcesses.remove(self)
            whenEnded(self)
        }
        AgentProcesses.add(self)
        task.withLock {
            let executor = transport.isOnLoop ? connector.executor : globalConcurrentExecutor
            $0 = Task(executorPreference: executor, operation: life)
        }
    }

    /// Ends the agent; what waits for it fails.
    func stop() {
        link.close(ParleyError(.upstreamUnavailable, "the agent was stopped", status: 503))
    }

    /// Waits until nothing of it is left.
    func ended() async {
        await task.withLock { $0 }?.value
    }

    /// What it can do.
    ///
    /// - Throws: why it did not start; `timeout`, `cancelled`.
    func abilities(by deadline: NIODeadline) async throws(ParleyError) -> AgentAbilities {
        try await abilities.value(by: deadline, "did not start")
    }

    /// The handshake.
    private func greet() async {
        do throws(ParleyError) {
            let found = try await AgentHandshake(link: link, terms: terms).abilities(by: .now() + Self.greetingLimit)
            link.isUseful = true
            abilities.open(.success(found))
        } catch {
            abilities.open(.failure(error))
            link.close(error)
        }
    }
}

/// All agents that run in this process, whoever started them.
public enum AgentProcesses {
    private struct State {
        var hosts: [ObjectIdentifier: AgentHost] = [:]
        var log: (@Sendable (String) -> Void)?
    }

    private static let state = Mutex(State())

    /// Ends all agents and waits until nothing of them is left: at most a little more than five seconds.
    public static func stopAll() async {
        let hosts = state.withLock { Array($0.hosts.values) }
        for host in hosts { host.stop() }
        for host in hosts { await host.ended() }
    }

    /// Where lines go that help to find out what is wrong with an agent, e.g. what it wrote to its error output.
    public static func log(to log: @escaping @Sendable (String) -> Void) {
        state.withLock { $0.log = log }
    }

    static func debug(_ line: String) {
        state.withLock { $0.log }?(line)
    }

    fileprivate static func add(_ host: AgentHost) {
        state.withLock { $0.hosts[ObjectIdentifier(host)] = host }
    }

    fileprivate static func remove(_ host: AgentHost) {
        state.withLock { $0.hosts[ObjectIdentifier(host)] = nil }
    }
}
