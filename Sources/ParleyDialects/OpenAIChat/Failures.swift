// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
import NIOCore
import ParleyCore
import ParleyWire

/// OpenAI's error envelope for a failure.
struct FailureEnvelope {
    private let error: ParleyError

    init(_ error: ParleyError) {
        self.error = error
    }

    /// The error's type and code where the failure does not say its own; an empty code stands for null.
    static func words(for error: ParleyError) -> (type: String, code: String?) {
        switch error.kind {
        case .invalid, .upstreamRejected: ("invalid_request_error", nil)
        case .unauthenticated: ("invalid_request_error", "invalid_api_key")
        case .forbidden: ("permission_error", nil)
        case .notFound: ("invalid_request_error", "model_not_found")
        case .methodNotAllowed: ("invalid_request_error", "method_not_supported")
        case .tooLarge: ("invalid_request_error", "request_too_large")
        case .rateLimited: ("rate_limit_error", "rate_limit_exceeded")
        case .quota: ("insufficient_quota", "insufficient_quota")
        case .contentFiltered: ("invalid_request_error", "content_filter")
        case .contextExceeded: ("invalid_request_error", "context_length_exceeded")
        case .upstreamUnavailable: ("server_error", error.httpStatus == 503 ? "overloaded" : "upstream_error")
        case .timeout: ("server_error", "timeout")
        case .cancelled: ("server_error", "cancelled")
        case .notImplemented: ("invalid_request_error", "not_implemented")
        case .internalError: ("server_error", nil)
        }
    }

    func write(into out: inout ByteBuffer) {
        let words = Self.words(for: error)
        let code = error.code ?? words.code ?? ""
        out.writeStaticString("{\"error\":{\"message\":")
        out.writeJSONString(error.message)
        out.writeStaticString(",\"type\":")
        out.writeJSONString(error.type ?? words.type)
        out.writeStaticString(",\"param\":")
        if let parameter = error.parameter {
            out.writeJSONString(parameter)
        } else {
            out.writeStaticString("null")
        }
        out.writeStaticString(",\"code\":")
        if code.isEmpty {
            out.writeStaticString("null")
        } else {
            out.writeJSONString(code)
        }
        out.writeStaticString("}}")
    }
}

/// When another try makes sense, from an upstream's headers.
enum RetryAfter {
    /// Seconds from `retry-after-ms`, or from `retry-after` as seconds or as a date; nil where neither says anything.
    static func seconds(_ headers: HeaderBlock, now: Int) -> Double? {
        if let text = headers.first("retry-after-ms"), let number = Double(text), number.isFinite, number >= 0 {
            return number / 1000
        }
        guard let text = headers.first("retry-after") else { return nil }
        if let number = Double(text) { return number.isFinite && number >= 0 ? number : nil }
        guard let date = date(text) else { return nil }
        return Double(max(0, date - now))
    }

    /// The time in seconds since 1970.
    static func now() -> Int { Glibc.time(nil) }

    /// Seconds since 1970 of a date like `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7).
    static func date(_ text: String) -> Int? {
        let words = text.split { $0 == " " || $0 == "," || $0 == ":" || $0 == "-" }
        guard words.count >= 7, let day = Int(words[1]), var year = Int(words[3]), let hour = Int(words[4]),
            let minute = Int(words[5]), let second = Int(words[6])
        else { return nil }
        let months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
        guard let month = months.firstIndex(of: words[2].lowercased()) else { return nil }
        if year < 100 { year += year < 70 ? 2000 : 1900 }
        guard (1970...9999).contains(year), (1...31).contains(day), (0...23).contains(hour),
            (0...59).contains(minute), (0...60).contains(second)
        else { return nil }
        // Days since 1970 by counting years from March, so that the leap day comes last.
        let shifted = month < 2 ? year - 1 : year
        let era = shifted / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * ((month + 10) % 12) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        let days = era * 146_097 + dayOfEra - 719_468
        return ((days * 24 + hour) * 60 + minute) * 60 + second
    }
}

/// Hides what looks like a credential in text that comes from an upstream.
enum KeyMask {
    private static let prefixes = ["sk-", "sk_", "pk-", "rk-", "gsk_", "xai-", "hf_", "nvapi-", "AIza", "eyJ", "AKIA"]

    /// The text with every key-like word shortened to its prefix and `***`, at most 1,000 characters of it.
    static func mask(_ text: String) -> String {
        var out = ""
        var word = ""
        var isAfterBearer = false
        func flush() {
            guard !word.isEmpty else { return }
            let trailing = word.reversed().prefix { $0 == "." || $0 == "-" }.count
            let core = String(word.dropLast(trailing))
            if let hidden = hidden(core, isAfterBearer: isAfterBearer) {
                out += hidden + String(word.suffix(trailing))
            } else {
                out += word
            }
            isAfterBearer = core.lowercased() == "bearer"
            word = ""
        }
        for character in text.prefix(1000) {
            if isWordCharacter(character) {
                word.append(character)
            } else {
                flush()
                out.append(character)
            }
        }
        flush()
        return out
    }

    private static func isWordCharacter(_ character: Character) -> Bool {
        character.isASCII && (character.isLetter || character.isNumber || "-_.*+~".contains(character))
    }

    private static func hidden(_ word: String, isAfterBearer: Bool) -> String? {
        for prefix in prefixes where word.hasPrefix(prefix) && word.count >= prefix.count + 4 {
            return prefix + "***"
        }
        if isAfterBearer, word.count >= 6 { return "***" }
        if isLong(word) || isUniversalID(word) { return "***" }
        return nil
    }

    /// A run of twenty or more letters and digits with both in it: names have separators, keys do not.
    private static func isLong(_ word: String) -> Bool {
        word.split(whereSeparator: { "-_.*+~".contains($0) }).contains { run in
            run.count >= 20 && run.contains(where: \.isNumber) && run.contains(where: \.isLetter)
        }
    }

    /// Eight, four, four, four and twelve hexadecimal digits: several vendors' keys look so.
    private static func isUniversalID(_ word: String) -> Bool {
        let runs = word.split(separator: "-", omittingEmptySubsequences: false)
        return runs.map(\.count) == [8, 4, 4, 4, 12] && runs.allSatisfy { $0.allSatisfy(\.isHexDigit) }
    }
}
