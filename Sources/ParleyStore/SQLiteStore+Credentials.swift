// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import GRDB
import Glibc
import NIOCore
public import ParleyCore
import ParleyWire

extension SQLiteStore: CredentialStore {
    /// What was kept for the provider.
    public func load(_ provider: String) async throws(ParleyError) -> JSONObject? {
        let text = try await read { database in
            try String.fetchOne(
                database, sql: "SELECT value FROM credentials WHERE provider = ?", arguments: [provider])
        }
        guard let text else { return nil }
        guard case .object(let object)? = try? JSON.parse(ByteBuffer(string: text)) else {
            throw ParleyError(
                .internalError, "The store \(path) has something unreadable for \(provider); sign in again.")
        }
        return object
    }

    /// Keeps the credentials of the provider.
    public func save(_ credentials: JSONObject, for provider: String) async throws(ParleyError) {
        var buffer = ByteBuffer()
        buffer.writeJSON(.object(credentials))
        let text = String(buffer: buffer)
        let now = time(nil)
        try await write { database in
            try database.execute(
                sql: """
                    INSERT INTO credentials (provider, value, updated) VALUES (?, ?, ?)
                    ON CONFLICT (provider) DO UPDATE SET value = excluded.value, updated = excluded.updated
                    """, arguments: [provider, text, now])
        }
    }

    /// Forgets the credentials of the provider.
    public func forget(_ provider: String) async throws(ParleyError) {
        try await write { database in
            try database.execute(sql: "DELETE FROM credentials WHERE provider = ?", arguments: [provider])
        }
    }
}
