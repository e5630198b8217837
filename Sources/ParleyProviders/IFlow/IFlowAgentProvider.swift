// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects

/// iFlow's command, which is talked to over a WebSocket by its variant of the Agent Client Protocol.
///
/// Facts: the package `iflow-cli-sdk` and kai648846760/iflow_openapi at c9c8061.
final class IFlowAgentProvider: Provider {
    static let standardURL = "ws://127.0.0.1:8090/acp"
    /// The only model there is.
    static let model = "iflow"
    /// The most turns at once over the one connection.
    private static let turns = 16

    let id: String
    let credentials: Credentials
    let overrides: [FieldOverride]
    private let face: Face

    /// The provider with its one model.
    static func source(_ setup: ProviderSetup) throws(ProviderError) -> any ModelSource {
        var setup = setup
        if !setup.models.contains(where: { $0.name == model }) { setup.models.append(.init(model, model)) }
        setup.discover = false
        return ProviderSource(try IFlowAgentProvider(setup), setup: setup)
    }

    init(_ setup: ProviderSetup) throws(ProviderError) {
        id = setup.name
        overrides = setup.overrides
        let options = setup.options
        let base = try Self.base(try options.string("url") ?? Self.standardURL)
        var own = setup
        own.apiKeys = []
        let access = try ServiceAccess(own, base: base)
        credentials = Credentials([])
        let permissions = try AgentPermissions(options.values["permission"])
        let command = try options.strings("command") == nil ? nil : AgentCommand(options)
        let directory = try AgentCommand.directory(options.string("directory"))
        let terms = AgentTerms(
            flavour: Self.flavour(permissions, key: setup.apiKeys.first), permissions: permissions,
            directory: directory)
        let seats = AgentSeats(limit: 1, turnsEach: Self.turns, turnsInAll: setup.connectionLimit ?? .max)
        let pool = AgentPool(terms, IFlowAgentSocket(access: access, command: command), seats: seats)
        face = AgentFace.make(pool, at: base.host, setup)
    }

    /// The address of a WebSocket, as that of the request it begins with.
    private static func base(_ url: String) throws(ProviderError) -> BaseURL {
        guard url.hasPrefix("ws://") || url.hasPrefix("wss://") else {
            throw ProviderError("must begin with ws:// or wss://", setting: "url")
        }
        return try BaseURL("http" + url.dropFirst(2), setting: "url")
    }

    /// How iFlow's protocol differs. Its settings are in snake case.
    private static func flavour(_ permissions: AgentPermissions, key: String?) -> AgentFlavour {
        var signIn: JSONObject = ["methodId": "iflow"]
        if let key { signIn = ["methodId": "use_iflow_ak", "methodInfo": ["apiKey": .string(key)]] }
        return AgentFlavour(
            cancelsByRequest: true, hasOldRequests: true, signIn: .object(signIn),
            sessionMembers: ["settings": ["permission_mode": permissions.allowsAll ? "yolo" : "default"]])
    }

    func face(for call: Call, model: String) throws(ParleyError) -> Face {
        try AgentFace.check(call, id)
        return face
    }

    func authorize(
        _ target: Target, body: ByteBuffer?, with credential: Credential, through connector: any Connector
    ) async throws(ParleyError) -> ByteBuffer {
        throw AgentFace.noRequest
    }
}
