// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyAccess
import ParleyCore
import Testing

@testable import ParleyStore

@Suite struct PackedCallsTests {
    /// The same numbers in every run.
    private struct Dice: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ state >> 29
        }
    }

    /// Calls of so many kinds.
    private static func calls(_ count: Int, kinds: Int, _ dice: inout Dice) -> [[UInt8]] {
        let writer = CallWriter()
        return (0..<count).map { number in
            let kind = Int.random(in: 0..<kinds, using: &dice)
            let time = 1_763_760_000_000 + Int64(number)
            let id = CallID.make(
                time: time - .random(in: -2000...2000, using: &dice), noise: dice.next(), more: dice.next())
            var call = CallRecord(id: id, time: time, operation: "chat", dialect: "openai-chat")
            (call.key, call.model, call.upstream) = ("laptop", "model \(kind)", "provider/model \(kind)")
            (call.stream, call.status) = (kind % 2 == 0, 200)
            call.usage = Usage(input: .random(in: 0...100_000, using: &dice), output: kind % 3 == 0 ? nil : 7)
            call.cost = kind % 5 == 0 ? nil : .random(in: 0...1_000_000, using: &dice)
            call.total = .random(in: 0...10_000_000, using: &dice)
            if kind % 7 == 3 {
                call.attempts = [AttemptRecord(upstream: "other/\(kind)")]
                call.dropped = Array(repeating: String(repeating: "x", count: 100), count: number % 9)
            }
            writer.write(call)
            return Array(writer.bytes)
        }
    }

    private static func packed(_ calls: [[UInt8]]) throws -> [UInt8] {
        let writer = PackedCalls.Writer()
        for call in calls {
            try call.withUnsafeBytes { call in
                let head = try #require(CallReader.head(of: call))
                writer.append(call, head, id: try #require(PackedCalls.id(of: head)))
            }
        }
        return Array(writer.bytes)
    }

    private static func read(_ pack: some Collection<UInt8>, with reader: PackedCalls.Reader = .init()) -> [[UInt8]] {
        var calls: [[UInt8]] = []
        Array(pack).withUnsafeBytes { reader.each(in: $0) { calls.append(Array($0)) } }
        return calls
    }

    @Test func `calls come out of a pack as they went in, however many kinds of them there are`() throws {
        var dice = Dice(state: 1)
        let reader = PackedCalls.Reader()
        for kinds in [1, 2, 15, 16, 17, 40, 1000] {
            let calls = Self.calls(500, kinds: kinds, &dice)
            #expect(Self.read(try Self.packed(calls), with: reader) == calls, "\(kinds) kinds")
        }
        #expect(Self.read(try Self.packed([]), with: reader).isEmpty)
    }

    @Test func `what calls have in common is said once`() throws {
        var dice = Dice(state: 2)
        for kinds in [1, 2, 4, 7] {
            let calls = Self.calls(400, kinds: kinds, &dice).filter { $0.count < 150 }
            let whole = calls.reduce(0) { $0 + $1.count }
            let packed = try Self.packed(calls).count
            // The id takes 15 bytes instead of 29, the time two instead of six, and the rest is said some times.
            #expect(packed < whole - calls.count * 60, "\(kinds) kinds")
        }
    }

    @Test func `packs of an earlier version are read`() throws {
        var dice = Dice(state: 3)
        let calls = Self.calls(50, kinds: 4, &dice)
        var pack: [UInt8] = []
        for call in calls { call.withUnsafeBytes { CallList.append($0, to: &pack) } }
        #expect(Self.read(pack) == calls)
    }

    @Test func `a pack that was cut off has the calls before`() throws {
        var dice = Dice(state: 4)
        let calls = Self.calls(40, kinds: 6, &dice)
        let pack = try Self.packed(calls)
        var counts: Set<Int> = []
        for length in 0..<pack.count {
            let read = Self.read(pack.prefix(length))
            #expect(read == Array(calls.prefix(read.count)))
            counts.insert(read.count)
        }
        #expect(counts == Set(0..<40))
    }

    @Test func `a pack says nothing of another`() throws {
        var dice = Dice(state: 5)
        let calls = Self.calls(2, kinds: 1, &dice)
        let pack = try Self.packed(calls)
        let first = try Self.packed([calls[0]]).count
        let reader = PackedCalls.Reader()
        #expect(Self.read(pack, with: reader) == calls)
        // The second call alone, which has what it says in common with one that is not there.
        #expect(Self.read(pack.prefix(4) + pack.dropFirst(first), with: reader).isEmpty)
    }

    @Test func `whatever lies in a pack is read without harm`() throws {
        var dice = Dice(state: 6)
        let calls = Self.calls(12, kinds: 5, &dice)
        let pack = try Self.packed(calls)
        let reader = PackedCalls.Reader()
        var harmed = 0
        for place in 0..<pack.count {
            for _ in 0..<4 {
                var bytes = pack
                bytes[place] = .random(in: 0...255, using: &dice)
                let read = Self.read(bytes, with: reader)
                if read != calls { harmed += 1 }
                for call in read { call.withUnsafeBytes { _ = try? CallRecord($0) } }
            }
        }
        #expect(harmed > pack.count)
        for _ in 0..<2000 {
            let noise = (0..<Int.random(in: 0..<60, using: &dice)).map { _ in UInt8.random(in: 0...255, using: &dice) }
            for call in Self.read(pack.prefix(4) + noise, with: reader) {
                call.withUnsafeBytes { _ = CallReader.head(of: $0) }
            }
        }
    }

    @Test func `a call whose id is said in another way than calls are written lies in a row of its own`() throws {
        var dice = Dice(state: 7)
        var call = Self.calls(1, kinds: 1, &dice)[0]
        // The length of the id in two bytes.
        call.replaceSubrange(5..<6, with: [call[5] | 0x80, 0])
        try call.withUnsafeBytes { call in
            let head = try #require(CallReader.head(of: call))
            #expect(CallID.Number(head.id) != nil && PackedCalls.id(of: head) == nil)
        }
    }
}
