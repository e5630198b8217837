// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Writing chat requests")
struct RequestEncoderTests {
    static let body = #"""
        {"model":"m","messages":[{"role":"developer","content":"d"},{"role":"assistant","content":null,
        "reasoning_content":"hm","tool_calls":[{"id":"call_abcdefghij","type":"function",
        "function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"call_abcdefghij","content":"r"}],
        "max_tokens":5,"seed":3,"tool_choice":"required","top_k":4,"logit_bias":{"1":2},"safe_prompt":true}
        """#

    private var strict: Quirks {
        var quirks = Quirks()
        quirks.lengthField = .maxCompletionTokens
        quirks.renamedFields = ["seed": "random_seed"]
        quirks.droppedFields = ["logit_bias"]
        quirks.refusesUnknownFields = true
        quirks.knownFields = ["safe_prompt"]
        quirks.developerIsSystem = true
        quirks.shortToolIDs = true
        quirks.requiredToolChoice = "any"
        quirks.acceptsReasoningBack = false
        quirks.singleChoice = true
        return quirks
    }

    @Test("Quirks rename, drop and reword, and what was dropped is said")
    func quirks() throws {
        var dropped: [String] = []
        let value = try reencoded(Self.body, quirks: strict, dropped: &dropped)
        #expect(value["max_completion_tokens"]?.int == 5 && value["max_tokens"] == nil)
        #expect(value["random_seed"]?.int == 3 && value["seed"] == nil)
        #expect(value["tool_choice"] == "any" && value["safe_prompt"] == true && value["top_k"] == nil)
        let messages = value["messages"]?.array ?? []
        #expect(messages[0]["role"] == "system" && messages[1]["reasoning_content"] == nil)
        let id = messages[1]["tool_calls"]?.array?.first?["id"]?.string ?? ""
        #expect(id.utf8.count == 9 && messages[2]["tool_call_id"]?.string == id)
        #expect(Set(dropped) == ["top_k", "logit_bias", "messages[].reasoning_content"])
    }

    @Test("Short tool ids are kept, others map to the same nine letters every time")
    func shortIDs() {
        #expect(ShortToolID.make("abcDEF123") == "abcDEF123")
        #expect(ShortToolID.make("call_1") == ShortToolID.make("call_1"))
        #expect(ShortToolID.make("call_1") != ShortToolID.make("call_2"))
        #expect(ShortToolID.make("").utf8.count == 9)
    }

    @Test("More than one choice is refused where the vendor gives one")
    func singleChoice() throws {
        var request = ChatRequest(model: "m", messages: [Message(.user, text: "x")])
        request.n = 2
        var dropped: [String] = []
        #expect(throws: ParleyError.self) {
            try OpenAIChat(quirks: strict).encodeRequest(request, dropped: &dropped)
        }
    }

    @Test("Streams ask for usage, keeping the other stream options")
    func streamOptions() throws {
        let body =
            #"{"messages":[{"role":"user","content":"x"}],"stream":true,"#
            + #""stream_options":{"include_obfuscation":false}}"#
        let value = try reencoded(body)
        #expect(value["stream_options"] == ["include_usage": true, "include_obfuscation": false])
        var quirks = Quirks()
        quirks.streamOptions = false
        #expect(try reencoded(body, quirks: quirks)["stream_options"] == nil)
    }

    @Test("What only another dialect knows is dropped or refused")
    func foreign() throws {
        var request = ChatRequest(model: "m", messages: [Message(.user, text: "x")])
        request.extras = Extras(DialectID("other"), ["top_k": 1])
        var dropped: [String] = []
        _ = try OpenAIChat().encodeRequest(request, dropped: &dropped)
        #expect(dropped == ["top_k"])
        request.messages = [Message(.user, [.opaque(DialectID("other"), ["type": "x"])])]
        #expect(throws: ParleyError.self) { try OpenAIChat().encodeRequest(request, dropped: &dropped) }
    }

    @Test("Reasoning with a signature survives the way to a client and back")
    func signedReasoning() throws {
        var message = Message(.assistant, text: "a")
        message.reasoning = [
            Reasoning("why", signature: "sig"), Reasoning("", opaque: ["type": "reasoning.encrypted"]),
        ]
        let request = ChatRequest(model: "m", messages: [message])
        var dropped: [String] = []
        let bytes = try OpenAIChat().encodeRequest(request, dropped: &dropped)
        #expect(try OpenAIChat().decodeRequest(bytes) == request)
    }
}

@Suite("Editing relayed requests")
struct RequestEditTests {
    private func edited(
        _ body: String, stream: Bool = false, overrides: [FieldOverride] = [], quirks: Quirks = Quirks(),
        dropped: inout [String]
    ) throws -> String {
        let scan = try JSONScan(ByteBuffer(string: body))
        let edits = try OpenAIChat(quirks: quirks).requestEdits(
            scan: scan, model: "up", stream: stream, overrides: overrides, dropped: &dropped)
        return String(buffer: scan.applying(edits))
    }

    private func edited(
        _ body: String, stream: Bool = false, overrides: [FieldOverride] = [], quirks: Quirks = Quirks()
    ) throws -> String {
        var dropped: [String] = []
        return try edited(body, stream: stream, overrides: overrides, quirks: quirks, dropped: &dropped)
    }

    @Test("A request that needs nothing keeps every byte")
    func untouched() throws {
        let body = #"{ "model":"up", "messages":[], "seed": 1.0e1 }"#
        #expect(try edited(body) == body)
        let streamed = #"{"model":"up","stream":true,"stream_options":{"include_usage":true,"x":1}}"#
        #expect(try edited(streamed, stream: true) == streamed)
    }

    @Test("The model is set, the stream asked for with usage, other options kept")
    func stream() throws {
        #expect(
            try edited(#"{"model":"a","stream":true,"stream_options":{"include_obfuscation":false}}"#, stream: true)
                == #"{"model":"up","stream":true,"stream_options":{"include_obfuscation":false,"include_usage":true}}"#)
        #expect(
            try edited(#"{"model":"a"}"#, stream: true)
                == #"{"model":"up","stream":true,"stream_options":{"include_usage":true}}"#)
        #expect(
            try edited(#"{"model":"a","stream":true,"stream_options":{}}"#) == #"{"model":"up","stream":false}"#)
    }

    @Test("A forced override beats a default, a later one an earlier one")
    func overrides() throws {
        let list = [
            FieldOverride(name: "temperature", json: "1", force: false),
            FieldOverride(name: "temperature", json: "2", force: true),
            FieldOverride(name: "temperature", json: "3", force: false),
            FieldOverride(name: "seed", json: "4", force: false), FieldOverride(name: "seed", json: "5", force: false),
            FieldOverride(name: "top_p", json: "6", force: false),
        ]
        let value = try JSON.parse(edited(#"{"model":"up","temperature":9,"top_p":null}"#, overrides: list))
        #expect(value["temperature"]?.int == 2 && value["seed"]?.int == 5 && value["top_p"]?.int == 6)
        let kept = try JSON.parse(edited(#"{"model":"up","seed":8}"#, overrides: list))
        #expect(kept["seed"]?.int == 8)
    }

    @Test("The two length fields count as one")
    func length() throws {
        let forced = [FieldOverride(name: "max_tokens", json: "10", force: true)]
        #expect(
            try edited(#"{"model":"up","max_completion_tokens":99}"#, overrides: forced)
                == #"{"model":"up","max_tokens":10}"#)
        let gentle = [FieldOverride(name: "max_tokens", json: "10", force: false)]
        let body = #"{"model":"up","max_completion_tokens":99}"#
        #expect(try edited(body, overrides: gentle) == body)
        var quirks = Quirks()
        quirks.lengthField = .maxTokens
        #expect(try edited(body, quirks: quirks) == #"{"model":"up","max_tokens":99}"#)
        let both = #"{"model":"up","max_tokens":1,"max_completion_tokens":99}"#
        #expect(try edited(both, quirks: quirks) == #"{"model":"up","max_tokens":99}"#)
        quirks.lengthField = .maxCompletionTokens
        #expect(
            try edited(#"{"model":"up"}"#, overrides: forced, quirks: quirks)
                == #"{"model":"up","max_completion_tokens":10}"#)
    }

    @Test("Quirks at the top level are applied and what is left out is said")
    func quirks() throws {
        var quirks = Quirks()
        quirks.streamOptions = false
        quirks.renamedFields = ["seed": "random_seed"]
        quirks.droppedFields = ["logit_bias", "store"]
        quirks.refusesUnknownFields = true
        quirks.requiredToolChoice = "any"
        quirks.singleChoice = true
        var dropped: [String] = []
        let body =
            #"{"model":"up","seed":1,"logit_bias":{},"store":null,"top_k":2,"tool_choice":"required","n":1,"#
            + #""stream":true,"stream_options":{"include_usage":true}}"#
        let text = try edited(body, stream: true, quirks: quirks, dropped: &dropped)
        #expect(text == #"{"model":"up","random_seed":1,"tool_choice":"any","n":1,"stream":true}"#)
        #expect(dropped == ["logit_bias", "top_k"])
        #expect(throws: ParleyError.self) { try edited(#"{"n":2}"#, quirks: quirks) }
    }
}
