// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire
import Synchronization

/// A provider that speaks OpenAI's Chat Completions: OpenAI itself, every row of the catalogue, and any base URL.
final class CompatibleProvider: ListsModels, Embeds, PassesRequests {
    /// Where one kind of request goes, and its heads, one per key: everything that is the same in every request.
    private struct Place {
        let target: Target
        let heads: [ByteBuffer]

        init(_ access: ServiceAccess, _ path: String) {
            let target = access.target("POST", path)
            let slots: [String?] = access.keys.isEmpty ? [nil] : access.keys
            heads = slots.map { key in access.head(target, key.map { [HeaderField.bearer($0)] } ?? []) }
            self.target = target
        }

        /// - Parameter signs: whether the heads are those of the keys themselves.
        func face(_ dialect: any RelayingDialect, signs: Bool) -> Face {
            Face(relaying: dialect, at: target, heads: signs ? heads : [])
        }
    }

    /// The face of one kind of request, and the same without `stream_options`.
    private struct Faces {
        let full: Face
        let plain: Face
    }

    let id: String
    let credentials: Credentials

    private let access: ServiceAccess
    private let chat: Faces
    /// Nil where there are none.
    private let completions: Faces?
    private let responses: Face?
    private let hasResponsesOnlyModels: Bool
    private let vectors: Place?
    private let embeddings: OpenAIEmbeddings
    private let listTarget: Target?
    private let listHeads: [ByteBuffer]
    let overrides: [FieldOverride]
    /// What is sent in place of the keys, where it is not the keys themselves.
    private let tokens: (any KeyTokens)?
    private let embeddingLimit: (@Sendable (String) -> Int)?
    private let adjustment: (any ChatAdjustment)?
    private let passes: [PassedRequest.Kind: String?]
    private let usesStreamOptions: Bool
    /// Set once the service has refused `stream_options`.
    private let refusesStreamOptions = Atomic<Bool>(false)

    init(
        _ setup: ProviderSetup, vendor: Vendor, tokens: (any KeyTokens)? = nil
    ) throws(ProviderError) {
        id = setup.name
        self.tokens = tokens
        embeddingLimit = vendor.embeddingLimit
        adjustment = vendor.adjustment
        access = try ServiceAccess(setup, base: try Self.base(setup, vendor), vendorHeaders: vendor.headers)
        credentials = Credentials(access.keys)
        var listTarget: Target?
        if let place = vendor.modelsPath {
            listTarget = access.target("GET", place)
            if place.hasPrefix("//") {
                listTarget = listTarget?.with(path: String(place.dropFirst()) + access.base.query)
            }
        }
        var listHeads: [ByteBuffer] = []
        let slots: [String?] = access.keys.isEmpty ? [nil] : access.keys
        for key in slots {
            let own = key.map { [HeaderField.bearer($0)] } ?? []
            if let listTarget { listHeads.append(access.head(listTarget, own, contentType: nil)) }
        }
        passes = Catalogue.passed[vendor.id] ?? [:]
        self.listTarget = listTarget
        self.listHeads = listHeads
        overrides = vendor.overrides + setup.overrides
        var quirks = vendor.quirks
        // OpenRouter passes such elements on to where they come from; to others they are unknown fields.
        quirks.foreignReasoning = vendor.id == "openrouter"
        try quirks.apply(setup.quirks)
        let signs = tokens == nil
        responses =
            quirks.responses ? Place(access, vendor.responsesPath).face(OpenAIResponses(), signs: signs) : nil
        hasResponsesOnlyModels = vendor.hasResponsesOnlyModels
        vectors = quirks.embeddings == .none ? nil : Place(access, vendor.embeddingsPath)
        embeddings = OpenAIEmbeddings(style: quirks.embeddings)
        usesStreamOptions = quirks.streamOptions
        var plain = quirks
        plain.streamOptions = false
        let place = Place(access, vendor.chatPath)
        chat = Faces(
            full: place.face(Self.chat(quirks, vendor), signs: signs),
            plain: place.face(Self.chat(plain, vendor), signs: signs))
        if quirks.completions {
            let place = Place(access, vendor.completionsPath)
            completions = Faces(
                full: place.face(OpenAICompletions(quirks: quirks), signs: signs),
                plain: place.face(OpenAICompletions(quirks: plain), signs: signs))
        } else {
            completions = nil
        }
    }

    private static func chat(_ quirks: Quirks, _ vendor: Vendor) -> any RelayingDialect {
        let chat = OpenAIChat(quirks: quirks)
        guard let adjustment = vendor.adjustment else { return chat }
        return AdjustedChat(chat, adjustment)
    }

    private func current(_ faces: Faces) -> Face {
        refusesStreamOptions.load(ordering: .relaxed) ? faces.plain : faces.full
    }

    func face(for call: Call, model: String) throws(ParleyError) -> Face {
        if let adjustment, adjustment.isChatOnly(model) { return current(chat) }
        let isOnlyThere = hasResponsesOnlyModels && ResponsesModels.isOnlyThere(model)
        let dialect = call.dialect
        if dialect == .openAICompletions, let completions, responses == nil || !isOnlyThere {
            return current(completions)
        }
        if dialect == .openAIResponses || isOnlyThere, let responses, case .chat = call.operation { return responses }
        return current(chat)
    }

    func embedding(for call: Call, model: String) throws(ParleyError) -> EmbeddingFace {
        guard let vectors else { throw .noEmbeddings("\(id)/\(model)") }
        var face = EmbeddingFace(embeddings, at: vectors.target)
        face.failures = chat.full.dialect
        if let embeddingLimit { face.batchLimit = embeddingLimit(model) }
        return face
    }

    func authorize(
        _ target: Target, body: ByteBuffer?, with credential: Credential, through connector: any Connector
    ) async throws(ParleyError) -> ByteBuffer {
        // Those of faces are not asked for here.
        guard let vectors, target === vectors.target, tokens == nil, vectors.heads.indices.contains(credential.index)
        else { return access.head(target, bearer(credential)) }
        return vectors.heads[credential.index]
    }

    private func bearer(_ credential: Credential) -> [HeaderField] {
        guard let secret = tokens == nil ? credential.secret : tokens?.value(for: credential) else { return [] }
        return [.bearer(secret)]
    }

    func renews(_ head: ByteBuffer) -> Bool { tokens?.drop(usedIn: head) ?? false }

    func passes(_ request: PassedRequest) -> Bool { passes[request.kind] != nil }

    func target(for request: PassedRequest, model: String?) -> Target {
        access.target(passing: request, to: passes[request.kind] ?? nil)
    }

    func learn(from failure: ParleyError, body: ByteBuffer) -> Bool {
        guard failure.parameter == "stream_options" || body.contains("stream_options") else { return false }
        guard usesStreamOptions else { return false }
        refusesStreamOptions.store(true, ordering: .relaxed)
        return true
    }

    func models(_ connector: any Connector) async throws(ParleyError) -> [ListedModel] {
        guard let listTarget else { return [] }
        let now = NIODeadline.now()
        let credential = credentials.pick(at: now)
        guard listHeads.indices.contains(credential.index) else { return [] }
        let head =
            tokens == nil
            ? listHeads[credential.index] : access.head(listTarget, bearer(credential), contentType: nil)
        return try await ModelList.fetch(
            listTarget, head: head, provider: id, dialect: current(chat).dialect, connector: connector)
    }
}

extension CompatibleProvider {
    /// The base URL: the configuration's, else the vendor's with its words in braces filled in.
    ///
    /// One without a path takes the vendor's path, since people write `http://127.0.0.1:11434` and mean its `/v1`.
    private static func base(_ setup: ProviderSetup, _ vendor: Vendor) throws(ProviderError) -> BaseURL {
        if let given = setup.baseURL {
            var base = try BaseURL(given, setting: "base_url")
            guard base.userInfo == nil else { throw ProviderError("must not have a user", setting: "base_url") }
            if base.path.isEmpty { base.path = vendorPath(vendor) }
            return base
        }
        var text = vendor.baseURL
        for place in vendor.places {
            guard let value = try setup.options.string(place), !value.isEmpty else {
                let hint = place == "base_url" ? "must be given" : "must be given, or a base_url"
                throw ProviderError(hint, setting: place)
            }
            text = text.replacing("{\(place)}", with: value)
        }
        return try BaseURL(text, setting: "base_url")
    }

    private static func vendorPath(_ vendor: Vendor) -> String {
        let parts = vendor.baseURL.replacing("{base_url}", with: "http://host").split(
            separator: "/", omittingEmptySubsequences: false)
        let path = parts.dropFirst(3).joined(separator: "/")
        return path.isEmpty || path.contains("{") ? "" : "/\(path)"
    }
}
