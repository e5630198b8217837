// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Whole chat answers")
struct WholeTests {
    private func whole(_ body: String, _ quirks: Quirks = Quirks()) throws -> ChatResponse {
        try OpenAIChat(quirks: quirks).decodeWhole(ByteBuffer(string: body))
    }

    private func message(_ message: String, _ more: String = "", _ quirks: Quirks = Quirks()) throws -> ChatResponse {
        try whole(#"{"choices":[{"message":\#(message),"finish_reason":"stop"}]\#(more)}"#, quirks)
    }

    @Test("Everything in an answer survives reading and writing")
    func roundTrip() throws {
        let body = #"""
            {"id":"c","object":"chat.completion","created":5,"model":"m","choices":[{"index":0,"message":
            {"role":"assistant","content":"a","refusal":null,"reasoning_content":"hm","tool_calls":[{"id":"t",
            "type":"function","function":{"name":"f","arguments":"{}"}}],"audio":{"id":"x"},"annotations":[{"a":1}]},
            "logprobs":{"content":[]},"finish_reason":"tool_calls"},{"index":1,"message":{"role":"assistant",
            "content":null,"refusal":"no"},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":3,
            "completion_tokens":4,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":1},
            "completion_tokens_details":{"reasoning_tokens":2}},"system_fingerprint":"fp"}
            """#
        let response = try whole(body)
        let written = OpenAIChat().encodeWhole(response, context)
        #expect(same(try JSON.parse(written), try JSON.parse(body)))
        #expect(try OpenAIChat().decodeWhole(written) == response)
        var collector = ChatCollector()
        for event in EventReplay.events(of: response) { collector.add(event) }
        #expect(collector.response() == response)
        #expect(decode(encode(EventReplay.events(of: response))).response == response)
    }

    @Test("What the upstream left out is filled in")
    func filledIn() throws {
        let value = try JSON.parse(OpenAIChat().encodeWhole(message(#"{"content":"a"}"#), context))
        #expect(value["id"] == "chatcmpl-own" && value["created"] == 99 && value["model"] == "asked")
        #expect(value["object"] == "chat.completion" && value["usage"] == nil)
        #expect(value["choices"]?.array?.first?["message"] == ["role": "assistant", "content": "a", "refusal": nil])
    }

    @Test("Content in parts, inline thinking and object arguments are understood")
    func tolerances() throws {
        let parts = try message(
            #"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"a"}]}"#)
        #expect(parts.choices[0].message.text == "a" && parts.choices[0].message.reasoning == [Reasoning("hm")])
        var quirks = Quirks()
        quirks.inlineThinking = true
        let inline = try message(#"{"content":"<think>hm</think>\n\na"}"#, "", quirks)
        #expect(inline.choices[0].message.text == "a" && inline.choices[0].message.reasoning == [Reasoning("hm")])
        let call = try message(
            #"{"content":null,"tool_calls":[{"id":"","function":{"name":"f","arguments":{"x":1}}}]}"#)
        #expect(call.choices[0].message.toolCalls.first?.arguments == #"{"x":1}"#)
        #expect(call.choices[0].message.toolCalls.first?.id.isEmpty == false && call.choices[0].finish == .toolCalls)
        #expect(try whole("\n   \n{\"choices\":[{\"message\":{\"content\":\"a\"}}]}").choices[0].message.text == "a")
        let streamed = try whole(stream(chunk(#"{"content":"a"}"#), chunk(#"{"content":"b"}"#, finish: #""stop""#)))
        #expect(streamed.choices[0].message.text == "ab")
    }

    @Test("Usage is read in every spelling")
    func usage() throws {
        func usage(_ usage: String, _ quirks: Quirks = Quirks()) throws -> Usage {
            try message(#"{"content":"a"}"#, #","usage":\#(usage)"#, quirks).usage
        }
        #expect(try usage(#"{"prompt_tokens":9,"completion_tokens":1,"prompt_cache_hit_tokens":4}"#).cacheRead == 4)
        #expect(try usage(#"{"prompt_tokens":9,"completion_tokens":1,"cached_tokens":5}"#).cacheRead == 5)
        #expect(try usage(#"{"prompt_tokens":-9,"completion_tokens":"x"}"#).isEmpty)
        #expect(try usage("null").isEmpty)
        #expect(try message(#"{"content":"a"}"#, #","x_groq":{"usage":{"prompt_tokens":2}}"#).usage.input == 2)
        var quirks = Quirks()
        quirks.reasoningOutsideOutput = true
        let xai = try usage(
            #"{"prompt_tokens":12,"completion_tokens":1,"total_tokens":303,"#
                + #""completion_tokens_details":{"reasoning_tokens":290}}"#,
            quirks)
        #expect(xai.output == 291 && xai.statedTotal == nil && xai.total == 303)
        let inside = try usage(
            #"{"prompt_tokens":12,"completion_tokens":291,"total_tokens":303,"#
                + #""completion_tokens_details":{"reasoning_tokens":290}}"#,
            quirks)
        #expect(inside.output == 291)
        let hidden = try usage(#"{"prompt_tokens":35,"completion_tokens":12,"total_tokens":109}"#, quirks)
        #expect(hidden.output == 74 && hidden.reasoning == 62)
        #expect(try usage(#"{"prompt_tokens":1,"completion_tokens":2,"total_tokens":9}"#).statedTotal == 9)
    }

    @Test(
        "A failure with status 200 is a failure",
        arguments: [
            (#"{"error":{"code":429,"message":"x"}}"#, ParleyError.Kind.rateLimited),
            (#"{"error":"x"}"#, .upstreamUnavailable),
            (#"{"choices":null,"base_resp":{"status_code":1004,"status_msg":"x"}}"#, .unauthenticated),
            (#"{"choices":[{"error":{"code":502,"message":"x"}}]}"#, .upstreamUnavailable),
            (#"{"choices":[{"message":{},"finish_reason":"error"}]}"#, .upstreamUnavailable),
            (#"{"choices":[]}"#, .upstreamUnavailable), ("{}", .upstreamUnavailable), ("", .upstreamUnavailable),
            ("<html>", .upstreamUnavailable), (#"{"choices":[{"mess"#, .upstreamUnavailable),
            (#"{"detail":"x"}"#, .upstreamUnavailable), ("[]", .upstreamUnavailable),
        ])
    func failures(_ body: String, _ kind: ParleyError.Kind) {
        do throws(ParleyError) {
            _ = try OpenAIChat().decodeWhole(ByteBuffer(string: body))
            Issue.record("no failure")
        } catch {
            #expect(error.kind == kind)
        }
    }
}
