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
        migrator.registerMigration("calls") { database in try CallTables.create(in: database) }
        return migrator
    }
}
