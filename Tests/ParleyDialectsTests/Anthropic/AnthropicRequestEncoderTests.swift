// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Writing Messages requests")
struct AnthropicRequestEncoderTests {
    private static func request(_ messages: Message..., model: String = "claude-sonnet-4-5") -> ChatRequest {
        ChatRequest(model: model, messages: messages)
    }

    @Test("A conversation of an OpenAI client becomes turns that alternate, with results first")
    func turns() throws {
        let sent = try Messages.sent(
            openAI: #"""
                {"model":"claude-sonnet-4-5","messages":[
                {"role":"system","content":"One."},{"role":"developer","content":"Two."},
                {"role":"user","content":"a"},{"role":"user","content":"b"},
                {"role":"assistant","content":"","tool_calls":[
                {"id":"c1","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}},
                {"id":"c:2","type":"function","function":{"name":"g","arguments":""}}]},
                {"role":"tool","tool_call_id":"c1","content":"r1"},
                {"role":"user","content":"also"},
                {"role":"tool","tool_call_id":"c:2","content":"r2"},
                {"role":"system","content":"Later."}],
                "tools":[{"type":"function","function":{"name":"f"}},
                {"type":"function","function":{"name":"g","parameters":{"properties":{}}}}]}
                """#)
        #expect(sent["system"] == "One.\n\nTwo.")
        let messages = sent["messages"]?.array ?? []
        #expect(messages.compactMap { $0["role"]?.string } == ["user", "assistant", "user"])
        #expect(messages[0]["content"]?.array?.count == 2)
        let calls = messages[1]["content"]?.array ?? []
        #expect(calls.map { $0["input"] } == [["x": 1], [:]])
        let last = messages[2]["content"]?.array ?? []
        #expect(
            last.compactMap { $0["type"]?.string } == ["tool_result", "tool_result", "text", "text"])
        let id = calls[1]["id"]?.string ?? ""
        #expect(last[1]["tool_use_id"]?.string == id && id.hasPrefix("toolu_") && !id.contains(":"))
        #expect(sent["tools"]?.array?.allSatisfy { $0["input_schema"]?["type"] == "object" } == true)
        #expect(sent["max_tokens"] == 16384)
    }

    @Test("Text without a character is left out, and a prefill loses the white space at its end")
    func blanks() throws {
        var user = Message(.user, [.text("  "), .text("a")])
        user.cacheMarks[1] = CacheMark(ttl: "5m")
        let sent = try Messages.sent(Self.request(user, Message(.assistant, text: "So: \n")))
        let messages = sent["messages"]?.array ?? []
        #expect(messages[0]["content"]?.array?.count == 1)
        #expect(messages[0]["content"]?.array?[0]["cache_control"] == ["type": "ephemeral", "ttl": "5m"])
        #expect(messages[1]["content"] == "So:")
        #expect(Messages.refusal(Self.request(Message(.user, text: "")))?.parameter == "messages")
    }

    @Test("A conversation that an assistant begins gets a user's turn before it")
    func assistantFirst() throws {
        let sent = try Messages.sent(Self.request(Message(.assistant, text: "Hello"), Message(.user, text: "Hi")))
        #expect(sent["messages"]?.array?.compactMap { $0["role"]?.string } == ["user", "assistant", "user"])
    }

    @Test("Only Claude's own signatures go back")
    func signatures() throws {
        var turn = Message(.assistant, text: "a")
        turn.reasoning = [
            Reasoning("mine", signature: "s", origin: .anthropic), Reasoning("plain"),
            Reasoning("gemini's", signature: "g", origin: .gemini), Reasoning("", signature: "", origin: .anthropic),
        ]
        var call = ToolCall(id: "c", name: "f", arguments: "{}")
        call.signature = "thought"
        call.origin = .gemini
        turn.toolCalls = [call]
        var dropped: [String] = []
        let sent = try Messages.sent(Self.request(Message(.user, text: "Hi"), turn), dropped: &dropped)
        let blocks = sent["messages"]?.array?[1]["content"]?.array ?? []
        #expect(blocks.compactMap { $0["type"]?.string } == ["thinking", "text", "tool_use"])
        #expect(blocks[0] == ["type": "thinking", "thinking": "mine", "signature": "s"])
        #expect(!JSON.text(sent).contains("thought"))
        #expect(dropped == ["messages[].reasoning_content"])
    }

    @Test("Thoughts come back signed through a client of OpenAI's, streamed or whole")
    func signaturesThroughOpenAI() throws {
        let redacted: JSONValue = ["type": "redacted_thinking", "data": "d"]
        let events: [Event] = [
            .reasoning(choice: 0, Reasoning("one ", origin: .anthropic)),
            .reasoning(choice: 0, Reasoning("thought", origin: .anthropic)),
            .reasoning(choice: 0, Reasoning("", signature: "s1", origin: .anthropic)),
            .reasoning(choice: 0, Reasoning("", signature: "d", opaque: redacted, origin: .anthropic)),
            .reasoning(choice: 0, Reasoning("two", signature: "s2", origin: .anthropic)),
            .text(choice: 0, "a"), .finish(choice: 0, .stop),
        ]
        let wanted: [JSONValue] = [
            ["type": "thinking", "thinking": "one thought", "signature": "s1"], redacted,
            ["type": "thinking", "thinking": "two", "signature": "s2"],
        ]
        let streamed = decode(encode(events)).response
        var collector = ChatCollector()
        for event in events { collector.add(event) }
        let whole = try OpenAIChat().decodeWhole(OpenAIChat().encodeWhole(collector.response(), context))
        for response in [streamed, whole] {
            let message = try #require(response.choices.first?.message)
            let sent = try Messages.sent(Self.request(Message(.user, text: "Hi"), message))
            #expect(sent["messages"]?.array?[1]["content"]?.array.map { Array($0.prefix(3)) } == wanted)
        }
    }

    @Test("Blocks that came mixed go back as they came")
    func order() throws {
        let messages = #"""
            [{"role":"user","content":"Hi"},{"role":"assistant","content":[
            {"type":"thinking","thinking":"a","signature":"1"},{"type":"text","text":"b"},
            {"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{}},
            {"type":"thinking","thinking":"c","signature":"2"},{"type":"tool_use","id":"t","name":"f","input":{}}]}]
            """#
        let request = try Messages.request(messages: messages)
        #expect(try same(Messages.sent(request)["messages"], JSON.parse(messages)))
        var changed = request
        changed.messages[1].reasoning = []
        let types = try Messages.sent(changed)["messages"]?.array?[1]["content"]?.array?.map { $0["type"]?.string }
        #expect(types == ["text", "server_tool_use", "tool_use"])
    }

    @Test("Images and files are sent in the forms there are; others are refused by their path")
    func media() throws {
        var pdf = FilePart(data: "JVBERi0xLjQK", name: nil)
        var text = FilePart(data: "data:text/plain;base64,aGk=", name: "a.txt")
        let sent = try Messages.sent(
            Self.request(
                Message(
                    .user,
                    [
                        .image(url: "data:image/jpg;base64,AA==", detail: "low"),
                        .image(url: "https://x/y", detail: nil), .file(pdf), .file(text),
                    ])))
        let blocks = sent["messages"]?.array?[0]["content"]?.array ?? []
        #expect(blocks[0]["source"]?["media_type"] == "image/jpeg")
        #expect(blocks[1]["source"]?["type"] == "url")
        #expect(blocks[2]["source"]?["media_type"] == "application/pdf")
        #expect(blocks[3]["source"]?["data"] == "hi" && blocks[3]["title"] == "a.txt")
        pdf.data = "AAAA"
        text.data = "data:text/plain;base64,/w=="
        let refused: [Part] = [
            .image(url: "data:image/tiff;base64,AA==", detail: nil), .image(url: "gs://x", detail: nil),
            .audio(data: "", format: "wav"), .file(pdf), .file(text), .opaque(.gemini, [:]),
        ]
        for part in refused {
            let refusal = Messages.refusal(Self.request(Message(.user, [.text("a"), part])))
            #expect(refusal?.kind == .invalid && refusal?.parameter == "messages[0].content[1]")
        }
    }

    @Test("Names that the API refuses are refused here, with their path")
    func names() {
        var request = Self.request(Message(.user, text: "Hi"))
        request.tools = [Tool(name: "ok"), Tool(name: "not ok")]
        #expect(Messages.refusal(request)?.parameter == "tools[1].name")
        request.tools = [Tool(name: "f", parameters: ["type": "array"])]
        #expect(Messages.refusal(request)?.parameter == "tools[0].parameters")
        request.tools = []
        request.n = 2
        #expect(Messages.refusal(request)?.parameter == "n")
    }

    @Test("Choices and parallel calls are said together")
    func choices() throws {
        var request = Self.request(Message(.user, text: "Hi"))
        request.tools = [Tool(name: "f")]
        request.parallelToolCalls = false
        #expect(
            try Messages.sent(request)["tool_choice"] == ["type": "auto", "disable_parallel_tool_use": true])
        request.toolChoice = .named("f")
        #expect(
            try Messages.sent(request)["tool_choice"]
                == ["type": "tool", "name": "f", "disable_parallel_tool_use": true])
        request.parallelToolCalls = true
        request.toolChoice = .required
        #expect(try Messages.sent(request)["tool_choice"] == ["type": "any"])
        request.tools = []
        var dropped: [String] = []
        #expect(try Messages.sent(request, dropped: &dropped)["tool_choice"] == nil && dropped == ["tool_choice"])
    }

    @Test("A schema is native where the model has it, else an instruction")
    func formats() throws {
        var request = Self.request(Message(.system, text: "Be brief."), Message(.user, text: "Hi"))
        request.responseFormat = .jsonSchema(
            name: "n", description: nil, schema: ["type": "object"], strict: true)
        let native = try Messages.sent(request)
        #expect(native["output_config"] == ["format": ["type": "json_schema", "schema": ["type": "object"]]])
        #expect(native["system"] == "Be brief.")
        request.model = "claude-3-5-sonnet-20241022"
        let told = try Messages.sent(request)
        #expect(told["output_config"] == nil && told["max_tokens"] == 8192)
        #expect(told["system"]?.string?.contains(#"{"type":"object"}"#) == true)
        request.responseFormat = .opaque(.gemini, [:])
        #expect(Messages.refusal(request)?.parameter == "response_format")
    }

    @Test("What cannot be said is left out and named")
    func drops() throws {
        var dropped: [String] = []
        let sent = try Messages.sent(
            openAI: #"""
                {"model":"claude-sonnet-4-5","messages":[{"role":"user","name":"ada","content":"Hi"}],"seed":1,
                "frequency_penalty":1,"presence_penalty":1,"logprobs":true,"top_logprobs":2,"logit_bias":{},
                "stop":[" ","x"],"store":true,"user":"u","top_k":3,"temperature":1.7,"top_p":0.5,"service_tier":null}
                """#, dropped: &dropped)
        #expect(
            Set(dropped) == [
                "seed", "frequency_penalty", "presence_penalty", "logprobs", "top_logprobs", "logit_bias", "stop",
                "store", "messages[].name", "top_p",
            ])
        #expect(sent["stop_sequences"] == ["x"] && sent["metadata"] == ["user_id": "u"] && sent["top_k"] == 3)
        #expect(sent["temperature"] == 1)
        let declared = Set(Messages.dialect.losses.filter { $0.fate == .dropped }.map(\.field))
        #expect(declared.isSuperset(of: dropped))
    }
}

@Suite("Thinking by family of model")
struct AnthropicThinkingTests {
    private static func sent(
        _ model: String, _ change: (inout ChatRequest) -> Void = { _ in }
    ) throws -> (body: JSONValue, dropped: [String]) {
        var request = ChatRequest(model: model, messages: [Message(.user, text: "Hi")])
        change(&request)
        var dropped: [String] = []
        return (try Messages.sent(request, dropped: &dropped), dropped)
    }

    @Test(
        "A name tells the version",
        arguments: [
            ("claude-3-haiku-20240307", 3, 0), ("claude-3-5-sonnet-latest", 3, 5), ("claude-sonnet-4-20250514", 4, 0),
            ("claude-opus-4-7", 4, 7), ("us.anthropic.claude-haiku-4-5-20251001-v1:0", 4, 5),
            ("claude-sonnet-4-5@20250929", 4, 5), ("anthropic/claude-opus-4.6", 4, 6), ("claude-sonnet-5", 5, 0),
        ])
    func versions(name: String, major: Int, minor: Int) {
        let version = ClaudeModel(name).version
        #expect(version?.major == major && version?.minor == minor)
    }

    @Test("An effort is a budget, or adaptive from 4.6 on")
    func efforts() throws {
        let older = try Self.sent("claude-sonnet-4-5") { $0.reasoningEffort = "high" }
        #expect(older.body["thinking"] == ["type": "enabled", "budget_tokens": 24576])
        #expect(older.body["max_tokens"]?.int ?? 0 > 24576)
        let newer = try Self.sent("claude-opus-4-6") { $0.reasoningEffort = "minimal" }
        #expect(newer.body["thinking"] == ["type": "adaptive"])
        #expect(newer.body["output_config"] == ["effort": "low"])
        let budget = try Self.sent("claude-opus-4-7") { $0.reasoningBudget = 20000 }
        #expect(budget.body["thinking"] == ["type": "adaptive"] && budget.body["output_config"] == ["effort": "high"])
        let none = try Self.sent("claude-sonnet-4-5") { $0.reasoningEffort = "none" }
        #expect(none.body["thinking"] == nil && none.dropped.isEmpty)
        let never = try Self.sent("claude-3-haiku-20240307") { $0.reasoningEffort = "low" }
        #expect(never.body["thinking"] == nil && never.dropped == ["reasoning_effort"])
        #expect(never.body["max_tokens"] == 4096)
    }

    @Test("A budget stays below the length, or gives way")
    func lengths() throws {
        let tight = try Self.sent("claude-sonnet-4-5") {
            $0.reasoningEffort = "high"
            $0.maxTokens = 3000
        }
        #expect(tight.body["thinking"]?["budget_tokens"] == 2000 && tight.body["max_tokens"] == 3000)
        let tiny = try Self.sent("claude-sonnet-4-5") {
            $0.reasoningEffort = "high"
            $0.maxTokens = 500
        }
        #expect(tiny.body["thinking"] == nil && tiny.dropped == ["reasoning_effort"])
    }

    @Test("Sampling gives way to thinking, and to newer models")
    func sampling() throws {
        let thinking = try Self.sent("claude-sonnet-4-5") {
            $0.reasoningBudget = 1024
            $0.temperature = 0.5
            $0.topP = 0.5
            $0.topK = 3
        }
        #expect(thinking.dropped == ["temperature", "top_p", "top_k"])
        let newest = try Self.sent("claude-opus-4-8") { $0.temperature = 1 }
        #expect(newest.body["temperature"] == nil && newest.dropped == ["temperature"])
        let old = try Self.sent("claude-sonnet-4-20250514") {
            $0.temperature = 0.5
            $0.topP = 0.5
        }
        #expect(old.body["temperature"]?.double == 0.5 && old.body["top_p"]?.double == 0.5 && old.dropped.isEmpty)
    }

    @Test("A tool that must be called, and a loop whose thinking is lost, go without thinking")
    func tools() throws {
        let forced = try Self.sent("claude-sonnet-4-5") {
            $0.reasoningEffort = "low"
            $0.tools = [Tool(name: "f")]
            $0.toolChoice = .required
        }
        #expect(forced.body["thinking"] == nil && forced.dropped == ["reasoning_effort"])
        let lost = try Self.sent("claude-sonnet-4-5") {
            $0.reasoningEffort = "low"
            var turn = Message(.assistant, [])
            turn.toolCalls = [ToolCall(id: "c", name: "f", arguments: "{}")]
            var result = Message(.tool, text: "r")
            result.toolCallID = "c"
            $0.messages += [turn, result]
        }
        #expect(lost.body["thinking"] == nil && lost.dropped == ["reasoning_effort"])
    }

    @Test("What a client of this dialect said goes on as it said it")
    func own() throws {
        let alone = try Messages.request(#""output_config":{"effort":"low"}"#)
        let sent = try Messages.sent(alone)
        #expect(sent["thinking"] == nil && sent["output_config"] == ["effort": "low"])
        var adaptive = try Messages.request(#""thinking":{"type":"adaptive","display":"omitted"}"#)
        adaptive.model = "claude-opus-4-7"
        #expect(try Messages.sent(adaptive)["thinking"] == ["type": "adaptive", "display": "omitted"])
        let openAI = try Messages.sent(
            openAI: #"{"model":"claude-sonnet-4-5","messages":[{"role":"user","content":"Hi"}],"#
                + #""thinking":{"type":"enabled","budget_tokens":1500}}"#)
        #expect(openAI["thinking"] == ["type": "enabled", "budget_tokens": 1500])
    }
}
