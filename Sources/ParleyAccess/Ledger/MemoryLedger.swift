// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore
import Synchronization

/// Keeps the last calls in memory, as many as fit.
public final class MemoryLedger: Ledger {
    private struct State {
        /// A ring: the oldest at `first`.
        var calls: [(record: CallRecord, size: Int)] = []
        var first = 0
        var bytes = 0
    }

    private let state = Mutex(State())
    private let countLimit: Int
    private let byteLimit: Int

    /// An empty ledger.
    ///
    /// - Parameters:
    ///   - count: the most calls.
    ///   - bytes: the most memory they may take, about.
    public init(count: Int = 1_000, bytes: Int = 8 << 20) {
        countLimit = max(0, count)
        byteLimit = max(0, bytes)
    }

    /// How many calls there are.
    public var count: Int { state.withLock { $0.calls.count - $0.first } }

    /// Keeps a call; the oldest go where there are too many.
    public func settle(_ call: UnsafeRawBufferPointer) {
        guard let record = try? CallRecord(call) else { return }
        let size = record.size
        state.withLock { state in
            state.calls.append((record, size))
            state.bytes = state.bytes.clampedSum(size)
            while state.first < state.calls.count,
                state.calls.count - state.first > countLimit || state.bytes > byteLimit
            {
                state.bytes -= state.calls[state.first].size
                state.calls[state.first].record = CallRecord(id: "", time: 0, operation: "", dialect: "")
                state.first += 1
            }
            if state.first > 64, state.first * 2 > state.calls.count {
                state.calls.removeFirst(state.first)
                state.first = 0
            }
        }
    }

    /// The last call of that id.
    public func call(_ id: String) async throws(ParleyError) -> CallRecord? {
        state.withLock { state in state.calls[state.first...].last { $0.record.id == id }?.record }
    }

    /// The last calls that came at or after a time, newest first.
    public func calls(since: Int64, limit: Int, key: String?) async throws(ParleyError) -> [CallRecord] {
        state.withLock { state in
            Array(
                state.calls[state.first...].reversed().lazy
                    .filter { $0.record.time >= since && (key == nil || $0.record.key == key) }
                    .map(\.record).prefix(max(0, limit)))
        }
    }

    /// Memory does not fail; what the limits drop was never promised.
    public var health: LedgerHealth { LedgerHealth() }
}

extension CallRecord {
    /// About how much memory it takes.
    var size: Int {
        var size = MemoryLayout<CallRecord>.size + id.utf8.count
        for text in [key, model, error, finish, upstream] { size += text?.utf8.count ?? 0 }
        for text in degraded + dropped { size += text.utf8.count + 16 }
        size += attempts.reduce(0) { $0 + $1.size }
        return innerCalls.reduce(size) { $0 + $1.size }
    }
}

extension AttemptRecord {
    fileprivate var size: Int {
        MemoryLayout<AttemptRecord>.size + upstream.utf8.count + (route?.utf8.count ?? 0) + (why?.utf8.count ?? 0)
    }
}

extension InnerCallRecord {
    fileprivate var size: Int {
        let own = MemoryLayout<InnerCallRecord>.size + purpose.utf8.count + model.utf8.count
        return innerCalls.reduce(attempts.reduce(own) { $0 + $1.size }) { $0 + $1.size }
    }
}
