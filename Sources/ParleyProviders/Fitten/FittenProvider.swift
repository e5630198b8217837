// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire

/// Fitten Code with somebody's own account, as its editor plug-ins use it.
final class FittenProvider: ListsModels {
    static let summary = "Fitten Code with your own account (unofficial)"
    static let options = ["username", "password"]
    static let standardBase = "https://fc.fittentech.com"
    /// The one model there is.
    static let model = "fitten-code"

    let id: String
    let credentials: Credentials
    let overrides: [FieldOverride]
    private let face: Face

    init(_ setup: ProviderSetup) throws(ProviderError) {
        id = setup.name
        overrides = setup.overrides
        let names = try AccountSecrets.list(setup, "username")
        let passwords = try setup.options.strings("password") ?? []
        guard passwords.count == names.count, passwords.allSatisfy({ !$0.isEmpty }) else {
            throw ProviderError("must be given, one for each username", setting: "password")
        }
        let access = try ServiceAccess(setup, base: try ServiceAccess.base(setup, standard: Self.standardBase))
        let accounts = names.indices.map { index in
            // The first account's tokens are kept under the provider's own name.
            FittenAccount(
                name: names[index], password: passwords[index], access: access, store: setup.store?.store,
                place: index == 0 ? setup.name : "\(setup.name)#\(index + 1)")
        }
        credentials = Credentials(names)
        face = Face(
            FittenCode(), at: access.target("POST", "/codeapi/chat_auth"),
            opener: FittenOpener(access, accounts: accounts), estimatesUsage: true)
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
        [ListedModel(id: Self.model, ownedBy: "fitten")]
    }
}

/// Asks for an answer with an account's tokens; where they are refused, once more with new ones.
final class FittenOpener: AnswerOpener {
    private let access: ServiceAccess
    private let accounts: [FittenAccount]

    init(_ access: ServiceAccess, accounts: [FittenAccount]) {
        self.access = access
        self.accounts = accounts
    }

    func open(_ request: OpenerRequest) async throws(ParleyError) -> any UpstreamAnswer {
        guard accounts.indices.contains(request.credential.index),
            let body = (try? JSON.parse(request.body))?.object
        else { throw ParleyError(.internalError, "The request was not written for Fitten Code.") }
        let account = accounts[request.credential.index]
        let tokens = try await account.tokens(through: request.connector)
        let answer = try await ask(request, body, tokens)
        guard answer.status == 401 else { return answer }
        answer.cancel()
        account.refuse(tokens)
        let fresh = try await account.tokens(through: request.connector)
        let second = try await ask(request, body, fresh)
        // Neither a refresh nor what was kept helps: the next call signs in anew.
        if second.status == 401 { account.forget(fresh) }
        return second
    }

    private func ask(
        _ request: OpenerRequest, _ body: JSONObject, _ tokens: FittenTokens
    ) async throws(ParleyError) -> any UpstreamAnswer {
        let target = request.target.adding(query: "apikey=" + PercentEncoding.segment(tokens.user))
        var body = body
        body["ft_token"] = .string(tokens.user)
        let head = access.head(target, [.bearer(tokens.access)], accept: "*/*")
        return try await request.connector.open(target, head, ByteBuffer(json: .object(body)), StepLimits(request))
    }
}
