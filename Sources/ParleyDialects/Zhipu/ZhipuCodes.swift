// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore

/// What a vendor's own table says of an error code.
struct FailureVerdict: Sendable, Equatable {
    var kind: ParleyError.Kind
    /// The status to answer with; nil takes the kind's own.
    var status: Int?

    init(_ kind: ParleyError.Kind, status: Int? = nil) {
        self.kind = kind
        self.status = status
    }
}

/// Zhipu's error codes: text in version 4, numbers in version 3.
///
/// Source: the error page of docs.z.ai.
enum ZhipuCodes {
    static func verdict(_ code: String?) -> FailureVerdict? {
        guard let code, code.utf8.count == 4, let number = Int(code) else { return nil }
        switch number {
        // Header missing, token bad, expired, refused.
        case 1000...1004: return FailureVerdict(.unauthenticated)
        // The account is not active, missing, locked.
        case 1110...1112, 1121, 1220: return FailureVerdict(.forbidden)
        // In arrears; a day's or a plan's quota is used up.
        case 1113, 1304, 1308...1310: return FailureVerdict(.quota)
        case 1120, 1230, 1234: return FailureVerdict(.upstreamUnavailable)
        case 1210, 1212...1215, 1231: return FailureVerdict(.upstreamRejected)
        case 1211, 1221, 1222: return FailureVerdict(.notFound)
        case 1261: return FailureVerdict(.contextExceeded)
        case 1300, 1301: return FailureVerdict(.contentFiltered)
        // Too many at once, too often, or the platform is full.
        case 1302, 1303, 1305: return FailureVerdict(.rateLimited)
        default: return nil
        }
    }
}

extension UpstreamFailure {
    /// The failure of an answer, judged by a vendor's own table first.
    static func answer(
        _ status: Int, _ headers: HeaderBlock, _ body: ByteBuffer, _ table: (UpstreamFailure) -> FailureVerdict?
    ) -> ParleyError {
        var failure = UpstreamFailure(body: body)
        if status >= 400 { failure.status = status }
        failure.verdict = table(failure)
        var error = failure.error()
        error.retryAfter = RetryAfter.seconds(headers, now: RetryAfter.now())
        return error
    }

    /// The failure in a body with status 200, judged by a vendor's own table first.
    static func embedded(_ value: JSONValue, _ table: (UpstreamFailure) -> FailureVerdict?) -> ParleyError {
        var failure = UpstreamFailure(value)
        failure.verdict = table(failure)
        return failure.error()
    }
}
