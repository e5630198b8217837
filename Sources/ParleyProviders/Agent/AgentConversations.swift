// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Crypto
import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire

/// What a session has seen, as a hash: who talks, and every turn up to the agent's last answer.
struct AgentDigest: Sendable, Hashable {
    private let bytes: SHA256Digest

    /// Nothing was said yet to this model by this caller.
    init(caller: String, model: String) {
        var hash = SHA256()
        Self.add("caller", caller, &hash)
        Self.add("model", model, &hash)
        bytes = hash.finalize()
    }

    /// The same, and then this turn.
    init(_ before: AgentDigest, _ turn: AgentRequest.Turn) {
        var hash = SHA256()
        before.bytes.withUnsafeBytes { hash.update(bufferPointer: $0) }
        // Clients take blanks off an answer's ends, and leave out what is no text.
        let said = turn.role == "assistant" ? Self.trimmed(turn.text) : JSON.text(.array(turn.blocks))
        Self.add(turn.role, said, &hash)
        bytes = hash.finalize()
    }

    private static func add(_ name: String, _ text: String, _ hash: inout SHA256) {
        hash.update(data: Array("\(name) \(text.utf8.count)\n".utf8))
        hash.update(data: Array(text.utf8))
    }

    private static func trimmed(_ text: String) -> String {
        let kept = text.drop { $0.isWhitespace }
        guard let end = kept.lastIndex(where: { !$0.isWhitespace }) else { return "" }
        return String(kept[...end])
    }

    /// A conversation after each of its turns.
    static func chain(_ request: AgentRequest, caller: String) -> [AgentDigest] {
        var digests: [AgentDigest] = []
        var last = AgentDigest(caller: caller, model: request.model)
        for turn in request.turns {
            last = AgentDigest(last, turn)
            digests.append(last)
        }
        return digests
    }
}

/// The sessions in which nobody is at the moment, by what they have seen.
///
/// The one that was used longest ago goes when there are too many, and each goes after a while.
struct AgentConversations {
    /// A session that can go on.
    struct Session: Equatable {
        /// The agent that has it.
        var agent: Int
        /// Its id there.
        var id: String
    }

    private struct Entry {
        var session: Session
        var used: NIODeadline
    }

    private let limit: Int
    private let lifetime: TimeAmount
    private var entries: [AgentDigest: Entry] = [:]

    init(limit: Int = 256, lifetime: TimeAmount = .hours(1)) {
        self.limit = limit
        self.lifetime = lifetime
    }

    /// How many there are.
    var count: Int { entries.count }

    /// Takes out the session that has seen the most of a conversation and nothing else.
    ///
    /// - Parameter conversation: its digest after each turn. What a session has seen of it can never be all of it.
    /// - Returns: the session, and how many turns it has seen.
    mutating func take(
        _ conversation: [AgentDigest], where isFree: (Int) -> Bool
    ) -> (session: Session, seen: Int)? {
        for index in conversation.indices.dropLast().reversed() {
            guard let entry = entries[conversation[index]], isFree(entry.session.agent) else { continue }
            entries[conversation[index]] = nil
            return (entry.session, index + 1)
        }
        return nil
    }

    /// Keeps a session for the conversation's next turn.
    ///
    /// - Returns: sessions that nobody can go on with any more.
    mutating func keep(_ session: Session, _ seen: AgentDigest, at now: NIODeadline) -> [Session] {
        var gone = expire(at: now)
        if let same = entries.updateValue(Entry(session: session, used: now), forKey: seen) {
            gone.append(same.session)
        }
        while entries.count > limit, let oldest = entries.min(by: { $0.value.used < $1.value.used }) {
            entries[oldest.key] = nil
            gone.append(oldest.value.session)
        }
        return gone
    }

    /// Takes out what nobody has used for long.
    mutating func expire(at now: NIODeadline) -> [Session] {
        let old = entries.filter { $0.value.used + lifetime <= now }
        for key in old.keys { entries[key] = nil }
        return old.values.map(\.session)
    }

    /// An agent has ended, and its sessions with it.
    mutating func drop(agent: Int) {
        entries = entries.filter { $0.value.session.agent != agent }
    }
}
