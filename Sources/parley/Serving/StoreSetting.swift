// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Logging
import ParleyAccess
import ParleyConfiguration
import ParleyCore
import ParleyStore

extension LazyStore {
    /// The file's name in the state directory, where the configuration names none.
    private static let standardName = "parley.db"

    /// The store that the setting names; nothing is opened yet.
    ///
    /// - Parameters:
    ///   - configuration: the configuration file's path, from whose folder a relative path is meant.
    ///   - retention: how long what is in it is kept.
    ///   - onStandIn: told why conversations are kept in memory only, where no store is asked for and none can be had.
    convenience init(
        _ setting: StoreSettings?, configuration: String?, retention: RetentionSettings,
        onStandIn: @escaping @Sendable (ParleyError) -> Void
    ) {
        let age = Int(retention.conversations.components.seconds)
        self.init(onStandIn: setting == nil ? onStandIn : nil) { () throws(ParleyError) in
            try SQLiteStore(path: try Self.preparedPath(of: setting, configuration: configuration), responseAge: age)
        }
    }

    /// Where the store is that the setting names; its folder is made where it is ours.
    ///
    /// - Throws: why there can be none.
    static func preparedPath(of setting: StoreSettings?, configuration: String?) throws(ParleyError) -> String {
        do throws(KeyFileError) {
            if setting == nil { try StateDirectory.standard().prepare() }
            if let path = try path(of: setting, configuration: configuration) { return path }
        } catch {
            throw ParleyError(.internalError, "The store cannot be opened: \(error.description)")
        }
        throw ParleyError(
            .notImplemented, "store: PostgreSQL is not built yet; use sqlite:PATH, or leave the setting out.",
            code: "not_implemented")
    }

    /// Where the store is that the setting names; nil where it is no file.
    ///
    /// - Throws: ``KeyFileError`` where there is no state directory.
    static func path(of setting: StoreSettings?, configuration: String?) throws(KeyFileError) -> String? {
        switch setting {
        case .postgres: nil
        case .sqlite(let path): absolute(path, from: configuration)
        case nil: try StateDirectory.standard().file(standardName)
        }
    }

    private static func absolute(_ path: String, from configuration: String?) -> String {
        guard !path.hasPrefix("/"), let configuration, let slash = configuration.lastIndex(of: "/") else { return path }
        return configuration[...slash] + path
    }
}

extension SQLiteLedger {
    /// The ledger of a server. What goes wrong with it is logged once, and once more when it is over.
    convenience init(_ startup: Startup, logger: Logger) {
        var settings = Settings()
        settings.retention = startup.settings.retention.requests
        var reports = Reports()
        reports.failure = { failure in
            if let failure {
                logger.error("calls are not recorded at the moment: \(failure)")
            } else {
                logger.notice("calls are recorded again")
            }
        }
        reports.remark = { logger.warning("\($0)") }
        let (setting, configuration) = (startup.settings.store, startup.path)
        self.init(
            startup.store, settings: settings, reports: reports,
            prepare: { () throws(ParleyError) in
                _ = try LazyStore.preparedPath(of: setting, configuration: configuration)
            },
            folder: { () throws(ParleyError) in
                // Beside the store, as SQLite's own files are.
                let path = try? LazyStore.path(of: setting, configuration: configuration)
                guard let path else { throw ParleyError(.internalError, "There is no place for a journal of calls.") }
                return path + ".calls"
            })
    }
}
