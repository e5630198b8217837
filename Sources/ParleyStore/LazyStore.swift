// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore
import Synchronization

/// The store of a configuration, opened when it is first needed: most configurations keep nothing, and a start should not
/// wait for a database.
///
/// Opening is done once for all who wait. One that failed is tried again by whoever comes next, so that a disk that was
/// full, or a folder that was missing, needs no restart.
public final class LazyStore: CredentialStore {
    private enum State {
        case closed
        case opening(Task<Result<SQLiteStore, ParleyError>, Never>)
        case open(SQLiteStore)
    }

    private let make: @Sendable () throws(ParleyError) -> SQLiteStore
    private let state = Mutex(State.closed)

    /// A store that `make` opens; it may block.
    public init(_ make: @escaping @Sendable () throws(ParleyError) -> SQLiteStore) {
        self.make = make
    }

    /// Opens the store unless it is open.
    ///
    /// - Throws: why it cannot be opened.
    public func open() async throws(ParleyError) {
        _ = try await opened()
    }

    /// What was kept for the provider.
    public func load(_ provider: String) async throws(ParleyError) -> JSONObject? {
        try await opened().load(provider)
    }

    /// Keeps the credentials of the provider.
    public func save(_ credentials: JSONObject, for provider: String) async throws(ParleyError) {
        try await opened().save(credentials, for: provider)
    }

    /// Forgets the credentials of the provider.
    public func forget(_ provider: String) async throws(ParleyError) {
        try await opened().forget(provider)
    }

    /// The store, opened unless it is open.
    ///
    /// - Throws: why it cannot be opened.
    public func opened() async throws(ParleyError) -> SQLiteStore {
        let task: Task<Result<SQLiteStore, ParleyError>, Never>
        switch state.withLock({ begin(&$0) }) {
        case .open(let store): return store
        case .opening(let running): task = running
        case .closed: throw ParleyError(.internalError, "The store is being opened by nobody.")
        }
        return try await task.value.get()
    }

    private func begin(_ state: inout State) -> State {
        guard case .closed = state else { return state }
        // Not on the event loop of the call that happened to come first: opening blocks.
        state = .opening(
            Task {
                let result: Result<SQLiteStore, ParleyError>
                do throws(ParleyError) {
                    result = .success(try make())
                } catch {
                    result = .failure(error)
                }
                self.state.withLock { state in
                    if case .success(let store) = result { state = .open(store) } else { state = .closed }
                }
                return result
            })
        return state
    }
}
