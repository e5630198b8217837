// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore

/// The shape of an API on the wire, in both directions: as clients speak it and as upstreams speak it.
///
/// A dialect sees neither a URL nor a key.
public protocol Dialect: Sendable {
    /// Which dialect this is.
    var id: DialectID { get }

    /// Reads a client's request.
    ///
    /// - Throws: `invalid`, naming the field by its path.
    func decodeRequest(_ body: ByteBuffer) throws(ParleyError) -> ChatRequest

    /// Writes a request for an upstream.
    ///
    /// - Parameter dropped: gains the names of fields that this dialect cannot carry and that do not matter.
    /// - Throws: `invalid` where something that matters cannot be carried.
    func encodeRequest(_ request: ChatRequest, dropped: inout [String]) throws(ParleyError) -> ByteBuffer

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

    /// Writes an error as the last frame of a stream; the stream's terminator must not follow.
    func encodeStreamFailure(_ error: ParleyError, into out: inout ByteBuffer)
}

/// What a dialect must know of a call to write its answer.
public struct AnswerContext: Sendable {
    /// An id for answers whose upstream gave none.
    public var id: String
    /// The model's name for answers whose upstream gave none: the one the client asked for.
    public var model: String
    /// Seconds since 1970, for answers whose upstream gave no time.
    public var created: Int
    /// Whether the client asked for usage at the end of a stream.
    public var includeUsage: Bool

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
}
