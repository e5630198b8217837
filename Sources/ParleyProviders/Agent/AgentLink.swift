// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import Synchronization

/// A connection to one agent, shared by the calls that have sessions there: it asks the state machine and does what it
/// says. Whoever moves the bytes empties `outbox` and hands in what arrives.
final class AgentLink: Sendable {
    private struct State {
        var peer: AgentPeer
        var calls: [Int: AgentGate<AgentPeer.Answer>] = [:]
        var turns: [Int: AgentMailbox] = [:]
        var failure: ParleyError?
        var isUseful = false
    }

    /// The most bytes that may wait for an agent that does not read.
    private static let outboxLimit = 64 << 20
    /// The most bytes of a turn that may wait for a client that does not read.
    static let turnLimit = 1 << 20

    /// What is to be sent, a message each; it ends when the connection is to be closed.
    let outbox = AgentMailbox(limit: outboxLimit)
    private let state: Mutex<State>

    init(_ flavour: AgentFlavour, permissions: AgentPermissions) {
        state = Mutex(State(peer: AgentPeer(flavour, permissions: permissions)))
    }

    /// Whether the agent has introduced itself: it can be started, whatever becomes of it.
    var isUseful: Bool {
        get { state.withLock { $0.isUseful } }
        set { state.withLock { $0.isUseful = newValue } }
    }

    /// Whether the connection is closed.
    var isClosed: Bool { state.withLock { $0.failure != nil } }

    /// Asks the agent for something.
    ///
    /// - Throws: the agent's refusal; `timeout`, `cancelled`; why the connection is closed.
    func call(_ method: String, _ params: JSONValue, by deadline: NIODeadline) async throws(ParleyError) -> JSONValue {
        let gate = AgentGate<AgentPeer.Answer>()
        let id = try send { state -> Int in
            let (id, line) = state.peer.call(method, params)
            state.calls[id] = gate
            self.put(line)
            return id
        }
        defer {
            state.withLock { state in
                state.calls[id] = nil
                state.peer.forget(call: id)
            }
        }
        switch try await gate.value(by: deadline, "did not answer `\(method)`") {
        case .result(let result): return result
        case .error(let error): throw AgentFailure.error(error)
        }
    }

    /// Takes a session in that the agent has just made.
    ///
    /// - Throws: where it has given the id before.
    func adopt(_ session: String) throws(ParleyError) {
        guard state.withLock({ $0.peer.adopt(session) }) else {
            throw ParleyError(.upstreamUnavailable, "the agent gave one id to two sessions")
        }
    }

    /// Nobody goes on with this session; `close` also tells the agent.
    func forget(_ session: String, close: Bool) {
        state.withLock { state in
            perform(state.peer.forget(session: session), &state)
            guard close, state.failure == nil else { return }
            // Whatever it answers.
            let (id, line) = state.peer.call("session/close", ["sessionId": .string(session)])
            state.peer.forget(call: id)
            put(line)
        }
    }

    /// Begins a turn.
    ///
    /// - Throws: why the connection is closed.
    func prompt(_ session: String, _ blocks: [JSONValue]) throws(ParleyError) -> AgentTurn {
        let mailbox = AgentMailbox(limit: Self.turnLimit)
        let id = try send { state -> Int? in
            guard let (turn, line) = state.peer.prompt(session, blocks) else { return nil }
            state.turns[turn] = mailbox
            self.put(line)
            return turn
        }
        guard let id else { throw ParleyError(.internalError, "The agent's session is not free.") }
        return AgentTurn(id: id, mailbox: mailbox, link: self)
    }

    /// Gives a turn up: the agent is told, and whatever it still says is dropped.
    func cancel(_ turn: Int, _ failure: ParleyError? = nil) {
        state.withLock { state in
            perform(state.peer.cancel(turn), &state)
            state.turns.removeValue(forKey: turn)?.end(failure)
        }
    }

    /// Takes in a message of the agent.
    ///
    /// - Returns: a turn whose call does not keep up.
    func receive(_ line: ByteBuffer) -> AgentTurn? {
        state.withLock { state in
            guard state.failure == nil else { return nil }
            return perform(state.peer.receive(line), &state)
        }
    }

    /// Ends the connection: what waits gets `failure`, and turns that the agent was in a failure of their own.
    func close(_ failure: ParleyError) {
        let (calls, turns) = state.withLock { state in
            guard state.failure == nil else { return ([AgentGate<AgentPeer.Answer>](), [AgentMailbox]()) }
            state.failure = failure
            defer {
                state.calls = [:]
                state.turns = [:]
            }
            return (Array(state.calls.values), Array(state.turns.values))
        }
        for call in calls { call.open(.failure(failure)) }
        for turn in turns { turn.end(AgentFailure.failed("the agent went away in the middle of its turn")) }
        outbox.end()
    }

    private func send<Value: Sendable>(_ body: (inout State) -> Value) throws(ParleyError) -> Value {
        let (value, failure) = state.withLock { state -> (Value?, ParleyError?) in
            if let failure = state.failure { return (nil, failure) }
            return (body(&state), nil)
        }
        guard let value else { throw failure ?? ParleyError(.internalError, "The agent's connection is closed.") }
        return value
    }

    @discardableResult
    private func perform(_ effects: [AgentPeer.Effect], _ state: inout State) -> AgentTurn? {
        var full: AgentTurn?
        for effect in effects {
            switch effect {
            case .send(let line): put(line)
            case .answered(let id, let answer): state.calls.removeValue(forKey: id)?.open(.success(answer))
            case .line(let turn, let line):
                guard let mailbox = state.turns[turn] else { continue }
                if !mailbox.put(line) { full = AgentTurn(id: turn, mailbox: mailbox, link: self) }
            case .over(let turn):
                state.turns.removeValue(forKey: turn)?.end()
            }
        }
        return full
    }

    /// What an agent leaves lying is bounded: then it is taken for dead.
    private func put(_ line: ByteBuffer) {
        if !outbox.put(line) { outbox.end() }
    }
}

/// A prompt that an agent is busy with.
struct AgentTurn: Sendable {
    /// How long the agent waits, and all its other turns, for a client that does not read.
    private static let patience = TimeAmount.seconds(30)

    let id: Int
    fileprivate let mailbox: AgentMailbox
    fileprivate let link: AgentLink

    fileprivate init(id: Int, mailbox: AgentMailbox, link: AgentLink) {
        self.id = id
        self.mailbox = mailbox
        self.link = link
    }

    /// The messages that have come, one per line; nil after the last one.
    ///
    /// - Throws: that the agent went away; `timeout`, `cancelled`.
    func next(by deadline: NIODeadline) async throws(ParleyError) -> ByteBuffer? {
        guard let messages = try await mailbox.next(by: deadline) else { return nil }
        var lines = ByteBuffer()
        lines.reserveCapacity(messages.reduce(0) { $0.clampedSum($1.readableBytes + 1) })
        for message in messages {
            lines.writeImmutableBuffer(message)
            lines.writeStaticString("\n")
        }
        return lines
    }

    /// Gives the turn up.
    func cancel() { link.cancel(id) }

    /// Waits until the call has read what lies there; one that never does is given up.
    func keepUp() async {
        if await mailbox.room(by: .now() + Self.patience) { return }
        link.cancel(id, AgentFailure.failed("the client reads too slowly for the agent"))
    }
}
