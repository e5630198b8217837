// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Requests of Responses")
struct ResponsesRequestTests {
    @Test("A request with everything in it is read and written the same")
    func everything() throws {
        let body = #"""
            {"model":"m","instructions":"Be brief.","input":[
            {"role":"developer","content":"d"},
            {"type":"message","role":"user","content":[{"type":"input_text","text":"a"},
            {"type":"input_image","image_url":"data:image/png;base64,AA==","detail":"low"},{"type":"input_image","file_id":"file_1"},
            {"type":"input_file","file_data":"data:application/pdf;base64,AA==","filename":"a.pdf"},
            {"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}},{"type":"new_part","x":1}]},
            {"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"t"}],"encrypted_content":"c"},
            {"type":"message","id":"msg_1","role":"assistant","status":"completed","phase":"commentary",
            "content":[{"type":"output_text","text":"b","annotations":[]},{"type":"refusal","refusal":"no"}]},
            {"type":"function_call","id":"fc_1","call_id":"c1","name":"f","arguments":"{}","status":"completed"},
            {"type":"custom_tool_call","call_id":"c2","name":"g","input":"x"},
            {"type":"web_search_call","id":"ws_1","status":"completed","action":{"type":"search"}},
            {"type":"function_call_output","call_id":"c1","output":[{"type":"input_text","text":"r"}]},
            {"type":"custom_tool_call_output","call_id":"c2","output":"y"},
            {"type":"local_shell_call","id":"l","call_id":"c3","action":{},"status":"completed"},
            {"type":"local_shell_call_output","call_id":"c3","output":"z"},
            {"type":"item_reference","id":"msg_0"},{"id":"msg_00"},{"type":"compaction","encrypted_content":"e"}],
            "tools":[{"type":"function","name":"f","parameters":{"type":"object"},"strict":true},
            {"type":"function","name":"g","parameters":null},
            {"type":"custom","name":"g","format":{"type":"text"}},{"type":"web_search"}],
            "tool_choice":{"type":"function","name":"f"},"parallel_tool_calls":false,"max_output_tokens":16,
            "temperature":0.5,"top_p":0.9,"top_logprobs":2,"user":"u","store":true,"metadata":{"a":"b"},
            "include":["message.output_text.logprobs","reasoning.encrypted_content"],"truncation":"auto",
            "reasoning":{"effort":"low","summary":"auto"},"prompt_cache_key":"k","service_tier":"flex","max_tool_calls":3,
            "text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object"},"strict":true},"verbosity":"low"},
            "stream":true,"stream_options":{"include_obfuscation":false},"previous_response_id":"resp_0","odd":[1]}
            """#.replacing("\n", with: "")
        let request = try Responses.request(body)
        var dropped: [String] = []
        #expect(same(try Responses.written(request, dropped: &dropped), try Responses.json(body)))
        #expect(dropped.isEmpty)
        #expect(
            request.messages.map(\.role) == [
                .system, .developer, .user, .assistant, .tool, .tool, .assistant, .user, .user, .user, .assistant,
            ])
        let turn = request.messages[3]
        #expect(turn.text == "b" && turn.refusal == "no" && turn.toolCalls.map(\.id) == ["c1", "c2"])
        #expect(turn.reasoning.first?.signature == "c" && turn.reasoning.first?.origin == .openAIResponses)
        #expect(request.reasoningEffort == "low" && request.logprobs == true && request.maxTokens == 16)
    }

    @Test("Text as input stays text, and a request that goes on from another needs none")
    func short() throws {
        for body in [#"{"model":"m","input":"Hi"}"#, #"{"model":"m","previous_response_id":"resp_1"}"#] {
            #expect(same(try Responses.written(try Responses.request(body)), try Responses.json(body)))
        }
    }

    @Test(
        "A fault names the field",
        arguments: [
            (#"{"model":"m"}"#, "input"), (#"{"input":5}"#, "input"), (#"{"input":[]}"#, "input"),
            (#"{"input":[5]}"#, "input[0]"), (#"{"input":[{"role":"tool","content":""}]}"#, "input[0].role"),
            (#"{"input":[{"role":"user"}]}"#, "input[0].content"),
            (#"{"input":[{"role":"user","content":[{"text":"a"}]}]}"#, "input[0].content[0].type"),
            (#"{"input":[{"type":"function_call","name":"f","arguments":"{}"}]}"#, "input[0].call_id"),
            (#"{"input":[{"type":"function_call_output","call_id":"c"}]}"#, "input[0].output"),
            (#"{"input":"a","tools":[{"type":"function"}]}"#, "tools[0].name"),
            (#"{"input":"a","tool_choice":"any"}"#, "tool_choice"), (#"{"input":"a","store":1}"#, "store"),
            (#"{"input":"a","text":{"format":{"type":"json_schema","name":"n"}}}"#, "text.format.schema"),
            (#"{"input":"a","reasoning":{"effort":1}}"#, "reasoning.effort"),
            (#"{"input":"a","include":"x"}"#, "include"), (#"{"input":"a","temperature":"hot"}"#, "temperature"),
            (#"{"input":"a","conversation":5}"#, "conversation"),
        ])
    func faults(body: String, parameter: String) {
        let fault = Responses.fault(body)
        #expect(fault?.kind == .invalid && fault?.parameter == parameter)
    }

    @Test("A chat request becomes one that keeps nothing and asks for encrypted reasoning")
    func fromChat() throws {
        var dropped: [String] = []
        let sent = try Responses.fromChat(
            #"""
            {"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"a"},
            {"type":"image_url","image_url":{"url":"https://x/y.png"}}]},
            {"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}],
            "reasoning_details":[{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"e"}]},
            {"role":"tool","tool_call_id":"c1","content":"r"}],"max_tokens":20,"stop":["x"],"seed":1,"presence_penalty":1,
            "logit_bias":{"1":2},"n":1,"verbosity":"low","metadata":{"a":"b"},"reasoning_effort":"high","logprobs":true,
            "tools":[{"type":"function","function":{"name":"f"}},{"type":"custom","custom":{"name":"g",
            "format":{"type":"grammar","grammar":{"syntax":"lark","definition":"d"}}}}],
            "tool_choice":{"type":"function","function":{"name":"f"}},"response_format":{"type":"json_object"}}
            """#, dropped: &dropped)
        let expected = try Responses.json(
            #"""
            {"model":"m","instructions":"s","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"a"},
            {"type":"input_image","image_url":"https://x/y.png","detail":"auto"}]},
            {"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"e"},
            {"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},
            {"type":"function_call_output","call_id":"c1","output":"r"}],"max_output_tokens":20,
            "text":{"format":{"type":"json_object"},"verbosity":"low"},"metadata":{"a":"b"},"reasoning":{"effort":"high"},
            "tools":[{"type":"function","name":"f","parameters":{"type":"object","properties":{}},"strict":false},
            {"type":"custom","name":"g","format":{"type":"grammar","syntax":"lark","definition":"d"}}],
            "tool_choice":{"type":"function","name":"f"},"store":false,
            "include":["reasoning.encrypted_content","message.output_text.logprobs"]}
            """#)
        #expect(same(sent, expected), "\(JSON.text(sent))")
        #expect(Set(dropped) == ["stop", "seed", "presence_penalty", "logit_bias"])
        let declared = Set(Responses.dialect.losses.filter { $0.fate == .dropped }.map(\.field))
        #expect(declared.isSuperset(of: dropped))
    }

    @Test("What matters and has no place is refused", arguments: [#""n":2"#, #""modalities":["text","audio"]"#])
    func refused(field: String) {
        var dropped: [String] = []
        let body = #"{"model":"m","messages":[{"role":"user","content":"a"}],\#(field)}"#
        #expect(throws: ParleyError.self) { _ = try Responses.fromChat(body, dropped: &dropped) }
    }

    @Test("Another vendor's reasoning is sealed for the client and never reaches an upstream of Responses")
    func sealed() throws {
        let reasoning = Reasoning("t", signature: "sig", origin: .anthropic)
        var call = ToolCall(id: "c1", name: "f", arguments: "{}")
        call.signature = "thought"
        call.origin = .gemini
        let text = Responses.encode([
            .start(AnswerIdentity()), .reasoning(choice: 0, reasoning), .toolCall(choice: 0, index: 0, call),
            .finish(choice: 0, .toolCalls),
        ])
        let output = try #require(Responses.frames(text).last?["response"]?["output"])
        let again = try Responses.request(#"{"model":"m","input":\#(JSON.text(output))}"#)
        let turn = try #require(again.messages.first)
        #expect(turn.reasoning == [reasoning])
        #expect(turn.toolCalls.first?.signature == "thought" && turn.toolCalls.first?.origin == .gemini)
        let sent = try Responses.written(again)
        #expect(!JSON.text(sent).contains("parley"))
        #expect(sent["input"]?.array?.count == 1)
        let body = ByteBuffer(string: #"{"model":"a","input":\#(JSON.text(output))}"#)
        var dropped: [String] = []
        #expect(
            try Responses.dialect.splice(
                body, reading: nil, model: "m", stream: false, overrides: [], dropped: &dropped) == nil)
    }

    @Test("A spliced request changes what it must and nothing else")
    func spliced() throws {
        let body = ByteBuffer(
            string: #"{ "model":"a/m","input":"x","reasoning":{"summary":"auto"},"odd":1.0,"temperature":0.10 }"#)
        var dropped: [String] = []
        let overrides = [
            FieldOverride(name: "max_tokens", json: "5", force: false),
            FieldOverride(name: "temperature", json: "1", force: false),
            FieldOverride(name: "reasoning_effort", json: "\"low\"", force: true),
            FieldOverride(name: "seed", json: "1", force: true),
        ]
        let sent = try Responses.dialect.splice(
            body, reading: nil, model: "m", stream: true, overrides: overrides, dropped: &dropped)
        #expect(
            sent.map { String(buffer: $0) }
                == #"{ "model":"m","input":"x","reasoning":{"summary":"auto","effort":"low"},"odd":1.0,"temperature":0.10,"max_output_tokens":5,"stream":true }"#
        )
        #expect(dropped == ["seed"])
        let tools = [FieldOverride(name: "tools", json: "[]", force: true)]
        #expect(
            try Responses.dialect.splice(
                body, reading: nil, model: "m", stream: true, overrides: tools, dropped: &dropped) == nil)
    }

    @Test("What only OpenAI can do is not translated")
    func translatable() throws {
        for field in [#""background":true"#, #""prompt":{"id":"p"}"#, #""conversation":"conv_1""#] {
            let request = try Responses.request(#"{"model":"m","input":"a",\#(field)}"#)
            #expect(throws: ParleyError.self) { try Responses.dialect.checkTranslatable(request) }
        }
        let request = try Responses.request(#"{"model":"m","input":"a","background":false,"store":false}"#)
        try Responses.dialect.checkTranslatable(request)
    }
}
