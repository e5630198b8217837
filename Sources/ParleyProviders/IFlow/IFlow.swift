// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// The kind `iflow`: one name for two ways to iFlow's models, chosen by `mode`.
enum IFlow {
    static let summary = "iFlow through its command or its API"
    /// The settings of both ways.
    static let options = [
        "mode", "command", "url", "permission", "directory", "environment", "client_id", "client_secret",
    ]

    /// Makes the provider for the mode that is set.
    static func make(_ setup: ProviderSetup) throws(ProviderError) -> any ModelSource {
        switch try setup.options.string("mode") ?? "cli" {
        case "api": ProviderSource(try IFlowProvider(setup), setup: setup)
        case "cli": try IFlowAgentProvider.source(setup)
        default: throw ProviderError("must be cli or api", setting: "mode")
        }
    }
}
