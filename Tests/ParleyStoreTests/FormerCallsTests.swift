// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import GRDB
import ParleyAccess
import ParleyCore
import Testing

@testable import ParleyStore

@Suite struct FormerCallsTests {
    private static let usage =
        "input, cache_read, cache_write, cache_write_1h, input_audio, output, reasoning, output_audio, "
        + "accepted_prediction, rejected_prediction, stated_total, estimated"

    /// The tables as they were.
    private static let tables = [
        """
        CREATE TABLE calls (number INTEGER PRIMARY KEY, id, time, operation, dialect, outcome, stream, status, total,
        key, model, error, finish, upstream, \(usage), cost, first, degraded, dropped, answer, began, elapsed,
        own_cost, why, route, named)
        """,
        """
        CREATE TABLE inner_calls (call REFERENCES calls ON DELETE CASCADE, place, parent, purpose, model, began, elapsed,
        failure, \(usage), cost, PRIMARY KEY (call, place)) WITHOUT ROWID
        """,
        """
        CREATE TABLE attempts (call REFERENCES calls ON DELETE CASCADE, inner, place, upstream, began, elapsed, failure,
        why, route, \(usage), cost, PRIMARY KEY (call, inner, place)) WITHOUT ROWID
        """,
        "CREATE TABLE journals (name PRIMARY KEY, position NOT NULL, done NOT NULL DEFAULT 0)",
    ]

    private static let rows = [
        """
        INSERT INTO calls (number, id, time, operation, dialect, outcome, stream, status, total, key, model, upstream,
        input, output, estimated, cost, first, degraded, answer, began, elapsed, own_cost, why, route)
        VALUES (7, 'rich', 999000, 'chat', 'openai-chat', 'ok', 1, 200, 50, 'k', 'm', 'a/m', 10, 5, 0, 30, 20,
        '["1 of 2"]', 1, 4, 9, 20, 'next', 'r')
        """,
        """
        INSERT INTO attempts (call, inner, place, upstream, began, elapsed, failure, why, route, estimated)
        VALUES (7, -1, 0, 'b/m', 1, 2, 'rateLimited', 'first', 'r', 0), (7, 1, 0, 'c/m', 3, 4, NULL, NULL, NULL, 0)
        """,
        """
        INSERT INTO inner_calls (call, place, parent, purpose, model, began, elapsed, estimated, cost)
        VALUES (7, 0, NULL, 'step 1', 'm', 1, 2, 0, 10), (7, 1, 0, 'judge', 'j', 2, 3, 0, NULL)
        """,
    ]

    private static var rich: CallRecord {
        var call = CallRecord(id: "rich", time: 999_000, operation: "chat", dialect: "openai-chat")
        (call.stream, call.status, call.total, call.firstEvent) = (true, 200, 50, 20)
        (call.key, call.model, call.upstream, call.cost) = ("k", "m", "a/m", 30)
        call.usage = Usage(input: 10, output: 5)
        call.degraded = ["1 of 2"]
        var refused = AttemptRecord(upstream: "b/m")
        (refused.began, refused.elapsed, refused.failure) = (1, 2, "rateLimited")
        (refused.why, refused.route) = ("first", "r")
        var answer = AttemptRecord(upstream: "a/m")
        (answer.began, answer.elapsed, answer.cost, answer.usage) = (4, 9, 20, call.usage)
        (answer.why, answer.route) = ("next", "r")
        call.attempts = [refused, answer]
        var judge = InnerCallRecord(purpose: "judge", model: "j")
        (judge.began, judge.elapsed) = (2, 3)
        var deep = AttemptRecord(upstream: "c/m")
        (deep.began, deep.elapsed) = (3, 4)
        judge.attempts = [deep]
        var step = InnerCallRecord(purpose: "step 1", model: "m")
        (step.began, step.elapsed, step.cost, step.innerCalls) = (1, 2, 10, [judge])
        call.innerCalls = [step]
        return call
    }

    @Test func `calls that were kept in rows of columns are there after an update, once`() async throws {
        try await LedgerSetup.inFolder { path in
            let old = try DatabaseQueue(path: path)
            try Migrations.all.migrate(old, upTo: "responses")
            try await old.write { database in
                for sql in Self.tables + Self.rows { try database.execute(sql: sql) }
                for number in 100..<1300 {
                    try database.execute(
                        sql: """
                            INSERT INTO calls (number, id, time, operation, dialect, outcome, stream, status, total,
                            estimated) VALUES (?, ?, 998000, 'chat', 'openai-chat', 'ok', 0, 200, 1, 0)
                            """, arguments: [number, "call \(number)"])
                }
            }
            try old.close()
            // Sums are asked for by a command that does not write, maybe before any server is started.
            #expect(try await SQLiteStore(reading: path).report(since: 0, by: .key).rows.map(\.calls) == [1, 1200])
            for _ in 0..<2 {
                let ledger = LedgerSetup.ledger(path)
                ledger.settle(LedgerSetup.call("new"))
                #expect(try await ledger.call("rich") == Self.rich)
                #expect(try await ledger.call("call 1299")?.time == 998_000)
                #expect(await ledger.close(within: .seconds(30)))
            }
            #expect(try await LedgerSetup.ids(LedgerSetup.ledger(path)).count == 1203)
            let left = try await SQLiteStore(path: path).read { try $0.tableExists("calls") }
            #expect(!left)
        }
    }
}
