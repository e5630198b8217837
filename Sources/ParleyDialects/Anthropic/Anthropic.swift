// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

/// Anthropic's Messages, as clients speak it and as Anthropic and whoever copies its API answers it.
///
/// The wire facts are those of Anthropic's API reference, version 2023-06-01, and of its SDK.
public struct Anthropic: Dialect {
    /// The dialect; there is only one accent of it.
    public init() {}

    /// `anthropic`.
    public var id: DialectID { .anthropic }

    /// The event that Anthropic itself sends while a stream waits; its SDKs skip it.
    public var keepAlive: StaticString { "event: ping\ndata: {\"type\": \"ping\"}\n\n" }

    /// What an upstream cannot be told.
    public var losses: [Loss] { Self.declaredLosses }

    /// Reads a client's request; what only this dialect knows goes to `extras`.
    ///
    /// - Throws: `invalid`, naming the field by its path.
    public func decodeRequest(_ body: ByteBuffer) throws(ParleyError) -> ChatRequest {
        try AnthropicRequestDecoder.decode(RequestObject.read(body))
    }

    /// Writes a request for an upstream, as the family of its model wants it.
    ///
    /// - Throws: `invalid` where something that matters cannot be carried.
    public func encodeRequest(_ request: ChatRequest, dropped: inout [String]) throws(ParleyError) -> ByteBuffer {
        var encoder = AnthropicRequestEncoder(request)
        let object = try encoder.encode()
        for name in encoder.dropped where !dropped.contains(name) { dropped.append(name) }
        var buffer = ByteBuffer()
        buffer.writeJSON(.object(object))
        return buffer
    }

    /// A decoder for one upstream stream.
    public func makeStreamDecoder() -> any StreamDecoder { AnthropicStreamDecoder() }

    /// An encoder for one stream to a client.
    public func makeStreamEncoder(_ context: AnswerContext) -> any StreamEncoder { AnthropicStreamEncoder(context) }

    /// Reads an upstream's whole answer, also when it came as a stream.
    ///
    /// - Throws: the upstream's error where the answer is one; `upstreamUnavailable` where it is unreadable.
    public func decodeWhole(_ body: ByteBuffer) throws(ParleyError) -> ChatResponse {
        try AnthropicWhole.decode(body)
    }

    /// Writes a whole answer for a client: its first choice.
    public func encodeWhole(_ response: ChatResponse, _ context: AnswerContext) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeJSON(.object(AnthropicWhole.encode(response, context)))
        return buffer
    }

    /// Reads an upstream's error in any shape, a web page or plain text included.
    public func decodeFailure(status: Int, headers: HeaderBlock, body: ByteBuffer) -> ParleyError {
        AnthropicFailure.decode(status: status, headers: headers, body: body)
    }

    /// Anthropic's error envelope.
    public func encodeFailure(_ error: ParleyError) -> ByteBuffer {
        var buffer = ByteBuffer()
        AnthropicFailure.write(error, into: &buffer)
        return buffer
    }

    /// The envelope as an `error` event.
    public func encodeStreamFailure(_ error: ParleyError, into out: inout ByteBuffer) {
        AnthropicFailure.writeEvent(error, into: &out)
    }
}
