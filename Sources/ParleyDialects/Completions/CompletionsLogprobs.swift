// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// Log probabilities: lists side by side here, an object for each token in a chat.
enum CompletionsLogprobs {
    /// Where the next token begins in the text, counted in characters as OpenAI does (Unicode scalars).
    struct Offsets {
        private(set) var next = 0

        mutating func skip(_ text: String) {
            next = next.clampedSum(text.unicodeScalars.count)
        }
    }

    /// This API's lists as a chat's objects; nil where there are none.
    static func decode(_ value: JSONValue?) -> JSONValue? {
        guard let lists = value?.object, let tokens = lists["tokens"]?.array else { return nil }
        let probabilities = lists["token_logprobs"]?.array ?? []
        let alternatives = lists["top_logprobs"]?.array ?? []
        var content: [JSONValue] = []
        for (index, token) in tokens.enumerated() {
            let text = token.string ?? ""
            let tops = alternatives.indices.contains(index) ? alternatives[index].object?.members ?? [] : []
            content.append([
                "token": .string(text),
                "logprob": probabilities.indices.contains(index) ? probabilities[index] : .null,
                "bytes": bytes(text),
                "top_logprobs": .array(
                    tops.map { ["token": .string($0.key), "logprob": $0.value, "bytes": bytes($0.key)] }),
            ])
        }
        return ["content": .array(content), "refusal": nil]
    }

    /// A chat's objects as this API's lists.
    static func encode(_ value: JSONValue, _ offsets: inout Offsets) -> JSONValue {
        var tokens: [JSONValue] = []
        var probabilities: [JSONValue] = []
        var alternatives: [JSONValue] = []
        var places: [JSONValue] = []
        for entry in (value["content"]?.array ?? []) + (value["refusal"]?.array ?? []) {
            let text = entry["token"]?.string ?? ""
            tokens.append(.string(text))
            probabilities.append(entry["logprob"] ?? .null)
            var tops = JSONObject()
            for top in entry["top_logprobs"]?.array ?? [] {
                guard let name = top["token"]?.string else { continue }
                tops[name] = top["logprob"] ?? .null
            }
            alternatives.append(tops.isEmpty ? .null : .object(tops))
            places.append(.int(offsets.next))
            offsets.skip(text)
        }
        let hasAlternatives = alternatives.contains { !$0.isNull }
        return [
            "tokens": .array(tokens), "token_logprobs": .array(probabilities),
            "top_logprobs": hasAlternatives ? .array(alternatives) : nil, "text_offset": .array(places),
        ]
    }

    private static func bytes(_ text: String) -> JSONValue {
        .array(text.utf8.map { .int(Int($0)) })
    }
}
