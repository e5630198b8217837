// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

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
            switch setting {
            case .postgres:
                throw ParleyError(
                    .notImplemented, "store: PostgreSQL is not built yet; use sqlite:PATH, or leave the setting out.",
                    code: "not_implemented")
            case .sqlite(let path):
                return try SQLiteStore(path: Self.absolute(path, from: configuration), responseAge: age)
            case nil:
                do {
                    let directory = try StateDirectory.standard()
                    try directory.prepare()
                    return try SQLiteStore(path: directory.file(Self.standardName), responseAge: age)
                } catch let error as KeyFileError {
                    throw ParleyError(.internalError, "The store cannot be opened: \(error.description)")
                } catch {
                    throw error as? ParleyError ?? ParleyError(.internalError, "The store cannot be opened.")
                }
            }
        }
    }

    private static func absolute(_ path: String, from configuration: String?) -> String {
        guard !path.hasPrefix("/"), let configuration, let slash = configuration.lastIndex(of: "/") else { return path }
        return configuration[...slash] + path
    }
}
