// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects

/// Alibaba DashScope by its own API. Its compatible mode is OpenAI's chat, a row of the catalogue.
final class DashScopeProvider: ListsModels, Embeds {
    static let summary = "Alibaba DashScope (Qwen), by its own API or in compatible mode"
    /// The settings that only this kind knows.
    static let options = ["api"]
    static let standardBase = "https://dashscope.aliyuncs.com"

    private static let compatible = "/compatible-mode/v1"
    private static let native = "/api/v1"
    private static let services = "/api/v1/services"

    let id: String
    let credentials: Credentials
    private let access: ServiceAccess
    let overrides: [FieldOverride]
    /// What goes where models read only.
    private let reading: Place
    /// What goes where they see or hear.
    private let sensing: Place

    /// A place for chats, whole and as streams.
    private struct Place {
        let whole: Face
        let stream: Face

        init(_ dialect: DashScope, _ target: Target) {
            whole = Face(dialect, at: target)
            stream = Face(dialect, at: target.adding(HeaderField("x-dashscope-sse", "enable")))
        }
    }

    /// The provider of the API that the configuration asks for.
    static func make(_ setup: ProviderSetup) throws(ProviderError) -> any Provider {
        switch try setup.options.string("api") ?? "compatible" {
        case "native": return try DashScopeProvider(setup)
        case "compatible":
            var setup = setup
            // The SDK's own address is that of the other API.
            if let base = setup.baseURL, base.hasSuffix(native) {
                setup.baseURL = base.dropLast(native.count) + compatible
            }
            return try CompatibleProvider(setup, vendor: Catalogue.dashscope)
        default: throw ProviderError("must be compatible or native", setting: "api")
        }
    }

    private init(_ setup: ProviderSetup) throws(ProviderError) {
        id = setup.name
        var base = try ServiceAccess.base(setup, standard: Self.standardBase)
        base.dropEnding(of: [Self.compatible, Self.native])
        access = try ServiceAccess(setup, base: base)
        credentials = Credentials(access.keys)
        overrides = setup.overrides
        let isCumulative = setup.sets("incremental_output", to: "false")
        let root = Self.services + "/aigc"
        reading = Place(
            DashScope(cumulative: isCumulative), access.target("POST", "\(root)/text-generation/generation"))
        sensing = Place(
            DashScope(multimodal: true, cumulative: isCumulative),
            access.target("POST", "\(root)/multimodal-generation/generation"))
    }

    func face(for call: Call, model: String) throws(ParleyError) -> Face {
        guard case .chat = call.operation else {
            throw ParleyError(.invalid, "\(id) has no such API.", code: "unsupported_operation")
        }
        let place = Self.isMultimodal(model) ? sensing : reading
        return call.stream ? place.stream : place.whole
    }

    func embedding(for call: Call, model: String) throws(ParleyError) -> EmbeddingFace {
        let target = access.target("POST", "\(Self.services)/embeddings/text-embedding/text-embedding")
        return EmbeddingFace(DashScopeEmbeddings(model: model), at: target)
    }

    func authorize(
        _ target: Target, body: ByteBuffer?, with credential: Credential, through connector: any Connector
    ) async throws(ParleyError) -> ByteBuffer {
        access.head(
            target, credential.secret.map { [.bearer($0)] } ?? [],
            accept: target.headers.isEmpty ? "application/json" : "text/event-stream")
    }

    /// The list of the compatible mode: this API has none.
    func models(_ connector: any Connector) async throws(ParleyError) -> [ListedModel] {
        let target = access.target("GET", Self.compatible + "/models")
        let credential = credentials.pick(at: .now())
        let head = access.head(target, credential.secret.map { [.bearer($0)] } ?? [], contentType: nil)
        return try await ModelList.fetch(
            target, head: head, provider: id, dialect: OpenAIChat(), connector: connector)
    }

    /// Whether a model sees or hears: such models are asked at an address of their own.
    static func isMultimodal(_ model: String) -> Bool {
        let name = model.lowercased()
        if name.hasPrefix("qvq") { return true }
        return name.split(separator: "-").contains { ["vl", "audio", "omni", "ocr", "asr"].contains($0) }
            || name.contains("-vl")
    }
}
