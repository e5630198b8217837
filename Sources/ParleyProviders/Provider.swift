// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
public import ParleyDialects

/// A service that hosts models: where it lives, how to sign in, which dialect it speaks, what it gets wrong.
///
/// Whatever only some providers can do is a protocol of its own, adopted where it is true.
public protocol Provider: Sendable {
    /// The provider's name in the configuration.
    var id: String { get }

    /// The dialect it speaks.
    var dialect: any Dialect { get }

    /// The same dialect, where requests in it can be spliced and answers in it relayed; else nil.
    var relaying: (any RelayingDialect)? { get }

    /// The keys it is called with.
    var credentials: Credentials { get }

    /// Where a request for `model` goes.
    func target(_ operation: Call.Operation, model: String) -> Target

    /// The head of a signed-in request: request line and headers, without `content-length` and the empty line.
    func authorize(_ target: Target, with credential: Credential) async throws(ParleyError) -> ByteBuffer

    /// Changes to a call that this provider's configuration asks for, before it is written.
    func adjust(_ call: inout Call)

    /// Learns from a refused request.
    ///
    /// - Returns: true when the same call, written anew, is worth one more try at once.
    func learn(from failure: ParleyError, body: ByteBuffer) -> Bool
}

extension Provider {
    /// Nothing is relayed.
    public var relaying: (any RelayingDialect)? { nil }

    /// Nothing is changed.
    public func adjust(_ call: inout Call) {}

    /// Nothing is learnt.
    public func learn(from failure: ParleyError, body: ByteBuffer) -> Bool { false }
}

/// A provider that can say which models it has.
public protocol ListsModels: Provider {
    /// Asks for the list.
    func models(_ connector: any Connector) async throws(ParleyError) -> [ListedModel]
}

/// Where one request goes.
public struct Target: Sendable {
    /// The server.
    public var endpoint: Endpoint
    /// The method.
    public var method: String
    /// The request target: path and query.
    public var path: String
    /// The provider's own time limits.
    public var timeouts: TimeoutOverrides

    /// A place to send requests to.
    public init(endpoint: Endpoint, method: String, path: String, timeouts: TimeoutOverrides) {
        self.endpoint = endpoint
        self.method = method
        self.path = path
        self.timeouts = timeouts
    }
}

/// A dialect whose requests can be changed in place and whose answers can be passed on as they are, for clients that
/// speak it too.
public protocol RelayingDialect: Dialect {
    /// Whether answers may be passed on as they are.
    var relaysAnswers: Bool { get }

    /// Whether a stream's request asks for usage, so that it must be stripped for clients that did not.
    var asksForUsage: Bool { get }

    /// The client's request for `model`, changed in place.
    ///
    /// - Parameters:
    ///   - reading: what was found in it before, if it is of any use.
    ///   - overrides: fields that configuration sets, weakest first.
    /// - Returns: nil where this request cannot be changed in place and must be written anew.
    func splice(
        _ body: ByteBuffer, reading: (any RequestReading)?, model: String, stream: Bool, overrides: [FieldOverride],
        dropped: inout [String]
    ) throws(ParleyError) -> ByteBuffer?

    /// A tap for one stream.
    func makeStreamRelay(stripUsage: Bool) -> any StreamRelay

    /// Looks a whole answer over.
    ///
    /// - Throws: the upstream's error where the answer is one; `upstreamUnavailable` where it is unreadable.
    func inspectWhole(_ body: ByteBuffer) throws(ParleyError) -> Observation
}

/// Passes one stream on and watches it.
public protocol StreamRelay {
    /// What was seen so far.
    var observed: Observation { get }
    /// Whether an event passed that cannot be taken back: `observed` says it too, but is long.
    var isMeaningful: Bool { get }
    /// Whether the answer's proper end was seen; likewise.
    var isComplete: Bool { get }

    /// Passes on what arrived, in whole frames.
    mutating func push(_ bytes: ByteBuffer, into out: inout ByteBuffer) throws(ParleyError)

    /// The upstream closed its body properly.
    mutating func finish(into out: inout ByteBuffer) throws(ParleyError)
}
