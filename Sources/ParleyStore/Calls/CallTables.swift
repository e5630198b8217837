// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import GRDB

/// The tables of the ledger.
///
/// Calls lie in packs, each a row with calls that came within the same second, as bytes. A row and thirty columns for every
/// call cost more than all the rest of writing it down.
enum CallTables {
    static func create(in database: Database) throws {
        try database.create(table: "call_packs") { table in
            // In the order of time, so that no index by time is needed; see `number(of:)`.
            table.primaryKey("number", .integer)
            // The id of the only call, where the time that it says does not find it.
            table.column("id", .text)
            // See ``PackedCalls``.
            table.column("calls", .blob).notNull()
        }
        try database.execute(sql: "CREATE INDEX call_packs_id ON call_packs (id) WHERE id IS NOT NULL")
        // What was read from the journals of servers is noted in the same transaction as its calls.
        try database.create(table: "journals", options: .ifNotExists) { table in
            // The file's name in the folder beside the store.
            table.primaryKey("name", .text)
            table.column("position", .integer).notNull()
            // Set when all of it is here for good, right before the file is deleted.
            table.column("done", .integer).notNull().defaults(to: 0)
        }
    }

    /// Files of journals are written over since, and a position belongs to one use of its file; before, each had one, of
    /// number zero.
    static func countUses(in database: Database) throws {
        try database.alter(table: "journals") { table in
            table.add(column: "generation", .integer).notNull().defaults(to: 0)
        }
    }

    /// Which second of 1024 milliseconds a time is in.
    static func second(of time: Int64) -> Int64 { min(max(time, 0), 1 << 50) >> 10 }

    /// The least number that a pack with a call of that time can have.
    static func number(of time: Int64) -> Int64 { number(second: second(of: time)) }

    /// The least number of a pack of that second.
    static func number(second: Int64) -> Int64 { second << spareBits }

    /// The second that a pack's number says.
    static func second(number: Int64) -> Int64 { number >> spareBits }

    /// How many bits of a number tell packs of the same second apart.
    static let spareBits: Int64 = 22
}
