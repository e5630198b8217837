// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// What the errors of Claude's web site mean.
enum ClaudeWebFailure {
    static let refusal = AccountRefusal(
        vendor: "Claude's web site",
        renewal: "sign in at claude.ai in a browser and renew `cookie` in the configuration")

    /// The longest time that the site can ask to wait.
    private static let longestWait = 30.0 * 86_400
    /// From here on a time is in thousandths of a second.
    private static let milliseconds = 100_000_000_000

    /// An answer with a status other than 2xx.
    static func error(_ status: Int, _ headers: HeaderBlock, _ body: ByteBuffer) -> ParleyError {
        let value = try? JSON.parse(body.trimmed)
        let type = value?["error"]?["type"]?.string
        if status == 429 { return limit(value, retryAfter: RetryAfter.seconds(headers, now: RetryAfter.now())) }
        if status == 404 {
            return ParleyError(.upstreamUnavailable, "Claude's web site does not have the conversation any more.")
        }
        let failure = refusal.failure(status, headers, body)
        guard status >= 500 || type == "overloaded_error" else { return failure }
        // A gatekeeper's page says what to renew, whatever its status.
        return failure.message.hasSuffix(refusal.pageAdvice + ".") ? failure : overload
    }

    /// An error in the place of an event.
    static func error(_ value: JSONValue) -> ParleyError {
        switch value["error"]?["type"]?.string {
        case "authentication_error", "permission_error": refusal.signIn
        case "rate_limit_error": limit(value, retryAfter: nil)
        case "overloaded_error": overload
        default: UpstreamFailure(value).error()
        }
    }

    private static var overload: ParleyError {
        ParleyError(
            .upstreamUnavailable, "Claude's web site is overloaded or out of order; try again later.",
            code: "overloaded", status: 503)
    }

    /// The account's limit of messages: when it ends is in JSON inside the message.
    private static func limit(_ value: JSONValue?, retryAfter: Double?) -> ParleyError {
        let error = value?["error"]
        let inner = error?["message"]?.string.flatMap { try? JSON.parse($0) }
        let time = inner?["resetsAt"]?.int ?? error?["resetsAt"]?.int ?? value?["resetsAt"]?.int
        var wait = retryAfter
        if let time, time > 0 {
            let seconds = time >= milliseconds ? time / 1000 : time
            wait = min(longestWait, Double(max(0, seconds.clampedSum(-RetryAfter.now()))))
        }
        let end = wait.map { " It ends in \(Int(min($0, longestWait))) s." } ?? ""
        return ParleyError(
            .rateLimited, "The account's limit of messages at Claude's web site is reached.\(end)", retryAfter: wait)
    }
}
