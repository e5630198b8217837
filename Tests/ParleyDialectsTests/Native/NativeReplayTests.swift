// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

/// Decoding with the dialects that only upstreams speak.
enum Native {
    /// The dialects, by the folder of their exchanges.
    static let dialects: [String: any Dialect] = [
        "ollama": Ollama(), "cohere": Cohere(), "zhipu-v3": Zhipu(), "ernie": Ernie(),
        "dashscope-native": DashScope(multimodal: true), "spark-websocket": Spark(),
    ]
    /// What the path of a chat has in it, by folder: others hold other APIs, too.
    private static let paths = [
        "ollama": "/api/chat", "cohere": "/v2/chat", "zhipu-v3": "invoke", "ernie": "/wenxinworkshop/chat/",
        "dashscope-native": "-generation/generation",
    ]
    /// The folders of recordings that are called otherwise.
    private static let recordedFolders = ["ernie": "baidu-qianfan"]

    static func exchanges(below root: URL, renamed: [String: String] = [:]) -> [Exchange] {
        var list: [Exchange] = []
        for provider in dialects.keys.sorted() {
            let folder = root.appendingPathComponent(renamed[provider] ?? provider)
            let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
            for name in names.sorted() {
                guard let exchange = Exchange(folder.appendingPathComponent(name), provider: provider) else { continue }
                if exchange.path.contains(paths[provider] ?? "/") { list.append(exchange) }
            }
        }
        return list
    }

    static let transcripts: [Exchange] = {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { root.deleteLastPathComponent() }
        return exchanges(below: root.appendingPathComponent("Transcripts"))
    }()

    static let recordings: [Exchange] = {
        guard let root = ProcessInfo.processInfo.environment["PARLEY_RECORDINGS"] else { return [] }
        return exchanges(below: URL(fileURLWithPath: root), renamed: recordedFolders)
    }()

    static func decode(_ pieces: [ArraySlice<UInt8>], _ dialect: any Dialect) -> Decoded {
        var decoder = dialect.makeStreamDecoder()
        var result = Decoded()
        do throws(ParleyError) {
            for piece in pieces { try decoder.push(ByteBuffer(bytes: piece), into: &result.events) }
            try decoder.finish(into: &result.events)
        } catch {
            result.failure = error
        }
        result.isComplete = decoder.isComplete
        return result
    }

    static func answer(_ exchange: Exchange, _ dialect: any Dialect) -> Decoded {
        let body = ByteBuffer(bytes: exchange.body)
        var result = Decoded()
        if exchange.status >= 400 {
            result.failure = dialect.decodeFailure(status: exchange.status, headers: HeaderBlock(), body: body)
        } else if exchange.kind != "json" {
            return decode([exchange.body[...]], dialect)
        } else {
            do throws(ParleyError) {
                result.events = EventReplay.events(of: try dialect.decodeWhole(body))
                result.isComplete = true
            } catch {
                result.failure = error
            }
        }
        return result
    }

    static func encoded(_ body: String, _ dialect: any Dialect, dropped: inout [String]) throws -> JSONValue {
        let request = try OpenAIChat().decodeRequest(ByteBuffer(string: body))
        return try JSON.parse(dialect.encodeRequest(request, dropped: &dropped))
    }

    static func encoded(_ body: String, _ dialect: any Dialect) throws -> JSONValue {
        var dropped: [String] = []
        return try encoded(body, dialect, dropped: &dropped)
    }

    static func fault(_ body: String, _ dialect: any Dialect) -> ParleyError? {
        do {
            _ = try encoded(body, dialect)
            return nil
        } catch {
            return error as? ParleyError
        }
    }
}

@Suite("Replaying the dialects that only upstreams speak")
struct NativeReplayTests {
    @Test("There are transcripts of each, and recordings where they are set")
    func count() {
        for name in Native.dialects.keys {
            #expect(Native.transcripts.filter { $0.provider == name }.count >= 10, "\(name)")
        }
        print("Native dialects: \(Native.recordings.count) recordings replayed")
        let isSet = ProcessInfo.processInfo.environment["PARLEY_RECORDINGS"] != nil
        #expect(Native.recordings.isEmpty == !isSet)
    }

    @Test("An answer comes to what its transcript expects", arguments: Native.transcripts)
    func expected(_ exchange: Exchange) throws {
        let dialect = try #require(Native.dialects[exchange.provider])
        let expect = try #require(exchange.expect)
        let decoded = Native.answer(exchange, dialect)
        if let error = expect["error"] {
            let failure = try #require(decoded.failure)
            #expect(failure.httpStatus == error["status"]?.int)
        } else {
            #expect(decoded.failure == nil)
            #expect(decoded.isComplete)
        }
        let choice = decoded.response.choices.first
        #expect(choice?.message.text ?? "" == expect["text"]?.string ?? "")
        #expect(choice?.message.reasoning.map(\.text).joined() ?? "" == expect["reasoning"]?.string ?? "")
        if let finish = expect["finish"]?.string { #expect(choice?.finish?.rawValue == finish) }
        let calls = expect["tool_calls"]?.array ?? []
        #expect(choice?.message.toolCalls.map(\.name) ?? [] == calls.map { $0["name"]?.string ?? "" })
        #expect(choice?.message.toolCalls.map(\.arguments) ?? [] == calls.map { $0["arguments"]?.string ?? "" })
        let usage = decoded.response.usage
        if let count = expect["usage"]?["prompt"]?.int { #expect(usage.input == count) }
        if let count = expect["usage"]?["completion"]?.int { #expect(usage.output == count) }
        if let count = expect["usage"]?["cached"]?.int { #expect(usage.cacheRead == count) }
        if let count = expect["usage"]?["reasoning"]?.int { #expect(usage.reasoning == count) }
    }

    @Test("A recorded answer has content, a finish reason and usage", arguments: Native.recordings)
    func recorded(_ exchange: Exchange) throws {
        let dialect = try #require(Native.dialects[exchange.provider])
        let decoded = Native.answer(exchange, dialect)
        if exchange.status >= 400 {
            let failure = try #require(decoded.failure)
            #expect(!failure.message.isEmpty && failure.httpStatus >= 400)
            return
        }
        #expect(decoded.failure == nil && decoded.isComplete)
        let choice = try #require(decoded.response.choices.first)
        #expect(choice.finish != nil)
        #expect(!choice.message.text.isEmpty || !choice.message.toolCalls.isEmpty)
        #expect((decoded.response.usage.input ?? 0) > 0 && decoded.response.usage.output != nil)
    }

    @Test(
        "A stream gives the same in any pieces, and again after it was written for a client",
        arguments: (Native.transcripts + Native.recordings).filter { $0.kind != "json" && $0.status < 400 })
    func splits(_ exchange: Exchange) throws {
        let dialect = try #require(Native.dialects[exchange.provider])
        let bytes = exchange.body
        let whole = Native.decode([bytes[...]], dialect)
        let bytewise = Native.decode(bytes.indices.map { bytes[$0...$0] }, dialect)
        #expect(bytewise.events == whole.events && bytewise.failure?.kind == whole.failure?.kind)
        for seed in 0..<20 as Range<UInt64> {
            let split = Native.decode(pieces(of: bytes, seed: seed), dialect)
            #expect(split.events == whole.events, "seed \(seed)")
        }
        guard whole.failure == nil else { return }
        let again = ParleyDialectsTests.decode(encode(whole.events))
        #expect(again.failure == nil && again.response.choices == whole.response.choices)
        // OpenAI's usage has no absent class: a prompt that was not counted has no tokens there.
        var usage = whole.response.usage
        if !usage.isEmpty { usage.input = usage.input ?? 0 }
        #expect(again.response.usage == usage)
    }

    @Test("A recorded request of Cohere is what we would write", arguments: Native.recordings)
    func requests(_ exchange: Exchange) throws {
        guard exchange.provider == "cohere", let body = exchange.request?.object else { return }
        // The recorded requests are of a client that writes what OpenAI's would, but for names and the documents.
        guard body["documents"] == nil, !JSON.text(.object(body)).contains("\"document\"") else { return }
        var openAI = body
        if let schema = openAI["response_format"]?["json_schema"] {
            openAI["response_format"] = ["type": "json_schema", "json_schema": ["name": "x", "schema": schema]]
        }
        var dropped: [String] = []
        let written = try Native.encoded(JSON.text(.object(openAI)), Cohere(), dropped: &dropped)
        #expect(same(written, .object(body)))
        #expect(dropped.isEmpty)
    }

    @Test("What a client would need says that there is none", arguments: Native.dialects.keys.sorted())
    func outboundOnly(name: String) throws {
        let dialect = try #require(Native.dialects[name])
        #expect(throws: ParleyError.self) { try dialect.intake(ByteBuffer(string: "{}")) }
        #expect(throws: ParleyError.self) { try dialect.decodeRequest(ByteBuffer(string: "{}")) }
        let whole = dialect.encodeWhole(ChatResponse(identity: AnswerIdentity(), choices: []), context)
        #expect(String(buffer: whole).contains(dialect.id.name))
        var out = ByteBuffer()
        var encoder = dialect.makeStreamEncoder(context)
        encoder.push(.text(choice: 0, "a"), into: &out)
        encoder.finish(into: &out)
        encoder.finish(into: &out)
        #expect(String(buffer: out) == String(buffer: whole) + "\n")
    }

    /// A request that says everything a dialect may leave out.
    private static func talkative(_ name: String) -> ChatRequest {
        var request = ChatRequest(model: "m", messages: [])
        var user = Message(.user, [.text("a")])
        // Where images are taken at all, they have no detail.
        if name != "zhipu-v3", name != "ernie", name != "spark-websocket" {
            user.content.append(.image(url: "data:image/png;base64,AA==", detail: "low"))
        }
        user.name = "n"
        user.cacheMarks = [0: CacheMark()]
        var early = Message(.assistant, text: "e")
        early.toolCalls = name == "zhipu-v3" ? [] : [ToolCall(id: "0", name: "f", arguments: "{}")]
        var assistant = Message(.assistant, text: "b")
        assistant.reasoning = [Reasoning("hm", signature: "s", origin: .anthropic)]
        var result = Message(.tool, text: "c")
        result.toolCallID = "1"
        result.isError = true
        request.messages = [early, user, assistant, result, user]
        if name == "zhipu-v3" { request.messages.remove(at: 3) }
        if name != "zhipu-v3" { request.tools = [Tool(name: "f", strict: true)] }
        request.toolChoice = .opaque(.openAIChat, [:])
        request.parallelToolCalls = false
        request.logprobs = true
        request.topLogprobs = 2
        request.user = "u"
        request.temperature = 0
        request.maxTokens = 9
        request.topP = 0.5
        request.stop = ["a stop of more than twenty characters"]
        request.seed = 1
        request.topK = 2
        request.frequencyPenalty = 1
        request.presencePenalty = 1
        request.reasoningEffort = "low"
        request.extras = Extras(.openAIChat, ["logit_bias": ["1": 2]])
        return request
    }

    @Test("Everything that is left out is declared", arguments: Native.dialects.keys.sorted())
    func losses(name: String) throws {
        let dialect = try #require(Native.dialects[name])
        var dropped: [String] = []
        for parallel in [false, true] {
            var request = Self.talkative(name)
            request.parallelToolCalls = parallel
            _ = try dialect.encodeRequest(request, dropped: &dropped)
        }
        let declared = Set(dialect.losses.filter { $0.fate == .dropped }.map(\.field))
        #expect(declared.isSuperset(of: dropped))
        let own = declared.subtracting(Loss.unknown(to: "").map(\.field))
        #expect(own.isSubset(of: dropped), "declared, but never dropped")
    }

    @Test("What is declared as refused is refused, naming the field", arguments: Native.dialects.keys.sorted())
    func refusals(name: String) throws {
        let dialect = try #require(Native.dialects[name])
        func asked(_ content: String, _ more: String = "") -> String {
            #"{"model":"m","messages":[{"role":"system","content":"s"},{"role":"tool","tool_call_id":"1","#
                + #""content":[\#(content)]}]\#(more)}"#
        }
        let text = #"{"type":"text","text":"a"}"#
        let user = #""role":"user""#
        let tool = #""role":"tool","tool_call_id":"1""#
        // DashScope has several choices.
        let choices = name == "dashscope-native" ? [] : [(asked(text, #","n":2"#), "n")]
        let cases =
            choices + [
                (asked(#"{"type":"image_url","image_url":{"url":"https://e.x/a.png"}}"#), "image_url"),
                (asked(#"{"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}}"#), "input_audio"),
                (asked(#"{"type":"file","file":{"file_data":"data:application/pdf;base64,AA=="}}"#), "file"),
                (asked(#"{"type":"video_url","video_url":{}}"#), "messages[1].content[0]"),
                (asked(text, #","tools":[{"type":"web_search"}]"#), "tools"),
                (asked(text, #","response_format":{"type":"grammar"}"#), "response_format"),
            ]
        for (body, field) in cases {
            // A tool's turn without a call says nothing to these, whatever its content.
            let says = name == "zhipu-v3" || name == "ernie" ? user : tool
            let body = body.replacing(tool, with: says)
            let fault = try #require(Native.fault(body, dialect), "\(field)")
            #expect(fault.kind == .invalid && fault.parameter?.hasSuffix(field) == true, "\(field)")
            #expect(
                dialect.losses.contains { $0.fate == .refused && $0.field.hasSuffix(field) }
                    || field.hasPrefix("messages"))
        }
    }
}
