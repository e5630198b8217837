// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore

/// What a JSON-RPC error of an agent means.
public enum AgentFailure {
    /// The most of an agent's own words that is passed on.
    private static let longest = 400

    /// The failure that the members of an `error` object tell of.
    public static func error(_ error: JSONObject) -> ParleyError {
        let code = error["code"]?.int ?? 0
        let words = words(error)
        switch code {
        case -32000: return signInNeeded([])
        case -32602: return ParleyError(.upstreamRejected, "the agent refused the request: \(words)", status: 400)
        case -32800: return failed("the agent cancelled the turn")
        default: return failed("the agent failed (\(code)): \(words)")
        }
    }

    /// A turn that was begun and came to nothing. Not of a kind that is tried again: the agent may have done things
    /// already that must not be done twice.
    public static func failed(_ message: String) -> ParleyError {
        ParleyError(.upstreamRejected, message, code: "agent_failed", status: 502, type: "server_error")
    }

    /// The agent wants somebody to sign in first, in one of the ways it named.
    public static func signInNeeded(_ methods: [String]) -> ParleyError {
        let ways = methods.isEmpty ? "" : " (it offers: \(methods.joined(separator: ", ")))"
        return ParleyError(
            .unauthenticated,
            "the agent is not signed in\(ways); run its command by hand and sign in, or set its key under `environment`",
            code: "invalid_api_key", type: "authentication_error")
    }

    /// What it says for itself: the details where there are some, in one line.
    private static func words(_ error: JSONObject) -> String {
        let details = error["data"]?["details"]?.string ?? error["data"]?.string
        let text = details ?? error["message"]?.string ?? "no reason given"
        return String(text.prefix(longest).map { $0.isNewline ? " " : $0 })
    }
}
