// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire
import Testing

@testable import ParleyProviders

@Suite("Requests in every dialect, to every dialect")
struct GoldenRequestTests {
    /// One request of a client on its way to an upstream of another dialect.
    struct Pair: Sendable, CustomTestStringConvertible {
        var source: String
        var name: String
        var target: String

        var testDescription: String { "\(source)/\(name) to \(target)" }
    }

    static let pairs: [Pair] = Dialects.all.filter(\.isSpokenByClients).flatMap { source in
        Golden.names(in: "Golden/requests/\(source.id.name)", ending: ".json").flatMap { name in
            Dialects.all.map { Pair(source: source.id.name, name: name, target: $0.id.name) }
        }
    }

    /// The model a request is for: what an upstream can do may depend on it.
    static let models = [
        "anthropic": "claude-sonnet-4-5", "bedrock": "anthropic.claude-sonnet-4-5-20250929-v1:0",
        "gemini": "gemini-2.5-flash", "ollama": "llama3.3", "cohere": "command-a-03-2025",
        "flowgpt": "prompt-one", "fitten": "fitten-code", "claude-web": "claude-web",
        "spark": "v4.0",
        "zhipu-v3": "chatglm_turbo", "ernie": "ERNIE-4.0-8K", "dashscope": "qwen-plus",
    ]

    @Test("A request says the same in the other dialect, or is refused, or names what was dropped", arguments: pairs)
    func translated(_ pair: Pair) throws {
        let source = try Dialects.dialect(DialectID(pair.source))
        let target = try Dialects.dialect(DialectID(pair.target))
        let path = "Golden/requests/\(pair.source)/\(pair.name)"
        let input = ByteBuffer(string: try Golden.text(path + ".json"))
        let outcome = Self.translate(input, from: source, to: target)
        try Golden.compare(Golden.pretty(outcome) + "\n", with: "\(path)/\(pair.target).json")
    }

    /// What is sent upstream and what was dropped, or why the request is refused.
    private static func translate(_ input: ByteBuffer, from source: any Dialect, to target: any Dialect) -> JSONValue {
        do throws(ParleyError) {
            var request = try source.decodeRequest(input)
            request.model = models[target.id.name] ?? "gpt-4o-mini"
            if source.id != target.id { try source.prepareForTranslation(&request) }
            var dropped: [String] = []
            let body = try target.encodeRequest(request, dropped: &dropped)
            let declared = Set(target.losses.filter { $0.fate == .dropped }.map(\.field))
            for field in dropped where !declared.contains(field) && !source.ownFields.contains(field) {
                Issue.record("\(field) is neither a loss of \(target.id.name) nor \(source.id.name)'s own")
            }
            #expect(Set(dropped).count == dropped.count, "each field is named once")
            let value = (try? JSON.parse(body)) ?? .null
            return ["dropped": .array(dropped.map { .string($0) }), "body": value]
        } catch {
            return ["refused": .string(error.message), "parameter": error.parameter.map { .string($0) } ?? .null]
        }
    }
}
