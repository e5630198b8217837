// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Ollama's chat")
struct OllamaTests {
    @Test("A whole conversation is written in Ollama's words")
    func conversation() throws {
        var dropped: [String] = []
        let body = #"""
            {"model":"q","messages":[
            {"role":"developer","content":"Be brief."},
            {"role":"user","content":[{"type":"text","text":"Look"},
            {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}},{"type":"text","text":"here"},
            {"type":"file","file":{"file_data":"data:text/plain;base64,YWLDpA==","filename":"n.txt"}}]},
            {"role":"assistant","content":null,"reasoning_content":"hm","tool_calls":[
            {"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1.50}"}},
            {"id":"c2","type":"function","function":{"name":"g","arguments":""}}]},
            {"role":"tool","tool_call_id":"c2","content":"G"},{"role":"tool","tool_call_id":"c1","content":"F"}],
            "tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],
            "max_tokens":5,"temperature":0.5,"top_p":0.9,"seed":7,"stop":["x"],"frequency_penalty":1,
            "presence_penalty":-1,"stream":true,"reasoning_effort":"high","logprobs":true,"top_logprobs":2,
            "response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"}}},
            "keep_alive":"10m","options":{"num_ctx":8192},"min_p":0.1,"parallel_tool_calls":true}
            """#
        let written = try Native.encoded(body, Ollama(), dropped: &dropped)
        let expected = #"""
            {"model":"q","messages":[{"role":"system","content":"Be brief."},
            {"role":"user","content":"Look\nhere\nabä","images":["AAAA"]},
            {"role":"assistant","content":"","thinking":"hm","tool_calls":[
            {"id":"c1","function":{"name":"f","arguments":{"a":1.50}}},{"id":"c2","function":{"name":"g","arguments":{}}}]},
            {"role":"tool","content":"G","tool_name":"g","tool_call_id":"c2"},
            {"role":"tool","content":"F","tool_name":"f","tool_call_id":"c1"}],
            "tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],
            "format":{"type":"object"},"think":"high","logprobs":true,"top_logprobs":2,
            "keep_alive":"10m","options":{"num_predict":5,"temperature":0.5,"top_p":0.9,"seed":7,"frequency_penalty":1,
            "presence_penalty":-1,"stop":["x"],"num_ctx":8192,"min_p":0.1},"stream":true}
            """#
        #expect(same(written, try JSON.parse(expected)))
        #expect(dropped.isEmpty)
    }

    @Test("A stream is always asked for or not, since Ollama's default is one")
    func stream() throws {
        let written = try Native.encoded(#"{"model":"q","messages":[{"role":"user","content":"a"}]}"#, Ollama())
        #expect(written["stream"] == false)
    }

    @Test(
        "How hard to think is a level, or yes or no",
        arguments: [
            ("none", nil, "false"), ("minimal", nil, #""low""#), ("medium", nil, #""medium""#),
            ("xhigh", nil, #""high""#), (nil, 0, "false"), (nil, -1, "true"), (nil, 2000, #""low""#),
            (nil, 99999, #""high""#),
        ] as [(String?, Int?, String)])
    func think(effort: String?, budget: Int?, expected: String) throws {
        var request = ChatRequest(model: "q", messages: [Message(.user, text: "a")])
        request.reasoningEffort = effort
        request.reasoningBudget = budget
        request.topK = 40
        var dropped: [String] = []
        let written = try JSON.parse(Ollama().encodeRequest(request, dropped: &dropped))
        #expect(written["think"].map { JSON.text($0) } == expected)
        #expect(written["options"]?["top_k"] == 40)
    }

    @Test("No tools are on offer where none may be called; another choice is the model's")
    func choice() throws {
        var dropped: [String] = []
        let body = #"""
            {"model":"q","messages":[{"role":"user","content":"a"}],"tool_choice":"CHOICE",
            "tools":[{"type":"function","function":{"name":"f"}}]}
            """#
        let none = try Native.encoded(body.replacing("CHOICE", with: "none"), Ollama(), dropped: &dropped)
        #expect(none["tools"] == nil && dropped.isEmpty)
        let some = try Native.encoded(body.replacing("CHOICE", with: "required"), Ollama(), dropped: &dropped)
        #expect(some["tools"]?.array?.count == 1 && dropped == ["tool_choice"])
    }

    @Test("Arguments that are no object are refused by their path")
    func arguments() {
        let body = #"""
            {"model":"q","messages":[{"role":"assistant","tool_calls":[
            {"id":"c","type":"function","function":{"name":"f","arguments":"[1"}}]}]}
            """#
        #expect(Native.fault(body, Ollama())?.parameter == "messages[0].tool_calls[0].function.arguments")
    }

    @Test("What is no line of a chat is an error that says where, and repeats nothing")
    func garbage() throws {
        for text in ["secret\n", "[1]\n", "{\"a\":1}\n", "{\"done\":", "\n\n", ""] {
            let decoded = Native.decode([ArraySlice(text.utf8)], Ollama())
            let failure = try #require(decoded.failure, "\(text)")
            #expect(failure.kind == .upstreamUnavailable && !failure.message.contains("secret"))
        }
    }

    @Test("A whole answer that came as lines is put together, and time and log probabilities are read")
    func lines() throws {
        let text = #"""
            {"model":"q","created_at":"2025-05-19T09:26:59.67+02:00","message":{"content":"a"},"done":false,
            "logprobs":[{"token":"a","logprob":-0.5}]}
            {"model":"q","created_at":"2025-05-19T09:27:00Z","message":{"content":"b"},"done":true,"eval_count":-4,
            "prompt_eval_count":99999999999999999999}
            """#.replacing(",\n", with: ",")
        let response = try Ollama().decodeWhole(ByteBuffer(string: text))
        #expect(response.choices.first?.message.text == "ab" && response.usage.isEmpty)
        #expect(response.identity.created == 1_747_639_619)
        #expect(response.choices.first?.logprobs?["content"]?.array?.count == 1)
    }
}
