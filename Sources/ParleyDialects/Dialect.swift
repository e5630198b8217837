// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
public import ParleyWire

/// The shape of an API on the wire, in both directions: as clients speak it and as upstreams speak it.
///
/// A dialect sees neither a URL nor a key.
public protocol Dialect: Sendable {
    /// Which dialect this is.
    var id: DialectID { get }

    /// Whether clients may speak it; else it is only for upstreams, and reading requests and writing answers is refused.
    var isSpokenByClients: Bool { get }

    /// How an upstream's stream is framed.
    var framing: StreamFraming { get }

    /// What to do when the service sends a web page in place of an answer, to be put behind the words that say so.
    var pageAdvice: String { get }

    /// What a stream to a client can bear while it waits, between two frames; empty where there is nothing.
    var keepAlive: StaticString { get }

    /// What this dialect cannot carry to an upstream, for the documentation and for the proof that nothing else is lost.
    var losses: [Loss] { get }

    /// Fields at the top of a request that only this dialect has a word for: elsewhere each is dropped by its name.
    var ownFields: [String] { get }

    /// Finds out what a gateway must know before it reads a client's request: the model's name, whether to stream.
    ///
    /// - Throws: `invalid`, naming the field or the byte at fault.
    func intake(_ body: ByteBuffer) throws(ParleyError) -> Intake

    /// Reads a client's request. Model and stream may be outside of it (Gemini): then the caller sets them.
    ///
    /// - Throws: `invalid`, naming the field by its path.
    func decodeRequest(_ body: ByteBuffer) throws(ParleyError) -> ChatRequest

    /// Refuses what a request of this dialect asks for that only an upstream of the same dialect can do.
    ///
    /// - Throws: `invalid`, naming the field.
    func checkTranslatable(_ request: ChatRequest) throws(ParleyError)

    /// Writes a request for an upstream.
    ///
    /// - Parameter dropped: gains the names of fields that this dialect cannot carry and that do not matter.
    /// - Throws: `invalid` where something that matters cannot be carried.
    func encodeRequest(_ request: ChatRequest, dropped: inout [String]) throws(ParleyError) -> ByteBuffer

    /// Makes a client's request ready to be written in another dialect, with what configuration sets in it: refuses what
    /// others cannot keep and do not know of, and says what this dialect leaves unsaid.
    ///
    /// - Throws: `invalid`, naming the field.
    func prepareForTranslation(_ request: inout ChatRequest) throws(ParleyError)

    /// A decoder for one upstream stream.
    func makeStreamDecoder() -> any StreamDecoder

    /// An encoder for one stream to a client.
    func makeStreamEncoder(_ context: AnswerContext) -> any StreamEncoder

    /// Reads an upstream's whole answer.
    ///
    /// - Throws: the upstream's error where the answer is one; `upstreamUnavailable` where it is unreadable.
    func decodeWhole(_ body: ByteBuffer) throws(ParleyError) -> ChatResponse

    /// Writes a whole answer for a client.
    func encodeWhole(_ response: ChatResponse, _ context: AnswerContext) -> ByteBuffer

    /// Reads an upstream's error answer, whatever its shape.
    func decodeFailure(status: Int, headers: HeaderBlock, body: ByteBuffer) -> ParleyError

    /// Writes an error as a whole answer's body.
    func encodeFailure(_ error: ParleyError) -> ByteBuffer

    /// Writes an error as the only frame of a stream that has only had comments so far; no terminator must follow.
    /// Once an encoder has begun, `StreamEncoder.fail` is the way.
    func encodeStreamFailure(_ error: ParleyError, into out: inout ByteBuffer)
}

extension Dialect {
    /// Clients speak it.
    public var isSpokenByClients: Bool { true }

    /// Server-sent events.
    public var framing: StreamFraming { .serverSentEvents }

    /// Nothing in particular.
    public var pageAdvice: String { "" }

    /// A comment line, which readers of server-sent events skip.
    public var keepAlive: StaticString { ": keep-alive\n\n" }

    /// Nothing is lost.
    public var losses: [Loss] { [] }

    /// None.
    public var ownFields: [String] { [] }

    /// Nothing is refused.
    public func checkTranslatable(_ request: ChatRequest) throws(ParleyError) {}

    /// Everything can be kept.
    public func prepareForTranslation(_ request: inout ChatRequest) throws(ParleyError) {}

    /// `model` and `stream` at the top level of a JSON object.
    public func intake(_ body: ByteBuffer) throws(ParleyError) -> Intake {
        let intake = Intake(body, try Intake.scan(body))
        intake.includeUsage = true
        return intake
    }
}

/// How a stream's frames are told apart.
public enum StreamFraming: Sendable {
    case serverSentEvents
    /// One JSON value per line.
    case lines
    /// Amazon's binary messages (`application/vnd.amazon.eventstream`).
    case binary
}

/// Something that a dialect cannot say to an upstream.
public struct Loss: Sendable, Equatable {
    /// What becomes of it.
    public enum Fate: String, Sendable {
        /// Left out and named in `x-parley-dropped`; refused where the call is strict.
        case dropped
        /// The request is refused with a 400 that names the field.
        case refused
        /// Said in another way that comes close.
        case emulated
    }

    /// The field in OpenAI Chat's words where it has one, e.g. `logit_bias`; it is what `x-parley-dropped` says.
    public var field: String
    /// What becomes of it.
    public var fate: Fate
    /// Why, or how it is emulated, in a sentence for the documentation.
    public var note: String

    /// Declares a loss.
    public init(_ field: String, _ fate: Fate, _ note: String) {
        self.field = field
        self.fate = fate
        self.note = note
    }
}

/// What a gateway must know of a request before it is read. The body stays bytes.
///
/// An object, since each step of a request looks at it; used by that request's task alone.
public final class Intake {
    /// The request as it came.
    public var body: ByteBuffer
    /// What was found in it, for the layers below.
    public var reading: (any RequestReading)?
    /// The model it names; nil where it names none.
    public var model: String?
    /// Whether it asks for a stream.
    public var stream: Bool
    /// Whether it asks for usage at the end of a stream. True where a dialect's streams always have it.
    public var includeUsage: Bool
    /// The conversation that the request goes on with, where the server keeps its history.
    public var conversation: String?

    /// What was found in `body`.
    public init(
        body: ByteBuffer, reading: (any RequestReading)? = nil, model: String?, stream: Bool, includeUsage: Bool
    ) {
        self.body = body
        self.reading = reading
        self.model = model
        self.stream = stream
        self.includeUsage = includeUsage
    }
}

extension Intake {
    /// Where the members of a body are.
    ///
    /// - Parameter known: what was found in it before, if it is of any use.
    /// - Throws: `invalid` where there is no JSON object, naming the byte at fault.
    public static func scan(_ body: ByteBuffer, known: (any RequestReading)? = nil) throws(ParleyError) -> JSONScan {
        guard body.readableBytes > 0 else {
            throw ParleyError(.invalid, "The request has no body; send a JSON object.", code: "invalid_json")
        }
        do {
            return try JSONScan.of(body, known: known)
        } catch {
            throw ParleyError(
                .invalid, "The body is not a JSON object: \(error.message) (at byte \(error.offset)).",
                code: "invalid_json")
        }
    }

    /// `model` and `stream` of a scanned body; no usage is asked for.
    public convenience init(_ body: ByteBuffer, _ scan: JSONScan) {
        self.init(
            body: body, reading: scan, model: scan.string(named: "model"),
            stream: scan.bool(named: "stream") ?? false, includeUsage: false)
    }
}

/// What a dialect must know of a call to write its answer.
public struct AnswerContext: Sendable {
    /// The call's id, from which ids are made for answers whose upstream gave none; each dialect adds its own prefix.
    public var id: String
    /// The model's name for answers whose upstream gave none: the one the client asked for.
    public var model: String
    /// Seconds since 1970, for answers whose upstream gave no time.
    public var created: Int
    /// Whether the client asked for usage at the end of a stream.
    public var includeUsage: Bool
    /// Whether the client wants a stream as one JSON array (Gemini without `alt=sse`).
    public var asArray = false
    /// The client's request, for dialects whose answers repeat some of it (Responses).
    public var request: ByteBuffer?

    /// What the answer is called.
    public init(id: String, model: String, created: Int, includeUsage: Bool) {
        self.id = id
        self.model = model
        self.created = created
        self.includeUsage = includeUsage
    }
}

/// Bytes of an upstream's stream to neutral events; bytes may be split anywhere.
public protocol StreamDecoder {
    /// Reads what arrived.
    ///
    /// - Throws: the upstream's error inside the stream, or `upstreamUnavailable` for what cannot be read.
    mutating func push(_ bytes: ByteBuffer, into events: inout [Event]) throws(ParleyError)

    /// The upstream closed its body properly.
    ///
    /// - Throws: `upstreamUnavailable` when the stream is not complete: no terminator and no finish reason.
    mutating func finish(into events: inout [Event]) throws(ParleyError)

    /// Whether the stream's proper end was seen, so that nothing after it matters.
    var isComplete: Bool { get }
}

/// Neutral events to bytes of a stream for a client.
public protocol StreamEncoder {
    /// Writes one event; some write nothing, some several frames.
    mutating func push(_ event: Event, into out: inout ByteBuffer)

    /// Writes the stream's proper end.
    mutating func finish(into out: inout ByteBuffer)

    /// Writes an error as the stream's end, well-formed whatever was written so far.
    mutating func fail(_ error: ParleyError, into out: inout ByteBuffer)
}
