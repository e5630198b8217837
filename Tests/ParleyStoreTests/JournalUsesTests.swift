// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import FoundationEssentials
import GRDB
import Glibc
import ParleyAccess
import ParleyCore
import Synchronization
import Testing

@testable import ParleyStore

/// Files of a journal that are written over.
@Suite struct JournalUsesTests {
    /// What a crash left, by hand.
    private enum Left {
        /// The ids of the calls of a frame.
        static func ids(_ use: Int, _ frame: Int) -> [String] { (0..<20).map { "\(use)-\(frame)-\($0)" } }

        /// Frames of twenty calls each, whose ids say the use and the frame.
        static func frames(_ use: Int, _ count: Int = 6) -> [[UInt8]] {
            (0..<count).map { Self.frame(ids(use, $0), generation: UInt32(use)) }
        }

        static func frame(_ ids: [String], generation: UInt32) -> [UInt8] {
            let buffer = CallBuffer()
            let writer = CallWriter()
            for id in ids {
                writer.write(LedgerSetup.call(id).makeRecord())
                buffer.append(writer.bytes)
            }
            buffer.seal(generation: generation)
            return Array(buffer.bytes)
        }

        static let name = "1-2-x.journal"

        static func file(_ bytes: [UInt8], at path: String) {
            mkdir(path + ".calls", 0o700)
            let file = open("\(path).calls/\(name)", O_CREAT | O_WRONLY, 0o600)
            _ = bytes.withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
            close(file)
        }

        /// What a ledger makes of a file, given what the store says of it; and what it remarks.
        static func recovered(
            _ bytes: [UInt8], noted: (generation: Int, position: Int, done: Bool)?
        ) async throws -> (ids: [String], remarks: [String]) {
            let result = Mutex<([String], [String])>(([], []))
            try await LedgerSetup.inFolder { path in
                file(bytes, at: path)
                if let noted {
                    try await SQLiteStore(path: path).write { database in
                        try database.execute(
                            sql: "INSERT INTO journals (name, generation, position, done) VALUES (?, ?, ?, ?)",
                            arguments: [name, noted.generation, noted.position, noted.done])
                    }
                }
                var reports = SQLiteLedger.Reports()
                reports.remark = { remark in result.withLock { $0.1.append(remark) } }
                for turn in 0..<2 {
                    let ids = try await LedgerSetup.ids(LedgerSetup.ledger(path, reports: reports)).sorted()
                    if turn > 0 { #expect(result.withLock { $0.0 } == ids) }
                    result.withLock { $0.0 = ids }
                }
                #expect(LedgerSetup.names(path + ".calls").isEmpty)
                let rows = try await SQLiteStore(path: path).read { database in
                    try Int.fetchOne(database, sql: "SELECT count(*) FROM journals")
                }
                #expect(rows == 0)
            }
            return result.withLock { $0 }
        }

        static func over(_ old: [UInt8], _ new: [UInt8], at start: Int = 0) -> [UInt8] {
            var all = old
            all.replaceSubrange(start..<min(start + new.count, all.count), with: new)
            return all
        }
    }

    @Test func `a use that was noted as done is not read again, however little of the next one is there`() async throws
    {
        let old = Array(Left.frames(4).joined())
        let next = Left.frame(Left.ids(5, 0), generation: 5)
        for length in [0, 3, 10, 13, 16, 20, 24, 100, next.count - 100] {
            let bytes = Left.over(old, Array(next.prefix(length)))
            let found = try await Left.recovered(bytes, noted: (4, old.count, true))
            #expect(found.ids.isEmpty, "\(length) bytes")
        }
        // Not the last use that the store knows.
        #expect(try await Left.recovered(old, noted: (5, 7, true)).ids.isEmpty)
    }

    @Test func `a new use ends where an old one is still to be read, at the end of a frame or within one`() async throws
    {
        let old = Array(Left.frames(0).joined())
        for calls in [20, 13] {
            let new = (0..<3).map { Left.frame(Array(Left.ids(1, $0).prefix(calls)), generation: 1) }
            let ids = (0..<3).flatMap { Left.ids(1, $0).prefix(calls) }.sorted()
            let found = try await Left.recovered(
                Left.over(old, Array(new.joined())), noted: (0, old.count, true))
            #expect(found.ids == ids)
            #expect(found.remarks.isEmpty, "this is how files look that were written over")
            // The store has the first of them.
            let rest = try await Left.recovered(
                Left.over(old, Array(new.joined())), noted: (1, new[0].count, false))
            #expect(rest.ids == ids.filter { !$0.hasPrefix("1-0-") })
            // A store that was made anew has nothing.
            #expect(try await Left.recovered(Left.over(old, Array(new.joined())), noted: nil).ids == ids)
        }
    }

    @Test func `whatever pages of a new use a power cut let through, nothing comes twice or again`() async throws {
        let old = Left.frames(7)
        let new = Left.frames(8, 4)
        let size = old[0].count
        #expect(new.allSatisfy { $0.count == size })
        for pages in 0..<16 {
            var bytes = Array(old.joined())
            for frame in 0..<4 where pages >> frame & 1 != 0 { bytes = Left.over(bytes, new[frame], at: frame * size) }
            let firstMissing = (0..<4).first { pages >> $0 & 1 == 0 } ?? 4
            // The store knows nothing of the new use.
            let found = try await Left.recovered(bytes, noted: (7, 6 * size, true))
            #expect(found.ids == (0..<firstMissing).flatMap { Left.ids(8, $0) }.sorted())
            // It has the first frame, which may have been lost in the file.
            let rest = try await Left.recovered(bytes, noted: (8, size, false))
            let missing = (1..<4).first { pages >> $0 & 1 == 0 } ?? 4
            #expect(rest.ids == (1..<missing).flatMap { Left.ids(8, $0) }.sorted())
        }
    }

    @Test func `a frame that is half of one use and half of another is none`() async throws {
        let old = Array(Left.frames(1).joined())
        let new = Left.frames(2, 2)
        let size = new[0].count
        let half = Left.over(old, new[0] + new[1].prefix(size / 2))
        let found = try await Left.recovered(half, noted: (1, old.count, true))
        #expect(found.ids == Left.ids(2, 0).sorted())
        #expect(found.remarks.count == 1)
        // The head of one with the calls of the other.
        var mixed = Left.over(old, new[0])
        mixed.replaceSubrange(24..<size, with: old[24..<size])
        #expect(try await Left.recovered(mixed, noted: (1, old.count, true)).ids.isEmpty)
    }

    @Test func `the journals of an older version are read on from where it noted`() async throws {
        try await LedgerSetup.inFolder { path in
            let frames = Left.frames(0)
            let old = try DatabaseQueue(path: path)
            try Migrations.all.migrate(old, upTo: "call packs")
            try await old.write { database in
                try database.execute(
                    sql: "INSERT INTO journals (name, position) VALUES (?, ?)", arguments: [Left.name, frames[0].count])
            }
            try old.close()
            Left.file(Array(frames.joined()), at: path)
            let ids = try await LedgerSetup.ids(LedgerSetup.ledger(path)).sorted()
            #expect(ids == (1..<6).flatMap { Left.ids(0, $0) }.sorted())
            #expect(LedgerSetup.names(path + ".calls").isEmpty)
        }
    }

    @Test func `frames that are written once more after a failure are there once`() async throws {
        try await LedgerSetup.inFolder { path in
            var file: JournalFile? = try JournalFile.create(in: path + ".calls")
            let frame = Left.frame(Left.ids(0, 0), generation: 0)
            for _ in 0..<2 { try frame.withUnsafeBytes { try file?.append($0) } }
            file = nil
            #expect(try await LedgerSetup.ids(LedgerSetup.ledger(path)).sorted() == Left.ids(0, 0).sorted())
        }
    }

    @Test func `who reads a use while the next one is written sees nothing of it`() async throws {
        try await LedgerSetup.inFolder { path in
            let file = try JournalFile.create(in: path + ".calls")
            let frames = [0, 1].map { Left.frame(Left.ids($0, 0), generation: UInt32($0)) }
            try frames[0].withUnsafeBytes { try file.append($0) }
            file.written = frames[0].count
            let part = file.part
            #expect(file.chunk(part)?.calls == 20)
            #expect(file.beginAgain())
            #expect(file.chunk(part)?.calls == 20)
            try frames[1].withUnsafeBytes { try file.append($0) }
            #expect(file.chunk(part)?.bytes.isEmpty == true)
            file.written = frames[1].count
            #expect(file.chunk(file.part)?.calls == 20)
            file.isDamaged = true
            #expect(!file.beginAgain())
        }
    }

    // MARK: Ledgers

    /// Settles calls that fill a file of 10,000 bytes, and waits until the store has them and the file is finished.
    private static func fill(_ ledger: SQLiteLedger, _ round: Int) async throws {
        for number in 0..<200 { ledger.settle(LedgerSetup.call("\(round)-\(number)")) }
        #expect(await ledger.flush(within: .seconds(30)))
        while !ledger.journal.finished.isEmpty { try await Task.sleep(for: .milliseconds(1)) }
    }

    @Test func `the same few files are written over and over, and go with an orderly stop`() async throws {
        try await LedgerSetup.inFolder { path in
            let ledger = LedgerSetup.ledger(path) { $0.fileSize = 10_000 }
            var names: Set<String> = []
            for round in 0..<20 {
                try await Self.fill(ledger, round)
                names.formUnion(LedgerSetup.names(path + ".calls"))
            }
            #expect(names.count <= 3)
            #expect(try await ledger.call("0-0")?.id == "0-0")
            #expect(try await ledger.call("19-199")?.id == "19-199")
            #expect(await ledger.close(within: .seconds(30)))
            #expect(LedgerSetup.names(path + ".calls").isEmpty)
            let ids = try await LedgerSetup.ids(LedgerSetup.ledger(path))
            #expect(ids.count == 4000 && Set(ids).count == 4000)
        }
    }

    @Test func `a file that somebody deleted is not written over`() async throws {
        try await LedgerSetup.inFolder { path in
            let ledger = LedgerSetup.ledger(path) { $0.fileSize = 10_000 }
            for round in 0..<3 { try await Self.fill(ledger, round) }
            let names = LedgerSetup.names(path + ".calls")
            #expect(!names.isEmpty)
            for name in names { unlink("\(path).calls/\(name)") }
            for round in 3..<6 { try await Self.fill(ledger, round) }
            let others = LedgerSetup.names(path + ".calls")
            #expect(!others.isEmpty && Set(others).isDisjoint(with: names))
        }
    }

    @Test func `copies that are made of everything at any moment have every call once`() async throws {
        try await LedgerSetup.inFolder { path in
            let ledger = LedgerSetup.ledger(path) { $0.fileSize = 30_000 }
            let store = try SQLiteStore(path: path)
            let settled = Mutex<[String]>([])
            let writing = Task {
                var number = 0
                while !Task.isCancelled {
                    for _ in 0..<50 {
                        ledger.settle(LedgerSetup.call("\(number)"))
                        settled.withLock { $0.append("\(number)") }
                        number += 1
                    }
                    try await Task.sleep(for: .milliseconds(2))
                }
            }
            for round in 0..<8 {
                try await Task.sleep(for: .milliseconds(60 + 7 * round))
                let wanted = settled.withLock { $0 }
                ledger.journal.hurry()
                // What was settled before is not in memory only any more.
                let target = ledger.journal.progress.settled
                while ledger.journal.progress.settled - ledger.journal.progress.unwritten < target {
                    try await Task.sleep(for: .milliseconds(1))
                }
                // The files one after another, while they are written over; then the store, which knows later things: as a
                // power cut leaves them.
                let copy = "\(path).copy\(round)/parley.db"
                mkdir("\(path).copy\(round)", 0o700)
                mkdir(copy + ".calls", 0o700)
                for name in LedgerSetup.names(path + ".calls") {
                    let bytes = try? Data(contentsOf: URL(filePath: "\(path).calls/\(name)"))
                    try bytes?.write(to: URL(filePath: "\(copy).calls/\(name)"))
                }
                try await store.database.writeWithoutTransaction { try $0.execute(sql: "VACUUM INTO '\(copy)'") }
                // One that was deleted before the store was copied would not be there.
                let present = LedgerSetup.names(path + ".calls")
                for name in LedgerSetup.names(copy + ".calls") where !present.contains(name) {
                    unlink("\(copy).calls/\(name)")
                }
                let found = try await LedgerSetup.ids(LedgerSetup.ledger(copy))
                #expect(Set(found).count == found.count, "twice")
                #expect(Set(found).isSuperset(of: wanted), "lost")
            }
            writing.cancel()
            _ = try? await writing.value
            #expect(await ledger.close(within: .seconds(30)))
            let ids = try await LedgerSetup.ids(LedgerSetup.ledger(path))
            #expect(ids.sorted() == settled.withLock { $0 }.sorted())
        }
    }
}
