// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import Synchronization

/// A value that a service gives out: fetched when it is first needed, by one task for all who wait, and kept until the
/// service refuses it.
final class SharedValue<Value: Sendable & Equatable>: Sendable {
    private typealias Fetch = Task<Result<Value, ParleyError>, Never>

    private struct State {
        var value: Value?
        var fetch: Fetch?
    }

    private let state: Mutex<State>

    /// A value that is there already, or none yet.
    init(_ value: Value? = nil) {
        state = Mutex(State(value: value))
    }

    /// The value at hand; nil while there is none.
    var current: Value? { state.withLock { $0.value } }

    /// The value; where there is none, `fetch` is run for everybody who asks meanwhile.
    ///
    /// - Throws: why there is none.
    func value(
        through connector: any Connector,
        _ fetch: @escaping @Sendable () async throws(ParleyError) -> Value
    ) async throws(ParleyError) -> Value {
        let (value, task) = state.withLock { state -> (Value?, Fetch?) in
            if let value = state.value { return (value, nil) }
            if let task = state.fetch { return (nil, task) }
            // A task of its own: whoever was first may leave, the others still wait.
            let task = Fetch(executorPreference: connector.executor) { await self.run(fetch) }
            state.fetch = task
            return (nil, task)
        }
        if let value { return value }
        guard let task else { throw ParleyError(.internalError, "Nothing is being fetched.") }
        return try await task.value.get()
    }

    /// The service has refused `value`; a newer one stays.
    func drop(_ value: Value) {
        state.withLock { state in
            if state.value == value { state.value = nil }
        }
    }

    private func run(
        _ fetch: @Sendable () async throws(ParleyError) -> Value
    ) async -> Result<Value, ParleyError> {
        let result: Result<Value, ParleyError>
        do throws(ParleyError) {
            result = .success(try await fetch())
        } catch {
            result = .failure(error)
        }
        state.withLock { state in
            state.fetch = nil
            if case .success(let value) = result { state.value = value }
        }
        return result
    }
}
