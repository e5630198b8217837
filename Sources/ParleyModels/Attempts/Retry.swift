// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
public import ParleyCore

/// A model that tries another one again while its policy allows.
///
/// Only failures before the commit point count: once `answer` has returned, nothing starts over.
public struct Retry: Model {
    /// The name of the model that is tried.
    public var name: String { model.name }

    let model: any Model
    let policy: RetryPolicy
    /// The upstream's health, where others can be asked while it should be left alone.
    private let yielding: UpstreamHealth?
    private let random: @Sendable () -> Double

    /// Wraps `model`; `random` gives numbers in 0 ..< 1 for the jitter.
    ///
    /// - Parameter yielding: how the upstream fares, where there are others to ask: it is not tried again once it should
    ///   be left alone.
    public init(
        _ model: any Model, policy: RetryPolicy, yielding: UpstreamHealth? = nil,
        random: @escaping @Sendable () -> Double = { Double.random(in: 0..<1) }
    ) {
        self.model = model
        self.policy = policy
        self.yielding = yielding
        self.random = random
    }

    /// Answers with the first attempt that succeeds.
    ///
    /// - Throws: the last attempt's error, or `cancelled`.
    public func answer(_ call: Call) async throws(ParleyError) -> Reply {
        var machine = RetryMachine(policy)
        var action = machine.next(.started)
        while true {
            try stopIfCancelled()
            switch action {
            case .attempt:
                do throws(ParleyError) {
                    return try await model.answer(call)
                } catch {
                    guard call.isRepeatable else { throw error }
                    if let yielding, !error.hasSpareCredential, !yielding.isAvailable(at: .now()) { throw error }
                    action = machine.next(.failed(error, remaining: call.deadline - .now(), random: random()))
                }
            case .wait(let time):
                try await call.connector.sleep(time)
                action = machine.next(.waited)
            case .fail(let error):
                throw error
            }
        }
    }
}

/// Ends a call whose client left, also where an attempt reported the closed connection as a failure of its own.
func stopIfCancelled() throws(ParleyError) {
    if Task.isCancelled { throw ParleyError(.cancelled, "The client closed the connection.") }
}
