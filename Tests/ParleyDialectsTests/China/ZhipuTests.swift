// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Zhipu's version 3")
struct ZhipuTests {
    private func encoded(_ rest: String, _ dropped: inout [String], _ dialect: Zhipu = Zhipu()) throws -> JSONValue {
        try Native.encoded(#"{"model":"chatglm_turbo",\#(rest)}"#, dialect, dropped: &dropped)
    }

    private let hi = #""messages":[{"role":"user","content":"Hi"}]"#

    @Test("A system prompt becomes the pair that the older adapter made of it")
    func system() throws {
        var dropped: [String] = []
        let messages = #""messages":[{"role":"system","content":"Be short."},{"role":"user","content":"Hi"}]"#
        let body = try encoded(messages, &dropped)
        #expect(
            body == [
                "prompt": [
                    ["role": "user", "content": "You need to follow the system settings:Be short."],
                    ["role": "assistant", "content": "ok"], ["role": "user", "content": "Hi"],
                ], "incremental": true,
            ])
        #expect(dropped.isEmpty)
        let own = try encoded(messages, &dropped, Zhipu(prompt: "[{system}]"))
        #expect(own["prompt"]?.array?.first?["content"] == "[Be short.]")
    }

    @Test("The temperature is above 0 and at most 1; top_p is between 0 and 1, else 0.7")
    func sampling() throws {
        var dropped: [String] = []
        let usual = try encoded(#""temperature":0.3,"top_p":0.5,\#(hi)"#, &dropped)
        let hot = try encoded(#""temperature":1.7,\#(hi)"#, &dropped)
        #expect(usual["temperature"]?.double == 0.3 && usual["top_p"]?.double == 0.5)
        #expect(hot["temperature"]?.double == 1 && hot["top_p"] == nil)
        #expect(dropped.isEmpty)
        let cold = try encoded(#""temperature":0,\#(hi)"#, &dropped)
        #expect(cold["temperature"] == nil && dropped == ["temperature"])
        for (said, sent) in [("1", 0.7), ("0", 0.7), ("0.99", 0.99)] {
            let body = try encoded(#""top_p":\#(said),\#(hi)"#, &dropped)
            #expect(body["top_p"]?.double == sent)
        }
    }

    @Test("Tools are refused, and so are turns that are about them; tools that must not be called are no matter")
    func tools() throws {
        let tools = #""tools":[{"type":"function","function":{"name":"f"}}]"#
        var dropped: [String] = []
        _ = try encoded(#"\#(tools),"tool_choice":"none",\#(hi)"#, &dropped)
        let call =
            #"{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","#
            + #""function":{"name":"f","arguments":"{}"}}]}"#
        for (rest, field) in [
            (#"\#(tools),\#(hi)"#, "tools"), (#""messages":[\#(call)]"#, "messages[0].tool_calls"),
            (#""messages":[{"role":"tool","tool_call_id":"1","content":"x"}]"#, "messages[0].role"),
            (#""messages":[{"role":"function","name":"f","content":"x"}]"#, "messages[0].role"),
        ] {
            let fault = try #require(Native.fault(#"{"model":"m",\#(rest)}"#, Zhipu()))
            #expect(fault.kind == .invalid && fault.parameter == field)
        }
    }

    @Test("A schema is an instruction, as a system prompt would be")
    func schema() throws {
        var dropped: [String] = []
        let format = #""response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"object"}}}"#
        let first = try encoded(#"\#(format),\#(hi)"#, &dropped)["prompt"]?.array?.first?["content"]?.string
        #expect(first?.contains(#"{"type":"object"}"#) == true && dropped.isEmpty)
    }

    @Test("A stream of texts so far gives what is new in each")
    func cumulative() throws {
        let stream =
            ["add\ndata:Bre", "add\ndata:Brest", "add\ndata:Brest", "finish\ndata:Brest."]
            .map { "event:\($0)\n\n" }.joined()
        var decoder = Zhipu(cumulative: true).makeStreamDecoder()
        var events: [Event] = []
        try decoder.push(ByteBuffer(string: stream), into: &events)
        let texts = events.compactMap { if case .text(_, let text) = $0 { text } else { nil } }
        #expect(texts == ["Bre", "st", "."] && decoder.isComplete)
        var dropped: [String] = []
        let body = try encoded(hi, &dropped, Zhipu(cumulative: true))
        #expect(body["incremental"] == false)
    }
}

@Suite("What version 4 of Zhipu and DashScope's compatible mode want changed")
struct ChatAdjustmentTests {
    private func encoded(
        _ body: String, _ adjustment: any ChatAdjustment, model: String = "glm-4.6", _ dropped: inout [String]
    ) throws -> JSONValue {
        var request = try OpenAIChat().decodeRequest(ByteBuffer(string: body))
        request.model = model
        var quirks = Quirks()
        quirks.streamOptions = false
        let dialect = AdjustedChat(OpenAIChat(quirks: quirks), adjustment)
        return try JSON.parse(dialect.encodeRequest(request, dropped: &dropped))
    }

    private func isSpliced(
        _ rest: String, _ adjustment: any ChatAdjustment, model: String = "glm-4.6", stream: Bool = true
    ) throws -> Bool {
        let body = ByteBuffer(string: #"{"model":"m",\#(rest)"messages":[{"role":"user","content":"Hi"}]}"#)
        var dropped: [String] = []
        return try AdjustedChat(OpenAIChat(), adjustment).splice(
            body, reading: nil, model: model, stream: stream, overrides: [], dropped: &dropped) != nil
    }

    private func ask(_ rest: String) -> String { #"{"model":"m",\#(rest)"messages":[{"role":"user","content":"Hi"}]}"# }

    @Test("Zhipu's bounds of temperature and top_p are kept")
    func bounds() throws {
        var dropped: [String] = []
        for (said, sent, samples) in [("0", 0.01, false), ("-1", 0.01, false), ("1", 0.99, true), ("0.5", 0.5, true)] {
            let body = try encoded(ask(#""temperature":\#(said),"#), ZhipuAdjustment(), &dropped)
            #expect(body["temperature"]?.double == sent)
            #expect(body["do_sample"] == (samples ? nil : false))
        }
        for (said, sent) in [("0", 0.01), ("1", 0.99), ("0.5", 0.5)] {
            let body = try encoded(ask(#""top_p":\#(said),"#), ZhipuAdjustment(), &dropped)
            #expect(body["top_p"]?.double == sent)
        }
        #expect(dropped.isEmpty)
    }

    @Test("Zhipu gets one stop, no choice of a tool, and images as bare base64")
    func limits() throws {
        var dropped: [String] = []
        let tools = #""tools":[{"type":"function","function":{"name":"f"}}],"#
        let forced = try encoded(
            ask(#"\#(tools)"tool_choice":"required","stop":["a","b"],"#), ZhipuAdjustment(), &dropped)
        #expect(forced["stop"] == ["a"] && forced["tool_choice"] == nil && forced["tools"]?.array?.count == 1)
        #expect(dropped == ["stop", "tool_choice"])
        let none = try encoded(ask(#"\#(tools)"tool_choice":"none","#), ZhipuAdjustment(), &dropped)
        #expect(none["tools"] == nil && none["tool_choice"] == nil)
        let image = #"{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo="}}"#
        let seen = try encoded(
            #"{"model":"m","messages":[{"role":"user","content":[\#(image)]}]}"#, ZhipuAdjustment(), &dropped)
        let part = seen["messages"]?.array?.first?["content"]?.array?.first
        #expect(part?["image_url"]?["url"] == "iVBORw0KGgo=")
    }

    @Test("How hard to think is a switch for Zhipu; from GLM-5 on the word is sent too")
    func thinking() throws {
        var dropped: [String] = []
        let old = try encoded(ask(#""reasoning_effort":"low","#), ZhipuAdjustment(), &dropped)
        #expect(old["thinking"] == ["type": "enabled"] && old["reasoning_effort"] == nil)
        let new = try encoded(ask(#""reasoning_effort":"low","#), ZhipuAdjustment(), model: "glm-5.2", &dropped)
        #expect(new["thinking"] == ["type": "enabled"] && new["reasoning_effort"] == "low")
        let off = try encoded(ask(#""reasoning_effort":"none","#), ZhipuAdjustment(), model: "glm-5", &dropped)
        #expect(off["thinking"] == ["type": "disabled"] && off["reasoning_effort"] == nil)
        let own = try encoded(
            ask(#""reasoning_effort":"low","thinking":{"type":"disabled"},"#), ZhipuAdjustment(), &dropped)
        #expect(own["thinking"] == ["type": "disabled"])
    }

    @Test("A schema is an instruction for Zhipu")
    func schema() throws {
        var dropped: [String] = []
        let format = #""response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"object"}}},"#
        let body = try encoded(ask(format), ZhipuAdjustment(), &dropped)
        #expect(body["response_format"] == ["type": "json_object"])
        #expect(body["messages"]?.array?.first?["content"]?.string?.contains(#"{"type":"object"}"#) == true)
    }

    @Test("A request with nothing to change is passed on in place, any other is not")
    func splicing() throws {
        let zhipu = ZhipuAdjustment()
        #expect(try isSpliced(#""temperature":0.5,"top_p":0.9,"tool_choice":"auto","stop":null,"#, zhipu))
        for rest in [
            #""temperature":0,"#, #""temperature":1,"#, #""top_p":1,"#, #""stop":"a","#, #""tool_choice":"none","#,
            #""response_format":{"type":"text"},"#, #""reasoning_effort":"low","#,
        ] { #expect(try !isSpliced(rest, zhipu), "\(rest)") }
        let dashscope = DashScopeAdjustment()
        #expect(try isSpliced(#""temperature":0,"tool_choice":"auto","#, dashscope, model: "qwen-plus", stream: false))
        #expect(try !isSpliced(#""tool_choice":"required","#, dashscope, model: "qwen-plus"))
        #expect(try !isSpliced("", dashscope, model: "qwq-32b", stream: false))
        #expect(try isSpliced("", dashscope, model: "qwq-32b", stream: true))
    }

    @Test("DashScope is asked for a stream where a model has nothing else")
    func streamOnly() throws {
        for (model, isOnly) in [
            ("qwq-plus", true), ("qvq-max", true), ("qwen-omni-turbo", true), ("qwen3-8b", true), ("qwen3-0.6b", true),
            ("qwen3-235b-a22b", true), ("qwen3-30b-a3b-instruct-2507", false), ("qwen3-max", false),
            ("qwen-plus", false), ("qwen3-coder-plus", false), ("Qwen/Qwen3-14B", true), ("qwen3-b", false),
        ] {
            #expect(DashScopeAdjustment.isStreamOnly(model) == isOnly, "\(model)")
            var dropped: [String] = []
            let body = try encoded(ask(""), DashScopeAdjustment(), model: model, &dropped)
            #expect((body["stream"] == true) == isOnly, "\(model)")
        }
    }

    @Test("DashScope thinks with a budget, is not forced to call, and hears the word JSON")
    func dashscope() throws {
        var dropped: [String] = []
        let body = try encoded(
            ask(#""reasoning_effort":"medium","response_format":{"type":"json_object"},"tool_choice":"required","#),
            DashScopeAdjustment(), model: "qwen-plus", &dropped)
        #expect(body["enable_thinking"] == true && body["thinking_budget"] == 8192)
        #expect(body["reasoning_effort"] == nil && body["tool_choice"] == nil && dropped == ["tool_choice"])
        #expect(body["messages"]?.array?.first?["content"]?.string?.contains("JSON") == true)
        let said = try encoded(
            #"{"model":"m","response_format":{"type":"json_object"},"messages":[{"role":"user","content":"json!"}]}"#,
            DashScopeAdjustment(), model: "qwen-plus", &dropped)
        #expect(said["messages"]?.array?.count == 1)
    }
}
