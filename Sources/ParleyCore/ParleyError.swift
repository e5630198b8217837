// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// What went wrong with one call, in the one taxonomy that every dialect renders and that drives retry and metrics.
///
/// `message` is shown to clients: it names fields, models and statuses, and never holds prompt text, header values or
/// keys. Each dialect turns this into its own envelope in one function.
public struct ParleyError: Error, Sendable, Equatable {
    /// The classes of failure; closed, so that routing and rendering can be exhaustive.
    public enum Kind: String, Sendable, CaseIterable {
        /// The request is malformed or asks for something that cannot be kept.
        case invalid
        /// No key, or one that is not known.
        case unauthenticated
        /// A known key that may not do this.
        case forbidden
        /// No such model, path or object.
        case notFound
        /// The method is not one this path has.
        case methodNotAllowed
        /// The body or the head is over its limit.
        case tooLarge
        /// Too many requests or tokens; trying later helps.
        case rateLimited
        /// A budget or a balance is used up; trying later does not help.
        case quota
        /// A content filter refused.
        case contentFiltered
        /// The conversation is longer than the model's context.
        case contextExceeded
        /// The upstream refused the request for a reason of its own (4xx).
        case upstreamRejected
        /// The upstream could not be reached, failed, or sent something unreadable.
        case upstreamUnavailable
        /// A time limit ran out.
        case timeout
        /// The client left.
        case cancelled
        /// Known, but not built yet.
        case notImplemented
        /// A fault of Parley's own.
        case internalError
    }

    /// Kept apart, so that an error is one word wide: typed throws reserve room for it in every frame of an async call.
    private struct Fields: Sendable, Equatable {
        var kind: Kind
        var message: String
        var code: String?
        var parameter: String?
        var status: Int?
        var type: String?
        var retryAfter: Double?
        var relayed: RelayedFailure?
        var offset: Int?
        var hasSpareCredential = false
    }

    private final class Box: Sendable {
        let fields: Fields

        init(_ fields: Fields) {
            self.fields = fields
        }
    }

    private var box: Box

    /// Describes a failure; everything but the kind and the message has a default that follows from the kind.
    @inline(never)
    public init(
        _ kind: Kind, _ message: String, code: String? = nil, parameter: String? = nil, status: Int? = nil,
        type: String? = nil, retryAfter: Double? = nil
    ) {
        box = Box(
            Fields(
                kind: kind, message: message, code: code, parameter: parameter, status: status, type: type,
                retryAfter: retryAfter))
    }

    private mutating func change(_ body: (inout Fields) -> Void) {
        var fields = box.fields
        body(&fields)
        box = Box(fields)
    }

    /// Equal in every field.
    public static func == (a: ParleyError, b: ParleyError) -> Bool {
        a.box === b.box || a.box.fields == b.box.fields
    }

    /// The class of failure.
    public var kind: Kind {
        get { box.fields.kind }
        set { change { $0.kind = newValue } }
    }

    /// One or two sentences: what was wrong, where, and what to do.
    public var message: String {
        get { box.fields.message }
        set { change { $0.message = newValue } }
    }

    /// The machine-readable code of the client's dialect, e.g. `model_not_found`; nil takes the kind's own.
    public var code: String? {
        get { box.fields.code }
        set { change { $0.code = newValue } }
    }

    /// The request field at fault, e.g. `messages[0].role`.
    public var parameter: String? {
        get { box.fields.parameter }
        set { change { $0.parameter = newValue } }
    }

    /// The HTTP status to answer with; nil takes the kind's own.
    public var status: Int? {
        get { box.fields.status }
        set { change { $0.status = newValue } }
    }

    /// The error type as the upstream worded it, where it was already in the client's dialect.
    public var type: String? {
        get { box.fields.type }
        set { change { $0.type = newValue } }
    }

    /// Seconds after which another try makes sense, from `retry-after`.
    public var retryAfter: Double? {
        get { box.fields.retryAfter }
        set { change { $0.retryAfter = newValue } }
    }

    /// Where in the upstream's stream the trouble is: bytes before the read that could not be read, or that brought the
    /// upstream's error.
    public var offset: Int? {
        get { box.fields.offset }
        set { change { $0.offset = newValue } }
    }

    /// Whether the provider has another of its keys at hand than the one that is to blame, so that the same upstream can be
    /// asked again at once.
    public var hasSpareCredential: Bool {
        get { box.fields.hasSpareCredential }
        set { change { $0.hasSpareCredential = newValue } }
    }

    /// The upstream's own error body in the client's dialect, to be passed on byte for byte.
    public var relayed: RelayedFailure? {
        get { box.fields.relayed }
        set { change { $0.relayed = newValue } }
    }

    /// The HTTP status this failure is answered with.
    public var httpStatus: Int { status ?? kind.httpStatus }

    /// Whether an attempt that failed so may be repeated, and under which name of `retry.on`.
    public var retryClass: RetryClass? {
        switch kind {
        case .rateLimited: .rateLimited
        case .upstreamUnavailable: .unavailable
        case .timeout: .timeout
        default: nil
        }
    }
}

/// The classes of failure that a retry policy can name (`retry.on`).
public enum RetryClass: String, Sendable, CaseIterable {
    case rateLimited = "rate-limited"
    case unavailable
    case timeout
}

/// An upstream's error answer that is passed on as it came.
public struct RelayedFailure: Sendable, Equatable {
    /// The body, already in the client's dialect.
    public var body: [UInt8]
    /// The body's content type.
    public var contentType: String

    /// Keeps an upstream's error body.
    public init(body: [UInt8], contentType: String) {
        self.body = body
        self.contentType = contentType
    }
}

extension ParleyError.Kind {
    /// The HTTP status of the kind.
    public var httpStatus: Int {
        switch self {
        case .invalid, .contextExceeded, .contentFiltered, .upstreamRejected: 400
        case .unauthenticated: 401
        case .forbidden: 403
        case .notFound: 404
        case .methodNotAllowed: 405
        case .tooLarge: 413
        case .rateLimited, .quota: 429
        case .cancelled: 499
        case .internalError: 500
        case .notImplemented: 501
        case .upstreamUnavailable: 502
        case .timeout: 504
        }
    }
}
