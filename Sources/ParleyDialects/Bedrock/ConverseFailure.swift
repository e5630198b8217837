// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// An exception of Bedrock, from an error answer or from inside a stream.
///
/// The names and statuses are those of botocore's service model and of AWS's common errors.
struct ConverseFailure {
    /// The exception's name without namespace, lower case and without `exception` at its end; empty where unknown.
    var type = ""
    var message = ""
    /// The HTTP status, where the error came as an answer of its own.
    var status: Int?

    init(type: String, message: String) {
        self.type = Self.name(type)
        self.message = message
    }

    /// Reads an error's body: `message` or `Message`, and the class where the body says it.
    init(body: ByteBuffer) {
        if let value = try? JSON.parse(body.trimmed) {
            self.init(value)
        } else {
            let text = String(decoding: body.trimmed.readableBytesView.prefix(400), as: UTF8.self)
            self.init(type: "", message: text.hasPrefix("<") ? "" : text.filter { !$0.isNewline })
        }
    }

    /// Reads an error that is JSON already.
    init(_ value: JSONValue) {
        for key in ["message", "Message", "errorMessage"] {
            if let text = value[key]?.string, !text.isEmpty {
                message = text
                break
            }
        }
        for key in ["__type", "code", "Code"] {
            if let text = value[key]?.string, !text.isEmpty {
                type = Self.name(text)
                break
            }
        }
        // The mantle endpoints answer as OpenAI does.
        if message.isEmpty, let error = value["error"] { message = error["message"]?.string ?? "" }
    }

    /// `com.amazon.coral#ValidationException:http://…` as `validation`.
    static func name(_ text: String) -> String {
        let plain = text.prefix { $0 != ":" }.split(separator: "#").last.map { $0.lowercased() } ?? ""
        for ending in ["exception", "error"] where plain.hasSuffix(ending) && plain.count > ending.count {
            return String(plain.dropLast(ending.count))
        }
        return plain
    }

    /// The failure in Parley's taxonomy.
    func error() -> ParleyError {
        let kind = kind
        var error = ParleyError(kind, text(for: kind))
        switch kind {
        case .unauthenticated:
            error.type = "authentication_error"
            error.code = "invalid_api_key"
        case .upstreamUnavailable where isOverload:
            error.status = 503
            error.code = "overloaded"
        case .upstreamRejected:
            if let status, (400...499).contains(status), status != 422 { error.status = status }
        default: break
        }
        return error
    }

    private func text(for kind: ParleyError.Kind) -> String {
        let said = KeyMask.mask(message)
        if kind == .unauthenticated {
            let base = "The provider refused the configured credentials"
            return said.isEmpty ? base + "." : "\(base): \(said)"
        }
        if !said.isEmpty { return said }
        if let status { return "The upstream answered with status \(status)." }
        return "The upstream reported an error without saying which."
    }

    private var isOverload: Bool { type == "serviceunavailable" || type == "modelnotready" || status == 503 }

    // MARK: - Classes

    private var kind: ParleyError.Kind {
        switch type {
        case "validation": validationKind
        case "servicequotaexceeded": .quota
        case "throttling", "toomanyrequests", "requestlimitexceeded": throttlingKind
        case "accessdenied": says(["api key", "bearer token"]) ? .unauthenticated : .forbidden
        case "unrecognizedclient", "expiredtoken", "invalidsignature", "invalidclienttokenid",
            "missingauthenticationtoken", "missingauthentication", "incompletesignature", "signaturedoesnotmatch",
            "unauthorized", "authfailure", "notauthorized", "requestexpired":
            .unauthenticated
        case "resourcenotfound", "modelnotfound", "unknownoperation": .notFound
        case "modeltimeout", "requesttimeout": .timeout
        case "model", "modelstream", "modelnotready", "internalserver", "internalfailure", "internal",
            "serviceunavailable", "dependencyfailed":
            .upstreamUnavailable
        case "requestentitytoolarge": .tooLarge
        default: statusKind
        }
    }

    private var validationKind: ParleyError.Kind {
        if says(Self.contextPatterns) { return .contextExceeded }
        if says(["model identifier is invalid", "model id is invalid"]) { return .notFound }
        if says(["content filtering policy", "blocked by content filter"]) { return .contentFiltered }
        return .upstreamRejected
    }

    /// A day's tokens do not come back while somebody waits.
    private var throttlingKind: ParleyError.Kind { says(["tokens per day"]) ? .quota : .rateLimited }

    private var statusKind: ParleyError.Kind {
        switch status ?? 0 {
        case 400: validationKind
        case 401: .unauthenticated
        case 403: says(Self.credentialPatterns) ? .unauthenticated : .forbidden
        case 404: .notFound
        case 408, 504: .timeout
        case 413: .tooLarge
        case 424: .upstreamUnavailable
        case 429: throttlingKind
        case 400...498: .upstreamRejected
        default: .upstreamUnavailable
        }
    }

    private func says(_ patterns: [String]) -> Bool {
        let words = message.lowercased()
        return patterns.contains { words.contains($0) }
    }

    private static let contextPatterns = [
        "input is too long", "prompt is too long", "too many input tokens", "input tokens exceed", "context window",
        "maximum context length", "context length", "exceeds the maximum number of tokens", "expected maxlength",
        "total tokens exceed", "input length exceeds",
    ]
    private static let credentialPatterns = [
        "signature", "security token", "api key", "credential", "authentication", "expired",
    ]
}
