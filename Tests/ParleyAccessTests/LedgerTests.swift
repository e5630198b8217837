// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyAccess
import ParleyCore
import Testing

@Suite struct LedgerTests {
    private static let prices = PriceBook(overrides: [
        "a/m": Price(input: 1_000_000, output: 2_000_000), "b/m": Price(input: 3_000_000, output: 4_000_000),
    ])

    private static func settled(
        _ trace: CallTrace, id: String = "1", usage: Usage = Usage(), outcome: String = "ok"
    ) -> SettledCall {
        var record = CallRecord(id: id, time: 5, operation: "chat", dialect: "openai-chat")
        record.usage = usage
        record.outcome = outcome
        record.key = "k"
        return SettledCall(record, arrived: .uptimeNanoseconds(0), trace: trace, prices: prices)
    }

    private static func ids(
        _ ledger: MemoryLedger, since: Int64, limit: Int, key: String?
    ) async throws -> [String] {
        try await ledger.calls(since: since, limit: limit, key: key).map(\.id)
    }

    @Test func `a plain call costs what its one attempt costs`() throws {
        let trace = CallTrace()
        trace.commit(try trace.begin("a/m"))
        let record = Self.settled(trace, usage: Usage(input: 10, output: 5)).makeRecord()
        #expect(record.cost == 20_000)
        #expect(record.upstream == "a/m")
        #expect(record.attempts.map(\.cost) == [20_000])
        #expect(record.attempts[0].why == nil)
        #expect(record.attempts[0].usage == record.usage)
    }

    @Test func `a leg that lost is accounted under the same call, as an estimate`() throws {
        let trace = CallTrace()
        let slow = try trace.begin("b/m")
        let fast = try trace.begin("a/m")
        trace.commit(fast)
        trace.fail(slow, .cancelled)
        let record = Self.settled(trace, usage: Usage(input: 10, output: 5)).makeRecord()
        #expect(record.upstream == "a/m")
        #expect(record.attempts[0].failure == "cancelled")
        #expect(record.attempts[0].usage.input == 10)
        #expect(record.attempts[0].usage.output == 0)
        #expect(record.attempts[0].usage.estimated)
        #expect(record.attempts[0].cost == 30_000)
        #expect(record.cost == 50_000)
        // What the client is told is what its answer took.
        #expect(record.usage == Usage(input: 10, output: 5))
    }

    @Test func `an answer that was given up behind its beginning counts as far as it was seen`() throws {
        let trace = CallTrace()
        trace.commit(try trace.begin("a/m"))
        var reply = Reply(.whole(ChatResponse(identity: AnswerIdentity(id: "x"), choices: [])))
        let second = try trace.begin("b/m")
        trace.commit(second)
        reply.attempt = AttemptReference(trace, second)
        reply.giveUp()
        let record = Self.settled(trace, usage: Usage(input: 10, output: 5)).makeRecord()
        #expect(record.upstream == "a/m")
        #expect(record.attempts[1].failure == "cancelled")
        #expect(record.attempts[1].cost == 30_000)
    }

    @Test func `attempts say what led to them`() throws {
        let trace = CallTrace()
        trace.decide("r", "a/m", "first")
        trace.fail(try trace.begin("a/m"), .rateLimited)
        trace.fail(try trace.begin("a/m"), .timeout)
        trace.decide("r", "b/m", "next")
        trace.commit(try trace.begin("b/m"))
        let record = Self.settled(trace).makeRecord()
        #expect(record.attempts.map(\.why) == ["first", "retry", "next"])
        #expect(record.attempts.map(\.route) == ["r", nil, "r"])
        #expect(record.attempts.map(\.failure) == ["rateLimited", "timeout", nil])
        #expect(record.cost == nil)
    }

    @Test func `inner calls are nested, and what they cost is a part of the call's cost`() throws {
        let trace = CallTrace()
        let (inner, number) = trace.child("step 1", model: "m")
        inner.commit(try inner.begin("a/m"))
        let (deeper, deep) = inner.child("judge", model: "j")
        deeper.commit(try deeper.begin("b/m"))
        inner.end(deep, usage: Usage(input: 1, output: 1), failure: nil)
        trace.end(number, usage: Usage(input: 10, output: 5), failure: nil)
        trace.degrade("1 of 2 steps")
        let record = Self.settled(trace).makeRecord()
        #expect(record.innerCalls.count == 1)
        #expect(record.innerCalls[0].purpose == "step 1")
        #expect(record.innerCalls[0].innerCalls[0].attempts[0].upstream == "b/m")
        #expect(record.innerCalls[0].innerCalls[0].cost == 7_000)
        #expect(record.innerCalls[0].cost == 27_000)
        #expect(record.cost == 27_000)
        #expect(record.usage == Usage(input: 10, output: 5))
        #expect(record.attemptCount == 2)
        #expect(record.degraded == ["1 of 2 steps"])
        #expect(record.attempts.isEmpty)
    }

    @Test func `an answer that broke off has an estimate`() throws {
        let trace = CallTrace()
        trace.commit(try trace.begin("a/m"))
        var call = Self.settled(trace, outcome: "cancelled")
        call.isComplete = false
        call.requestBytes = 400
        call.pieces = 7
        let record = call.makeRecord()
        #expect((record.usage.input, record.usage.output) == (100, 7))
        #expect(record.usage.estimated)
        #expect(record.cost == 114_000)
        call.record.usage = Usage(input: 90, output: 20)
        #expect((call.makeRecord().usage.input, call.makeRecord().usage.output) == (90, 20))
    }

    @Test func `what was counted is not paid for`() throws {
        let trace = CallTrace()
        trace.commit(try trace.begin("a/m"))
        var call = Self.settled(trace, usage: Usage(input: 500))
        call.record.operation = "count_tokens"
        #expect(call.makeRecord().cost == nil)
    }

    @Test func `memory keeps the last calls, within both limits`() async throws {
        let trace = CallTrace()
        trace.commit(try trace.begin("a/m"))
        let few = MemoryLedger(count: 3)
        for id in 1...200 { few.settle(Self.settled(trace, id: "\(id)")) }
        #expect(few.count == 3)
        #expect(try await Self.ids(few, since: 0, limit: 10, key: nil) == ["200", "199", "198"])
        #expect(try await Self.ids(few, since: 0, limit: 1, key: "k") == ["200"])
        #expect(try await few.calls(since: 6, limit: 10, key: nil).isEmpty)
        #expect(try await few.calls(since: 0, limit: 10, key: "other").isEmpty)
        #expect(try await few.call("199")?.id == "199")
        #expect(try await few.call("1") == nil)
        let small = MemoryLedger(count: 1000, bytes: 10_000)
        for id in 1...200 { small.settle(Self.settled(trace, id: "\(id)")) }
        #expect((1..<20).contains(small.count))
        let none = MemoryLedger(count: 0)
        none.settle(Self.settled(trace))
        #expect(none.count == 0)
    }

    @Test func `the record as JSON says money in dollars and leaves out what is not known`() throws {
        let trace = CallTrace()
        trace.commit(try trace.begin("a/m"))
        let json = Self.settled(trace, usage: Usage(input: 10, output: 5)).makeRecord().json
        #expect(json["cost_usd"] == .number("0.000020000"))
        #expect(json["model"] == nil)
        #expect(json["usage"]?["cache_read"] == nil)
        #expect(json["attempts"]?.array?.count == 1)
        #expect(Money.dollars(nano: 1_234_567_890_123) == "1234.567890123")
    }
}
