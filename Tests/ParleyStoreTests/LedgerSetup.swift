// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
import NIOCore
import ParleyAccess
import ParleyCore
import ParleyStore
import Testing

/// Ledgers to try, and calls for them.
enum LedgerSetup {
    /// A path in a folder of its own, which goes with the test.
    static func inFolder(_ body: (String) async throws -> Void) async throws {
        var template = Array("/tmp/parley-ledger-XXXXXX".utf8CString)
        let folder = try #require(mkdtemp(&template).map { String(cString: $0) })
        defer { remove(folder) }
        try await body("\(folder)/parley.db")
    }

    static func remove(_ folder: String) {
        chmod(folder, 0o700)
        for name in names(folder) {
            let path = "\(folder)/\(name)"
            if unlink(path) != 0 { remove(path) }
        }
        rmdir(folder)
    }

    /// What is in a folder.
    static func names(_ folder: String) -> [String] { Folder.names(in: folder).sorted() }

    static func ledger(
        _ path: String, _ change: (inout SQLiteLedger.Settings) -> Void = { _ in },
        reports: SQLiteLedger.Reports = SQLiteLedger.Reports(),
        store: @escaping @Sendable (String) throws(ParleyError) -> SQLiteStore = { path throws(ParleyError) in
            try SQLiteStore(path: path)
        }
    ) -> SQLiteLedger {
        var settings = SQLiteLedger.Settings()
        settings.gathering = .milliseconds(5)
        settings.journalGathering = .milliseconds(1)
        settings.pause = .milliseconds(20)
        change(&settings)
        return SQLiteLedger(
            LazyStore { () throws(ParleyError) in try store(path) }, settings: settings, reports: reports,
            clock: { 1_000_000 }, folder: { path + ".calls" })
    }

    static func call(_ id: String, time: Int64 = 999_000) -> SettledCall {
        var record = CallRecord(id: id, time: time, operation: "chat", dialect: "openai-chat")
        (record.key, record.model, record.status) = ("k", "m", 200)
        return SettledCall(record, arrived: .uptimeNanoseconds(0), trace: CallTrace(), prices: PriceBook())
    }

    /// The ids of all calls, once the store has what it can have.
    static func ids(_ ledger: SQLiteLedger) async throws -> [String] {
        await ledger.flush(within: .seconds(30))
        return try await ledger.calls(since: 0, limit: 100_000, key: nil).map(\.id)
    }
}
