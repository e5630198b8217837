// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import Synchronization

/// The agents of one provider, started when they are needed, and the sessions that wait in them for the next turn of
/// their conversation.
final class AgentPool: Sendable {
    private struct State {
        var seats: AgentSeats
        var conversations = AgentConversations()
        var hosts: [Int: AgentHost] = [:]
        /// Calls that wait for a seat, in their order.
        var queue: [AgentSignal] = []
    }

    private enum Step {
        case seated(AgentHost, AgentConversations.Session?, seen: Int, isNew: Bool)
        case wait
        case refused(TimeAmount)
    }

    private let terms: AgentTerms
    private let transport: any AgentTransport
    private let state: Mutex<State>

    init(_ terms: AgentTerms, _ transport: any AgentTransport, seats: AgentSeats) {
        self.terms = terms
        self.transport = transport
        state = Mutex(State(seats: seats))
    }

    deinit {
        for host in state.withLock({ Array($0.hosts.values) }) { host.stop() }
    }

    /// A seat in an agent, in the session that has seen the conversation's beginning where there is one.
    ///
    /// - Parameter conversation: its digest after each turn.
    /// - Throws: `timeout`, `cancelled`; `upstreamUnavailable` where the agent dies again and again.
    func lease(
        _ conversation: [AgentDigest], through connector: any Connector, by deadline: NIODeadline
    ) async throws(ParleyError) -> AgentLease {
        let signal = AgentSignal()
        defer { leaveQueue(signal) }
        while true {
            switch step(conversation, signal) {
            case .seated(let host, let session, let seen, let isNew):
                if isNew { start(host, through: connector) }
                return AgentLease(pool: self, host: host, session: session?.id, seen: seen)
            case .refused(let time):
                let seconds = Double(max(0, time.nanoseconds)) / 1e9
                throw ParleyError(
                    .upstreamUnavailable, "the agent ended several times as soon as it was started", status: 503,
                    retryAfter: seconds.rounded(.up))
            case .wait:
                try AgentWait.check(deadline, "had no room for another turn")
                await signal.wait(by: deadline)
            }
        }
    }

    private func step(_ conversation: [AgentDigest], _ signal: AgentSignal) -> Step {
        state.withLock { state in
            bury(&state)
            let isQueued = state.queue.contains { $0 === signal }
            if let first = state.queue.first, first !== signal {
                if !isQueued { state.queue.append(signal) }
                return .wait
            }
            let seats = state.seats
            let known = state.conversations.take(conversation) { seats.hasRoom($0) }
            switch state.seats.take(preferring: known?.session.agent, at: .now()) {
            case .agent(let id):
                guard let host = state.hosts[id] else { return .wait }
                return .seated(host, known?.session, seen: known?.seen ?? 0, isNew: false)
            case .start(let id):
                let host = AgentHost(id: id, terms: terms)
                state.hosts[id] = host
                return .seated(host, nil, seen: 0, isNew: true)
            case .wait:
                if !isQueued { state.queue.append(signal) }
                return .wait
            case .refuse(let time): return .refused(time)
            }
        }
    }

    /// Forgets agents that are on their way out: that may take them some seconds.
    private func bury(_ state: inout State) {
        for host in state.hosts.values where host.link.isClosed { forget(host, &state) }
    }

    private func forget(_ host: AgentHost, _ state: inout State) {
        state.seats.end(host.id, wasUseful: host.link.isUseful, at: .now())
        state.conversations.drop(agent: host.id)
        state.hosts[host.id] = nil
    }

    /// Makes room in the queue; who is first then must look.
    private func leaveQueue(_ signal: AgentSignal) {
        state.withLock { state in
            state.queue.removeAll { $0 === signal }
            return state.queue.first
        }?.raise()
    }

    private func start(_ host: AgentHost, through connector: any Connector) {
        host.start(transport, through: connector) { [weak self] host in self?.end(host) }
    }

    private func end(_ host: AgentHost) {
        state.withLock { state in
            forget(host, &state)
            return state.queue.first
        }?.raise()
    }

    /// A turn is over.
    ///
    /// - Parameters:
    ///   - session: the session it was in.
    ///   - seen: what the session has seen by now; nil where nobody can go on with it.
    fileprivate func leave(
        _ host: AgentHost, _ session: String?, seen: AgentDigest?, closesSessions: Bool
    ) {
        let (gone, hosts, first) = state.withLock { state in
            state.seats.leave(host.id)
            var gone: [AgentConversations.Session] = []
            if let session {
                let own = AgentConversations.Session(agent: host.id, id: session)
                if let seen, state.hosts[host.id] != nil, !host.link.isClosed {
                    gone = state.conversations.keep(own, seen, at: .now())
                } else {
                    gone = [own]
                }
            }
            return (gone, state.hosts, state.queue.first)
        }
        for session in gone { hosts[session.agent]?.link.forget(session.id, close: closesSessions) }
        first?.raise()
    }
}

/// A call's seat in an agent. It is given back once, at the latest when nobody holds it any more.
final class AgentLease: Sendable {
    private struct State {
        var session: String?
        var closesSessions = false
        var isOver = false
    }

    let host: AgentHost
    /// How many turns of the conversation the session has seen.
    let seen: Int
    private let pool: AgentPool
    private let state: Mutex<State>

    fileprivate init(pool: AgentPool, host: AgentHost, session: String?, seen: Int) {
        self.pool = pool
        self.host = host
        self.seen = seen
        state = Mutex(State(session: session))
    }

    deinit {
        end(seen: nil)
    }

    /// The session; nil where one must be made.
    var session: String? { state.withLock { $0.session } }

    /// A session was made.
    func begin(_ session: String) {
        state.withLock { $0.session = session }
    }

    /// What the agent can do is known.
    func note(_ abilities: AgentAbilities) {
        state.withLock { $0.closesSessions = abilities.closesSessions }
    }

    /// Gives the seat back.
    ///
    /// - Parameter seen: what the session has seen by now; nil where nobody can go on with it.
    func end(seen: AgentDigest?) {
        let last = state.withLock { state -> State? in
            guard !state.isOver else { return nil }
            state.isOver = true
            return state
        }
        guard let last else { return }
        pool.leave(host, last.session, seen: seen, closesSessions: last.closesSessions)
    }
}
