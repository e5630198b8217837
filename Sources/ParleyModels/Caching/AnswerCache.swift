// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import Synchronization

/// Answers in memory, within a budget of bytes, the least recently used go first; and who is waiting for which answer.
///
/// Of calls that are the same and run at the same time one asks the model, the leader; the others wait for what it gets.
/// A leader whose client leaves hands the lead to the next one, so that nobody's answer depends on a stranger's patience.
public final class AnswerCache: Sendable {
    /// What there is for a call.
    enum Look: Sendable {
        /// An answer that was kept.
        case hit(ChatResponse)
        /// Nothing: whoever asked is to find the answer, and to say how it went.
        case lead(Lead)
        /// Somebody is asking; the ticket lets the caller wait for the end.
        case wait(Ticket)
    }

    /// How the leader's call ended, for those who waited.
    enum Outcome: Sendable {
        case answer(ChatResponse)
        case failure(ParleyError)
        /// Nobody knows: the next one asks.
        case unknown
    }

    /// A place in the line of those who wait.
    struct Ticket: Sendable {
        fileprivate let key: CacheKey
        fileprivate let number: UInt64
    }

    private struct Entry {
        var answer: ChatResponse
        var expires: NIODeadline
        var size: Int
        var number: UInt64
    }

    private struct State {
        var budget: Int
        var bytes = 0
        var entries: [CacheKey: Entry] = [:]
        /// Keys in the order of their last use, from `first` on; those used again since no longer match their number.
        var order: [(key: CacheKey, number: UInt64)] = []
        var first = 0
        /// The questions that a leader is asking, and who waits for each.
        var flights: [CacheKey: [UInt64: CheckedContinuation<Outcome, Never>]] = [:]
        var number: UInt64 = 0
    }

    private let state: Mutex<State>

    /// An empty cache.
    ///
    /// - Parameter budget: the most memory in bytes, about.
    public init(budget: Int = 64 << 20) {
        state = Mutex(State(budget: max(0, budget)))
    }

    /// The most memory in bytes, about; the oldest go when it shrinks.
    public func resize(_ budget: Int) {
        state.withLock { state in
            state.budget = max(0, budget)
            Self.shrink(&state)
        }
    }

    /// How many answers there are.
    public var count: Int { state.withLock { $0.entries.count } }

    /// How much memory they take, about.
    public var bytes: Int { state.withLock { $0.bytes } }

    /// Looks for an answer.
    ///
    /// - Parameter anew: whether one that was kept will not do.
    func look(_ key: CacheKey, anew: Bool, now: NIODeadline) -> Look {
        state.withLock { state in
            if !anew, let answer = Self.kept(key, now, &state) { return .hit(answer) }
            state.number += 1
            if state.flights[key] != nil { return .wait(Ticket(key: key, number: state.number)) }
            state.flights[key] = [:]
            return .lead(Lead(key, self))
        }
    }

    /// Waits for the leader. Ends at once, with `unknown`, when the leader is done already or the task is cancelled.
    func wait(_ ticket: Ticket) async -> Outcome {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let waits = state.withLock { state in
                    // Asked under the lock: a cancellation that comes later finds the continuation.
                    guard !Task.isCancelled, state.flights[ticket.key] != nil else { return false }
                    state.flights[ticket.key]?[ticket.number] = continuation
                    return true
                }
                if !waits { continuation.resume(returning: .unknown) }
            }
        } onCancel: {
            state.withLock { $0.flights[ticket.key]?.removeValue(forKey: ticket.number) }?
                .resume(returning: .unknown)
        }
    }

    /// The end of the leader's call: keeps the answer, and tells those who waited.
    fileprivate func settle(_ key: CacheKey, _ outcome: Outcome, keep ttl: TimeAmount?, now: NIODeadline) {
        let waiters = state.withLock { state in
            if case .answer(let answer) = outcome, let ttl { Self.keep(answer, key, until: now + ttl, &state) }
            return state.flights.removeValue(forKey: key) ?? [:]
        }
        for waiter in waiters.values { waiter.resume(returning: outcome) }
    }

    /// The part of a call that asks the model on behalf of all who wait. One that is forgotten counts as `unknown`.
    final class Lead: Sendable {
        private let key: CacheKey
        private let cache: AnswerCache
        private let isSettled = Atomic(false)

        fileprivate init(_ key: CacheKey, _ cache: AnswerCache) {
            self.key = key
            self.cache = cache
        }

        deinit { settle(.unknown) }

        /// Says how it went; only the first word counts.
        ///
        /// - Parameter ttl: how long the answer is kept; nil does not keep it.
        func settle(_ outcome: Outcome, keep ttl: TimeAmount? = nil) {
            guard !isSettled.exchange(true, ordering: .acquiringAndReleasing) else { return }
            cache.settle(key, outcome, keep: ttl, now: .now())
        }
    }

    // MARK: Entries

    private static func kept(_ key: CacheKey, _ now: NIODeadline, _ state: inout State) -> ChatResponse? {
        guard let entry = state.entries[key] else { return nil }
        guard entry.expires > now else {
            remove(key, &state)
            return nil
        }
        state.number += 1
        state.entries[key]?.number = state.number
        state.order.append((key, state.number))
        compact(&state)
        return entry.answer
    }

    private static func keep(
        _ answer: ChatResponse, _ key: CacheKey, until expires: NIODeadline, _ state: inout State
    ) {
        remove(key, &state)
        let size = key.size.clampedSum(Footprint.of(answer))
        // One answer that would drive out everything else is not worth it.
        guard size <= state.budget / 4 else { return }
        state.number += 1
        state.entries[key] = Entry(answer: answer, expires: expires, size: size, number: state.number)
        state.order.append((key, state.number))
        state.bytes += size
        shrink(&state)
    }

    private static func remove(_ key: CacheKey, _ state: inout State) {
        guard let entry = state.entries.removeValue(forKey: key) else { return }
        state.bytes -= entry.size
        compact(&state)
    }

    private static func shrink(_ state: inout State) {
        while state.bytes > state.budget, state.first < state.order.count {
            let (key, number) = state.order[state.first]
            state.first += 1
            if state.entries[key]?.number == number { remove(key, &state) }
        }
        compact(&state)
    }

    /// Gives back the room of uses that no longer count, now and then.
    private static func compact(_ state: inout State) {
        guard state.order.count > 64, state.order.count > 2 * state.entries.count else { return }
        state.order = state.order[state.first...].filter { state.entries[$0.key]?.number == $0.number }
        state.first = 0
    }
}
