// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Writing chat streams")
struct StreamEncoderTests {
    private static let quiet = AnswerContext(id: "own", model: "asked", created: 99, includeUsage: false)

    @Test("The bytes are OpenAI's")
    func exact() {
        var identity = AnswerIdentity(id: "c1", model: "m", created: 7)
        identity.extras = Extras(.openAIChat, ["service_tier": "default", "system_fingerprint": nil])
        let text = encode(
            [.start(identity), .text(choice: 0, "Hi\n"), .finish(choice: 0, .stop), .usage(Usage(input: 1, output: 2))])
        let head =
            #"data: {"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","service_tier":"default","#
            + #""system_fingerprint":null,"choices":["#
        #expect(
            text == head
                + #"{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"#
                + #""finish_reason":null}],"usage":null}"#
                + "\n\n" + head
                + #"{"index":0,"delta":{"content":"Hi\n"},"logprobs":null,"finish_reason":null}],"usage":null}"#
                + "\n\n"
                + head + #"{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null}"# + "\n\n"
                + head
                + #"],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"# + "\n\ndata: [DONE]\n\n")
    }

    @Test("Usage is written only where it was asked for and known")
    func usage() {
        let events: [Event] = [.text(choice: 0, "a"), .finish(choice: 0, .stop), .usage(Usage(input: 1, output: 2))]
        #expect(!encode(events, Self.quiet).contains("usage"))
        #expect(!encode(Array(events.prefix(2))).contains("prompt_tokens"))
    }

    @Test("Tool calls follow the grammar: the head once with empty arguments, then arguments only")
    func tools() {
        var call = ToolCall(id: "t", name: "f", arguments: "")
        call.extras = Extras(.openAIChat, ["extra_content": 1])
        let list = frames(
            encode([
                .toolCall(choice: 0, index: 0, call), .arguments(choice: 0, index: 0, "{}"),
                .arguments(choice: 0, index: 0, ""),
                .toolCall(choice: 0, index: 1, ToolCall(id: "u", name: "g", arguments: "x")),
                .finish(choice: 0, .toolCalls),
            ]))
        let deltas = list.compactMap { $0["choices"]?.array?.first?["delta"] }
        #expect(
            deltas == [
                ["role": "assistant", "content": "", "refusal": nil],
                [
                    "tool_calls": [
                        [
                            "index": 0, "id": "t", "type": "function", "function": ["name": "f", "arguments": ""],
                            "extra_content": 1,
                        ]
                    ]
                ],
                ["tool_calls": [["index": 0, "function": ["arguments": "{}"]]]],
                [
                    "tool_calls": [
                        ["index": 1, "id": "u", "type": "function", "function": ["name": "g", "arguments": ""]]
                    ]
                ],
                ["tool_calls": [["index": 1, "function": ["arguments": "x"]]]],
                [:],
            ])
    }

    @Test("Each choice begins with a role and ends once; an unfinished one is finished")
    func choices() {
        let list = frames(
            encode([
                .text(choice: 1, "b"), .text(choice: 0, "a"), .finish(choice: 1, .length), .finish(choice: 1, .stop),
            ]))
        let seen = list.compactMap { frame -> String? in
            guard let choice = frame["choices"]?.array?.first else { return nil }
            return "\(choice["index"]?.int ?? -1) \(choice["delta"]?.object?.members.first?.key ?? "") "
                + (choice["finish_reason"]?.string ?? "-")
        }
        #expect(seen == ["1 role -", "1 content -", "0 role -", "0 content -", "1  length", "0  stop"])
        #expect(Set(list.map { $0["id"]?.string }) == ["chatcmpl-own"] && Set(list.map { $0["created"]?.int }) == [99])
    }

    @Test("Reasoning, audio, log probabilities and extras are written and read back")
    func others() {
        let events: [Event] = [
            .start(AnswerIdentity(id: "c", model: "m", created: 1)), .reasoning(choice: 0, Reasoning("hm")),
            .reasoning(choice: 0, Reasoning("", signature: "x", opaque: ["type": "reasoning.encrypted", "data": "x"])),
            .reasoning(choice: 0, Reasoning("sure", signature: "s")), .text(choice: 0, "a"),
            .logprobs(choice: 0, ["content": [["token": "a", "logprob": .number("-0.10")]]]),
            .audio(choice: 0, ["id": "au", "data": "AAAA"]),
            .extra(choice: 0, Extras(.openAIChat, ["annotations": [["type": "url_citation"]]])),
            .refusal(choice: 0, "no"), .finish(choice: 0, .stop), .usage(Usage(input: 3, output: 4)),
        ]
        #expect(decode(encode(events)).events == events)
        #expect(!encode([.extra(choice: 0, Extras(DialectID("other"), ["x": 1]))]).contains("\"x\""))
    }
}

@Suite("Transcoding")
struct TranscoderTests {
    private func make(_ quirks: Quirks = Quirks()) -> Transcoder {
        Transcoder(
            decoder: OpenAIChat(quirks: quirks).makeStreamDecoder(), encoder: OpenAIChat().makeStreamEncoder(context))
    }

    @Test("The end is written once, as soon as it is seen, and usage and finish are observed")
    func ends() throws {
        let transcoder = make()
        var out = ByteBuffer()
        let text = stream(
            chunk(#"{"content":"a"}"#),
            chunk("{}", finish: #""length""#, more: #","usage":{"prompt_tokens":1,"completion_tokens":2}"#))
        try transcoder.push(ByteBuffer(string: text), into: &out)
        #expect(String(buffer: out).hasSuffix("data: [DONE]\n\n"))
        let size = out.readableBytes
        try transcoder.finish(into: &out)
        try transcoder.push(ByteBuffer(string: text), into: &out)
        #expect(out.readableBytes == size)
        #expect(transcoder.observed.isComplete && transcoder.observed.isMeaningful)
        #expect(transcoder.observed.finish == "length" && transcoder.observed.usage == Usage(input: 1, output: 2))
    }

    @Test("What came before a failure is written, and no terminator")
    func fails() {
        let transcoder = make()
        var out = ByteBuffer()
        let text = stream(chunk(#"{"content":"half"}"#), #"{"error":{"message":"m"}}"#, done: false)
        #expect(throws: ParleyError.self) { try transcoder.push(ByteBuffer(string: text), into: &out) }
        let written = String(buffer: out)
        #expect(written.contains("half") && written.hasSuffix("\n\n") && !written.contains("[DONE]"))
        let cut = make()
        #expect(throws: ParleyError.self) {
            try cut.push(ByteBuffer(string: stream(chunk(#"{"content":"half"}"#), done: false)), into: &out)
            try cut.finish(into: &out)
        }
        #expect(!cut.observed.isComplete && !String(buffer: out).contains("[DONE]"))
    }
}
