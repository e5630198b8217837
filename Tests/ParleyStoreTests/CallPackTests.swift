// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import FoundationEssentials
import GRDB
import ParleyAccess
import ParleyCore
import Testing

@testable import ParleyStore

@Suite struct CallPackTests {
    private static let second: Int64 = 1024

    /// A call with an id of ours.
    private static func call(_ time: Int64, _ number: UInt64 = 1, key: String = "k") -> SettledCall {
        var call = LedgerSetup.call(CallID.make(time: time, noise: number, more: number), time: time)
        call.record.key = key
        return call
    }

    @Test func `calls of a second lie in one row, and those whose id says no time in rows of their own`() async throws {
        try await LedgerSetup.inFolder { path in
            let store = try SQLiteStore(path: path)
            try await store.write { database in
                var packer = CallPacker()
                try withCalls([
                    Self.call(10 * Self.second), Self.call(10 * Self.second + 1023), Self.call(11 * Self.second),
                    LedgerSetup.call("client's own", time: 10 * Self.second), LedgerSetup.call("", time: 5),
                ]) { calls in
                    for call in calls { packer.add(call) }
                    packer.add(UnsafeRawBufferPointer(rebasing: calls[0].dropLast()))
                    try withUnsafeBytes(of: UInt64(7)) { noCall in
                        packer.add(noCall)
                        try packer.write(to: database)
                    }
                }
                #expect(packer.unreadable == 2)
            }
            let rows = try await store.read { database in
                try Row.fetchAll(database, sql: "SELECT number, id FROM call_packs ORDER BY number, id").map {
                    (CallTables.second(number: $0[0]), $0[1] as String?)
                }
            }
            #expect(rows.map(\.0).sorted() == [0, 10, 10, 11])
            #expect(Set(rows.compactMap(\.1)) == ["", "client's own"])
        }
    }

    @Test func `calls of a second are listed by their time, whichever rows they lie in`() async throws {
        try await LedgerSetup.inFolder { path in
            let store = try SQLiteStore(path: path)
            let times: [Int64] = [5, 900, 17, 1023, 400, 1024 * 3 + 1, 1024 * 3, 1024 * 2 + 9]
            for (number, time) in times.enumerated() {
                // Every call in a row of its own.
                try await store.write { database in
                    var packer = CallPacker()
                    try withCalls([Self.call(time, UInt64(number), key: time < 500 ? "early" : "late")]) {
                        packer.add($0[0])
                        try packer.write(to: database)
                    }
                }
            }
            func list(since: Int64 = 0, limit: Int, key: String? = nil) async throws -> [Int64] {
                try await store.read { try CallPacks(database: $0).calls(since: since, limit: limit, key: key) }.map(
                    \.time)
            }
            let sorted = times.sorted(by: >)
            #expect(try await list(limit: 100) == sorted)
            for limit in 0..<times.count { #expect(try await list(limit: limit) == Array(sorted.prefix(limit))) }
            #expect(try await list(since: 400, limit: 100) == sorted.filter { $0 >= 400 })
            #expect(try await list(limit: 2, key: "early") == [400, 17])
            #expect(try await list(since: .min, limit: 1) == [3073])
        }
    }

    @Test func `of calls with one id the last one is found`() async throws {
        try await LedgerSetup.inFolder { path in
            let ledger = LedgerSetup.ledger(path)
            for time in [3000, 998_000, 999_000, 2000] as [Int64] {
                ledger.settle(LedgerSetup.call("again", time: time))
            }
            #expect(await ledger.close(within: .seconds(30)))
            let found = try await LedgerSetup.ledger(path).call("again")
            #expect(found?.time == 999_000)
        }
    }

    @Test func `of calls of one time the last one is the newest, in one row and in several`() async throws {
        try await LedgerSetup.inFolder { path in
            let store = try SQLiteStore(path: path)
            for pair in 0..<3 {
                try await store.write { database in
                    var packer = CallPacker()
                    let calls = [pair * 2, pair * 2 + 1].map { number in
                        var call = Self.call(7, 1, key: "\(number)")
                        call.record.model = "m"
                        return call
                    }
                    try withCalls(calls) { calls in
                        for call in calls { packer.add(call) }
                        try packer.write(to: database)
                    }
                }
            }
            let id = CallID.make(time: 7, noise: 1, more: 1)
            let (listed, found) = try await store.read { database in
                let packs = CallPacks(database: database)
                return (try packs.calls(since: 0, limit: 5, key: nil), try packs.call(id))
            }
            #expect(listed.map(\.key) == ["5", "4", "3", "2", "1"])
            #expect(found?.key == "5")
        }
    }

    @Test func `looking a call up reads no more than an index`() async throws {
        try await LedgerSetup.inFolder { path in
            let store = try SQLiteStore(path: path)
            let plans = try await store.read { database in
                try ["id = 'x'", "number BETWEEN 1 AND 9"].map { condition in
                    let sql = "SELECT number, calls FROM call_packs WHERE \(condition) ORDER BY number DESC"
                    return try Row.fetchAll(database, sql: "EXPLAIN QUERY PLAN " + sql).map { $0["detail"] as String }
                }
            }
            #expect(plans[0] == ["SEARCH call_packs USING INDEX call_packs_id (id=?)"])
            #expect(plans[1] == ["SEARCH call_packs USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"])
        }
    }

    @Test func `a pack with something else in it gives the calls that can be read`() async throws {
        try await LedgerSetup.inFolder { path in
            let store = try SQLiteStore(path: path)
            try await store.write { database in
                try withCalls([Self.call(7), Self.call(8)]) { calls in
                    var pack: [UInt8] = []
                    CallList.append(calls[0], to: &pack)
                    withUnsafeBytes(of: UInt64(1)) { CallList.append($0, to: &pack) }
                    CallList.append(calls[1], to: &pack)
                    // Says to be longer than it is.
                    pack += [200, 0, 0, 0, 1]
                    try database.execute(
                        sql: "INSERT INTO call_packs (number, calls) VALUES (1, ?), (2, x''), (3, x'00')",
                        arguments: [Data(pack)])
                }
            }
            let calls = try await store.read { try CallPacks(database: $0).calls(since: 0, limit: 10, key: nil) }
            #expect(calls.map(\.time) == [8, 7])
            let sums = try await store.report(since: 0, by: .key).rows
            #expect(sums.map(\.calls) == [2])
        }
    }
}

/// Lends the bytes of calls.
private func withCalls(_ calls: [SettledCall], _ body: ([UnsafeRawBufferPointer]) throws -> Void) throws {
    let writers = calls.map { call in
        let writer = CallWriter()
        writer.write(call.makeRecord())
        return writer
    }
    try withExtendedLifetime(writers) { try body(writers.map(\.bytes)) }
}
