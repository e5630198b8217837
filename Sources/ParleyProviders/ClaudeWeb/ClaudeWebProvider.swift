// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects

/// The chat of Claude's web site, with the cookie of somebody's own account.
final class ClaudeWebProvider: ListsModels {
    static let summary = "Claude's web site with your own account (unofficial)"
    static let options = ["cookie", "conversation", "prompt"]
    static let standardBase = "https://claude.ai"

    let id: String
    let credentials: Credentials
    let overrides: [FieldOverride]
    private let face: Face

    init(_ setup: ProviderSetup) throws(ProviderError) {
        id = setup.name
        overrides = setup.overrides
        let cookies = try AccountSecrets.list(setup, "cookie").map { cookie in
            cookie.contains("=") ? cookie : "sessionKey=\(cookie)"
        }
        let dialect = ClaudeWeb(prompt: try Self.prompt(setup))
        let use = try ClaudeWebConversations(setup.options.string("conversation") ?? "new")
        var first: String?
        if case .one(let id?) = use {
            guard cookies.count == 1 else {
                throw ProviderError("belongs to one account, so there can be one cookie only", setting: "conversation")
            }
            first = id
        }
        let access = try ServiceAccess(setup, base: try ServiceAccess.base(setup, standard: Self.standardBase))
        let accounts = cookies.map {
            ClaudeWebAccount(cookie: $0, access: access, dialect: dialect, conversation: first)
        }
        credentials = Credentials(cookies)
        face = Face(
            dialect, at: access.target("POST", "/api/organizations"),
            opener: ClaudeWebOpener(accounts, conversations: use), estimatesUsage: true)
    }

    private static func prompt(_ setup: ProviderSetup) throws(ProviderError) -> ClaudeWebPrompt {
        guard let template = try setup.options.string("prompt") else { return ClaudeWebPrompt() }
        let prompt = ClaudeWebPrompt(template)
        guard prompt.asksSomething else { throw ProviderError("must have {newMessage} in it", setting: "prompt") }
        return prompt
    }

    func face(for call: Call, model: String) throws(ParleyError) -> Face {
        guard case .chat = call.operation else {
            throw ParleyError(.invalid, "\(id) has no such API.", code: "unsupported_operation")
        }
        return face
    }

    func authorize(
        _ target: Target, body: ByteBuffer?, with credential: Credential, through connector: any Connector
    ) async throws(ParleyError) -> ByteBuffer {
        throw ParleyError(.internalError, "\(id) is asked in several steps.")
    }

    func models(_ connector: any Connector) async throws(ParleyError) -> [ListedModel] {
        [ListedModel(id: ClaudeWeb.anyModel, ownedBy: "anthropic")]
    }
}

/// Which conversation of the account a call belongs to.
enum ClaudeWebConversations: Equatable {
    /// One for each call; deleted behind its answer unless it is kept.
    case each(isKept: Bool)
    /// One for all calls: the given one, or one that is made when it is first needed.
    case one(String?)

    init(_ setting: String) throws(ProviderError) {
        switch setting {
        case "new": self = .each(isKept: false)
        case "keep": self = .each(isKept: true)
        case "single": self = .one(nil)
        default:
            guard !setting.isEmpty, HeaderField.isSafe(setting) else {
                throw ProviderError("must be new, keep, single or the id of a conversation", setting: "conversation")
            }
            self = .one(setting)
        }
    }
}
