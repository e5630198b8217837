// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Synchronization

/// What happened to a call, collected for its log record and its response headers.
public final class CallTrace: Sendable {
    /// One try at one upstream.
    public struct Attempt: Sendable, Equatable {
        /// The upstream as `provider/model`.
        public var upstream: String
        /// Why it failed; nil for the one that answered.
        public var failure: ParleyError.Kind?

        /// A try.
        public init(upstream: String, failure: ParleyError.Kind? = nil) {
            self.upstream = upstream
            self.failure = failure
        }
    }

    private struct State {
        var attempts: [Attempt] = []
        var dropped: [String] = []
    }

    private let state = Mutex(State())

    /// An empty trace.
    public init() {}

    /// The attempts so far, in order.
    public var attempts: [Attempt] { state.withLock { $0.attempts } }

    /// The upstream that answered; while none has, that of the last attempt.
    public var upstream: String? {
        state.withLock { state in
            let answering = state.attempts.last { $0.failure == nil }
            return (answering ?? state.attempts.last)?.upstream
        }
    }

    /// How many attempts were made.
    public var attemptCount: Int { state.withLock { $0.attempts.count } }

    /// Request fields that could not be kept in translation.
    public var dropped: [String] { state.withLock { $0.dropped } }

    /// Notes that an attempt begins.
    public func begin(_ upstream: String) {
        state.withLock { $0.attempts.append(Attempt(upstream: upstream)) }
    }

    /// Notes that the last attempt at `upstream` failed.
    public func fail(_ upstream: String, _ kind: ParleyError.Kind) {
        state.withLock { state in
            if let index = state.attempts.lastIndex(where: { $0.upstream == upstream }) {
                state.attempts[index].failure = kind
            }
        }
    }

    /// Notes fields that were dropped.
    public func drop(_ fields: [String]) {
        guard !fields.isEmpty else { return }
        state.withLock { $0.dropped += fields }
    }
}
