// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

/// `POST /responses/input_tokens`.
extension OpenAIResponses: CountsTokens {
    /// Reads a client's question, which is a request.
    public func decodeCountRequest(_ body: ByteBuffer) throws(ParleyError) -> ChatRequest { try decodeRequest(body) }

    /// Writes the question: a request without what only an answer needs.
    public func encodeCountRequest(_ request: ChatRequest, dropped: inout [String]) throws(ParleyError) -> ByteBuffer {
        var encoder = ResponsesRequestEncoder()
        var object = try encoder.encode(request)
        let known: Set<String> = [
            "model", "input", "instructions", "tools", "tool_choice", "text", "reasoning", "parallel_tool_calls",
            "previous_response_id", "conversation", "truncation",
        ]
        object.members.removeAll { !known.contains($0.key) }
        var buffer = ByteBuffer()
        buffer.writeJSON(.object(object))
        return buffer
    }

    /// Reads the number.
    public func decodeCount(_ body: ByteBuffer) throws(ParleyError) -> Int {
        guard let count = (try? JSON.parse(body))?["input_tokens"]?.int, count >= 0 else {
            throw ParleyError(.upstreamUnavailable, "The upstream's answer has no number of tokens.")
        }
        return count
    }

    /// Writes the number.
    public func encodeCount(_ count: Int) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeJSON(["object": "response.input_tokens", "input_tokens": .int(count)])
        return buffer
    }
}
