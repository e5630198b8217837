// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Properties of the Messages dialect")
struct AnthropicPropertyTests {
    /// A random answer, its pieces mixed as no decent upstream would.
    static func events(_ seed: UInt64) -> [Event] {
        var dice = Dice(seed: seed)
        func text() -> String {
            let words = ["a", "é", "\n", "\"", "\\", "🐟", "data: ", "\u{0}", "event: x", "{"]
            return (0..<Int.random(in: 1...5, using: &dice)).map { _ in words.randomElement(using: &dice) ?? "" }
                .joined()
        }
        var identity = AnswerIdentity(id: "msg_\(seed)", model: text())
        if Bool.random(using: &dice) { identity.extras = Extras(.anthropic, ["service_tier": .string(text())]) }
        var events: [Event] = [.start(identity)]
        var left: [Int: [String]] = [:]
        var calls = 0
        for _ in 0..<Int.random(in: 0...25, using: &dice) {
            switch Int.random(in: 0..<8, using: &dice) {
            case 0: events.append(.reasoning(choice: 0, Reasoning(text(), origin: .anthropic)))
            case 1: events.append(.reasoning(choice: 0, Reasoning(text(), signature: text(), origin: .anthropic)))
            case 2:
                let block: JSONValue = ["type": "redacted_thinking", "data": .string(text())]
                events.append(
                    .reasoning(
                        choice: 0,
                        Reasoning("", signature: block["data"]?.string, opaque: block, origin: .anthropic)))
            case 3:
                events.append(
                    .toolCall(choice: 0, index: calls, ToolCall(id: "t\(calls)", name: "f", arguments: "")))
                left[calls] = ["{\"a\":", JSON.text(.string(text())), "}"]
                calls += 1
            case 4, 5:
                guard let index = left.keys.sorted().randomElement(using: &dice), let next = left[index]?.first
                else { continue }
                events.append(.arguments(choice: 0, index: index, next))
                left[index]?.removeFirst()
                if left[index]?.isEmpty == true { left[index] = nil }
            default: events.append(.text(choice: 0, text()))
            }
        }
        for (index, rest) in left.sorted(by: { $0.key < $1.key }) {
            for piece in rest { events.append(.arguments(choice: 0, index: index, piece)) }
        }
        events.append(.finish(choice: 0, calls > 0 ? .toolCalls : .length))
        var usage = Usage(input: Int.random(in: 10...99, using: &dice), output: Int.random(in: 0...99, using: &dice))
        if Bool.random(using: &dice) { usage.cacheRead = 3 }
        if Bool.random(using: &dice) { usage.cacheWrite = 4 }
        if Bool.random(using: &dice) { usage.reasoning = 2 }
        events.append(.usage(usage))
        return events
    }

    static func response(_ events: [Event]) -> ChatResponse {
        var collector = ChatCollector()
        for event in events { collector.add(event) }
        return collector.response()
    }

    /// The signed and the redacted reasoning, and the text of all of it: where unsigned pieces begin is not kept.
    static func reasoning(_ message: Message) -> [String] {
        message.reasoning.compactMap(\.signature) + [message.reasoning.map(\.text).joined()]
    }

    @Test("What is written is read back the same, in any pieces", arguments: 0..<300 as Range<UInt64>)
    func roundTrip(_ seed: UInt64) throws {
        let events = Self.events(seed)
        let bytes = Array(Messages.encode(events).utf8)
        let read = Messages.decode([bytes[...]])
        #expect(read.failure == nil && read.isComplete)
        #expect(Messages.decode(pieces(of: bytes, seed: seed)) == read)
        let (given, got) = (Self.response(events), read.response)
        #expect(got.identity == given.identity && got.usage == given.usage)
        guard let mine = given.choices.first?.message, let theirs = got.choices.first?.message else { return }
        #expect(theirs.text == mine.text && theirs.toolCalls == mine.toolCalls)
        #expect(Self.reasoning(theirs) == Self.reasoning(mine))
        #expect(got.choices.first?.finish == given.choices.first?.finish)
    }

    @Test("Blocks are dense, start and stop in pairs, and never lie inside each other", arguments: 0..<300)
    func grammar(_ seed: Int) {
        var open: Int?
        var next = 0
        let events = Messages.events(Messages.encode(Self.events(UInt64(seed))))
        for event in events {
            switch event["type"]?.string {
            case "content_block_start":
                #expect(open == nil && event["index"]?.int == next)
                open = next
                next += 1
            case "content_block_delta": #expect(open != nil && event["index"]?.int == open)
            case "content_block_stop":
                #expect(open != nil && event["index"]?.int == open)
                open = nil
            default: break
            }
        }
        #expect(open == nil)
        #expect(events.count { $0["type"] == "message_start" } == 1)
        #expect(events.count { $0["type"] == "message_stop" } == 1)
    }

    @Test("A whole answer is read back the same", arguments: 0..<100 as Range<UInt64>)
    func wholes(_ seed: UInt64) throws {
        let response = Self.response(Self.events(seed))
        let read = try Messages.dialect.decodeWhole(Messages.dialect.encodeWhole(response, Messages.context))
        #expect(read.identity == response.identity && read.usage == response.usage)
        guard let mine = response.choices.first?.message, let theirs = read.choices.first?.message else { return }
        #expect(theirs.text == mine.text)
        #expect(theirs.toolCalls.map(\.id) == mine.toolCalls.map(\.id))
        #expect(
            try theirs.toolCalls.map { try JSON.parse($0.arguments) }
                == mine.toolCalls.map { try JSON.parse($0.arguments) })
        #expect(Self.reasoning(theirs) == Self.reasoning(mine))
    }

    @Test("Garbage in place of a stream never does more than fail", arguments: 0..<200 as Range<UInt64>)
    func garbage(_ seed: UInt64) {
        var bytes = Array(Messages.encode(Self.events(seed % 20)).utf8)
        var dice = Dice(seed: seed)
        for _ in 0..<5 {
            bytes[Int.random(in: 0..<bytes.count, using: &dice)] = UInt8.random(in: 0...255, using: &dice)
        }
        let decoded = Messages.decode([bytes[...]])
        #expect(decoded.isComplete == (decoded.failure == nil))
        _ = Messages.relay([bytes[...]])
        _ = try? Messages.dialect.decodeRequest(ByteBuffer(bytes: bytes))
        _ = try? Messages.dialect.decodeWhole(ByteBuffer(bytes: bytes))
    }
}
