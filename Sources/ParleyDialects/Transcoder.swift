// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore

/// An upstream's stream in its dialect to a client's stream in another, through neutral events.
public final class Transcoder: StreamRelay {
    private var decoder: any StreamDecoder
    private var encoder: any StreamEncoder
    private var events: [Event] = []
    private var isEnded = false

    /// What was seen of the answer so far.
    public private(set) var observed = Observation()

    /// A transcoder for one answer.
    public init(decoder: any StreamDecoder, encoder: any StreamEncoder) {
        self.decoder = decoder
        self.encoder = encoder
    }

    /// Appends what comes of the bytes that arrived; the end of the answer is written as soon as it is seen.
    ///
    /// What is appended always ends between two frames, also when this throws.
    /// - Throws: the upstream's error inside the stream, or `upstreamUnavailable` for what cannot be read.
    public func push(_ bytes: ByteBuffer, into out: inout ByteBuffer) throws(ParleyError) {
        guard !isEnded else { return }
        let failure: ParleyError?
        do {
            try decoder.push(bytes, into: &events)
            failure = nil
        } catch {
            failure = error
        }
        write(into: &out)
        if let failure { throw failure }
        if decoder.isComplete { end(into: &out) }
    }

    /// The upstream closed its body properly: appends the answer's end.
    ///
    /// - Throws: `upstreamUnavailable` when the answer is not complete; its end is not written then.
    public func finish(into out: inout ByteBuffer) throws(ParleyError) {
        guard !isEnded else { return }
        let failure: ParleyError?
        do {
            try decoder.finish(into: &events)
            failure = nil
        } catch {
            failure = error
        }
        write(into: &out)
        if let failure { throw failure }
        end(into: &out)
    }

    /// Writes an error as the answer's end.
    public func fail(_ error: ParleyError, into out: inout ByteBuffer) {
        isEnded = true
        encoder.fail(error, into: &out)
    }

    /// Whether an event passed that cannot be taken back.
    public var isMeaningful: Bool { observed.isMeaningful }

    /// Whether the answer's proper end was seen.
    public var isComplete: Bool { observed.isComplete }

    private func write(into out: inout ByteBuffer) {
        for event in events {
            observed.note(event)
            encoder.push(event, into: &out)
        }
        events.removeAll(keepingCapacity: true)
    }

    private func end(into out: inout ByteBuffer) {
        isEnded = true
        observed.isComplete = true
        encoder.finish(into: &out)
    }
}

extension Observation {
    /// Takes note of an event that passes.
    public mutating func note(_ event: Event) {
        if event.isMeaningful { isMeaningful = true }
        switch event {
        case .usage(let more): usage.merge(more)
        case .finish(_, let reason): if finish == nil { finish = reason.rawValue }
        case .text(_, let text), .refusal(_, let text), .arguments(_, _, let text): count(text)
        case .reasoning(_, let piece): count(piece.text)
        case .toolCall(_, _, let call): count(call.arguments)
        case .start, .audio, .logprobs, .extra: break
        }
    }

    /// Some vendors send a token at a time, some whole sentences.
    private mutating func count(_ text: String) { pieces = pieces.clampedSum(max(1, text.utf8.count / 4)) }
}
