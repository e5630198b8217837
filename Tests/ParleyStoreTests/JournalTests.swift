// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import GRDB
import Glibc
import ParleyAccess
import ParleyCore
import Synchronization
import Testing

@testable import ParleyStore

@Suite struct JournalTests {
    private static let noStore = ParleyError(.internalError, "The disk is full.")

    /// Waits for something that another thread does.
    private static func until(_ isTrue: () async throws -> Bool) async throws {
        while try await !isTrue() { try await Task.sleep(for: .milliseconds(2)) }
    }

    /// Leaves a journal behind as a killed process does: its calls are in the file, and nobody holds it.
    private static func leave(_ calls: [SettledCall], at path: String) throws {
        let buffer = CallBuffer()
        let writer = CallWriter()
        for call in calls {
            writer.write(call.makeRecord())
            buffer.append(writer.bytes)
        }
        buffer.seal(generation: 0)
        try JournalFile.create(in: path + ".calls").append(buffer.bytes)
    }

    private enum FileSize {
        static func of(_ path: String) -> Int {
            var info = stat()
            return stat(path, &info) == 0 ? Int(info.st_size) : 0
        }
    }

    @Test func `what a dead process left is taken over once, and its file goes`() async throws {
        try await LedgerSetup.inFolder { path in
            try Self.leave((0..<1000).map { LedgerSetup.call("\($0)") }, at: path)
            #expect(LedgerSetup.names(path + ".calls").count == 1)
            for _ in 0..<2 {
                let ledger = LedgerSetup.ledger(path)
                await ledger.flush(within: .seconds(30))
                #expect(try await ledger.call("999")?.id == "999")
                let ids = try await LedgerSetup.ids(ledger)
                #expect(ids.count == 1000)
                #expect(Set(ids).count == 1000)
                #expect(LedgerSetup.names(path + ".calls").isEmpty)
            }
        }
    }

    @Test func `a file that was read in part is read on from there`() async throws {
        try await LedgerSetup.inFolder { path in
            try Self.leave((0..<2000).map { LedgerSetup.call("\($0)") }, at: path)
            let name = try #require(LedgerSetup.names(path + ".calls").first)
            let store = try SQLiteStore(path: path)
            // As if a process had been killed behind its first transaction, and once more before it deleted the file.
            var file = JournalFile.adopt(in: path + ".calls").first
            let chunk = try #require(file.flatMap { $0.chunk($0.part) })
            #expect((1..<2000).contains(chunk.calls))
            try await store.write { database in
                try database.execute(
                    sql: "INSERT INTO journals (name, position) VALUES (?, ?)", arguments: [name, chunk.end])
            }
            // It is locked: whoever holds it lives.
            #expect(try await LedgerSetup.ids(LedgerSetup.ledger(path)).isEmpty)
            #expect(file?.name == name)
            file = nil
            let ledger = LedgerSetup.ledger(path)
            let ids = try await LedgerSetup.ids(ledger)
            #expect(ids.count == 2000 - chunk.calls)
            #expect(ids.contains("1999") && !ids.contains("0"))
            #expect(LedgerSetup.names(path + ".calls").isEmpty)
        }
    }

    @Test func `a journal with a broken end is read up to there`() async throws {
        for damage in ["cut", "zeros", "noise"] {
            try await LedgerSetup.inFolder { path in
                try Self.leave((0..<1000).map { LedgerSetup.call("\($0)") }, at: path)
                let name = try #require(LedgerSetup.names(path + ".calls").first)
                let file = "\(path).calls/\(name)"
                let size = FileSize.of(file)
                let descriptor = open(file, O_RDWR)
                switch damage {
                case "cut": ftruncate(descriptor, off_t(size - 10))
                case "zeros": ftruncate(descriptor, off_t(size + 5000))
                default: pwrite(descriptor, Array(repeating: 0xAA as UInt8, count: 99), 99, off_t(size - 500))
                }
                close(descriptor)
                let remarks = Mutex<[String]>([])
                var reports = SQLiteLedger.Reports()
                reports.remark = { remark in remarks.withLock { $0.append(remark) } }
                let ledger = LedgerSetup.ledger(path, reports: reports)
                let ids = try await LedgerSetup.ids(ledger)
                #expect(damage == "zeros" ? ids.count == 1000 : (1..<1000).contains(ids.count))
                #expect(Set(ids).count == ids.count && ids.contains("0"))
                let told = remarks.withLock { $0 }
                #expect(told.count == 1 && told[0].contains("skipped"))
                #expect(LedgerSetup.names(path + ".calls").isEmpty)
            }
        }
    }

    @Test func `large files are followed by others, and go when the store has them`() async throws {
        try await LedgerSetup.inFolder { path in
            let ledger = LedgerSetup.ledger(path) { $0.fileSize = 10_000 }
            for number in 0..<3000 {
                ledger.settle(LedgerSetup.call("\(number)"))
                if number % 100 == 0 { try await Task.sleep(for: .milliseconds(2)) }
            }
            #expect(await ledger.close(within: .seconds(30)))
            #expect(LedgerSetup.names(path + ".calls").isEmpty)
            let ids = try await LedgerSetup.ids(LedgerSetup.ledger(path))
            #expect(ids.count == 3000 && Set(ids).count == 3000)
        }
    }

    @Test func `what the store cannot take waits in the journal, is found there, and comes later`() async throws {
        try await LedgerSetup.inFolder { path in
            let told = Mutex<[Bool]>([])
            var reports = SQLiteLedger.Reports()
            reports.failure = { failure in told.withLock { $0.append(failure == nil) } }
            let isBroken = Mutex(true)
            let ledger = LedgerSetup.ledger(
                path, { $0.memory = 20_000 }, reports: reports,
                store: { path throws(ParleyError) in
                    if isBroken.withLock({ $0 }) { throw Self.noStore }
                    return try SQLiteStore(path: path)
                })
            for number in 0..<1000 {
                ledger.settle(LedgerSetup.call("\(number)"))
                if number % 50 == 0 { try await Self.until { ledger.journalIsQuiet } }
            }
            #expect(await !ledger.flush())
            #expect(ledger.health.failure == "The disk is full.")
            #expect(ledger.health.waiting == 1000 && ledger.health.lost == 0)
            #expect(try await ledger.call("3")?.id == "3")
            #expect(try await ledger.call("999")?.id == "999")
            isBroken.withLock { $0 = false }
            try await Self.until { ledger.health.waiting == 0 }
            try await Self.until { ledger.health.failure == nil }
            #expect(try await LedgerSetup.ids(ledger).count == 1000)
            #expect(told.withLock { $0 } == [false, true])
        }
    }

    @Test func `what no disk takes waits in memory, then is lost and counted, and later all is well again`()
        async throws
    {
        try await LedgerSetup.inFolder { path in
            // A file where the journal's folder should be.
            close(open(path + ".calls", O_CREAT | O_RDWR, 0o600))
            let ledger = LedgerSetup.ledger(path) { $0.memory = 1_000 }
            for number in 0..<100 { ledger.settle(LedgerSetup.call("\(number)")) }
            try await Self.until { ledger.health.failure != nil }
            #expect(await !ledger.flush())
            #expect(ledger.health.failure?.contains("journal") == true)
            let health = ledger.health
            #expect((1..<100).contains(health.lost) && health.waiting + health.lost == 100)
            #expect(try await ledger.call("3")?.id == "3")
            unlink(path + ".calls")
            try await Self.until { ledger.health.waiting == 0 && ledger.health.failure == nil }
            #expect(try await LedgerSetup.ids(ledger).count == 100 - health.lost)
            #expect(ledger.health.lost == health.lost)
        }
    }

    @Test func `a journal that is full takes no more`() async throws {
        try await LedgerSetup.inFolder { path in
            let ledger = LedgerSetup.ledger(
                path, { ($0.memory, $0.capacity) = (5_000, 1_000) },
                store: { _ throws(ParleyError) in throw Self.noStore })
            for number in 0..<1000 { ledger.settle(LedgerSetup.call("\(number)")) }
            try await Self.until { ledger.health.failure != nil }
            let health = ledger.health
            #expect(health.lost > 0 && health.waiting + health.lost == 1000)
        }
    }

    @Test func `a file that is being made is not taken for one that a dead process left`() async throws {
        try await LedgerSetup.inFolder { path in
            let folder = path + ".calls"
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { while !Task.isCancelled { #expect(JournalFile.adopt(in: folder).isEmpty) } }
                var made: [JournalFile] = []
                for _ in 0..<500 { made.append(try JournalFile.create(in: folder)) }
                group.cancelAll()
                #expect(LedgerSetup.names(folder) == made.map(\.name).sorted())
                try await group.waitForAll()
            }
        }
    }

    @Test func `nobody else reads the journal`() async throws {
        try await LedgerSetup.inFolder { path in
            let ledger = LedgerSetup.ledger(path)
            ledger.settle(LedgerSetup.call("x"))
            await ledger.flush()
            let name = try #require(LedgerSetup.names(path + ".calls").first)
            var info = stat()
            #expect(stat(path + ".calls", &info) == 0 && info.st_mode & 0o777 == 0o700)
            #expect(stat("\(path).calls/\(name)", &info) == 0 && info.st_mode & 0o777 == 0o600)
        }
    }

    @Test func `calls are found by ids of our own and by clients' ids`() async throws {
        try await LedgerSetup.inFolder { path in
            let ledger = LedgerSetup.ledger(path)
            let own = CallID.make(time: 999_003, noise: 1, more: 2)
            let misleading = CallID.make(time: 500_000_000, noise: 1, more: 2)
            for id in [own, misleading, "client's own"] {
                ledger.settle(LedgerSetup.call(id))
                ledger.settle(LedgerSetup.call("other", time: 999_001))
            }
            #expect(await ledger.close(within: .seconds(30)))
            let again = LedgerSetup.ledger(path)
            for id in [own, misleading, "client's own"] { #expect(try await again.call(id)?.id == id) }
            #expect(try await again.call(CallID.make(time: 999_003, noise: 1, more: 3)) == nil)
            let store = try SQLiteStore(path: path)
            let named = try await store.read { database in
                try String.fetchSet(database, sql: "SELECT id FROM call_packs WHERE id IS NOT NULL")
            }
            #expect(named == [misleading, "client's own", "other"])
        }
    }
}

extension SQLiteLedger {
    /// Whether nothing is in memory only.
    fileprivate var journalIsQuiet: Bool { journal.progress.unwritten == 0 }
}
