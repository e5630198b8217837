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

    /// The keys it is called with.
    var credentials: Credentials { get }

    /// How and where `call` reaches `model`: a provider with several APIs picks the one that fits the call best.
    ///
    /// - Throws: `invalid` where this provider has no such operation.
    func face(for call: Call, model: String) throws(ParleyError) -> Face

    /// The head of a signed-in request: request line and headers, without `content-length` and the empty line.
    ///
    /// - Parameters:
    ///   - target: where the request goes.
    ///   - body: the request's body, for those who sign it.
    ///   - connector: the way to a place that gives out tokens.
    func authorize(
        _ target: Target, body: ByteBuffer?, with credential: Credential, through connector: any Connector
    ) async throws(ParleyError) -> ByteBuffer

    /// Fields of requests that the provider's configuration sets, weakest first.
    var overrides: [FieldOverride] { get }

    /// Changes to a call that this provider's configuration asks for, before it is written.
    func adjust(_ call: inout Call)

    /// Changes to a request that is written anew, before it is written: what this service rejects or renames.
    func adjust(_ request: inout ChatRequest, for face: Face)

    /// Learns from a refused request.
    ///
    /// - Returns: true when the same call, written anew, is worth one more try at once.
    func learn(from failure: ParleyError, body: ByteBuffer) -> Bool

    /// The service has refused the credential in this head, which `authorize` made.
    ///
    /// - Returns: true where the next `authorize` may do better, so that the call is worth one more try at once.
    func renews(_ head: ByteBuffer) -> Bool
}

extension Provider {
    /// The provider's fields are set; those of the layers above are nearer to what was asked for, and win.
    public func adjust(_ call: inout Call) {
        if !overrides.isEmpty { call.overrides = overrides + call.overrides }
    }

    /// Nothing is changed.
    public func adjust(_ request: inout ChatRequest, for face: Face) {}

    /// Nothing is learnt.
    public func learn(from failure: ParleyError, body: ByteBuffer) -> Bool { false }

    /// There is no other credential to be had.
    public func renews(_ head: ByteBuffer) -> Bool { false }
}

/// A provider that can say which models it has.
public protocol ListsModels: Provider {
    /// Asks for the list.
    func models(_ connector: any Connector) async throws(ParleyError) -> [ListedModel]
}

/// A provider to which requests can be passed on as they came: moderations, images, audio, rerank, files, batches.
public protocol PassesRequests: Provider {
    /// Whether the service is known to have this. It is asked all the same when a request names one of its models.
    func passes(_ request: PassedRequest) -> Bool

    /// Where the request goes; `model` is the one it names, if any.
    func target(for request: PassedRequest, model: String?) -> Target
}

/// One way to call a service: what is spoken there, and where requests go. An object, since most providers make theirs once
/// and hand them out for every request.
public final class Face: Sendable {
    /// The dialect it speaks.
    public let dialect: any Dialect
    /// The same dialect, where requests in it can be spliced and answers in it relayed; else nil.
    public let relaying: (any RelayingDialect)?
    /// Where a request goes.
    public let target: Target
    /// What opens answers where one HTTP request is not enough; then `authorize` is not asked.
    public let opener: (any AnswerOpener)?
    /// Whether the service says no tokens: they are then estimated, and the answer is marked `x-parley-estimated`.
    public let estimatesUsage: Bool
    /// What `authorize` would give for each key of the provider, where that is the same for every request; else empty.
    private let heads: [ByteBuffer]
    /// The way of answers that are passed on, made once for all requests.
    private let relayed: UpstreamRoute?

    /// A face whose requests are always written anew.
    public init(
        _ dialect: any Dialect, at target: Target, opener: (any AnswerOpener)? = nil, estimatesUsage: Bool = false
    ) {
        self.dialect = dialect
        relaying = nil
        relayed = nil
        self.target = target
        self.opener = opener
        self.estimatesUsage = estimatesUsage
        heads = []
    }

    /// A face whose requests are changed in place, and answers passed on, for clients that speak the same.
    ///
    /// - Parameter heads: what `authorize` would give for each key, where that is the same for every request.
    public init(
        relaying dialect: any RelayingDialect, at target: Target, opener: (any AnswerOpener)? = nil,
        estimatesUsage: Bool = false, heads: [ByteBuffer] = []
    ) {
        self.dialect = dialect
        relaying = dialect
        relayed = UpstreamRoute(same: dialect, relays: true, stripsUsage: false)
        self.target = target
        self.opener = opener
        self.estimatesUsage = estimatesUsage
        self.heads = heads
    }

    /// The way of an answer to a client that speaks the same.
    func route(relays: Bool, stripsUsage: Bool, by dialect: any RelayingDialect) -> UpstreamRoute {
        if relays, !stripsUsage, let relayed { return relayed }
        return UpstreamRoute(same: dialect, relays: relays, stripsUsage: stripsUsage)
    }

    /// The head of a request with this key; nil where `authorize` must be asked.
    func head(for credential: Credential) -> ByteBuffer? {
        heads.indices.contains(credential.index) ? heads[credential.index] : heads.first
    }
}

/// Where one request goes. An object, since one is made once and handed out for every request.
public final class Target: Sendable {
    /// The server.
    public let endpoint: Endpoint
    /// The method.
    public let method: String
    /// The request target: path and query.
    public let path: String
    /// The provider's own time limits.
    public let timeouts: TimeoutOverrides
    /// Headers of these requests alone, beside what signs them in.
    public let headers: [HeaderField]
    /// The client's request, where it is passed on as it came: it says what type the body has.
    public let passed: PassedRequest?

    /// A place to send requests to.
    public init(
        endpoint: Endpoint, method: String, path: String, timeouts: TimeoutOverrides, headers: [HeaderField] = [],
        passed: PassedRequest? = nil
    ) {
        self.endpoint = endpoint
        self.method = method
        self.path = path
        self.timeouts = timeouts
        self.headers = headers
        self.passed = passed
    }

    /// The same with `query`, which is encoded, at the end of the path's own.
    public func adding(query: String) -> Target { with(path: path + (path.contains("?") ? "&" : "?") + query) }

    /// The same server and limits, for requests to another path.
    public func with(path: String) -> Target {
        Target(
            endpoint: endpoint, method: method, path: path, timeouts: timeouts, headers: headers, passed: passed)
    }

    /// The same with one header more.
    public func adding(_ header: HeaderField) -> Target {
        Target(
            endpoint: endpoint, method: method, path: path, timeouts: timeouts, headers: headers + [header],
            passed: passed)
    }
}
