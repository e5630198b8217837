// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import GRDB
import ParleyAccess
public import ParleyCore

/// What calls took and cost, summed up.
public struct UsageReport: Sendable, Equatable {
    /// What sums are made by.
    public enum Grouping: String, Sendable, CaseIterable {
        /// The name of the key.
        case key
        /// The model that clients asked for.
        case model
        /// The upstream that did the work, also where its answer was not taken.
        case upstream
    }

    /// One sum.
    public struct Row: Sendable, Equatable {
        /// The key, the model or the upstream; empty where calls had none.
        public var name = ""
        /// Calls; attempts where sums are made by upstream.
        public var calls = 0
        /// Those of them that did not end well.
        public var failed = 0
        /// Tokens by class.
        public var usage = Usage()
        /// Nanodollars, as far as prices are known.
        public var cost: Int?
        /// Those that took an upstream's tokens but have no known price.
        public var unpriced = 0
    }

    /// The sums, the most expensive first.
    public var rows: [Row]
}

extension SQLiteStore {
    /// Sums up what was recorded since a time, in milliseconds since 1970.
    ///
    /// - Throws: `internalError` where the store cannot be read, or nothing was ever recorded in it.
    public func report(since: Int64, by grouping: UsageReport.Grouping) async throws(ParleyError) -> UsageReport {
        try await read { database in
            let rows = try Row.fetchAll(
                database, sql: Self.sql(grouping), arguments: ["first": CallTables.number(of: since)])
            return UsageReport(rows: rows.map { Self.row($0) })
        }
    }

    private static func row(_ row: Row) -> UsageReport.Row {
        var sum = UsageReport.Row()
        (sum.name, sum.calls, sum.failed) = (row["name"] ?? "", row["calls"], row["failed"])
        (sum.cost, sum.unpriced) = (row["cost"], row["unpriced"])
        sum.usage = Usage(classes: Usage.classNames.map { row[$0] }, estimated: row["estimated"])
        return sum
    }

    private static func sql(_ grouping: UsageReport.Grouping) -> String {
        let classes = Usage.classNames.joined(separator: ", ")
        let calls = "outcome != 'ok' AS failed, upstream IS NOT NULL AS asked, estimated, \(classes)"
        let source =
            switch grouping {
            case .key: "SELECT \"key\" AS name, cost, \(calls) FROM calls WHERE number >= :first"
            case .model: "SELECT model AS name, cost, \(calls) FROM calls WHERE number >= :first"
            case .upstream:
                """
                SELECT upstream AS name, own_cost AS cost, \(calls) FROM calls
                WHERE answer IS NOT NULL AND number >= :first
                UNION ALL
                SELECT upstream, cost, failure IS NOT NULL, TRUE, estimated, \(classes) FROM attempts WHERE call >= :first
                """
            }
        // What an upstream says is not believed without bound: a sum that does not fit would be an error.
        let sums = Usage.classNames.map { "SUM(MIN(\($0), 1000000000000)) AS \($0)" }.joined(separator: ", ")
        return """
            SELECT name, COUNT(*) AS calls, SUM(failed) AS failed, \(sums),
            SUM(MIN(cost, 1000000000000000)) AS cost, MAX(estimated) AS estimated,
            SUM(cost IS NULL AND asked AND (input IS NOT NULL OR output IS NOT NULL)) AS unpriced
            FROM (\(source)) GROUP BY name ORDER BY cost DESC, calls DESC, name
            """
    }
}
