// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// Where providers keep what they were given when somebody signed in: tokens that must survive a restart.
public protocol CredentialStore: AnyObject, Sendable {
    /// What was kept for the provider of this name; nil where nothing was.
    ///
    /// - Throws: `internalError` where the store cannot be read.
    func load(_ provider: String) async throws(ParleyError) -> JSONObject?

    /// Keeps `credentials` in place of what was kept before; when it returns, they survive the process.
    ///
    /// - Throws: `internalError` where the store cannot be written.
    func save(_ credentials: JSONObject, for provider: String) async throws(ParleyError)

    /// Forgets what was kept for the provider.
    ///
    /// - Throws: `internalError` where the store cannot be written.
    func forget(_ provider: String) async throws(ParleyError)
}

/// A store as a part of settings that are compared: two are equal when they are the same object.
public struct CredentialStoreReference: Sendable, Equatable {
    /// The store.
    public let store: any CredentialStore

    /// A reference to `store`.
    public init(_ store: any CredentialStore) { self.store = store }

    /// Whether both are the same object.
    public static func == (left: Self, right: Self) -> Bool { left.store === right.store }
}
