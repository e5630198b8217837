// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Reading chat requests")
struct RequestDecoderTests {
    struct Fault: Sendable, CustomTestStringConvertible {
        var body: String
        var parameter: String?
        var code: String?
        var testDescription: String { body }

        init(_ body: String, _ parameter: String?, _ code: String?) {
            self.body = body
            self.parameter = parameter
            self.code = code
        }

        /// A fault in the only message.
        static func message(_ message: String, _ path: String, _ code: String) -> Fault {
            Fault(#"{"messages":[\#(message)]}"#, "messages[0]" + path, code)
        }

        /// A fault beside a good message.
        static func field(_ field: String, _ path: String, _ code: String) -> Fault {
            Fault(#"{"messages":[{"role":"user","content":"x"}],\#(field)}"#, path, code)
        }
    }

    static let faults: [Fault] = [
        Fault("{", nil, ""), Fault("[]", nil, "invalid_type"), Fault("\u{0}", nil, ""),
        Fault("{}", "messages", "missing_required_parameter"),
        Fault(#"{"messages":null}"#, "messages", "missing_required_parameter"),
        Fault(#"{"messages":{}}"#, "messages", "invalid_type"), Fault(#"{"messages":[]}"#, "messages", "empty_array"),
        Fault(#"{"model":1,"messages":[]}"#, "model", "invalid_type"),
        .message("1", "", "invalid_type"), .message("{}", ".role", "missing_required_parameter"),
        .message(#"{"role":1}"#, ".role", "invalid_type"), .message(#"{"role":"boss"}"#, ".role", "invalid_value"),
        .message(#"{"role":"user"}"#, ".content", "missing_required_parameter"),
        .message(#"{"role":"user","content":null}"#, ".content", "invalid_type"),
        .message(#"{"role":"user","content":5}"#, ".content", "invalid_type"),
        .message(#"{"role":"user","content":["x"]}"#, ".content[0]", "invalid_type"),
        .message(#"{"role":"user","content":[{}]}"#, ".content[0].type", "missing_required_parameter"),
        .message(#"{"role":"user","content":[{"type":"text"}]}"#, ".content[0].text", "missing_required_parameter"),
        .message(
            #"{"role":"user","content":[{"type":"image_url","image_url":{"url":1}}]}"#, ".content[0].image_url.url",
            "invalid_type"),
        .message(
            #"{"role":"user","content":[{"type":"image_url"}]}"#, ".content[0].image_url", "missing_required_parameter"
        ),
        .message(
            #"{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"x"}}]}"#,
            ".content[0].input_audio.format", "missing_required_parameter"),
        .message(
            #"{"role":"user","content":[{"type":"file","file":{}}]}"#, ".content[0].file.file_id",
            "missing_required_parameter"),
        .message(#"{"role":"tool","content":"x"}"#, ".tool_call_id", "missing_required_parameter"),
        .message(#"{"role":"assistant","tool_calls":{}}"#, ".tool_calls", "invalid_type"),
        .message(#"{"role":"assistant","tool_calls":[{}]}"#, ".tool_calls[0].id", "missing_required_parameter"),
        .message(
            #"{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":{}}}]}"#,
            ".tool_calls[0].function.arguments", "invalid_type"),
        .message(#"{"role":"assistant","function_call":{}}"#, ".function_call.name", "missing_required_parameter"),
        .field(#""stream":"yes""#, "stream", "invalid_type"), .field(#""n":0"#, "n", "integer_below_min_value"),
        .field(#""n":1.5"#, "n", "invalid_type"), .field(#""temperature":"hot""#, "temperature", "invalid_type"),
        .field(#""max_tokens":[]"#, "max_tokens", "invalid_type"), .field(#""stop":[1]"#, "stop[0]", "invalid_type"),
        .field(#""stop":{}"#, "stop", "invalid_type"), .field(#""tools":{}"#, "tools", "invalid_type"),
        .field(#""tools":[1]"#, "tools[0]", "invalid_type"),
        .field(#""tools":[{}]"#, "tools[0].type", "missing_required_parameter"),
        .field(#""tools":[{"type":"function"}]"#, "tools[0].function", "missing_required_parameter"),
        .field(
            #""tools":[{"type":"function","function":{}}]"#, "tools[0].function.name", "missing_required_parameter"),
        .field(
            #""tools":[{"type":"function","function":{"name":"f","parameters":"x"}}]"#,
            "tools[0].function.parameters", "invalid_type"),
        .field(#""tool_choice":"maybe""#, "tool_choice", "invalid_value"),
        .field(#""tool_choice":{"type":"function"}"#, "tool_choice.function", "missing_required_parameter"),
        .field(#""response_format":{}"#, "response_format.type", "missing_required_parameter"),
        .field(
            #""response_format":{"type":"json_schema"}"#, "response_format.json_schema", "missing_required_parameter"),
        .field(#""stream_options":{"include_usage":1}"#, "stream_options.include_usage", "invalid_type"),
        .field(#""logit_bias":[]"#, "logit_bias", "invalid_type"),
        .field(#""functions":[{}]"#, "functions[0].name", "missing_required_parameter"),
        .field(#""seed":99999999999999999999999"#, "seed", "invalid_type"),
    ]

    @Test("A fault names its field and its code", arguments: faults)
    func faultsAreNamed(_ fault: Fault) throws {
        let error = try #require(requestFault(fault.body))
        #expect(error.kind == .invalid)
        #expect(error.parameter == fault.parameter)
        #expect(error.code == fault.code)
    }

    @Test("Messages are worded as OpenAI words them")
    func wording() {
        #expect(requestFault("{}")?.message == "Missing required parameter: 'messages'.")
        #expect(
            requestFault(#"{"messages":[{"role":"user","content":"x"}],"temperature":"a"}"#)?.message
                == "Invalid type for 'temperature': expected a decimal, but got a string instead.")
        #expect(
            requestFault(#"{"messages":[{"role":"boss","content":"x"}]}"#)?.message
                == "Invalid value: 'boss'. Supported values are: 'system', 'assistant', 'user', 'function', 'tool', "
                + "and 'developer'.")
        let long = String(repeating: "secret ", count: 20)
        #expect(requestFault(#"{"messages":[{"role":"\#(long)"}]}"#)?.message.contains("secret") == false)
    }

    @Test("Every field finds its place")
    func fields() throws {
        let body = #"""
            {"model":"m","messages":[{"role":"developer","content":"d","name":"n"},
            {"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}},
            {"type":"image_url","image_url":{"url":"https://x/y","detail":"low"}},
            {"type":"input_audio","input_audio":{"data":"AA","format":"wav"}},
            {"type":"file","file":{"file_data":"data:x","filename":"f"}},{"type":"video_url","video_url":{"url":"v"}}]},
            {"role":"assistant","content":null,"refusal":null,"reasoning_content":"hm",
            "tool_calls":[{"id":"t","type":"function","function":{"name":"f","arguments":"{}"},"extra_content":1},
            {"id":"u","type":"custom","custom":{"name":"g","input":"free"}}]},
            {"role":"tool","tool_call_id":"t","content":"r"}],
            "max_completion_tokens":5,"temperature":0.5,"top_p":1,"frequency_penalty":-1,"presence_penalty":2,
            "stop":["a","b"],"n":2,"logprobs":true,"top_logprobs":3,"seed":-4,"reasoning_effort":"low","user":"u",
            "parallel_tool_calls":false,"tool_choice":{"type":"function","function":{"name":"f"}},
            "tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},
            "strict":true},"cache_control":{"type":"ephemeral"}},
            {"type":"custom","custom":{"name":"g","format":{"type":"text"}}}],
            "response_format":{"type":"json_schema","json_schema":{"name":"s","schema":{},"strict":true}},
            "stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false},
            "top_k":7,"metadata":{"a":"b"}}
            """#
        let request = try OpenAIChat().decodeRequest(ByteBuffer(string: body))
        #expect(request.model == "m" && request.messages.map(\.role) == [.developer, .user, .assistant, .tool])
        #expect(request.messages[0].name == "n" && request.messages[0].contentIsText)
        #expect(
            request.messages[1].content == [
                .text("a"), .image(url: "https://x/y", detail: "low"), .audio(data: "AA", format: "wav"),
                .file(FilePart(data: "data:x", name: "f")),
                .opaque(.openAIChat, ["type": "video_url", "video_url": ["url": "v"]]),
            ])
        #expect(request.messages[2].reasoning == [Reasoning("hm")])
        #expect(request.messages[2].toolCalls.map(\.isCustom) == [false, true])
        #expect(request.messages[3].toolCallID == "t")
        #expect(request.maxTokens == 5 && !request.maxTokensIsLegacy && request.temperature == 0.5)
        #expect(request.stop == ["a", "b"] && request.n == 2 && request.seed == -4 && request.topLogprobs == 3)
        #expect(request.toolChoice == .named("f") && request.parallelToolCalls == false)
        #expect(request.tools.map(\.name) == ["f", "g"] && request.tools[1].opaque != nil)
        #expect(request.responseFormat == .jsonSchema(name: "s", description: nil, schema: [:], strict: true))
        #expect(request.stream && request.includeUsage)
        #expect(Set(request.extras.of(.openAIChat).members.map(\.key)) == ["stream_options", "top_k", "metadata"])
        #expect(same(try reencoded(body), try withoutNulls(body)))
        var dropped: [String] = []
        let again = try OpenAIChat().encodeRequest(request, dropped: &dropped)
        #expect(try OpenAIChat().decodeRequest(again) == request)
        #expect(dropped.isEmpty)
    }

    /// The body without the one null that is normalised away.
    private func withoutNulls(_ body: String) throws -> JSONValue {
        try JSON.parse(body.replacingOccurrences(of: #""refusal":null,"#, with: ""))
    }

    @Test("Functions are tools for other dialects and stay functions for this one")
    func functions() throws {
        let body = #"""
            {"messages":[{"role":"user","content":"x"},
            {"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},
            {"role":"function","name":"f","content":"r"}],
            "functions":[{"name":"f","parameters":{"type":"object"}}],"function_call":{"name":"f"}}
            """#
        let request = try OpenAIChat().decodeRequest(ByteBuffer(string: body))
        #expect(request.tools.map(\.name) == ["f"] && request.toolChoice == .named("f"))
        let call = try #require(request.messages[1].toolCalls.first)
        #expect(!call.id.isEmpty && request.messages[2].toolCallID == call.id)
        #expect(same(try reencoded(body), try JSON.parse(body)))
        var quirks = Quirks()
        quirks.legacyFunctions = false
        let modern = try reencoded(body, quirks: quirks)
        #expect(modern["functions"] == nil && modern["tools"]?.array?.count == 1)
        #expect(modern["messages"]?.array?[2]["role"] == "tool")
        #expect(modern["messages"]?.array?[2]["tool_call_id"]?.string == call.id)
        var without = request
        without.tools = []
        var dropped: [String] = []
        let bare = try JSON.parse(OpenAIChat().encodeRequest(without, dropped: &dropped))
        #expect(bare["functions"] == nil)
    }

    @Test("Hostile bytes never do more than fail", arguments: 0..<200)
    func hostile(_ seed: Int) {
        let body = #"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"aé"}]}],"n":1}"#
        var bytes = Array(body.utf8)
        var dice = Dice(seed: UInt64(seed))
        for _ in 0..<Int.random(in: 1...4, using: &dice) {
            bytes[Int.random(in: 0..<bytes.count, using: &dice)] = UInt8.random(in: 0...255, using: &dice)
        }
        let failure: ParleyError?
        do throws(ParleyError) {
            _ = try OpenAIChat().decodeRequest(ByteBuffer(bytes: bytes))
            failure = nil
        } catch {
            failure = error
        }
        #expect(failure == nil || failure?.httpStatus == 400)
    }
}

@Suite("Validating relayed requests")
struct ValidateTests {
    private func check(_ body: String) throws -> ParleyError? {
        let scan = try JSONScan(ByteBuffer(string: body))
        do throws(ParleyError) {
            try OpenAIChat.validate(scan: scan)
            return nil
        } catch {
            return error
        }
    }

    @Test(
        "What any upstream takes is let through",
        arguments: [
            #"{"messages":[{"role":"user","content":"x"}]}"#,
            #"{"messages":[{"content":[{"a":"}]\""},[1,{"b":[]}]],"role":"user"},{"role":"x"}],"n":2.0,"stop":null}"#,
            #" { "messages" : [ { "role" : "user" , "content" : "a\\" } , { "role" : "b" } ] , "temperature" : 1e0 } "#,
            #"{"messages":[{"r\u006fle":"user"}],"stream":true,"tools":[],"max_tokens":null}"#,
        ])
    func accepted(_ body: String) throws {
        #expect(try check(body) == nil)
    }

    @Test(
        "What no upstream takes is refused, by path",
        arguments: [
            (#"{}"#, "messages"), (#"{"messages":"x"}"#, "messages"), (#"{"messages":[]}"#, "messages"),
            (#"{"messages":[1]}"#, "messages[0]"), (#"{"messages":[{"role":"a"},{}]}"#, "messages[1].role"),
            (#"{"messages":[{"role":null}]}"#, "messages[0].role"),
            (#"{"messages":[{"role":"a"}],"model":3}"#, "model"),
            (#"{"messages":[{"role":"a"}],"stream":1}"#, "stream"), (#"{"messages":[{"role":"a"}],"n":0}"#, "n"),
            (#"{"messages":[{"role":"a"}],"n":1.5}"#, "n"), (#"{"messages":[{"role":"a"}],"tools":{}}"#, "tools"),
            (#"{"messages":[{"role":"a"}],"temperature":"1"}"#, "temperature"),
            (#"{"messages":[{"content":{"role":"a"}}]}"#, "messages[0].role"),
        ])
    func refused(_ body: String, _ path: String) throws {
        let error = try #require(try check(body))
        #expect(error.kind == .invalid && error.parameter == path)
    }
}
