// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects

/// Anthropic's own API, and whoever copies it.
///
/// Headers and paths: Anthropic's API reference; signing in as its SDKs do it.
final class AnthropicProvider: ListsModels, CountsRequests {
    static let options = ["version", "beta"]

    private static let standardBase = "https://api.anthropic.com"
    private static let standardVersion = "2023-06-01"
    /// What the service wants to be asked for where the key is a token of a person's sign-in.
    private static let tokenBeta = "oauth-2025-04-20"
    /// The most pages of the list that are read, of up to 1,000 models each.
    private static let pageLimit = 20

    let id: String
    let credentials: Credentials

    private let access: ServiceAccess
    private let dialect = Anthropic()
    private let chat: Target
    private let count: Target
    /// What each request says beside its head's own, one list per key.
    private let headers: [[HeaderField]]
    /// The heads of requests, one per key.
    private let chatHeads: [ByteBuffer]
    private let countHeads: [ByteBuffer]
    private let betas: [String]
    let overrides: [FieldOverride]

    init(_ setup: ProviderSetup) throws(ProviderError) {
        id = setup.name
        var base = try ServiceAccess.base(setup, standard: Self.standardBase)
        // People paste all of the address, or the part that OpenAI's clients want.
        for ending in ["/messages", "/v1"] where base.path.hasSuffix(ending) {
            base.path.removeLast(ending.count)
        }
        betas = try Self.betas(setup)
        var rest = setup
        rest.headers.removeAll { $0.name.lowercased() == "anthropic-beta" }
        let access = try ServiceAccess(rest, base: base)
        self.access = access
        credentials = Credentials(access.keys)
        let version = try setup.options.string("version") ?? Self.standardVersion
        guard HeaderField.isSafe(version), !version.isEmpty else {
            throw ProviderError("must be a date such as 2023-06-01", setting: "version")
        }
        let keys: [String?] = access.keys.isEmpty ? [nil] : access.keys
        let headers = keys.map { key in
            [HeaderField("anthropic-version", version)] + (key.map { [Self.credential($0)] } ?? [])
        }
        let chat = access.target("POST", "/v1/messages")
        let count = access.target("POST", "/v1/messages/count_tokens")
        chatHeads = headers.map { access.head(chat, $0) }
        countHeads = headers.map { access.head(count, $0) }
        self.headers = headers
        self.chat = chat
        self.count = count
        overrides = setup.overrides
    }

    /// A token of a person's sign-in is a bearer's; anything else is a key.
    private static func credential(_ key: String) -> HeaderField {
        isToken(key) ? .bearer(key) : HeaderField("x-api-key", key)
    }

    private static func isToken(_ key: String) -> Bool { key.hasPrefix("sk-ant-oat") }

    /// The beta features that the configuration asks for, and the one that a token needs.
    private static func betas(_ setup: ProviderSetup) throws(ProviderError) -> [String] {
        var betas = (try setup.options.strings("beta") ?? []).flatMap(words)
        betas += setup.headers.filter { $0.name.lowercased() == "anthropic-beta" }.flatMap { words($0.value) }
        guard betas.allSatisfy(HeaderField.isSafe) else {
            throw ProviderError("has a line break or a control character in it", setting: "beta")
        }
        if setup.apiKeys.contains(where: { $0.contains("sk-ant-oat") }), !betas.contains(tokenBeta) {
            betas.append(tokenBeta)
        }
        return betas
    }

    private static func words(_ list: String) -> [String] {
        list.split { $0 == "," || $0 == " " }.map { String($0) }
    }

    func face(for call: Call, model: String) throws(ParleyError) -> Face {
        switch call.operation {
        case .chat: Face(relaying: dialect, at: chat)
        case .countTokens: Face(relaying: dialect, at: count)
        case .embed: throw ParleyError(.invalid, "\(id) has no embeddings.", code: "unsupported_operation")
        case .pass: throw ParleyError(.invalid, "\(id) has no such API.", code: "unsupported_operation")
        }
    }

    func authorize(
        _ target: Target, body: ByteBuffer?, with credential: Credential, through connector: any Connector
    ) async throws(ParleyError) -> ByteBuffer {
        let heads = target === count ? countHeads : chatHeads
        guard heads.indices.contains(credential.index) else { return heads.first ?? ByteBuffer() }
        return heads[credential.index]
    }

    func adjust(_ call: inout Call) {
        setBetas(&call)
        if case .countTokens = call.operation {
            // What concerns the answer is no field of this request.
            call.overrides = []
        } else if !overrides.isEmpty {
            call.overrides = overrides + call.overrides
        }
    }

    /// Joins the betas of the configuration and of the client in one header.
    private func setBetas(_ call: inout Call) {
        var names = betas
        for field in call.headers where field.name == "anthropic-beta" {
            names += Self.words(field.value).filter { !names.contains($0) }
        }
        call.headers.removeAll { $0.name == "anthropic-beta" || $0.name == "openai-beta" }
        if !names.isEmpty { call.headers.append(HeaderField("anthropic-beta", names.joined(separator: ","))) }
    }

    func models(_ connector: any Connector) async throws(ParleyError) -> [ListedModel] {
        let credential = credentials.pick(at: .now())
        var own = headers.indices.contains(credential.index) ? headers[credential.index] : []
        if !betas.isEmpty { own.append(HeaderField("anthropic-beta", betas.joined(separator: ","))) }
        var listed: [ListedModel] = []
        var seen: Set<String> = []
        var next: String?
        for _ in 0..<Self.pageLimit {
            let target = listTarget(after: next)
            let value = try await ModelList.value(
                target, head: access.head(target, own, contentType: nil), provider: id, dialect: dialect,
                connector: connector)
            guard let page = AnthropicModelList.page(value) else {
                throw ParleyError(.upstreamUnavailable, "\(id): the list of models is unreadable")
            }
            let news = page.models.filter { seen.insert($0.id).inserted }
            listed += news.map { ListedModel(id: $0.id, created: $0.created, ownedBy: "anthropic") }
            // A page with nothing new would come for ever.
            guard let after = page.next, !news.isEmpty else { break }
            next = after
        }
        return listed
    }

    private func listTarget(after last: String?) -> Target {
        let target = access.target("GET", "/v1/models").adding(query: "limit=1000")
        return last.map { target.adding(query: "after_id=\($0.percentEncoded)") } ?? target
    }
}

extension String {
    /// The text as a value in a query: everything but letters, digits and `-._~` is escaped (RFC 3986).
    fileprivate var percentEncoded: String {
        var out = ""
        for byte in utf8 {
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                out.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                out += digits.count == 1 ? "%0" + digits : "%" + digits
            }
        }
        return out
    }
}
