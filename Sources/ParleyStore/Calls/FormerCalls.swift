// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import GRDB
import NIOCore
import ParleyAccess
import ParleyCore
import ParleyWire

/// Calls as they lay in stores before there were packs: a column for every field, other attempts and inner calls in tables
/// of their own.
struct FormerCalls {
    private let database: Database

    /// Moves all of them into packs, and drops their tables.
    static func pack(in database: Database) throws {
        guard try database.tableExists("calls") else { return }
        let former = FormerCalls(database: database)
        let writer = CallWriter()
        var last = Int64.min
        while true {
            let rows = try Row.fetchAll(
                database, sql: "SELECT * FROM calls WHERE number > ? ORDER BY number LIMIT 500", arguments: [last])
            guard let end: Int64 = rows.last?["number"] else { break }
            last = end
            var list: [UInt8] = []
            for row in rows {
                writer.write(try former.call(row))
                CallList.append(writer.bytes, to: &list)
            }
            try list.withUnsafeBytes { list in
                var packer = CallPacker()
                CallList.each(in: list) { packer.add($0) }
                try packer.write(to: database)
            }
        }
        for table in ["attempts", "inner_calls", "calls"] { try database.drop(table: table) }
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
        // The attempt that answered lay in the call's own row.
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

    /// The attempts that had rows of their own, by the inner call that made them.
    private func attempts(of call: Int64) throws -> [Int: [AttemptRecord]] {
        let statement = try database.cachedStatement(
            sql: "SELECT * FROM attempts WHERE call = ? ORDER BY inner, place")
        let rows = try Row.fetchAll(statement, arguments: [call])
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
        let statement = try database.cachedStatement(
            sql: "SELECT * FROM inner_calls WHERE call = ? ORDER BY place DESC")
        let rows = try Row.fetchAll(statement, arguments: [call])
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
