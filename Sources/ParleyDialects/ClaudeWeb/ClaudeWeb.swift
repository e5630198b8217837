// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

/// The chat of Claude's web site; Parley's clients do not speak it.
///
/// Answers come in one of two ways, told apart event by event: `completion`, as in 2023, or like Anthropic's Messages.
/// Source: the open project openai-style-api and other public clients of the site.
public struct ClaudeWeb: OutboundDialect {
    /// The model that leaves the choice to the site.
    public static let anyModel = "claude-web"

    private let prompt: ClaudeWebPrompt

    /// The site's chat, with a template for conversations.
    public init(prompt: ClaudeWebPrompt = ClaudeWebPrompt()) {
        self.prompt = prompt
    }

    /// `claude-web`.
    public var id: DialectID { .claudeWeb }

    /// What the site has no words for: everything but text.
    public var losses: [Loss] { TextTurns.losses(of: "The site") }

    /// What to renew when a page comes.
    public var pageAdvice: String { ClaudeWebFailure.refusal.pageAdvice }

    /// Writes a request for an upstream: one text.
    ///
    /// - Throws: `invalid` where something that matters cannot be carried.
    public func encodeRequest(_ request: ChatRequest, dropped: inout [String]) throws(ParleyError) -> ByteBuffer {
        let text = try TextTurns(request, for: id)
        for name in text.dropped.names where !dropped.contains(name) { dropped.append(name) }
        // Without a rendering mode the call hangs.
        var body: JSONObject = [
            "prompt": .string(prompt.text(text.turns)), "timezone": "UTC", "attachments": [], "files": [],
            "rendering_mode": "messages",
        ]
        if request.model != Self.anyModel { body["model"] = .string(request.model) }
        var buffer = ByteBuffer()
        buffer.writeJSON(.object(body))
        return buffer
    }

    /// A decoder for one upstream stream.
    public func makeStreamDecoder() -> any StreamDecoder { ClaudeWebStreamDecoder() }

    /// Reads an upstream's answer as a whole, which is a stream too.
    ///
    /// - Throws: the upstream's error where the answer is one; `upstreamUnavailable` where it is unreadable.
    public func decodeWhole(_ body: ByteBuffer) throws(ParleyError) -> ChatResponse {
        if !body.looksLikeEvents, let value = try? JSON.parse(body.trimmed) { throw ClaudeWebFailure.error(value) }
        var decoder = ClaudeWebStreamDecoder()
        var events: [Event] = []
        try decoder.push(body, into: &events)
        try decoder.finish(into: &events)
        var collector = ChatCollector()
        for event in events { collector.add(event) }
        return collector.response()
    }

    /// Reads an upstream's error; a refused sign-in says what to renew.
    public func decodeFailure(status: Int, headers: HeaderBlock, body: ByteBuffer) -> ParleyError {
        ClaudeWebFailure.error(status, headers, body)
    }
}
