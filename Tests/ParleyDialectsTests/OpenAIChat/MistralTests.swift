// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Mistral's accent")
struct MistralTests {
    /// As the catalogue has them.
    private static var quirks: Quirks {
        var quirks = Quirks()
        quirks.streamOptions = false
        quirks.lengthField = .maxTokens
        quirks.renamedFields = ["seed": "random_seed"]
        quirks.refusesUnknownFields = true
        quirks.knownFields = ["random_seed", "safe_prompt"]
        quirks.shortToolIDs = true
        quirks.requiredToolChoice = "any"
        quirks.acceptsReasoningBack = false
        quirks.documentURLs = true
        return quirks
    }

    @Test("A request is one that Mistral takes")
    func request() throws {
        var dropped: [String] = []
        let body = #"""
            {"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a"},
            {"type":"document_url","document_url":"https://e.x/a.pdf"},
            {"type":"file","file":{"file_data":"data:application/pdf;base64,AA=="}}]},
            {"role":"assistant","content":"b","reasoning_content":"hm","tool_calls":[
            {"id":"call_longer","type":"function","function":{"name":"f","arguments":"{}"}},
            {"id":"abcDEF123","type":"function","function":{"name":"g","arguments":"{}"}}]},
            {"role":"tool","tool_call_id":"call_longer","content":"r"},
            {"role":"tool","tool_call_id":"abcDEF123","content":"r"},
            {"role":"assistant","content":"c","prefix":true}],
            "tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"any","parallel_tool_calls":false,
            "n":2,"seed":7,"safe_prompt":true,"max_completion_tokens":5,"stream":true}
            """#
        let written = try reencoded(body, quirks: Self.quirks, dropped: &dropped)
        #expect(dropped == ["messages[].reasoning_content"])
        #expect(written["tool_choice"] == "any" && written["parallel_tool_calls"] == false && written["n"] == 2)
        #expect(written["random_seed"] == 7 && written["safe_prompt"] == true && written["max_tokens"] == 5)
        #expect(written["stream_options"] == nil)
        let messages = written["messages"]?.array ?? []
        let parts = messages[0]["content"]?.array ?? []
        #expect(parts[1] == ["type": "document_url", "document_url": "https://e.x/a.pdf"])
        #expect(parts[2] == ["type": "document_url", "document_url": "data:application/pdf;base64,AA=="])
        let ids = messages[1]["tool_calls"]?.array?.compactMap { $0["id"]?.string } ?? []
        #expect(ids.map(\.utf8.count) == [9, 9] && ids[1] == "abcDEF123")
        #expect(messages[2]["tool_call_id"]?.string == ids[0] && messages[4]["prefix"] == true)
    }

    @Test("Content in chunks is told apart: thinking, text, and references without either")
    func chunks() throws {
        let content = #"""
            [{"type":"thinking","thinking":[{"type":"text","text":"hm"},{"type":"reference","reference_ids":[1]}]},
            {"type":"text","text":"a"},{"type":"reference","reference_ids":[0]},{"type":"text","text":"b"}]
            """#
        let whole = try OpenAIChat(quirks: Self.quirks).decodeWhole(
            ByteBuffer(string: #"{"choices":[{"message":{"content":\#(content)},"finish_reason":"stop"}]}"#))
        #expect(whole.choices[0].message.text == "ab")
        #expect(whole.choices[0].message.reasoning == [Reasoning("hm")])
        let line = content.filter { !$0.isNewline }
        let streamed = decode(
            stream(chunk(#"{"content":\#(line)}"#), chunk(#"{"content":"c"}"#, finish: #""model_length""#)),
            quirks: Self.quirks
        ).response.choices[0]
        #expect(streamed.message.text == "abc" && streamed.message.reasoning == [Reasoning("hm")])
        #expect(streamed.finish == .length)
    }
}
