// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyAccess
public import ParleyCore
import Synchronization

/// The ledger in SQLite: calls go into a journal within milliseconds, and from there into the store, many at a time.
///
/// The store is opened with the first call, so that a start waits for no database. What it cannot take waits in the
/// journal, and what the journal cannot take in memory, up to a limit; what comes then is lost, and counted. No call ever
/// fails for it.
public final class SQLiteLedger: Ledger {
    /// How a ledger writes.
    public struct Settings: Sendable {
        /// How long calls are gathered before they are written into the store.
        public var gathering = Duration.milliseconds(250)
        /// How long calls are gathered before they are appended to the journal.
        public var journalGathering = TimeAmount.milliseconds(15)
        /// The most bytes of calls that wait in memory.
        public var memory = 16 << 20
        /// The size at which a file of the journal is followed by another one.
        public var fileSize = 4 << 20
        /// The most bytes of calls that wait in the journal.
        public var capacity = 1 << 30
        /// How long calls are kept.
        public var retention = Duration.seconds(90 * 86_400)
        /// The pause after a failure; it doubles up to a minute.
        public var pause = Duration.seconds(1)

        /// The defaults.
        public init() {}

        var journal: CallJournal.Settings {
            var settings = CallJournal.Settings()
            settings.gathering = journalGathering
            (settings.memory, settings.fileSize, settings.capacity) = (memory, fileSize, capacity)
            settings.pause = TimeAmount(pause)
            return settings
        }
    }

    struct State {
        var importer: Task<Void, Never>?
        /// How many wait for the store to have everything.
        var hurried = 0
        /// What dead processes left; nil until it was looked for.
        var left: [JournalFile]?
        var journalFailure: String?
        var storeFailure: String?
        /// When old calls are deleted next, in milliseconds since 1970.
        var nextCleaning: Int64 = 0
    }

    /// What becomes of the ledger, as its server tells it.
    public struct Reports: Sendable {
        /// Told why nothing can be written, when that begins; and nil when it is over.
        public var failure: @Sendable (String?) -> Void = { _ in }
        /// Told what of a journal cannot be read.
        public var remark: @Sendable (String) -> Void = { _ in }

        /// Nobody is told.
        public init() {}
    }

    let store: LazyStore
    let settings: Settings
    let clock: @Sendable () -> Int64
    let reports: Reports
    let folder: @Sendable () throws(ParleyError) -> String
    let state = Mutex(State())
    let journal: CallJournal
    private let link: Link

    /// The journal's way back to the ledger, which it does not keep alive.
    private final class Link: Sendable {
        private struct Target {
            weak var ledger: SQLiteLedger?
        }

        private let target = Mutex(Target())
        var ledger: SQLiteLedger? { target.withLock { $0.ledger } }
        func set(_ ledger: SQLiteLedger) { target.withLock { $0.ledger = ledger } }
    }

    /// A ledger in `store`.
    ///
    /// - Parameters:
    ///   - clock: the present in milliseconds since 1970.
    ///   - prepare: sees to it that the folder can be made, as soon as it is needed; it may block.
    ///   - folder: says where the journal is.
    public init(
        _ store: LazyStore, settings: Settings = Settings(), reports: Reports = Reports(),
        clock: @escaping @Sendable () -> Int64 = { Int64(WallClock.seconds()) * 1000 },
        prepare: @escaping @Sendable () throws(ParleyError) -> Void = {},
        folder: @escaping @Sendable () throws(ParleyError) -> String
    ) {
        self.store = store
        self.settings = settings
        self.reports = reports
        self.clock = clock
        self.folder = folder
        let link = Link()
        self.link = link
        journal = CallJournal(
            settings.journal,
            folder: { () throws(ParleyError) in
                try prepare()
                return try folder()
            }, onAppend: { link.ledger?.startImport() },
            onFailure: { link.ledger?.note(journal: $0) })
        link.set(self)
    }

    deinit { journal.close() }

    // MARK: Taking over

    /// Takes over a call: a lock and a copy.
    public func settle(_ call: UnsafeRawBufferPointer) { journal.append(call) }

    /// How it is doing.
    public var health: LedgerHealth {
        let progress = journal.progress
        var health = LedgerHealth()
        health.lost = progress.lost
        health.waiting = progress.settled - progress.finished
        health.failure = state.withLock { $0.storeFailure ?? $0.journalFailure }
        return health
    }

    func note(journal failure: String?) { note { $0.journalFailure = failure } }
    func note(store failure: String?) { note { $0.storeFailure = failure } }

    private func note(_ change: (inout State) -> Void) {
        let news = state.withLock { state -> String?? in
            let before = state.storeFailure ?? state.journalFailure
            change(&state)
            let after = state.storeFailure ?? state.journalFailure
            return (before == nil) == (after == nil) ? nil : .some(after)
        }
        if let news { reports.failure(news) }
    }

    // MARK: Waiting

    /// Takes over what processes left that are gone, if they left anything.
    public func recover() { startImport() }

    /// Waits until what was settled before is in the store, or cannot be.
    ///
    /// - Parameter limit: the longest wait.
    /// - Returns: whether all of it is there.
    @discardableResult
    public func flush(within limit: Duration = .seconds(3)) async -> Bool {
        let target = journal.progress.settled
        return await hurried(within: limit) {
            self.journal.progress.finished >= target && self.state.withLock { $0.left?.isEmpty == true }
        }
    }

    /// Writes what is left and ends; the journal's files go where the store has all that is in them.
    ///
    /// - Parameter limit: the longest wait.
    /// - Returns: whether the store has everything.
    public func close(within limit: Duration = .seconds(3)) async -> Bool {
        let end = ContinuousClock.now + limit
        let isWritten = journal.progress.settled == 0 ? true : await flush(within: limit)
        journal.close()
        // Also where the store fails: what is in the journal is there at the next start.
        let last = max(end, ContinuousClock.now + .seconds(1))
        while !journal.isAtRest, ContinuousClock.now < last { try? await Task.sleep(for: .milliseconds(1)) }
        guard isWritten else { return false }
        return await hurried(within: last - ContinuousClock.now) { self.journal.isImported }
    }

    /// Waits for something while everything is written without delay; not any more where nothing can be written.
    private func hurried(within limit: Duration, _ isDone: () -> Bool) async -> Bool {
        // A stuck disk must not keep the process from ending, so that nobody waits for the writing itself.
        let end = ContinuousClock.now + limit
        state.withLock { $0.hurried += 1 }
        defer { state.withLock { $0.hurried -= 1 } }
        journal.hurry()
        startImport()
        while !isDone() {
            if state.withLock({ ($0.storeFailure ?? $0.journalFailure) != nil }) || ContinuousClock.now >= end {
                return false
            }
            try? await Task.sleep(for: .milliseconds(2))
        }
        return true
    }

    // MARK: Reading

    /// The last call of that id, also where the store does not have it yet.
    public func call(_ id: String) async throws(ParleyError) -> CallRecord? {
        await recovered()
        if let found = journal.find(id) { return found }
        return try await store.opened().read { try CallPacks(database: $0).call(id) }
    }

    /// The last calls that came at or after a time, newest first; those of the last moment are waited for.
    public func calls(since: Int64, limit: Int, key: String?) async throws(ParleyError) -> [CallRecord] {
        await flush(within: .seconds(1))
        return try await store.opened().read { database in
            try CallPacks(database: database).calls(since: since, limit: max(0, limit), key: key)
        }
    }

    private func recovered() async {
        if state.withLock({ $0.left?.isEmpty == true }) { return }
        _ = await hurried(within: .seconds(1)) { self.state.withLock { $0.left?.isEmpty == true } }
    }
}

extension TimeAmount {
    fileprivate init(_ duration: Duration) {
        let (seconds, rest) = duration.components
        self = .seconds(min(max(0, seconds), 86_400)) + .nanoseconds(rest / 1_000_000_000)
    }
}
