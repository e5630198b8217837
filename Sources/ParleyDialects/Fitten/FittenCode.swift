// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

/// Fitten Code's chat as its editor plug-ins use it; Parley's clients do not speak it.
///
/// Source: the requests of the open project fitten-code-api. `ft_token`, the account's id, is put in on the way.
public struct FittenCode: OutboundDialect {
    private let refusal = AccountRefusal(
        vendor: "Fitten Code", renewal: "check `username` and `password` in the configuration")

    /// Fitten Code's chat.
    public init() {}

    /// `fitten`.
    public var id: DialectID { .fitten }

    /// One JSON value per line.
    public var framing: StreamFraming { .lines }

    /// What Fitten Code has no words for: everything but text.
    public var losses: [Loss] { TextTurns.losses(of: "Fitten Code") }

    /// What to check when a page comes.
    public var pageAdvice: String { refusal.pageAdvice }

    /// Writes a request for an upstream: one text.
    ///
    /// - Throws: `invalid` where something that matters cannot be carried, or no turn is the user's.
    public func encodeRequest(_ request: ChatRequest, dropped: inout [String]) throws(ParleyError) -> ByteBuffer {
        let text = try TextTurns(request, for: id)
        guard text.turns.contains(where: { $0.role == .user }) else {
            throw ParleyError(
                .invalid, "Invalid value for 'messages': this model's provider needs a message of role user.",
                code: "unsupported_value", parameter: "messages")
        }
        for name in text.dropped.names where !dropped.contains(name) { dropped.append(name) }
        var buffer = ByteBuffer()
        buffer.writeJSON(["inputs": .string(FittenPrompt.text(text.turns)), "ft_token": ""])
        return buffer
    }

    /// A decoder for one upstream stream.
    public func makeStreamDecoder() -> any StreamDecoder { TextLinesDecoder(member: "delta") }

    /// Reads an upstream's whole answer, which comes as lines too.
    ///
    /// - Throws: the upstream's error where the answer is one; `upstreamUnavailable` where it is unreadable.
    public func decodeWhole(_ body: ByteBuffer) throws(ParleyError) -> ChatResponse {
        try TextLinesDecoder.whole(body, TextLinesDecoder(member: "delta"))
    }

    /// Reads an upstream's error; a refused sign-in says what to check.
    public func decodeFailure(status: Int, headers: HeaderBlock, body: ByteBuffer) -> ParleyError {
        refusal.failure(status, headers, body)
    }
}
