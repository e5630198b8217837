// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

/// The answers to requests about kept responses (`/v1/responses/{id}` and below).
public enum StoredResponses {
    /// The failure for a response that is not kept, or not for this key.
    public static func unknown(_ id: String) -> ParleyError {
        ParleyError(.notFound, "Response with id '\(id.prefix(100))' not found.", code: "")
    }

    /// The body for `GET`.
    ///
    /// - Parameter query: the request's query, without the question mark.
    /// - Throws: `invalid` where it asks for a stream.
    public static func retrieved(_ record: ResponseRecord, query: String = "") throws(ParleyError) -> ByteBuffer {
        if parameters(query).last(where: { $0.name == "stream" })?.value == "true" {
            throw ParleyError(
                .invalid, "A kept response cannot be streamed again; leave 'stream' out to get it whole.",
                code: "unsupported_value", parameter: "stream")
        }
        return record.response
    }

    /// The body for `DELETE`.
    public static func deleted(_ id: String) -> ByteBuffer {
        var out = ByteBuffer()
        out.writeJSON(["id": .string(id), "object": "response", "deleted": true])
        return out
    }

    /// The failure for `POST …/cancel`: only what runs in the background can be cancelled, and nothing kept does.
    public static func notCancellable() -> ParleyError {
        ParleyError(.invalid, "Cannot cancel a synchronous response.", code: "")
    }

    /// The body for `GET …/input_items`: the request's own items, newest first unless asked otherwise.
    ///
    /// - Parameter query: the request's query, without the question mark: `limit`, `order`, `after`.
    /// - Throws: `invalid`, naming the parameter.
    public static func inputItems(_ record: ResponseRecord, query: String = "") throws(ParleyError) -> ByteBuffer {
        var limit = 20
        var isAscending = false
        var after: String?
        for (name, value) in parameters(query) {
            switch name {
            case "limit":
                guard let number = Int(value), (1...100).contains(number) else {
                    throw ParleyError(
                        .invalid, "Invalid 'limit': expected an integer from 1 to 100.", code: "invalid_value",
                        parameter: "limit")
                }
                limit = number
            case "order":
                guard value == "asc" || value == "desc" else {
                    throw RequestFault.value("order", value, supported: ["asc", "desc"])
                }
                isAscending = value == "asc"
            case "after": after = value
            default: break
            }
        }
        return page(items(record), isAscending: isAscending, after: after, limit: limit)
    }

    private static func page(
        _ items: [JSONObject], isAscending: Bool, after: String?, limit: Int
    ) -> ByteBuffer {
        var rest = (isAscending ? items : items.reversed())[...]
        if let after, let index = rest.firstIndex(where: { $0["id"]?.string == after }) {
            rest = rest[(index + 1)...]
        }
        let shown = rest.prefix(limit)
        var out = ByteBuffer()
        out.writeJSON([
            "object": "list", "data": .array(shown.map { .object($0) }), "first_id": shown.first?["id"] ?? .null,
            "last_id": shown.last?["id"] ?? .null, "has_more": .bool(rest.count > shown.count),
        ])
        return out
    }

    /// The items as OpenAI lists them: each with an id, content always a list.
    private static func items(_ record: ResponseRecord) -> [JSONObject] {
        let list = (try? JSON.parse(record.input))?.array ?? []
        let base = record.id.hasPrefix("resp_") ? String(record.id.dropFirst(5)) : record.id
        var items: [JSONObject] = []
        for (index, value) in list.enumerated() {
            guard var object = value.object else { continue }
            let type = object["type"]?.string ?? "message"
            object["type"] = .string(type)
            if object["id"]?.string == nil { object["id"] = .string("\(prefix(type))_\(base)_in\(index)") }
            if type == "message" {
                if let text = object["content"]?.string {
                    let isOutput = object["role"] == "assistant"
                    var part: JSONObject = ["type": isOutput ? "output_text" : "input_text", "text": .string(text)]
                    if isOutput { part["annotations"] = [] }
                    object["content"] = [.object(part)]
                }
                if object["status"] == nil { object["status"] = "completed" }
            }
            items.append(object)
        }
        return items
    }

    private static func prefix(_ type: String) -> String {
        switch type {
        case "message": "msg"
        case "function_call": "fc"
        case "reasoning": "rs"
        case "function_call_output": "fco"
        case "custom_tool_call": "ctc"
        case "custom_tool_call_output": "ctco"
        default: "item"
        }
    }

    private static func parameters(_ query: String) -> [(name: String, value: String)] {
        query.split(separator: "&").map { pair in
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (String(parts[0]), parts.count > 1 ? String(parts[1]) : "")
        }
    }
}
