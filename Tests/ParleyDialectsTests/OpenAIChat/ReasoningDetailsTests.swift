// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Reasoning bound to its origin, through a chat client and back")
struct ReasoningDetailsTests {
    static let replayed: [[Reasoning]] = [
        [Reasoning("why", signature: "s", origin: .anthropic)],
        [Reasoning("", signature: "s", origin: .anthropic)],
        [
            Reasoning("", signature: "c", opaque: ["type": "redacted_thinking", "data": "c"], origin: .anthropic),
            Reasoning("why", signature: "s", origin: .anthropic),
        ],
        [Reasoning("", signature: "g", origin: .gemini)],
        [Reasoning("hm", signature: "g", origin: .gemini)],
        [
            Reasoning(
                "", signature: "e",
                opaque: ["type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "e"],
                origin: .openAIResponses)
        ],
        [
            Reasoning(
                "sum", signature: "e",
                opaque: [
                    "type": "reasoning", "id": "rs_1", "summary": [["type": "summary_text", "text": "sum"]],
                    "encrypted_content": "e",
                ], origin: .openAIResponses)
        ],
        [Reasoning("sum", opaque: ["type": "reasoning", "id": "rs_2"], origin: .openAIResponses)],
        [Reasoning("b", signature: "s", origin: .bedrock)],
        [Reasoning("plain"), Reasoning("why", signature: "s", origin: .anthropic)],
        [Reasoning("why", signature: "s", origin: .anthropic), Reasoning("plain")],
        [Reasoning("one", signature: "1", origin: .anthropic), Reasoning("two", signature: "2", origin: .anthropic)],
        [Reasoning("why", signature: "s")],
    ]

    @Test("A message that a client replays restores it exactly", arguments: replayed)
    func message(pieces: [Reasoning]) throws {
        var message = Message(.assistant, text: "a")
        message.reasoning = pieces
        let request = ChatRequest(model: "m", messages: [message])
        var dropped: [String] = []
        let body = try OpenAIChat().encodeRequest(request, dropped: &dropped)
        let again = try OpenAIChat().decodeRequest(body)
        #expect(again.messages[0].reasoning == pieces && again.messages[0].extras.fields.isEmpty)
        #expect(try OpenAIChat().encodeRequest(again, dropped: &dropped) == body && dropped.isEmpty)
    }

    @Test("So does a whole answer", arguments: replayed)
    func whole(pieces: [Reasoning]) throws {
        var message = Message(.assistant, text: "a")
        message.reasoning = pieces
        let response = ChatResponse(
            identity: AnswerIdentity(id: "x"), choices: [.init(index: 0, message: message, finish: .stop)])
        let again = try OpenAIChat().decodeWhole(OpenAIChat().encodeWhole(response, context))
        #expect(again.choices[0].message.reasoning == pieces)
    }

    @Test("So does a stream, whether the signature comes with its text or behind it", arguments: replayed)
    func streamed(pieces: [Reasoning]) {
        var events: [Event] = [.start(AnswerIdentity(id: "x"))]
        for piece in pieces {
            if piece.opaque == nil, piece.signature != nil, piece.text.count > 1 {
                events.append(.reasoning(choice: 0, Reasoning(String(piece.text.prefix(1)))))
                events.append(.reasoning(choice: 0, Reasoning(String(piece.text.dropFirst()))))
                var rest = piece
                rest.text = ""
                events.append(.reasoning(choice: 0, rest))
            } else {
                events.append(.reasoning(choice: 0, piece))
            }
        }
        events += [.text(choice: 0, "a"), .finish(choice: 0, .stop)]
        // Two pieces of plain text or a plain one before a signed one are one piece in a stream.
        var collector = ChatCollector()
        for event in events { collector.add(event) }
        let expected = collector.response().choices[0].message.reasoning
        let text = encode(events)
        #expect(decode(text).response.choices[0].message.reasoning == expected)
        // A client that keeps nothing but the elements has the whole text in them.
        let elements = frames(text).flatMap { frame in
            frame["choices"]?.array?.first?["delta"]?["reasoning_details"]?.array ?? []
        }
        let kept = elements.map(ReasoningDetails.reasoning)
        #expect(kept.map(\.signature) == expected.filter { $0.signature != nil || $0.opaque != nil }.map(\.signature))
        for piece in kept where piece.opaque == nil { #expect(expected.contains(piece)) }
        #expect(elements.compactMap { $0["index"]?.int }.enumerated().allSatisfy { $0.offset == $0.element })
    }

    @Test("A vendor's own elements say their origin, and go back as they came")
    func foreign() throws {
        let details: JSONValue = [
            ["type": "reasoning.text", "text": "t", "signature": "s", "id": nil, "format": "anthropic-claude-v1"],
            ["type": "reasoning.encrypted", "data": "d", "id": "rs_1", "format": "openai-responses-v1", "index": 1],
            ["type": "reasoning.encrypted", "data": "d", "format": "new-v1", "index": 2],
            ["type": "reasoning.summary", "summary": "u", "format": "openai-responses-v1", "index": 3],
        ]
        let body: JSONValue = [
            "model": "m",
            "messages": [["role": "assistant", "content": "a", "reasoning": "tu", "reasoning_details": details]],
        ]
        let request = try OpenAIChat().decodeRequest(ByteBuffer(string: JSON.text(body)))
        let reasoning = request.messages[0].reasoning
        #expect(reasoning.map(\.origin) == [.anthropic, .openAIResponses, nil, nil])
        #expect(reasoning.map(\.signature) == ["s", "d", "d", nil])
        #expect(reasoning[0] == Reasoning("t", signature: "s", origin: .anthropic))
        #expect(reasoning[1].opaque?["encrypted_content"] == "d" && reasoning[2].opaque == details.array?[2])
        var dropped: [String] = []
        let written = try JSON.parse(OpenAIChat().encodeRequest(request, dropped: &dropped))
        #expect(written["messages"]?.array?[0]["reasoning_details"] == details)
        var changed = request
        changed.messages[0].reasoning = []
        let without = try JSON.parse(OpenAIChat().encodeRequest(changed, dropped: &dropped))
        #expect(without["messages"]?.array?[0]["reasoning_details"] == nil)
    }

    @Test("An element with a format that is sent in pieces becomes one, with its origin")
    func sentInPieces() {
        func element(_ fields: String) -> String {
            chunk(
                #"{"reasoning_details":[{"type":"reasoning.text",\#(fields),"#
                    + #""format":"anthropic-claude-v1","index":0}]}"#)
        }
        let text = stream(
            element(#""text":"a""#), element(#""text":"b""#), element(#""signature":"s""#),
            chunk("{}", finish: #""stop""#))
        #expect(
            decode(text).response.choices[0].message.reasoning == [Reasoning("ab", signature: "s", origin: .anthropic)])
    }

    @Test("Where other vendors' reasoning means nothing, only its text is sent; what is nobody's stays")
    func foreignReasoning() throws {
        var quirks = Quirks()
        quirks.foreignReasoning = false
        var request = ChatRequest(model: "m", messages: [])
        var message = Message(.assistant, text: "a")
        message.reasoning = [
            Reasoning("thought", signature: "s", origin: .anthropic),
            Reasoning("", signature: "cipher", origin: .openAIResponses),
        ]
        request.messages = [message]
        message.reasoning = [Reasoning("", opaque: ["type": "reasoning.text", "text": "own"])]
        request.messages.append(message)
        var dropped: [String] = []
        let body = try OpenAIChat(quirks: quirks).encodeRequest(request, dropped: &dropped)
        let messages = try JSON.parse(body)["messages"]?.array ?? []
        #expect(messages.first?["reasoning_content"] == "thought" && messages.first?["reasoning_details"] == nil)
        #expect(messages.last?["reasoning_details"]?.array?.count == 1)
        let all = try JSON.parse(OpenAIChat().encodeRequest(request, dropped: &dropped))
        #expect(all["messages"]?.array?.first?["reasoning_details"]?.array?.count == 2)
    }
}
