// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Cohere's chat")
struct CohereTests {
    @Test("A whole conversation is written in Cohere's words")
    func conversation() throws {
        var dropped: [String] = []
        let body = #"""
            {"model":"c","messages":[
            {"role":"developer","content":"Be brief."},
            {"role":"user","content":[{"type":"text","text":"Look"},
            {"type":"image_url","image_url":{"url":"https://e.x/a.png","detail":"low"}}]},
            {"role":"assistant","content":"","reasoning_content":"I will look.","tool_calls":[
            {"id":"c1","type":"function","function":{"name":"f","arguments":""}}]},
            {"role":"tool","tool_call_id":"c1","content":[{"type":"text","text":"F"},
            {"type":"file","file":{"file_data":"data:text/plain;base64,YWI=","filename":"n.txt"}}]}],
            "tools":[{"type":"function","function":{"name":"f","strict":true,
            "parameters":{"type":"object","required":["a"]}}}],
            "tool_choice":"required","max_completion_tokens":5,"temperature":0.5,"top_p":0.9,"seed":7,"stop":"x",
            "frequency_penalty":0.5,"presence_penalty":0.25,"stream":true,"reasoning_effort":"low",
            "response_format":{"type":"json_object"},"documents":["d"],"safety_mode":"STRICT"}
            """#
        let written = try Native.encoded(body, Cohere(), dropped: &dropped)
        let expected = #"""
            {"model":"c","messages":[{"role":"system","content":"Be brief."},
            {"role":"user","content":[{"type":"text","text":"Look"},
            {"type":"image_url","image_url":{"url":"https://e.x/a.png","detail":"low"}}]},
            {"role":"assistant","tool_plan":"I will look.","tool_calls":[
            {"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]},
            {"role":"tool","tool_call_id":"c1","content":[{"type":"text","text":"F"},
            {"type":"document","document":{"data":{"text":"ab","title":"n.txt"}}}]}],
            "tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","required":["a"]}}}],
            "strict_tools":true,"tool_choice":"REQUIRED","max_tokens":5,"temperature":0.5,"p":0.9,"seed":7,
            "stop_sequences":["x"],"frequency_penalty":0.5,"presence_penalty":0.25,"stream":true,
            "thinking":{"type":"enabled","token_budget":1024},"response_format":{"type":"json_object"},
            "documents":["d"],"safety_mode":"STRICT"}
            """#
        #expect(same(written, try JSON.parse(expected)))
        #expect(dropped.isEmpty)
    }

    @Test("A named tool is the only one on offer")
    func named() throws {
        let body = #"""
            {"model":"c","messages":[{"role":"user","content":"a"}],
            "tool_choice":{"type":"function","function":{"name":"NAME"}},
            "tools":[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"g"}}]}
            """#
        let written = try Native.encoded(body.replacing("NAME", with: "g"), Cohere())
        #expect(written["tools"]?.array?.map { $0["function"]?["name"]?.string } == ["g"])
        #expect(written["tool_choice"] == "REQUIRED")
        #expect(Native.fault(body.replacing("NAME", with: "h"), Cohere())?.parameter == "tool_choice")
    }

    @Test(
        "How hard to think is a budget, no bound, or nothing",
        arguments: [
            ("none", nil, #"{"type":"disabled"}"#), ("medium", nil, #"{"type":"enabled","token_budget":8192}"#),
            ("high", nil, #"{"type":"enabled"}"#), (nil, -1, #"{"type":"enabled"}"#),
            (nil, 30000, #"{"type":"enabled","token_budget":30000}"#), ("odd", nil, #"{"type":"enabled"}"#),
        ] as [(String?, Int?, String)])
    func thinking(effort: String?, budget: Int?, expected: String) throws {
        var request = ChatRequest(model: "c", messages: [Message(.user, text: "a")])
        request.reasoningEffort = effort
        request.reasoningBudget = budget
        request.topK = 40
        var dropped: [String] = []
        let written = try JSON.parse(Cohere().encodeRequest(request, dropped: &dropped))
        #expect(written["thinking"].map { JSON.text($0) } == expected && written["k"] == 40)
    }

    @Test("Citations reach a client of OpenAI's as Cohere wrote them")
    func citations() throws {
        let exchange = try #require(Native.transcripts.first { $0.testDescription == "cohere/stream-citations" })
        let response = Native.answer(exchange, Cohere()).response
        #expect(response.choices.first?.message.extras.of(.openAIChat)["citations"]?.array?.count == 1)
        #expect(encode(Native.answer(exchange, Cohere()).events).contains(#""citations":[{"start":0,"end":4"#))
    }

    @Test("What is no answer of a chat is an error that repeats nothing")
    func garbage() throws {
        for text in ["data: secret\n\n", "data: [1]\n\n", "data: [DONE]\n\n", "event: message-end\n\n", ""] {
            let failure = try #require(Native.decode([ArraySlice(text.utf8)], Cohere()).failure, "\(text)")
            #expect(failure.kind == .upstreamUnavailable && !failure.message.contains("secret"))
        }
        for text in ["secret", "[]", "{}", #"{"message":"no"}"#, #"{"message":{},"finish_reason":"TIMEOUT"}"#] {
            #expect(throws: ParleyError.self) { try Cohere().decodeWhole(ByteBuffer(string: text)) }
        }
    }
}
