// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore
import ParleyTestKit
import ParleyWire

/// Answers as no decent upstream would give them, the same for the same seed.
struct RandomAnswer {
    private var dice: SeededGenerator
    private let dialect: DialectID

    static func events(_ seed: UInt64, for dialect: DialectID) -> [Event] {
        var answer = RandomAnswer(dice: SeededGenerator(seed: seed), dialect: dialect)
        return answer.events()
    }

    private mutating func roll(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &dice) }

    private mutating func text() -> String {
        let words = ["a", "é", "\n", "\"", "\\", "🐟", "data: ", "\u{0}", "event: x", "{", "[DONE]", "\r\n", "</b>"]
        var text = ""
        for _ in 0..<roll(1...5) { text += words[roll(0...(words.count - 1))] }
        return text
    }

    private mutating func events() -> [Event] {
        var events: [Event] = [.start(AnswerIdentity(id: "x\(roll(0...999))", model: "m", created: roll(1...9999)))]
        let choices = Essence.singleChoice.contains(dialect) ? 1 : roll(1...2)
        for choice in 0..<choices { events += body(choice) }
        var usage = Usage(input: roll(10...99), output: roll(10...99))
        if roll(0...1) == 0 { usage.cacheRead = roll(1...5) }
        if roll(0...1) == 0 { usage.reasoning = roll(1...5) }
        return events + [.usage(usage), .usage(usage)]
    }

    private mutating func body(_ choice: Int) -> [Event] {
        var events: [Event] = []
        let origins: [DialectID] = [.anthropic, .gemini, .openAIResponses, .bedrock]
        for _ in 0..<roll(0...3) {
            let isSigned = roll(0...2) == 0
            let origin = origins[roll(0...3)]
            let reasoning = isSigned ? Reasoning(text(), signature: "c2ln", origin: origin) : Reasoning(text())
            events.append(.reasoning(choice: choice, reasoning))
        }
        for _ in 0..<roll(0...5) {
            let text = text()
            events.append(.text(choice: choice, text))
            guard roll(0...3) == 0 else { continue }
            let token: JSONValue = ["token": .string(text), "logprob": .number("-1"), "bytes": [97]]
            events.append(.logprobs(choice: choice, ["content": [token]]))
        }
        let calls = roll(0...3)
        for index in 0..<calls {
            events.append(.toolCall(choice: choice, index: index, ToolCall(id: "t\(index)", name: "f", arguments: "")))
            for piece in ["{\"a\":", JSON.text(.string(text())), "}"] {
                events.append(.arguments(choice: choice, index: index, piece))
            }
        }
        if calls == 0, roll(0...3) == 0 { events.append(.refusal(choice: choice, text())) }
        let reasons: [FinishReason] = calls > 0 ? [.toolCalls, .length] : [.stop, .length, .contentFilter]
        return events + [.finish(choice: choice, reasons[roll(0...(reasons.count - 1))])]
    }
}
