// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Anthropic's errors, read and written.
enum AnthropicFailure {
    /// The statuses that go with Anthropic's words for errors, for those that come inside a stream.
    private static let statuses = [
        "invalid_request_error": 400, "authentication_error": 401, "billing_error": 402, "permission_error": 403,
        "not_found_error": 404, "request_too_large": 413, "rate_limit_error": 429, "api_error": 500,
        "timeout_error": 504, "overloaded_error": 529,
    ]

    /// Reads an error answer's body: Anthropic's envelope, anybody else's, plain text or a page.
    static func decode(status: Int, headers: HeaderBlock, body: ByteBuffer) -> ParleyError {
        var failure = UpstreamFailure(body: body)
        if status >= 400 {
            failure.status = status
        } else if let own = failure.type.flatMap({ statuses[$0] }) {
            failure.status = own
        }
        let type = failure.type
        var error = failure.error()
        let words = failure.message.lowercased()
        if error.kind == .upstreamRejected {
            if words.contains("exceed context limit") {
                error = ParleyError(.contextExceeded, error.message)
            } else if words.contains("api usage limits") || type == "billing_error" {
                error = ParleyError(.quota, error.message)
            } else {
                error.type = type.flatMap { statuses[$0] == nil ? nil : $0 }
            }
        }
        error.retryAfter = RetryAfter.seconds(headers, now: RetryAfter.now())
        return error
    }

    /// Reads an error inside an answer that began with status 200.
    static func inStream(_ data: ByteBuffer) -> ParleyError {
        decode(status: 200, headers: HeaderBlock(), body: data)
    }

    /// Anthropic's word for a failure.
    static func type(of error: ParleyError) -> String {
        if let own = error.type, statuses[own] != nil { return own }
        return switch error.kind {
        case .invalid, .methodNotAllowed, .contentFiltered, .contextExceeded, .upstreamRejected, .notImplemented:
            "invalid_request_error"
        case .unauthenticated: "authentication_error"
        case .forbidden: "permission_error"
        case .notFound: "not_found_error"
        case .tooLarge: "request_too_large"
        case .rateLimited: "rate_limit_error"
        case .quota: "billing_error"
        case .upstreamUnavailable: error.httpStatus == 503 || error.httpStatus == 529 ? "overloaded_error" : "api_error"
        case .timeout: "timeout_error"
        case .cancelled, .internalError: "api_error"
        }
    }

    /// Writes the envelope.
    static func write(_ error: ParleyError, into out: inout ByteBuffer) {
        out.writeStaticString("{\"type\":\"error\",\"error\":{\"type\":")
        out.writeJSONString(type(of: error))
        out.writeStaticString(",\"message\":")
        out.writeJSONString(message(of: error))
        out.writeStaticString("}}")
    }

    /// Writes the envelope as an event.
    static func writeEvent(_ error: ParleyError, into out: inout ByteBuffer) {
        out.writeStaticString("event: error\ndata: ")
        write(error, into: &out)
        out.writeStaticString("\n\n")
    }

    /// The message, in the words that clients look for where they have none else: coding agents shorten a conversation
    /// only when they read that the prompt is too long. The envelope has no place but the message for a field's path.
    private static func message(of error: ParleyError) -> String {
        if error.kind == .contextExceeded, !error.message.lowercased().contains("prompt is too long") {
            return "prompt is too long: \(error.message)"
        }
        guard let path = error.parameter, !path.isEmpty, !error.message.contains(path) else { return error.message }
        return "\(path): \(error.message)"
    }
}
