// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import GRDB
import GRDBSQLite
import ParleyAccess
import Synchronization

/// Sorts calls into packs.
struct CallPacker {
    /// The calls of a second whose ids say so.
    private var packs: [Int64: [UInt8]] = [:]
    /// Those that are found by their ids alone, each a pack.
    private var named: [(second: Int64, id: UnsafeRawBufferPointer, pack: [UInt8])] = []
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
        if CallID.tellsTime(head.id, of: head.time) {
            CallList.append(call, to: &packs[second, default: []])
        } else {
            var pack: [UInt8] = []
            CallList.append(call, to: &pack)
            named.append((second, head.id, pack))
        }
    }

    /// Writes what it took, within a transaction.
    ///
    /// - Throws: what SQLite says.
    func write(to database: Database) throws {
        let writer = try PackWriter(database)
        for (second, pack) in packs { try writer.write(pack, second, id: nil) }
        for (second, id, pack) in named { try writer.write(pack, second, id: id) }
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
    func write(_ pack: [UInt8], _ second: Int64, id: UnsafeRawBufferPointer?) throws {
        try pack.withUnsafeBytes { pack in
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
}
