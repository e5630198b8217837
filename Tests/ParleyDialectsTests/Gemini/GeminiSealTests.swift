// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Other vendors' signatures, carried by clients of Gemini")
struct GeminiSealTests {
    private static let thought = Reasoning("Fish 🐟 first.", signature: "c2ln+/==", origin: .anthropic)
    private static let redacted = Reasoning(
        "", signature: "cipher", opaque: ["type": "redacted_thinking", "data": "cipher"], origin: .anthropic)

    /// The parts of a stream's frames, each as a turn of its own.
    private static func turns(_ stream: String) throws -> [JSONValue] {
        try stream.split(separator: "\r\n\r\n").compactMap { frame in
            try JSON.parse(String(frame.dropFirst("data: ".count)))["candidates"]?.array?.first?["content"]
        }
    }

    private static func request(_ turns: [JSONValue]) throws -> ChatRequest {
        let user: JSONValue = ["role": "user", "parts": [["text": "Go on."]]]
        return try GeminiRun.request(["contents": .array([user] + turns + [user])])
    }

    @Test("A streamed thought comes back whole with its signature, frame by frame or in one turn")
    func streamed() throws {
        let events: [Event] = [
            .start(AnswerIdentity(id: "r", model: "claude", created: 0)),
            .reasoning(choice: 0, Reasoning("Fish 🐟", origin: .anthropic)),
            .reasoning(choice: 0, Reasoning(" first.", origin: .anthropic)),
            .reasoning(choice: 0, Reasoning("", signature: "c2ln+/==", origin: .anthropic)),
            .reasoning(choice: 0, Self.redacted),
            .text(choice: 0, "Hel"), .text(choice: 0, "lo"), .finish(choice: 0, .stop),
        ]
        let turns = try Self.turns(GeminiRun.encode(events))
        let parts = turns.flatMap { $0["parts"]?.array ?? [] }
        let one: JSONValue = ["role": "model", "parts": .array(parts)]
        for request in [try Self.request(turns), try Self.request([one])] {
            #expect(request.messages.map(\.role) == [.user, .assistant, .user])
            #expect(request.messages[1].reasoning == [Self.thought, Self.redacted])
            #expect(request.messages[1].text == "Hello")
        }
    }

    @Test("A whole answer's thoughts come back, also in the alphabet that Google's libraries write")
    func whole() throws {
        var message = Message(.assistant, text: "Hello")
        message.reasoning = [Self.thought, Self.redacted]
        let response = ChatResponse(
            identity: AnswerIdentity(id: "r", model: "claude", created: 0),
            choices: [.init(index: 0, message: message, finish: .stop)], usage: Usage())
        let context = AnswerContext(id: "r", model: "m", created: 0, includeUsage: true)
        var text = String(buffer: GeminiRun.dialect.encodeWhole(response, context))
        #expect(!text.contains("c2ln+/=="))
        for _ in 0..<2 {
            let content = try JSON.parse(text)["candidates"]?.array?.first?["content"]
            #expect(try Self.request([content ?? .null]).messages[1].reasoning == message.reasoning)
            text = text.replacing("+", with: "-").replacing("\\/", with: "_").replacing("=", with: "")
        }
    }

    @Test("No seal reaches Gemini: what holds one is written anew, without it")
    func origin() throws {
        let part = GeminiWhole.part(of: Self.thought) ?? [:]
        let turn: JSONValue = ["role": "model", "parts": [.object(part), ["text": "Hello"]]]
        let request = try Self.request([turn])
        var dropped: [String] = []
        let written = try JSON.text(GeminiRun.written(request, dropped: &dropped))
        #expect(!written.contains("thoughtSignature") && dropped == ["messages[].reasoning_content"])
        let body = ByteBuffer(string: JSON.text(["contents": [turn]]))
        let splice = try GeminiRun.dialect.splice(
            body, reading: nil, model: "gemini-2.5-flash", stream: false, overrides: [], dropped: &dropped)
        #expect(splice == nil)
    }

    @Test("Data in the alphabet for addresses reaches other vendors in the usual one")
    func alphabet() throws {
        let request = try GeminiRun.request([
            "contents": [["role": "user", "parts": [["inlineData": ["mimeType": "image/png", "data": "-_8"]]]]]
        ])
        #expect(request.messages[0].content == [.image(url: "data:image/png;base64,+/8=", detail: nil)])
    }

    @Test("Calls in frames of their own are one turn, and their results find them")
    func frames() throws {
        func call(_ x: Int) -> JSONValue {
            ["role": "model", "parts": [["functionCall": ["name": "f", "args": ["x": .int(x)]]]]]
        }
        let request = try GeminiRun.request([
            "contents": [
                ["role": "user", "parts": [["text": "Go"]]], call(1), call(2),
                ["role": "model", "parts": [["text": ""]]],
                [
                    "role": "user",
                    "parts": [
                        ["functionResponse": ["name": "f", "response": ["result": "1"]]],
                        ["functionResponse": ["name": "f", "response": ["result": "2"]]],
                    ],
                ],
            ]
        ])
        #expect(request.messages.map(\.role) == [.user, .assistant, .tool, .tool])
        #expect(request.messages[1].toolCalls.map(\.id) == request.messages[2...].map(\.toolCallID))
    }
}
