// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import Synchronization

/// Messages on their way from one task to another: from an agent to a call, or from all calls to an agent.
///
/// It is bounded by whoever fills it: `put` says when there is too much in it, and `room` waits until there is less.
final class AgentMailbox: Sendable {
    private struct State {
        var messages: [ByteBuffer] = []
        var size = 0
        var isOver = false
        var failure: ParleyError?
    }

    private let limit: Int
    private let state = Mutex(State())
    private let arrival = AgentSignal()
    private let departure = AgentSignal()

    /// - Parameter limit: how many bytes may lie in it before `put` says that it is full.
    init(limit: Int) {
        self.limit = limit
    }

    /// Puts a message in, full or not; after the end it is dropped.
    ///
    /// - Returns: whether there is room for more.
    func put(_ message: ByteBuffer) -> Bool {
        let hasRoom = state.withLock { state in
            guard !state.isOver else { return true }
            state.messages.append(message)
            state.size = state.size.clampedSum(message.readableBytes)
            return state.size <= limit
        }
        arrival.raise()
        return hasRoom
    }

    /// No more messages come; those that are in it are still given out, then the failure.
    func end(_ failure: ParleyError? = nil) {
        state.withLock { state in
            guard !state.isOver else { return }
            state.isOver = true
            state.failure = failure
        }
        arrival.raise()
        departure.raise()
    }

    /// All messages that lie in it, waiting where there are none; nil after the end.
    ///
    /// - Throws: the failure it ended with; `timeout`, `cancelled`.
    func next(by deadline: NIODeadline) async throws(ParleyError) -> [ByteBuffer]? {
        while true {
            let (messages, isOver, failure) = state.withLock { state in
                defer {
                    state.messages = []
                    state.size = 0
                }
                return (state.messages, state.isOver, state.failure)
            }
            if !messages.isEmpty {
                departure.raise()
                return messages
            }
            if isOver {
                if let failure { throw failure }
                return nil
            }
            try AgentWait.check(deadline, "sent nothing")
            await arrival.wait(by: deadline)
        }
    }

    /// Waits until there is room again.
    ///
    /// - Returns: false where there is none by `deadline`.
    func room(by deadline: NIODeadline) async -> Bool {
        while true {
            if state.withLock({ $0.isOver || $0.size <= limit }) { return true }
            if Task.isCancelled || deadline <= .now() { return false }
            await departure.wait(by: deadline)
        }
    }
}
