// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import Synchronization

/// One task's wait for something to change that another thread changes. It holds no value: whoever wakes up looks again.
final class AgentSignal: Sendable {
    private struct State {
        var isRaised = false
        var waiter: CheckedContinuation<Void, Never>?
        var alarm: NIODeadline?
        var timer: Task<Void, Never>?
    }

    private let state = Mutex(State())

    deinit {
        state.withLock { $0.timer?.cancel() }
    }

    /// Wakes the task that waits, or the next one that wants to.
    func raise() {
        let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
            if let waiter = state.waiter.take() { return waiter }
            state.isRaised = true
            return nil
        }
        waiter?.resume()
    }

    /// Waits until it is raised, `deadline` has passed or the task is cancelled; at times it returns early.
    func wait(by deadline: NIODeadline) async {
        guard deadline > .now() else { return }
        setAlarm(deadline)
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isRaised = state.withLock { state in
                    if state.isRaised {
                        state.isRaised = false
                        return true
                    }
                    state.waiter = continuation
                    return false
                }
                if isRaised { continuation.resume() }
            }
        } onCancel: {
            raise()
        }
    }

    /// Sees to it that it is raised at `deadline` or before: a timer that is set already is early enough, since who
    /// wakes up looks again.
    private func setAlarm(_ deadline: NIODeadline) {
        guard deadline < .distantFuture else { return }
        state.withLock { state in
            if let alarm = state.alarm, alarm <= deadline { return }
            state.timer?.cancel()
            state.alarm = deadline
            state.timer = Task { [weak self] in
                let time = max(0, (deadline - NIODeadline.now()).nanoseconds)
                try? await Task.sleep(for: .nanoseconds(time))
                if !Task.isCancelled { self?.ring() }
            }
        }
    }

    private func ring() {
        state.withLock { state in
            state.alarm = nil
            state.timer = nil
        }
        raise()
    }
}

/// A value that many wait for and that comes once.
final class AgentGate<Value: Sendable>: Sendable {
    private struct State {
        var result: Result<Value, ParleyError>?
        var waiting: [AgentSignal] = []
    }

    private let state = Mutex(State())

    /// Gives the value to all who wait and will; only the first one counts.
    func open(_ result: Result<Value, ParleyError>) {
        let waiting = state.withLock { state -> [AgentSignal] in
            guard state.result == nil else { return [] }
            state.result = result
            defer { state.waiting = [] }
            return state.waiting
        }
        for signal in waiting { signal.raise() }
    }

    /// Whether the value is there.
    var isOpen: Bool { state.withLock { $0.result != nil } }

    /// The value, waited for.
    ///
    /// - Throws: the failure that came in its place; `timeout`, `cancelled`.
    func value(by deadline: NIODeadline, _ what: String) async throws(ParleyError) -> Value {
        let signal = AgentSignal()
        state.withLock { $0.waiting.append(signal) }
        defer { state.withLock { $0.waiting.removeAll { $0 === signal } } }
        while true {
            if let result = state.withLock({ $0.result }) { return try result.get() }
            try AgentWait.check(deadline, what)
            await signal.wait(by: deadline)
        }
    }
}

/// What ends a wait.
enum AgentWait {
    /// - Throws: `cancelled` where the task was, `timeout` where `deadline` has passed.
    static func check(_ deadline: NIODeadline, _ what: String) throws(ParleyError) {
        if Task.isCancelled { throw ParleyError(.cancelled, "The request was cancelled.") }
        if deadline <= .now() { throw ParleyError(.timeout, "the agent \(what) within the time allowed") }
    }
}
