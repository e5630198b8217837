// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore
import Synchronization

/// Everything that is kept in one place.
public protocol Store: CredentialStore, ResponseStore, ConversationStore {}

extension SQLiteStore: Store {}

/// The store of a configuration, opened when it is first needed: most configurations keep nothing, and a start should not
/// wait for a database.
///
/// Opening is done once for all who wait. One that failed is tried again by whoever comes next, so that a disk that was
/// full, or a folder that was missing, needs no restart.
public final class LazyStore: Store {
    private enum State {
        case closed
        case opening(Task<Result<SQLiteStore, ParleyError>, Never>)
        case open(SQLiteStore)
    }

    private let make: @Sendable () throws(ParleyError) -> SQLiteStore
    private let state = Mutex(State.closed)
    private let onStandIn: (@Sendable (ParleyError) -> Void)?
    private let standIn = Mutex<(any Store)?>(nil)

    /// A store that `make` opens; it may block.
    ///
    /// - Parameter onStandIn: told once why conversations are kept in memory only, where `make` fails; nil: they fail,
    ///   too.
    public init(
        onStandIn: (@Sendable (ParleyError) -> Void)? = nil,
        _ make: @escaping @Sendable () throws(ParleyError) -> SQLiteStore
    ) {
        self.make = make
        self.onStandIn = onStandIn
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

    // MARK: Conversations and responses

    /// The conversation of that id.
    public func conversation(
        _ id: String, key: String, usedSince time: Int
    ) async throws(ParleyError) -> ConversationRecord? {
        try await talks().conversation(id, key: key, usedSince: time)
    }

    /// Adds a turn to a conversation.
    public func append(
        _ turn: ConversationRecord.Turn, to id: String, key: String, system: [Message], limit: Int, usedSince time: Int
    ) async throws(ParleyError) {
        try await talks().append(turn, to: id, key: key, system: system, limit: limit, usedSince: time)
    }

    /// Forgets a conversation.
    public func removeConversation(_ id: String, key: String) async throws(ParleyError) -> Bool {
        try await talks().removeConversation(id, key: key)
    }

    /// Keeps a record of the Responses API.
    public func save(_ record: ResponseRecord) async throws(ParleyError) {
        try await talks().save(record)
    }

    /// The record of that id.
    public func record(_ id: String, key: String) async throws(ParleyError) -> ResponseRecord? {
        try await talks().record(id, key: key)
    }

    /// Whether any key has a record of that id.
    public func isKept(_ id: String) async throws(ParleyError) -> Bool {
        try await talks().isKept(id)
    }

    /// Forgets a record.
    public func remove(_ id: String, key: String) async throws(ParleyError) -> Bool {
        try await talks().remove(id, key: key)
    }

    /// The records of a conversation of the Responses API.
    public func conversation(_ id: String, key: String) async throws(ParleyError) -> [ResponseRecord] {
        try await talks().conversation(id, key: key)
    }

    /// Where conversations are: in memory where nobody asked for a store and none can be had, since most of what is said
    /// is of use for minutes.
    private func talks() async throws(ParleyError) -> any Store {
        if let standIn = standIn.withLock({ $0 }) { return standIn }
        do throws(ParleyError) {
            return try await opened()
        } catch {
            guard let onStandIn else { throw error }
            let made = try SQLiteStore()
            let (isFirst, store) = standIn.withLock { standIn -> (Bool, any Store) in
                if let standIn { return (false, standIn) }
                standIn = made
                return (true, made)
            }
            if isFirst { onStandIn(error) }
            return store
        }
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
