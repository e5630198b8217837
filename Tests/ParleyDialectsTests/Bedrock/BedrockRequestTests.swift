// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Requests to Bedrock")
struct BedrockRequestTests {
    @Test("A plain request has turns, a system prompt and the sampling, and no model")
    func plain() throws {
        let (body, dropped) = try BedrockRun.encode(
            """
            {"model":"m","stream":true,"messages":[{"role":"system","content":"Be brief."},
            {"role":"user","content":"Hi"},{"role":"assistant","content":"Yes?"},
            {"role":"developer","content":[{"type":"text","text":"In French."}]},{"role":"user","content":"Go"}],
            "max_tokens":50,"temperature":1.5,"stop":["END"]}
            """)
        let expected = try JSON.parse(
            """
            {"messages":[{"role":"user","content":[{"text":"Hi"}]},{"role":"assistant","content":[{"text":"Yes?"}]},
            {"role":"user","content":[{"text":"Go"}]}],"system":[{"text":"Be brief."},{"text":"In French."}],
            "inferenceConfig":{"maxTokens":50,"temperature":1,"stopSequences":["END"]}}
            """)
        #expect(same(body, expected))
        #expect(dropped.isEmpty)
    }

    @Test("Turns alternate: neighbours of one role are one turn, blank text goes, the user speaks first")
    func merging() throws {
        let (body, _) = try BedrockRun.encode(
            """
            {"model":"m","messages":[{"role":"assistant","content":"Hello!"},{"role":"user","content":"a"},
            {"role":"user","content":" \\n"},{"role":"user","content":"b"},{"role":"assistant","content":"So: \\n"}]}
            """)
        let expected = try JSON.parse(
            """
            [{"role":"user","content":[{"text":"Please begin."}]},{"role":"assistant","content":[{"text":"Hello!"}]},
            {"role":"user","content":[{"text":"a"},{"text":"b"}]},{"role":"assistant","content":[{"text":"So:"}]}]
            """)
        #expect(body["messages"] == expected)
        #expect(
            BedrockRun.fault(#"{"model":"m","messages":[{"role":"system","content":"x"}]}"#)?.parameter == "messages")
    }

    private static let loop = """
        {"role":"user","content":"Weather?"},{"role":"assistant","content":null,"tool_calls":[
        {"id":"call_1","type":"function","function":{"name":"w","arguments":"{\\"city\\":\\"Oslo\\"}"}},
        {"id":"call.2","type":"function","function":{"name":"w","arguments":""}}]},
        {"role":"tool","tool_call_id":"call_1","content":"7 degrees"},
        {"role":"user","content":"And?"},{"role":"tool","tool_call_id":"call.2","content":""}
        """

    @Test("All results of tools are in one user turn before its text, and ids are made such that Bedrock takes them")
    func results() throws {
        let (body, _) = try BedrockRun.encode(#"{"model":"m","messages":[\#(Self.loop)]}"#)
        let turns = try #require(body["messages"]?.array)
        #expect(turns.count == 3)
        let id = ConverseRequestEncoder.callID("call.2")
        #expect(id != "call.2" && id.utf8.allSatisfy { $0 != UInt8(ascii: ".") })
        #expect(ConverseRequestEncoder.callID("call_1") == "call_1")
        let calls: JSONValue = [
            ["toolUse": ["toolUseId": "call_1", "name": "w", "input": ["city": "Oslo"]]],
            ["toolUse": ["toolUseId": .string(id), "name": "w", "input": [:]]],
        ]
        #expect(turns[1]["content"] == calls)
        let results: JSONValue = [
            ["toolResult": ["toolUseId": "call_1", "content": [["text": "7 degrees"]]]],
            ["toolResult": ["toolUseId": .string(id), "content": [["text": "(no output)"]]]], ["text": "And?"],
        ]
        #expect(turns[2]["content"] == results)
    }

    @Test("A history with calls has tools even where the client sends none or forbids them")
    func neededTools() throws {
        let without = try BedrockRun.encode(#"{"model":"m","messages":[\#(Self.loop)]}"#).body
        #expect(without["toolConfig"]?["tools"]?.array?.first?["toolSpec"]?["name"] == "w")
        #expect(without["system"]?.array?.last?["text"]?.string?.contains("Do not call") == true)
        let tools = #""tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"none""#
        let forbidden = try BedrockRun.encode(#"{"model":"m","messages":[\#(Self.loop)],\#(tools)}"#).body
        #expect(forbidden["toolConfig"]?["tools"]?.array?.count == 1)
        #expect(forbidden["toolConfig"]?["toolChoice"] == nil)
        #expect(forbidden["system"] != nil)
        let fresh = try BedrockRun.encode(BedrockRun.ask(",\(tools)")).body
        #expect(fresh["toolConfig"] == nil && fresh["system"] == nil)
    }

    @Test("A failed tool says so, images come along, and Mistral gets JSON")
    func resultContent() throws {
        var request = ChatRequest(model: BedrockRun.claude, messages: [Message(.user, text: "Go")])
        var call = Message(.assistant, [])
        call.toolCalls = [ToolCall(id: "c1", name: "t", arguments: "{}")]
        var result = Message(.tool, [.text(#"{"a":1}"#), .image(url: "data:image/jpg;base64,AAAA", detail: nil)])
        result.toolCallID = "c1"
        result.isError = true
        request.messages += [call, result]
        func results(_ model: String) throws -> JSONValue? {
            request.model = model
            return try BedrockRun.encode(request).body["messages"]?.array?.last?["content"]?.array?.first?["toolResult"]
        }
        let image: JSONValue = ["image": ["format": "jpeg", "source": ["bytes": "AAAA"]]]
        let claude = try results(BedrockRun.claude)
        #expect(claude?["content"] == [["text": #"{"a":1}"#], image])
        #expect(claude?["status"] == "error")
        let mistral = try results("mistral.mistral-large-2407-v1:0")
        #expect(mistral?["content"] == [["json": ["result": "The tool failed:"]], ["json": ["a": 1]], image])
        #expect(mistral?["status"] == nil)
    }

    @Test("Tools: schemas are objects, blank descriptions go, choices are Converse's")
    func tools() throws {
        let tools = """
            ,"tools":[{"type":"function","function":{"name":"a","description":" ","strict":true}},
            {"type":"function","function":{"name":"b","description":"B",
            "parameters":{"type":"object","properties":{"x":{}}}}}]
            """
        let body = try BedrockRun.encode(BedrockRun.ask(tools + #","tool_choice":"auto""#)).body
        let expected = try JSON.parse(
            """
            {"tools":[{"toolSpec":{"name":"a","inputSchema":{"json":{"type":"object","properties":{}}},"strict":true}},
            {"toolSpec":{"name":"b","description":"B","inputSchema":{"json":{"type":"object","properties":{"x":{}}}}}}]}
            """)
        #expect(same(body["toolConfig"], expected))
        let any = try BedrockRun.encode(BedrockRun.ask(tools + #","tool_choice":"required""#)).body
        #expect(any["toolConfig"]?["toolChoice"] == ["any": [:]])
        let named = #","tool_choice":{"type":"function","function":{"name":"b"}}"#
        #expect(
            try BedrockRun.encode(BedrockRun.ask(tools + named)).body["toolConfig"]?["toolChoice"] == [
                "tool": ["name": "b"]
            ])
        let llama = try BedrockRun.encode(BedrockRun.ask(tools + named), model: "us.meta.llama3-3-70b-instruct-v1:0")
        #expect(llama.body["toolConfig"]?["toolChoice"] == nil)
        #expect(llama.dropped == ["tool_choice"])
    }

    @Test("What Converse has no word for is left out and named, once, and is in the list of losses")
    func drops() throws {
        let (body, dropped) = try BedrockRun.encode(
            BedrockRun.ask(
                #","frequency_penalty":1,"presence_penalty":1,"seed":3,"logprobs":true,"top_logprobs":2,"user":"u","#
                    + #""parallel_tool_calls":false,"logit_bias":{"5":1},"top_p":0.5,"temperature":0.5"#))
        #expect(
            Set(dropped) == [
                "frequency_penalty", "presence_penalty", "seed", "logprobs", "top_logprobs", "user",
                "parallel_tool_calls", "logit_bias", "top_p",
            ])
        #expect(dropped.count == Set(dropped).count)
        #expect(body["inferenceConfig"] == ["temperature": .number("0.5")])
        let declared = Set(Bedrock().losses.filter { $0.fate == .dropped }.map(\.field))
        #expect(declared.isSuperset(of: dropped))
    }

    @Test("Every field that OpenAI documents is carried or declared lost, and the page on dialects says the same")
    func declared() throws {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { root.deleteLastPathComponent() }
        let page = try String(contentsOf: root.appendingPathComponent("docs/dialects.md"), encoding: .utf8)
        let losses = Bedrock().losses
        for loss in losses {
            #expect(page.contains("| `\(loss.field)` | \(loss.fate.rawValue) | \(loss.note) |"), "\(loss.field)")
        }
        let dropped = Set(losses.filter { $0.fate == .dropped }.map(\.field))
        var request = ChatRequest(model: BedrockRun.claude, messages: [Message(.user, text: "Hi")])
        request.extras = Extras(.openAIChat, JSONObject(ChatField.documented.sorted().map { .init($0, 1) }))
        let carried: Set<String> = [
            "model", "messages", "function_call", "functions", "max_completion_tokens", "max_tokens", "n", "stop",
            "stream",
            "stream_options", "tools", "response_format",
        ]
        #expect(dropped.isSuperset(of: Set(try BedrockRun.encode(request).dropped).subtracting(carried)))
    }

    @Test("Fields of Bedrock's own pass, whoever says them")
    func ownFields() throws {
        let (body, dropped) = try BedrockRun.encode(
            BedrockRun.ask(
                #","guardrailConfig":{"guardrailIdentifier":"g","guardrailVersion":"1"},"top_k":5,"#
                    + #""additionalModelRequestFields":{"anthropic_beta":["x"]},"#
                    + #""performanceConfig":{"latency":"optimized"}"#
            ))
        #expect(body["guardrailConfig"]?["guardrailIdentifier"] == "g")
        #expect(body["performanceConfig"]?["latency"] == "optimized")
        #expect(body["additionalModelRequestFields"]?["anthropic_beta"] == ["x"])
        #expect(dropped.filter { $0 != "top_k" }.isEmpty)
    }

    @Test("What matters and cannot be said is refused by the name of its field")
    func refusals() {
        let part = { (json: String) in #"{"model":"m","messages":[{"role":"user","content":[\#(json)]}]}"# }
        #expect(BedrockRun.fault(BedrockRun.ask(#","n":2"#))?.parameter == "n")
        for json in [
            #"{"type":"image_url","image_url":{"url":"https://x/y.png"}}"#,
            #"{"type":"image_url","image_url":{"url":"data:image/tiff;base64,AA"}}"#,
            #"{"type":"file","file":{"file_id":"file-1"}}"#,
            #"{"type":"file","file":{"file_data":"data:application/zip;base64,AA","filename":"a.zip"}}"#,
        ] {
            let fault = BedrockRun.fault(part(json))
            #expect(fault?.kind == .invalid, "\(json)")
            #expect(fault?.parameter == "messages[0].content[0]", "\(json)")
        }
        let call =
            #"{"model":"m","messages":[{"role":"user","content":"x"},{"role":"assistant","tool_calls":"#
            + #"[{"id":"c","type":"function","function":{"name":"f","arguments":"[1]"}}]}]}"#
        #expect(BedrockRun.fault(call)?.parameter == "messages[1].tool_calls[0].function.arguments")
        #expect(
            BedrockRun.fault(BedrockRun.ask(#","tools":[{"type":"custom","custom":{"name":"c"}}]"#))?.kind == .invalid)
    }

    @Test("Structured output is native for new Claudes and an instruction for the rest")
    func formats() throws {
        let format = BedrockRun.ask(
            #","response_format":{"type":"json_schema","json_schema":{"name":"r","schema":{"type":"object"}}}"#)
        let native = try BedrockRun.encode(format).body
        let definition = native["outputConfig"]?["textFormat"]?["structure"]?["jsonSchema"]
        #expect(definition == ["schema": #"{"type":"object"}"#, "name": "r"])
        #expect(native["system"] == nil)
        let nova = try BedrockRun.encode(format, model: "us.amazon.nova-pro-v1:0").body
        #expect(nova["outputConfig"] == nil)
        #expect(nova["system"]?.array?.first?["text"]?.string?.contains(#"{"type":"object"}"#) == true)
        let object = try BedrockRun.encode(BedrockRun.ask(#","response_format":{"type":"json_object"}"#)).body
        #expect(object["system"]?.array?.count == 1)
    }
}
