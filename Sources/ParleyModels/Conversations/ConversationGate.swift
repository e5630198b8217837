// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore
import Synchronization

/// Lets the turns of a conversation in one after the other, in the order they came.
public final class ConversationGate: Sendable {
    fileprivate struct Name: Hashable {
        var id: String
        var key: String
    }

    private struct Waiter {
        var number: UInt64
        var continuation: CheckedContinuation<Bool, Never>
    }

    /// Who waits, in order; a conversation is taken as long as its line exists.
    private let lines = Mutex<[Name: [Waiter]]>([:])
    private let count = Atomic<UInt64>(0)

    /// A gate with nobody at it.
    public init() {}

    /// A turn's leave to go on; the next one is let in when it is gone or given back.
    public final class Pass: Sendable {
        private let gate: ConversationGate
        private let name: Name
        private let isBack = Atomic(false)

        fileprivate init(_ gate: ConversationGate, _ name: Name) {
            self.gate = gate
            self.name = name
        }

        deinit { giveBack() }

        /// Lets the next one in.
        public func giveBack() {
            guard !isBack.exchange(true, ordering: .acquiringAndReleasing) else { return }
            gate.leave(name)
        }
    }

    /// How many wait in line.
    func waiting(_ id: String, key: String) -> Int {
        lines.withLock { $0[Name(id: id, key: key)]?.count ?? 0 }
    }

    /// Waits for the conversation's turns before this one.
    ///
    /// - Throws: `cancelled` when the client leaves while it waits.
    public func enter(_ id: String, key: String) async throws(ParleyError) -> Pass {
        let name = Name(id: id, key: key)
        let isFree = lines.withLock { lines in
            guard lines[name] == nil else { return false }
            lines[name] = []
            return true
        }
        if isFree { return Pass(self, name) }
        guard await wait(name, count.wrappingAdd(1, ordering: .relaxed).newValue) else {
            throw ParleyError(.cancelled, "The client closed the connection.")
        }
        return Pass(self, name)
    }

    /// - Returns: whether the turn came, rather than the client's leaving.
    private func wait(_ name: Name, _ number: UInt64) async -> Bool {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let outcome = lines.withLock { lines -> Bool? in
                    // Asked under the lock: a cancellation that comes later finds the continuation.
                    if Task.isCancelled { return false }
                    guard lines[name] != nil else {
                        // The one before left in the meantime.
                        lines[name] = []
                        return true
                    }
                    lines[name]?.append(Waiter(number: number, continuation: continuation))
                    return nil
                }
                if let outcome { continuation.resume(returning: outcome) }
            }
        } onCancel: {
            let continuation = lines.withLock { lines -> CheckedContinuation<Bool, Never>? in
                guard let index = lines[name]?.firstIndex(where: { $0.number == number }) else { return nil }
                return lines[name]?.remove(at: index).continuation
            }
            continuation?.resume(returning: false)
        }
    }

    private func leave(_ name: Name) {
        let next = lines.withLock { lines -> CheckedContinuation<Bool, Never>? in
            guard let line = lines[name], !line.isEmpty else {
                lines[name] = nil
                return nil
            }
            return lines[name]?.removeFirst().continuation
        }
        next?.resume(returning: true)
    }
}
