// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

/// Zhipu's older API, version 3 (`invoke` and `sse-invoke`), as Zhipu answers it; the model and the wish for a stream
/// are in the path. Parley's clients do not speak it. Version 4 is OpenAI's chat.
///
/// Source: the adapters of openai-style-api and one-api.
public struct Zhipu: OutboundDialect {
    /// How a system prompt is said in a user's turn.
    public static let standardPrompt = "You need to follow the system settings:{system}"

    private let prompt: String
    private let isCumulative: Bool

    /// Zhipu's chat, version 3.
    ///
    /// - Parameters:
    ///   - prompt: how a system prompt is said: `{system}` stands for it.
    ///   - cumulative: whether each event of a stream has the text so far, which `incremental: false` asks for.
    public init(prompt: String = standardPrompt, cumulative: Bool = false) {
        self.prompt = prompt
        isCumulative = cumulative
    }

    /// `zhipu-v3`.
    public var id: DialectID { .zhipu }

    /// What version 3 has no words for.
    public var losses: [Loss] { ZhipuRequestEncoder.losses }

    /// Writes a request for an upstream.
    ///
    /// - Throws: `invalid` where something that matters cannot be carried.
    public func encodeRequest(_ request: ChatRequest, dropped: inout [String]) throws(ParleyError) -> ByteBuffer {
        var encoder = ZhipuRequestEncoder(prompt: prompt, isCumulative: isCumulative)
        let object = try encoder.encode(request)
        for name in encoder.dropped.names where !dropped.contains(name) { dropped.append(name) }
        var buffer = ByteBuffer()
        buffer.writeJSON(.object(object))
        return buffer
    }

    /// A decoder for one upstream stream.
    public func makeStreamDecoder() -> any StreamDecoder { ZhipuStreamDecoder(isCumulative: isCumulative) }

    /// Reads an upstream's whole answer.
    ///
    /// - Throws: the upstream's error where the answer is one; `upstreamUnavailable` where it is unreadable.
    public func decodeWhole(_ body: ByteBuffer) throws(ParleyError) -> ChatResponse {
        try ZhipuWholeDecoder(isCumulative: isCumulative).decode(body)
    }

    /// Reads an upstream's error: `{"code", "msg", "success"}`, or `{"error": {…}}`.
    public func decodeFailure(status: Int, headers: HeaderBlock, body: ByteBuffer) -> ParleyError {
        UpstreamFailure.answer(status, headers, body) { ZhipuCodes.verdict($0.code) }
    }
}
