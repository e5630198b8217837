// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import GRDB
public import ParleyAccess
public import ParleyCore
import Synchronization

/// The ledger in SQLite: calls wait in memory for a moment and are written many at a time, off the event loops.
///
/// The store is opened with the first call, so that a start waits for no database. While it cannot be written, calls
/// wait up to a limit; what comes then is lost, and counted. No call ever fails for it.
public final class SQLiteLedger: Ledger {
    /// How a ledger writes.
    public struct Settings: Sendable {
        /// How long calls are gathered before they are written.
        public var gathering = Duration.milliseconds(250)
        /// The most calls that wait.
        public var capacity = 10_000
        /// How long calls are kept.
        public var retention = Duration.seconds(90 * 86_400)
        /// The pause after a failure; it doubles up to a minute.
        public var pause = Duration.seconds(1)

        /// The defaults.
        public init() {}
    }

    private struct State {
        var waiting: [SettledCall] = []
        /// What is being written.
        var writing: [SettledCall] = []
        var writer: Task<Void, Never>?
        var health = LedgerHealth()
        /// Who waits until nothing is left to write, or cannot be written.
        var flushes: [AsyncStream<Void>.Continuation] = []
        /// When old calls are deleted next, in milliseconds since 1970.
        var nextCleaning: Int64 = 0

        mutating func cleaningIsDue(_ now: Int64) -> Bool {
            guard now >= nextCleaning else { return false }
            nextCleaning = now + 3_600_000
            return true
        }
    }

    private let store: LazyStore
    private let settings: Settings
    private let clock: @Sendable () -> Int64
    private let report: @Sendable (String?) -> Void
    private let state = Mutex(State())

    /// A ledger in `store`.
    ///
    /// - Parameters:
    ///   - clock: the present in milliseconds since 1970.
    ///   - report: told why nothing can be written, when that begins; and nil when it is over.
    public init(
        _ store: LazyStore, settings: Settings = Settings(),
        clock: @escaping @Sendable () -> Int64 = { Int64(WallClock.seconds()) * 1000 },
        report: @escaping @Sendable (String?) -> Void = { _ in }
    ) {
        self.report = report
        self.store = store
        self.settings = settings
        self.clock = clock
    }

    // MARK: Taking over

    /// Takes over a call; a lock, and now and then the start of a writer.
    public func settle(_ call: SettledCall) {
        state.withLock { state in
            guard state.waiting.count + state.writing.count < settings.capacity else {
                state.health.lost += 1
                return
            }
            state.waiting.append(call)
            if state.writer == nil { state.writer = Task { await self.write() } }
        }
    }

    /// How it is doing.
    public var health: LedgerHealth {
        state.withLock { state in
            var health = state.health
            health.waiting = state.waiting.count + state.writing.count
            return health
        }
    }

    /// Waits until what was settled before is written, or cannot be.
    ///
    /// - Parameter limit: the longest wait.
    /// - Returns: whether all was written.
    @discardableResult
    public func flush(within limit: Duration = .seconds(3)) async -> Bool {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
        let isIdle = state.withLock { state in
            if state.writer != nil { state.flushes.append(continuation) }
            return state.writer == nil
        }
        if isIdle { return true }
        // A stuck disk must not keep the process from ending, so that nobody waits for the writer itself.
        let timer = Task {
            try? await Task.sleep(for: limit)
            continuation.finish()
        }
        for await _ in stream {}
        timer.cancel()
        return state.withLock { $0.writer == nil }
    }

    // MARK: Writing

    /// Writes until nothing waits.
    private func write() async {
        var pause = settings.pause
        while true {
            try? await Task.sleep(for: settings.gathering)
            let batch = state.withLock { state -> [SettledCall] in
                state.writing += state.waiting
                state.waiting = []
                if state.writing.isEmpty { state.writer = nil }
                return state.writing
            }
            guard !batch.isEmpty else { return endFlushes() }
            do throws(ParleyError) {
                let store = try await store.opened()
                try await store.write(to: store.bulk) { database in
                    let rows = CallRows(database: database)
                    for call in batch { try rows.insert(call.makeRecord()) }
                }
                let wasFailing = state.withLock { state in
                    defer { state.health.failure = nil }
                    state.writing = []
                    return state.health.failure != nil
                }
                if wasFailing { report(nil) }
                pause = settings.pause
                await clean(store)
            } catch {
                let isNew = state.withLock { state in
                    defer { state.health.failure = error.message }
                    return state.health.failure == nil
                }
                if isNew { report(error.message) }
                endFlushes()
                try? await Task.sleep(for: pause)
                pause = min(pause * 2, .seconds(60))
            }
        }
    }

    private func endFlushes() {
        let flushes = state.withLock { state in
            defer { state.flushes = [] }
            return state.flushes
        }
        for flush in flushes { flush.finish() }
    }

    /// Deletes what is too old: once after the start, then now and then; a part at a time, since others wait to write.
    private func clean(_ store: SQLiteStore) async {
        guard state.withLock({ $0.cleaningIsDue(clock()) }) else { return }
        let (seconds, _) = settings.retention.components
        let oldest = clock() - seconds.multipliedReportingOverflow(by: 1000).partialValue
        var deleted = 0
        repeat {
            deleted =
                (try? await store.write(to: store.bulk) { database in
                    try database.execute(
                        sql: """
                            DELETE FROM calls WHERE number IN (SELECT number FROM calls WHERE number < ? LIMIT 1000)
                            """, arguments: [CallTables.number(of: oldest)])
                    return database.changesCount
                }) ?? 0
        } while deleted == 1000
    }

    // MARK: Reading

    /// The last call of that id, also where it is not written yet.
    public func call(_ id: String) async throws(ParleyError) -> CallRecord? {
        let unwritten = state.withLock { state in
            state.waiting.last { $0.record.id == id } ?? state.writing.last { $0.record.id == id }
        }
        if let unwritten { return unwritten.makeRecord() }
        return try await store.opened().read { database in
            try CallRows(database: database).calls("WHERE id = ? ORDER BY number DESC LIMIT 1", [id]).first
        }
    }

    /// The last calls that came at or after a time, newest first; those of the last moment are waited for.
    public func calls(since: Int64, limit: Int, key: String?) async throws(ParleyError) -> [CallRecord] {
        await flush(within: .seconds(1))
        return try await store.opened().read { database in
            let condition = key == nil ? "" : "AND \"key\" = ?"
            var arguments: [any DatabaseValueConvertible] = [CallTables.number(of: since)]
            if let key { arguments.append(key) }
            arguments.append(max(0, limit))
            return try CallRows(database: database).calls(
                "WHERE number >= ? \(condition) ORDER BY number DESC LIMIT ?", StatementArguments(arguments))
        }
    }
}
