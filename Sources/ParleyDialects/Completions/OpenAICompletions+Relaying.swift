// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

extension OpenAICompletions: RelayingDialect {
    /// True unless the vendor's answers are unreadable for OpenAI's clients.
    public var relaysAnswers: Bool { !quirks.rewritesAnswers }

    /// True where `stream_options` is understood.
    public var asksForUsage: Bool { quirks.streamOptions }

    /// The request with its top level changed; every other byte is the client's.
    public func splice(
        _ body: ByteBuffer, reading: (any RequestReading)?, model: String, stream: Bool, overrides: [FieldOverride],
        dropped: inout [String]
    ) throws(ParleyError) -> ByteBuffer? {
        let scan = try Intake.scan(body, known: reading)
        let overrides = overrides.filter { CompletionsRequest.takesOverride($0.name) }
        let edits = try OpenAIChat(quirks: quirks).requestEdits(
            scan: scan, model: model, stream: stream, overrides: overrides, dropped: &dropped)
        return scan.applying(edits)
    }

    /// A tap that passes frames on as they are.
    public func makeStreamRelay(stripUsage: Bool) -> any StreamRelay {
        TappedRelay(CompletionsTap(stripsUsage: stripUsage))
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
        guard seen.hasChoices else {
            throw ParleyError(.upstreamUnavailable, "the service sent JSON that is not a completion")
        }
        return seen.observation
    }
}

/// Watches the frames of a completion stream.
struct CompletionsTap: FrameTap {
    private(set) var observed = Observation()
    private(set) var hidesFrame = false
    private let stripsUsage: Bool

    init(stripsUsage: Bool) {
        self.stripsUsage = stripsUsage
    }

    mutating func note(_ data: ByteBuffer) throws(ParleyError) {
        hidesFrame = false
        if data.isTerminator {
            guard observed.isMeaningful else {
                throw ParleyError(.upstreamUnavailable, "The upstream's stream ended without an answer.")
            }
            observed.isComplete = true
            return
        }
        let seen: ChatPayload
        do {
            seen = try ChatPayload(data)
        } catch {
            if data.isBlank { return }
            throw ParleyError(
                .upstreamUnavailable, "The upstream sent a stream event that is not JSON (at byte \(error.offset)).")
        }
        if seen.isError { throw OpenAIChat().decodeFailure(status: 200, headers: HeaderBlock(), body: data) }
        observed.usage.merge(seen.usage)
        if observed.finish == nil { observed.finish = seen.finish }
        if seen.isMeaningful { observed.isMeaningful = true }
        hidesFrame = stripsUsage && seen.hasUsage && !seen.hasChoices
    }

    mutating func finish() throws(ParleyError) {
        guard observed.finish != nil else {
            throw ParleyError(.upstreamUnavailable, "The upstream's stream ended before its answer was complete.")
        }
    }

    /// What an upstream that ends without its terminator owes the client.
    mutating func writeEnd(into out: inout ByteBuffer) {
        observed.isComplete = true
        out.writeStaticString("data: [DONE]\n\n")
    }

    mutating func fail(_ error: ParleyError, into out: inout ByteBuffer) {
        OpenAIChat.writeStreamFailure(error, into: &out)
    }
}
