// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import GRDB
import ParleyCore
import Synchronization

/// From the journal into the store.
///
/// Every call comes there once: how far a file was read is written in the same transaction as the calls. A file is deleted
/// when they would survive a power cut, and only then what was noted about it.
extension SQLiteLedger {
    /// Starts to import unless that is being done.
    func startImport() {
        state.withLock { state in
            if state.importer == nil { state.importer = Task { await self.importAll() } }
        }
    }

    /// Imports until there is nothing left.
    private func importAll() async {
        var pause = settings.pause
        while true {
            do throws(ParleyError) {
                try await importLeft()
                await gather()
                try await importOwn()
                note(store: nil)
                pause = settings.pause
                if endImport() { return }
            } catch {
                note(store: error.message)
                await sleep(pause)
                pause = min(pause * 2, .seconds(60))
            }
        }
    }

    private func endImport() -> Bool {
        state.withLock { state in
            guard state.left?.isEmpty == true || state.journalFailure != nil, journal.isImported else { return false }
            state.importer = nil
            return true
        }
    }

    /// Lets calls come together, unless somebody waits for them.
    private func gather() async {
        let end = ContinuousClock.now + settings.gathering
        while ContinuousClock.now < end, state.withLock({ $0.hurried == 0 }) {
            await sleep(min(settings.gathering, .milliseconds(25)))
        }
    }

    /// Does not end early where nothing can be written: who waits goes away then.
    private func sleep(_ time: Duration) async { try? await Task.sleep(for: time) }

    // MARK: This process's journal

    private func importOwn() async throws(ParleyError) {
        if journal.next() != nil { await clean(try await store.opened()) }
        while let part = journal.next() {
            guard let chunk = part.file.chunk(from: part.start, to: part.end), !chunk.bytes.isEmpty else {
                journal.abandon(part.file)
                reports.remark("a part of the journal of calls \(part.file.name) cannot be read and is lost")
                continue
            }
            try await insert(chunk, of: part.file)
            journal.advance(part.file, to: chunk.end, calls: chunk.calls)
        }
        for file in journal.finished {
            try await finish(file)
            journal.forget(file)
        }
    }

    private func insert(_ chunk: JournalChunk, of file: JournalFile) async throws(ParleyError) {
        let store = try await store.opened()
        let name = file.name
        let unreadable = try await store.write(to: store.bulk) { database in
            let unreadable = try chunk.bytes.withUnsafeBytes { bytes in
                var packer = CallPacker()
                JournalFrame.calls(in: bytes) { packer.add($0) }
                try packer.write(to: database)
                return packer.unreadable
            }
            try database.execute(
                sql: """
                    INSERT INTO journals (name, position) VALUES (?, ?)
                    ON CONFLICT (name) DO UPDATE SET position = excluded.position
                    """, arguments: [name, chunk.end])
            return unreadable
        }
        if unreadable > 0 { reports.remark("\(unreadable) calls of the journal \(name) cannot be read and are lost") }
    }

    /// Deletes a file whose calls are all in the store.
    private func finish(_ file: JournalFile) async throws(ParleyError) {
        let store = try await store.opened()
        let name = file.name
        // Through the connection that waits for the disk: all that was committed before survives a power cut, too.
        try await store.write { database in
            try database.execute(sql: "UPDATE journals SET done = 1 WHERE name = ?", arguments: [name])
        }
        file.remove()
        try await store.write(to: store.bulk) { database in
            try database.execute(sql: "DELETE FROM journals WHERE name = ?", arguments: [name])
        }
    }

    // MARK: What dead processes left

    private func importLeft() async throws(ParleyError) {
        if state.withLock({ $0.left == nil }) {
            // Where there can be no folder, the first call says why.
            let found = (try? folder()).map { JournalFile.adopt(in: $0) } ?? []
            state.withLock { $0.left = found }
        }
        while let file = state.withLock({ $0.left?.first }) {
            try await importLeft(file)
            state.withLock { state in
                if state.left?.isEmpty == false { state.left?.removeFirst() }
            }
        }
    }

    private func importLeft(_ file: JournalFile) async throws(ParleyError) {
        let store = try await store.opened()
        let name = file.name
        let noted = try await store.read(from: store.bulk) { database in
            try Row.fetchOne(database, sql: "SELECT position, done FROM journals WHERE name = ?", arguments: [name])
                .map { row -> (Int, Bool) in (row["position"], row["done"]) }
        }
        if noted?.1 != true {
            var position = max(0, noted?.0 ?? 0)
            while let chunk = file.chunk(from: position, to: file.written) {
                if !chunk.bytes.isEmpty { try await insert(chunk, of: file) }
                position = chunk.end
                guard !chunk.isBroken else {
                    let rest = file.written - position
                    reports.remark("the last \(rest) bytes of the journal of calls \(name) cannot be read; skipped")
                    break
                }
            }
        }
        try await finish(file)
    }

    // MARK: Old calls

    /// Deletes what is too old: with the first calls, then now and then; a part at a time, since others wait to write.
    private func clean(_ store: SQLiteStore) async {
        let now = clock()
        let isDue = state.withLock { state in
            guard now >= state.nextCleaning else { return false }
            state.nextCleaning = now + 3_600_000
            return true
        }
        guard isDue else { return }
        let (seconds, _) = settings.retention.components
        let oldest = now - seconds.multipliedReportingOverflow(by: 1000).partialValue
        let part = 1000
        var deleted = 0
        repeat {
            deleted =
                (try? await store.write(to: store.bulk) { database in
                    try database.execute(
                        sql: """
                            DELETE FROM call_packs WHERE number IN
                            (SELECT number FROM call_packs WHERE number < ? LIMIT \(part))
                            """, arguments: [CallTables.number(of: oldest)])
                    return database.changesCount
                }) ?? 0
        } while deleted == part
    }
}
