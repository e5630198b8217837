// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
import NIOCore
import NIOHTTP1
import ParleyAccess
import ParleyConfiguration
import ParleyCore
import ParleyDialects
import ParleyModels
import ParleyWire

/// Conversations whose history the server keeps.
extension Exchange {
    /// The conversation that the request goes on with; nil where it brings its own history.
    ///
    /// - Parameter named: the one that its body names.
    /// - Throws: `invalid` for what is no id.
    func conversationID(_ named: String?) throws(ParleyError) -> String? {
        guard let id = named ?? request.head.conversation else { return nil }
        guard ConversationID.isAcceptable(id) else {
            throw ParleyError(
                .invalid,
                "Invalid conversation id: expected 1 to \(ConversationID.longest) letters, digits and "
                    + "any of . _ : - / @.", code: "invalid_value", parameter: "conversation_id")
        }
        return id
    }

    /// The model as one that knows what was said before, once the conversation's earlier turns are over.
    func conversing(
        _ model: any Model, _ name: String, _ id: String, _ key: KeyRecord
    ) async throws(ParleyError) -> any Model {
        try await takeTurn(in: id, key)
        let rules = snapshot.conversations
        return Conversing(
            model,
            Conversing.Terms(
                id: id, store: shard.gateway.conversations, idle: rules.idle, maxTurns: rules.maxTurns,
                tokens: historyTokens(of: name), now: { time(nil) }))
    }

    /// How many tokens may be sent to a model: three quarters of the smallest context below it, since an answer needs
    /// room, too, and tokens are estimated; nil where no context is known.
    private func historyTokens(of name: String) -> Int? {
        guard let tree = snapshot.lists.directory.tree(of: name) else { return nil }
        let lengths = tree.leaves.compactMap { snapshot.prices.facts(of: $0).contextLength }
        return lengths.min().map { $0 / 4 * 3 }
    }

    /// Waits until it is this request's turn in the conversation, which it keeps until it is settled.
    func takeTurn(in id: String, _ key: KeyRecord) async throws(ParleyError) {
        turn = try await shard.gateway.turns.enter(id, key: key.name)
    }

    /// Answers a request about a conversation.
    func answerConversation(_ id: String, _ key: KeyRecord) async throws(ParleyError) {
        try await client.awaitBody(of: request)
        let (talks, responses) = (shard.gateway.conversations, shard.gateway.responses)
        let idle = snapshot.conversations.idle
        if request.head.method == .DELETE {
            let isTalk = try await talks.removeConversation(id, key: key.name)
            let items = try await responses.conversation(id, key: key.name)
            for item in items { _ = try await responses.remove(item.id, key: key.name) }
            guard isTalk || !items.isEmpty else { throw ConversationID.unknown(id) }
            return answer(["id": .string(id), "object": "conversation.deleted", "deleted": true])
        }
        if let record = try await talks.conversation(id, key: key.name, usedSince: time(nil) - idle) {
            return answer(StoredConversation.object(record))
        }
        let items = try await responses.conversation(id, key: key.name)
        guard !items.isEmpty else { throw ConversationID.unknown(id) }
        answer(StoredConversation.object(id, items))
    }

    /// Answers `POST /v1/conversations`: a fresh id, under which nothing was said yet.
    func beginConversation() async throws(ParleyError) {
        try await client.awaitBody(of: request)
        let body = request.takeBody()
        if body.readableBytes > 0 {
            let scan = try Intake.scan(body)
            if let items = scan.member("items"), (try? scan.value(items))?.array?.isEmpty == false {
                throw ParleyError(
                    .invalid, "Items cannot be put into a conversation beforehand; send them with its first request.",
                    code: "unsupported_parameter", parameter: "items")
            }
        }
        answer(StoredConversation.begun(ConversationID.make(), at: time(nil)))
    }
}

/// Names of conversations.
enum ConversationID {
    /// The longest, in bytes.
    static let longest = 200

    /// Whether a client may use this name.
    static func isAcceptable(_ id: String) -> Bool {
        !id.isEmpty && id.utf8.count <= longest
            && id.utf8.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                    || ".:_-/@".utf8.contains(byte)
            }
    }

    /// A name that nobody has guessed.
    static func make() -> String {
        var generator = SystemRandomNumberGenerator()
        let digits = (0..<2).map { _ in
            let text = String(generator.next(), radix: 16)
            return String(repeating: "0", count: 16 - text.utf8.count) + text
        }
        return "conv_" + digits.joined()
    }

    /// The failure for a conversation that there is not, or not for this key.
    static func unknown(_ id: String) -> ParleyError {
        ParleyError(.notFound, "Conversation with id '\(id.prefix(100))' not found.", code: "conversation_not_found")
    }
}
