// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import GRDB
import Glibc
public import ParleyCore

/// The store in one file: SQLite, made and brought up to date when it is opened.
public final class SQLiteStore: Sendable {
    /// The connection; writes take turns.
    let database: DatabaseQueue
    /// Where it is.
    public let path: String

    /// Opens the file at `path`, which is made with mode 0600 where there is none.
    ///
    /// - Throws: `internalError` where it cannot be opened or brought up to date, saying which file and why.
    public init(path: String) throws(ParleyError) {
        self.path = path
        do {
            // Before SQLite makes it with whatever the process's mask allows; the journal takes over the file's mode.
            let file = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
            if file >= 0 {
                // Tokens are in it: a copy that somebody made readable for all is not left so.
                fchmod(file, 0o600)
                close(file)
            }
            var configuration = Configuration()
            configuration.busyMode = .timeout(5)
            configuration.journalMode = .wal
            configuration.prepareDatabase { database in
                // What is committed survives a power cut: tokens that rotate are worth nothing in their old form.
                try database.execute(sql: "PRAGMA synchronous = FULL")
            }
            database = try DatabaseQueue(path: path, configuration: configuration)
            try Migrations.all.migrate(database)
        } catch {
            throw Self.failure(error, doing: "opened", path)
        }
    }

    /// Opens the file at `path` only to read it; a server may write it meanwhile.
    ///
    /// - Throws: `internalError` where it cannot be opened, saying which file and why.
    public init(reading path: String) throws(ParleyError) {
        self.path = path
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(5)
        do {
            database = try DatabaseQueue(path: path, configuration: configuration)
        } catch {
            throw Self.failure(error, doing: "read", path)
        }
    }

    /// What to tell of a failure; SQLite's message names tables and files, never values.
    static func failure(_ error: any Error, doing what: String, _ path: String) -> ParleyError {
        let reason =
            (error as? DatabaseError).map { $0.message ?? "code \($0.resultCode.rawValue)" } ?? "\(type(of: error))"
        return ParleyError(.internalError, "The store \(path) cannot be \(what): \(reason).")
    }

    /// Reads under the store's name for failures.
    func read<Value: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Value
    ) async throws(ParleyError) -> Value {
        do { return try await database.read(body) } catch { throw Self.failure(error, doing: "read", path) }
    }

    /// Writes in one transaction.
    func write<Value: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Value
    ) async throws(ParleyError) -> Value {
        do { return try await database.write(body) } catch { throw Self.failure(error, doing: "written", path) }
    }
}
