// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire
import Synchronization

/// iFlow's HTTP API: OpenAI's Chat Completions with an accent, by a key or by a sign-in at iFlow's page.
///
/// Facts: the worker of kai648846760/iflow_openapi.
final class IFlowProvider: ListsModels, SignsIn {
    static let standardBase = "https://apis.iflow.cn/v1"
    /// Without it the service does not know its command line's models.
    static let userAgent = HeaderField("user-agent", "iFlow-Cli")

    let id: String
    let credentials: Credentials
    let vendorName = "iFlow"
    /// The sign-in; nil where a key is set.
    let account: IFlowAccount?

    private let access: ServiceAccess
    let overrides: [FieldOverride]
    private let opener: IFlowOpener
    private let catalogue = IFlowModels()
    private let full: any RelayingDialect
    private let plain: any RelayingDialect
    /// Set once the service has refused `stream_options`.
    private let refusesStreamOptions = Atomic<Bool>(false)

    init(_ setup: ProviderSetup) throws(ProviderError) {
        id = setup.name
        let base = try ServiceAccess.base(setup, standard: Self.standardBase)
        access = try ServiceAccess(setup, base: base, vendorHeaders: [Self.userAgent])
        credentials = Credentials(access.keys)
        overrides = setup.overrides
        account = try Self.account(setup, base, hasKey: !access.keys.isEmpty)
        opener = IFlowOpener(access, account)
        // The same service as the catalogue's row.
        var quirks = Catalogue.vendor("iflow-openai")?.quirks ?? Quirks()
        try quirks.apply(setup.quirks)
        full = OpenAIChat(quirks: quirks)
        quirks.streamOptions = false
        plain = OpenAIChat(quirks: quirks)
    }

    private static func account(
        _ setup: ProviderSetup, _ base: BaseURL, hasKey: Bool
    ) throws(ProviderError) -> IFlowAccount? {
        let clientID = try setup.options.string("client_id").flatMap { $0.isEmpty ? nil : $0 }
        let secret = try setup.options.string("client_secret").flatMap { $0.isEmpty ? nil : $0 }
        guard let clientID else {
            guard hasKey else {
                throw ProviderError("must be given, or client_id and client_secret", setting: "api_key")
            }
            return nil
        }
        guard !hasKey else {
            throw ProviderError("is of no use beside api_key: give one of them", setting: "client_id")
        }
        guard let secret else { throw ProviderError("must be given with client_id", setting: "client_secret") }
        let service = try IFlowSignIn(setup, base: base, clientID: clientID, clientSecret: secret)
        return IFlowAccount(setup.name, service: service, store: setup.store?.store)
    }

    // MARK: - Chats

    func face(for call: Call, model: String) throws(ParleyError) -> Face {
        guard case .chat = call.operation else {
            throw ParleyError(.invalid, "\(id) has no such API.", code: "unsupported_operation")
        }
        let dialect = refusesStreamOptions.load(ordering: .relaxed) ? plain : full
        return Face(relaying: dialect, at: access.target("POST", "/chat/completions"), opener: opener)
    }

    func authorize(
        _ target: Target, body: ByteBuffer?, with credential: Credential, through connector: any Connector
    ) async throws(ParleyError) -> ByteBuffer {
        let key = try await account?.key(through: connector).text ?? credential.secret
        return access.head(
            target, key.map { [.bearer($0)] } ?? [], contentType: body == nil ? nil : "application/json")
    }

    func learn(from failure: ParleyError, body: ByteBuffer) -> Bool {
        guard failure.parameter == "stream_options" || body.contains("stream_options"), full.asksForUsage else {
            return false
        }
        return !refusesStreamOptions.exchange(true, ordering: .relaxed)
    }

    /// The models that are known to be there, then whatever else the service lists. While it lists nothing, what was known
    /// goes on.
    func models(_ connector: any Connector) async throws(ParleyError) -> [ListedModel] {
        do {
            let target = access.target("GET", "/models")
            let head = try await authorize(
                target, body: nil, with: credentials.pick(at: .now()), through: connector)
            catalogue.add(
                try await ModelList.fetch(target, head: head, provider: id, dialect: full, connector: connector))
        } catch {
            if error.kind == .cancelled { throw error }
        }
        return catalogue.models
    }

    // MARK: - Signing in

    var isSignInOffered: Bool { account != nil }

    func signInPage(redirect: String, state: String) -> String {
        account?.service.page(redirect: redirect, state: state) ?? ""
    }

    func finishSignIn(code: String, redirect: String, through connector: any Connector) async throws(ParleyError) {
        try await signedInAccount().signIn(code: code, redirect: redirect, through: connector)
    }

    func renewSignIn(through connector: any Connector) async throws(ParleyError) {
        try await signedInAccount().renew(through: connector)
    }

    func forgetSignIn(through connector: any Connector) async throws(ParleyError) {
        try await signedInAccount().forget(through: connector)
    }

    func signInStatus(through connector: any Connector) async throws(ParleyError) -> SignInStatus {
        try await signedInAccount().status(through: connector)
    }

    private func signedInAccount() throws(ParleyError) -> IFlowAccount {
        guard let account else { throw ParleyError(.invalid, "\(id) has a key; nobody signs in.") }
        return account
    }
}

/// The models of iFlow: those that are known, and those that were listed.
final class IFlowModels: Sendable {
    /// What the service had when this was written, whether its list says so or not.
    static let known = [
        "glm-4.7", "iFlow-ROME-30BA3B", "deepseek-v3.2-chat", "qwen3-coder-plus", "kimi-k2-thinking", "minimax-m2.1",
        "kimi-k2-0905",
    ]

    private let listed = Mutex(known.map { ListedModel(id: $0, ownedBy: "iflow") })

    /// The models, the known ones first.
    var models: [ListedModel] { listed.withLock { $0 } }

    /// Takes in a list: known models stay, others follow in its order.
    func add(_ models: [ListedModel]) {
        let known = Set(Self.known)
        let others = models.filter { !known.contains($0.id) }.map { model in
            ListedModel(id: model.id, created: model.created, ownedBy: model.ownedBy ?? "iflow")
        }
        listed.withLock { $0 = Self.known.map { ListedModel(id: $0, ownedBy: "iflow") } + others }
    }
}
