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
    /// - Parameter configuration: the configuration file's path, from whose folder a relative path is meant.
    convenience init(_ setting: StoreSettings?, configuration: String?) {
        self.init { () throws(ParleyError) in
            switch setting {
            case .postgres:
                throw ParleyError(
                    .notImplemented, "store: PostgreSQL is not built yet; use sqlite:PATH, or leave the setting out.",
                    code: "not_implemented")
            case .sqlite(let path): return try SQLiteStore(path: Self.absolute(path, from: configuration))
            case nil:
                do {
                    let directory = try StateDirectory.standard()
                    try directory.prepare()
                    return try SQLiteStore(path: directory.file(Self.standardName))
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
