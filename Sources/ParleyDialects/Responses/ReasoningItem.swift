// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// A reasoning item, read.
enum ReasoningItem {
    /// What a reader can see of it: the summary's parts, then the content's, with an empty line between two.
    static func text(_ item: JSONObject) -> String {
        texts(item).filter { !$0.isEmpty }.joined(separator: separator)
    }

    /// What stands between two parts.
    static let separator = "\n\n"

    private static func texts(_ item: JSONObject) -> [String] {
        ((item["summary"]?.array ?? []) + (item["content"]?.array ?? [])).map { $0["text"]?.string ?? "" }
    }

    /// An earlier turn's item. What Parley made itself is what it was before; anything else is kept whole.
    static func read(_ item: JSONObject) -> (reasoning: Reasoning, call: ReasoningSeal.Content?) {
        let text = text(item)
        let cipher = item["encrypted_content"]?.string
        if let cipher, let content = ReasoningSeal.open(cipher) {
            let reasoning = Reasoning(
                text, signature: content.signature, opaque: content.opaque, origin: content.origin)
            return content.call == nil ? (reasoning, nil) : (Reasoning(text), content)
        }
        var item = item
        if item["id"]?.string?.hasPrefix(ReasoningSeal.itemPrefix) == true {
            guard cipher != nil else { return (Reasoning(text), nil) }
            // A ciphertext is taken without an id, but not with one of ours.
            item["id"] = nil
        }
        return (Reasoning(text, signature: cipher, opaque: .object(item), origin: .openAIResponses), nil)
    }

    /// The item for a piece of reasoning that an upstream of Responses made; nil for what is of another origin.
    ///
    /// Clients of Chat send a piece back without saying where it is from: its type tells.
    static func replay(_ reasoning: Reasoning) -> JSONObject? {
        guard reasoning.origin == nil || reasoning.origin == .openAIResponses else { return nil }
        if case .object(var item)? = reasoning.opaque, item["type"] == "reasoning" {
            for name in ["format", "index"] { item[name] = nil }
            if item["summary"] == nil { item["summary"] = .array([]) }
            return item
        }
        guard reasoning.origin == .openAIResponses, let cipher = reasoning.signature else { return nil }
        return ["type": "reasoning", "summary": .array(summary(reasoning.text)), "encrypted_content": .string(cipher)]
    }

    /// Text as a summary.
    static func summary(_ text: String) -> [JSONValue] {
        text.isEmpty ? [] : [["type": "summary_text", "text": .string(text)]]
    }
}
