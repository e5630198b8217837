// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire
import Testing

@testable import ParleyProviders

/// An exchange of the project's `Transcripts` folder: what a vendor sends, and what a client must make of it.
private struct Exchange {
    var name: String
    var path: String
    var status: Int
    var headers: [(String, String)]
    var body: [UInt8]
    var isStreamAsked: Bool
    /// Whether the answer came as the messages of a WebSocket.
    var isSocket: Bool
    var expect: JSONValue

    init?(_ folder: URL) throws {
        func file(_ name: String) throws -> JSONValue {
            try JSON.parse(String(decoding: Data(contentsOf: folder.appending(path: name)), as: UTF8.self))
        }
        let head = try file("response.headers.json")
        let request = try file("request.json")
        guard let expect = try file("case.json")["expect"] else { return nil }
        name = folder.pathComponents.suffix(2).joined(separator: "/")
        self.expect = expect
        status = head["status"]?.int ?? 0
        headers = (head["headers"]?.object ?? [:]).members.map { ($0.key, $0.value.string ?? "") }
        body = try Array(Data(contentsOf: folder.appending(path: "response.body")))
        // With Gemini and Bedrock the wish for a stream is in the path.
        path = request["path"]?.string ?? ""
        let isInPath =
            path.contains(":stream") || path.hasSuffix("/converse-stream") || path.hasSuffix("/sse-invoke")
        // DashScope is asked by a header.
        let isInHead = request["headers"]?["x-dashscope-sse"] == "enable"
        isSocket = request["method"]?.string == "GET"
        // And where an answer is always a stream the name of the exchange says it.
        let isInName = folder.lastPathComponent.hasPrefix("stream-")
        isStreamAsked = request["body"]?["stream"]?.bool ?? (isInPath || isInHead || isSocket || isInName)
    }

    func script(bytewise: Bool) -> FakeConnector.Script {
        if isSocket, status == 200 {
            // A message per line: how a socket's bytes were split is not for its reader to know.
            let lines = String(decoding: body, as: UTF8.self).split(separator: "\n")
            return FakeConnector.Script(reads: lines.map { .bytes(String($0)) }, isSocket: true)
        }
        let reads = bytewise ? body.map { FakeConnector.Read.raw([$0]) } : body.isEmpty ? [] : [.raw(body)]
        return FakeConnector.Script(status: status, headers: headers, reads: reads)
    }
}

/// What a client got.
private struct Outcome {
    var response: ChatResponse?
    var error: ParleyError?
    var usage = Usage()
}

@Suite("Transcripts")
struct TranscriptTests {
    /// The kinds whose exchanges lie in a folder of another name.
    static let folders = [
        "openai-compatible": "compatible", "cohere-compatible": "cohere-compat",
        "dashscope-compatible": "dashscope", "gemini-openai": "gemini-openai-compat", "github": "github-models",
        "llamacpp": "llama-cpp", "lmstudio": "lm-studio", "qianfan-v2": "qianfan", "spark-http": "spark",
        "zai": "zhipu", "bigmodel": "zhipu", "spark": "spark-websocket", "qianfan v2": "qianfan",
        // Without exchanges of their own: every general one must come out of them, too.
        "ollama-openai": "compatible", "ollama-cloud": "compatible", "iflow-openai": "compatible",
    ]

    static var root: URL? {
        var folder = URL(filePath: #filePath).deletingLastPathComponent()
        for _ in 0..<4 {
            folder = folder.deletingLastPathComponent()
            let candidate = folder.appending(path: "Transcripts")
            if FileManager.default.fileExists(atPath: candidate.path) { return candidate }
        }
        return nil
    }

    static let kinds =
        [
            "openai", "openai-compatible", "anthropic", "gemini", "vertex", "azure", "bedrock", "ollama", "cohere",
            "spark", "flowgpt", "fitten", "claude-web", "zhipu", "dashscope",
        ]
        + variants.keys.sorted() + Catalogue.vendors.map(\.id)

    /// Kinds with settings that make another wire of them.
    static let variants: [String: (kind: String, options: JSONObject)] = [
        "zhipu-v3": ("zhipu", ["api": "v3"]), "ernie": ("qianfan", ["secret_key": "s"]),
        "qianfan v2": ("qianfan", ["api": "v2"]), "dashscope-native": ("dashscope", ["api": "native"]),
    ]

    @Test("Every exchange of a vendor comes out as it must, whole and byte by byte", arguments: kinds)
    func replay(kind: String) async throws {
        guard let root = Self.root else { return }
        let folder = root.appending(path: Self.folders[kind] ?? kind)
        guard FileManager.default.fileExists(atPath: folder.path) else {
            Issue.record("no transcripts for \(kind)")
            return
        }
        let cases = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        for place in cases.sorted(by: { $0.path < $1.path }) {
            guard let exchange = try Exchange(place) else { continue }
            for bytewise in [false, true] {
                for form in [Call.Form.client, .neutral] {
                    let outcome = try await run(exchange, kind: kind, bytewise: bytewise, form: form)
                    let label = "\(exchange.name) as \(kind)\(bytewise ? ", byte by byte" : "") \(form)"
                    check(outcome, exchange.expect, label)
                }
            }
        }
    }

    private func run(
        _ exchange: Exchange, kind: String, bytewise: Bool, form: Call.Form
    ) async throws -> Outcome {
        let vendor = kind == "openai-compatible" ? Registry.anyCompatible : Catalogue.vendor(kind)
        // Who sends no tags of thinking is not looked at for them, unless the configuration says so.
        let isThinking = exchange.name.contains("think-inline")
        let variant = Self.variants[kind]
        let model = try makeModel(
            kind: variant?.kind ?? kind, keys: [kind.hasPrefix("zhipu") ? "id.secret" : "k1"],
            id: exchange.path.contains("/multimodal-") ? "qwen-vl" : "m"
        ) {
            if isThinking { $0.quirks = ["inline_thinking": true] }
            if kind == "bedrock" { $0.options.values["region"] = "us-east-1" }
            AccountSetup.complete(&$0)
            if kind == "spark" { $0.options.values = ["app_id": "a", "api_secret": "s"] }
            if let variant { $0.options.values = variant.options }
        }
        let token = FakeConnector.Script.json(#"{"access_token":"t","expires_in":86400}"#)
        let before = kind == "ernie" ? [token] : AccountSetup.steps[kind] ?? []
        let answer = exchange.script(bytewise: bytewise)
        let connector = FakeConnector(scripts: before + [answer] + before + [answer])
        var call = makeCall(connector, stream: exchange.isStreamAsked, includeUsage: true)
        call.form = form
        let reply: Reply
        do throws(ParleyError) {
            reply = try await model.answer(call)
        } catch {
            return Outcome(error: error)
        }
        // What is relayed keeps the vendor's accent; what is rewritten must be plain OpenAI.
        var quirks = vendor?.quirks ?? (kind == "zhipu" ? Catalogue.zhipu.quirks : Quirks())
        if isThinking { quirks.inlineThinking = true }
        let dialect = quirks.rewritesAnswers ? OpenAIChat() : OpenAIChat(quirks: quirks)
        return try await outcome(of: reply, isStream: exchange.isStreamAsked, dialect)
    }

    private func outcome(of reply: Reply, isStream: Bool, _ dialect: OpenAIChat) async throws -> Outcome {
        var outcome = Outcome()
        var events: [Event] = []
        switch reply.content {
        case .whole(let response):
            return Outcome(response: response, usage: response.usage)
        case .events(let source):
            do throws(ParleyError) {
                while try await source.next(into: &events, by: .distantFuture) {}
            } catch {
                outcome.error = error
            }
        case .client(let body):
            var bytes = ByteBuffer()
            do throws(ParleyError) {
                while try await body.next(into: &bytes, by: .distantFuture) {}
            } catch {
                outcome.error = error
            }
            outcome.usage = body.observed.usage
            guard isStream else {
                outcome.response = try dialect.decodeWhole(bytes)
                return outcome
            }
            var decoder = dialect.makeStreamDecoder()
            do throws(ParleyError) {
                try decoder.push(bytes, into: &events)
                if outcome.error == nil {
                    try decoder.finish(into: &events)
                    #expect(decoder.isComplete)
                }
            } catch {
                Issue.record("a client was given what it cannot read: \(error.message)")
            }
        }
        for case .usage(let usage) in events { outcome.usage.merge(usage) }
        var collector = ChatCollector()
        for event in events { collector.add(event) }
        outcome.response = collector.response()
        return outcome
    }

    private func check(_ outcome: Outcome, _ expect: JSONValue, _ label: String) {
        let comment = Comment(rawValue: label)
        if let error = expect["error"] {
            guard let thrown = outcome.error else {
                Issue.record("\(label): no error")
                return
            }
            let envelope = try? JSON.parse(OpenAIChat().encodeFailure(thrown))["error"]
            if let status = error["status"]?.int { #expect(thrown.httpStatus == status, comment) }
            if let type = error["type"] { #expect(envelope?["type"] == type, comment) }
            if let code = error["code"] { #expect(envelope?["code"] == code, comment) }
        } else if let error = outcome.error {
            Issue.record("\(label): \(error.message)")
            return
        }
        let choices = outcome.response?.choices ?? []
        let message = choices.first?.message
        if let text = expect["text"]?.string { #expect(message?.text ?? "" == text, comment) }
        if let texts = expect["texts"]?.array {
            #expect(choices.map(\.message.text) == texts.compactMap(\.string), comment)
        }
        if let refusal = expect["refusal"]?.string { #expect(message?.refusal == refusal, comment) }
        if let reasoning = expect["reasoning"]?.string {
            #expect(message?.reasoning.map(\.text).joined() == reasoning, comment)
        }
        if let finish = expect["finish"]?.string {
            // A single call in the deprecated form keeps that form's word.
            let said = choices.first?.finish == .functionCall ? .toolCalls : choices.first?.finish
            #expect(said?.rawValue == finish, comment)
        }
        if let calls = expect["tool_calls"]?.array {
            #expect(message?.toolCalls.map(\.name) == calls.map { $0["name"]?.string ?? "" }, comment)
            let mine = message?.toolCalls.map { try? JSON.parse($0.arguments) }
            #expect(mine == calls.map { try? JSON.parse($0["arguments"]?.string ?? "") }, comment)
            #expect(Set(message?.toolCalls.map(\.id) ?? []).count == calls.count, comment)
        }
        if let usage = expect["usage"] { check(outcome.usage, usage, comment) }
    }

    private func check(_ usage: Usage, _ expect: JSONValue, _ comment: Comment) {
        if let count = expect["prompt"]?.int { #expect(usage.input == count, comment) }
        if let count = expect["completion"]?.int { #expect(usage.output == count, comment) }
        if let count = expect["total"]?.int { #expect(usage.statedTotal ?? usage.total == count, comment) }
        if let count = expect["cached"]?.int { #expect(usage.cacheRead == count, comment) }
        if let count = expect["reasoning"]?.int { #expect(usage.reasoning == count, comment) }
    }
}
