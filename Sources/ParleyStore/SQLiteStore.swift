// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import CParleyMemory
import GRDB
import Glibc
public import ParleyCore

/// The store in one file: SQLite, made and brought up to date when it is opened.
public final class SQLiteStore: Sendable {
    /// The connection for what must survive a power cut, too; writes take turns.
    let database: DatabaseQueue
    /// The connection for the rest: what is written through it survives the end of the process at once, and a power cut
    /// once the system has written it to the disk.
    let bulk: DatabaseQueue
    /// Where it is.
    public let path: String
    /// How long answers of the Responses API are kept, in seconds.
    let responseAge: Int

    /// Once, before the first connection.
    private static let preparation: Void = parley_sqlite_count_no_memory()

    /// Thirty days.
    public static let standardResponseAge = 30 * 86_400

    /// Opens the file at `path`, which is made with mode 0600 where there is none.
    ///
    /// - Parameter responseAge: how long answers of the Responses API are kept, in seconds.
    /// - Throws: `internalError` where it cannot be opened or brought up to date, saying which file and why.
    public init(path: String, responseAge: Int = SQLiteStore.standardResponseAge) throws(ParleyError) {
        self.path = path
        self.responseAge = responseAge
        Self.preparation
        do {
            var configuration = Configuration()
            configuration.busyMode = .timeout(5)
            configuration.journalMode = .wal
            configuration.prepareDatabase { database in
                // What is committed survives a power cut: tokens that rotate are worth nothing in their old form.
                try database.execute(sql: "PRAGMA synchronous = FULL")
            }
            let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
            // Two servers that bring a store up to date at once would be in each other's way.
            database = try Folder.alone(in: folder) { [configuration] in
                Self.makePrivate(path)
                let database = try DatabaseQueue(path: path, configuration: configuration)
                try Migrations.all.migrate(database)
                return database
            }
            configuration = Configuration()
            configuration.busyMode = .timeout(5)
            configuration.prepareDatabase { try $0.execute(sql: "PRAGMA synchronous = NORMAL") }
            bulk = try DatabaseQueue(path: path, configuration: configuration)
        } catch {
            throw Self.failure(error, doing: "opened", path)
        }
    }

    /// Makes the file before SQLite does, with whatever the process's mask allows; its journal takes over the file's mode.
    private static func makePrivate(_ path: String) {
        let made = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0o600)
        if made >= 0 {
            close(made)
        } else {
            // Tokens are in it: a copy that somebody made readable for all is not left so. It is not opened for that, since
            // closing any descriptor of it would end the locks that SQLite has on it.
            chmod(path, 0o600)
        }
    }

    /// Opens the file at `path` only to read it; a server may write it meanwhile. A file that an older version wrote is brought
    /// up to date first.
    ///
    /// - Throws: `internalError` where it cannot be opened, saying which file and why.
    public init(reading path: String) throws(ParleyError) {
        self.path = path
        responseAge = Self.standardResponseAge
        Self.preparation
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(5)
        do {
            database = try DatabaseQueue(path: path, configuration: configuration)
            bulk = database
            let isCurrent = try database.read { try Migrations.all.hasCompletedMigrations($0) }
            if !isCurrent { _ = try SQLiteStore(path: path) }
        } catch let error as ParleyError {
            throw error
        } catch {
            throw Self.failure(error, doing: "read", path)
        }
    }

    /// A store in memory, for machines where nothing can be kept.
    ///
    /// - Throws: `internalError` where there is no memory.
    public init() throws(ParleyError) {
        path = "in memory"
        responseAge = Self.standardResponseAge
        Self.preparation
        do {
            database = try DatabaseQueue()
            bulk = database
            try Migrations.all.migrate(database)
        } catch {
            throw Self.failure(error, doing: "opened", "in memory")
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
        from queue: DatabaseQueue? = nil, _ body: @escaping @Sendable (Database) throws -> Value
    ) async throws(ParleyError) -> Value {
        do { return try await (queue ?? database).read(body) } catch { throw Self.failure(error, doing: "read", path) }
    }

    /// Writes in one transaction.
    func write<Value: Sendable>(
        to queue: DatabaseQueue? = nil, _ body: @escaping @Sendable (Database) throws -> Value
    ) async throws(ParleyError) -> Value {
        do { return try await (queue ?? database).write(body) } catch {
            throw Self.failure(error, doing: "written", path)
        }
    }
}
