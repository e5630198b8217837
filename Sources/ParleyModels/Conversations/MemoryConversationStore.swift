// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore
import Synchronization

/// Keeps conversations in memory: so many, those that were not used for the longest time go first.
public final class MemoryConversationStore: ConversationStore {
    private struct Name: Hashable {
        var id: String
        var key: String
    }

    private let records = Mutex<[Name: ConversationRecord]>([:])
    private let limit: Int

    /// An empty store.
    ///
    /// - Parameter limit: the most conversations.
    public init(limit: Int = 10_000) {
        self.limit = max(1, limit)
    }

    /// The conversation, if it is this key's and was used since `time`.
    public func conversation(_ id: String, key: String, usedSince time: Int) -> ConversationRecord? {
        records.withLock { records in
            records[Name(id: id, key: key)].flatMap { $0.updated >= time ? $0 : nil }
        }
    }

    /// Adds a turn.
    public func append(
        _ turn: ConversationRecord.Turn, to id: String, key: String, system: [Message], limit: Int, usedSince time: Int
    ) {
        records.withLock { records in
            let name = Name(id: id, key: key)
            if let old = records[name], old.updated < time { records[name] = nil }
            if records[name] == nil, records.count >= self.limit {
                records = records.filter { $0.value.updated >= time }
                if records.count >= self.limit, let oldest = records.min(by: { $0.value.updated < $1.value.updated }) {
                    records[oldest.key] = nil
                }
            }
            var record =
                records[name]
                ?? ConversationRecord(
                    id: id, key: key, system: [], turns: [], created: turn.created, updated: turn.created)
            record.system = system
            record.turns.append(turn)
            record.turns.removeFirst(max(0, record.turns.count - max(1, limit)))
            record.updated = turn.created
            records[name] = record
        }
    }

    /// Forgets the conversation, if it is this key's.
    public func removeConversation(_ id: String, key: String) -> Bool {
        records.withLock { $0.removeValue(forKey: Name(id: id, key: key)) != nil }
    }
}
