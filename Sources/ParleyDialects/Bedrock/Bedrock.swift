// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

/// Amazon Bedrock's Converse, as upstreams speak it: botocore's service model `bedrock-runtime`, 2023-09-30.
///
/// It is built for upstreams only: Parley has no path at which clients speak it, so there is no writing of streams.
public struct Bedrock: Dialect {
    /// The dialect.
    public init() {}

    /// `bedrock`.
    public var id: DialectID { .bedrock }

    /// Only Bedrock does.
    public var isSpokenByClients: Bool { false }

    /// Amazon's binary messages.
    public var framing: StreamFraming { .binary }

    /// Nothing: a comment has no place between binary messages.
    public var keepAlive: StaticString { "" }

    /// No client speaks this dialect.
    ///
    /// - Throws: `notImplemented`, always.
    public func intake(_ body: ByteBuffer) throws(ParleyError) -> Intake { throw Self.outboundOnly }

    /// Reads a request; the model and whether to stream are in its path.
    ///
    /// - Throws: `invalid`, naming the field by its path.
    public func decodeRequest(_ body: ByteBuffer) throws(ParleyError) -> ChatRequest {
        try ConverseRequestDecoder.decode(RequestObject.read(body))
    }

    /// Writes a request for Converse and ConverseStream; the model is part of the path, not of the body.
    ///
    /// - Throws: `invalid` where something that matters cannot be carried, naming the field.
    public func encodeRequest(_ request: ChatRequest, dropped: inout [String]) throws(ParleyError) -> ByteBuffer {
        var encoder = ConverseRequestEncoder(request)
        let object = try encoder.encode()
        for name in encoder.dropped where !dropped.contains(name) { dropped.append(name) }
        var buffer = ByteBuffer()
        buffer.writeJSON(.object(object))
        return buffer
    }

    /// A decoder for one ConverseStream.
    public func makeStreamDecoder() -> any StreamDecoder { ConverseStreamDecoder() }

    /// No client speaks this dialect: only a failure is written, as Bedrock's error body.
    public func makeStreamEncoder(_ context: AnswerContext) -> any StreamEncoder { OutboundOnlyEncoder() }

    /// Reads a whole Converse answer.
    ///
    /// - Throws: the upstream's error where the answer is one; `upstreamUnavailable` where it is unreadable.
    public func decodeWhole(_ body: ByteBuffer) throws(ParleyError) -> ChatResponse {
        try ConverseWhole.decode(body)
    }

    /// A Converse answer with what the neutral form says of the first choice.
    public func encodeWhole(_ response: ChatResponse, _ context: AnswerContext) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeJSON(.object(ConverseWhole.encode(response)))
        return buffer
    }

    /// Reads an error answer: its class is in the header `x-amzn-errortype`, or in the body's `__type`.
    public func decodeFailure(status: Int, headers: HeaderBlock, body: ByteBuffer) -> ParleyError {
        var failure = ConverseFailure(body: body)
        if let type = headers.first("x-amzn-errortype") { failure.type = ConverseFailure.name(type) }
        if status >= 400 { failure.status = status }
        var error = failure.error()
        error.retryAfter = RetryAfter.seconds(headers, now: RetryAfter.now())
        return error
    }

    /// Bedrock's error body.
    public func encodeFailure(_ error: ParleyError) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeJSON(["message": .string(error.message)])
        return buffer
    }

    /// Bedrock's error body.
    public func encodeStreamFailure(_ error: ParleyError, into out: inout ByteBuffer) {
        out.writeImmutableBuffer(encodeFailure(error))
    }

    private static var outboundOnly: ParleyError {
        ParleyError(.notImplemented, "Amazon Bedrock's API is spoken to providers only, not to clients.")
    }
}

/// Stands where a dialect needs an encoder that nobody will use.
private struct OutboundOnlyEncoder: StreamEncoder {
    mutating func push(_ event: Event, into out: inout ByteBuffer) {}

    mutating func finish(into out: inout ByteBuffer) {}

    mutating func fail(_ error: ParleyError, into out: inout ByteBuffer) {
        Bedrock().encodeStreamFailure(error, into: &out)
    }
}
