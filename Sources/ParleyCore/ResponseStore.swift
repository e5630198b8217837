// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore

/// An answer of the Responses API that was kept, so that a later request can go on from it.
public struct ResponseRecord: Sendable, Equatable {
    /// The response's id.
    public var id: String
    /// The name of the key that asked for it; nobody else ever sees it.
    public var key: String
    /// The name by which the model was asked for.
    public var model: String
    /// The provider that answered, to whom its encrypted reasoning belongs; nil where nobody knows.
    public var provider: String?
    /// Whether the provider itself keeps the response under this id, so that it may be asked to go on from it.
    public var isNative = false
    /// The request's own items, a JSON array; those of earlier turns are in their own records.
    public var input: ByteBuffer
    /// The response, a JSON object.
    public var response: ByteBuffer
    /// Seconds since 1970.
    public var created: Int
    /// The response this one went on from.
    public var previous: String?
    /// The conversation it belongs to.
    public var conversation: String?
    /// `completed`, `incomplete` or `failed`.
    public var status: String

    /// A record of an answer.
    public init(
        id: String, key: String, model: String, input: ByteBuffer, response: ByteBuffer, created: Int, status: String
    ) {
        self.id = id
        self.key = key
        self.model = model
        self.input = input
        self.response = response
        self.created = created
        self.status = status
    }

    /// About how much memory the record takes.
    public var size: Int {
        input.readableBytes.clampedSum(response.readableBytes).clampedSum(
            512 + id.utf8.count + key.utf8.count + model.utf8.count)
    }
}

/// Keeps answers of the Responses API.
///
/// Every look-up says whose record is wanted: another key's record is as good as none.
public protocol ResponseStore: Sendable {
    /// Keeps a record; one of the same id and key is replaced.
    func save(_ record: ResponseRecord) async throws(ParleyError)

    /// The record of that id; nil where there is none.
    func record(_ id: String, key: String) async throws(ParleyError) -> ResponseRecord?

    /// Whether any key has a record of that id.
    func isKept(_ id: String) async throws(ParleyError) -> Bool

    /// Forgets a record.
    ///
    /// - Returns: whether there was one.
    func remove(_ id: String, key: String) async throws(ParleyError) -> Bool

    /// The records of a conversation, oldest first.
    func conversation(_ id: String, key: String) async throws(ParleyError) -> [ResponseRecord]
}
