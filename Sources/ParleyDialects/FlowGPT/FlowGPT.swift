// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

/// FlowGPT's chat as its web site uses it; Parley's clients do not speak it.
///
/// An answer takes two requests: one that makes a conversation of all the messages, and one that asks for the answer. What
/// is written here is both bodies, as `create` and `chat`; the id of the conversation is put into the second on the way.
/// Source: the requests of the open project flowgpt-2api.
public struct FlowGPT: OutboundDialect {
    private static let kept: Set<String> = ["temperature"]
    /// What its site sends where nobody says otherwise.
    private static let standardTemperature = 0.7

    private let refusal = AccountRefusal(
        vendor: "FlowGPT",
        renewal: "sign in at flowgpt.com again and renew `token`, and `device_id` with it, in the configuration "
            + "(and check this machine's clock)")

    /// FlowGPT's chat.
    public init() {}

    /// `flowgpt`.
    public var id: DialectID { .flowGPT }

    /// One JSON value per line.
    public var framing: StreamFraming { .lines }

    /// What FlowGPT has no words for: nearly everything but text.
    public var losses: [Loss] { TextTurns.losses(of: "FlowGPT", keeping: Self.kept) }

    /// What to renew when a page comes.
    public var pageAdvice: String { refusal.pageAdvice }

    /// Writes a request for an upstream; its model is the id of a prompt.
    ///
    /// - Throws: `invalid` where something that matters cannot be carried.
    public func encodeRequest(_ request: ChatRequest, dropped: inout [String]) throws(ParleyError) -> ByteBuffer {
        let text = try TextTurns(request, for: id, keeping: Self.kept)
        for name in text.dropped.names where !dropped.contains(name) { dropped.append(name) }
        let create: JSONValue = [
            "promptId": .string(request.model), "location": "CHAT_PAGE", "messages": .array(text.turns.map(\.json)),
        ]
        let chat: JSONValue = [
            "model": "FlowGPT-Ares", "nsfw": false, "question": .string(text.turns.last?.text ?? ""),
            "temperature": .double(request.temperature ?? Self.standardTemperature), "userId": "",
            "promptId": .string(request.model), "conversationId": "", "documentIds": [], "generateImage": false,
            "generateAudio": false,
        ]
        var buffer = ByteBuffer()
        buffer.writeJSON(["create": create, "chat": chat])
        return buffer
    }

    /// A decoder for one upstream stream.
    public func makeStreamDecoder() -> any StreamDecoder { Self.decoder }

    private static var decoder: TextLinesDecoder { TextLinesDecoder(member: "data", preamble: PreambleFilter()) }

    /// Reads an upstream's whole answer, which comes as lines too.
    ///
    /// - Throws: the upstream's error where the answer is one; `upstreamUnavailable` where it is unreadable.
    public func decodeWhole(_ body: ByteBuffer) throws(ParleyError) -> ChatResponse {
        try TextLinesDecoder.whole(body, Self.decoder)
    }

    /// Reads an upstream's error; a refused sign-in says what to renew.
    public func decodeFailure(status: Int, headers: HeaderBlock, body: ByteBuffer) -> ParleyError {
        refusal.failure(status, headers, body)
    }
}
