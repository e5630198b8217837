// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// What the access log says about one request. It never holds a key, a header's value or a prompt.
public struct AccessRecord: Sendable, Equatable {
    /// How a request ended.
    public enum Outcome: String, Sendable {
        /// Answered in full.
        case ok
        /// Answered with an error, or broken off by one.
        case failed
        /// The client left.
        case cancelled
    }

    /// One attempt.
    public struct Attempt: Sendable, Equatable {
        /// The upstream as `provider/model`.
        public var upstream: String
        /// What led to it.
        public var why: String?
        /// Why it failed; nil for the one that answered.
        public var failure: String?
        /// How long it took, in microseconds.
        public var elapsed: Int64?

        /// An attempt.
        public init(upstream: String, why: String? = nil, failure: String? = nil, elapsed: Int64? = nil) {
            self.upstream = upstream
            self.why = why
            self.failure = failure
            self.elapsed = elapsed
        }
    }

    /// When the request began, in milliseconds since 1970 (`LogTimestamp.now()`).
    public var time: Int64
    /// The request's id, as in `x-request-id`.
    public var id: String
    /// The method.
    public var method: String
    /// The path; a query is not written, since some dialects carry a key in it.
    public var path: String
    /// The status answered; 0 when the client left before one was sent.
    public var status: Int
    /// How it ended.
    public var outcome: Outcome
    /// The name of the key, never the key.
    public var key: String?
    /// The model as the client asked for it.
    public var model: String?
    /// The upstream that answered or failed last, as `provider/model`.
    public var upstream: String?
    /// Whether the answer was a stream.
    public var stream = false
    /// How many attempts were made.
    public var attempts = 0
    /// Prompt tokens, cached ones included.
    public var inputTokens: Int?
    /// Completion tokens, reasoning included.
    public var outputTokens: Int?
    /// Prompt tokens that came from a cache.
    public var cachedTokens: Int?
    /// Completion tokens spent on reasoning.
    public var reasoningTokens: Int?
    /// Microseconds from the request to the first event of the answer.
    public var firstEvent: Int64?
    /// Microseconds from the request to the end.
    public var total: Int64 = 0
    /// Bytes of the request's body.
    public var bytesIn = 0
    /// Bytes of the answer's body.
    public var bytesOut = 0
    /// The finish reason as the upstream worded it.
    public var finish: String?
    /// The class of failure, a `ParleyError.Kind`.
    public var error: String?
    /// What the call cost, in nanodollars; nil where nobody knows.
    public var cost: Int?
    /// What the answer was made without.
    public var degraded: [String] = []
    /// The attempts, where there is more to say of them than which upstream answered.
    public var attemptDetails: [Attempt] = []
    /// Where in the upstream's stream the failure came, in bytes; where the stream itself was at fault.
    public var errorOffset: Int?

    /// A record of what every request has; the rest is set where it is known.
    public init(time: Int64, id: String, method: String, path: String, status: Int, outcome: Outcome) {
        self.time = time
        self.id = id
        self.method = method
        self.path = path
        self.status = status
        self.outcome = outcome
    }
}
