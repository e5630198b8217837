// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import GRDB
import NIOCore
public import ParleyCore

extension SQLiteStore: ResponseStore {
    /// Keeps a record, and forgets those whose time is over.
    public func save(_ record: ResponseRecord) async throws(ParleyError) {
        let oldest = record.created.clampedSum(-responseAge)
        try await write(to: bulk) { database in
            try database.execute(sql: "DELETE FROM responses WHERE created < ?", arguments: [oldest])
            try database.execute(
                sql: """
                    INSERT OR REPLACE INTO responses
                    (key, id, model, provider, native, input, response, created, previous, conversation, status)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                    """,
                arguments: [
                    record.key, record.id, record.model, record.provider, record.isNative, String(buffer: record.input),
                    String(buffer: record.response), record.created, record.previous, record.conversation,
                    record.status,
                ])
        }
    }

    /// The record of that id, if it is this key's.
    public func record(_ id: String, key: String) async throws(ParleyError) -> ResponseRecord? {
        try await read(from: bulk) { database in
            try Row.fetchOne(
                database, sql: "SELECT * FROM responses WHERE key = ? AND id = ?", arguments: [key, id]
            ).map(Self.record)
        }
    }

    /// Whether any key has a record of that id.
    public func isKept(_ id: String) async throws(ParleyError) -> Bool {
        try await read(from: bulk) { database in
            try Bool.fetchOne(
                database, sql: "SELECT EXISTS (SELECT 1 FROM responses WHERE id = ?)", arguments: [id]) ?? false
        }
    }

    /// Forgets a record, if it is this key's.
    public func remove(_ id: String, key: String) async throws(ParleyError) -> Bool {
        try await write(to: bulk) { database in
            try database.execute(sql: "DELETE FROM responses WHERE key = ? AND id = ?", arguments: [key, id])
            return database.changesCount > 0
        }
    }

    /// The records of this key's conversation, oldest first.
    public func conversation(_ id: String, key: String) async throws(ParleyError) -> [ResponseRecord] {
        try await read(from: bulk) { database in
            try Row.fetchAll(
                database, sql: "SELECT * FROM responses WHERE key = ? AND conversation = ? ORDER BY number",
                arguments: [key, id]
            ).map(Self.record)
        }
    }

    private static func record(_ row: Row) -> ResponseRecord {
        let (input, response): (String, String) = (row["input"], row["response"])
        var record = ResponseRecord(
            id: row["id"], key: row["key"], model: row["model"], input: ByteBuffer(string: input),
            response: ByteBuffer(string: response), created: row["created"], status: row["status"])
        record.provider = row["provider"]
        record.isNative = row["native"]
        record.previous = row["previous"]
        record.conversation = row["conversation"]
        return record
    }
}
