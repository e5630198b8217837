// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import GRDB

/// The store's tables, step by step; a step that was released is never changed.
enum Migrations {
    /// Every step in order.
    static var all: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("credentials") { database in
            try database.create(table: "credentials") { table in
                table.primaryKey("provider", .text)
                // A JSON object, as the provider wrote it.
                table.column("value", .text).notNull()
                // Seconds since 1970.
                table.column("updated", .integer).notNull()
            }
        }
        migrator.registerMigration("conversations", migrate: conversations)
        migrator.registerMigration("responses", migrate: responses)
        migrator.registerMigration("call packs") { database in
            try CallTables.create(in: database)
            try FormerCalls.pack(in: database)
        }
        migrator.registerMigration("journal generations", migrate: CallTables.countUses)
        return migrator
    }

    /// Times are seconds since 1970; messages are JSON as `MessageCodec` writes it.
    private static func conversations(_ database: Database) throws {
        try database.create(table: "conversations", options: .withoutRowID) { table in
            table.column("key", .text).notNull()
            table.column("id", .text).notNull()
            table.column("system", .text).notNull()
            table.column("created", .integer).notNull()
            table.column("updated", .integer).notNull().indexed()
            table.primaryKey(["key", "id"])
        }
        try database.create(table: "turns", options: .withoutRowID) { table in
            table.column("key", .text).notNull()
            table.column("id", .text).notNull()
            table.column("number", .integer).notNull()
            table.column("messages", .text).notNull()
            table.column("model", .text).notNull()
            table.column("created", .integer).notNull()
            table.primaryKey(["key", "id", "number"])
        }
    }

    /// Answers of the Responses API; `input` and `response` are the wire's own JSON.
    private static func responses(_ database: Database) throws {
        try database.create(table: "responses") { table in
            table.autoIncrementedPrimaryKey("number")
            table.column("key", .text).notNull()
            table.column("id", .text).notNull().indexed()
            table.column("model", .text).notNull()
            table.column("provider", .text)
            table.column("native", .boolean).notNull()
            table.column("input", .text).notNull()
            table.column("response", .text).notNull()
            table.column("created", .integer).notNull().indexed()
            table.column("previous", .text)
            table.column("conversation", .text)
            table.column("status", .text).notNull()
            table.uniqueKey(["key", "id"])
        }
        try database.create(index: "responses_by_conversation", on: "responses", columns: ["key", "conversation"])
    }
}
