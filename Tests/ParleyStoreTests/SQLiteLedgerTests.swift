// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import GRDB
import Glibc
import NIOCore
import ParleyAccess
import ParleyCore
import Synchronization
import Testing

@testable import ParleyStore

@Suite struct SQLiteLedgerTests {
    private static func inFolder(_ body: (String) async throws -> Void) async throws {
        try await LedgerSetup.inFolder(body)
    }

    private static func ledger(_ path: String, _ change: (inout SQLiteLedger.Settings) -> Void = { _ in })
        -> SQLiteLedger
    {
        LedgerSetup.ledger(path, change)
    }

    private static func call(_ id: String, time: Int64 = 999_000, key: String = "k") -> SettledCall {
        let trace = CallTrace()
        if let attempt = try? trace.begin("a/m") { trace.commit(attempt) }
        return call(id, time: time, key: key, trace)
    }

    private static func call(
        _ id: String, time: Int64 = 999_000, key: String = "k", _ trace: CallTrace
    ) -> SettledCall {
        var record = CallRecord(id: id, time: time, operation: "chat", dialect: "openai-chat")
        record.key = key
        record.model = "m"
        record.usage = Usage(input: 10, output: 5)
        record.status = 200
        let prices = PriceBook(overrides: ["a/m": Price(input: 1_000_000, output: 2_000_000)])
        return SettledCall(record, arrived: .uptimeNanoseconds(0), trace: trace, prices: prices)
    }

    private static func ids(
        _ ledger: SQLiteLedger, since: Int64, limit: Int, key: String?
    ) async throws -> [String] {
        await ledger.flush(within: .seconds(30))
        return try await ledger.calls(since: since, limit: limit, key: key).map(\.id)
    }

    /// A trace with everything in it that a trace can have.
    private static func richTrace() throws -> CallTrace {
        let trace = CallTrace()
        trace.decide("r", "a/m", "first")
        trace.fail(try trace.begin("a/m"), .rateLimited)
        trace.decide("r", "b/m", "next")
        let lost = try trace.begin("b/m")
        trace.commit(try trace.begin("a/m"))
        trace.giveUp(lost, usage: Usage(input: 3))
        let (inner, first) = trace.child("step 1", model: "m")
        inner.fail(try inner.begin("a/m"), .timeout)
        inner.commit(try inner.begin("a/m"))
        let (deeper, deep) = inner.child("judge", model: "j")
        deeper.commit(try deeper.begin("b/m"))
        inner.end(deep, usage: Usage(input: 1), failure: nil)
        trace.end(first, usage: Usage(input: 2), failure: nil)
        let (_, second) = trace.child("step 2", model: "m")
        trace.end(second, usage: Usage(), failure: .cancelled)
        trace.degrade("\"1\" of 2")
        trace.drop(["logit_bias"])
        return trace
    }

    @Test func `a call is read as it was settled, also after a restart`() async throws {
        try await Self.inFolder { path in
            let call = Self.call("x", try Self.richTrace())
            let ledger = Self.ledger(path)
            ledger.settle(call)
            #expect(try await ledger.call("x") == call.makeRecord())
            #expect(await ledger.flush(within: .seconds(30)))
            #expect(try await ledger.call("x") == call.makeRecord())
            let again = Self.ledger(path)
            #expect(try await again.call("x") == call.makeRecord())
            #expect(try await again.call("y") == nil)
        }
    }

    @Test func `calls of many writers are each there once`() async throws {
        try await Self.inFolder { path in
            let ledger = Self.ledger(path)
            await withTaskGroup(of: Void.self) { group in
                for writer in 0..<20 {
                    group.addTask { for number in 0..<50 { ledger.settle(Self.call("\(writer)-\(number)")) } }
                }
            }
            #expect(await ledger.flush(within: .seconds(30)))
            let calls = try await ledger.calls(since: 0, limit: 5000, key: nil)
            #expect(calls.count == 1000)
            #expect(Set(calls.map(\.id)).count == 1000)
            #expect(ledger.health == LedgerHealth())
        }
    }

    @Test func `two ledgers on one file do not lose each other's calls`() async throws {
        try await Self.inFolder { path in
            let (one, two) = (Self.ledger(path), Self.ledger(path))
            for number in 0..<50 {
                one.settle(Self.call("one \(number)"))
                two.settle(Self.call("two \(number)"))
            }
            #expect(await one.flush(within: .seconds(30)))
            #expect(await two.flush(within: .seconds(30)))
            let ids = try await Self.ids(one, since: 0, limit: 1000, key: nil)
            #expect(ids.count == 100)
        }
    }

    @Test func `calls are listed newest first, since a time and by key`() async throws {
        try await Self.inFolder { path in
            let ledger = Self.ledger(path)
            for number in 1...5 {
                ledger.settle(Self.call("\(number)", time: Int64(number) * 100_000, key: number == 2 ? "other" : "k"))
            }
            let late = try await Self.ids(ledger, since: 200_000, limit: 10, key: nil)
            #expect(late == ["5", "4", "3", "2"])
            #expect(try await Self.ids(ledger, since: .max, limit: 10, key: nil).isEmpty)
            let own = try await Self.ids(ledger, since: 0, limit: 2, key: "k")
            #expect(own == ["5", "4"])
            let others = try await Self.ids(ledger, since: 0, limit: 10, key: "other")
            #expect(others == ["2"])
        }
    }

    @Test func `calls that are too old are deleted with all that belongs to them`() async throws {
        try await Self.inFolder { path in
            let first = Self.ledger(path)
            first.settle(Self.call("old", time: 899_000, try Self.richTrace()))
            first.settle(Self.call("young", time: 901_000, try Self.richTrace()))
            #expect(await first.flush(within: .seconds(30)))
            let second = Self.ledger(path) { $0.retention = .seconds(100) }
            second.settle(Self.call("new"))
            #expect(await second.flush(within: .seconds(30)))
            let kept = try await Self.ids(second, since: 0, limit: 10, key: nil)
            #expect(kept == ["new", "young"])
        }
    }

    @Test func `a disk that fills up while calls are written takes none of them away`() async throws {
        try await Self.inFolder { path in
            let store = try SQLiteStore(path: path)
            var settings = SQLiteLedger.Settings()
            (settings.gathering, settings.pause) = (.milliseconds(5), .milliseconds(20))
            let ledger = SQLiteLedger(
                LazyStore { () throws(ParleyError) in store }, settings: settings, clock: { 1_000_000 },
                folder: { path + ".calls" })
            let pages = try await store.read { try Int.fetchOne($0, sql: "PRAGMA page_count") ?? 0 }
            try await store.write(to: store.bulk) { try $0.execute(sql: "PRAGMA max_page_count = \(pages + 4)") }
            for number in 0..<500 { ledger.settle(Self.call("\(number)")) }
            #expect(await !ledger.flush(within: .seconds(30)))
            #expect(ledger.health.failure?.contains("full") == true)
            try await store.write(to: store.bulk) { try $0.execute(sql: "PRAGMA max_page_count = 100000") }
            while ledger.health.waiting > 0 { await ledger.flush() }
            let written = try await Self.ids(ledger, since: 0, limit: 1000, key: nil)
            #expect(Set(written).count == 500)
        }
    }

    @Test func `sums count every call once, and by upstream also what lost`() async throws {
        try await Self.inFolder { path in
            let ledger = Self.ledger(path)
            ledger.settle(Self.call("1"))
            ledger.settle(Self.call("2", key: "other"))
            ledger.settle(Self.call("3", try Self.richTrace()))
            ledger.settle(Self.call("old", time: 1))
            #expect(await ledger.flush(within: .seconds(30)))
            let store = try SQLiteStore(reading: path)
            let keys = try await store.report(since: 2, by: .key).rows
            #expect(keys.map(\.name).sorted() == ["k", "other"])
            #expect(keys.first { $0.name == "k" }?.calls == 2)
            #expect(keys.first { $0.name == "k" }?.usage.input == 20)
            #expect(keys.first { $0.name == "other" }?.cost == 20_000)
            let models = try await store.report(since: 0, by: .model).rows
            #expect(models.map(\.calls) == [4])
            let upstreams = try await store.report(since: 2, by: .upstream).rows
            // Three answers, one that failed, and two of the inner call; b/m has no price.
            #expect(upstreams.first { $0.name == "a/m" }?.calls == 6)
            #expect(upstreams.first { $0.name == "a/m" }?.failed == 2)
            #expect(upstreams.first { $0.name == "a/m" }?.cost == 62_000)
            #expect(upstreams.first { $0.name == "b/m" }?.calls == 2)
            #expect(upstreams.first { $0.name == "b/m" }?.unpriced == 2)
            #expect(upstreams.first { $0.name == "b/m" }?.cost == nil)
        }
    }

    @Test func `numbers that no upstream can mean do not keep sums from being made`() async throws {
        try await Self.inFolder { path in
            let ledger = Self.ledger(path)
            for id in 0..<4 {
                var call = Self.call("\(id)")
                call.record.usage = Usage(input: .max, output: .max)
                ledger.settle(call)
            }
            #expect(await ledger.flush(within: .seconds(30)))
            let rows = try await SQLiteStore(reading: path).report(since: 0, by: .key).rows
            #expect(rows.first?.usage.input == 4_000_000_000_000)
        }
    }
}
