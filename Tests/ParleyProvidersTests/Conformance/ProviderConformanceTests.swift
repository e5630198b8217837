// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire
import Testing

@testable import ParleyProviders

@Suite("Every kind of provider, held to the same")
struct ProviderConformanceTests {
    static let kinds = Registry.kinds.filter { $0.isBuilt && !["demo", "acp"].contains($0.name) }.map(\.name)
    static let dialects = Dialects.all.filter(\.isSpokenByClients).map(\.id)

    /// A request that any provider can be asked, in a client's dialect.
    private static func body(_ dialect: DialectID) -> String {
        switch dialect {
        case .openAIResponses: #"{"model":"a/m","input":"Hi"}"#
        case .openAICompletions: #"{"model":"a/m","prompt":"Hi"}"#
        case .gemini: #"{"contents":[{"role":"user","parts":[{"text":"Hi"}]}]}"#
        default: #"{"model":"a/m","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}"#
        }
    }

    /// The requests that a provider of the kind sends for a call; none where its settings do not suffice.
    private static func requests(_ kind: String, _ model: String, _ dialect: DialectID) async -> [UpstreamRequest] {
        let connector = FakeConnector(.json(#"{"access_token":"t","expires_in":3600}"#), .json(wholeAnswer))
        var call = makeCall(connector, body: body(dialect), stream: false)
        call.dialect = dialect
        let made = try? makeModel(kind: kind, keys: [kind == "zhipu" ? "id.secret" : "k1"], id: model) {
            $0.models = [.init(model, model)]
            if kind == "qianfan" { $0.options.values["secret_key"] = "s" }
            if kind == "bedrock" { $0.options.values["region"] = "us-east-1" }
            if kind == "iflow" { $0.options.values["mode"] = "api" }
            if kind == "spark" { $0.options.values = ["app_id": "a", "api_secret": "s"] }
            if kind == "vertex" { $0.options.values = ["project": "p", "location": "us-central1"] }
            AccountSetup.complete(&$0)
        }
        guard let made else { return [] }
        _ = await thrown(by: made, call)
        return connector.requests
    }

    @Test("A request goes to the provider's own host, with one host header", arguments: kinds)
    func heads(_ kind: String) async {
        for dialect in Self.dialects {
            let requests = await Self.requests(kind, "m", dialect)
            #expect(!requests.isEmpty, "\(kind) asked in \(dialect.name)")
            for request in requests {
                let lines = String(buffer: request.head).split(separator: "\r\n", omittingEmptySubsequences: false)
                let names = lines.dropFirst().compactMap { $0.split(separator: ":").first?.lowercased() }
                #expect(names.count { $0 == "host" } == 1, "\(kind) in \(dialect.name)")
                #expect(names.count { $0 == "content-length" } == 0, "\(kind) in \(dialect.name)")
                #expect(request.endpoint.host == "up.example", "\(kind) in \(dialect.name)")
                #expect(lines[0].split(separator: " ").count == 3, "\(kind) in \(dialect.name)")
            }
        }
    }

    @Test("A model's name cannot add a header or change where a request goes", arguments: kinds)
    func injection(_ kind: String) async {
        for name in ["m HTTP/1.1\r\nx-evil: 1\r\n\r\n", "../../../v9/evil", "m?x=1#y", "m\nx-evil: 1"] {
            for request in await Self.requests(kind, name, .openAIChat) {
                let head = String(buffer: request.head)
                let names = head.split(separator: "\r\n").dropFirst().compactMap { $0.split(separator: ":").first }
                #expect(!names.contains { $0.lowercased() == "x-evil" }, "\(kind)")
                #expect(!head.replacing("\r\n", with: "").utf8.contains { $0 == 0x0A || $0 == 0x0D }, "\(kind)")
                let path = head.split(separator: " ", maxSplits: 2).dropFirst().first ?? ""
                #expect(!path.contains("/../") && !path.contains("#"), "\(kind): \(path)")
                #expect(head.split(separator: "\r\n").first?.split(separator: " ").count == 3, "\(kind)")
            }
        }
    }
}
