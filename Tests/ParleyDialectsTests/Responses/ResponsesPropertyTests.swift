// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Properties of Responses")
struct ResponsesPropertyTests {
    static let asking = Responses.context(
        #"{"model":"asked","input":"Hi","include":["message.output_text.logprobs"],"tools":[{"type":"function","name":"f"}]}"#
    )

    /// A random answer, in an order that no vendor keeps.
    static func events(_ seed: UInt64) -> [Event] {
        var dice = Dice(seed: seed)
        func text() -> String {
            let words = ["a", "é", "\n", "\"", "\\", "🐟", "event: ", "data: ", "\u{0}", "[DONE]", "parley."]
            return (0..<Int.random(in: 1...5, using: &dice)).map { _ in words.randomElement(using: &dice) ?? "" }
                .joined()
        }
        var events: [Event] = [
            .start(AnswerIdentity(id: "resp_\(seed)", model: "m", created: Int.random(in: 1...9999, using: &dice)))
        ]
        var calls = 0
        for _ in 0..<Int.random(in: 0...20, using: &dice) {
            switch Int.random(in: 0..<9, using: &dice) {
            case 0: events.append(.reasoning(choice: 0, Reasoning(text())))
            case 1:
                let origins: [DialectID] = [.openAIResponses, .anthropic, .gemini]
                events.append(
                    .reasoning(choice: 0, Reasoning("", signature: "s", origin: origins.randomElement(using: &dice))))
            case 2: events.append(.refusal(choice: 0, text()))
            case 3:
                var call = ToolCall(id: "t\(calls)", name: "f", arguments: "")
                call.isCustom = Bool.random(using: &dice)
                events.append(.toolCall(choice: 0, index: calls, call))
                let pieces = call.isCustom ? [text()] : ["{\"a\":", "[1,\"}\"]", "}"]
                for piece in pieces { events.append(.arguments(choice: 0, index: calls, piece)) }
                calls += 1
            case 4:
                events.append(.text(choice: 0, text()))
                let token: JSONValue = ["token": "a", "logprob": .number("-1"), "bytes": [97], "top_logprobs": []]
                events.append(.logprobs(choice: 0, ["content": [token]]))
            case 5:
                let annotation: JSONValue = [
                    "type": "url_citation", "url": .string(text()), "title": "t", "start_index": 0, "end_index": 1,
                ]
                events.append(.text(choice: 0, text()))
                events.append(.extra(choice: 0, Extras(.openAIResponses, ["annotations": [annotation]])))
            case 6:
                let item: JSONValue = [
                    "id": .string("ws_\(events.count)"), "type": "web_search_call", "status": "completed",
                    "action": ["type": "search", "query": "q"],
                ]
                events.append(.extra(choice: 0, Extras(.openAIResponses, ["output_items": [item]])))
            default: events.append(.text(choice: 0, text()))
            }
        }
        let ends: [FinishReason] =
            calls > 0 ? [.toolCalls, .length, .contentFilter] : [.stop, .length, .contentFilter]
        events.append(.finish(choice: 0, ends.randomElement(using: &dice) ?? .stop))
        var usage = Usage(input: Int.random(in: 1...99, using: &dice), output: Int.random(in: 0...99, using: &dice))
        (usage.cacheRead, usage.cacheWrite, usage.reasoning) = (3, 0, 2)
        events.append(.usage(usage))
        return events
    }

    /// The answer without what the dialect says otherwise: whole items keep the ciphertext, in an object of their own.
    static func answer(_ decoded: Decoded) -> ChatResponse {
        var response = decoded.response
        for index in response.choices.indices {
            var pieces: [Reasoning] = []
            for var piece in response.choices[index].message.reasoning {
                piece.opaque = nil
                ReasoningPieces.append(piece, to: &pieces)
            }
            response.choices[index].message.reasoning = pieces
        }
        response.identity.extras = Extras()
        return response
    }

    @Test("What is written is read back the same, in any pieces", arguments: 0..<300 as Range<UInt64>)
    func roundTrip(_ seed: UInt64) {
        let events = Self.events(seed)
        let bytes = Array(Responses.encode(events, Self.asking).utf8)
        let whole = Responses.decode([bytes[...]])
        #expect(whole.failure == nil)
        #expect(Self.answer(whole) == Self.answer(Decoded(events: events)))
        #expect(Responses.decode(pieces(of: bytes, seed: seed)).events == whole.events)
        guard seed % 20 == 0 else { return }
        #expect(Responses.decode(bytes.indices.map { bytes[$0...$0] }).events == whole.events)
    }

    @Test("Garbage in place of a stream never does more than fail", arguments: 0..<200 as Range<UInt64>)
    func garbage(_ seed: UInt64) {
        var bytes = Array(Responses.encode(Self.events(seed % 20), Self.asking).utf8)
        var dice = Dice(seed: seed)
        for _ in 0..<5 {
            bytes[Int.random(in: 0..<bytes.count, using: &dice)] = UInt8.random(in: 0...255, using: &dice)
        }
        let decoded = Responses.decode([bytes[...]])
        #expect(decoded.isComplete == (decoded.failure == nil))
    }

    /// For a look at them with the official SDK.
    @Test("Streams are written to a file where the environment names one")
    func dump() throws {
        guard let path = ProcessInfo.processInfo.environment["PARLEY_DUMP_RESPONSES"] else { return }
        var text = ""
        for seed in 0..<60 as Range<UInt64> { text += Responses.encode(Self.events(seed), Self.asking) }
        text += Responses.encode(ResponsesStreamTests.answer, error: ParleyError(.upstreamUnavailable, "gone"))
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        #expect(!text.isEmpty)
    }
}
