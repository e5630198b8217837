// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("DashScope's own API")
struct DashScopeTests {
    private func encoded(
        _ rest: String, _ dropped: inout [String], _ dialect: DashScope = DashScope()
    ) throws -> JSONValue {
        try Native.encoded(#"{"model":"qwen-plus",\#(rest)}"#, dialect, dropped: &dropped)
    }

    private let hi = #""messages":[{"role":"developer","content":"S"},{"role":"user","content":"Hi"}]"#

    @Test("Messages are the input, and everything else is a parameter")
    func shape() throws {
        var dropped: [String] = []
        let body = try encoded(
            #""max_tokens":9,"temperature":2,"top_p":1,"top_k":5,"seed":7,"stop":["x"],"presence_penalty":0.5,"n":2,"#
                + #""enable_search":true,"reasoning_effort":"none","stream":true,\#(hi)"#, &dropped)
        #expect(
            body == [
                "model": "qwen-plus",
                "input": [
                    "messages": [["role": "system", "content": "S"], ["role": "user", "content": "Hi"]]
                ],
                "parameters": [
                    "result_format": "message", "incremental_output": true, "temperature": .double(1.9999),
                    "top_p": .double(0.9999),
                    "top_k": 5, "max_tokens": 9, "seed": 7, "presence_penalty": .double(0.5), "n": 2, "stop": ["x"],
                    "enable_thinking": false, "enable_search": true,
                ],
            ])
        #expect(dropped.isEmpty)
        let whole = try encoded(hi, &dropped)
        #expect(whole["parameters"] == ["result_format": "message"])
    }

    @Test("An ending of the model's name asks for a search")
    func search() throws {
        var dropped: [String] = []
        let body = try Native.encoded(#"{"model":"qwen-max-internet",\#(hi)}"#, DashScope(), dropped: &dropped)
        #expect(body["model"] == "qwen-max" && body["parameters"]?["enable_search"] == true)
    }

    @Test("Tools, calls and results are as OpenAI has them, a forced call is not to be had")
    func tools() throws {
        var dropped: [String] = []
        let body = try encoded(
            #""tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"required","messages":["#
                + #"{"role":"user","content":"Hi"},{"role":"assistant","content":null,"tool_calls":[{"id":"1","#
                + #""type":"function","function":{"name":"f","arguments":"{}"}}]},"#
                + #"{"role":"tool","tool_call_id":"1","content":"one"}]"#, &dropped)
        let messages = try #require(body["input"]?["messages"]?.array)
        #expect(messages[1]["tool_calls"]?.array?.first?["function"]?["name"] == "f" && messages[1]["content"] == "")
        #expect(messages[2] == ["role": "tool", "content": "one", "tool_call_id": "1", "name": "f"])
        #expect(body["parameters"]?["tools"]?.array?.count == 1 && dropped == ["tool_choice"])
    }

    @Test("Where models see and hear, contents are lists; elsewhere images are refused")
    func multimodal() throws {
        let content =
            #"[{"type":"image_url","image_url":{"url":"https://e.x/a.png"}},{"type":"text","text":"What?"},"#
            + #"{"type":"input_audio","input_audio":{"data":"UklGRg==","format":"wav"}}]"#
        let messages =
            #""messages":[{"role":"system","content":"S"},{"role":"user","content":\#(content)}]"#
        var dropped: [String] = []
        let body = try encoded(messages, &dropped, DashScope(multimodal: true))
        #expect(
            body["input"]?["messages"] == [
                ["role": "system", "content": [["text": "S"]]],
                [
                    "role": "user",
                    "content": [
                        ["image": "https://e.x/a.png"], ["text": "What?"],
                        ["audio": "data:audio/wav;base64,UklGRg=="],
                    ],
                ],
            ])
        let fault = Native.fault(#"{"model":"m",\#(messages)}"#, DashScope())
        #expect(fault?.parameter == "messages[1].content[0].image_url")
    }

    @Test("A stream of answers so far gives what is new in each, of texts, thoughts and arguments")
    func cumulative() throws {
        func event(_ message: String, _ finish: String = "null") -> String {
            #"data:{"output":{"choices":[{"finish_reason":"\#(finish)","message":{"role":"assistant",\#(message)}}]},"#
                + #""usage":{"input_tokens":3,"output_tokens":4},"request_id":"r"}"# + "\n\n"
        }
        func call(_ arguments: String) -> String {
            #""content":"Brest","tool_calls":[{"index":0,"id":"1","type":"function","function":{"name":"f","#
                + #""arguments":"\#(arguments)"}}]"#
        }
        let stream =
            event(#""content":"","reasoning_content":"H""#) + event(#""content":"Bre","reasoning_content":"Hm""#)
            + event(#""content":"Brest""#) + event(call(#"{\"a\""#)) + event(call(#"{\"a\":1}"#), "tool_calls")
        var decoder = DashScope(cumulative: true).makeStreamDecoder()
        var events: [Event] = []
        try decoder.push(ByteBuffer(string: stream), into: &events)
        try decoder.finish(into: &events)
        var collector = ChatCollector()
        for event in events { collector.add(event) }
        let message = try #require(collector.response().choices.first?.message)
        #expect(message.text == "Brest" && message.reasoning.map(\.text).joined() == "Hm")
        #expect(message.toolCalls.map(\.arguments) == [#"{"a":1}"#])
        var dropped: [String] = []
        let body = try encoded(#""stream":true,\#(hi)"#, &dropped, DashScope(cumulative: true))
        #expect(body["parameters"]?["incremental_output"] == false)
    }

    @Test("Several choices are told apart, in a stream and whole")
    func choices() throws {
        let whole =
            #"{"output":{"choices":[{"finish_reason":"stop","index":0,"message":{"content":"a"}},"#
            + #"{"finish_reason":"length","index":1,"message":{"content":"b"}}]},"request_id":"r"}"#
        let response = try DashScope().decodeWhole(ByteBuffer(string: whole))
        #expect(response.choices.map(\.message.text) == ["a", "b"])
        #expect(response.choices.map(\.finish) == [.stop, .length])
    }
}

@Suite("Embeddings of China's own APIs")
struct ChinaEmbeddingTests {
    private func request(_ body: String) throws -> EmbeddingRequest {
        try OpenAIEmbeddings().decodeRequest(ByteBuffer(string: body))
    }

    @Test("DashScope's have a length and a type of text")
    func dashscope() throws {
        let dialect = DashScopeEmbeddings(model: "text-embedding-v3")
        var dropped: [String] = []
        let body = try dialect.encodeRequest(
            request(#"{"model":"m","input":["a","b"],"dimensions":2,"input_type":"query","user":"u"}"#),
            model: "text-embedding-v3", dropped: &dropped)
        #expect(
            try JSON.parse(body) == [
                "model": "text-embedding-v3", "input": ["texts": ["a", "b"]],
                "parameters": ["dimension": 2, "text_type": "query"],
            ])
        #expect(dropped == ["user"] && dialect.batchLimit == 10)
        #expect(DashScopeEmbeddings(model: "text-embedding-v2").batchLimit == 25)
        let answer = ByteBuffer(
            string:
                #"{"output":{"embeddings":[{"text_index":0,"embedding":[1,2]},{"text_index":1,"embedding":[3,4]}]},"#
                + #""usage":{"total_tokens":7},"request_id":"r"}"#)
        let response = try dialect.decodeResponse(answer)
        #expect(response.vectors == [[1, 2], [3, 4]] && response.usage.input == 7)
        #expect(throws: ParleyError.self) {
            try dialect.decodeResponse(ByteBuffer(string: #"{"code":"InvalidApiKey","message":"no"}"#))
        }
        #expect(throws: ParleyError.self) {
            try dialect.encodeRequest(request(#"{"model":"m","input":[1,2]}"#), model: "m", dropped: &dropped)
        }
    }

    @Test("Those beside ERNIE have the texts alone, and say with status 200 that a token is over")
    func ernie() throws {
        var dropped: [String] = []
        let body = try ErnieEmbeddings().encodeRequest(
            request(#"{"model":"m","input":"a","user":"u"}"#), model: "m", dropped: &dropped)
        #expect(try JSON.parse(body) == ["input": ["a"], "user_id": "u"] && dropped.isEmpty)
        let answer =
            #"{"object":"embedding_list","data":[{"object":"embedding","embedding":[1],"index":0}],"#
            + #""usage":{"prompt_tokens":2,"total_tokens":2}}"#
        #expect(try ErnieEmbeddings().decodeResponse(ByteBuffer(string: answer)).vectors == [[1]])
        do throws(ParleyError) {
            _ = try ErnieEmbeddings().decodeResponse(
                ByteBuffer(string: #"{"error_code":111,"error_msg":"Access token expired"}"#))
            Issue.record("no error")
        } catch {
            #expect(error.kind == .unauthenticated)
        }
        #expect(throws: ParleyError.self) {
            try ErnieEmbeddings().encodeRequest(
                request(#"{"model":"m","input":"a","dimensions":3}"#), model: "m", dropped: &dropped)
        }
    }
}
