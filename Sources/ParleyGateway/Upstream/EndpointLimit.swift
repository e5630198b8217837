// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import Synchronization

/// How many requests one endpoint has at once, over all event loops.
final class EndpointLimit: Sendable {
    private struct State {
        var used = 0
        /// Pools with requests that wait for a slot, by their loop.
        var waiting: [ObjectIdentifier: Pool] = [:]
    }

    /// Held, so that no other endpoint gets the same identity as long as the limit is known.
    private let endpoint: Endpoint
    private let limit: Int
    private let state = Mutex(State())

    init(_ limit: Int, of endpoint: Endpoint) {
        self.limit = limit
        self.endpoint = endpoint
    }

    /// A slot, or nil when none is free; then `pool` is called when one may be.
    func take(for pool: Pool) -> EndpointSlot? {
        let isTaken = state.withLock { state in
            guard state.used < limit else {
                state.waiting[ObjectIdentifier(pool)] = pool
                return false
            }
            state.used += 1
            return true
        }
        return isTaken ? EndpointSlot(self) : nil
    }

    fileprivate func give() {
        let waiting = state.withLock { state in
            state.used -= 1
            let waiting = Array(state.waiting.values)
            state.waiting.removeAll(keepingCapacity: true)
            return waiting
        }
        for pool in waiting { pool.wake() }
    }
}

/// One request's place within an endpoint's limit; given back once, at the latest when nobody holds it any more.
final class EndpointSlot {
    private var limit: EndpointLimit?

    fileprivate init(_ limit: EndpointLimit) {
        self.limit = limit
    }

    deinit {
        release()
    }

    /// Gives the place back.
    func release() {
        let limit = self.limit
        self.limit = nil
        limit?.give()
    }
}

/// The limits of all endpoints that have one.
final class EndpointLimits: Sendable {
    /// A limit that lives as long as a pool or a slot has it: after a reload that is until the last request to the old
    /// endpoint is answered and its pools have expired.
    private struct Entry {
        weak var limit: EndpointLimit?
    }

    private let entries = Mutex<[ObjectIdentifier: Entry]>([:])

    /// How many are remembered.
    var count: Int { entries.withLock(\.count) }

    /// The limit of `endpoint`, or nil when it has none.
    func limit(of endpoint: Endpoint) -> EndpointLimit? {
        guard let most = endpoint.connectionLimit else { return nil }
        return entries.withLock { entries in
            if let known = entries[ObjectIdentifier(endpoint)]?.limit { return known }
            entries = entries.filter { $0.value.limit != nil }
            let limit = EndpointLimit(most, of: endpoint)
            entries[ObjectIdentifier(endpoint)] = Entry(limit: limit)
            return limit
        }
    }
}
