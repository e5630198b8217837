// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

/// Alibaba DashScope's own API, as DashScope answers it; Parley's clients do not speak it.
///
/// Source: the official SDK, one-api's adaptor and the vendor's reference.
public struct DashScope: OutboundDialect {
    private let isMultimodal: Bool
    private let isCumulative: Bool

    /// DashScope's generation.
    ///
    /// - Parameters:
    ///   - multimodal: whether requests go to `multimodal-generation`, where contents are lists.
    ///   - cumulative: whether each event of a stream has the answer so far, as without `incremental_output`.
    public init(multimodal: Bool = false, cumulative: Bool = false) {
        isMultimodal = multimodal
        isCumulative = cumulative
    }

    /// `dashscope`.
    public var id: DialectID { .dashscope }

    /// What DashScope's generation has no words for.
    public var losses: [Loss] { DashScopeRequestEncoder.losses }

    /// Writes a request for an upstream.
    ///
    /// - Throws: `invalid` where something that matters cannot be carried.
    public func encodeRequest(_ request: ChatRequest, dropped: inout [String]) throws(ParleyError) -> ByteBuffer {
        var encoder = DashScopeRequestEncoder(isMultimodal: isMultimodal, isCumulative: isCumulative)
        let object = try encoder.encode(request)
        for name in encoder.dropped.names where !dropped.contains(name) { dropped.append(name) }
        var buffer = ByteBuffer()
        buffer.writeJSON(.object(object))
        return buffer
    }

    /// A decoder for one upstream stream.
    public func makeStreamDecoder() -> any StreamDecoder { DashScopeStreamDecoder(isCumulative: isCumulative) }

    /// Reads an upstream's whole answer.
    ///
    /// - Throws: the upstream's error where the answer is one; `upstreamUnavailable` where it is unreadable.
    public func decodeWhole(_ body: ByteBuffer) throws(ParleyError) -> ChatResponse {
        var events: [Event] = []
        do {
            let value = try JSON.parse(body.trimmed)
            var reader = DashScopeAnswerReader(isCumulative: false)
            try reader.read(value, into: &events)
            reader.finish(into: &events)
        } catch let error as JSONError {
            guard body.looksLikeEvents else {
                throw ParleyError(
                    .upstreamUnavailable, "The upstream's answer is not JSON (byte \(error.offset): \(error.message)).")
            }
            var decoder = makeStreamDecoder()
            try decoder.push(body, into: &events)
            try decoder.finish(into: &events)
        } catch let error as ParleyError {
            throw error
        } catch {
            throw ParleyError(.upstreamUnavailable, "The upstream's answer cannot be read.")
        }
        var collector = ChatCollector()
        for event in events { collector.add(event) }
        return collector.response()
    }

    /// Reads an upstream's error: `{"code", "message", "request_id"}`.
    public func decodeFailure(status: Int, headers: HeaderBlock, body: ByteBuffer) -> ParleyError {
        UpstreamFailure.answer(status, headers, body, DashScopeCodes.verdict)
    }
}

/// DashScope's error codes.
///
/// Source: the vendor's table of error codes.
enum DashScopeCodes {
    static func failure(_ value: JSONValue) -> ParleyError { UpstreamFailure.embedded(value, verdict) }

    static func verdict(_ failure: UpstreamFailure) -> FailureVerdict? {
        guard let code = failure.code else { return nil }
        if failure.message.contains("Range of input length should be") { return FailureVerdict(.contextExceeded) }
        switch code {
        case "InvalidApiKey": return FailureVerdict(.unauthenticated)
        case "ModelNotFound", "WorkSpaceNotFound": return FailureVerdict(.notFound)
        case "InvalidParameter", "InvalidURL": return FailureVerdict(.upstreamRejected)
        case "DataInspectionFailed": return FailureVerdict(.contentFiltered)
        // What is not paid for is told with 400 and with 429.
        case "Arrearage", "PrepaidBillOverdue", "PostpaidBillOverdue": return FailureVerdict(.quota)
        case "LimitRequests": return FailureVerdict(.rateLimited)
        case "RequestTimeOut", "InternalError.Timeout": return FailureVerdict(.timeout)
        case "ModelUnavailable", "ModelServingError": return FailureVerdict(.upstreamUnavailable, status: 503)
        default: break
        }
        if code.hasSuffix("AccessDenied") || code.hasPrefix("AccessDenied.") { return FailureVerdict(.forbidden) }
        if code.hasPrefix("BadRequest.") { return FailureVerdict(.upstreamRejected) }
        if code.hasPrefix("Throttling") { return FailureVerdict(.rateLimited) }
        return code.hasPrefix("InternalError") ? FailureVerdict(.upstreamUnavailable) : nil
    }
}
