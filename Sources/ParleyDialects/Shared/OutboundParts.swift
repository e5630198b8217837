// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// Names of fields that were left out, each once.
struct DroppedNames {
    private(set) var names: [String] = []

    mutating func add(_ name: String) {
        if !names.contains(name) { names.append(name) }
    }

    mutating func add(_ name: String, if isSaid: Bool) {
        if isSaid { add(name) }
    }
}

extension Loss {
    /// Fields of OpenAI's chat that most vendors have no word for, in a table of losses.
    static func unknown(to vendor: String) -> [Loss] {
        let chat = [
            "audio", "logit_bias", "metadata", "modalities", "moderation", "prediction", "prompt_cache_key",
            "prompt_cache_options", "prompt_cache_retention", "safety_identifier", "service_tier", "store",
            "verbosity", "web_search_options",
        ]
        return chat.map { Loss($0, .dropped, "\(vendor) has none.") }
    }
}

extension Extras {
    /// The fields as a dialect finds them that is not theirs: those of Responses in Chat's words, without what concerns
    /// nobody but the gateway.
    ///
    /// - Parameter dropped: gains the names of fields of Responses that Chat has no word for.
    func inChatWords(dropped: inout [String]) -> JSONObject {
        dialect == .openAIResponses ? ResponsesExtras.forChat(fields, dropped: &dropped) : fields
    }

    /// The fields that an outbound dialect may look into for words of its own, and those that it can only leave out:
    /// a client of OpenAI's dialect and the configuration speak to whatever is behind, others to their own vendor.
    func fields(for dialect: DialectID) -> (own: JSONObject, foreign: [String]) {
        if self.dialect == nil || self.dialect == .openAIChat || self.dialect == dialect { return (fields, []) }
        guard self.dialect == .openAIResponses else { return ([:], fields.members.map(\.key)) }
        var foreign: [String] = []
        let rest = ResponsesExtras.forChat(fields, dropped: &foreign)
        return ([:], foreign + rest.members.map(\.key))
    }
}

extension RequestFault {
    /// A part that the model's provider has nothing for.
    static func unsupported(_ path: String, _ what: String) -> ParleyError {
        ParleyError(
            .invalid, "Invalid value for '\(path)': this model's provider \(what).", code: "unsupported_value",
            parameter: path)
    }

    /// A tool of a kind that only one vendor has.
    static func unsupportedTool(_ tool: Tool) -> ParleyError {
        ParleyError(
            .invalid, "The tool '\(tool.name.prefix(64))' is of a kind this model's provider does not have.",
            code: "unsupported_value", parameter: "tools")
    }

    /// A response format that only one vendor has.
    static var unsupportedFormat: ParleyError {
        ParleyError(
            .invalid, "This response format is one this model's provider does not have.", code: "unsupported_value",
            parameter: "response_format")
    }
}

extension FilePart {
    /// The file's content where it is text that can be said as such: plain, or base64 of a text type.
    var plainText: String? {
        if let text { return text }
        guard let data, let url = DataURL(data), url.mediaType.hasPrefix("text/") else { return nil }
        return Base64Text.decode(url.base64)
    }
}

/// Times as most JSON APIs write them (RFC 3339).
enum Timestamp {
    /// Seconds since 1970 of e.g. `2025-05-19T09:26:59.678947Z` or `…+02:00`; nil where it is none.
    static func seconds(_ text: String) -> Int? {
        let bytes = Array(text.utf8)
        guard bytes.count >= 19, bytes[4] == 0x2D, bytes[7] == 0x2D, bytes[13] == 0x3A, bytes[16] == 0x3A else {
            return nil
        }
        func number(_ range: Range<Int>) -> Int? { Int(String(decoding: bytes[range], as: UTF8.self)) }
        guard let year = number(0..<4), let month = number(5..<7), let day = number(8..<10),
            let hour = number(11..<13), let minute = number(14..<16), let second = number(17..<19),
            (1970...9999).contains(year), (1...12).contains(month), (1...31).contains(day),
            (0...23).contains(hour), (0...59).contains(minute), (0...60).contains(second)
        else { return nil }
        // Days since 1970 by counting years from March, so that the leap day comes last.
        let shifted = month < 3 ? year - 1 : year
        let era = shifted / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
        let days = era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
        return ((days * 24 + hour) * 60 + minute) * 60 + second - offset(bytes[19...])
    }

    /// The zone's distance from UTC in seconds.
    private static func offset(_ rest: ArraySlice<UInt8>) -> Int {
        guard let sign = rest.firstIndex(where: { $0 == 0x2B || $0 == 0x2D }), rest.endIndex - sign >= 6 else {
            return 0
        }
        let hours = Int(String(decoding: rest[sign + 1..<sign + 3], as: UTF8.self)) ?? 0
        let minutes = Int(String(decoding: rest[sign + 4..<sign + 6], as: UTF8.self)) ?? 0
        let seconds = (min(abs(hours), 23) * 60 + min(abs(minutes), 59)) * 60
        return rest[sign] == 0x2D ? -seconds : seconds
    }
}
