// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Google's errors: alone, in an array, inside a stream.
enum GeminiFailure {
    static func read(status: Int, headers: HeaderBlock, body: ByteBuffer) -> ParleyError {
        let value = try? JSON.parse(body)
        var error = Reading(value ?? .null, status: status).error()
        if error.retryAfter == nil { error.retryAfter = RetryAfter.seconds(headers, now: RetryAfter.now()) }
        return error
    }

    /// The error in a stream's frame or in an answer with a good status; nil where there is none.
    static func embedded(_ object: JSONObject) -> ParleyError? {
        guard let value = object["error"], !value.isNull else { return nil }
        return Reading(.object(object), status: 200).error()
    }

    private struct Reading {
        var status: Int
        var word = ""
        var message = ""
        var reasons: [String] = []
        var quotas: [String] = []
        var retryAfter: Double?

        init(_ value: JSONValue, status: Int) {
            let outer = value.array?.first ?? value
            let error = outer["error"] ?? outer
            self.status = status
            message = error["message"]?.string ?? error.string ?? ""
            word = error["status"]?.string ?? ""
            if status < 400 { self.status = error["code"]?.int ?? 0 }
            for detail in error["details"]?.array ?? [] {
                if let reason = detail["reason"]?.string { reasons.append(reason) }
                for violation in detail["violations"]?.array ?? [] {
                    if let id = violation["quotaId"]?.string ?? violation["subject"]?.string { quotas.append(id) }
                }
                if let delay = detail["retryDelay"]?.string, delay.hasSuffix("s"),
                    let seconds = Double(delay.dropLast()), seconds.isFinite, seconds >= 0
                {
                    retryAfter = seconds
                }
            }
        }

        func error() -> ParleyError {
            let kind = kind
            var error = ParleyError(kind, text(for: kind), retryAfter: retryAfter)
            switch kind {
            case .unauthenticated:
                error.type = "authentication_error"
                error.code = "invalid_api_key"
            case .upstreamRejected:
                error.code = ""
                if (400...499).contains(status) { error.status = status }
            case .upstreamUnavailable where status == 503 || says(["overloaded"]):
                error.status = 503
                error.code = "overloaded"
            default: break
            }
            return error
        }

        private func text(for kind: ParleyError.Kind) -> String {
            let said = KeyMask.mask(message)
            if kind == .unauthenticated {
                let base = "The provider refused the configured API key"
                return said.isEmpty ? base + "." : "\(base): \(said)"
            }
            if !said.isEmpty { return said }
            guard status > 0 else { return "The upstream reported an error without saying which." }
            return "The upstream answered with status \(status)."
        }

        private func says(_ patterns: [String]) -> Bool {
            let text = message.lowercased()
            return patterns.contains { text.contains($0) }
        }

        private var kind: ParleyError.Kind {
            if reasons.contains("API_KEY_INVALID") || says(["api key not valid", "api key expired"]) {
                return .unauthenticated
            }
            switch (status, word) {
            case (401, _), (0, "UNAUTHENTICATED"): return .unauthenticated
            case (403, _), (0, "PERMISSION_DENIED"):
                return says(["unregistered callers", "reported as leaked"]) ? .unauthenticated : .forbidden
            case (404, _), (0, "NOT_FOUND"): return .notFound
            case (408, _), (504, _), (0, "DEADLINE_EXCEEDED"): return .timeout
            case (413, _): return .tooLarge
            case (429, _), (0, "RESOURCE_EXHAUSTED"):
                let isUsedUp = quotas.contains { $0.contains("PerDay") } || says(["credits are depleted", "per day"])
                return isUsedUp ? .quota : .rateLimited
            case (400, "FAILED_PRECONDITION"): return .forbidden
            case (400...498, _), (0, "INVALID_ARGUMENT"):
                if says(["maximum number of tokens", "input token count"]) { return .contextExceeded }
                if says(["location is not supported"]) { return .forbidden }
                return .upstreamRejected
            default: return .upstreamUnavailable
            }
        }
    }

    // MARK: - Writing

    /// Google's envelope.
    static func envelope(_ error: ParleyError) -> JSONValue {
        var details: [JSONValue] = []
        if let reason = error.code.flatMap({ $0.isEmpty ? nil : $0 }) ?? reason(of: error) {
            details.append([
                "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": .string(reason.uppercased()),
                "domain": "parley",
            ])
        }
        if let parameter = error.parameter {
            details.append([
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "fieldViolations": [["field": .string(parameter), "description": .string(error.message)]],
            ])
        }
        if let seconds = error.retryAfter, seconds.isFinite, seconds >= 0 {
            details.append([
                "@type": "type.googleapis.com/google.rpc.RetryInfo",
                "retryDelay": .string(JSON.text(.double(seconds)) + "s"),
            ])
        }
        var body: JSONObject = [
            "code": .int(error.httpStatus), "message": .string(error.message), "status": .string(word(error)),
        ]
        if !details.isEmpty { body.members.append(.init("details", .array(details))) }
        return ["error": .object(body)]
    }

    private static func reason(of error: ParleyError) -> String? {
        switch error.kind {
        case .unauthenticated: "API_KEY_INVALID"
        case .quota: "INSUFFICIENT_QUOTA"
        case .contentFiltered: "CONTENT_FILTER"
        case .contextExceeded: "CONTEXT_LENGTH_EXCEEDED"
        default: nil
        }
    }

    private static func word(_ error: ParleyError) -> String {
        switch error.kind {
        case .invalid, .upstreamRejected, .contentFiltered, .contextExceeded, .tooLarge: "INVALID_ARGUMENT"
        case .unauthenticated: "UNAUTHENTICATED"
        case .forbidden: "PERMISSION_DENIED"
        case .notFound: "NOT_FOUND"
        case .methodNotAllowed, .notImplemented: "UNIMPLEMENTED"
        case .rateLimited, .quota: "RESOURCE_EXHAUSTED"
        case .upstreamUnavailable: "UNAVAILABLE"
        case .timeout: "DEADLINE_EXCEEDED"
        case .cancelled: "CANCELLED"
        case .internalError: "INTERNAL"
        }
    }
}

/// Why Gemini ended an answer.
enum GeminiFinish {
    enum Meaning: Equatable {
        case none
        case finish(FinishReason)
        /// The answer is no good; what came before it may be.
        case broken(String)
    }

    static func read(_ word: String?) -> Meaning {
        switch word {
        case nil, "", "FINISH_REASON_UNSPECIFIED": .none
        case "STOP": .finish(.stop)
        case "MAX_TOKENS": .finish(.length)
        case "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "IMAGE_SAFETY",
            "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "MODEL_ARMOR":
            .finish(.contentFilter)
        case let word?: .broken(word)
        }
    }

    static func word(_ reason: FinishReason) -> String {
        switch reason {
        case .stop, .toolCalls, .functionCall: "STOP"
        case .length: "MAX_TOKENS"
        case .contentFilter: "SAFETY"
        }
    }

    /// The failure that an answer without content is.
    static func failure(_ word: String, _ message: String?) -> ParleyError {
        let said = message.map { ": " + KeyMask.mask($0) } ?? "."
        return ParleyError(
            .upstreamUnavailable, "The upstream broke off its answer (finish reason '\(word.prefix(40))')\(said)")
    }

    /// The failure that a refused prompt is.
    static func blocked(_ reason: String) -> ParleyError {
        ParleyError(
            .contentFiltered, "The prompt was blocked by the provider's filter (\(reason.prefix(40))).")
    }
}
