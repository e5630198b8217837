// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Gemini's requests, written")
struct GeminiRequestEncoderTests {
    private static let loop = """
        {"model":"m","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Go"},
        {"role":"assistant","content":null,"tool_calls":[
        {"id":"a","type":"function","function":{"name":"f","arguments":"{\\"x\\":1}"}},
        {"id":"b","type":"function","function":{"name":"g","arguments":"oops"}}]},
        {"role":"tool","tool_call_id":"a","content":"wet"},
        {"role":"tool","tool_call_id":"b","content":"[1,2]"},
        {"role":"user","content":"And?"}]}
        """

    @Test("Turns alternate, results share one content before the text, and values are wrapped")
    func turns() throws {
        let body = try GeminiRun.written(GeminiRun.openAI(Self.loop))
        #expect(body["systemInstruction"] == ["parts": [["text": "Be brief."]]])
        let contents = try #require(body["contents"]?.array)
        #expect(contents.map { $0["role"]?.string } == ["user", "model", "user"])
        let calls = try #require(contents[1]["parts"]?.array)
        #expect(calls[0] == ["functionCall": ["name": "f", "args": ["x": 1], "id": "a"]])
        #expect(calls[1]["functionCall"]?["args"] == ["input": "oops"])
        #expect(
            contents[2]["parts"] == [
                ["functionResponse": ["id": "a", "name": "f", "response": ["result": "wet"]]],
                ["functionResponse": ["id": "b", "name": "g", "response": ["result": [1, 2]]]],
                ["text": "And?"],
            ])
    }

    @Test("Vertex gets no ids, and Gemini 3 the literal in place of a signature on the first call only")
    func platforms() throws {
        let request = try GeminiRun.openAI(Self.loop, model: "gemini-3-pro-preview")
        let body = try GeminiRun.written(request, as: Gemini(platform: .vertex))
        #expect(!JSON.text(body).contains(#""id""#))
        let calls = try #require(body["contents"]?.array?[1]["parts"]?.array)
        #expect(calls.map { $0["thoughtSignature"]?.string } == ["skip_thought_signature_validator", nil])
        let older = try GeminiRun.written(GeminiRun.openAI(Self.loop))
        #expect(!JSON.text(older).contains("thoughtSignature"))
    }

    @Test("A signature goes back on the part it came on, and another vendor's goes nowhere")
    func signatures() throws {
        var turn = Message(.assistant, [.text("a"), .text("b")])
        turn.reasoning = [
            Reasoning("hm", signature: "r", origin: .gemini), Reasoning("", signature: "t", origin: .gemini),
            Reasoning("foreign", signature: "x", origin: .anthropic),
        ]
        var first = ToolCall(id: "1", name: "f", arguments: "{}")
        first.signature = "c"
        first.origin = .gemini
        var second = ToolCall(id: "2", name: "f", arguments: "{}")
        second.signature = "y"
        second.origin = .anthropic
        turn.toolCalls = [first, second]
        let request = ChatRequest(model: "gemini-3-flash", messages: [Message(.user, text: "Go"), turn])
        var dropped: [String] = []
        let body = try GeminiRun.written(request, dropped: &dropped)
        let parts = try #require(body["contents"]?.array?[1]["parts"]?.array)
        #expect(parts[0] == ["text": "hm", "thought": true, "thoughtSignature": "r"])
        #expect(parts[1] == ["text": "a"] && parts[2] == ["text": "b", "thoughtSignature": "t"])
        #expect(parts[3]["thoughtSignature"] == "c" && parts[4]["thoughtSignature"] == nil)
        #expect(dropped == ["messages[].reasoning_content"] && !JSON.text(body).contains("foreign"))
    }

    @Test("A conversation that begins with the assistant, or has no turns, gets a user's turn first")
    func firstTurn() throws {
        let assistant = ChatRequest(model: "m", messages: [Message(.assistant, text: "Hi")])
        let roles = try GeminiRun.written(assistant)["contents"]?.array?.map { $0["role"]?.string }
        #expect(roles == ["user", "model"])
        let system = ChatRequest(model: "m", messages: [Message(.system, text: "Be brief.")])
        #expect(try GeminiRun.written(system)["contents"]?.array?.count == 1)
        var late = assistant
        late.messages.append(Message(.developer, text: "Now in French."))
        let last = try GeminiRun.written(late)["contents"]?.array?.last
        #expect(last == ["role": "user", "parts": [["text": "Now in French."]]])
    }

    @Test("Fields are translated, and what has no word is dropped once")
    func fields() throws {
        let body = """
            {"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"Hi"},
            {"type":"image_url","image_url":{"url":"https://x.example/a.webp?v=1"}},
            {"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}},
            {"type":"input_audio","input_audio":{"data":"BB","format":"wav"}},
            {"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,CC"}}]}],
            "max_tokens":9,"temperature":0.5,"top_p":0.9,"n":2,"stop":"x","seed":3,"logprobs":true,"top_logprobs":2,
            "frequency_penalty":0.1,"presence_penalty":0.2,"user":"u","parallel_tool_calls":false,"store":true,
            "response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"}}},
            "tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"type":"object"}}}],
            "tool_choice":{"type":"function","function":{"name":"f"}},"modalities":["text","image"]}
            """
        var dropped: [String] = []
        let written = try GeminiRun.written(GeminiRun.openAI(body), dropped: &dropped)
        #expect(dropped == ["tools[].function.strict", "user", "parallel_tool_calls", "store"])
        let config = try #require(written["generationConfig"]?.object)
        let expected = try GeminiRun.json(
            """
            {"temperature":0.5,"topP":0.9,"candidateCount":2,"maxOutputTokens":9,"stopSequences":["x"],"seed":3,
            "presencePenalty":0.2,"frequencyPenalty":0.1,"responseLogprobs":true,"logprobs":2,
            "responseMimeType":"application/json","responseJsonSchema":{"type":"object"},
            "responseModalities":["TEXT","IMAGE"]}
            """)
        #expect(same(.object(config), expected))
        let parts = try #require(written["contents"]?.array?[0]["parts"]?.array)
        #expect(parts[1]["fileData"] == ["mimeType": "image/webp", "fileUri": "https://x.example/a.webp?v=1"])
        #expect(parts[2]["inlineData"]?["mimeType"] == "image/png")
        #expect(parts[3]["inlineData"] == ["mimeType": "audio/wav", "data": "BB"])
        #expect(parts[4]["inlineData"]?["mimeType"] == "application/pdf")
        #expect(written["tools"]?.array?[0]["functionDeclarations"]?.array?[0]["parametersJsonSchema"] != nil)
        #expect(
            written["toolConfig"]?["functionCallingConfig"] == ["mode": "ANY", "allowedFunctionNames": ["f"]])
    }

    @Test(
        "Effort is a level for Gemini 3, a budget for 2.5, and nothing before",
        arguments: [
            ("gemini-3-pro-preview", "minimal", "thinkingLevel", "\"LOW\""),
            ("gemini-3-flash", "none", "thinkingLevel", "\"MINIMAL\""),
            ("gemini-3-flash", "medium", "thinkingLevel", "\"MEDIUM\""),
            ("gemini-3-flash", "xhigh", "thinkingLevel", "\"HIGH\""),
            ("models/gemini-2.5-flash", "none", "thinkingBudget", "0"),
            ("gemini-2.5-pro", "none", "thinkingBudget", "128"),
            ("gemini-2.5-flash", "low", "thinkingBudget", "1024"),
            ("gemini-2.5-flash", "high", "thinkingBudget", "24576"),
            ("gemini-2.5-flash", "max", "thinkingBudget", "24576"),
        ])
    func effort(model: String, effort: String, field: String, value: String) throws {
        var request = ChatRequest(model: model, messages: [Message(.user, text: "Hi")])
        request.reasoningEffort = effort
        let thinking = try GeminiRun.written(request)["generationConfig"]?["thinkingConfig"]?.object
        #expect(thinking?.members.map(\.key) == [field] && thinking?[field].map(JSON.text) == value)
        request.model = "gemini-2.0-flash"
        var dropped: [String] = []
        #expect(try GeminiRun.written(request, dropped: &dropped)["generationConfig"] == nil)
        #expect(dropped == ["reasoning_effort"])
    }

    @Test("Media of a result are inside of it for Gemini 3 and behind the results before")
    func resultMedia() throws {
        var result = Message(.tool, [.text("see"), .image(url: "data:image/png;base64,AA", detail: nil)])
        result.toolCallID = "a"
        result.isError = true
        var turn = Message(.assistant, [])
        turn.toolCalls = [ToolCall(id: "a", name: "f", arguments: "")]
        for (model, count) in [("gemini-3-flash", 1), ("gemini-2.5-flash", 2)] {
            let request = ChatRequest(model: model, messages: [Message(.user, text: "Go"), turn, result])
            let body = try GeminiRun.written(request)
            let parts = try #require(body["contents"]?.array?.last?["parts"]?.array)
            #expect(parts.count == count)
            #expect(parts[0]["functionResponse"]?["response"] == ["error": "see"])
        }
    }

    @Test("Another vendor's tools, parts, files and formats are refused")
    func refusals() throws {
        let plain = ChatRequest(model: "m", messages: [Message(.user, text: "Hi")])
        var requests = [plain, plain, plain, plain]
        requests[0].tools = [Tool(name: "web_search")]
        requests[0].tools[0].opaque = (.anthropic, [:])
        requests[1].messages[0].content = [.opaque(.anthropic, [:])]
        requests[2].messages[0].content = [.file(FilePart(id: "file-1"))]
        requests[3].responseFormat = .opaque(.openAIChat, [:])
        let fields = ["tools", "messages[0].content[0]", "messages[0].content[0].file_id", "response_format"]
        for (request, field) in zip(requests, fields) {
            do {
                _ = try GeminiRun.written(request)
                Issue.record("\(field) was not refused")
            } catch let error as ParleyError {
                #expect(error.kind == .invalid && error.parameter == field)
            }
        }
    }

    @Test("Everything that is dropped or refused is declared")
    func losses() {
        let declared = Set(GeminiRun.dialect.losses.map(\.field))
        let dropped = [
            "user", "parallel_tool_calls", "tools[].function.strict", "messages[].name", "cache_control",
            "reasoning_effort", "messages[].reasoning_content", "tool_choice",
        ]
        #expect(declared.isSuperset(of: dropped))
    }
}

@Suite("Gemini's schemas")
struct GeminiSchemaTests {
    @Test("A classic schema becomes JSON Schema")
    func raise() throws {
        let schema = try GeminiRun.json(
            """
            {"type":"OBJECT","properties":{"type":{"type":"STRING","nullable":true},
            "a_b":{"type":"ARRAY","items":{"type":"INTEGER"},"max_items":"3"}},"propertyOrdering":["type"]}
            """)
        let expected = try GeminiRun.json(
            """
            {"type":"object","properties":{"type":{"type":["string","null"]},
            "a_b":{"type":"array","items":{"type":"integer"},"maxItems":3}}}
            """)
        #expect(same(GeminiSchema.jsonSchema(schema), expected))
    }

    @Test("JSON Schema is cut down to the classic subset")
    func lower() throws {
        let schema = try GeminiRun.json(
            """
            {"$schema":"x","type":"object","additionalProperties":false,"required":["a","gone"],
            "$defs":{"T":{"type":"object","properties":{"n":{"type":["number","null"]},"t":{"$ref":"#/$defs/T"}}}},
            "properties":{"a":{"const":5},"b":{"oneOf":[{"type":"string","format":"uri"},{"type":"null"}]},
            "c":{"$ref":"#/$defs/T","description":"d"},
            "d":{"allOf":[{"type":"object","properties":{"x":{"type":"boolean"}}}]},
            "e":{"anyOf":[{"type":"string"},{"type":"integer"}]},"f":{"type":"array"},"g":{"enum":["p","q"]}}}
            """)
        let classic = GeminiSchema.classic(schema)
        let text = JSON.text(classic)
        for word in ["$schema", "$ref", "$defs", "oneOf", "allOf", "const", "additionalProperties", "uri", "gone"] {
            #expect(!text.contains(word), "\(word)")
        }
        #expect(classic["type"] == "OBJECT" && classic["required"] == ["a"])
        let properties = classic["properties"]
        #expect(properties?["a"] == ["enum": ["5"], "type": "STRING"])
        #expect(properties?["b"]?["nullable"] == true && properties?["b"]?["type"] == "STRING")
        #expect(properties?["c"]?["description"] == "d")
        #expect(properties?["c"]?["properties"]?["n"] == ["type": "NUMBER", "nullable": true])
        #expect(properties?["d"]?["properties"]?["x"] == ["type": "BOOLEAN"])
        #expect(properties?["e"]?["anyOf"]?.array?.count == 2)
        #expect(properties?["f"]?["items"] != nil && properties?["g"]?["type"] == "STRING")
    }

    @Test("A dialect without the fields for JSON Schema writes the classic ones")
    func fields() throws {
        var request = ChatRequest(model: "m", messages: [Message(.user, text: "Hi")])
        request.tools = [
            Tool(name: "f", parameters: ["type": "object", "properties": ["a": ["type": "string"]]]),
            Tool(name: "g", parameters: ["type": "object", "properties": [:]]),
        ]
        request.responseFormat = .jsonSchema(name: "r", description: nil, schema: ["type": "object"], strict: nil)
        let body = try GeminiRun.written(request, as: Gemini(jsonSchemaFields: false))
        let functions = body["tools"]?.array?[0]["functionDeclarations"]?.array
        #expect(functions?[0]["parameters"]?["type"] == "OBJECT" && functions?[1]["parameters"] == nil)
        #expect(body["generationConfig"]?["responseSchema"] == ["type": "OBJECT"])
        #expect(!JSON.text(body).contains("JsonSchema"))
    }

    @Test("Schemas that point to themselves, deep or wide, end")
    func hostile() throws {
        let loop = try GeminiRun.json(##"{"$ref":"#"}"##)
        #expect(GeminiSchema.classic(loop).object != nil)
        let wide = try GeminiRun.json(
            ##"{"$defs":{"T":{"properties":{"a":{"$ref":"#/$defs/T"},"b":{"$ref":"#/$defs/T"}}}},"$ref":"#/$defs/T"}"##)
        #expect(JSON.text(GeminiSchema.classic(wide)).utf8.count < 4 << 20)
    }
}
