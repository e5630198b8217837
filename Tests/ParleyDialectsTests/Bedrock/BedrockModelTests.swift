// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("What Bedrock's models take")
struct BedrockModelTests {
    @Test(
        "A model's family and Claude's version are read off its id",
        arguments: [
            ("anthropic.claude-3-haiku-20240307-v1:0", ModelFamily.Vendor.anthropic, 300),
            ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", .anthropic, 307),
            ("global.anthropic.claude-sonnet-4-20250514-v1:0", .anthropic, 400),
            ("anthropic.claude-haiku-4-5-20251001-v1:0", .anthropic, 405),
            ("anthropic.claude-opus-4-6-v1", .anthropic, 406),
            (
                "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-opus-4-1-20250805-v1:0", .anthropic,
                401
            ),
            ("arn:aws:bedrock:us-east-1:1:application-inference-profile/ab12", .unknown, 0),
            ("us.amazon.nova-2-lite-v1:0", .nova, 0), ("amazon.titan-text-express-v1", .other, 0),
            ("openai.gpt-oss-120b-1:0", .openAI, 0), ("", .unknown, 0), ("anthropic.claude-", .anthropic, 0),
        ])
    func families(id: String, vendor: ModelFamily.Vendor, version: Int) {
        #expect(ModelFamily(id).vendor == vendor)
        #expect(ModelFamily(id).version == version)
    }

    private func additional(_ more: String, _ model: String) throws -> (JSONValue?, [String]) {
        let (body, dropped) = try BedrockRun.encode(BedrockRun.ask(more), model: model)
        return (body["additionalModelRequestFields"], dropped)
    }

    @Test("How hard to think is said as each family wants it")
    func reasoning() throws {
        let high = #","reasoning_effort":"high""#
        let claude = try additional(high, BedrockRun.claude).0
        #expect(claude == ["thinking": ["type": "enabled", "budget_tokens": 24576]])
        let short = try additional(high + #","max_tokens":4000"#, BedrockRun.claude).0
        #expect(short?["thinking"]?["budget_tokens"] == 3999)
        let tiny = try additional(high + #","max_tokens":500"#, BedrockRun.claude)
        #expect(tiny.0 == nil && tiny.1 == ["reasoning_effort"])
        let newest = try additional(high, "us.anthropic.claude-opus-4-6-v1").0
        #expect(newest == ["thinking": ["type": "adaptive"], "output_config": ["effort": "high"]])
        let nova = try additional(#","reasoning_effort":"minimal""#, "us.amazon.nova-2-lite-v1:0").0
        #expect(nova == ["reasoningConfig": ["type": "enabled", "maxReasoningEffort": "low"]])
        #expect(try additional(high, "openai.gpt-oss-20b-1:0").0 == ["reasoning_effort": "high"])
        #expect(try additional(high, "anthropic.claude-3-haiku-20240307-v1:0").1 == ["reasoning_effort"])
        #expect(try additional(high, "us.meta.llama3-3-70b-instruct-v1:0").1 == ["reasoning_effort"])
        let none = try additional(#","reasoning_effort":"none""#, BedrockRun.claude)
        #expect(none.0 == nil && none.1.isEmpty)
    }

    @Test("Claude thinks at its own temperature, and not where a tool is demanded")
    func thinkingLimits() throws {
        let tools = #","tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"required""#
        let (body, dropped) = try BedrockRun.encode(BedrockRun.ask(#","reasoning_effort":"low","temperature":0.2"#))
        #expect(body["inferenceConfig"] == nil)
        #expect(dropped == ["temperature"])
        #expect(try additional(tools + #","reasoning_effort":"low""#, BedrockRun.claude).1 == ["reasoning_effort"])
    }

    private func request(_ reasoning: [Reasoning], model: String) -> ChatRequest {
        var request = ChatRequest(model: model, messages: [Message(.user, text: "Go")])
        var call = Message(.assistant, [])
        call.reasoning = reasoning
        call.toolCalls = [ToolCall(id: "c1", name: "t", arguments: "{}")]
        var result = Message(.tool, [.text("done")])
        result.toolCallID = "c1"
        request.messages += [call, result]
        request.reasoningEffort = "low"
        return request
    }

    @Test("Reasoning that Claude signed goes back byte for byte; all other stays behind")
    func replayedReasoning() throws {
        let signed = Reasoning("Hm.", signature: "sig+/=", origin: .anthropic)
        let redacted = ConverseWords.redacted("Y2lwaGVy")
        let foreign = [
            Reasoning("plain"), Reasoning("gem", signature: "g", origin: .gemini), Reasoning("", opaque: [:]),
        ]
        let (body, dropped) = try BedrockRun.encode(request([signed, redacted] + foreign, model: BedrockRun.claude))
        let expected: JSONValue = [
            ["reasoningContent": ["reasoningText": ["text": "Hm.", "signature": "sig+/="]]],
            ["reasoningContent": ["redactedContent": "Y2lwaGVy"]],
            ["toolUse": ["toolUseId": "c1", "name": "t", "input": [:]]],
        ]
        #expect(body["messages"]?.array?[1]["content"] == expected)
        #expect(body["additionalModelRequestFields"]?["thinking"] != nil)
        #expect(dropped == ["messages[].reasoning_content"])
        let nova = try BedrockRun.encode(request([signed], model: "us.amazon.nova-2-lite-v1:0"))
        #expect(nova.body["messages"]?.array?[1]["content"]?.array?.count == 1)
        #expect(nova.dropped == ["messages[].reasoning_content"])
        // A tool loop that began without thinking goes on without.
        let silent = try BedrockRun.encode(request([], model: BedrockRun.claude))
        #expect(silent.dropped == ["reasoning_effort"])
    }

    @Test("Cache marks become cache points where the model has a cache")
    func cache() throws {
        var request = ChatRequest(model: BedrockRun.claude, messages: [])
        var system = Message(.system, [.text("a"), .text("b")])
        system.cacheMarks = [0: CacheMark(ttl: "1h")]
        var user = Message(.user, [.text("c")])
        user.cacheMarks = [0: CacheMark()]
        request.messages = [system, user]
        var tool = Tool(name: "t")
        tool.cacheMark = CacheMark()
        request.tools = [tool]
        let point: JSONValue = ["cachePoint": ["type": "default"]]
        let claude = try BedrockRun.encode(request)
        #expect(claude.dropped.isEmpty)
        #expect(
            claude.body["system"] == [["text": "a"], ["cachePoint": ["type": "default", "ttl": "1h"]], ["text": "b"]])
        #expect(claude.body["messages"]?.array?.first?["content"] == [["text": "c"], point])
        #expect(claude.body["toolConfig"]?["tools"]?.array?.last == point)
        request.model = "us.amazon.nova-pro-v1:0"
        let nova = try BedrockRun.encode(request)
        #expect(nova.dropped == ["cache_control"])
        #expect(nova.body["system"] == [["text": "a"], point, ["text": "b"]])
        #expect(nova.body["toolConfig"]?["tools"]?.array?.count == 1)
        request.model = "us.meta.llama3-3-70b-instruct-v1:0"
        let llama = try BedrockRun.encode(request)
        #expect(llama.dropped == ["cache_control"])
        #expect(llama.body["system"] == [["text": "a"], ["text": "b"]])
    }

    @Test("Files become documents with names that Bedrock takes, none twice, and never without a word")
    func documents() throws {
        var first = FilePart(data: "data:application/pdf;base64,JVBE", name: "Größe_v2 (final).pdf")
        first.mediaType = nil
        var second = FilePart(data: "JVBE", name: "Größe_v2 (final).pdf")
        second.mediaType = "application/octet-stream"
        var third = FilePart(name: "....")
        third.text = "plain"
        let video = FilePart(data: "data:video/mp4;base64,AAAA")
        let stored = {
            var part = FilePart(); part.url = "s3://bucket/a.docx"; return part
        }()
        let parts = [first, second, third, video, stored].map { Part.file($0) }
        let body = try BedrockRun.encode(ChatRequest(model: BedrockRun.claude, messages: [Message(.user, parts)])).body
        let blocks = try #require(body["messages"]?.array?.first?["content"]?.array)
        #expect(
            blocks.compactMap { $0["document"]?["name"]?.string } == [
                "Gr e v2 (final)", "Gr e v2 (final) 2", "document", "document 2",
            ])
        #expect(blocks.compactMap { $0["document"]?["format"]?.string } == ["pdf", "pdf", "txt", "docx"])
        #expect(blocks[2]["document"]?["source"] == ["text": "plain"])
        #expect(blocks[3]["video"] == ["format": "mp4", "source": ["bytes": "AAAA"]])
        #expect(blocks[4]["document"]?["source"] == ["s3Location": ["uri": "s3://bucket/a.docx"]])
        #expect(blocks.last == ["text": "See the document."])
    }

    @Test("Images by data URL and from S3, and sound")
    func media() throws {
        let parts: [Part] = [
            .image(url: "data:image/webp;base64,AAAA", detail: nil), .image(url: "s3://b/x.jpg", detail: nil),
            .audio(data: "UklG", format: "WAV"), .opaque(.bedrock, ["guardContent": ["text": ["text": "x"]]]),
        ]
        let body = try BedrockRun.encode(ChatRequest(model: "", messages: [Message(.user, parts)])).body
        let expected: JSONValue = [
            ["image": ["format": "webp", "source": ["bytes": "AAAA"]]],
            ["image": ["format": "jpeg", "source": ["s3Location": ["uri": "s3://b/x.jpg"]]]],
            ["audio": ["format": "wav", "source": ["bytes": "UklG"]]], ["guardContent": ["text": ["text": "x"]]],
        ]
        #expect(body["messages"]?.array?.first?["content"] == expected)
    }
}
