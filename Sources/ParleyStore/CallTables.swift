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

    // MARK: Columns in the order in which they are written and read

    static let callColumns =
        ["number", "id", "time", "operation", "dialect", "outcome", "stream", "status", "total"] + texts
        + ["first", "cost", "degraded", "dropped", "answer", "began", "elapsed", "own_cost", "why", "route"] + usage
        + ["estimated"]
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
