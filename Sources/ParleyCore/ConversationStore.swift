// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// A conversation whose history is kept on the server.
public struct ConversationRecord: Sendable, Equatable {
    /// What a client said and what it was answered.
    public struct Turn: Sendable, Equatable {
        /// The client's messages and the answer, in order, without system messages.
        public var messages: [Message]
        /// The name of the model that was asked.
        public var model: String
        /// Seconds since 1970.
        public var created: Int

        /// A turn.
        public init(_ messages: [Message], model: String, created: Int) {
            self.messages = messages
            self.model = model
            self.created = created
        }
    }

    /// The name by which clients go on with it.
    public var id: String
    /// The name of the key it belongs to; nobody else ever sees it.
    public var key: String
    /// The system messages it has at the moment.
    public var system: [Message]
    /// The turns, oldest first.
    public var turns: [Turn]
    /// When it began, in seconds since 1970.
    public var created: Int
    /// When its last turn ended, in seconds since 1970.
    public var updated: Int

    /// A conversation.
    public init(id: String, key: String, system: [Message], turns: [Turn], created: Int, updated: Int) {
        self.id = id
        self.key = key
        self.system = system
        self.turns = turns
        self.created = created
        self.updated = updated
    }
}

/// Keeps conversations.
///
/// Every look-up says whose conversation is wanted: another key's is as good as none.
public protocol ConversationStore: Sendable {
    /// The conversation of that id; nil where there is none, or none that was used since `time` (seconds since 1970).
    func conversation(_ id: String, key: String, usedSince time: Int) async throws(ParleyError) -> ConversationRecord?

    /// Adds a turn to the conversation, which begins with it where there is none. When this returns, the next turn finds
    /// it.
    ///
    /// - Parameters:
    ///   - system: the system messages the conversation has from now on.
    ///   - limit: the most turns; the oldest go.
    ///   - time: what was not used since then (seconds since 1970) is forgotten first.
    func append(
        _ turn: ConversationRecord.Turn, to id: String, key: String, system: [Message], limit: Int, usedSince time: Int
    ) async throws(ParleyError)

    /// Forgets the conversation.
    ///
    /// - Returns: whether there was one.
    func removeConversation(_ id: String, key: String) async throws(ParleyError) -> Bool
}
