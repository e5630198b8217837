// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

extension UpstreamFailure {
    /// The failure in Parley's taxonomy.
    ///
    /// A refused credential is the gateway's own, not the client's: it is a 401 of type `authentication_error`. What
    /// the client did wrong keeps the upstream's code and parameter.
    func error() -> ParleyError {
        let kind = kind
        var error = ParleyError(kind, text(for: kind), parameter: parameter.map { String($0.prefix(200)) })
        switch kind {
        case .unauthenticated:
            error.type = "authentication_error"
            error.code = "invalid_api_key"
            error.parameter = nil
        case .upstreamRejected:
            error.code = isWordCode ? code.map { KeyMask.mask($0) } : ""
            error.status = rejectedStatus
        case .upstreamUnavailable where isOverload:
            error.status = 503
            error.code = "overloaded"
        default: break
        }
        if let status = verdict?.status { error.status = status }
        return error
    }

    /// The failure of a vendor with these quirks.
    func error(_ quirks: Quirks) -> ParleyError {
        guard quirks.errorCodes == .zhipu else { return error() }
        var failure = self
        failure.verdict = ZhipuCodes.verdict(code)
        return failure.error()
    }

    private func text(for kind: ParleyError.Kind) -> String {
        let said = KeyMask.mask(message)
        if kind == .unauthenticated {
            let base = "The provider refused the configured API key"
            return said.isEmpty ? base + "." : "\(base): \(said)"
        }
        if !said.isEmpty { return said }
        guard let status else { return "The upstream reported an error without saying which." }
        return "The upstream answered with status \(status)."
    }

    /// Whether the code says more than the status does.
    private var isWordCode: Bool {
        guard let code else { return false }
        if let number = Int(code), (100...599).contains(number) { return false }
        return code != "invalid_request_error"
    }

    private var rejectedStatus: Int? {
        guard let status, (400...499).contains(status), status != 422 else { return nil }
        return status
    }

    // MARK: - Classes

    private var kind: ParleyError.Kind {
        if let kind = vendorKind { return kind }
        if let verdict { return verdict.kind }
        let words = [code ?? "", type ?? "", message].joined(separator: " ").lowercased()
        func says(_ patterns: [String]) -> Bool { patterns.contains { words.contains($0) } }
        let status = status ?? 0
        if status != 429, status < 500 || status == 500 {
            if says(Self.contextPatterns) { return .contextExceeded }
            if status == 451 || status == 498 || says(Self.filterPatterns) { return .contentFiltered }
        }
        if status == 402 || (status < 500 && says(Self.quotaPatterns)) { return .quota }
        if [0, 400, 401, 403].contains(status), status == 401 || says(Self.keyPatterns) { return .unauthenticated }
        return kind(of: status, says: says)
    }

    private func kind(of status: Int, says: ([String]) -> Bool) -> ParleyError.Kind {
        switch status {
        case 403: return .forbidden
        case 404: return .notFound
        case 400 where says(Self.modelPatterns): return .notFound
        case 408, 504: return .timeout
        case 413: return .tooLarge
        // Moonshot says with 429 that its engine is overloaded; waiting helps there too, but it is no limit of ours.
        case 429 where says(["overloaded_error"]): return .upstreamUnavailable
        case 429: return type?.contains("overloaded") == true ? .upstreamUnavailable : .rateLimited
        case 400...498: return .upstreamRejected
        case 499...: return .upstreamUnavailable
        default:
            // Inside an answer that began with 200 only the words tell.
            if says(["rate_limit", "rate limit", "too many requests", "resource_exhausted"]) { return .rateLimited }
            if says(["authentication", "unauthorized", "authfailure"]) { return .unauthenticated }
            if says(["permission", "forbidden", "access_denied"]) { return .forbidden }
            if says(["timeout", "timed out"]) { return .timeout }
            if says(Self.modelPatterns) { return .notFound }
            if says(["invalid_request", "invalid-argument", "invalidparameter", "invalid_parameter", "badrequest"]) {
                return .upstreamRejected
            }
            return .upstreamUnavailable
        }
    }

    /// MiniMax's statuses, and Spark's codes.
    private var vendorKind: ParleyError.Kind? {
        if let sparkCode, hasSparkSession || status ?? 200 == 200 {
            return SparkFailure.kind(sparkCode, message: message)
        }
        guard let vendorStatus else { return nil }
        return switch vendorStatus {
        case 1001: .timeout
        case 1002: .rateLimited
        case 1004, 2049: .unauthenticated
        case 1008: .quota
        case 1026, 1027: .contentFiltered
        case 1039: .contextExceeded
        case 2013: .upstreamRejected
        default: .upstreamUnavailable
        }
    }

    private var isOverload: Bool {
        if status == 503 || status == 529 { return true }
        if let sparkCode, SparkFailure.isOverload(sparkCode) { return true }
        let words = [code ?? "", type ?? "", message].joined(separator: " ").lowercased()
        return words.contains("overload")
    }

    private static let contextPatterns = [
        "context_length_exceeded", "maximum context length", "max context length", "context length exceeded",
        "context window", "prompt is too long", "prompt too long", "too_many_prompt_tokens", "too_many_tokens",
        "input token count", "input tokens exceeded", "reduce the length of the messages",
        "exceeds the maximum number of tokens", "total length of all messages is too long",
        "input length exceeds", "maximum prompt length", "exceed_context_size",
    ]
    private static let filterPatterns = [
        "content_filter", "content_policy", "content filter", "data_inspection_failed", "datainspectionfailed",
        "sensitivecontent", "content_blocked", "content management policy", "system_unsafe",
    ]
    private static let quotaPatterns = [
        "insufficient_quota", "insufficient_balance", "insufficient balance", "insufficient credit",
        "exceeded_current_quota", "exceeded your current quota", "credit balance", "arrearage", "quotaexceeded",
        "billing_hard_limit", "out of credits", "not enough credits",
    ]
    private static let keyPatterns = [
        "incorrect api key", "invalid api key", "invalid api-key", "invalid_api_key", "invalidapikey",
        "api_key_invalid", "api key not valid", "security token", "invalid_authentication", "invalid token",
        "invalid_iam_token",
    ]
    private static let modelPatterns = ["model_not_found", "modelnotfound", "deploymentnotfound", "invalid_model"]
}
