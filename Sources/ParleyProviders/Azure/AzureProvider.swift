// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire
import Synchronization

/// Azure OpenAI and Azure AI Foundry: OpenAI's API at an address of the customer's own.
final class AzureProvider: ListsModels, Embeds, PassesRequests {
    /// The settings that only this kind knows.
    static let options = ["endpoint", "api_version"]

    /// Where chats go.
    enum Surface: Equatable {
        /// `/openai/v1`: the model is in the body, as OpenAI has it.
        case current
        /// `/openai/deployments/NAME`, with the version of the API in the query.
        case deployments(version: String)
        /// `/models`: models of other makers, with the version of the API in the query.
        case foundry(version: String)
    }

    let id: String
    let credentials: Credentials

    private let access: ServiceAccess
    private let surface: Surface
    /// The query of the current surface, with its question mark, or empty.
    private let preview: String
    let overrides: [FieldOverride]
    private let full: AzureChat
    private let plain: AzureChat
    private let usesStreamOptions: Bool
    /// Set once the service has refused `stream_options`.
    private let refusesStreamOptions = Atomic<Bool>(false)

    init(_ setup: ProviderSetup) throws(ProviderError) {
        id = setup.name
        let endpoint = try setup.options.string("endpoint")
        guard let text = setup.baseURL ?? endpoint, !text.isEmpty else {
            throw ProviderError("must be given", setting: "endpoint")
        }
        let setting = setup.baseURL == nil ? "endpoint" : "base_url"
        var base = try BaseURL(text, setting: setting)
        guard base.userInfo == nil else { throw ProviderError("must not have a user", setting: setting) }
        let version = try setup.options.string("api_version") ?? Self.version(in: base.query) ?? ""
        guard PercentEncoding.encode(version) == version else {
            throw ProviderError("must be a version such as 2024-10-21", setting: "api_version")
        }
        surface = Self.surface(of: &base, version: version)
        preview = version == "preview" ? "?api-version=preview" : ""
        access = try ServiceAccess(setup, base: base)
        credentials = Credentials(access.keys)
        overrides = setup.overrides
        var quirks = Quirks()
        quirks.foreignReasoning = false
        if case .deployments(let version) = surface {
            // Older versions refuse what they do not know. Dates of versions compare as text.
            quirks.streamOptions = version >= "2024-09-01"
        }
        try quirks.apply(setup.quirks)
        usesStreamOptions = quirks.streamOptions
        full = AzureChat(OpenAIChat(quirks: quirks))
        quirks.streamOptions = false
        plain = AzureChat(OpenAIChat(quirks: quirks))
    }

    /// Chats; and Responses where that dialect is built and the surface has it.
    func face(for call: Call, model: String) throws(ParleyError) -> Face {
        guard case .chat = call.operation else {
            throw ParleyError(.notImplemented, "Models of Azure can only be used for chats and embeddings.")
        }
        if call.dialect == .openAIResponses, surface == .current,
            let responses = try? Dialects.dialect(.openAIResponses) as? any RelayingDialect
        {
            return Face(relaying: responses, at: access.target("POST", path(model, "/responses")))
        }
        let dialect = refusesStreamOptions.load(ordering: .relaxed) ? plain : full
        return Face(relaying: dialect, at: access.target("POST", path(model, "/chat/completions")))
    }

    func embedding(for call: Call, model: String) throws(ParleyError) -> EmbeddingFace {
        EmbeddingFace(OpenAIEmbeddings(), at: access.target("POST", path(model, "/embeddings")))
    }

    /// What the surface of today has beside chats. Facts: Microsoft's reference of Azure OpenAI's v1 API.
    func passes(_ request: PassedRequest) -> Bool {
        surface == .current && [.images, .audio, .files, .batches].contains(request.kind)
    }

    func target(for request: PassedRequest, model: String?) -> Target {
        var request = request
        if !preview.isEmpty {
            request.query = preview + (request.query.isEmpty ? "" : "&" + request.query.dropFirst())
        }
        return access.target(passing: request, to: "/openai/v1" + request.path)
    }

    private func path(_ model: String, _ operation: String) -> String {
        switch surface {
        case .current: "/openai/v1" + operation + preview
        case .deployments(let version):
            "/openai/deployments/\(PercentEncoding.encode(model))\(operation)?api-version=\(version)"
        case .foundry(let version): "/models\(operation)?api-version=\(version)"
        }
    }

    func authorize(
        _ target: Target, body: ByteBuffer?, with credential: Credential, through connector: any Connector
    ) async throws(ParleyError) -> ByteBuffer {
        access.head(target, Self.signIn(credential))
    }

    /// A key of the resource goes into a header of its own; what Entra ID gave out is a bearer token.
    private static func signIn(_ credential: Credential) -> [HeaderField] {
        guard let secret = credential.secret else { return [] }
        return [isToken(secret) ? .bearer(secret) : HeaderField("api-key", secret)]
    }

    /// Whether a key is a JSON Web Token: three parts, the first of which is an object in base64.
    static func isToken(_ key: String) -> Bool {
        key.hasPrefix("eyJ") && key.split(separator: ".", omittingEmptySubsequences: false).count == 3
    }

    func learn(from failure: ParleyError, body: ByteBuffer) -> Bool {
        guard failure.parameter == "stream_options" || body.contains("stream_options") else { return false }
        guard usesStreamOptions else { return false }
        return !refusesStreamOptions.exchange(true, ordering: .relaxed)
    }

    // MARK: - Models

    /// The base models of the resource that can chat; the names of its deployments are not to be had with its keys.
    func models(_ connector: any Connector) async throws(ParleyError) -> [ListedModel] {
        let path: String
        switch surface {
        case .current: path = "/openai/v1/models" + preview
        case .deployments(let version): path = "/openai/models?api-version=\(version)"
        case .foundry: return []
        }
        let target = access.target("GET", path)
        let head = access.head(target, Self.signIn(credentials.pick(at: .now())), contentType: nil)
        return try await ModelList.fetch(target, head: head, provider: id, dialect: full, connector: connector) {
            list in
            guard let models = list["data"]?.array else { return ModelList.read(list) }
            return ModelList.read(.array(models.filter { $0["capabilities"]?["chat_completion"]?.bool ?? true }))
        }
    }

    // MARK: - Settings

    /// What the address and the version mean together; whatever people paste behind the resource's address goes.
    private static func surface(of base: inout BaseURL, version: String) -> Surface {
        let isOld = !["", "v1", "preview", "latest"].contains(version)
        if base.path == "/models" || base.path.hasSuffix("/models"), !base.path.contains("/openai") {
            base.path.removeLast("/models".count)
            base.query = ""
            return .foundry(version: isOld ? version : "2024-05-01-preview")
        }
        var saysCurrent = false
        if let range = base.path.firstRange(of: "/openai") {
            saysCurrent = base.path[range.upperBound...].hasPrefix("/v1")
            base.path = String(base.path[..<range.lowerBound])
        }
        base.query = ""
        return isOld && !saysCurrent ? .deployments(version: version) : .current
    }

    /// The version in an address that somebody copied whole.
    private static func version(in query: String) -> String? {
        query.dropFirst().split(separator: "&").first { $0.hasPrefix("api-version=") }
            .map { String($0.dropFirst("api-version=".count)) }
    }
}
