// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire
import Synchronization

/// A provider that speaks OpenAI's Chat Completions: OpenAI itself, every row of the catalogue, and any base URL. Some
/// speak Responses too.
final class CompatibleProvider: ListsModels {
    let id: String
    let credentials: Credentials

    private let access: ServiceAccess
    private let chat: Target
    private let listTarget: Target?
    /// The heads of chat requests, one per key: everything that is the same in every request.
    private let heads: [ByteBuffer]
    private let listHeads: [ByteBuffer]
    /// Where Responses go, and the heads of such requests.
    private let responses: Target?
    private let responsesHeads: [ByteBuffer]
    private let hasResponsesOnlyModels: Bool
    private static let responsesDialect: any RelayingDialect = OpenAIResponses()
    private let overrides: [FieldOverride]
    /// The dialect, and the same without `stream_options`. Kept as they are handed out: making one costs.
    private let full: any RelayingDialect
    private let plain: any RelayingDialect
    private let usesStreamOptions: Bool
    /// Set once the service has refused `stream_options`.
    private let refusesStreamOptions = Atomic<Bool>(false)

    init(_ setup: ProviderSetup, vendor: Vendor) throws(ProviderError) {
        id = setup.name
        access = try ServiceAccess(setup, base: try Self.base(setup, vendor), vendorHeaders: vendor.headers)
        credentials = Credentials(access.keys)
        let chat = access.target("POST", vendor.chatPath)
        var settings = setup.quirks
        let responses = try Self.responsesPath(vendor, &settings).map { access.target("POST", $0) }
        var listTarget: Target?
        if let place = vendor.modelsPath {
            listTarget = access.target("GET", place)
            if place.hasPrefix("//") { listTarget?.path = String(place.dropFirst()) + access.base.query }
        }
        var heads: [ByteBuffer] = []
        var listHeads: [ByteBuffer] = []
        var responsesHeads: [ByteBuffer] = []
        let slots: [String?] = access.keys.isEmpty ? [nil] : access.keys
        for key in slots {
            let own = key.map { [HeaderField.bearer($0)] } ?? []
            heads.append(access.head(chat, own))
            if let responses { responsesHeads.append(access.head(responses, own)) }
            if let listTarget { listHeads.append(access.head(listTarget, own, contentType: nil)) }
        }
        self.chat = chat
        self.listTarget = listTarget
        self.heads = heads
        self.listHeads = listHeads
        self.responses = responses
        self.responsesHeads = responsesHeads
        hasResponsesOnlyModels = vendor.hasResponsesOnlyModels
        overrides = vendor.overrides + setup.overrides
        var quirks = vendor.quirks
        try quirks.apply(settings)
        full = OpenAIChat(quirks: quirks)
        usesStreamOptions = quirks.streamOptions
        quirks.streamOptions = false
        plain = OpenAIChat(quirks: quirks)
    }

    private var current: any RelayingDialect { refusesStreamOptions.load(ordering: .relaxed) ? plain : full }

    func face(for call: Call, model: String) throws(ParleyError) -> Face {
        if let responses, case .chat = call.operation,
            call.dialect == .openAIResponses || (hasResponsesOnlyModels && ResponsesModels.isOnlyThere(model))
        {
            return Face(relaying: Self.responsesDialect, at: responses)
        }
        return Face(relaying: current, at: chat)
    }

    func authorize(
        _ target: Target, body: ByteBuffer?, with credential: Credential, through connector: any Connector
    ) async throws(ParleyError) -> ByteBuffer {
        let heads = target.path == responses?.path ? responsesHeads : heads
        guard heads.indices.contains(credential.index) else { return heads.first ?? ByteBuffer() }
        return heads[credential.index]
    }

    func adjust(_ call: inout Call) {
        if !overrides.isEmpty { call.overrides = overrides + call.overrides }
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
        return try await ModelList.fetch(
            listTarget, head: listHeads[credential.index], provider: id, dialect: current, connector: connector)
    }
}

extension CompatibleProvider {
    /// Where Responses go: the vendor's path, unless the quirk `responses` says otherwise. Takes the quirk out.
    private static func responsesPath(
        _ vendor: Vendor, _ settings: inout JSONObject
    ) throws(ProviderError) -> String? {
        switch settings.remove("responses") {
        case nil: return vendor.responsesPath
        case .bool(true)?: return vendor.responsesPath ?? "/responses"
        case .bool(false)?: return nil
        default: throw ProviderError("must be true or false", setting: "quirks.responses")
        }
    }

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
