// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire
import Testing

@Suite("What a relay notes")
struct ChatObservationTests {
    private func observe(_ payloads: String...) throws -> Observation {
        let relay = ChatStreamRelay(stripUsage: false) { ParleyError(.upstreamRejected, String(buffer: $0)) }
        var out = ByteBuffer()
        for payload in payloads { try relay.push(ByteBuffer(string: "data: \(payload)\n\n"), into: &out) }
        return relay.observed
    }

    @Test(
        "A delta with any part of an answer is meaningful",
        arguments: [
            #""content":"x""#, #""content":" ""#, #""content":[{"type":"text","text":"x"}]"#,
            #""reasoning_content":"x""#, #""reasoning":"x""#, #""reasoning_details":[{"text":"x"}]"#,
            #""thinking":"x""#, #""refusal":"no""#,
            #""role":"assistant","tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":""}}]"#,
            #""function_call":{"name":"f"}"#, #""audio":{"id":"a"}"#, #""images":[{"type":"image_url"}]"#,
            #""content":null,"c\u006fntent":"x""#,
        ])
    func meaningful(delta: String) throws {
        #expect(try observe(#"{"choices":[{"index":0,"delta":{\#(delta)}}]}"#).isMeaningful)
        let second = #"{"choices":[{"index":0,"delta":{}},{"index":1,"delta":{\#(delta)}}]}"#
        #expect(try observe(second).isMeaningful)
    }

    @Test(
        "A role, empty fields, usage and null are not",
        arguments: [
            #"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#, #"{"choices":[{"delta":{"content":null}}]}"#,
            #"{"choices":[{"delta":null}]}"#, #"{"choices":[{}]}"#, #"{"choices":[]}"#, #"{"choices":null}"#, "{}",
            #"{"choices":[{"delta":{"tool_calls":[],"reasoning":"","refusal":null,"audio":{}}}]}"#,
            #"{"choices":[{"delta":{},"finish_reason":""}]}"#, #"{"choices":[{"delta":{},"finish_reason":"null"}]}"#,
            #"{"choices":[],"usage":{"prompt_tokens":5}}"#, #"{"choices":[null,1,"content"],"content":"x"}"#,
            #"{"choices":[{"delta":{"role":"assistant","name":"x"}}]}"#, #"{"choices":{"delta":{"content":"x"}}}"#,
        ])
    func notMeaningful(payload: String) throws {
        #expect(try !observe(payload).isMeaningful)
        #expect(try observe(payload, #"{"choices":[{"delta":{"content":"x"}}]}"#).isMeaningful)
    }

    @Test("The first finish reason counts, and it is meaningful")
    func finish() throws {
        let seen = try observe(
            #"{"choices":[{"delta":{},"finish_reason":""}]}"#,
            #"{"choices":[{"delta":{},"finish_reason" : "length"}]}"#,
            #"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#)
        #expect(seen.finish == "length")
        #expect(seen.isMeaningful)
        #expect(try observe(#"{"choices":[{"delta":{}},{"finish_reason":"tool_calls"}]}"#).finish == "tool_calls")
        #expect(try observe(#"{"choices":[{"delta":{"content":"finish_reason"}}],"finish_reason":"x"}"#).finish == nil)
    }

    @Test("Usage is found in its own chunk, in every chunk, in a choice and in x_groq")
    func usagePlaces() throws {
        let usage = Usage(input: 7, output: 3)
        let numbers = #""usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}"#
        let text = #"{"choices":[{"delta":{"content":"x"}}],"usage":null}"#
        #expect(try observe(text, #"{"choices":[],\#(numbers)}"#).usage == usage)
        #expect(try observe(text, #"{"choices":[{"delta":{},"finish_reason":"stop",\#(numbers)}]}"#).usage == usage)
        #expect(try observe(text, #"{"choices":[{"delta":{}}],"x_groq":{"id":"r",\#(numbers)}}"#).usage == usage)
        #expect(try observe(#"{"choices":[{"delta":{}}],"x_groq":{"id":"r"}}"#, text).usage.isEmpty)
        let growing = (1...3).map {
            #"{"choices":[{"delta":{"content":"x"}}],"usage":{"prompt_tokens":7,"completion_tokens":\#($0)}}"#
        }
        #expect(try observe(growing[0], growing[1], growing[2]).usage == usage)
    }

    @Test("Usage is read by class, whatever the vendor calls it")
    func usageClasses() throws {
        func read(_ usage: String) throws -> Usage { try observe(#"{"choices":[],"usage":{\#(usage)}}"#).usage }
        var all = Usage(input: 100, output: 50)
        all.cacheRead = 64
        all.inputAudio = 1
        all.reasoning = 20
        all.outputAudio = 2
        all.acceptedPrediction = 3
        all.rejectedPrediction = 4
        let openAI = #"""
            "prompt_tokens":100,"completion_tokens":50,"total_tokens":150,
            "prompt_tokens_details":{"cached_tokens":64,"audio_tokens":1},
            "completion_tokens_details":{"reasoning_tokens":20,"audio_tokens":2,"accepted_prediction_tokens":3,
            "rejected_prediction_tokens":4}
            """#.replacing("\n", with: "")
        #expect(try read(openAI) == all)
        #expect(try read(#""prompt_tokens":9,"prompt_cache_hit_tokens":8"#).cacheRead == 8)
        #expect(try read(#""prompt_tokens":9,"cached_tokens":7,"prompt_tokens_details":null"#).cacheRead == 7)
        #expect(try read(#""prompt_tokens":9,"prompt_tokens_details":{"cache_write_tokens":6}"#).cacheWrite == 6)
        // xAI counts reasoning beside the completion tokens, and the total says so.
        let outside =
            #""prompt_tokens":10,"completion_tokens":5,"total_tokens":35,"#
            + #""completion_tokens_details":{"reasoning_tokens":20}"#
        #expect(try read(outside).output == 25)
        #expect(try read(outside).statedTotal == nil)
        #expect(try read(#""prompt_tokens":10,"completion_tokens":5,"total_tokens":99"#).statedTotal == 99)
        let hostile = #""prompt_tokens":-5,"completion_tokens":1e400,"total_tokens":9223372036854775807"#
        #expect(try read(hostile).input == nil)
        #expect(try read(hostile).output == nil)
        let huge = #""prompt_tokens":9223372036854775807,"completion_tokens":9223372036854775807,"total_tokens":1"#
        #expect(try read(huge).total == .max)
    }
}

@Suite("A relayed whole answer is looked at")
struct ChatWholeRelayTests {
    @Test("Usage and finish reason are found")
    func answer() throws {
        let body = #"""
            {"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],
             "usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13},"error":null}
            """#
        let found = try ChatWholeRelay.inspect(ByteBuffer(string: body))
        #expect(found.hasChoices)
        #expect(!found.isError)
        #expect(found.observation.usage == Usage(input: 9, output: 4))
        #expect(found.observation.finish == "stop")
        #expect(found.observation.isMeaningful)
        #expect(found.observation.isComplete)
    }

    @Test(
        "An error with status 200 is one",
        arguments: [
            (#"{"error":{"message":"m"}}"#, true), (#"{"error":"m","choices":[]}"#, true), (#"{"error":null}"#, false),
            (#"{"base_resp":{"status_code":1004}}"#, true), (#"{"base_resp":{"status_code":0}}"#, false),
            (#"{"base_resp":{"status_code":2},"choices":[{"message":{}}]}"#, false), (#"{"object":"error"}"#, true),
            (#"{"error":{"code":1},"choices":[{"message":{"content":"x"}}]}"#, true), ("{}", false),
        ])
    func errors(body: String, isError: Bool) throws {
        let found = try ChatWholeRelay.inspect(ByteBuffer(string: body))
        #expect(found.isError == isError)
        #expect(found.observation.isComplete == found.hasChoices)
    }

    @Test("What is no object is refused", arguments: ["", "[]", "<html>", "{\"choices\":[", "{} x"])
    func garbage(body: String) {
        #expect(throws: JSONError.self) { try ChatWholeRelay.inspect(ByteBuffer(string: body)) }
    }
}
