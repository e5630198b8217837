// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import GRDB
import NIOCore
import ParleyAccess
import ParleyCore
import ParleyWire

/// Calls read from their rows.
struct CallRows {
    let database: Database

    /// The last call of that id.
    func call(_ id: String) throws -> CallRecord? {
        var text = id
        if let time = text.withUTF8({ CallID.time(of: UnsafeRawBufferPointer($0)) }) {
            // Nearly always it lies within some milliseconds.
            for reach in [50, CallID.tolerance + 1_000] {
                let range = [CallTables.number(of: time - reach), CallTables.number(of: time + reach)]
                let found = try calls(
                    "WHERE number BETWEEN ? AND ? AND id = ? ORDER BY number DESC LIMIT 1",
                    [range[0], range[1], id])
                if let call = found.first { return call }
            }
        }
        return try calls("WHERE id = ? AND named IS NOT NULL ORDER BY number DESC LIMIT 1", [id]).first
    }

    /// How many calls are looked through for those of a key.
    private static let searched = 200_000

    /// The last calls that came at or after a time, newest first.
    func calls(since: Int64, limit: Int, key: String?) throws -> [CallRecord] {
        let first = CallTables.number(of: since)
        guard let key else {
            return try calls("WHERE number >= ? ORDER BY number DESC LIMIT ?", [first, limit])
        }
        return try calls(
            """
            WHERE number IN (SELECT number FROM
            (SELECT number, "key" FROM calls WHERE number >= ? ORDER BY number DESC LIMIT \(Self.searched))
            WHERE "key" = ? ORDER BY number DESC LIMIT ?) ORDER BY number DESC
            """, [first, key, limit])
    }

    /// The calls of a query of whole rows of `calls`.
    private func calls(_ condition: String, _ arguments: StatementArguments) throws -> [CallRecord] {
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
