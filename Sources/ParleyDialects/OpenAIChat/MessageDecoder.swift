// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// Reads the turns of a request.
enum MessageDecoder {
    static let roles = ["system", "assistant", "user", "function", "tool", "developer"]

    /// The member of a message's extras that holds, part by part, the fields its content parts had beside their own,
    /// e.g. `cache_control`; null where a part had none. No other extra can have this name.
    static let partExtras = "content"

    static func decode(_ list: [JSONValue]) throws(ParleyError) -> [Message] {
        var messages: [Message] = []
        messages.reserveCapacity(list.count)
        // The deprecated call has no id; one is made up so that other dialects can pair it with its result.
        var legacyID: String?
        for (index, value) in list.enumerated() {
            let path = "messages[\(index)]"
            var message = try decode(value, path, legacyID: "call_function_\(index)")
            if let call = message.toolCalls.first, call.isLegacy { legacyID = call.id }
            if message.role == .function { message.toolCallID = legacyID }
            messages.append(message)
        }
        return messages
    }

    private static func decode(_ value: JSONValue, _ path: String, legacyID: String) throws(ParleyError) -> Message {
        guard let object = value.object else { throw RequestFault.type(path, expected: "an object", got: value) }
        var fields = FieldReader(object, path: path)
        let word = try fields.required("role")
        guard let role = Message.Role(rawValue: word) else {
            throw RequestFault.value(path + ".role", word, supported: roles)
        }
        var message = Message(role, [])
        message.name = try fields.string("name")
        try readContent(&fields, path + ".content", into: &message)
        switch role {
        case .assistant: try readAssistant(&fields, path, legacyID: legacyID, into: &message)
        case .tool: message.toolCallID = try fields.required("tool_call_id")
        case .system, .developer, .user, .function: break
        }
        // Clients replay answers with the null fields those had.
        for key in ["tool_calls", "function_call", "refusal", "tool_call_id"] where fields.rest[key] == .null {
            fields.rest[key] = nil
        }
        message.cacheMarks = ChatCacheControl.marks(message, fields: fields.rest)
        for member in fields.rest.members { message.extras.fields[member.key] = member.value }
        if !message.extras.fields.isEmpty { message.extras.dialect = .openAIChat }
        return message
    }

    private static func readContent(
        _ fields: inout FieldReader, _ path: String, into message: inout Message
    ) throws(ParleyError) {
        let content = fields.rest.remove("content")
        switch content {
        case .string(let text)?:
            message.content = [.text(text)]
            message.contentIsText = true
        case .array(let list)?:
            var extras: [JSONValue] = []
            for (index, value) in list.enumerated() {
                let (part, rest) = try PartDecoder.decode(value, "\(path)[\(index)]")
                message.content.append(part)
                extras.append(rest.isEmpty ? .null : .object(rest))
            }
            if extras.contains(where: { !$0.isNull }) { message.extras.fields[partExtras] = .array(extras) }
        case nil where message.role != .assistant && message.role != .function:
            throw RequestFault.missing(path)
        case nil:
            break
        case .null? where message.role == .assistant || message.role == .function:
            break
        case let other?:
            throw RequestFault.type(path, expected: "one of a string or array of objects", got: other)
        }
    }

    private static func readAssistant(
        _ fields: inout FieldReader, _ path: String, legacyID: String, into message: inout Message
    ) throws(ParleyError) {
        message.refusal = try fields.string("refusal")
        if let calls = try fields.array("tool_calls", expected: "an array of objects") {
            for (index, call) in calls.enumerated() {
                message.toolCalls.append(try ToolDecoder.call(call, "\(path).tool_calls[\(index)]"))
            }
        }
        if let call = try fields.object("function_call"), message.toolCalls.isEmpty {
            message.toolCalls = [try ToolDecoder.legacyCall(call, id: legacyID, path + ".function_call")]
        }
        let details = fields.rest["reasoning_details"]
        message.reasoning = ReasoningFields.take(from: &fields.rest)
        // Whoever made the elements wants them back unchanged, also what has no neutral meaning.
        if let details, case .array(let list) = details, list != ReasoningFields.details(message.reasoning) {
            fields.rest["reasoning_details"] = details
        }
    }
}

/// Reads one content part.
enum PartDecoder {
    /// The part and the fields it had beside its own.
    static func decode(_ value: JSONValue, _ path: String) throws(ParleyError) -> (Part, JSONObject) {
        guard let object = value.object else { throw RequestFault.type(path, expected: "an object", got: value) }
        var fields = FieldReader(object, path: path)
        let type = try fields.required("type")
        switch type {
        case "text": return (.text(try fields.required("text")), fields.rest)
        case "refusal": return (.refusal(try fields.required("refusal")), fields.rest)
        case "image_url": return (try image(&fields, path + ".image_url"), fields.rest)
        case "input_audio": return (try audio(&fields, path + ".input_audio"), fields.rest)
        case "file": return (try file(&fields, path + ".file"), fields.rest)
        default: return (.opaque(.openAIChat, value), [:])
        }
    }

    private static func image(_ fields: inout FieldReader, _ path: String) throws(ParleyError) -> Part {
        if case .string(let url)? = fields.rest["image_url"] {
            fields.rest["image_url"] = nil
            return .image(url: url, detail: nil)
        }
        guard let object = try fields.object("image_url") else { throw RequestFault.missing(path) }
        var inner = FieldReader(object, path: path)
        let url = try inner.required("url")
        let part = Part.image(url: url, detail: try inner.string("detail"))
        if !inner.rest.isEmpty { fields.rest["image_url"] = .object(inner.rest) }
        return part
    }

    private static func audio(_ fields: inout FieldReader, _ path: String) throws(ParleyError) -> Part {
        guard let object = try fields.object("input_audio") else { throw RequestFault.missing(path) }
        var inner = FieldReader(object, path: path)
        let data = try inner.required("data")
        let part = Part.audio(data: data, format: try inner.required("format"))
        if !inner.rest.isEmpty { fields.rest["input_audio"] = .object(inner.rest) }
        return part
    }

    private static func file(_ fields: inout FieldReader, _ path: String) throws(ParleyError) -> Part {
        guard let object = try fields.object("file") else { throw RequestFault.missing(path) }
        var inner = FieldReader(object, path: path)
        let id = try inner.string("file_id")
        let data = try inner.string("file_data")
        var part = FilePart(id: id, data: data, name: try inner.string("filename"))
        part.mediaType = data.flatMap { DataURL($0) }?.mediaType
        guard part.id != nil || part.data != nil else { throw RequestFault.missing(path + ".file_id") }
        if !inner.rest.isEmpty { fields.rest["file"] = .object(inner.rest) }
        return .file(part)
    }
}
