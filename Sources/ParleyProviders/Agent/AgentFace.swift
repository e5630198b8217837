// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects

/// What providers whose models are agents have in common.
enum AgentFace {
    /// The face that prompts the agents of `pool`.
    ///
    /// - Parameter place: what stands for the server's name in a log.
    static func make(_ pool: AgentPool, at place: String, _ setup: ProviderSetup, showsTools: Bool = false) -> Face {
        let target = Target(
            endpoint: Endpoint(host: place, port: 0, isSecure: false), method: "POST", path: "session/prompt",
            timeouts: setup.timeouts)
        return Face(Agent(showsTools: showsTools), at: target, opener: AgentOpener(pool), estimatesUsage: true)
    }

    /// - Throws: `invalid` where a call is for something else than an answer.
    static func check(_ call: Call, _ provider: String) throws(ParleyError) {
        guard case .chat = call.operation else {
            throw ParleyError(.invalid, "\(provider) has no such API.", code: "unsupported_operation")
        }
    }

    /// What is said where a provider is asked for an HTTP request.
    static var noRequest: ParleyError { ParleyError(.internalError, "An agent is not asked over HTTP.") }
}
