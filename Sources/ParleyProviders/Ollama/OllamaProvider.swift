// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects

/// An Ollama server by its own API, on a machine of the user's or in Ollama's cloud.
final class OllamaProvider: ListsModels, Embeds {
    static let summary = "An Ollama server by its own API"
    static let standardBase = "http://127.0.0.1:11434"

    let id: String
    let credentials: Credentials
    private let access: ServiceAccess
    let overrides: [FieldOverride]
    private let face: Face
    private let vectors: EmbeddingFace

    init(_ setup: ProviderSetup) throws(ProviderError) {
        id = setup.name
        var base = try ServiceAccess.base(setup, standard: Self.standardBase)
        base.dropEnding(of: ["/api/chat", "/api", "/v1"])
        access = try ServiceAccess(setup, base: base)
        credentials = Credentials(access.keys)
        overrides = setup.overrides
        face = Face(Ollama(), at: access.target("POST", "/api/chat"))
        vectors = EmbeddingFace(OllamaEmbeddings(), at: access.target("POST", "/api/embed"))
    }

    func face(for call: Call, model: String) throws(ParleyError) -> Face {
        guard case .chat = call.operation else {
            throw ParleyError(.invalid, "\(id) has no such API.", code: "unsupported_operation")
        }
        return face
    }

    func embedding(for call: Call, model: String) throws(ParleyError) -> EmbeddingFace { vectors }

    func authorize(
        _ target: Target, body: ByteBuffer?, with credential: Credential, through connector: any Connector
    ) async throws(ParleyError) -> ByteBuffer {
        head(target, credential, hasBody: body != nil)
    }

    /// A server on one's own machine takes no key; the cloud, and proxies before a server, want one.
    private func head(_ target: Target, _ credential: Credential, hasBody: Bool) -> ByteBuffer {
        access.head(
            target, credential.secret.map { [.bearer($0)] } ?? [], contentType: hasBody ? "application/json" : nil,
            accept: "application/x-ndjson, application/json")
    }

    func models(_ connector: any Connector) async throws(ParleyError) -> [ListedModel] {
        let target = access.target("GET", "/api/tags")
        let credential = credentials.pick(at: .now())
        return try await ModelList.fetch(
            target, head: head(target, credential, hasBody: false), provider: id, dialect: face.dialect,
            connector: connector)
    }
}

extension BaseURL {
    /// Takes the first of these endings off the path: people paste the address of one API and mean the server.
    mutating func dropEnding(of endings: [String]) {
        guard let ending = endings.first(where: { path.hasSuffix($0) }) else { return }
        path.removeLast(ending.count)
    }
}
