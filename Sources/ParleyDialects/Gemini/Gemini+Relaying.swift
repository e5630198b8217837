// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

extension Gemini: RelayingDialect {
    /// Answers are passed on, but for clients that want an array.
    public var relaysAnswers: Bool { true }

    /// An upstream is only asked for events.
    public func relays(_ call: Call) -> Bool { !call.asArray }

    /// Usage is in every stream.
    public var asksForUsage: Bool { false }

    /// The request as it came: what changes is in the path. Nil where configuration sets fields, or the service does
    /// not take what is in it.
    public func splice(
        _ body: ByteBuffer, reading: (any RequestReading)?, model: String, stream: Bool, overrides: [FieldOverride],
        dropped: inout [String]
    ) throws(ParleyError) -> ByteBuffer? {
        guard overrides.isEmpty, !body.contains("\"generateContentRequest\"") else { return nil }
        guard !ReasoningSeal.occursAsBytes(in: body) else { return nil }
        if platform == .vertex, body.contains("\"id\""), body.contains("\"function") { return nil }
        if !jsonSchemaFields, body.contains("JsonSchema\"") || body.contains("json_schema\"") { return nil }
        return body
    }

    /// A tap that passes frames on as they are.
    public func makeStreamRelay(stripUsage: Bool) -> any StreamRelay { TappedRelay(GeminiTap()) }

    /// Finds usage, finish reason and errors in a whole answer.
    public func inspectWhole(_ body: ByteBuffer) throws(ParleyError) -> Observation {
        var tap = GeminiTap()
        try tap.note(body.trimmed)
        guard tap.hasCandidates else {
            throw ParleyError(.upstreamUnavailable, "the service sent JSON that is not an answer")
        }
        tap.observed.isMeaningful = true
        tap.observed.isComplete = true
        return tap.observed
    }
}

/// Watches a stream of Gemini's that is passed on.
struct GeminiTap: FrameTap {
    var observed = Observation()
    private(set) var hasCandidates = false

    mutating func note(_ data: ByteBuffer) throws(ParleyError) {
        let scan: JSONScan
        do {
            scan = try JSONScan(data)
        } catch {
            throw ParleyError(
                .upstreamUnavailable, "The upstream sent an event that is not JSON (at its byte \(error.offset)).")
        }
        if let error = scan.member(named: "error"), !scan.isNull(error) {
            throw GeminiFailure.read(status: 200, headers: HeaderBlock(), body: data)
        }
        let candidates = scan.elements("candidates") ?? []
        if candidates.isEmpty, !hasCandidates, let reason = Self.blockReason(scan) {
            throw GeminiFinish.blocked(reason)
        }
        if let usage = scan.object("usageMetadata") { observed.usage.merge(GeminiUsage.read(usage)) }
        for range in candidates {
            guard let candidate = scan.object(range) else { continue }
            hasCandidates = true
            try note(candidate)
        }
    }

    private static func blockReason(_ scan: JSONScan) -> String? {
        guard let feedback = scan.object("promptFeedback"), let reason = feedback.member(named: "blockReason") else {
            return nil
        }
        return feedback.string(reason)
    }

    private mutating func note(_ candidate: JSONScan) throws(ParleyError) {
        if !observed.isMeaningful, let content = candidate.object("content"), let parts = content.elements("parts") {
            observed.isMeaningful = parts.contains { Self.isMeaningful(content.object($0)) }
        }
        guard let word = candidate.member(named: "finishReason").flatMap({ candidate.string($0) }) else { return }
        let meaning = GeminiFinish.read(word)
        if case .broken = meaning, !observed.isMeaningful {
            throw GeminiFinish.failure(
                word, candidate.member(named: "finishMessage").flatMap { candidate.string($0) })
        }
        guard meaning != .none else { return }
        if observed.finish == nil { observed.finish = word }
        observed.isMeaningful = true
    }

    /// Whether a part is more than an empty text.
    private static func isMeaningful(_ part: JSONScan?) -> Bool {
        guard let part else { return false }
        return part.members.contains { !part.isBlank($0) }
    }

    mutating func finish() throws(ParleyError) {
        guard observed.finish != nil else {
            throw ParleyError(.upstreamUnavailable, "The upstream ended the stream before it was complete.")
        }
        observed.isComplete = true
    }

    mutating func fail(_ error: ParleyError, into out: inout ByteBuffer) {
        Gemini().encodeStreamFailure(error, into: &out)
    }
}
