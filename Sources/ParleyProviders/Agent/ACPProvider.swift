// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects

/// Any agent that speaks the Agent Client Protocol, as child processes.
final class ACPProvider: ListsModels {
    static let summary = "A coding agent, by the Agent Client Protocol"
    static let options = ["command", "directory", "environment", "processes", "permission", "show_tools"]
    /// What the agent is called where the configuration gives it no other name.
    private static let model = "agent"

    let id: String
    let credentials = Credentials([])
    let overrides: [FieldOverride]
    private let face: Face

    init(_ setup: ProviderSetup) throws(ProviderError) {
        id = setup.name
        overrides = setup.overrides
        let options = setup.options
        let command = try AgentCommand(options)
        let terms = AgentTerms(
            permissions: try AgentPermissions(options.values["permission"]), directory: command.workingDirectory)
        let processes = try options.double("processes", in: 1...1000).map { Int($0) } ?? 2
        let seats = AgentSeats(limit: processes, turnsInAll: setup.connectionLimit ?? .max)
        let pool = AgentPool(terms, AgentProcess(command: command), seats: seats)
        let showsTools = options.values["show_tools"]?.bool ?? false
        face = AgentFace.make(pool, at: command.name, setup, showsTools: showsTools)
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

    func models(_ connector: any Connector) async throws(ParleyError) -> [ListedModel] {
        [ListedModel(id: Self.model, ownedBy: id)]
    }
}
