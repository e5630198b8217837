// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import GRDB
import ParleyCore
import Synchronization

/// From the journal into the store.
///
/// Every call comes there once: how far a file was read, and in which of its uses, is written in the same transaction as the
/// calls. A file is written over or deleted when they would survive a power cut; what was noted about it stays until it
/// was deleted, since until its first new frame is on the disk its former ones are found there.
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
            if let chunk = part.file.chunk(part.part), !chunk.bytes.isEmpty {
                try await insert(chunk, part.part.generation, of: part.file)
                journal.advance(part.file, to: chunk.end, calls: chunk.calls)
            } else {
                journal.abandon(part.file)
                reports.remark("a part of the journal of calls \(part.file.name) cannot be read and is lost")
            }
            // At once, also where more calls come all the time: the file is soon needed again.
            try await finishOwn()
        }
        try await finishOwn()
    }

    private func finishOwn() async throws(ParleyError) {
        for file in journal.finished {
            // What is written over must be known to be in the store by whoever finds it at the start again.
            if try await noteDone(file), journal.keep(file) { continue }
            try await delete(file)
            journal.forget(file)
        }
    }

    private func insert(_ chunk: JournalChunk, _ generation: UInt32, of file: JournalFile) async throws(ParleyError) {
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
                    INSERT INTO journals (name, generation, position) VALUES (?, ?, ?)
                    ON CONFLICT (name) DO UPDATE
                    SET generation = excluded.generation, position = excluded.position, done = 0
                    """, arguments: [name, Int64(generation), chunk.end])
            return unreadable
        }
        if unreadable > 0 { reports.remark("\(unreadable) calls of the journal \(name) cannot be read and are lost") }
    }

    /// Notes for good that all calls of a file are in the store; whether the note is of the use that the file is in.
    private func noteDone(_ file: JournalFile) async throws(ParleyError) -> Bool {
        let store = try await store.opened()
        let (name, generation) = (file.name, file.generation)
        // Through the connection that waits for the disk: all that was committed before survives a power cut, too.
        return try await store.write { database in
            try database.execute(sql: "UPDATE journals SET done = 1 WHERE name = ?", arguments: [name])
            let sql = "SELECT generation FROM journals WHERE name = ?"
            return try Int64.fetchOne(database, sql: sql, arguments: [name]) == Int64(generation)
        }
    }

    /// Deletes a file whose calls are all in the store for good.
    private func delete(_ file: JournalFile) async throws(ParleyError) {
        let store = try await store.opened()
        let name = file.name
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
            let sql = "SELECT generation, position, done FROM journals WHERE name = ?"
            return try Row.fetchOne(database, sql: sql, arguments: [name]).map { row in
                Noted(generation: row["generation"], position: row["position"], isDone: row["done"])
            }
        }
        if var part = file.part(after: noted) {
            while let chunk = file.chunk(part) {
                if !chunk.bytes.isEmpty { try await insert(chunk, part.generation, of: file) }
                part.start = chunk.end
                if chunk.next == .noFrame {
                    let rest = part.end - part.start
                    reports.remark("the last \(rest) bytes of the journal of calls \(name) cannot be read; skipped")
                }
                guard chunk.next == .frames else { break }
            }
        }
        _ = try await noteDone(file)
        try await delete(file)
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

/// What the store says of a journal's file.
private struct Noted {
    /// The last use that calls came from.
    var generation: Int64
    var position: Int
    /// Whether the store has all of that use.
    var isDone: Bool
}

extension JournalFile {
    /// What the store may not have of a file that was taken over.
    fileprivate func part(after noted: Noted?) -> JournalPart? {
        // A use begins when the store has all of the one before. One that is at the start, but not in the store, is later
        // than the one that the store knows.
        guard let noted, noted.generation >= Int64(generation) else {
            return JournalPart(generation: generation, start: 0, end: written)
        }
        // Otherwise what is at the start is the use that the store knows; or an earlier one, or nothing, where a power cut
        // kept its first page from the disk. What there is of it behind the noted position is not in the store.
        guard !noted.isDone, let generation = UInt32(exactly: noted.generation) else { return nil }
        return JournalPart(generation: generation, start: max(0, noted.position), end: written)
    }
}
