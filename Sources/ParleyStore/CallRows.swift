// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import GRDB
import NIOCore
import ParleyAccess
import ParleyCore
import ParleyWire
import Synchronization

/// Calls as rows.
struct CallRows {
    /// Tells calls of the same millisecond apart, in their order.
    private static let turns = Atomic<Int64>(0)

    let database: Database

    // MARK: Writing

    /// Writes a call with its attempts and inner calls.
    func insert(_ call: CallRecord) throws {
        // The answering attempt lies in the call's own row.
        let answer = call.attempts.lastIndex { $0.failure == nil && $0.elapsed != nil }
        let own = answer.map { call.attempts[$0] }
        var values: [DatabaseValue] = []
        values.reserveCapacity(CallTables.callColumns.count)
        values += [.null, call.id.databaseValue, call.time.databaseValue, call.operation.databaseValue]
        values += [call.dialect.databaseValue, call.outcome.databaseValue, call.stream.databaseValue]
        values += [call.status.databaseValue, call.total.databaseValue]
        values += [text(call.key), text(call.model), text(call.error), text(call.finish), text(call.upstream)]
        values += [number(call.firstEvent), number(call.cost), list(call.degraded), list(call.dropped)]
        values += [number(answer), number(own?.began), number(own?.elapsed), number(own?.cost)]
        values += [text(own?.why), text(own?.route)]
        append(call.usage, to: &values)
        let number = try insert(&values, at: call.time)
        for (place, attempt) in call.attempts.enumerated() where place != answer {
            try insert(attempt, number, inner: -1, place)
        }
        var place = 0
        for inner in call.innerCalls { try insert(inner, number, &place, parent: nil) }
    }

    /// Writes a row of `calls` under a number of its own.
    private func insert(_ values: inout [DatabaseValue], at time: Int64) throws -> Int64 {
        let turn = Self.turns.wrappingAdd(1, ordering: .relaxed).newValue & ((1 << CallTables.spareBits) - 1)
        var number = CallTables.number(of: time) + turn
        while true {
            values[0] = number.databaseValue
            try run(CallTables.insertCall, values)
            // Another call of the same millisecond, of this server or of another one, may have the number.
            if database.changesCount > 0 { return number }
            number += 1
        }
    }

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

    private func list(_ values: [String]) -> DatabaseValue {
        guard !values.isEmpty else { return .null }
        var buffer = ByteBuffer()
        buffer.writeJSON(.array(values.map { .string($0) }))
        return String(buffer: buffer).databaseValue
    }

    // MARK: Reading

    /// The calls of a query of whole rows of `calls`.
    func calls(_ condition: String, _ arguments: StatementArguments) throws -> [CallRecord] {
        let rows = try Row.fetchAll(database, sql: "SELECT * FROM calls \(condition)", arguments: arguments)
        return try rows.map { try call($0) }
    }

    private func call(_ row: Row) throws -> CallRecord {
        var call = CallRecord(
            id: row["id"], time: row["time"], operation: row["operation"], dialect: row["dialect"])
        (call.outcome, call.stream, call.status, call.total) =
            (row["outcome"], row["stream"], row["status"], row["total"])
        (call.key, call.model, call.error, call.finish, call.upstream) =
            (row["key"], row["model"], row["error"], row["finish"], row["upstream"])
        (call.firstEvent, call.cost) = (row["first"], row["cost"])
        call.degraded = texts(row["degraded"])
        call.dropped = texts(row["dropped"])
        call.usage = usage(row)
        let number: Int64 = row["number"]
        let attempts = try attempts(of: number)
        call.attempts = attempts[-1] ?? []
        if let answer: Int = row["answer"], let upstream = call.upstream {
            var own = AttemptRecord(upstream: upstream)
            own.began = row["began"] ?? 0
            (own.elapsed, own.cost, own.why, own.route) = (row["elapsed"], row["own_cost"], row["why"], row["route"])
            own.usage = call.usage
            call.attempts.insert(own, at: min(max(0, answer), call.attempts.count))
        }
        call.innerCalls = try innerCalls(of: number, attempts)
        return call
    }

    /// The attempts that have rows of their own, by the inner call that made them.
    private func attempts(of call: Int64) throws -> [Int: [AttemptRecord]] {
        let rows = try Row.fetchAll(
            database, sql: "SELECT * FROM attempts WHERE call = ? ORDER BY inner, place", arguments: [call])
        var attempts: [Int: [AttemptRecord]] = [:]
        for row in rows {
            var attempt = AttemptRecord(upstream: row["upstream"])
            (attempt.began, attempt.elapsed, attempt.failure) = (row["began"], row["elapsed"], row["failure"])
            (attempt.why, attempt.route, attempt.cost) = (row["why"], row["route"], row["cost"])
            attempt.usage = usage(row)
            attempts[row["inner"], default: []].append(attempt)
        }
        return attempts
    }

    private func innerCalls(of call: Int64, _ attempts: [Int: [AttemptRecord]]) throws -> [InnerCallRecord] {
        let rows = try Row.fetchAll(
            database, sql: "SELECT * FROM inner_calls WHERE call = ? ORDER BY place DESC", arguments: [call])
        // From the last to the first, so that every one is whole when its parent takes it.
        var children: [Int: [InnerCallRecord]] = [:]
        for row in rows {
            let place: Int = row["place"]
            var inner = InnerCallRecord(purpose: row["purpose"], model: row["model"])
            (inner.began, inner.elapsed, inner.failure) = (row["began"], row["elapsed"], row["failure"])
            inner.cost = row["cost"]
            inner.usage = usage(row)
            inner.attempts = attempts[place] ?? []
            inner.innerCalls = (children[place] ?? []).reversed()
            children[row["parent"] ?? -1, default: []].append(inner)
        }
        return (children[-1] ?? []).reversed()
    }

    private func usage(_ row: Row) -> Usage {
        Usage(classes: Usage.classNames.map { row[$0] }, estimated: row["estimated"])
    }

    private func texts(_ json: String?) -> [String] {
        guard let json, case .array(let list)? = try? JSON.parse(ByteBuffer(string: json)) else { return [] }
        return list.compactMap(\.string)
    }
}
