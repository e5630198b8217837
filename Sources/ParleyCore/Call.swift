// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore

/// One client request on its way through: immutable in spirit, so that layers pass on changed copies.
public struct Call: Sendable {
    /// What the client wants done.
    public enum Operation: Sendable, Hashable {
        /// An answer to a conversation, whatever the dialect calls it.
        case chat
        /// The length of a request in tokens; `request` or `body` is the request to be counted.
        case countTokens
        /// Vectors for texts; `embedding` is the request.
        case embed
        /// A request that is passed on as it came, to `path` below the provider's base URL. Indirect, since few calls
        /// have one.
        indirect case pass(PassedRequest)
    }

    /// What the caller of `answer` can use.
    public enum Form: Sendable {
        /// Bytes in the client's own dialect where that is cheaper, events otherwise.
        case client
        /// Events or a whole response only: the caller looks inside.
        case neutral
    }

    /// What a call says. Shared by its copies until one of them changes: a call is passed from layer to layer, and the
    /// frames of functions that wait hold one each, for as long as a stream lasts.
    ///
    /// `@unchecked Sendable`: `fields` changes only while a single call refers to the storage (`own`).
    private final class Storage: @unchecked Sendable {
        var fields: Fields

        init(_ fields: Fields) { self.fields = fields }
    }

    /// What few calls have, and what is large: copied and let go of as one reference.
    private final class Box<Value: Sendable>: Sendable {
        let value: Value

        init(_ value: Value) { self.value = value }
    }

    private struct Fields: Sendable {
        var id: String
        var dialect: DialectID
        var operation: Operation
        var form = Form.client
        var model: String
        var caller = ""
        var stream: Bool
        var includeUsage: Bool
        var isStrict = false
        var asArray = false
        var body: ByteBuffer
        var upload: (any RequestUpload)?
        var reading: (any RequestReading)?
        var request: Box<ChatRequest>?
        var original: ByteBuffer?
        var embedding: Box<EmbeddingRequest>?
        var overrides: [FieldOverride] = []
        var headers: [HeaderField] = []
        var timeouts = TimeoutOverrides()
        var deadline: NIODeadline
        let connector: any Connector
        var trace: CallTrace
        var forms: (any NeutralForms)?
        var affinity: Affinity?
        var caching = CachePolicy.normal
    }

    private var storage: Storage

    /// The fields of this call alone.
    private var own: Storage {
        mutating get {
            if !isKnownUniquelyReferenced(&storage) { storage = Storage(storage.fields) }
            return storage
        }
    }

    /// A call as it came in. What can be set later, too, is set at once here where it is known: each change has its price.
    public init(
        id: String, dialect: DialectID, operation: Operation, model: String, caller: String = "", stream: Bool,
        includeUsage: Bool, isStrict: Bool = false, body: ByteBuffer, reading: (any RequestReading)? = nil,
        overrides: [FieldOverride] = [], headers: [HeaderField] = [], deadline: NIODeadline,
        connector: any Connector, trace: CallTrace, forms: (any NeutralForms)? = nil, caching: CachePolicy = .normal
    ) {
        storage = Storage(
            Fields(
                id: id, dialect: dialect, operation: operation, model: model, caller: caller, stream: stream,
                includeUsage: includeUsage, isStrict: isStrict, body: body, reading: reading, overrides: overrides,
                headers: headers, deadline: deadline, connector: connector, trace: trace, forms: forms,
                caching: caching))
    }
}

extension Call {
    /// The request's id, as in `x-request-id`.
    public var id: String {
        get { storage.fields.id }
        set { own.fields.id = newValue }
    }

    /// The dialect the client speaks.
    public var dialect: DialectID {
        get { storage.fields.dialect }
        set { own.fields.dialect = newValue }
    }

    /// What the client wants done.
    public var operation: Operation {
        get { storage.fields.operation }
        set { own.fields.operation = newValue }
    }

    /// What the caller can use.
    public var form: Form {
        get { storage.fields.form }
        set { own.fields.form = newValue }
    }

    /// The name by which the model was asked for.
    public var model: String {
        get { storage.fields.model }
        set { own.fields.model = newValue }
    }

    /// Who calls: the name of the client's key. What one caller said is never shown to another.
    public var caller: String {
        get { storage.fields.caller }
        set { own.fields.caller = newValue }
    }

    /// Whether the client asked for a stream.
    public var stream: Bool {
        get { storage.fields.stream }
        set { own.fields.stream = newValue }
    }

    /// Whether the client asked for the usage chunk of a stream.
    public var includeUsage: Bool {
        get { storage.fields.includeUsage }
        set { own.fields.includeUsage = newValue }
    }

    /// Whether a field that cannot be kept is refused even where it does not matter.
    public var isStrict: Bool {
        get { storage.fields.isStrict }
        set { own.fields.isStrict = newValue }
    }

    /// Whether a stream is wanted as one JSON array instead of server-sent events (Gemini without `alt=sse`).
    public var asArray: Bool {
        get { storage.fields.asArray }
        set { own.fields.asArray = newValue }
    }

    /// The request as the client sent it, in the client's dialect.
    public var body: ByteBuffer {
        get { storage.fields.body }
        set { own.fields.body = newValue }
    }

    /// The request's body where it is sent on while it arrives, in place of `body`.
    public var upload: (any RequestUpload)? {
        get { storage.fields.upload }
        set { own.fields.upload = newValue }
    }

    /// What was found in `body` already, for those who need it again.
    public var reading: (any RequestReading)? {
        get { storage.fields.reading }
        set { own.fields.reading = newValue }
    }

    /// The request in the neutral form, where a composition changed it; then `body` is not used.
    public var request: ChatRequest? {
        get { storage.fields.request?.value }
        set { own.fields.request = newValue.map { Box($0) } }
    }

    /// Whether a composition changed the request, so that there is a `request`.
    public var isRewritten: Bool { storage.fields.request != nil }

    /// The request as the client sent it, where `body` was filled up with a conversation that Parley keeps: what an
    /// answer repeats of its request is repeated from here.
    public var original: ByteBuffer? {
        get { storage.fields.original }
        set { own.fields.original = newValue }
    }

    /// The texts to embed, for `embed`.
    public var embedding: EmbeddingRequest? {
        get { storage.fields.embedding?.value }
        set { own.fields.embedding = newValue.map { Box($0) } }
    }

    /// Fields to set in the request, weakest first; an override later in the list wins.
    public var overrides: [FieldOverride] {
        get { storage.fields.overrides }
        set { own.fields.overrides = newValue }
    }

    /// Client headers that upstreams may see, by allow-list.
    public var headers: [HeaderField] {
        get { storage.fields.headers }
        set { own.fields.headers = newValue }
    }

    /// Time limits that a layer sets for the upstreams below it.
    public var timeouts: TimeoutOverrides {
        get { storage.fields.timeouts }
        set { own.fields.timeouts = newValue }
    }

    /// When the whole call must be over.
    public var deadline: NIODeadline {
        get { storage.fields.deadline }
        set { own.fields.deadline = newValue }
    }

    /// The way to upstreams, on the event loop the call runs on.
    public var connector: any Connector { storage.fields.connector }

    /// What happened so far, for the log record. An inner call has one of its own.
    public var trace: CallTrace {
        get { storage.fields.trace }
        set { own.fields.trace = newValue }
    }

    /// What reads requests and answers into their neutral forms.
    public var forms: (any NeutralForms)? {
        get { storage.fields.forms }
        set { own.fields.forms = newValue }
    }

    /// What binds the call to the member of a route that served an earlier turn.
    public var affinity: Affinity? {
        get { storage.fields.affinity }
        set { own.fields.affinity = newValue }
    }

    /// Whether a kept answer will do.
    public var caching: CachePolicy {
        get { storage.fields.caching }
        set { own.fields.caching = newValue }
    }

    /// Whether another attempt can send the same request: not once a part of an upload is gone.
    public var isRepeatable: Bool { upload.map { !$0.isStarted } ?? true }
}

/// What a client says of kept answers (`cache-control`).
public enum CachePolicy: Sendable {
    /// An answer that was kept will do, and this one may be kept.
    case normal
    /// `no-cache`: the answer must be made anew, and may be kept.
    case anew
    /// `no-store`: neither.
    case none
}

/// What binds a call to the upstream of an earlier turn.
public struct Affinity: Sendable, Equatable {
    /// The conversation's id on this server; nil where the client keeps its history itself.
    public var conversation: String?
    /// The only upstream (`provider/model`) or provider that can read what an earlier turn left in the request, e.g.
    /// encrypted reasoning; nil where any can.
    public var origin: String?

    /// Nothing known yet.
    public init(conversation: String? = nil, origin: String? = nil) {
        self.conversation = conversation
        self.origin = origin
    }
}

/// What a look at a request's body found, kept so that the next layer need not look again.
///
/// Whoever uses it must make sure that it is of the body at hand.
public protocol RequestReading: AnyObject, Sendable {}

/// A header as name and value.
public struct HeaderField: Sendable, Equatable {
    /// The name, lower case.
    public var name: String
    /// The value.
    public var value: String

    /// A header.
    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// A request field set by configuration.
public struct FieldOverride: Sendable, Equatable {
    /// The top-level field's name.
    public var name: String
    /// The value as JSON text.
    public var json: String
    /// True: sent whatever the client says. False: sent unless the client says otherwise.
    public var force: Bool

    /// An override of the field `name`.
    public init(name: String, json: String, force: Bool) {
        self.name = name
        self.json = json
        self.force = force
    }
}

/// Time limits of one attempt; nil leaves the choice to the next layer down.
public struct TimeoutOverrides: Sendable, Equatable {
    /// Until the connection stands.
    public var connect: TimeAmount?
    /// Until the first meaningful event of a stream, or the end of a whole answer's head.
    public var first: TimeAmount?
    /// Between two reads.
    public var idle: TimeAmount?
    /// For everything.
    public var total: TimeAmount?

    /// Time limits; nil is not set.
    public init(
        connect: TimeAmount? = nil, first: TimeAmount? = nil, idle: TimeAmount? = nil, total: TimeAmount? = nil
    ) {
        self.connect = connect
        self.first = first
        self.idle = idle
        self.total = total
    }

    /// These limits, with those of `fallback` where there is none.
    public func filled(from fallback: TimeoutOverrides) -> TimeoutOverrides {
        TimeoutOverrides(
            connect: connect ?? fallback.connect, first: first ?? fallback.first, idle: idle ?? fallback.idle,
            total: total ?? fallback.total)
    }

    /// The limits used where nobody set any: connect 5 s, first event 60 s, idle 60 s, total 10 min.
    public static let standard = TimeoutOverrides(
        connect: .seconds(5), first: .seconds(60), idle: .seconds(60), total: .minutes(10))
}
