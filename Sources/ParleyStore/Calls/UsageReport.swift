// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

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
            var sums = UsageSums(since: since, by: grouping)
            try CallPacks(database: database).each(since: since) { sums.add($0) }
            return UsageReport(rows: sums.rows)
        }
    }
}
