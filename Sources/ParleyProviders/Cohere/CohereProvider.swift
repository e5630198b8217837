// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects

/// Cohere by its own API, version 2.
final class CohereProvider: ListsModels {
    static let summary = "Cohere by its own API"
    static let standardBase = "https://api.cohere.com"

    let id: String
    let credentials: Credentials
    private let access: ServiceAccess
    private let overrides: [FieldOverride]
    private let face: Face

    init(_ setup: ProviderSetup) throws(ProviderError) {
        id = setup.name
        var base = try ServiceAccess.base(setup, standard: Self.standardBase)
        base.dropEnding(of: ["/v2/chat", "/compatibility/v1", "/v2", "/v1"])
        access = try ServiceAccess(setup, base: base)
        credentials = Credentials(access.keys)
        overrides = setup.overrides
        face = Face(Cohere(), at: access.target("POST", "/v2/chat"))
    }

    func face(for call: Call, model: String) throws(ParleyError) -> Face { face }

    func authorize(
        _ target: Target, body: ByteBuffer?, with credential: Credential, through connector: any Connector
    ) async throws(ParleyError) -> ByteBuffer {
        head(target, credential, hasBody: body != nil)
    }

    private func head(_ target: Target, _ credential: Credential, hasBody: Bool) -> ByteBuffer {
        access.head(
            target, credential.secret.map { [.bearer($0)] } ?? [], contentType: hasBody ? "application/json" : nil)
    }

    func adjust(_ call: inout Call) {
        if !overrides.isEmpty { call.overrides = overrides + call.overrides }
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
