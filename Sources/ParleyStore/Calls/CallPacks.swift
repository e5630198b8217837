// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import FoundationEssentials
import GRDB
import ParleyAccess
import ParleyCore

/// Reads calls from their packs.
struct CallPacks {
    let database: Database
    private let reader = PackedCalls.Reader()

    /// The last call of that id.
    func call(_ id: String) throws -> CallRecord? {
        var text = id
        return try text.withUTF8 { text in
            let id = UnsafeRawBufferPointer(text)
            if let time = CallID.time(of: id) {
                // Nearly always it lies within some milliseconds.
                for reach in [50, CallID.tolerance + 1_000] {
                    let found = try call(
                        id, "WHERE number BETWEEN ? AND ?",
                        [CallTables.number(of: time - reach), CallTables.number(of: time + reach + 1024) - 1])
                    if let found { return found }
                }
            }
            return try call(id, "WHERE id = ?", [String(decoding: text, as: UTF8.self)])
        }
    }

    /// The last call of that id in the packs of a condition; all calls of an id in the last second that has any are looked
    /// at.
    private func call(
        _ id: UnsafeRawBufferPointer, _ condition: String, _ arguments: StatementArguments
    ) throws -> CallRecord? {
        var last: (time: Int64, second: Int64, call: CallRecord)?
        try packs("\(condition) ORDER BY number DESC", arguments) { second, pack in
            if let last, last.second != second { return false }
            // Of the same time, the last of a pack counts, and that of the pack that was written last.
            var found: CallRecord?
            reader.each(in: pack) { bytes in
                guard let head = CallReader.head(of: bytes), head.id.elementsEqual(id),
                    head.time >= found?.time ?? .min, let call = try? CallRecord(bytes)
                else { return }
                found = call
            }
            if let found, found.time > last?.time ?? .min { last = (found.time, second, found) }
            return true
        }
        return last?.call
    }

    /// How many calls are looked through for those of a key.
    private static let searched = 200_000

    /// The last calls that came at or after a time, newest first.
    func calls(since: Int64, limit: Int, key: String?) throws -> [CallRecord] {
        guard limit > 0 else { return [] }
        let key = key.map { Array($0.utf8) }
        var newest = NewestCalls(limit: limit)
        var seen = 0
        let first = CallTables.number(of: since)
        try packs("WHERE number >= ? ORDER BY number DESC", [first]) { second, pack in
            if newest.second != second {
                // Every call of an earlier second came before those that are here.
                if newest.isFull || key != nil && seen >= Self.searched { return false }
                newest.begin(second)
            }
            newest.beginPack()
            reader.each(in: pack) { call in
                seen += 1
                guard let head = CallReader.head(of: call), head.time >= since else { return }
                if let key, head.key?.elementsEqual(key) != true { return }
                newest.add(call, time: head.time)
            }
            return true
        }
        return newest.records
    }

    /// Calls `body` with every call from the second of a time on, in no order; some of that second may have come before it.
    func each(since: Int64, _ body: (UnsafeRawBufferPointer) -> Void) throws {
        try packs("WHERE number >= ?", [CallTables.number(of: since)]) { _, pack in
            reader.each(in: pack, body)
            return true
        }
    }

    /// Calls `body` with the second and the calls of packs, until it says that it is enough.
    private func packs(
        _ condition: String, _ arguments: StatementArguments, _ body: (Int64, UnsafeRawBufferPointer) -> Bool
    ) throws {
        let rows = try Row.fetchCursor(
            database, sql: "SELECT number, calls FROM call_packs \(condition)", arguments: arguments)
        while let row = try rows.next() {
            let second = CallTables.second(number: row[0])
            let isEnough = try row.withUnsafeData(atIndex: 1) { data in
                // An empty pack is none.
                data?.withUnsafeBytes { !body(second, $0) } ?? false
            }
            if isEnough { return }
        }
    }
}

/// The newest calls of those that come second by second, from the last one back. Of calls of the same time the one that was
/// written last is the newest.
private struct NewestCalls {
    private typealias Call = (time: Int64, bytes: [UInt8])

    private let limit: Int
    /// Those of later seconds, in order.
    private var settled: [Call] = []
    /// Those of the second that is being read, the last of each pack first.
    private var fresh: [Call] = []
    /// Those of the pack that is being read.
    private var pack: [Call] = []
    private(set) var second: Int64?

    init(limit: Int) {
        self.limit = limit
    }

    var isFull: Bool { settled.count + fresh.count + pack.count >= limit }

    mutating func begin(_ second: Int64) {
        settle()
        self.second = second
    }

    mutating func beginPack() {
        fresh += pack.reversed()
        pack = []
    }

    mutating func add(_ call: UnsafeRawBufferPointer, time: Int64) {
        pack.append((time, Array(call)))
    }

    private mutating func settle() {
        beginPack()
        // Sorting leaves those of the same time in their order.
        fresh.sort { $0.time > $1.time }
        settled += fresh.prefix(limit - settled.count)
        fresh = []
    }

    var records: [CallRecord] {
        var all = self
        all.settle()
        return all.settled.compactMap { call in call.bytes.withUnsafeBytes { try? CallRecord($0) } }
    }
}
