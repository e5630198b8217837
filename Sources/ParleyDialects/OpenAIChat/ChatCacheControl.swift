// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// Anthropic's `cache_control`, which clients of OpenAI's dialect put on content parts, messages and tools too, and which
/// some vendors take there.
enum ChatCacheControl {
    static let field = "cache_control"

    /// The mark that a field says.
    static func mark(_ value: JSONValue?) -> CacheMark? {
        guard let object = value?.object else { return nil }
        return CacheMark(ttl: object["ttl"]?.string)
    }

    /// The field for a mark.
    static func value(_ mark: CacheMark) -> JSONValue {
        var object: JSONObject = ["type": "ephemeral"]
        object["ttl"] = mark.ttl.map { .string($0) }
        return .object(object)
    }

    /// The marks of a message whose content was read: of its parts, and of the message itself, which is its last part's.
    /// The fields stay where they are, so that a vendor that speaks the same gets them unchanged.
    static func marks(_ message: Message, fields: JSONObject) -> [Int: CacheMark] {
        var marks: [Int: CacheMark] = [:]
        let parts = message.extras.fields[MessageDecoder.partExtras]?.array ?? []
        for (index, part) in parts.enumerated() {
            if let mark = mark(part[field]) { marks[index] = mark }
        }
        if let mark = mark(fields[field]), !message.content.isEmpty { marks[message.content.count - 1] = mark }
        return marks
    }
}
