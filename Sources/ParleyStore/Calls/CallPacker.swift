// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import GRDB
import GRDBSQLite
import ParleyAccess
import Synchronization

/// Sorts calls into packs.
struct CallPacker {
    /// The calls of a second whose ids say so. There are few seconds, and nearly always the last one is meant.
    private var packs: [(second: Int64, calls: PackedCalls.Writer)] = []
    /// Those that are found by their ids alone, each a pack.
    private var named: [(second: Int64, id: UnsafeRawBufferPointer, call: UnsafeRawBufferPointer)] = []
    /// How many were no calls.
    private(set) var unreadable = 0

    /// Takes a call, whose bytes must stay where they are until it is written.
    mutating func add(_ call: UnsafeRawBufferPointer) {
        let head: CallReader.Head
        do throws(CallLayout.Malformed) {
            var reader = try CallReader(call)
            head = try reader.head()
            _ = try reader.options()
            try reader.classes { _, _ in }
            _ = try reader.rest()
        } catch {
            unreadable += 1
            return
        }
        let second = CallTables.second(of: head.time)
        if let id = PackedCalls.id(of: head) {
            pack(of: second).append(call, head, id: id)
        } else {
            named.append((second, head.id, call))
        }
    }

    private mutating func pack(of second: Int64) -> PackedCalls.Writer {
        if let last = packs.last, last.second == second { return last.calls }
        if let found = packs.last(where: { $0.second == second }) { return found.calls }
        let calls = PackedCalls.Writer()
        packs.append((second, calls))
        return calls
    }

    /// Writes what it took, within a transaction.
    ///
    /// - Throws: what SQLite says.
    func write(to database: Database) throws {
        let writer = try PackWriter(database)
        for (second, calls) in packs { try writer.write(calls.bytes, second, id: nil) }
        var pack: [UInt8] = []
        for (second, id, call) in named {
            pack.removeAll(keepingCapacity: true)
            CallList.append(call, to: &pack)
            try pack.withUnsafeBytes { try writer.write($0, second, id: id) }
        }
    }
}

/// Writes packs into their rows, straight from their bytes.
private struct PackWriter {
    /// Tells packs of the same second apart; begins anywhere, since other servers write, too.
    private static let turns = Atomic<Int64>(.random(in: 0..<1 << CallTables.spareBits))

    private let connection: OpaquePointer?
    private let statement: Statement
    private let row: OpaquePointer

    init(_ database: Database) throws {
        connection = database.sqliteConnection
        statement = try database.cachedStatement(
            sql: "INSERT INTO call_packs (number, id, calls) VALUES (?, ?, ?) ON CONFLICT (number) DO NOTHING")
        row = statement.sqliteStatement
    }

    /// Writes a pack under the next free number of its second.
    func write(_ pack: UnsafeRawBufferPointer, _ second: Int64, id: UnsafeRawBufferPointer?) throws {
        // What is bound lies where it is until the statement is reset.
        sqlite3_reset(row)
        defer {
            sqlite3_reset(row)
            sqlite3_clear_bindings(row)
        }
        if let id {
            // An empty text has to lie somewhere, too.
            let start = id.baseAddress?.assumingMemoryBound(to: CChar.self)
            sqlite3_bind_text(row, 2, start, CInt(truncatingIfNeeded: id.count), nil)
        }
        sqlite3_bind_blob(row, 3, pack.baseAddress, CInt(truncatingIfNeeded: pack.count), nil)
        repeat {
            let turn = Self.turns.wrappingAdd(1, ordering: .relaxed).newValue & (1 << CallTables.spareBits - 1)
            sqlite3_reset(row)
            sqlite3_bind_int64(row, 1, CallTables.number(second: second) | turn)
            let code = sqlite3_step(row)
            guard code == SQLITE_DONE else {
                let message = sqlite3_errmsg(connection).map { String(cString: $0) }
                throw DatabaseError(resultCode: ResultCode(rawValue: code), message: message)
            }
        } while sqlite3_changes(connection) == 0
    }
}
