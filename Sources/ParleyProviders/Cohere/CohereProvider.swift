// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects

/// Cohere by its own API, version 2.
final class CohereProvider: ListsModels, Embeds, PassesRequests {
    static let summary = "Cohere by its own API"
    static let standardBase = "https://api.cohere.com"

    let id: String
    let credentials: Credentials
    private let access: ServiceAccess
    let overrides: [FieldOverride]
    private let face: Face
    private let vectors: EmbeddingFace

    init(_ setup: ProviderSetup) throws(ProviderError) {
        id = setup.name
        var base = try ServiceAccess.base(setup, standard: Self.standardBase)
        base.dropEnding(of: ["/v2/chat", "/compatibility/v1", "/v2", "/v1"])
        access = try ServiceAccess(setup, base: base)
        credentials = Credentials(access.keys)
        overrides = setup.overrides
        face = Face(Cohere(), at: access.target("POST", "/v2/chat"))
        vectors = EmbeddingFace(CohereEmbeddings(), at: access.target("POST", "/v2/embed"))
    }

    func face(for call: Call, model: String) throws(ParleyError) -> Face {
        guard case .chat = call.operation else {
            throw ParleyError(.invalid, "\(id) has no such API.", code: "unsupported_operation")
        }
        return face
    }

    func embedding(for call: Call, model: String) throws(ParleyError) -> EmbeddingFace { vectors }

    /// Reranking, which clients ask for as Cohere has it.
    func passes(_ request: PassedRequest) -> Bool { request.kind == .rerank }

    func target(for request: PassedRequest, model: String?) -> Target {
        access.target(passing: request, to: request.kind == .rerank ? "/v2/rerank" : nil)
    }

    func authorize(
        _ target: Target, body: ByteBuffer?, with credential: Credential, through connector: any Connector
    ) async throws(ParleyError) -> ByteBuffer {
        if target.passed != nil { return access.head(target, credential.secret.map { [.bearer($0)] } ?? []) }
        return head(target, credential, hasBody: body != nil)
    }

    private func head(_ target: Target, _ credential: Credential, hasBody: Bool) -> ByteBuffer {
        access.head(
            target, credential.secret.map { [.bearer($0)] } ?? [], contentType: hasBody ? "application/json" : nil)
    }

    func models(_ connector: any Connector) async throws(ParleyError) -> [ListedModel] {
        // The list is of version 1, and has models of other kinds unless asked.
        let target = access.target("GET", "/v1/models?endpoint=chat&page_size=1000")
        let credential = credentials.pick(at: .now())
        return try await ModelList.fetch(
            target, head: head(target, credential, hasBody: false), provider: id, dialect: face.dialect,
            connector: connector)
    }
}
