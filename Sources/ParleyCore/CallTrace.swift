// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
import Synchronization

/// What happened to a call, collected for its log record, its response headers and the ledger.
///
/// A model that asks others for more than one answer gives each of those inner calls a trace of its own (`child`).
public final class CallTrace: Sendable {
    /// One try at one upstream.
    public struct Attempt: Sendable, Equatable {
        /// The upstream as `provider/model`.
        public var upstream: String
        /// When it began.
        public var began: NIODeadline
        /// From its beginning to the commit point, to its failure, or to the moment it was given up; nil while neither
        /// has come.
        public var elapsed: TimeAmount?
        /// Why it failed; nil for the one that answered.
        public var failure: ParleyError.Kind?
        /// What it used, where that is not the usage of the call itself: a leg that lost a race.
        public var usage = Usage()

        /// A try.
        public init(upstream: String, began: NIODeadline = .uptimeNanoseconds(0), failure: ParleyError.Kind? = nil) {
            self.upstream = upstream
            self.began = began
            self.failure = failure
        }
    }

    /// Why a route asked a member.
    public struct Decision: Sendable, Equatable {
        /// The route's name.
        public var route: String
        /// The member's name.
        public var member: String
        /// A word or two: `first`, `next`, `fastest`, `hedge`, `probe`, `sticky`, ….
        public var reason: String
        /// When.
        public var time: NIODeadline
    }

    /// A call that a model made on behalf of this one.
    public struct InnerCall: Sendable {
        /// What for, e.g. `step 2`, `draft 1`, `judge`.
        public var purpose: String
        /// The name of the model that was asked.
        public var model: String
        /// When it began.
        public var began: NIODeadline
        /// How long it took; nil while it runs.
        public var elapsed: TimeAmount?
        /// What it used.
        public var usage = Usage()
        /// Why it failed; nil where it did not.
        public var failure: ParleyError.Kind?
        /// Its own attempts, decisions and inner calls.
        public let trace: CallTrace
    }

    /// Everything that a trace holds, as of one moment.
    public struct Contents: Sendable {
        /// The attempts, in order, without those of inner calls.
        public var attempts: [Attempt] = []
        /// The decisions of routes, in order.
        public var decisions: [Decision] = []
        /// The inner calls, in order.
        public var innerCalls: [InnerCall] = []
        /// Request fields that could not be kept in translation.
        public var dropped: [String] = []
        /// What the answer was made without.
        public var degraded: [String] = []
        /// How many attempts were made, inner calls included.
        public var attemptCount = 0

        /// The number of the attempt that answered; nil where none did.
        public var answering: Int? { attempts.lastIndex { $0.failure == nil && $0.elapsed != nil } }

        /// The upstream that answered; while none has, that of the last attempt. Where only inner calls asked upstreams,
        /// that of the last one.
        public var upstream: String? {
            let last = attempts.last { $0.failure == nil } ?? attempts.last
            return last?.upstream ?? innerCalls.lazy.reversed().compactMap(\.trace.upstream).first
        }
    }

    /// What there is to tell of a call that made at most one attempt, without lists: nearly every call.
    public struct Plain: Sendable {
        /// The upstream that was asked; nil where none was.
        public let upstream: String?
        /// See ``Attempt``.
        public let began: NIODeadline
        /// See ``Attempt``.
        public let elapsed: TimeAmount?
        /// See ``Attempt``.
        public let failure: ParleyError.Kind?
        /// The route that chose the upstream.
        public let route: String?
        /// Why it did; see ``Decision``.
        public let why: String?

        /// Whether the upstream answered.
        public var isAnswered: Bool { upstream != nil && failure == nil && elapsed != nil }
    }

    private struct State {
        var attempts: [Attempt] = []
        var decisions: [Decision] = []
        var inner: [InnerCall] = []
        var dropped: [String] = []
        var degraded: [String] = []
        var limit: Int
        var total = 0

        /// Counts an attempt, where another one may be made.
        mutating func mayBegin() -> Bool {
            guard total < limit else { return false }
            total += 1
            return true
        }

        /// Adds an attempt, and gives its number.
        mutating func begin(_ upstream: String) -> Int {
            attempts.append(Attempt(upstream: upstream, began: .now()))
            return attempts.count - 1
        }
    }

    /// How many attempts one request may cost where nobody says otherwise.
    public static let standardLimit = 64

    private let state: Mutex<State>
    private let root: CallTrace?

    /// An empty trace.
    ///
    /// - Parameter limit: the most attempts that the call may make in all, inner calls included.
    public init(limit: Int = CallTrace.standardLimit) {
        state = Mutex(State(limit: limit))
        root = nil
    }

    private init(root: CallTrace) {
        state = Mutex(State(limit: .max))
        self.root = root
    }

    /// Everything so far, at the price of one look.
    public var contents: Contents {
        let isRoot = root == nil
        var contents = state.withLock { state in
            Contents(
                attempts: state.attempts, decisions: state.decisions, innerCalls: state.inner, dropped: state.dropped,
                degraded: state.degraded, attemptCount: state.total)
        }
        if !isRoot { contents.attemptCount = attemptCount }
        return contents
    }

    /// The same for a call of which there is no more to tell than that; nil for others.
    public var plain: Plain? {
        state.withLock { state in
            guard state.attempts.count <= 1, state.decisions.count <= 1, state.inner.isEmpty, state.dropped.isEmpty,
                state.degraded.isEmpty
            else { return nil }
            guard let attempt = state.attempts.first else {
                guard state.decisions.allSatisfy({ $0.reason == "first" }) else { return nil }
                return Plain(
                    upstream: nil, began: .uptimeNanoseconds(0), elapsed: nil, failure: nil, route: nil, why: nil)
            }
            let decision = state.decisions.first
            guard decision.map({ $0.time <= attempt.began }) ?? true else { return nil }
            return Plain(
                upstream: attempt.upstream, began: attempt.began, elapsed: attempt.elapsed, failure: attempt.failure,
                route: decision?.route, why: decision?.reason)
        }
    }

    // MARK: Attempts

    /// The attempts so far, in order, without those of inner calls.
    public var attempts: [Attempt] { state.withLock { $0.attempts } }

    /// The upstream that answered; while none has, that of the last attempt. Where only inner calls asked upstreams, that
    /// of the last one.
    public var upstream: String? { contents.upstream }

    /// How many attempts were made, inner calls included.
    public var attemptCount: Int { (root ?? self).state.withLock { $0.total } }

    /// Lets the call make more attempts than the standard limit.
    public func allow(attempts: Int) {
        (root ?? self).state.withLock { $0.limit = max($0.limit, attempts) }
    }

    /// Notes that an attempt begins.
    ///
    /// - Returns: its number, by which its end is told.
    /// - Throws: `internalError` with the code `call_limit_exceeded` where the call has made all that it may.
    public func begin(_ upstream: String) throws(ParleyError) -> Int {
        if let root {
            guard root.state.withLock({ $0.mayBegin() }) else { throw tooMany() }
            return state.withLock { $0.begin(upstream) }
        }
        let number = state.withLock { $0.mayBegin() ? $0.begin(upstream) : nil }
        guard let number else { throw tooMany() }
        return number
    }

    private func tooMany() -> ParleyError {
        let limit = (root ?? self).state.withLock { $0.limit }
        return ParleyError(
            .internalError, "The request has made \(limit) calls to upstreams, the most that one may make.",
            code: "call_limit_exceeded")
    }

    /// Notes that the attempt has reached its commit point.
    public func commit(_ attempt: Int) { end(attempt, nil) }

    /// Notes that the attempt failed.
    public func fail(_ attempt: Int, _ kind: ParleyError.Kind) { end(attempt, kind) }

    /// Notes that an answer was given up for another one: a leg that lost a race.
    ///
    /// - Parameter usage: what it used, as far as it had said so.
    public func giveUp(_ attempt: Int, usage: Usage) { end(attempt, .cancelled, usage) }

    private func end(_ attempt: Int, _ failure: ParleyError.Kind?, _ usage: Usage = Usage()) {
        state.withLock { state in
            guard state.attempts.indices.contains(attempt) else { return }
            state.attempts[attempt].failure = failure
            state.attempts[attempt].usage = usage
            state.attempts[attempt].elapsed = .now() - state.attempts[attempt].began
        }
    }

    // MARK: What led to them

    /// The decisions of routes so far, in order.
    public var decisions: [Decision] { state.withLock { $0.decisions } }

    /// Notes why a route asks a member.
    public func decide(_ route: String, _ member: String, _ reason: String) {
        state.withLock {
            $0.decisions.append(Decision(route: route, member: member, reason: reason, time: .now()))
        }
    }

    /// The inner calls so far, in order.
    public var innerCalls: [InnerCall] { state.withLock { $0.inner } }

    /// Notes that an inner call begins.
    ///
    /// - Returns: the trace of that call, which goes into its `Call`, and its number, by which its end is told.
    public func child(_ purpose: String, model: String) -> (trace: CallTrace, number: Int) {
        let trace = CallTrace(root: root ?? self)
        let number = state.withLock { state in
            state.inner.append(InnerCall(purpose: purpose, model: model, began: .now(), trace: trace))
            return state.inner.count - 1
        }
        return (trace, number)
    }

    /// Notes that an inner call is over.
    public func end(_ inner: Int, usage: Usage, failure: ParleyError.Kind?) {
        state.withLock { state in
            guard state.inner.indices.contains(inner) else { return }
            state.inner[inner].usage = usage
            state.inner[inner].failure = failure
            state.inner[inner].elapsed = .now() - state.inner[inner].began
        }
    }

    // MARK: What is missing

    /// Request fields that could not be kept in translation.
    public var dropped: [String] { state.withLock { $0.dropped } }

    /// Notes fields that were dropped.
    public func drop(_ fields: [String]) {
        guard !fields.isEmpty else { return }
        (root ?? self).state.withLock { state in
            for field in fields where !state.dropped.contains(field) { state.dropped.append(field) }
        }
    }

    /// What the answer was made without, e.g. `2 of 5 samples`.
    public var degraded: [String] { state.withLock { $0.degraded } }

    /// Notes what the answer has to do without.
    public func degrade(_ what: String) {
        (root ?? self).state.withLock { $0.degraded.append(what) }
    }
}
