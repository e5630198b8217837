// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// A request that Parley passes on without reading more of it than the model's name: moderations, images, audio,
/// rerank, files, batches.
public struct PassedRequest: Sendable, Hashable {
    /// The parts of the API whose requests are passed on.
    public enum Kind: String, Sendable, CaseIterable {
        case moderations, images, audio, rerank, files, batches
    }

    /// The part of the API it belongs to.
    public var kind: Kind
    /// The method, e.g. `POST`.
    public var method: String
    /// The path below the provider's base URL, with its slash, e.g. `/images/edits`.
    public var path: String
    /// The query with its question mark, or empty.
    public var query: String
    /// The body's content type, with its parameters (the boundary of a form); nil without a body.
    public var contentType: String?

    /// A request to pass on.
    public init(_ kind: Kind, method: String, path: String, query: String = "", contentType: String? = nil) {
        self.kind = kind
        self.method = method
        self.path = path
        self.query = query
        self.contentType = contentType
    }
}

/// The answer to a request that was passed on: bytes of any type, with the upstream's status.
public protocol PassedAnswer: AnswerBody {
    /// The upstream's status, one of success.
    var status: Int { get }
    /// How long the body is, where the upstream said so.
    var length: Int? { get }
}
