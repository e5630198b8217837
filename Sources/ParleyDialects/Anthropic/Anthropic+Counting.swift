// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

extension Anthropic: CountsTokens {
    /// Reads a request to be counted: a Messages request without what concerns the answer only.
    public func decodeCountRequest(_ body: ByteBuffer) throws(ParleyError) -> ChatRequest {
        try AnthropicRequestDecoder.decode(RequestObject.read(body), isCount: true)
    }

    /// The members that a request to be counted may have.
    private static let counted: Set<String> = [
        "model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control",
        "mcp_servers", "context_management", "speed",
    ]

    /// Writes a request to be counted; what concerns the answer only is left out without a word.
    public func encodeCountRequest(
        _ request: ChatRequest, dropped: inout [String]
    ) throws(ParleyError) -> ByteBuffer {
        var encoder = AnthropicRequestEncoder(request)
        var object = try encoder.encode()
        object.members.removeAll { !Self.counted.contains($0.key) }
        for name in encoder.dropped where !dropped.contains(name) { dropped.append(name) }
        var buffer = ByteBuffer()
        buffer.writeJSON(.object(object))
        return buffer
    }

    /// Reads `{"input_tokens": n}`.
    public func decodeCount(_ body: ByteBuffer) throws(ParleyError) -> Int {
        guard let value = try? JSON.parse(body.trimmed) else {
            throw ParleyError(.upstreamUnavailable, "The upstream's count of tokens is not JSON.")
        }
        if value["error"]?.object != nil { throw AnthropicFailure.inStream(body) }
        guard let count = value["input_tokens"]?.int, count >= 0 else {
            throw ParleyError(.upstreamUnavailable, "The upstream's count of tokens has no number.")
        }
        return count
    }

    /// Writes `{"input_tokens": n}`.
    public func encodeCount(_ count: Int) -> ByteBuffer {
        ByteBuffer(string: "{\"input_tokens\":\(count)}")
    }
}
