// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

extension OpenAIChat: RelayingDialect {
    /// True unless the vendor's answers are unreadable for OpenAI's clients.
    public var relaysAnswers: Bool { !quirks.rewritesAnswers }

    /// True where `stream_options` is understood.
    public var asksForUsage: Bool { quirks.streamOptions }

    /// The request with its top level changed; nil where something further down must change.
    public func splice(
        _ body: ByteBuffer, reading: (any RequestReading)?, model: String, stream: Bool, overrides: [FieldOverride],
        dropped: inout [String]
    ) throws(ParleyError) -> ByteBuffer? {
        guard !needsRewriting(body) else { return nil }
        let scan: JSONScan
        do {
            scan = try .of(body, known: reading)
        } catch {
            throw ParleyError(
                .invalid, "The body is not valid JSON: \(error.message) at byte \(error.offset).")
        }
        return try edited(scan: scan, model: model, stream: stream, overrides: overrides, dropped: &dropped)
    }

    /// Whether a request has what this vendor must get in another form and what lies below the top level. Text that
    /// only looks so costs a rewriting, no more.
    private func needsRewriting(_ body: ByteBuffer) -> Bool {
        quirks.rewritesRequests
            || (quirks.developerIsSystem && body.contains("\"developer\""))
            || (quirks.shortToolIDs && body.contains("\"tool_call"))
            || (!quirks.acceptsReasoningBack && body.contains("\"reasoning"))
            || (!quirks.legacyFunctions && body.contains("\"function"))
    }

    /// A tap that passes chunks on as they are.
    public func makeStreamRelay(stripUsage: Bool) -> any StreamRelay {
        ChatStreamRelay(stripUsage: stripUsage) { [self] payload in
            embeddedFailure(payload)
        }
    }

    /// The error in a chunk: of its own, or inside one that also has choices.
    private func embeddedFailure(_ payload: ByteBuffer) -> ParleyError {
        if payload.contains("\"choices\"") {
            do throws(ParleyError) {
                _ = try decodeWhole(payload)
            } catch {
                return error
            }
        }
        return decodeFailure(status: 200, headers: HeaderBlock(), body: payload)
    }

    /// Finds usage, finish reason and errors in a whole answer.
    public func inspectWhole(_ body: ByteBuffer) throws(ParleyError) -> Observation {
        let seen: WholeInspection
        do {
            seen = try ChatWholeRelay.inspect(body)
        } catch {
            throw ParleyError(.upstreamUnavailable, "the service sent JSON that is not whole")
        }
        if seen.isError { throw decodeFailure(status: 200, headers: HeaderBlock(), body: body) }
        // Errors also come inside a choice or in shapes of their own: a closer look throws them. As bytes `"error"` is
        // a key or a value, never a piece of a text, where quotes are escaped.
        if !seen.hasChoices || seen.observation.finish == "error" || body.contains("\"error\"") {
            _ = try decodeWhole(body)
        }
        guard seen.hasChoices else {
            throw ParleyError(.upstreamUnavailable, "the service sent JSON that is not a chat completion")
        }
        return seen.observation
    }
}

extension ChatStreamRelay: StreamRelay {
    /// Writes OpenAI's error envelope as the last frame; `[DONE]` does not follow.
    public func fail(_ error: ParleyError, into out: inout ByteBuffer) {
        OpenAIChat.writeStreamFailure(error, into: &out)
    }

    /// Whether an event passed that cannot be taken back.
    public var isMeaningful: Bool { observed.isMeaningful }

    /// Whether the answer's proper end was seen.
    public var isComplete: Bool { observed.isComplete }
}
