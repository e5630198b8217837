// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

/// Ollama's own chat (`/api/chat`), as its servers speak it; Parley's clients do not.
///
/// Source: the official Python SDK and recorded traffic; fields that newer servers added (`tool_call_id`, ids of calls,
/// `logprobs`) are from the server's source.
public struct Ollama: OutboundDialect {
    /// Ollama's chat.
    public init() {}

    /// `ollama`.
    public var id: DialectID { .ollama }

    /// One JSON value per line.
    public var framing: StreamFraming { .lines }

    /// What Ollama's chat has no words for.
    public var losses: [Loss] { OllamaRequestEncoder.losses }

    /// Writes a request for an upstream; `stream` is always said, since Ollama streams unless told otherwise.
    ///
    /// - Throws: `invalid` where something that matters cannot be carried.
    public func encodeRequest(_ request: ChatRequest, dropped: inout [String]) throws(ParleyError) -> ByteBuffer {
        var encoder = OllamaRequestEncoder()
        let object = try encoder.encode(request)
        for name in encoder.dropped.names where !dropped.contains(name) { dropped.append(name) }
        var buffer = ByteBuffer()
        buffer.writeJSON(.object(object))
        return buffer
    }

    /// A decoder for one upstream stream.
    public func makeStreamDecoder() -> any StreamDecoder { OllamaStreamDecoder() }

    /// Reads an upstream's whole answer, also when it came as lines.
    ///
    /// - Throws: the upstream's error where the answer is one; `upstreamUnavailable` where it is unreadable.
    public func decodeWhole(_ body: ByteBuffer) throws(ParleyError) -> ChatResponse {
        var decoder = OllamaStreamDecoder()
        var events: [Event] = []
        try decoder.push(body, into: &events)
        try decoder.finish(into: &events)
        var collector = ChatCollector()
        for event in events { collector.add(event) }
        return collector.response()
    }

    /// Reads an upstream's error: `{"error": "text"}`, or whatever a proxy before it says.
    public func decodeFailure(status: Int, headers: HeaderBlock, body: ByteBuffer) -> ParleyError {
        OpenAIChat().decodeFailure(status: status, headers: headers, body: body)
    }
}
