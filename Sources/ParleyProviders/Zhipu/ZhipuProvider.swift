// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects

/// Zhipu's older API, version 3. Version 4 is OpenAI's chat, a row of the catalogue with a sign-in of its own.
final class ZhipuProvider: Provider {
    static let summary = "Zhipu GLM, by either version of its API"
    /// The settings that only this kind knows.
    static let options = ["api", "token", "prompt"]
    static let standardBase = "https://open.bigmodel.cn/api/paas/v3"

    let id: String
    let credentials: Credentials
    private let access: ServiceAccess
    let overrides: [FieldOverride]
    private let dialect: any Dialect
    private let tokens: ZhipuTokens

    /// The provider of the version that the configuration asks for.
    static func make(_ setup: ProviderSetup) throws(ProviderError) -> any Provider {
        let api = try setup.options.string("api") ?? "v4"
        let signIn = try setup.options.string("token") ?? "key"
        guard ["key", "jwt"].contains(signIn) else { throw ProviderError("must be key or jwt", setting: "token") }
        switch api {
        case "v3": return try ZhipuProvider(setup)
        case "v4":
            let keys = try keys(setup)
            return try CompatibleProvider(
                setup, vendor: Catalogue.zhipu, tokens: signIn == "jwt" ? ZhipuTokens(keys) : nil)
        default: throw ProviderError("must be v4 or v3", setting: "api")
        }
    }

    private static func keys(_ setup: ProviderSetup) throws(ProviderError) -> [ZhipuKey] {
        let base = try BaseURL(standardBase, setting: "base_url")
        return try keys(try ServiceAccess(setup, base: base).keys)
    }

    private static func keys(_ texts: [String]) throws(ProviderError) -> [ZhipuKey] {
        var keys: [ZhipuKey] = []
        for text in texts { keys.append(try ZhipuKey(text)) }
        return keys
    }

    private init(_ setup: ProviderSetup) throws(ProviderError) {
        id = setup.name
        var base = try ServiceAccess.base(setup, standard: Self.standardBase)
        base.dropEnding(of: ["/model-api"])
        if base.path.isEmpty { base.path = "/api/paas/v3" }
        access = try ServiceAccess(setup, base: base)
        credentials = Credentials(access.keys)
        overrides = setup.overrides
        tokens = ZhipuTokens(try Self.keys(access.keys))
        let prompt = try setup.options.string("prompt") ?? Zhipu.standardPrompt
        guard prompt.contains("{system}") else {
            throw ProviderError("must have {system} in it, for the system prompt", setting: "prompt")
        }
        dialect = Zhipu(prompt: prompt, cumulative: setup.sets("incremental", to: "false"))
    }

    func face(for call: Call, model: String) throws(ParleyError) -> Face {
        guard case .chat = call.operation else {
            throw ParleyError(.invalid, "\(id) has no such API.", code: "unsupported_operation")
        }
        let verb = call.stream ? "sse-invoke" : "invoke"
        return Face(dialect, at: access.target("POST", "/model-api/\(PercentEncoding.segment(model))/\(verb)"))
    }

    func authorize(
        _ target: Target, body: ByteBuffer?, with credential: Credential, through connector: any Connector
    ) async throws(ParleyError) -> ByteBuffer {
        // The token alone, without the word that says what it is.
        let token = tokens.value(for: credential).map { [HeaderField("authorization", $0)] } ?? []
        return access.head(target, token, contentType: "application/json; charset=UTF-8")
    }

    func renews(_ head: ByteBuffer) -> Bool { tokens.drop(usedIn: head) }
}

extension ProviderSetup {
    /// Whether the configuration sets a request's field to this value.
    func sets(_ field: String, to json: String) -> Bool { overrides.last { $0.name == field }?.json == json }
}
