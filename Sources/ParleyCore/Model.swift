// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// Anything that answers a call: an upstream, or a composition of other models.
///
/// `answer` returns at the commit point, the first meaningful event: before it a composition may try elsewhere, after
/// it nothing starts over. Cancelling the task it runs in abandons the call and closes what it holds open.
public protocol Model: Sendable {
    /// The name this model has in logs and in `x-parley-model`.
    var name: String { get }

    /// The model that answers: this one, unless it is only another name. Whoever asks it in place of this one saves a wait.
    var target: any Model { get }

    /// Answers one call.
    ///
    /// - Throws: what went wrong, in the taxonomy every dialect renders.
    func answer(_ call: Call) async throws(ParleyError) -> Reply
}

extension Model {
    /// This model.
    public var target: any Model { self }
}
