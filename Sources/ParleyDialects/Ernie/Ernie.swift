// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

/// Baidu's older API of ERNIE (`wenxinworkshop`), as Baidu answers it; the model is in the path. Parley's clients do not
/// speak it. The newer one is OpenAI's chat.
///
/// Source: the official SDK, one-api's adaptor, and recorded traffic.
public struct Ernie: OutboundDialect {
    /// ERNIE's chat.
    public init() {}

    /// `ernie`.
    public var id: DialectID { .ernie }

    /// What ERNIE's chat has no words for.
    public var losses: [Loss] { ErnieRequestEncoder.losses }

    /// Writes a request for an upstream.
    ///
    /// - Throws: `invalid` where something that matters cannot be carried.
    public func encodeRequest(_ request: ChatRequest, dropped: inout [String]) throws(ParleyError) -> ByteBuffer {
        var encoder = ErnieRequestEncoder()
        let object = try encoder.encode(request)
        for name in encoder.dropped.names where !dropped.contains(name) { dropped.append(name) }
        var buffer = ByteBuffer()
        buffer.writeJSON(.object(object))
        return buffer
    }

    /// A decoder for one upstream stream.
    public func makeStreamDecoder() -> any StreamDecoder { ErnieStreamDecoder() }

    /// Reads an upstream's whole answer.
    ///
    /// - Throws: the upstream's error where the answer is one; `upstreamUnavailable` where it is unreadable.
    public func decodeWhole(_ body: ByteBuffer) throws(ParleyError) -> ChatResponse {
        let value: JSONValue
        do {
            value = try JSON.parse(body.trimmed)
        } catch {
            if body.looksLikeEvents { return try collect(body) }
            throw ParleyError(
                .upstreamUnavailable, "The upstream's answer is not JSON (byte \(error.offset): \(error.message)).")
        }
        guard let object = value.object, ErnieParts.isAnswer(object) else { throw ErnieCodes.failure(value) }
        var events: [Event] = []
        var reader = ErnieAnswerReader()
        reader.read(object, into: &events)
        reader.end(object, into: &events)
        return collected(events)
    }

    /// Reads a stream that came where a whole answer was asked for.
    private func collect(_ body: ByteBuffer) throws(ParleyError) -> ChatResponse {
        var decoder = ErnieStreamDecoder()
        var events: [Event] = []
        try decoder.push(body, into: &events)
        try decoder.finish(into: &events)
        return collected(events)
    }

    private func collected(_ events: [Event]) -> ChatResponse {
        var collector = ChatCollector()
        for event in events { collector.add(event) }
        return collector.response()
    }

    /// Reads an upstream's error: `{"error_code", "error_msg"}`, mostly with status 200.
    public func decodeFailure(status: Int, headers: HeaderBlock, body: ByteBuffer) -> ParleyError {
        UpstreamFailure.answer(status, headers, body, ErnieCodes.verdict)
    }
}

/// Baidu's error codes.
///
/// Source: the vendor's table, by way of the official SDK and one-api.
enum ErnieCodes {
    static func failure(_ value: JSONValue) -> ParleyError { UpstreamFailure.embedded(value, verdict) }

    static func verdict(_ failure: UpstreamFailure) -> FailureVerdict? {
        guard let number = failure.code.flatMap({ Int($0) }) else { return nil }
        switch number {
        case 1, 336000, 500000: return FailureVerdict(.upstreamUnavailable)
        case 2, 336100: return FailureVerdict(.upstreamUnavailable, status: 503)
        case 3, 336005: return FailureVerdict(.notFound)
        case 4, 17, 19: return FailureVerdict(.quota)
        case 6, 336004: return FailureVerdict(.forbidden)
        // No token service, a signature refused, no such app; a token that is none or is over.
        case 13...15, 110, 111: return FailureVerdict(.unauthenticated)
        case 18, 336501, 336502: return FailureVerdict(.rateLimited)
        case 100, 336001...336003, 336006, 336101, 336104, 336105: return FailureVerdict(.upstreamRejected)
        case 336007, 336103: return FailureVerdict(.contextExceeded)
        // The codes of content reviews begin here.
        case 336110...336119: return FailureVerdict(.contentFiltered)
        default: return nil
        }
    }
}
