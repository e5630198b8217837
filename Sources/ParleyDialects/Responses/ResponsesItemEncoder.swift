// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// Writes turns as the items of `input`.
struct ResponsesItemEncoder {
    /// Fields that were left out.
    private(set) var dropped: [String] = []
    /// The ids of calls of custom tools, whose outputs are items of another type.
    private var customCalls: Set<String> = []

    mutating func encode(_ messages: [Message], from first: Int) throws(ParleyError) -> [JSONValue] {
        var items: [JSONValue] = []
        for (index, message) in messages.enumerated() where index >= first {
            try encode(message, "messages[\(index)]", into: &items)
        }
        return items
    }

    private mutating func drop(_ name: String) {
        if !dropped.contains(name) { dropped.append(name) }
    }

    private mutating func encode(
        _ message: Message, _ path: String, into items: inout [JSONValue]
    ) throws(ParleyError) {
        for call in message.toolCalls where call.isCustom { customCalls.insert(call.id) }
        if let raw = Self.raw(message) {
            items += raw
            return
        }
        if message.name != nil, message.role != .tool, message.role != .function { drop("messages[].name") }
        if !message.cacheMarks.isEmpty { drop("cache_control") }
        switch message.role {
        case .assistant: try encodeAssistant(message, path, into: &items)
        case .tool, .function:
            if message.isError { drop("messages[].is_error") }
            let id = message.toolCallID ?? ""
            let type = customCalls.contains(id) ? "custom_tool_call_output" : "function_call_output"
            items.append([
                "type": .string(type), "call_id": .string(id), "output": try content(message, path),
            ])
        case .system, .developer, .user:
            if let item = Self.foreignItem(message) { return items.append(item) }
            items.append([
                "type": "message", "role": .string(message.role.rawValue), "content": try content(message, path),
            ])
        }
    }

    /// The items a turn was read from, where it still says what they say and nothing in them is of another origin.
    private static func raw(_ message: Message) -> [JSONValue]? {
        guard let list = message.extras.of(.openAIResponses)[ResponsesItemDecoder.items]?.array,
            message.reasoning.allSatisfy({ $0.origin == .openAIResponses }),
            message.toolCalls.allSatisfy({ $0.signature == nil }),
            !list.contains(where: { $0["id"]?.string?.hasPrefix(ReasoningSeal.itemPrefix) == true }),
            let read = try? ResponsesItemDecoder.decode(list), read.count == 1, var same = read.first
        else { return nil }
        var plain = message
        plain.extras = Extras()
        same.extras = Extras()
        return plain == same ? list : nil
    }

    /// An item that only this dialect has, which a turn of its own holds.
    private static func foreignItem(_ message: Message) -> JSONValue? {
        guard message.content.count == 1, case .opaque(.openAIResponses, let value)? = message.content.first,
            message.extras.of(.openAIResponses)[ResponsesItemDecoder.items] != nil
        else { return nil }
        return value
    }

    // MARK: - Assistant

    private mutating func encodeAssistant(
        _ message: Message, _ path: String, into items: inout [JSONValue]
    ) throws(ParleyError) {
        var parts: [JSONValue] = []
        var others: [JSONValue] = []
        for (index, part) in message.content.enumerated() {
            switch part {
            case .text(let text): parts.append(["type": "output_text", "text": .string(text)])
            case .refusal(let text): parts.append(["type": "refusal", "refusal": .string(text)])
            case .opaque(.openAIResponses, let value): others.append(value)
            case .image, .audio, .file, .opaque: throw Self.noSuchPart("\(path).content[\(index)]")
            }
        }
        if let refusal = message.refusal { parts.append(["type": "refusal", "refusal": .string(refusal)]) }
        // Reasoning that nothing follows is refused.
        let isFollowed = !parts.isEmpty || !others.isEmpty || !message.toolCalls.isEmpty
        let replayed = message.reasoning.compactMap { ReasoningItem.replay($0) }
        if isFollowed { items += replayed.map { .object($0) } }
        if replayed.isEmpty, message.reasoning.contains(where: { !$0.text.isEmpty }) {
            drop("messages[].reasoning_content")
        }
        items += others
        if !parts.isEmpty {
            var content = JSONValue.array(parts)
            if message.contentIsText, parts.count == 1, let text = parts[0]["text"] { content = text }
            items.append(["type": "message", "role": "assistant", "content": content])
        }
        for call in message.toolCalls { items.append(Self.encode(call)) }
    }

    private static func encode(_ call: ToolCall) -> JSONValue {
        [
            "type": .string(call.isCustom ? "custom_tool_call" : "function_call"), "call_id": .string(call.id),
            "name": .string(call.name), (call.isCustom ? "input" : "arguments"): .string(call.arguments),
        ]
    }

    // MARK: - Content

    private func content(_ message: Message, _ path: String) throws(ParleyError) -> JSONValue {
        if message.contentIsText, message.content.count == 1, case .text(let text)? = message.content.first {
            return .string(text)
        }
        if message.content.isEmpty { return "" }
        var parts: [JSONValue] = []
        for (index, part) in message.content.enumerated() {
            parts.append(.object(try Self.encode(part, "\(path).content[\(index)]")))
        }
        return .array(parts)
    }

    private static func encode(_ part: Part, _ path: String) throws(ParleyError) -> JSONObject {
        switch part {
        case .text(let text): return ["type": "input_text", "text": .string(text)]
        case .refusal(let text): return ["type": "input_text", "text": .string(text)]
        case .image(let url, let detail):
            return ["type": "input_image", "image_url": .string(url), "detail": .string(detail ?? "auto")]
        case .audio(let data, let format):
            return ["type": "input_audio", "input_audio": ["data": .string(data), "format": .string(format)]]
        case .file(let file): return try encode(file, path)
        case .opaque(.openAIResponses, let value):
            guard let object = value.object else { throw noSuchPart(path) }
            return object
        case .opaque: throw noSuchPart(path)
        }
    }

    private static func encode(_ file: FilePart, _ path: String) throws(ParleyError) -> JSONObject {
        if let text = file.text { return ["type": "input_text", "text": .string(text)] }
        let isImage = file.mediaType?.hasPrefix("image/") == true
        if isImage, let url = file.url { return ["type": "input_image", "image_url": .string(url), "detail": "auto"] }
        if isImage, file.data == nil, let id = file.id {
            return ["type": "input_image", "file_id": .string(id), "detail": "auto"]
        }
        var object: JSONObject = ["type": "input_file"]
        if let id = file.id { object["file_id"] = .string(id) }
        if let data = file.data {
            let isBare = DataURL(data) == nil && !data.hasPrefix("data:")
            let type = file.mediaType ?? file.name.flatMap { MediaType.guess($0) } ?? "application/pdf"
            object["file_data"] = .string(isBare ? DataURL(mediaType: type, base64: data).text : data)
        }
        if let url = file.url { object["file_url"] = .string(url) }
        if let name = file.name ?? (file.data == nil ? nil : "file") { object["filename"] = .string(name) }
        guard object.members.count > 1 else { throw noSuchPart(path) }
        return object
    }

    private static func noSuchPart(_ path: String) -> ParleyError {
        ParleyError(
            .invalid, "Invalid value for '\(path)': this model's provider has no such content part.",
            code: "unsupported_value", parameter: path)
    }
}
