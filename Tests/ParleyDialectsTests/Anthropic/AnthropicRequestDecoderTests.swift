// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Reading Messages requests")
struct AnthropicRequestDecoderTests {
    @Test("The plain fields have their neutral places")
    func plain() throws {
        let request = try Messages.request(
            #""temperature":0.5,"top_p":0.9,"top_k":5,"stop_sequences":["a","b"],"stream":true,"#
                + #""metadata":{"user_id":"u","team":"x"},"system":"Be brief.","service_tier":"auto""#)
        #expect(request.model == "claude-sonnet-4-5" && request.maxTokens == 100)
        #expect(request.temperature == 0.5 && request.topP == 0.9 && request.topK == 5)
        #expect(request.stop == ["a", "b"] && request.stream && request.includeUsage)
        #expect(request.user == "u")
        #expect(request.messages.map(\.role) == [.system, .user])
        #expect(request.messages[0].text == "Be brief." && request.messages[0].contentIsText)
        #expect(request.extras == Extras(.anthropic, ["service_tier": "auto", "metadata": ["team": "x"]]))
    }

    @Test("System blocks keep their cache marks")
    func system() throws {
        let request = try Messages.request(
            #""system":[{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"1h"}},"#
                + #"{"type":"text","text":"b"}]"#)
        #expect(request.messages[0].content == [.text("a"), .text("b")])
        #expect(request.messages[0].cacheMarks == [0: CacheMark(ttl: "1h")])
    }

    @Test("Images and documents of every source are read")
    func media() throws {
        let request = try Messages.request(
            messages: #"""
                [{"role":"user","content":[
                {"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}},
                {"type":"image","source":{"type":"url","url":"https://x/y.png"}},
                {"type":"image","source":{"type":"file","file_id":"file_1"}},
                {"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"BB=="},"title":"t"},
                {"type":"document","source":{"type":"url","url":"https://x/y.pdf"},"context":"c"},
                {"type":"document","source":{"type":"text","media_type":"text/plain","data":"words"}},
                {"type":"document","source":{"type":"file","file_id":"file_2"}},
                {"type":"document","source":{"type":"content","content":[]}}]}]
                """#)
        let content = request.messages[0].content
        #expect(content[0] == .image(url: "data:image/png;base64,AA==", detail: nil))
        #expect(content[1] == .image(url: "https://x/y.png", detail: nil))
        guard case .file(let picture) = content[2], case .file(let pdf) = content[3], case .file(let far) = content[4],
            case .file(let words) = content[5], case .file(let own) = content[6]
        else {
            Issue.record("not files")
            return
        }
        #expect(picture.id == "file_1" && picture.mediaType == "image/*")
        #expect(pdf.data == "data:application/pdf;base64,BB==" && pdf.name == "t")
        #expect(far.url == "https://x/y.pdf" && words.text == "words" && own.id == "file_2")
        #expect(content[7].isOpaque)
        let sent = try Messages.sent(request)["messages"]?.array?.first?["content"]?.array
        #expect(sent?[4]["context"] == "c" && sent?[7]["source"]?["type"] == "content")
    }

    @Test("Tool results are messages of their own, in any form")
    func results() throws {
        let request = try Messages.request(
            messages: #"""
                [{"role":"user","content":"Go"},
                {"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"f","input":{"a":1.50}},
                {"type":"tool_use","id":"t2","name":"g","input":{}}]},
                {"role":"user","content":[
                {"type":"tool_result","tool_use_id":"t1","content":"one","cache_control":{"type":"ephemeral"}},
                {"type":"tool_result","tool_use_id":"t2","is_error":true,"content":[{"type":"text","text":"two"},
                {"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}}]},
                {"type":"tool_result","tool_use_id":"t3"},
                {"type":"text","text":"So?"}]}]
                """#)
        #expect(request.messages.map(\.role) == [.user, .assistant, .tool, .tool, .tool, .user])
        #expect(request.messages[1].toolCalls.map(\.arguments) == [#"{"a":1.50}"#, "{}"])
        #expect(request.messages[2].toolCallID == "t1" && request.messages[2].cacheMarks[0] == CacheMark())
        #expect(request.messages[3].isError && request.messages[3].content.count == 2)
        #expect(request.messages[4].content.isEmpty)
        #expect(request.messages[5].text == "So?")
    }

    @Test("Thinking keeps its signature and its origin; redacted thinking is kept whole")
    func thinking() throws {
        let request = try Messages.request(
            messages: #"""
                [{"role":"user","content":"Hi"},{"role":"assistant","content":[
                {"type":"thinking","thinking":"hm","signature":"s"},{"type":"redacted_thinking","data":"d"},
                {"type":"thinking","thinking":"foreign","signature":""},{"type":"text","text":"a"}]}]
                """#)
        let reasoning = request.messages[1].reasoning
        #expect(reasoning[0] == Reasoning("hm", signature: "s", origin: .anthropic))
        #expect(reasoning[1].signature == "d" && reasoning[1].opaque?["type"] == "redacted_thinking")
        #expect(reasoning[2].signature == nil)
        let sent = try Messages.sent(request)["messages"]?.array?[1]["content"]?.array
        #expect(sent?.compactMap { $0["type"]?.string } == ["thinking", "redacted_thinking", "text"])
    }

    @Test(
        "How hard to think is read in every form",
        arguments: [
            (#""thinking":{"type":"enabled","budget_tokens":2048}"#, 2048, nil),
            (#""thinking":{"type":"adaptive"},"output_config":{"effort":"high"}"#, -1, "high"),
            (#""thinking":{"type":"disabled"}"#, 0, nil),
            (#""output_config":{"effort":"low"}"#, nil, "low"),
        ] as [(String, Int?, String?)])
    func effort(members: String, budget: Int?, word: String?) throws {
        let request = try Messages.request(members)
        #expect(request.reasoningBudget == budget && request.reasoningEffort == word)
    }

    @Test("Tools, choices and formats have their neutral places")
    func tools() throws {
        let request = try Messages.request(
            #""tools":[{"name":"f","description":"d","input_schema":{"type":"object"},"strict":true,"#
                + #""cache_control":{"type":"ephemeral"},"defer_loading":true},"#
                + #"{"type":"web_search_20250305","name":"web_search"}],"#
                + #""tool_choice":{"type":"any","disable_parallel_tool_use":true},"#
                + #""output_config":{"format":{"type":"json_schema","schema":{"type":"object"}}}"#)
        #expect(request.tools[0].name == "f" && request.tools[0].strict == true)
        #expect(request.tools[0].cacheMark == CacheMark())
        #expect(request.tools[0].extras == Extras(.anthropic, ["defer_loading": true]))
        #expect(request.tools[1].opaque?.0 == .anthropic && request.tools[1].name == "web_search")
        #expect(request.toolChoice == .required && request.parallelToolCalls == false)
        #expect(
            request.responseFormat
                == .jsonSchema(name: "response", description: nil, schema: ["type": "object"], strict: nil))
    }

    @Test(
        "What is wrong is refused, and the field is named",
        arguments: [
            (#"{"model":"m","messages":[]}"#, "max_tokens"),
            (#"{"model":"m","max_tokens":0,"messages":[]}"#, "max_tokens"),
            (#"{"model":"m","max_tokens":1}"#, "messages"),
            (#"{"model":"m","max_tokens":1,"messages":[]}"#, "messages"),
            (#"{"model":"m","max_tokens":1,"messages":[1]}"#, "messages[0]"),
            (#"{"model":"m","max_tokens":1,"messages":[{"role":"tool","content":"a"}]}"#, "messages[0].role"),
            (#"{"model":"m","max_tokens":1,"messages":[{"role":"user"}]}"#, "messages[0].content"),
            (#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":5}]}"#, "messages[0].content"),
            (
                #"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"type":"hologram"}]}]}"#,
                "messages[0].content[0].type"
            ),
            (
                #"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"type":"tool_use"}]}]}"#,
                "messages[0].content[0].type"
            ),
            (
                #"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"type":"text","text":1}]}]}"#,
                "messages[0].content[0].text"
            ),
            (#"{"model":"m","max_tokens":1,"system":5,"messages":[{"role":"user","content":""}]}"#, "system"),
            (
                #"{"model":"m","max_tokens":1,"thinking":{"type":"x"},"messages":[{"role":"user","content":""}]}"#,
                "thinking.type"
            ),
            (
                #"{"model":"m","max_tokens":1,"tools":[{"name":"f"}],"messages":[{"role":"user","content":""}]}"#,
                "tools[0].input_schema"
            ),
            (
                #"{"model":"m","max_tokens":1,"tool_choice":{"type":"x"},"messages":[{"role":"user","content":""}]}"#,
                "tool_choice.type"
            ),
        ])
    func faults(body: String, parameter: String) {
        let fault = Messages.fault(body)
        #expect(fault?.kind == .invalid)
        #expect(fault?.parameter == parameter)
    }

    @Test("Garbage is refused by its byte")
    func garbage() {
        #expect(Messages.fault("{\"model\": nope}")?.message.contains("at byte 1") == true)
        #expect(Messages.fault("[]")?.kind == .invalid)
    }
}

extension Part {
    fileprivate var isOpaque: Bool {
        if case .opaque(.anthropic, _) = self { return true }
        return false
    }
}
