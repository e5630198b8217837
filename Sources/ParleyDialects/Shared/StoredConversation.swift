// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
public import ParleyCore
import ParleyWire

/// The answers to requests about kept conversations (`/v1/conversations`).
///
/// The outer shape is OpenAI's conversation object; `messages` are OpenAI's chat messages, whichever dialect they were
/// said in, `items` those of the Responses API.
public enum StoredConversation {
    /// A conversation that begins.
    public static func begun(_ id: String, at time: Int) -> JSONValue {
        .object(head(id, created: time))
    }

    /// A conversation with its messages.
    public static func object(_ record: ConversationRecord) -> JSONValue {
        var object = head(record.id, created: record.created)
        object["updated_at"] = .int(record.updated)
        object["turns"] = .int(record.turns.count)
        let messages = record.system + record.turns.flatMap(\.messages)
        object["messages"] = chat(messages)
        return .object(object)
    }

    /// A conversation of the Responses API with its items.
    public static func object(_ id: String, _ records: [ResponseRecord]) -> JSONValue {
        var object = head(id, created: records.first?.created ?? 0)
        object["updated_at"] = .int(records.last?.created ?? 0)
        object["turns"] = .int(records.count)
        let items = records.flatMap { record -> [JSONValue] in
            let said = (try? JSON.parse(record.input))?.array ?? []
            return said + ((try? JSON.parse(record.response))?["output"]?.array ?? [])
        }
        object["items"] = .array(items)
        return .object(object)
    }

    private static func head(_ id: String, created: Int) -> JSONObject {
        ["id": .string(id), "object": "conversation", "created_at": .int(created), "metadata": [:]]
    }

    private static func chat(_ messages: [Message]) -> JSONValue {
        var encoder = ChatRequestEncoder(quirks: Quirks())
        guard let request = try? encoder.encode(ChatRequest(model: "", messages: messages)) else { return [] }
        return request["messages"] ?? []
    }
}
