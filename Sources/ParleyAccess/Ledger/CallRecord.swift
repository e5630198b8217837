// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore

/// The account of one call: who asked what, who answered, what it took and what it cost. It never holds a prompt, a key
/// or a header's value.
public struct CallRecord: Sendable, Equatable {
    /// The request's id, as in `x-request-id`. A client may choose it, so that several calls may have the same.
    public var id: String
    /// When it came, in milliseconds since 1970.
    public var time: Int64
    /// The name of the key, never the key.
    public var key: String?
    /// The model as the client asked for it.
    public var model: String?
    /// What was asked for: `chat`, `count_tokens`, `embed` or `pass`.
    public var operation: String
    /// The client's dialect.
    public var dialect: String
    /// Whether the answer was a stream.
    public var stream = false
    /// The status answered; 0 where the client left before one was sent.
    public var status = 0
    /// How it ended: `ok`, `failed` or `cancelled`.
    public var outcome = "ok"
    /// The class of failure.
    public var error: String?
    /// The finish reason as the upstream worded it.
    public var finish: String?
    /// The upstream that answered, or that was asked last.
    public var upstream: String?
    /// The tokens as the client was told them; an estimate where the answer broke off.
    public var usage = Usage()
    /// What everything took that was done for this call: the answer, legs that lost, inner calls. In nanodollars, without
    /// what has no known price; nil where nothing has one.
    public var cost: Int?
    /// What the answer was made without.
    public var degraded: [String] = []
    /// Request fields that were left out in translation.
    public var dropped: [String] = []
    /// The attempts at upstreams, in order, without those of inner calls.
    public var attempts: [AttemptRecord] = []
    /// The calls that a model made on behalf of this one, in order.
    public var innerCalls: [InnerCallRecord] = []
    /// Microseconds from the request to the first event of the answer.
    public var firstEvent: Int64?
    /// Microseconds from the request to the end.
    public var total: Int64 = 0

    /// A record of what every call has.
    public init(id: String, time: Int64, operation: String, dialect: String) {
        self.id = id
        self.time = time
        self.operation = operation
        self.dialect = dialect
    }

    /// How many attempts were made, inner calls included.
    public var attemptCount: Int { innerCalls.reduce(attempts.count) { $0 + $1.attemptCount } }
}

/// The account of one try at one upstream.
public struct AttemptRecord: Sendable, Equatable {
    /// The upstream as `provider/model`.
    public var upstream: String
    /// Microseconds from the request to its beginning.
    public var began: Int64 = 0
    /// Microseconds from its beginning to its commit point, its failure, or the moment it was given up.
    public var elapsed: Int64?
    /// Why it failed; `cancelled` for a leg that lost or a client that left; nil for the one that answered.
    public var failure: String?
    /// The decision that led to it, e.g. `next`, `hedge`, or `retry`; nil where there was no choice.
    public var why: String?
    /// The route that decided.
    public var route: String?
    /// What it used: the answer's tokens, or an estimate for a leg that lost.
    public var usage = Usage()
    /// What that cost in nanodollars; nil where nobody knows.
    public var cost: Int?

    /// A try.
    public init(upstream: String) {
        self.upstream = upstream
    }
}

/// The account of a call that a model made on behalf of another.
public struct InnerCallRecord: Sendable, Equatable {
    /// What for, e.g. `step 2` or `judge`.
    public var purpose: String
    /// The name of the model that was asked.
    public var model: String
    /// Microseconds from the request to its beginning.
    public var began: Int64 = 0
    /// How long it took, in microseconds; nil where it did not end.
    public var elapsed: Int64?
    /// Why it failed; nil where it did not.
    public var failure: String?
    /// What it used.
    public var usage = Usage()
    /// What it cost in nanodollars, all that it did included; nil where nobody knows.
    public var cost: Int?
    /// Its attempts.
    public var attempts: [AttemptRecord] = []
    /// Its own inner calls.
    public var innerCalls: [InnerCallRecord] = []

    /// A call for `purpose`.
    public init(purpose: String, model: String) {
        self.purpose = purpose
        self.model = model
    }

    /// How many attempts it made, inner calls included.
    public var attemptCount: Int { innerCalls.reduce(attempts.count) { $0 + $1.attemptCount } }
}
