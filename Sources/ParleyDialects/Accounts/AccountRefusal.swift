// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Refusals of services that are used with somebody's own account: what to renew is said, and nothing of what the service
/// wrote about the credential is repeated.
struct AccountRefusal {
    /// The service's name.
    let vendor: String
    /// What the owner of the account must do when the sign-in no longer holds, as a clause.
    let renewal: String

    /// What to do about a web page, to be appended to the message that one came.
    var pageAdvice: String { " (a sign-in page or a check for browsers); \(renewal)" }

    /// The sign-in was refused.
    var signIn: ParleyError {
        ParleyError(
            .unauthenticated, "\(vendor) refused the sign-in; \(renewal).", code: "invalid_api_key",
            type: "authentication_error")
    }

    /// Reads a refusal of any shape.
    func failure(_ status: Int, _ headers: HeaderBlock, _ body: ByteBuffer) -> ParleyError {
        if Self.isPage(headers, body), status < 500 || Self.isChallenge(headers) {
            return ParleyError(
                .upstreamUnavailable,
                "\(vendor) sent a web page with status \(status) in place of an answer\(pageAdvice).")
        }
        if status == 401 || status == 403 { return signIn }
        let failure = OpenAIChat().decodeFailure(status: status, headers: headers, body: body)
        return failure.kind == .unauthenticated ? signIn : failure
    }

    private static func isPage(_ headers: HeaderBlock, _ body: ByteBuffer) -> Bool {
        if body.trimmed.readableBytesView.first == UInt8(ascii: "<") { return true }
        return headers.first("content-type")?.lowercased().hasPrefix("text/html") == true
    }

    /// Whether a gatekeeper before the service says itself that this is its check for browsers (Cloudflare).
    private static func isChallenge(_ headers: HeaderBlock) -> Bool {
        headers.first("cf-mitigated")?.lowercased() == "challenge"
    }
}
