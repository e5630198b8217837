// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

/// Cohere's chat, version 2, as Cohere answers it; Parley's clients do not speak it.
///
/// Source: recorded traffic, and the reference of `POST /v2/chat` for the fields that were not recorded.
public struct Cohere: OutboundDialect {
    /// Cohere's chat.
    public init() {}

    /// `cohere`.
    public var id: DialectID { .cohere }

    /// What Cohere's chat has no words for.
    public var losses: [Loss] { CohereRequestEncoder.losses }

    /// Writes a request for an upstream.
    ///
    /// - Throws: `invalid` where something that matters cannot be carried.
    public func encodeRequest(_ request: ChatRequest, dropped: inout [String]) throws(ParleyError) -> ByteBuffer {
        var encoder = CohereRequestEncoder()
        let object = try encoder.encode(request)
        for name in encoder.dropped.names where !dropped.contains(name) { dropped.append(name) }
        var buffer = ByteBuffer()
        buffer.writeJSON(.object(object))
        return buffer
    }

    /// A decoder for one upstream stream.
    public func makeStreamDecoder() -> any StreamDecoder { CohereStreamDecoder() }

    /// Reads an upstream's whole answer.
    ///
    /// - Throws: the upstream's error where the answer is one; `upstreamUnavailable` where it is unreadable.
    public func decodeWhole(_ body: ByteBuffer) throws(ParleyError) -> ChatResponse {
        try CohereWholeDecoder.decode(body)
    }

    /// Reads an upstream's error: `{"id", "message"}`, at times with an `error_type`.
    public func decodeFailure(status: Int, headers: HeaderBlock, body: ByteBuffer) -> ParleyError {
        OpenAIChat().decodeFailure(status: status, headers: headers, body: body)
    }
}
