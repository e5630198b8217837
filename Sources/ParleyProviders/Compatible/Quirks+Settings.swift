// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore
import ParleyDialects

extension Quirks {
    /// Takes in the `quirks` of a configuration: the properties of this type by their snake-case names.
    mutating func apply(_ settings: JSONObject) throws(ProviderError) {
        for member in settings.members {
            try apply(member.key, member.value)
        }
    }

    /// The quirks that are on or off.
    private static let flags: [(String, any WritableKeyPath<Quirks, Bool> & Sendable)] = [
        ("stream_options", \.streamOptions),
        ("refuses_unknown_fields", \.refusesUnknownFields),
        ("legacy_functions", \.legacyFunctions),
        ("developer_is_system", \.developerIsSystem),
        ("short_tool_ids", \.shortToolIDs),
        ("single_choice", \.singleChoice),
        ("accepts_reasoning_back", \.acceptsReasoningBack),
        ("foreign_reasoning", \.foreignReasoning),
        ("cache_control", \.cacheControl),
        ("thought_signatures", \.thoughtSignatures),
        ("document_urls", \.documentURLs),
        ("inline_thinking", \.inlineThinking),
        ("cumulative_message", \.cumulativeMessage),
        ("repeats_answer", \.repeatsAnswer),
        ("reasoning_outside_output", \.reasoningOutsideOutput),
        ("rewrites_answers", \.rewritesAnswers),
        ("rewrites_requests", \.rewritesRequests),
        ("completions", \.completions),
        ("responses", \.responses),
    ]

    private mutating func apply(_ name: String, _ value: JSONValue) throws(ProviderError) {
        let setting = "quirks.\(name)"
        if let flag = Self.flags.first(where: { $0.0 == name }) {
            guard let isOn = value.bool else { throw ProviderError("must be true or false", setting: setting) }
            self[keyPath: flag.1] = isOn
            return
        }
        switch name {
        case "length_field":
            switch value.string {
            case "as_sent": lengthField = .asSent
            case "max_tokens": lengthField = .maxTokens
            case "max_completion_tokens": lengthField = .maxCompletionTokens
            default:
                throw ProviderError("must be as_sent, max_tokens or max_completion_tokens", setting: setting)
            }
        case "renamed_fields":
            guard let object = value.object else {
                throw ProviderError("must map names to names", setting: setting)
            }
            for member in object.members {
                guard let new = member.value.string, !new.isEmpty else {
                    throw ProviderError("must map names to names", setting: setting)
                }
                renamedFields[member.key] = new
            }
        case "dropped_fields": droppedFields = try Self.names(value, setting)
        case "known_fields": knownFields = try Self.names(value, setting)
        case "reasoning_field":
            guard let text = value.string, !text.isEmpty else {
                throw ProviderError("must be a field's name", setting: setting)
            }
            reasoningField = text
        case "embeddings":
            guard let style = value.string.flatMap(EmbeddingStyle.init(rawValue:)) else {
                let words = EmbeddingStyle.allCases.map(\.rawValue).joined(separator: ", ")
                throw ProviderError("must be one of \(words)", setting: setting)
            }
            embeddings = style
        case "error_codes":
            guard let codes = value.string.flatMap(ErrorCodes.init(rawValue:)) else {
                let words = ErrorCodes.allCases.map(\.rawValue).joined(separator: ", ")
                throw ProviderError("must be one of \(words)", setting: setting)
            }
            errorCodes = codes
        case "required_tool_choice":
            guard value.isNull || value.string != nil else {
                throw ProviderError("must be text", setting: setting)
            }
            requiredToolChoice = value.string
        default:
            throw ProviderError("is not a known quirk", setting: setting)
        }
    }

    private static func names(_ value: JSONValue, _ setting: String) throws(ProviderError) -> Set<String> {
        let names = value.array?.compactMap(\.string) ?? []
        guard let array = value.array, names.count == array.count else {
            throw ProviderError("must be a list of names", setting: setting)
        }
        return Set(names)
    }
}
