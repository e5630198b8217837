// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// How an agent's protocol differs from the standard one.
struct AgentFlavour: Sendable, Equatable {
    /// `session/cancel` is a request, not a notification.
    var cancelsByRequest = false
    /// It sends the requests of the protocol's early days: `pushToolCall`, `updateToolCall`, `notifyTaskFinish`.
    var hasOldRequests = false
    /// How to sign in where the answer to `initialize` says that nobody is; nil leaves that to the user.
    var signIn: JSONValue?
    /// Members of `session/new` beside the standard ones.
    var sessionMembers = JSONObject()

    /// The protocol as it is published.
    static let standard = AgentFlavour()
}
