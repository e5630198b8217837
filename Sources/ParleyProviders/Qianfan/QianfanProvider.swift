// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects

/// Baidu Qianfan by its older API (`wenxinworkshop`), with access tokens. The newer one is OpenAI's chat, a row of the
/// catalogue.
final class QianfanProvider: Embeds {
    static let summary = "Baidu Qianfan (ERNIE), by either version of its API"
    /// The settings that only this kind knows.
    static let options = ["secret_key", "api"]
    static let standardBase = "https://aip.baidubce.com"
    private static let root = "/rpc/2.0/ai_custom/v1/wenxinworkshop"

    let id: String
    let credentials: Credentials
    private let access: ServiceAccess
    let overrides: [FieldOverride]
    private let dialect: any Dialect = Ernie()
    private let tokens: QianfanTokens

    /// The provider of the version that the configuration asks for.
    static func make(_ setup: ProviderSetup) throws(ProviderError) -> any Provider {
        switch try setup.options.string("api") ?? "v1" {
        case "v1": return try QianfanProvider(setup)
        case "v2": return try CompatibleProvider(setup, vendor: Catalogue.qianfan)
        default: throw ProviderError("must be v1 or v2", setting: "api")
        }
    }

    private init(_ setup: ProviderSetup) throws(ProviderError) {
        id = setup.name
        var base = try ServiceAccess.base(setup, standard: Self.standardBase)
        base.dropEnding(of: [Self.root + "/chat", Self.root, "/oauth/2.0/token"])
        access = try ServiceAccess(setup, base: base)
        let pairs = try Self.pairs(access.keys, setup.options.string("secret_key"))
        credentials = Credentials(pairs.map(\.key))
        overrides = setup.overrides
        tokens = QianfanTokens(pairs, setup: setup, access: access)
    }

    /// The key pairs: `key|secret` in one value, or keys and secrets in the same order.
    private static func pairs(_ keys: [String], _ secret: String?) throws(ProviderError) -> [QianfanPair] {
        guard !keys.isEmpty else { throw ProviderError("must be given", setting: "api_key") }
        let secrets = (secret ?? "").split(separator: ",").map { part in
            String(part.filter { !$0.isWhitespace })
        }
        var pairs: [QianfanPair] = []
        for (index, key) in keys.enumerated() {
            let parts = key.split(separator: "|", omittingEmptySubsequences: false)
            if parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty {
                pairs.append(QianfanPair(key: String(parts[0]), secret: String(parts[1])))
                continue
            }
            guard parts.count == 1 else { throw ProviderError("must be key|secret, or a key", setting: "api_key") }
            guard secrets.indices.contains(index), !secrets[index].isEmpty else {
                let hint = secrets.isEmpty ? "must be given with `api: v1`" : "must have one secret for each key"
                throw ProviderError(hint, setting: "secret_key")
            }
            pairs.append(QianfanPair(key: key, secret: secrets[index]))
        }
        return pairs
    }

    func face(for call: Call, model: String) throws(ParleyError) -> Face {
        guard case .chat = call.operation else {
            throw ParleyError(.invalid, "\(id) has no such API.", code: "unsupported_operation")
        }
        return Face(dialect, at: access.target("POST", "\(Self.root)/chat/\(Self.chatPath(model))"))
    }

    func embedding(for call: Call, model: String) throws(ParleyError) -> EmbeddingFace {
        let path = "\(Self.root)/embeddings/\(Self.embeddingPath(model))"
        return EmbeddingFace(ErnieEmbeddings(), at: access.target("POST", path))
    }

    func authorize(
        _ target: Target, body: ByteBuffer?, with credential: Credential, through connector: any Connector
    ) async throws(ParleyError) -> ByteBuffer {
        let token = try await tokens.value(credential.index, through: connector)
        return access.head(target.adding(query: QianfanTokens.query(token)))
    }

    func renews(_ head: ByteBuffer) -> Bool { tokens.drop(usedIn: head) }

    // MARK: - Models

    /// The end of the address of a model: the vendor's table, else the name in lower case.
    static func chatPath(_ model: String) -> String {
        let name = model.lowercased()
        return chatPaths[name] ?? PercentEncoding.segment(name)
    }

    private static let chatPaths = [
        "ernie-4.0-8k": "completions_pro", "ernie-bot-4": "completions_pro", "ernie-3.5-8k": "completions",
        "ernie-bot": "completions", "ernie-bot-turbo": "eb-instant", "ernie-lite-8k-0922": "eb-instant",
        "ernie-speed-8k": "ernie_speed", "ernie-speed-128k": "ernie-speed-128k",
        "ernie-lite-8k-0308": "ernie-lite-8k", "ernie-tiny-8k": "ernie-tiny-8k",
        "ernie-3.5-8k-0205": "ernie-3.5-8k-0205", "ernie-bot-8k": "ernie_bot_8k", "bloomz-7b": "bloomz_7b1",
    ]

    /// The same for a model that embeds: `bge-large-zh` is `bge_large_zh`.
    static func embeddingPath(_ model: String) -> String {
        let name = model.lowercased()
        let hasLines = name.hasPrefix("bge-") || name.hasPrefix("tao-")
        return PercentEncoding.segment(hasLines ? name.replacing("-", with: "_") : name)
    }
}
