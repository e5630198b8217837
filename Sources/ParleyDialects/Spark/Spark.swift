// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

/// iFLYTEK Spark's WebSocket frames; Parley's clients do not speak them.
///
/// A request is one frame, without `header.app_id`, which belongs to whoever has the key. An answer is a frame per line.
/// Source: iFLYTEK's documentation of the WebSocket API, and its Python SDK.
public struct Spark: OutboundDialect {
    /// Spark's frames.
    public init() {}

    /// `spark`.
    public var id: DialectID { .spark }

    /// One frame per line.
    public var framing: StreamFraming { .lines }

    /// What Spark's frames have no words for.
    public var losses: [Loss] { SparkRequestEncoder.losses }

    /// Writes a request for an upstream.
    ///
    /// - Throws: `invalid` where something that matters cannot be carried.
    public func encodeRequest(_ request: ChatRequest, dropped: inout [String]) throws(ParleyError) -> ByteBuffer {
        var encoder = SparkRequestEncoder(request)
        let object = try encoder.encode()
        for name in encoder.dropped.names where !dropped.contains(name) { dropped.append(name) }
        var buffer = ByteBuffer()
        buffer.writeJSON(.object(object))
        return buffer
    }

    /// A decoder for one upstream stream.
    public func makeStreamDecoder() -> any StreamDecoder { SparkStreamDecoder() }

    /// Reads all frames of an answer.
    ///
    /// - Throws: the upstream's error where the answer is one; `upstreamUnavailable` where it is unreadable.
    public func decodeWhole(_ body: ByteBuffer) throws(ParleyError) -> ChatResponse {
        var decoder = SparkStreamDecoder()
        var events: [Event] = []
        try decoder.push(body, into: &events)
        try decoder.finish(into: &events)
        var collector = ChatCollector()
        for event in events { collector.add(event) }
        return collector.response()
    }

    /// Reads what the handshake was refused with: `{"message"}`.
    public func decodeFailure(status: Int, headers: HeaderBlock, body: ByteBuffer) -> ParleyError {
        SparkFailure.handshake(OpenAIChat().decodeFailure(status: status, headers: headers, body: body), status: status)
    }
}
