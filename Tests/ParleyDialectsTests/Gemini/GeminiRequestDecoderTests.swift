// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Gemini's requests, read")
struct GeminiRequestDecoderTests {
    @Test("Both spellings, a single content, a single part and bare text are read")
    func spellings() throws {
        let camel = try GeminiRun.request([
            "systemInstruction": ["parts": [["text": "Be brief."]]],
            "contents": [["role": "user", "parts": [["text": "Hi"]]]],
            "generationConfig": [
                "maxOutputTokens": 5, "topK": 40, "stopSequences": ["."], "candidateCount": 2,
                "thinkingConfig": ["includeThoughts": true, "thinkingBudget": 512],
            ],
        ])
        let snake = try GeminiRun.request([
            "system_instruction": ["parts": ["text": "Be brief."]],
            "contents": ["parts": ["text": "Hi"]],
            "generation_config": [
                "max_output_tokens": 5, "top_k": 40, "stop_sequences": ["."], "candidate_count": 2,
                "thinking_config": ["include_thoughts": true, "thinking_budget": 512],
            ],
        ])
        #expect(camel == snake)
        #expect(camel.messages.map(\.role) == [.system, .user])
        #expect(camel.maxTokens == 5 && camel.topK == 40 && camel.stop == ["."] && camel.n == 2)
        #expect(camel.showsReasoning == true && camel.reasoningBudget == 512)
        #expect(try GeminiRun.request(["contents": "Hi"]).messages.first?.text == "Hi")
    }

    @Test("Calls without ids and their results are paired by name, in order")
    func pairing() throws {
        func call(_ name: String, _ x: Int) -> JSONValue {
            ["functionCall": ["name": .string(name), "args": ["x": .int(x)]]]
        }
        func result(_ name: String, _ text: String) -> JSONValue {
            ["functionResponse": ["name": .string(name), "response": ["result": .string(text)]]]
        }
        let request = try GeminiRun.request([
            "contents": [
                ["role": "user", "parts": [["text": "Go"]]],
                ["role": "model", "parts": [call("f", 1), call("g", 2), call("f", 3)]],
                [
                    "role": "user",
                    "parts": [result("g", "two"), result("f", "one"), result("f", "three"), ["text": "?"]],
                ],
                ["role": "model", "parts": [call("f", 4)]],
                ["role": "function", "parts": [result("f", "four")]],
            ]
        ])
        let ids = request.messages[1].toolCalls.map(\.id)
        #expect(Set(ids).count == 3)
        #expect(request.messages.map(\.role) == [.user, .assistant, .tool, .tool, .tool, .user, .assistant, .tool])
        #expect(request.messages[2...4].map(\.toolCallID) == [ids[1], ids[0], ids[2]])
        #expect(request.messages[2...4].map(\.text) == ["two", "one", "three"])
        #expect(request.messages[7].toolCallID == request.messages[6].toolCalls[0].id)
        #expect(!ids.contains(request.messages[6].toolCalls[0].id))
    }

    @Test("Thoughts, signatures and media are kept where they belong")
    func parts() throws {
        let request = try GeminiRun.request([
            "contents": [
                ["role": "user", "parts": [["inline_data": ["mime_type": "image/png", "data": "AA"]]]],
                [
                    "role": "model",
                    "parts": [
                        ["text": "hm", "thought": true], ["text": "Hi", "thoughtSignature": "t"],
                        ["functionCall": ["name": "f", "args": [:], "id": "own"], "thought_signature": "c"],
                        ["executableCode": ["language": "PYTHON", "code": "1"]],
                    ],
                ],
            ]
        ])
        #expect(request.messages[0].content == [.image(url: "data:image/png;base64,AA==", detail: nil)])
        let turn = request.messages[1]
        #expect(turn.reasoning.map(\.text) == ["hm", ""] && turn.reasoning.map(\.signature) == [nil, "t"])
        #expect(turn.reasoning.allSatisfy { $0.origin == .gemini })
        #expect(turn.toolCalls[0].signature == "c" && turn.toolCalls[0].origin == .gemini)
        #expect(turn.toolCalls[0].id == "own" && turn.text == "Hi")
        guard case .opaque(.gemini, let code)? = turn.content.last else {
            Issue.record("code is not kept")
            return
        }
        #expect(code["executableCode"]?["code"] == "1")
    }

    @Test("Choices of tools are understood, and what has no neutral word comes back only to Gemini")
    func tools() throws {
        func choice(_ config: JSONValue) throws -> ToolChoice? {
            try GeminiRun.request(["contents": "x", "toolConfig": ["functionCallingConfig": config]]).toolChoice
        }
        #expect(try choice(["mode": "AUTO"]) == .auto)
        #expect(try choice(["mode": "none"]) == ToolChoice.none)
        #expect(try choice(["mode": "ANY"]) == .required)
        #expect(try choice(["mode": "ANY", "allowed_function_names": ["f"]]) == .named("f"))
        let both: JSONValue = ["mode": "VALIDATED", "allowedFunctionNames": ["f", "g"]]
        #expect(try choice(both) == .opaque(.gemini, both))
        let request = try GeminiRun.request([
            "contents": "x", "safetySettings": [["category": "c"]], "cachedContent": "cachedContents/1",
            "tools": [["googleSearch": [:]], ["functionDeclarations": [["name": "f"]]]],
        ])
        #expect(request.tools.map(\.name) == ["googleSearch", "f"] && request.tools[0].opaque?.0 == .gemini)
        var dropped: [String] = []
        #expect(try GeminiRun.written(request, dropped: &dropped)["safetySettings"] != nil && dropped.isEmpty)
        var plain = request
        plain.tools.removeFirst()
        _ = try OpenAIChat().encodeRequest(plain, dropped: &dropped)
        #expect(dropped == ["safetySettings", "cachedContent"])
    }

    @Test(
        "Faults name the field",
        arguments: [
            ("{}", "contents"), (#"{"contents":[]}"#, "contents"), (#"{"contents":[7]}"#, "contents"),
            (#"{"contents":[{"role":"robot","parts":[{"text":"a"}]}]}"#, "contents[0].role"),
            (#"{"contents":[{"parts":[{"text":5}]}]}"#, "contents[0].parts[0].text"),
            (#"{"contents":[{"parts":[{}]}]}"#, "contents[0].parts[0].text"),
            (
                #"{"contents":[{"role":"model","parts":[{"functionCall":{}}]}]}"#,
                "contents[0].parts[0].functionCall.name"
            ),
            (#"{"contents":[{"parts":[{"inlineData":{"data":"A"}}]}]}"#, "contents[0].parts[0].inlineData.mimeType"),
            (#"{"contents":"x","generationConfig":{"topP":"a"}}"#, "generationConfig.topP"),
            (#"{"contents":"x","generation_config":{"candidate_count":0}}"#, "generationConfig.candidateCount"),
            (#"{"contents":"x","tools":[{"functionDeclarations":[{}]}]}"#, "tools[0].functionDeclarations[0].name"),
            (#"{"contents":"x","toolConfig":[]}"#, "toolConfig"),
        ])
    func faults(body: String, parameter: String) {
        let fault = GeminiRun.fault(body)
        #expect(fault?.kind == .invalid && fault?.parameter == parameter)
    }

    @Test("A request to count is read in both forms and written as each service wants it")
    func counting() throws {
        let dialect = GeminiRun.dialect
        let plain = try dialect.decodeCountRequest(ByteBuffer(string: #"{"contents":"Hi"}"#))
        let body = #"{"generateContentRequest":{"model":"models/m","contents":"Hi","tools":[]}}"#
        var wrapped = try dialect.decodeCountRequest(ByteBuffer(string: body))
        #expect(wrapped.model == "m" && wrapped.messages == plain.messages)
        wrapped.model = "gemini-2.5-flash"
        var dropped: [String] = []
        let developer = try JSON.parse(dialect.encodeCountRequest(wrapped, dropped: &dropped))
        #expect(developer["generateContentRequest"]?["model"] == "models/gemini-2.5-flash")
        let vertex = try JSON.parse(Gemini(platform: .vertex).encodeCountRequest(wrapped, dropped: &dropped))
        #expect(vertex["contents"] != nil && vertex["model"] == nil)
        #expect(try dialect.decodeCount(ByteBuffer(string: #"{"totalTokens":12}"#)) == 12)
        #expect(String(buffer: dialect.encodeCount(7)) == #"{"totalTokens":7}"#)
        #expect(throws: ParleyError.self) { try dialect.decodeCount(ByteBuffer(string: "{}")) }
        #expect(GeminiModelList.encode(["a/b"])["models"]?.array?.first?["name"] == "models/a/b")
    }
}
