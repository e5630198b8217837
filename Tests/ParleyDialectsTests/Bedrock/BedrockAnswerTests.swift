// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyTestKit
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Reading Bedrock's answers")
struct BedrockAnswerTests {
    private func transcript(_ name: String) throws -> [UInt8] {
        try #require(BedrockReplayTests.written.first { $0.name == name }).response.body
    }

    @Test("A stream's events: start first, calls counted from zero, an empty call is an empty object, usage last")
    func events() throws {
        let decoded = BedrockRun.decode([try transcript("stream-tool-calls-parallel")])
        #expect(decoded.failure == nil)
        #expect(decoded.events.first == .start(AnswerIdentity()))
        #expect(decoded.events[1] == .text(choice: 0, "I look."))
        let calls = decoded.events.compactMap { event -> String? in
            guard case .toolCall(_, let index, let call) = event else { return nil }
            return "\(index) \(call.id) \(call.name)\(call.arguments)"
        }
        #expect(calls == ["0 tooluse_w1 weather", "1 tooluse_w2 weather", "2 tooluse_w3 clock"])
        #expect(decoded.response.choices[0].message.toolCalls[2].arguments == "{}")
        #expect(decoded.events.suffix(2) == [.finish(choice: 0, .toolCalls), .usage(Usage(input: 90, output: 41))])
    }

    @Test("Reasoning keeps its signature and its ciphertext, with Claude as their origin")
    func reasoning() throws {
        let expected = [
            Reasoning("Short, they said.", signature: "c2lnbmF0dXJl", origin: .anthropic),
            Reasoning(
                "", signature: "cmVkYWN0ZWQ=", opaque: ["type": "redacted_thinking", "data": "cmVkYWN0ZWQ="],
                origin: .anthropic),
        ]
        let streamed = BedrockRun.decode([try transcript("stream-reasoning")])
        #expect(streamed.response.choices.first?.message.reasoning == expected)
        #expect(BedrockRun.whole(try transcript("reasoning")).response?.choices.first?.message.reasoning == expected)
    }

    @Test("Input counts what came from the cache and what went there")
    func usage() throws {
        var expected = Usage(input: 1210, output: 3)
        expected.cacheRead = 1000
        expected.cacheWrite = 200
        #expect(BedrockRun.decode([try transcript("stream-usage-cache")]).response.usage == expected)
        expected.cacheWriteHour = 150
        #expect(BedrockRun.whole(try transcript("usage-cache")).response?.usage == expected)
        #expect(ConverseWords.usage(nil).isEmpty)
        let hostile = try JSON.parse(
            #"{"inputTokens":9223372036854775807,"outputTokens":-5,"cacheReadInputTokens":9223372036854775807}"#)
        #expect(ConverseWords.usage(hostile).input == .max)
        #expect(ConverseWords.usage(hostile).output == nil)
    }

    @Test(
        "Reasons are OpenAI's",
        arguments: [
            ("end_turn", FinishReason.stop), ("stop_sequence", .stop), ("tool_use", .stop), ("max_tokens", .length),
            ("model_context_window_exceeded", .length), ("guardrail_intervened", .contentFilter),
            ("content_filtered", .contentFilter), ("something_new", .stop),
        ])
    func reasons(word: String, reason: FinishReason) throws {
        #expect(try ConverseWords.finish(word, hasCalls: false) == reason)
        #expect(try ConverseWords.finish(word, hasCalls: true) == (reason == .stop ? .toolCalls : reason))
    }

    @Test("An exception inside a stream has its class, whatever came before")
    func exceptions() {
        let cases: [(String, ParleyError.Kind, Int)] = [
            ("internalServerException", .upstreamUnavailable, 502),
            ("modelStreamErrorException", .upstreamUnavailable, 502), ("throttlingException", .rateLimited, 429),
            ("serviceUnavailableException", .upstreamUnavailable, 503), ("validationException", .upstreamRejected, 400),
            ("somethingNewException", .upstreamUnavailable, 502),
        ]
        for (name, kind, status) in cases {
            let bytes =
                BedrockRun.event("messageStart", #"{"role":"assistant"}"#)
                + EventStreamWriter.exception(name, #"{"message":"for a reason"}"#)
            let failure = BedrockRun.decode([bytes]).failure
            #expect(failure?.kind == kind, "\(name)")
            #expect(failure?.httpStatus == status, "\(name)")
            #expect(failure?.message == "for a reason")
        }
        let long = EventStreamWriter.exception("validationException", #"{"message":"Input is too long."}"#)
        #expect(BedrockRun.decode([long]).failure?.kind == .contextExceeded)
    }

    @Test("Unknown events, headers and blocks are passed over")
    func unknown() {
        let bytes =
            BedrockRun.event("brandNew", #"{"x":1}"#) + BedrockRun.event("messageStart", #"{"role":"assistant"}"#)
            + EventStreamWriter.message([.init(":message-type", "ping")], Array("noise".utf8))
            + BedrockRun.event("contentBlockStart", #"{"contentBlockIndex":0,"start":{"image":{"format":"png"}}}"#)
            + BedrockRun.event("contentBlockDelta", #"{"contentBlockIndex":0,"delta":{"image":{}}}"#)
            + BedrockRun.event("contentBlockStop", #"{"contentBlockIndex":0}"#)
            + BedrockRun.event("contentBlockDelta", #"{"contentBlockIndex":1,"delta":{"citation":{"title":"x"}}}"#)
            + BedrockRun.event("contentBlockDelta", #"{"contentBlockIndex":1,"delta":{"text":"Hi"}}"#)
            + BedrockRun.event("contentBlockDelta", #"{"contentBlockIndex":9,"delta":{"toolUse":{"input":"{"}}}"#)
            + BedrockRun.event("messageStop", #"{"stopReason":"end_turn"}"#) + BedrockRun.event("metadata", "{}")
        let decoded = BedrockRun.decode([bytes])
        #expect(decoded.failure == nil && decoded.isComplete)
        #expect(decoded.response.choices.first?.message.text == "Hi")
        #expect(decoded.response.choices.first?.finish == .stop)
    }

    @Test("A call without an id gets one, and a block that is never closed is closed by the end")
    func repairs() {
        let bytes =
            BedrockRun.event("contentBlockStart", #"{"contentBlockIndex":0,"start":{"toolUse":{"name":"a"}}}"#)
            + BedrockRun.event("messageStop", #"{"stopReason":"end_turn"}"#)
        let decoded = BedrockRun.decode([bytes])
        #expect(
            decoded.response.choices.first?.message.toolCalls == [ToolCall(id: "call_0", name: "a", arguments: "{}")])
        #expect(decoded.response.choices.first?.finish == .toolCalls)
    }

    @Test("Payloads that are no JSON end the stream without being quoted")
    func garbage() {
        let failure = BedrockRun.decode([BedrockRun.event("contentBlockDelta", "secret words")]).failure
        #expect(failure?.kind == .upstreamUnavailable)
        #expect(failure?.message.contains("secret") == false)
        #expect(BedrockRun.whole(Array("not json".utf8)).failure?.kind == .upstreamUnavailable)
        #expect(BedrockRun.whole(Array("{}".utf8)).failure?.kind == .upstreamUnavailable)
        #expect(
            BedrockRun.whole(Array(#"{"message":"Too many requests","__type":"ThrottlingException"}"#.utf8)).failure?
                .kind == .rateLimited)
    }

    @Test("The error's class comes from the header, the body or the status, in this order")
    func failures() {
        func failure(_ status: Int, _ body: String, _ headers: String = "") -> ParleyError {
            Bedrock().decodeFailure(
                status: status, headers: HeaderBlock(ByteBuffer(string: headers)), body: ByteBuffer(string: body))
        }
        let type = "x-amzn-ErrorType: ThrottlingException:http://x/\r\nretry-after: 4\r\n"
        #expect(failure(400, #"{"__type":"ValidationException","message":"m"}"#, type).kind == .rateLimited)
        #expect(failure(429, "{}", type).retryAfter == 4)
        #expect(failure(400, #"{"__type":"a.b#AccessDeniedException","Message":"m"}"#).kind == .forbidden)
        #expect(failure(500, "<html>x</html>").message == "The upstream answered with status 500.")
        #expect(failure(413, "").kind == .tooLarge)
        #expect(failure(504, "").kind == .timeout)
        #expect(failure(401, "").kind == .unauthenticated)
        #expect(failure(418, #"{"message":"teapot"}"#).httpStatus == 418)
        let masked = failure(403, #"{"message":"no AKIAIOSFODNN7EXAMPLE here"}"#)
        #expect(!masked.message.contains("IOSFODNN7"))
    }

    @Test("No client speaks it")
    func outbound() {
        #expect(throws: ParleyError.self) { try Bedrock().intake(ByteBuffer(string: "{}")) }
        let body = Bedrock().encodeFailure(ParleyError(.invalid, "no"))
        #expect(String(buffer: body) == #"{"message":"no"}"#)
    }
}
