// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Properties of the dialect")
struct PropertyTests {
    /// A random answer as a grammatical sequence of events.
    static func events(_ seed: UInt64) -> [Event] {
        var dice = Dice(seed: seed)
        func text() -> String {
            let words = ["a", "é", "\n", "\"", "\\", "🐟", "</think>", "data: ", "\u{0}", "[DONE]"]
            return (0..<Int.random(in: 1...5, using: &dice)).map { _ in words.randomElement(using: &dice) ?? "" }
                .joined()
        }
        var identity = AnswerIdentity(id: "c\(seed)", model: text(), created: Int.random(in: 1...9999, using: &dice))
        if Bool.random(using: &dice) {
            identity.extras = Extras(.openAIChat, ["system_fingerprint": "fp", "provider": .string(text())])
        }
        var events: [Event] = [.start(identity)]
        let choices = Int.random(in: 1...3, using: &dice)
        var calls = Array(repeating: 0, count: choices)
        for _ in 0..<Int.random(in: 0...20, using: &dice) {
            let choice = Int.random(in: 0..<choices, using: &dice)
            switch Int.random(in: 0..<8, using: &dice) {
            case 0: events.append(.reasoning(choice: choice, Reasoning(text())))
            case 1: events.append(.reasoning(choice: choice, Reasoning(text(), signature: "s")))
            case 2: events.append(.refusal(choice: choice, text()))
            case 3:
                let call = ToolCall(id: "t\(choice)\(calls[choice])", name: "f", arguments: "")
                events.append(.toolCall(choice: choice, index: calls[choice], call))
                calls[choice] += 1
            case 4 where calls[choice] > 0:
                let index = Int.random(in: 0..<calls[choice], using: &dice)
                events.append(.arguments(choice: choice, index: index, text()))
            case 5: events.append(.logprobs(choice: choice, ["content": [["token": .string(text())]]]))
            case 6: events.append(.extra(choice: choice, Extras(.openAIChat, ["annotations": [.string(text())]])))
            default: events.append(.text(choice: choice, text()))
            }
        }
        for choice in 0..<choices {
            events.append(.finish(choice: choice, calls[choice] > 0 ? .toolCalls : .length))
        }
        var usage = Usage(input: Int.random(in: 0...99, using: &dice), output: Int.random(in: 0...99, using: &dice))
        if Bool.random(using: &dice) { usage.cacheRead = 3 }
        if Bool.random(using: &dice) { usage.reasoning = 2 }
        events.append(.usage(usage))
        return events
    }

    @Test("What is written is read back the same, in any pieces", arguments: 0..<300 as Range<UInt64>)
    func eventsRoundTrip(_ seed: UInt64) {
        let events = Self.events(seed)
        let bytes = Array(encode(events).utf8)
        #expect(decode([bytes[...]]).events == events)
        #expect(decode(pieces(of: bytes, seed: seed)).events == events)
    }

    @Test("Every two-part split gives the same events")
    func splits() {
        let bytes = Array(encode(Self.events(7)).utf8)
        let whole = decode([bytes[...]])
        for cut in 0...bytes.count {
            if decode([bytes[..<cut], bytes[cut...]]) != whole { Issue.record("differs at \(cut)") }
        }
        #expect(decode(bytes.indices.map { bytes[$0...$0] }) == whole)
    }

    @Test("Merging usage again changes nothing", arguments: 0..<50 as Range<UInt64>)
    func usageMerge(_ seed: UInt64) {
        var dice = Dice(seed: seed)
        func usage() -> Usage {
            var usage = Usage(input: Int.random(in: 0...9, using: &dice), output: Int.random(in: 0...9, using: &dice))
            usage.cacheRead = Bool.random(using: &dice) ? Int.random(in: 0...9, using: &dice) : nil
            return usage
        }
        let (a, b) = (usage(), usage())
        var once = a
        once.merge(b)
        var twice = once
        twice.merge(b)
        twice.merge(a)
        var other = b
        other.merge(a)
        #expect(once == twice && once == other)
    }

    @Test("A collected answer replayed is the same answer", arguments: 0..<100 as Range<UInt64>)
    func replay(_ seed: UInt64) {
        var collector = ChatCollector()
        for event in Self.events(seed) { collector.add(event) }
        let response = collector.response()
        var again = ChatCollector()
        for event in EventReplay.events(of: response) { again.add(event) }
        #expect(again.response() == response)
    }

    @Test("Garbage in place of a stream never does more than fail", arguments: 0..<200 as Range<UInt64>)
    func garbage(_ seed: UInt64) {
        var bytes = Array(encode(Self.events(seed % 20)).utf8)
        var dice = Dice(seed: seed)
        for _ in 0..<5 {
            bytes[Int.random(in: 0..<bytes.count, using: &dice)] = UInt8.random(in: 0...255, using: &dice)
        }
        let decoded = decode([bytes[...]])
        #expect(decoded.isComplete == (decoded.failure == nil))
    }
}
