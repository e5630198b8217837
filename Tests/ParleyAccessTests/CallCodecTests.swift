// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyAccess
import ParleyCore
import Testing

@Suite struct CallCodecTests {
    private static let prices = PriceBook(overrides: ["a/m": Price(input: 1_000_000, output: 2_000_000)])

    private static func bytes(_ record: CallRecord) -> [UInt8] {
        let writer = CallWriter()
        writer.write(record)
        return Array(writer.bytes)
    }

    private static func record(_ bytes: [UInt8]) throws -> CallRecord {
        try bytes.withUnsafeBytes { try CallRecord($0) }
    }

    private static func usage(_ numbers: [Int?]) -> Usage { Usage(classes: numbers, estimated: numbers.count % 2 == 0) }

    /// A record with everything in it that a record can have.
    private static var rich: CallRecord {
        var record = CallRecord(id: "ünïcode \u{0}", time: 1_763_760_000_123, operation: "chat", dialect: "gemini")
        (record.key, record.model, record.error, record.finish) = ("laptop", "smart", "timeout", "")
        (record.stream, record.status, record.outcome, record.total) = (true, 599, "failed", .max)
        record.usage = usage([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, .max, nil])
        (record.upstream, record.cost, record.firstEvent) = ("a/m", .max, 0)
        (record.degraded, record.dropped) = (["1 of 2", ""], ["logit_bias"])
        var failed = AttemptRecord(upstream: "b/m")
        (failed.began, failed.elapsed, failed.failure, failed.why, failed.route) = (5, 7, "rateLimited", "first", "r")
        var own = AttemptRecord(upstream: "a/m")
        (own.began, own.elapsed, own.why, own.cost, own.usage) = (50, 70, "next", 3, record.usage)
        var lost = AttemptRecord(upstream: "c/m")
        (lost.failure, lost.usage, lost.cost) = ("cancelled", usage([nil, -1]), .min)
        record.attempts = [failed, own, lost]
        var deep = InnerCallRecord(purpose: "judge", model: "j")
        deep.attempts = [failed]
        var inner = InnerCallRecord(purpose: "step 1", model: "m")
        (inner.began, inner.elapsed, inner.failure, inner.cost) = (1, 2, "cancelled", 9)
        (inner.usage, inner.attempts, inner.innerCalls) = (usage([3]), [lost, failed], [deep, deep])
        record.innerCalls = [inner, deep]
        return record
    }

    @Test func `a record with all that there can be is read as it was written`() throws {
        #expect(try Self.record(Self.bytes(Self.rich)) == Self.rich)
        let poor = CallRecord(id: "", time: .min, operation: "", dialect: "")
        #expect(try Self.record(Self.bytes(poor)) == poor)
        var many = Self.rich
        many.attempts = Array(repeating: many.attempts[0], count: 300)
        #expect(try Self.record(Self.bytes(many)) == many)
    }

    @Test func `a plain call is written as its record would be`() throws {
        let cases: [(ParleyError.Kind?, String?)] = [
            (nil, nil), (nil, "first"), (nil, "weighted"), (.timeout, nil), (.timeout, "first"), (.timeout, "probe"),
        ]
        for (failure, reason) in cases {
            let trace = CallTrace()
            if let reason { trace.decide("r", "a", reason) }
            let attempt = try trace.begin("a/m")
            if let failure { trace.fail(attempt, failure) } else { trace.commit(attempt) }
            var known = CallRecord(id: "x", time: 5, operation: "chat", dialect: "openai-chat")
            (known.key, known.model, known.finish, known.status, known.total) = ("k", "m", "stop", 200, 9)
            (known.firstEvent, known.stream) = (3, true)
            if failure == nil { known.usage = Usage(input: 10, output: 5) }
            let arrived = NIODeadline.now() - .seconds(1)
            let record = SettledCall(known, arrived: arrived, trace: trace, prices: Self.prices).makeRecord()
            let writer = CallWriter()
            let plain = try #require(trace.plain)
            let cost = plain.isAnswered ? writer.cost(of: known.usage, at: "a/m", in: Self.prices) : nil
            #expect(cost == record.cost)
            let numbers = CallWriter.Numbers(
                time: 5, status: 200, total: 9, firstEvent: 3, cost: cost, stream: true)
            writer.write(
                id: "x", operation: "chat", dialect: "openai-chat", outcome: "ok", key: "k", model: "m", error: nil,
                finish: "stop", numbers, plain, usage: known.usage, arrived: arrived)
            #expect(try CallRecord(writer.bytes) == record)
        }
    }

    @Test func `a call with more to tell than one attempt is not plain`() throws {
        let trace = CallTrace()
        #expect(trace.plain?.upstream == nil)
        trace.decide("r", "a", "first")
        #expect(trace.plain != nil)
        trace.decide("r", "b", "next")
        #expect(trace.plain == nil)
        let second = CallTrace()
        _ = try second.begin("a/m")
        #expect(second.plain?.isAnswered == false)
        _ = try second.begin("a/m")
        #expect(second.plain == nil)
        let third = CallTrace()
        third.drop(["x"])
        #expect(third.plain == nil)
    }

    @Test func `texts that are too long are cut between characters`() throws {
        var record = CallRecord(id: "x", time: 0, operation: "chat", dialect: "d")
        record.model = String(repeating: "a", count: 1023) + "üüü"
        #expect(try Self.record(Self.bytes(record)).model == String(repeating: "a", count: 1023))
    }

    @Test func `bytes that are no call are an error, whatever they are`() throws {
        let whole = Self.bytes(Self.rich)
        for length in 0..<whole.count {
            #expect(throws: CallLayout.Malformed.self) { try Self.record(Array(whole[..<length])) }
        }
        #expect(throws: CallLayout.Malformed.self) { try Self.record(whole + [0]) }
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<20_000 {
            var broken = whole
            for _ in 0..<Int.random(in: 1...8, using: &generator) {
                broken[Int.random(in: 1..<broken.count, using: &generator)] = .random(in: 0...255, using: &generator)
            }
            if let read = try? Self.record(broken) { _ = read.json }
            var noise = (0..<Int.random(in: 0...80, using: &generator)).map { _ in UInt8.random(in: 0...255) }
            if !noise.isEmpty { noise[0] = 1 }
            _ = try? Self.record(noise)
        }
    }

    @Test func `ids of our own say when the call came, others do not`() {
        func time(_ id: String) -> Int64? {
            var id = id
            return id.withUTF8 { CallID.time(of: UnsafeRawBufferPointer($0)) }
        }
        let id = CallID.make(time: 1_763_760_000_123, noise: .max, more: 0)
        #expect(id.utf8.count == CallID.length)
        #expect(id.hasSuffix("vvvvvvv00000000"))
        #expect(time(id) == 1_763_760_000_123)
        #expect(CallID.make(time: 1_763_760_000_124, noise: 0, more: 0) > id)
        let wrong = "req_" + String(repeating: "z", count: 24)
        for other in ["", "x", id + "0", String(id.dropLast()), "REQ_" + id.dropFirst(4), wrong] {
            #expect(time(other) == nil)
        }
        for place in 4..<28 {
            for character in ["/", ":", "A", "`", "w", "\u{7f}", " "] {
                #expect(time(String(id.prefix(place)) + character + id.dropFirst(place + 1)) == nil)
            }
        }
    }

    @Test func `an id of our own is the number that it says`() throws {
        var generator = SystemRandomNumberGenerator()
        for round in 0..<1000 {
            let time: Int64 = round == 0 ? 1 << 45 - 1 : .random(in: 0..<1 << 45)
            let id = CallID.make(time: time, noise: generator.next(), more: round == 0 ? .max : generator.next())
            let number = try #require(Array(id.utf8).withUnsafeBytes { CallID.Number($0) })
            #expect(number.time == time)
            #expect(number.tells(time) && number.tells(max(0, time - 2000)) && !number.tells(time + 2001))
            #expect(!number.tells(.min) && !number.tells(.max))
            var bytes = [UInt8](repeating: 0, count: CallID.Number.size)
            bytes.withUnsafeMutableBytes { $0.baseAddress.map { number.write(to: $0) } }
            #expect(bytes.withUnsafeBytes { $0.baseAddress.map { CallID.Number(at: $0) } } == number)
            var text = [UInt8](repeating: 0, count: CallID.length)
            text.withUnsafeMutableBytes { $0.baseAddress.map { number.writeID(to: $0) } }
            #expect(String(decoding: text, as: UTF8.self) == id)
        }
    }

    @Test func `a price is that of the upstream and of the configuration it is asked for`() {
        let writer = CallWriter()
        let other = PriceBook(overrides: [
            "a/m": Price(input: 3_000_000, output: 0), "b/m": Price(input: 7_000, output: 0),
        ])
        let usage = Usage(input: 1, output: 0)
        for _ in 0..<2 {
            #expect(writer.cost(of: usage, at: "a/m", in: Self.prices) == 1000)
            #expect(writer.cost(of: usage, at: "b/m", in: Self.prices) == nil)
            #expect(writer.cost(of: usage, at: "a/m", in: other) == 3000)
            #expect(writer.cost(of: usage, at: "b/m", in: other) == 7)
            #expect(writer.cost(of: Usage(), at: "a/m", in: other) == nil)
        }
    }
}
