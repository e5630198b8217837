// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import GRDB
import ParleyAccess
import ParleyCore

/// The tables of the ledger.
///
/// Most calls are one attempt: that one lies in the call's own row, and `attempts` has only the others and those of
/// inner calls. Times are milliseconds since 1970, durations microseconds, money nanodollars.
enum CallTables {
    private static let usage = [
        "input", "cache_read", "cache_write", "cache_write_1h", "input_audio", "output", "reasoning", "output_audio",
        "accepted_prediction", "rejected_prediction", "stated_total",
    ]
    private static let texts = ["key", "model", "error", "finish", "upstream"]

    static func create(in database: Database) throws {
        try database.create(table: "calls") { table in
            // In the order of time, so that no index by time is needed; see `number(of:)`.
            table.primaryKey("number", .integer)
            table.column("id", .text).notNull()
            table.column("time", .integer).notNull()
            for name in ["operation", "dialect", "outcome"] { table.column(name, .text).notNull() }
            for name in ["stream", "status", "total"] { table.column(name, .integer).notNull() }
            for name in texts { table.column(name, .text) }
            for name in usage { table.column(name, .integer) }
            table.column("estimated", .integer).notNull()
            for name in ["cost", "first"] { table.column(name, .integer) }
            // JSON arrays of texts; null where there is nothing.
            for name in ["degraded", "dropped"] { table.column(name, .text) }
            // The attempt that answered: its place among the attempts, and what `attempts` has of others.
            table.column("answer", .integer)
            for name in ["began", "elapsed", "own_cost"] { table.column(name, .integer) }
            for name in ["why", "route"] { table.column(name, .text) }
        }
        // The number is in every index, and so the time.
        try database.create(index: "calls_key", on: "calls", columns: ["key"])
        try database.create(index: "calls_id", on: "calls", columns: ["id"])
        try database.create(table: "inner_calls", options: .withoutRowID) { table in
            table.column("call", .integer).notNull().references("calls", onDelete: .cascade)
            // Its place in the call, parents first; the parent's place, null at the top.
            table.column("place", .integer).notNull()
            table.column("parent", .integer)
            for name in ["purpose", "model"] { table.column(name, .text).notNull() }
            table.column("began", .integer).notNull()
            table.column("elapsed", .integer)
            table.column("failure", .text)
            for name in usage { table.column(name, .integer) }
            table.column("estimated", .integer).notNull()
            table.column("cost", .integer)
            table.primaryKey(["call", "place"])
        }
        try database.create(table: "attempts", options: .withoutRowID) { table in
            table.column("call", .integer).notNull().references("calls", onDelete: .cascade)
            // The inner call that made it, -1 for the call itself; its place among that one's attempts.
            table.column("inner", .integer).notNull()
            table.column("place", .integer).notNull()
            table.column("upstream", .text).notNull()
            table.column("began", .integer).notNull()
            table.column("elapsed", .integer)
            for name in ["failure", "why", "route"] { table.column(name, .text) }
            for name in usage { table.column(name, .integer) }
            table.column("estimated", .integer).notNull()
            table.column("cost", .integer)
            table.primaryKey(["call", "inner", "place"])
        }
    }

    /// Ids of our own say when their call came, so that only others need an index; keys have none, since the last calls are
    /// looked through as fast. What was read from the journals of servers is noted in the same transaction as its calls.
    static func addJournals(in database: Database) throws {
        try database.create(table: "journals") { table in
            // The file's name in the folder beside the store.
            table.primaryKey("name", .text)
            table.column("position", .integer).notNull()
            // Set when all of it is here for good, right before the file is deleted.
            table.column("done", .integer).notNull().defaults(to: 0)
        }
        // Null where the call is found by the time that its id says.
        try database.alter(table: "calls") { $0.add(column: "named", .integer).defaults(to: 1) }
        try database.execute(sql: "DROP INDEX calls_key")
        try database.execute(sql: "DROP INDEX calls_id")
        try database.execute(sql: "CREATE INDEX calls_named ON calls (id) WHERE named IS NOT NULL")
    }

    // MARK: Columns in the order in which they are written

    static let callColumns =
        ["number", "named"] + CallLayout.texts + CallLayout.numbers + CallLayout.options
        + ["stream", "estimated", "degraded", "dropped"]
    static let innerColumns =
        ["call", "place", "parent", "purpose", "model", "began", "elapsed", "failure", "cost"] + usage + ["estimated"]
    static let attemptColumns =
        ["call", "inner", "place", "upstream", "began", "elapsed", "failure", "why", "route", "cost"] + usage
        + ["estimated"]

    static let insertCall = insert("calls", callColumns, else: " ON CONFLICT (number) DO NOTHING")
    static let insertInner = insert("inner_calls", innerColumns)
    static let insertAttempt = insert("attempts", attemptColumns)

    /// The least number that a call of that time can have.
    static func number(of time: Int64) -> Int64 { min(max(time, 0), 1 << 50) << spareBits }

    /// How many bits of a number tell calls of the same millisecond apart.
    static let spareBits: Int64 = 12

    private static func insert(_ table: String, _ columns: [String], else conflict: String = "") -> String {
        let marks = Array(repeating: "?", count: columns.count).joined(separator: ", ")
        let names = columns.map { "\"\($0)\"" }.joined(separator: ", ")
        return "INSERT INTO \(table) (\(names)) VALUES (\(marks))\(conflict)"
    }
}
