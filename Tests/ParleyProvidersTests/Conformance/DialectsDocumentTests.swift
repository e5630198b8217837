// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire
import Testing

@testable import ParleyProviders

/// Keeps the generated part of `docs/dialects.md` equal to what the dialects say and do. `PARLEY_WRITE_DOCS=1` writes it.
@Suite("The page on dialects")
struct DialectsDocumentTests {
    private static let page = "docs/dialects.md"
    private static let markers = ("<!-- generated: losses -->\n", "<!-- /generated -->")

    @Test("The tables are the ones made from the dialects")
    func tables() throws {
        let text = try Golden.text(Self.page)
        let start = try #require(text.range(of: Self.markers.0))
        let end = try #require(text.range(of: Self.markers.1, range: start.upperBound..<text.endIndex))
        let made = try Self.generated()
        if ProcessInfo.processInfo.environment["PARLEY_WRITE_DOCS"] == "1" {
            let whole = text.replacingCharacters(in: start.upperBound..<end.lowerBound, with: made)
            try Data(whole.utf8).write(to: Golden.root.appending(path: Self.page))
        } else {
            #expect(String(text[start.upperBound..<end.lowerBound]) == made, "PARLEY_WRITE_DOCS=1 writes it anew")
        }
    }

    @Test("No loss is declared twice, and each says why")
    func declared() {
        for dialect in Dialects.all {
            let keys = dialect.losses.map { $0.field + $0.fate.rawValue }
            #expect(Set(keys).count == keys.count, "\(dialect.id.name): \(keys)")
            for loss in dialect.losses { #expect(loss.note.hasSuffix("."), "\(dialect.id.name): \(loss.field)") }
        }
    }

    private static func generated() throws -> String {
        var text = "\n### Fields of one dialect only\n\n| clients of | say what only they know |\n|---|---|\n"
        for dialect in Dialects.all where dialect.isSpokenByClients {
            let fields = dialect.ownFields.map { "`\($0)`" }.joined(separator: ", ")
            text += "| `\(dialect.id.name)` | \(fields) |\n"
        }
        let clients = Dialects.all.filter(\.isSpokenByClients)
        for feature in Feature.allCases {
            text += "\n### \(feature.title)\n\n| client \\ provider |"
            text += Dialects.all.map { " `\($0.id.name)` |" }.joined()
            text += "\n|---|" + Dialects.all.map { _ in "---|" }.joined() + "\n"
            for client in clients {
                text += "| `\(client.id.name)` |"
                for target in Dialects.all { text += " \(try feature.fate(from: client, to: target)) |" }
                text += "\n"
            }
        }
        for dialect in Dialects.all {
            text += "\n### What `\(dialect.id.name)` cannot be told\n\n"
            text += "| field | what becomes of it | why, or how |\n|---|---|---|\n"
            for loss in dialect.losses { text += "| `\(loss.field)` | \(loss.fate.rawValue) | \(loss.note) |\n" }
        }
        return text + "\n"
    }
}

/// What a client may ask for and not every provider can do. Each cell of the tables is what becomes of a request that
/// asks for it.
private enum Feature: String, CaseIterable {
    case choices, logprobs, structured, tools, image, imageByAddress, document, audio, reasoning, signature

    var title: String {
        switch self {
        case .choices: "Several choices (`n`)"
        case .logprobs: "Log probabilities"
        case .structured: "Structured output (a JSON schema)"
        case .tools: "Tools"
        case .image: "Images, inline"
        case .imageByAddress: "Images by address"
        case .document: "Documents (a PDF, inline)"
        case .audio: "Audio"
        case .reasoning: "Reasoning (an effort, or a budget in tokens)"
        case .signature: "Signatures of reasoning, the client's own vendor's"
        }
    }

    /// What a request that a provider can serve must still have in it.
    private var marks: [String] {
        switch self {
        case .choices: ["\"n\":2", "\"candidateCount\":2"]
        case .logprobs: ["\"logprobs\":true", "\"logprobs\":2", "\"responseLogprobs\":true", "output_text.logprobs"]
        case .structured: ["\"age\":{\"type\":\"integer\"}", "\"outputConfig\":{\"textFormat\""]
        case .tools: ["\"name\":\"look\""]
        case .image: ["iVBORw0KGgo="]
        case .imageByAddress: ["https://example.com/cat.png"]
        case .document: ["JVBERi0xLjQ="]
        case .audio: ["UklGRg=="]
        case .reasoning: ["2048", "\"low\"", "\"LOW\"", "1024"]
        case .signature: ["c2lnbmF0dXJl"]
        }
    }

    func fate(from client: any Dialect, to target: any Dialect) throws -> String {
        guard let body = body(client.id) else { return "–" }
        if client.id == target.id { return "native" }
        var dropped: [String] = []
        let text: String
        do throws(ParleyError) {
            var request = try client.decodeRequest(ByteBuffer(string: body))
            request.model = GoldenRequestTests.models[target.id.name] ?? "gpt-5"
            try client.prepareForTranslation(&request)
            text = String(buffer: try target.encodeRequest(request, dropped: &dropped))
        } catch {
            #expect(error.kind == .invalid && error.parameter != nil, "\(rawValue): \(error.message)")
            return "refused"
        }
        if marks.contains(where: { text.contains($0) }) {
            // A budget where the client said a word, or the other way round.
            let isKept = body.contains("2048") ? text.contains("2048") : text.lowercased().contains("\"low\"")
            return self == .reasoning && !isKept ? "emulated" : "native"
        }
        if self == .structured, text.contains("age") { return "emulated" }
        if self == .signature, text.contains("\"Hm.\"") { return "its text only" }
        #expect(!dropped.isEmpty, "\(rawValue) from \(client.id.name) to \(target.id.name) is lost in silence")
        return "dropped"
    }

    /// A client's request that asks for it; nil where its API cannot say it.
    private func body(_ client: DialectID) -> String? {
        let name = "Golden/features/\(client.name).json"
        guard let text = try? Golden.text(name), let all = try? JSON.parse(text) else { return nil }
        return all[rawValue].map { JSON.text($0) }
    }
}
