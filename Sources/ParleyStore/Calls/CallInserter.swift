// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import GRDB
import GRDBSQLite
import NIOCore
import ParleyAccess
import ParleyCore
import ParleyWire
import Synchronization

/// Writes calls into their rows, within a transaction.
///
/// The row of a call is bound straight from the call's bytes, since there are thousands of them in a second; other
/// attempts and inner calls are rare and take the usual way.
struct CallInserter {
    /// Tells calls of the same millisecond apart, in their order.
    private static let turns = Atomic<Int64>(0)

    private let database: Database
    private let connection: OpaquePointer?
    private let call: Statement
    private let row: OpaquePointer

    init(_ database: Database) throws {
        self.database = database
        connection = database.sqliteConnection
        call = try database.cachedStatement(sql: CallTables.insertCall)
        row = call.sqliteStatement
    }

    /// Writes a call; whether it was one.
    ///
    /// - Throws: what SQLite says.
    func insert(_ bytes: UnsafeRawBufferPointer) throws -> Bool {
        // Bound texts lie in `bytes`, which ends before the statement is used again; what is not bound is null.
        sqlite3_reset(row)
        defer {
            sqlite3_reset(row)
            sqlite3_clear_bindings(row)
        }
        let head: (number: Int64, answer: Int?, rest: CallReader.Rest)
        do throws(CallLayout.Malformed) {
            head = try bind(bytes)
        } catch {
            return false
        }
        if !head.rest.degraded.isEmpty { bind(list: head.rest.degraded, at: "degraded") }
        if !head.rest.dropped.isEmpty { bind(list: head.rest.dropped, at: "dropped") }
        let number = try step(from: head.number)
        for (index, attempt) in head.rest.attempts.enumerated() {
            let isBehind = head.answer.map { index >= $0 } ?? false
            try insert(attempt, number, inner: -1, isBehind ? index + 1 : index)
        }
        var place = 0
        for inner in head.rest.innerCalls { try insert(inner, number, &place, parent: nil) }
        return true
    }

    // MARK: The call's own row

    /// Binds everything that is in the call's bytes, in their order.
    private func bind(
        _ bytes: UnsafeRawBufferPointer
    ) throws(CallLayout.Malformed) -> (number: Int64, answer: Int?, rest: CallReader.Rest) {
        var reader = try CallReader(bytes)
        var id: UnsafeRawBufferPointer?
        var column: CInt = 3
        for place in CallLayout.texts.indices {
            let text = try reader.text()
            if place == 0 { id = text }
            if place < 4, text == nil { throw CallLayout.Malformed() }
            bind(text, at: column)
            column += 1
        }
        var time: Int64 = 0
        for place in CallLayout.numbers.indices {
            let value = try reader.number()
            if place == 0 { time = value }
            sqlite3_bind_int64(row, column, value)
            column += 1
        }
        var answer: Int?
        for place in CallLayout.options.indices {
            if reader.has(place) {
                let value = try reader.number()
                if place == 2 { answer = Int(min(max(0, value), 1 << 20)) }
                sqlite3_bind_int64(row, column, value)
            }
            column += 1
        }
        sqlite3_bind_int64(row, column, reader.isStream ? 1 : 0)
        sqlite3_bind_int64(row, column + 1, reader.isEstimated ? 1 : 0)
        let isFound = id.map { CallID.tellsTime($0, of: time) } ?? false
        if !isFound { sqlite3_bind_int64(row, 2, 1) }
        let rest = try reader.rest()
        return (CallTables.number(of: time), answer, rest)
    }

    private func bind(_ text: UnsafeRawBufferPointer?, at column: CInt) {
        guard let text else { return }
        // An empty text has to lie somewhere, too.
        let start = text.baseAddress?.assumingMemoryBound(to: CChar.self)
        sqlite3_bind_text(row, column, start, CInt(truncatingIfNeeded: text.count), nil)
    }

    private func bind(list: [String], at name: String) {
        guard let place = CallTables.callColumns.firstIndex(of: name) else { return }
        var buffer = ByteBuffer()
        buffer.writeJSON(.array(list.map { .string($0) }))
        let text = String(buffer: buffer)
        // SQLite makes a copy of its own.
        let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
        sqlite3_bind_text(row, CInt(place + 1), text, -1, transient)
    }

    /// Writes the row under the next free number.
    private func step(from first: Int64) throws -> Int64 {
        let turn = Self.turns.wrappingAdd(1, ordering: .relaxed).newValue & ((1 << CallTables.spareBits) - 1)
        var number = first + turn
        while true {
            sqlite3_bind_int64(row, 1, number)
            let code = sqlite3_step(row)
            guard code == SQLITE_DONE else {
                let message = sqlite3_errmsg(connection).map { String(cString: $0) }
                throw DatabaseError(resultCode: ResultCode(rawValue: code), message: message)
            }
            // Another call of the same millisecond, of this server or of another one, may have the number.
            if sqlite3_changes(connection) > 0 { return number }
            sqlite3_reset(row)
            number += 1
        }
    }

    // MARK: Attempts and inner calls

    private func insert(_ inner: InnerCallRecord, _ call: Int64, _ next: inout Int, parent: Int?) throws {
        let place = next
        next += 1
        var values: [DatabaseValue] = [call.databaseValue, place.databaseValue, number(parent)]
        values += [inner.purpose.databaseValue, inner.model.databaseValue, inner.began.databaseValue]
        values += [number(inner.elapsed), text(inner.failure), number(inner.cost)]
        append(inner.usage, to: &values)
        try run(CallTables.insertInner, values)
        for (index, attempt) in inner.attempts.enumerated() { try insert(attempt, call, inner: place, index) }
        for child in inner.innerCalls { try insert(child, call, &next, parent: place) }
    }

    private func insert(_ attempt: AttemptRecord, _ call: Int64, inner: Int, _ place: Int) throws {
        var values: [DatabaseValue] = [call.databaseValue, inner.databaseValue, place.databaseValue]
        values += [attempt.upstream.databaseValue, attempt.began.databaseValue, number(attempt.elapsed)]
        values += [text(attempt.failure), text(attempt.why), text(attempt.route), number(attempt.cost)]
        append(attempt.usage, to: &values)
        try run(CallTables.insertAttempt, values)
    }

    private func run(_ sql: String, _ values: [DatabaseValue]) throws {
        let statement = try database.cachedStatement(sql: sql)
        try statement.execute(arguments: StatementArguments(values))
    }

    private func append(_ usage: Usage, to values: inout [DatabaseValue]) {
        for value in usage.classes { values.append(number(value)) }
        values.append(usage.estimated.databaseValue)
    }

    private func text(_ value: String?) -> DatabaseValue { value?.databaseValue ?? .null }
    private func number(_ value: Int?) -> DatabaseValue { value?.databaseValue ?? .null }
    private func number(_ value: Int64?) -> DatabaseValue { value?.databaseValue ?? .null }
}
