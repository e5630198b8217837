// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Fields of chat requests that other dialects know too")
struct CarriedFieldsTests {
    private func written(
        _ request: ChatRequest, _ dropped: inout [String], _ change: (inout Quirks) -> Void = { _ in }
    ) throws -> JSONValue {
        var quirks = Quirks()
        change(&quirks)
        return try JSON.parse(OpenAIChat(quirks: quirks).encodeRequest(request, dropped: &dropped))
    }

    @Test("Gemini's signature of a call is read and written in messages, answers and deltas")
    func signatures() throws {
        let call = #"""
            {"id":"c","type":"function","function":{"name":"f","arguments":"{}"},
            "extra_content":{"google":{"thought_signature":"sig"}}}
            """#
        let body = #"{"model":"m","messages":[{"role":"assistant","tool_calls":[\#(call)]}]}"#
        let request = try OpenAIChat().decodeRequest(ByteBuffer(string: body))
        let read = try #require(request.messages.first?.toolCalls.first)
        #expect(read.signature == "sig" && read.origin == .gemini && read.extras.fields.isEmpty)
        var dropped: [String] = []
        let back = try written(request, &dropped) { $0.thoughtSignatures = true }
        #expect(same(back["messages"]?.array?[0]["tool_calls"]?.array?[0], try JSON.parse(call)))
        // Only where its origin is.
        #expect(try written(request, &dropped)["messages"]?.array?[0]["tool_calls"]?.array?[0]["extra_content"] == nil)
        var message = Message(.assistant, [])
        message.toolCalls = [read]
        let response = ChatResponse(
            identity: AnswerIdentity(id: "x"), choices: [.init(index: 0, message: message, finish: .toolCalls)])
        let whole = try OpenAIChat().decodeWhole(OpenAIChat().encodeWhole(response, context))
        #expect(whole.choices[0].message.toolCalls == [read])
        let text = encode(EventReplay.events(of: response))
        #expect(decode(text).response.choices[0].message.toolCalls == [read])
    }

    private static let marked = #"""
        {"model":"m","messages":[
        {"role":"system","content":[{"type":"text","text":"a"},
        {"type":"text","text":"b","cache_control":{"type":"ephemeral","ttl":"1h"}}]},
        {"role":"user","content":"c","cache_control":{"type":"ephemeral"}}],
        "tools":[{"type":"function","function":{"name":"f"},"cache_control":{"type":"ephemeral"}},
        {"type":"function","function":{"name":"g","cache_control":{"type":"ephemeral","ttl":"5m"}}}]}
        """#

    @Test("Cache marks of a chat client are read, and go on as they came")
    func marks() throws {
        let request = try OpenAIChat().decodeRequest(ByteBuffer(string: Self.marked))
        #expect(request.messages.map(\.cacheMarks) == [[1: CacheMark(ttl: "1h")], [0: CacheMark()]])
        #expect(request.tools.map(\.cacheMark) == [CacheMark(), CacheMark(ttl: "5m")])
        for takes in [false, true] {
            var dropped: [String] = []
            let back = try written(request, &dropped) { $0.cacheControl = takes }
            #expect(same(back, try JSON.parse(Self.marked)))
            #expect(dropped.isEmpty)
        }
    }

    @Test("Cache marks of other dialects are written where the vendor takes them, else dropped")
    func foreignMarks() throws {
        var message = Message(.user, text: "a")
        message.cacheMarks = [0: CacheMark(ttl: "1h"), 7: CacheMark()]
        var tool = Tool(name: "f")
        tool.cacheMark = CacheMark()
        var request = ChatRequest(model: "m", messages: [message])
        request.tools = [tool]
        var dropped: [String] = []
        let plain = try written(request, &dropped)
        #expect(dropped == ["cache_control"] && !JSON.text(plain).contains("cache_control"))
        dropped = []
        let marked = try written(request, &dropped) { $0.cacheControl = true }
        #expect(dropped.isEmpty)
        let part = marked["messages"]?.array?[0]["content"]?.array?[0]
        #expect(part == ["type": "text", "text": "a", "cache_control": ["type": "ephemeral", "ttl": "1h"]])
        #expect(marked["tools"]?.array?[0]["cache_control"] == ["type": "ephemeral"])
    }

    @Test("top_k is neutral, stays where it was said, and else goes where the vendor knows it")
    func topK() throws {
        let said = try OpenAIChat().decodeRequest(
            ByteBuffer(string: #"{"model":"m","messages":[{"role":"user","content":"a"}],"top_k":4}"#))
        var dropped: [String] = []
        #expect(said.topK == 4)
        #expect(try written(said, &dropped)["top_k"] == 4 && dropped.isEmpty)
        var foreign = said
        foreign.extras = Extras()
        #expect(try written(foreign, &dropped) { $0.knownFields = ["top_k"] }["top_k"] == 4 && dropped.isEmpty)
        #expect(try written(foreign, &dropped)["top_k"] == nil && dropped == ["top_k"])
    }

    @Test("Files of other dialects are written as the vendor has them, or refused by their path")
    func files() throws {
        func part(_ change: (inout FilePart) -> Void, _ quirk: Bool = false) throws -> JSONValue? {
            var file = FilePart()
            change(&file)
            var dropped: [String] = []
            let request = ChatRequest(model: "m", messages: [Message(.user, [.file(file)])])
            return try written(request, &dropped) { $0.documentURLs = quirk }["messages"]?.array?[0]["content"]?.array?[
                0]
        }
        #expect(try part { $0.text = "t" } == ["type": "text", "text": "t"])
        let data: JSONValue = [
            "type": "file", "file": ["file_data": "data:application/pdf;base64,AA==", "filename": "file"],
        ]
        #expect(try part { ($0.data, $0.mediaType) = ("AA==", "application/pdf") } == data)
        let image: JSONValue = ["type": "image_url", "image_url": ["url": "https://e.x/a"]]
        #expect(try part { ($0.url, $0.mediaType) = ("https://e.x/a", "image/*") } == image)
        let address: JSONValue = ["type": "document_url", "document_url": "https://e.x/a.pdf"]
        #expect(try part({ $0.url = "https://e.x/a.pdf" }, true) == address)
        let fault = #expect(throws: ParleyError.self) { try part { $0.url = "https://e.x/a.pdf" } }
        #expect(fault?.parameter == "messages[0].content[0]")
        let read = try OpenAIChat().decodeRequest(
            ByteBuffer(
                string: #"{"model":"m","messages":[{"role":"user","content":[{"type":"file","file":"#
                    + #"{"file_data":"data:application/pdf;base64,AA=="}}]}]}"#))
        guard case .file(let file)? = read.messages[0].content.first else {
            Issue.record("no file")
            return
        }
        #expect(file.mediaType == "application/pdf")
    }

    @Test("A tool's failure and a budget are said as far as there are words")
    func rest() throws {
        var result = Message(.tool, text: "no")
        result.toolCallID = "c"
        result.isError = true
        var request = ChatRequest(model: "m", messages: [result])
        request.reasoningBudget = 20000
        request.showsReasoning = true
        var dropped: [String] = []
        let back = try written(request, &dropped)
        #expect(back["reasoning_effort"] == "high" && dropped == ["messages[].is_error"])
        request.reasoningBudget = 0
        request.messages[0].isError = false
        dropped = []
        #expect(try written(request, &dropped)["reasoning_effort"] == nil && dropped == ["reasoning_effort"])
        let declared = Set(OpenAIChat().losses.filter { $0.fate == .dropped }.map(\.field))
        let mine: Set = ["tool_choice", "top_k", "reasoning_effort", "messages[].is_error", "cache_control"]
        #expect(declared.isSuperset(of: mine))
    }
}
