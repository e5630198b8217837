// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

/// One exchange on disk, of our own transcripts or of recorded traffic.
struct Exchange: Sendable, CustomTestStringConvertible {
    var folder: URL
    var provider: String
    var path: String
    var request: JSONValue?
    var status: Int
    var kind: String
    var body: [UInt8]
    var expect: JSONValue?

    var testDescription: String { provider + "/" + folder.lastPathComponent }

    init?(_ folder: URL, provider: String) {
        func json(_ name: String) -> JSONValue? {
            guard let data = try? Data(contentsOf: folder.appendingPathComponent(name)) else { return nil }
            return try? JSON.parse(ByteBuffer(bytes: data))
        }
        guard let request = json("request.json"), let head = json("response.headers.json"),
            let info = json("case.json"), let path = request["path"]?.string, let status = head["status"]?.int,
            let data = try? Data(contentsOf: folder.appendingPathComponent("response.body"))
        else { return nil }
        self.folder = folder
        self.provider = provider
        self.path = path
        self.request = request["body"]
        self.status = status
        kind = info["body_kind"]?.string ?? ""
        body = Array(data)
        expect = info["expect"]
    }

    /// The chat exchanges below `root`.
    static func all(below root: URL) -> [Exchange] {
        let manager = FileManager.default
        var list: [Exchange] = []
        for provider in ((try? manager.contentsOfDirectory(atPath: root.path)) ?? []).sorted() {
            // Cohere and Hunyuan have wires of their own.
            guard Self.quirks(of: provider) != nil else { continue }
            let folder = root.appendingPathComponent(provider)
            for name in ((try? manager.contentsOfDirectory(atPath: folder.path)) ?? []).sorted() {
                if let exchange = Exchange(folder.appendingPathComponent(name), provider: provider), exchange.isChat {
                    list.append(exchange)
                }
            }
        }
        return list
    }

    private var isChat: Bool {
        let path = path.split(separator: "?").first ?? ""
        return path.hasSuffix("/chat/completions") || (provider == "writer" && path.hasSuffix("/chat"))
    }

    var quirks: Quirks { Self.quirks(of: provider) ?? Quirks() }

    /// The quirks of each provider whose chat wire this is; nil for others.
    static func quirks(of provider: String) -> Quirks? {
        var quirks = Quirks()
        switch provider {
        case "cohere", "anthropic", "gemini", "vertex", "bedrock", "acp", "voyage", "openai-responses":
            return nil
        case "compatible", "gpustack", "huggingface": quirks.inlineThinking = true
        case "perplexity":
            quirks.inlineThinking = true
            quirks.cumulativeMessage = true
        case "minimax":
            quirks.inlineThinking = true
            quirks.repeatsAnswer = true
        case "xai": quirks.reasoningOutsideOutput = true
        case "zhipu", "zai": quirks.errorCodes = .zhipu
        case "gemini-openai-compat":
            quirks.reasoningOutsideOutput = true
            quirks.thoughtSignatures = true
        case "groq", "cerebras", "openrouter", "ollama": quirks.reasoningField = "reasoning"
        default: break
        }
        return quirks
    }

    /// What the answer came to.
    func answer() -> Decoded {
        if status >= 400 { return Decoded(failure: decodedFailure) }
        let isStream = kind == "sse" && request?["stream"] != .bool(false)
        if isStream { return decode([body[...]], quirks: quirks) }
        var result = Decoded()
        do throws(ParleyError) {
            let response = try OpenAIChat(quirks: quirks).decodeWhole(ByteBuffer(bytes: body))
            result.events = EventReplay.events(of: response)
            result.isComplete = true
        } catch {
            result.failure = error
        }
        return result
    }

    private var decodedFailure: ParleyError {
        OpenAIChat(quirks: quirks).decodeFailure(status: status, headers: HeaderBlock(), body: ByteBuffer(bytes: body))
    }
}

@Suite("Replaying our transcripts")
struct TranscriptTests {
    static let exchanges: [Exchange] = {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { root.deleteLastPathComponent() }
        return Exchange.all(below: root.appendingPathComponent("Transcripts"))
    }()

    @Test("An answer comes to what its transcript expects", arguments: exchanges)
    func expected(_ exchange: Exchange) throws {
        guard let expect = exchange.expect else { return }
        let decoded = exchange.answer()
        if let error = expect["error"] { try check(decoded.failure, error) } else { #expect(decoded.failure == nil) }
        guard let choice = decoded.response.choices.first else {
            #expect(expect["text"]?.string ?? "" == "")
            return
        }
        if let text = expect["text"]?.string { #expect(choice.message.text == text) }
        if let texts = expect["texts"]?.array {
            #expect(decoded.response.choices.map { .string($0.message.text) } == texts)
        }
        if let refusal = expect["refusal"]?.string { #expect(choice.message.refusal == refusal) }
        if let reasoning = expect["reasoning"]?.string {
            #expect(choice.message.reasoning.map(\.text).joined() == reasoning)
        }
        if let finish = expect["finish"]?.string {
            let word = choice.finish == .functionCall ? "tool_calls" : choice.finish?.rawValue
            #expect(word == finish)
        }
        if let calls = expect["tool_calls"]?.array {
            #expect(choice.message.toolCalls.map(\.name) == calls.map { $0["name"]?.string ?? "" })
            #expect(choice.message.toolCalls.map(\.arguments) == calls.map { $0["arguments"]?.string ?? "" })
            #expect(Set(choice.message.toolCalls.map(\.id)).count == calls.count)
        }
        if let usage = expect["usage"] { check(decoded.response.usage, usage) }
    }

    private func check(_ failure: ParleyError?, _ expect: JSONValue) throws {
        let failure = try #require(failure)
        let error = try JSON.parse(OpenAIChat().encodeFailure(failure))["error"]
        if let status = expect["status"]?.int { #expect(failure.httpStatus == status) }
        if let type = expect["type"]?.string { #expect(error?["type"]?.string == type) }
        if let code = expect["code"]?.string { #expect(error?["code"]?.string == code) }
    }

    private func check(_ usage: Usage, _ expect: JSONValue) {
        if let count = expect["prompt"]?.int { #expect(usage.input == count) }
        if let count = expect["completion"]?.int { #expect(usage.output == count) }
        if let count = expect["total"]?.int { #expect(usage.statedTotal ?? usage.total == count) }
        if let count = expect["cached"]?.int { #expect(usage.cacheRead == count) }
        if let count = expect["reasoning"]?.int { #expect(usage.reasoning == count) }
    }

    @Test("A stream gives the same in any pieces", arguments: exchanges.filter { $0.kind == "sse" })
    func splits(_ exchange: Exchange) {
        ReplayChecks.splits(exchange)
    }
}

@Suite("Replaying recorded traffic")
struct RecordingTests {
    static let exchanges: [Exchange] = {
        guard let root = ProcessInfo.processInfo.environment["PARLEY_RECORDINGS"] else { return [] }
        return Exchange.all(below: URL(fileURLWithPath: root))
    }()

    @Test("How many recordings there are is said")
    func count() {
        let isSet = ProcessInfo.processInfo.environment["PARLEY_RECORDINGS"] != nil
        print("OpenAI chat: \(Self.exchanges.count) recordings replayed")
        #expect(Self.exchanges.isEmpty == !isSet)
    }

    @Test("A recorded request is read and written the same", arguments: exchanges.filter { $0.request?.object != nil })
    func requests(_ exchange: Exchange) throws {
        guard let body = exchange.request else { return }
        let written = try reencoded(JSON.text(body), quirks: exchange.quirks)
        #expect(same(Normalised.request(written), Normalised.request(body)))
        let request = try OpenAIChat(quirks: exchange.quirks).decodeRequest(ByteBuffer(string: JSON.text(written)))
        var dropped: [String] = []
        let again = try OpenAIChat(quirks: exchange.quirks).encodeRequest(request, dropped: &dropped)
        #expect(try OpenAIChat(quirks: exchange.quirks).decodeRequest(again) == request)
        #expect(dropped.isEmpty)
    }

    @Test("A recorded answer has content, a finish reason and usage", arguments: exchanges)
    func answers(_ exchange: Exchange) throws {
        let decoded = exchange.answer()
        if exchange.status >= 400 || exchange.testDescription.contains("error") {
            let failure = try #require(decoded.failure)
            #expect(!failure.message.isEmpty && failure.httpStatus >= 400)
            return
        }
        #expect(decoded.failure == nil)
        let response = decoded.response
        #expect(!response.choices.isEmpty && response.choices.allSatisfy { $0.finish != nil })
        #expect(
            response.choices.contains {
                !$0.message.text.isEmpty || !$0.message.toolCalls.isEmpty || !$0.message.reasoning.isEmpty
                    || $0.message.refusal != nil || $0.audio != nil || $0.finish == .contentFilter
            })
        #expect(response.choices.flatMap(\.message.toolCalls).allSatisfy { !$0.id.isEmpty && !$0.name.isEmpty })
        if String(decoding: exchange.body, as: UTF8.self).contains("prompt_tokens") {
            #expect((response.usage.input ?? 0) > 0 && response.usage.output != nil)
        }
        let written = OpenAIChat().encodeWhole(response, context)
        #expect(
            try OpenAIChat().decodeWhole(written).choices.map(\.message.text) == response.choices.map(\.message.text))
    }

    @Test(
        "A recorded whole answer is the same after it was written for a client, whole or as a stream",
        arguments: exchanges.filter { $0.kind == "json" && $0.status < 400 })
    func rewritten(_ exchange: Exchange) throws {
        guard case .success(let response) = exchange.whole else { return }
        let whole = try OpenAIChat().decodeWhole(OpenAIChat().encodeWhole(response, context))
        #expect(Normalised.choices(whole) == Normalised.choices(response))
        #expect(whole.usage == response.usage)
        let streamed = decode(encode(EventReplay.events(of: response)))
        #expect(streamed.failure == nil)
        #expect(Normalised.choices(streamed.response) == Normalised.choices(response))
        #expect(streamed.response.usage == response.usage)
    }

    @Test("A recorded stream gives the same in any pieces", arguments: exchanges.filter { $0.kind == "sse" })
    func splits(_ exchange: Exchange) {
        ReplayChecks.splits(exchange)
    }
}

enum ReplayChecks {
    /// Decodes a stream byte by byte, at random splits, and again after writing it for a client.
    static func splits(_ exchange: Exchange) {
        let bytes = exchange.body
        let quirks = exchange.quirks
        let whole = decode([bytes[...]], quirks: quirks)
        #expect(Normalised.ids(decode(bytes.indices.map { bytes[$0...$0] }, quirks: quirks)) == Normalised.ids(whole))
        for seed in 0..<20 as Range<UInt64> {
            let split = decode(pieces(of: bytes, seed: seed), quirks: quirks)
            #expect(Normalised.ids(split) == Normalised.ids(whole), "seed \(seed)")
        }
        guard whole.failure == nil else { return }
        let again = decode(encode(whole.events))
        #expect(again.failure == nil && again.response.choices == whole.response.choices)
        #expect(again.response.usage == whole.response.usage)
    }
}

extension Exchange {
    /// What a whole answer is read as.
    fileprivate var whole: Result<ChatResponse, ParleyError> {
        do throws(ParleyError) {
            return .success(try OpenAIChat(quirks: quirks).decodeWhole(ByteBuffer(bytes: body)))
        } catch {
            return .failure(error)
        }
    }
}

/// What reading and writing makes the same.
enum Normalised {
    /// Empty text is none, and a choice that says no reason has one all the same.
    static func choices(_ response: ChatResponse) -> [ChatResponse.Choice] {
        response.choices.map { choice in
            var choice = choice
            if choice.message.text.isEmpty { choice.message.content = [] }
            choice.message.contentIsText = false
            let calls: Bool? = choice.message.toolCalls.isEmpty ? nil : false
            choice.finish = choice.finish ?? FinishWord.reason(nil, calls: calls)
            return choice
        }
    }

    /// Ids made up for answers that have none differ from run to run.
    static func ids(_ decoded: Decoded) -> Decoded {
        var decoded = decoded
        guard case .start(let identity)? = decoded.events.first, identity.id.isEmpty else { return decoded }
        decoded.events = decoded.events.map { event in
            guard case .toolCall(let choice, let index, var call) = event else { return event }
            call.id = "made up"
            return .toolCall(choice: choice, index: index, call)
        }
        return decoded
    }

    /// Null fields and `stream: false` are fields not said, `stop` is a list, streams ask for usage, an assistant turn
    /// without content has a null one, a bare `image_url` is an object, no tools are no field, and reasoning has one
    /// name and is readable beside its details.
    static func request(_ value: JSONValue) -> JSONValue {
        guard case .object(var object) = value else { return value }
        let known = ChatField.documented
        object.members.removeAll { $0.value.isNull && known.contains($0.key) }
        if object["tools"] == .array([]) { object["tools"] = nil }
        if object["stream"] == .bool(false) { object["stream"] = nil }
        if object["stream"] != .bool(true) { object["stream_options"] = nil }
        if object["stream"] == .bool(true) {
            var options = object["stream_options"]?.object ?? [:]
            options["include_usage"] = true
            object["stream_options"] = .object(options)
        }
        if case .string? = object["stop"], let stop = object["stop"] { object["stop"] = .array([stop]) }
        object["messages"] = .array((object["messages"]?.array ?? []).map(message))
        return .object(object)
    }

    private static func message(_ value: JSONValue) -> JSONValue {
        guard case .object(var object) = value else { return value }
        for key in ["tool_calls", "function_call", "refusal", "name", "tool_call_id"] where object[key] == .some(.null)
        {
            object[key] = nil
        }
        if object["role"] == "assistant", object["content"] == nil { object["content"] = .null }
        if let reasoning = object.remove("reasoning") { object["reasoning_content"] = reasoning }
        if object["reasoning_details"] != nil { object["reasoning_content"] = nil }
        if let parts = object["content"]?.array {
            object["content"] = .array(
                parts.map { part in
                    guard case .object(var fields) = part, let url = fields["image_url"]?.string else { return part }
                    fields["image_url"] = ["url": .string(url)]
                    return .object(fields)
                })
        }
        return .object(object)
    }
}
