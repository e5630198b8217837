// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import GRDB
public import ParleyCore

extension SQLiteStore: ConversationStore {
    /// The conversation of that id, if it is this key's and was used since `time`.
    public func conversation(
        _ id: String, key: String, usedSince time: Int
    ) async throws(ParleyError) -> ConversationRecord? {
        let found = try await read(from: bulk) { database -> Rows? in
            let head = try Row.fetchOne(
                database, sql: "SELECT * FROM conversations WHERE key = ? AND id = ? AND updated >= ?",
                arguments: [key, id, time])
            guard let head else { return nil }
            let turns = try Row.fetchAll(
                database, sql: "SELECT * FROM turns WHERE key = ? AND id = ? ORDER BY number", arguments: [key, id])
            return Rows(
                system: head["system"], created: head["created"], updated: head["updated"],
                turns: turns.map { Rows.Turn(messages: $0["messages"], model: $0["model"], created: $0["created"]) })
        }
        guard let found else { return nil }
        var record = ConversationRecord(
            id: id, key: key, system: try Self.messages(found.system, path), turns: [], created: found.created,
            updated: found.updated)
        for turn in found.turns {
            record.turns.append(.init(try Self.messages(turn.messages, path), model: turn.model, created: turn.created))
        }
        return record
    }

    /// Adds a turn, in one transaction.
    public func append(
        _ turn: ConversationRecord.Turn, to id: String, key: String, system: [Message], limit: Int, usedSince time: Int
    ) async throws(ParleyError) {
        let (instructions, messages) = (MessageCodec.text(system), MessageCodec.text(turn.messages))
        try await write(to: bulk) { database in
            try Self.forget(in: database, usedBefore: time)
            try database.execute(
                sql: """
                    INSERT INTO conversations (key, id, system, created, updated) VALUES (?, ?, ?, ?, ?)
                    ON CONFLICT (key, id) DO UPDATE SET system = excluded.system, updated = excluded.updated
                    """, arguments: [key, id, instructions, turn.created, turn.created])
            try database.execute(
                sql: """
                    INSERT INTO turns (key, id, number, messages, model, created) SELECT ?, ?,
                    COALESCE((SELECT MAX(number) FROM turns WHERE key = ? AND id = ?), 0) + 1, ?, ?, ?
                    """, arguments: [key, id, key, id, messages, turn.model, turn.created])
            try database.execute(
                sql: """
                    DELETE FROM turns WHERE key = ? AND id = ?
                    AND number <= (SELECT MAX(number) FROM turns WHERE key = ? AND id = ?) - ?
                    """, arguments: [key, id, key, id, max(1, limit)])
        }
    }

    /// Forgets the conversation, if it is this key's.
    public func removeConversation(_ id: String, key: String) async throws(ParleyError) -> Bool {
        try await write(to: bulk) { database in
            try database.execute(sql: "DELETE FROM turns WHERE key = ? AND id = ?", arguments: [key, id])
            try database.execute(sql: "DELETE FROM conversations WHERE key = ? AND id = ?", arguments: [key, id])
            return database.changesCount > 0
        }
    }

    /// A conversation as it is written; reading the messages is not the database's work.
    private struct Rows: Sendable {
        struct Turn: Sendable {
            var messages: String
            var model: String
            var created: Int
        }

        var system: String
        var created: Int
        var updated: Int
        var turns: [Turn]
    }

    private static func forget(in database: Database, usedBefore time: Int) throws {
        try database.execute(
            sql: """
                DELETE FROM turns WHERE EXISTS (SELECT 1 FROM conversations AS c
                WHERE c.key = turns.key AND c.id = turns.id AND c.updated < ?)
                """, arguments: [time])
        try database.execute(sql: "DELETE FROM conversations WHERE updated < ?", arguments: [time])
    }

    private static func messages(_ text: String, _ path: String) throws(ParleyError) -> [Message] {
        guard let messages = MessageCodec.messages(text) else {
            throw ParleyError(.internalError, "The store \(path) has a conversation that cannot be read.")
        }
        return messages
    }
}
