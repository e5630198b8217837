// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects

/// Google's Vertex AI: with a service account, or with a key in express mode.
final class VertexProvider: CountsRequests, Embeds {
    static let options = ["project", "location", "credentials"]

    let id: String
    let credentials: Credentials

    private let access: ServiceAccess
    /// Down to the publisher, e.g. `/v1/projects/p/locations/l/publishers/`.
    private let publishers: String
    let overrides: [FieldOverride]
    /// Nil in express mode.
    private let token: GoogleToken?
    private let gemini: any RelayingDialect = Gemini(platform: .vertex)

    init(_ setup: ProviderSetup) throws(ProviderError) {
        id = setup.name
        overrides = setup.overrides
        let location = try setup.options.string("location") ?? "us-central1"
        let account = try setup.options.string("credentials").map { text throws(ProviderError) in
            try ServiceAccount(setting: text)
        }
        let project = try setup.options.string("project") ?? account?.project
        let isExpress = account == nil
        for (name, value) in [("location", location), ("project", project ?? "")] {
            guard value.utf8.allSatisfy(Self.isPlain) else {
                throw ProviderError("may only have letters, digits, dashes, dots and colons", setting: name)
            }
        }
        let isGlobal = isExpress || location == "global"
        let host = isGlobal ? "aiplatform.googleapis.com" : "\(location)-aiplatform.googleapis.com"
        var base = try ServiceAccess.base(setup, standard: "https://\(host)/v1")
        if base.path.isEmpty { base.path = "/v1" }
        access = try ServiceAccess(setup, base: base)
        guard !isExpress || !access.keys.isEmpty else {
            throw ProviderError("must be given, or an api_key", setting: "credentials")
        }
        if let account {
            guard let project, !project.isEmpty else { throw ProviderError("must be given", setting: "project") }
            publishers = "/projects/\(project)/locations/\(location)/publishers/"
            token = try GoogleToken(account, setup: setup)
            credentials = Credentials([])
        } else {
            publishers = "/publishers/"
            token = nil
            credentials = Credentials(access.keys)
        }
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: ":"):
            true
        default: false
        }
    }

    func face(for call: Call, model: String) throws(ParleyError) -> Face {
        if Self.isClaude(model) {
            return try VertexClaude.face(access, publishers: publishers, model: model, call: call)
        }
        return Face(relaying: gemini, at: try GeminiTarget.make(access, resource(model), call))
    }

    func embedding(for call: Call, model: String) throws(ParleyError) -> EmbeddingFace {
        guard !Self.isClaude(model) else { throw .noEmbeddings("\(id)/\(model)") }
        return EmbeddingFace(VertexEmbeddings(model: model), at: access.target("POST", resource(model) + ":predict"))
    }

    private static func isClaude(_ model: String) -> Bool { model.hasPrefix("claude-") }

    private func resource(_ model: String) -> String { "\(publishers)google/\(GeminiTarget.resource(model))" }

    func authorize(
        _ target: Target, body: ByteBuffer?, with credential: Credential, through connector: any Connector
    ) async throws(ParleyError) -> ByteBuffer {
        if let token {
            return access.head(target, [.bearer(try await token.value(through: connector))])
        }
        return access.head(target, credential.secret.map { [HeaderField("x-goog-api-key", $0)] } ?? [])
    }

    func renews(_ head: ByteBuffer) -> Bool { token?.drop(usedIn: head) ?? false }
}
