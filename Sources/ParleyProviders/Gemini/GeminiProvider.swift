// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire
import Synchronization

/// Google's Gemini API, with a key.
final class GeminiProvider: ListsModels, CountsRequests, Embeds {
    static let environment = ["GOOGLE_API_KEY", "GEMINI_API_KEY"]
    static let baseVariable = "GOOGLE_GEMINI_BASE_URL"

    /// The most pages of the list of models that are asked for.
    private static let pages = 20

    let id: String
    let credentials: Credentials

    private let access: ServiceAccess
    let overrides: [FieldOverride]
    private let whole: any RelayingDialect = Gemini()
    private let classic: any RelayingDialect = Gemini(jsonSchemaFields: false)
    /// Set once the service has said that it does not know the fields for JSON Schema.
    private let refusesJSONSchema = Atomic<Bool>(false)

    init(_ setup: ProviderSetup) throws(ProviderError) {
        id = setup.name
        var base = try ServiceAccess.base(setup, standard: "https://generativelanguage.googleapis.com/v1beta")
        if base.path.isEmpty { base.path = "/v1beta" }
        access = try ServiceAccess(setup, base: base)
        credentials = Credentials(access.keys)
        overrides = setup.overrides
    }

    private var current: any RelayingDialect { refusesJSONSchema.load(ordering: .relaxed) ? classic : whole }

    func face(for call: Call, model: String) throws(ParleyError) -> Face {
        Face(relaying: current, at: try GeminiTarget.make(access, "/" + GeminiTarget.resource(model), call))
    }

    func embedding(for call: Call, model: String) throws(ParleyError) -> EmbeddingFace {
        let method = call.embedding.map(GeminiEmbeddings.method(for:)) ?? "batchEmbedContents"
        return EmbeddingFace(
            GeminiEmbeddings(), at: access.target("POST", "/\(GeminiTarget.resource(model)):\(method)"))
    }

    func authorize(
        _ target: Target, body: ByteBuffer?, with credential: Credential, through connector: any Connector
    ) async throws(ParleyError) -> ByteBuffer {
        access.head(target, Self.key(credential))
    }

    func learn(from failure: ParleyError, body: ByteBuffer) -> Bool {
        guard body.contains("JsonSchema"), body.contains("Unknown name") || body.contains("Cannot find field") else {
            return false
        }
        refusesJSONSchema.store(true, ordering: .relaxed)
        return true
    }

    func models(_ connector: any Connector) async throws(ParleyError) -> [ListedModel] {
        let credential = credentials.pick(at: .now())
        var models: [ListedModel] = []
        var token: String?
        for _ in 0..<Self.pages {
            var target = access.target("GET", "/models").adding(query: "pageSize=1000")
            if let token { target = target.adding(query: "pageToken=\(PercentEncoding.segment(token))") }
            let head = access.head(target, Self.key(credential), contentType: nil)
            let value = try await ModelList.value(
                target, head: head, provider: id, dialect: whole, connector: connector)
            models += Self.listed(value)
            guard let next = value["nextPageToken"]?.string, !next.isEmpty, next != token else { break }
            token = next
        }
        return models
    }

    private static func key(_ credential: Credential) -> [HeaderField] {
        credential.secret.map { [HeaderField("x-goog-api-key", $0)] } ?? []
    }

    /// The models that can be asked something that Parley knows.
    private static func listed(_ value: JSONValue) -> [ListedModel] {
        let usable = (value["models"]?.array ?? []).filter { model in
            guard let methods = model["supportedGenerationMethods"]?.array else { return true }
            return methods.contains("generateContent") || methods.contains("embedContent")
        }
        return ModelList.read(.array(usable)) ?? []
    }
}

/// Where calls to a model of Google's go.
enum GeminiTarget {
    /// The model's resource: `models/x` unless the name says another collection.
    static func resource(_ model: String) -> String {
        for collection in ["models/", "tunedModels/"] where model.hasPrefix(collection) {
            return collection + PercentEncoding.segment(String(model.dropFirst(collection.count)))
        }
        return "models/" + PercentEncoding.segment(model)
    }

    /// - Throws: `invalid` for what this API has no method for.
    static func make(_ access: ServiceAccess, _ resource: String, _ call: Call) throws(ParleyError) -> Target {
        switch call.operation {
        case .chat:
            guard call.stream else { return access.target("POST", resource + ":generateContent") }
            return access.target("POST", resource + ":streamGenerateContent").adding(query: "alt=sse")
        case .countTokens:
            return access.target("POST", resource + ":countTokens")
        case .embed, .pass:
            throw ParleyError(
                .invalid, "The model \(call.model) belongs to a provider that does not offer this.",
                code: "unsupported_operation")
        }
    }
}
