// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Gemini's streams")
struct GeminiStreamTests {
    /// A random answer as a grammatical sequence of events that Gemini can say.
    private static func events(_ seed: UInt64) -> [Event] {
        var dice = Dice(seed: seed)
        func text() -> String {
            let words = ["a", "é", "\n", "\"", "\\", "🐟", "]", "{", "data: ", "\u{0}", "\u{2028}", ",\r\n"]
            return (0..<Int.random(in: 1...5, using: &dice)).map { _ in words.randomElement(using: &dice) ?? "" }
                .joined()
        }
        var events: [Event] = [.start(AnswerIdentity(id: "r\(seed)", model: text(), created: 0))]
        let choices = Int.random(in: 1...3, using: &dice)
        var calls = Array(repeating: 0, count: choices)
        for choice in 0..<choices { events.append(.text(choice: choice, text())) }
        for _ in 0..<Int.random(in: 0...20, using: &dice) {
            let choice = Int.random(in: 0..<choices, using: &dice)
            switch Int.random(in: 0..<7, using: &dice) {
            case 0: events.append(.reasoning(choice: choice, Reasoning(text(), origin: .gemini)))
            case 1: events.append(.reasoning(choice: choice, Reasoning(text(), signature: "s", origin: .gemini)))
            case 2: events.append(.reasoning(choice: choice, Reasoning("", signature: text(), origin: .gemini)))
            case 3, 4:
                var call = ToolCall(id: "t\(choice)\(calls[choice])", name: "f", arguments: "")
                if Bool.random(using: &dice) {
                    call.signature = "sig"
                    call.origin = .gemini
                }
                events.append(.toolCall(choice: choice, index: calls[choice], call))
                let arguments = JSON.text(["x": .string(text())])
                events.append(.arguments(choice: choice, index: calls[choice], arguments))
                calls[choice] += 1
            case 5:
                let bytes: JSONValue = .array("a".utf8.map { .int(Int($0)) })
                let token: JSONValue = ["token": "a", "logprob": .double(-0.5), "bytes": bytes, "top_logprobs": []]
                events.append(.logprobs(choice: choice, ["content": [token], "refusal": nil]))
            default: events.append(.text(choice: choice, text()))
            }
        }
        for choice in 0..<choices { events.append(.finish(choice: choice, calls[choice] > 0 ? .toolCalls : .length)) }
        var usage = Usage(input: Int.random(in: 0...99, using: &dice), output: Int.random(in: 20...99, using: &dice))
        if Bool.random(using: &dice) { usage.cacheRead = 3 }
        if Bool.random(using: &dice) { usage.reasoning = 2 }
        events.append(.usage(usage))
        return events
    }

    @Test("What is written is read back the same, in both forms and any pieces", arguments: 0..<200 as Range<UInt64>)
    func roundTrip(_ seed: UInt64) {
        var collector = ChatCollector()
        let events = Self.events(seed)
        for event in events { collector.add(event) }
        let expected = collector.response()
        for asArray in [false, true] {
            let bytes = Array(GeminiRun.encode(events, asArray: asArray).utf8)
            let decoded = GeminiRun.decode([bytes[...]])
            #expect(decoded.failure == nil && decoded.isComplete)
            #expect(decoded.response == expected)
            #expect(GeminiRun.decode(pieces(of: bytes, seed: seed)) == decoded)
            if asArray { #expect((try? JSON.parse(ByteBuffer(bytes: bytes)))?.array != nil) }
        }
    }

    @Test("Garbage in place of a stream never does more than fail", arguments: 0..<200 as Range<UInt64>)
    func garbage(_ seed: UInt64) {
        var bytes = Array(GeminiRun.encode(Self.events(seed % 20), asArray: seed % 2 == 0).utf8)
        var dice = Dice(seed: seed)
        for _ in 0..<5 {
            bytes[Int.random(in: 0..<bytes.count, using: &dice)] = UInt8.random(in: 0...255, using: &dice)
        }
        let decoded = GeminiRun.decode([bytes[...]])
        #expect(decoded.isComplete == (decoded.failure == nil))
    }

    @Test("A stream looks as Gemini's does, with the usage beside the finish reason")
    func shape() {
        let events: [Event] = [
            .start(AnswerIdentity(id: "", model: "")), .text(choice: 0, "Hi"), .finish(choice: 0, .stop),
            .usage(Usage(input: 3, output: 2)),
        ]
        let tail = #","modelVersion":"asked","responseId":"own"}"#
        let first = #"{"candidates":[{"content":{"parts":[{"text":"Hi"}],"role":"model"},"index":0}]"# + tail
        let last =
            #"{"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":"STOP","index":0}],"#
            + #""usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2,"totalTokenCount":5}"# + tail
        #expect(GeminiRun.encode(events) == "data: \(first)\r\n\r\ndata: \(last)\r\n\r\n")
        #expect(GeminiRun.encode(events, asArray: true) == "[\(first),\r\n\(last)]")
    }

    @Test("An error ends a stream well-formed in both forms", arguments: [false, true], [0, 1])
    func failure(asArray: Bool, before: Int) throws {
        var own = context
        own.asArray = asArray
        var encoder = GeminiRun.dialect.makeStreamEncoder(own)
        var out = ByteBuffer()
        if before > 0 { encoder.push(.text(choice: 0, "Hi"), into: &out) }
        encoder.fail(ParleyError(.rateLimited, "slow down", retryAfter: 2.5), into: &out)
        encoder.finish(into: &out)
        let text = String(buffer: out)
        let decoded = GeminiRun.decode(text)
        #expect(decoded.failure?.kind == .rateLimited && decoded.failure?.retryAfter == 2.5)
        #expect(decoded.response.choices.first?.message.text ?? "" == (before > 0 ? "Hi" : ""))
        if asArray { #expect(try JSON.parse(text).array?.count == before + 1) }
        #expect(text.contains(#"{"error":{"code":429,"#))
    }

    @Test("Another vendor's reasoning is shown, and its signature is sealed")
    func foreignReasoning() {
        let text = GeminiRun.encode([
            .reasoning(choice: 0, Reasoning("hm", signature: "secret", origin: .anthropic)),
            .reasoning(choice: 0, Reasoning("", signature: "secret", origin: .anthropic)), .text(choice: 0, "Hi"),
        ])
        #expect(text.contains(#"{"text":"hm","thought":true,"thoughtSignature":"cGFybGV5L"#))
        #expect(!text.contains("secret"))
    }

    @Test("Made-up ids are stable within an answer, differ between its calls, and are not sent back")
    func ids() throws {
        let call = #"{"functionCall":{"name":"f","args":{}}}"#
        let body =
            #"{"candidates":[{"content":{"parts":[\#(call),\#(call)]},"finishReason":"STOP"}],"responseId":"r"}"#
        let first = try GeminiRun.dialect.decodeWhole(ByteBuffer(string: body)).choices[0].message.toolCalls.map(\.id)
        let again = try GeminiRun.dialect.decodeWhole(ByteBuffer(string: body)).choices[0].message.toolCalls.map(\.id)
        #expect(first == again && Set(first).count == 2)
        #expect(first.allSatisfy { $0.hasPrefix("call_") && $0.utf8.count <= 40 })
        let response = try GeminiRun.dialect.decodeWhole(ByteBuffer(string: body))
        #expect(!String(buffer: GeminiRun.dialect.encodeWhole(response, context)).contains(#""id""#))
    }

    @Test("Images go to OpenAI's clients and come back as inline data; audio likewise")
    func media() throws {
        let body =
            #"{"candidates":[{"content":{"parts":[{"inlineData":{"mimeType":"image/png","data":"AAAA"}},"#
            + #"{"inlineData":{"mimeType":"audio/L16","data":"BBBB"}}]},"finishReason":"STOP"}]}"#
        let response = try GeminiRun.dialect.decodeWhole(ByteBuffer(string: body))
        let openAI = try JSON.parse(OpenAIChat().encodeWhole(response, context))
        let image = openAI["choices"]?.array?.first?["message"]?["images"]?.array?.first
        #expect(image?["image_url"]?["url"] == "data:image/png;base64,AAAA")
        let parts = try JSON.parse(GeminiRun.dialect.encodeWhole(response, context))["candidates"]?.array?.first
        let data = (parts?["content"]?["parts"]?.array ?? []).compactMap { $0["inlineData"]?["data"] }
        #expect(Set(data) == ["AAAA", "BBBB"])
    }

    @Test("A signature of a text stays apart from the thoughts before it")
    func textSignature() {
        let events: [Event] = [
            .reasoning(choice: 0, Reasoning("hm", origin: .gemini)), .text(choice: 0, "Hi"),
            .reasoning(choice: 0, Reasoning("", signature: "s", origin: .gemini)), .finish(choice: 0, .stop),
        ]
        var collector = ChatCollector()
        for event in events { collector.add(event) }
        let reasoning = collector.response().choices[0].message.reasoning
        #expect(reasoning == [Reasoning("hm", origin: .gemini), Reasoning("", signature: "s", origin: .gemini)])
    }
}
