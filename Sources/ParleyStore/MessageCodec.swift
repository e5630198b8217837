// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Messages as the store keeps them: JSON of our own, in which nothing of the neutral form is lost.
///
/// No client's dialect would do: each has something that it cannot say, such as another vendor's signatures. Fields that
/// are empty are not written; unknown ones are ignored, so that a newer version's rows can be read.
enum MessageCodec {
    /// The messages as JSON text.
    static func text(_ messages: [Message]) -> String {
        var buffer = ByteBuffer()
        buffer.writeJSON(.array(messages.map(value)))
        return String(buffer: buffer)
    }

    /// The messages of a JSON text; nil where it is none of ours.
    static func messages(_ text: String) -> [Message]? {
        guard case .array(let list)? = try? JSON.parse(ByteBuffer(string: text)) else { return nil }
        var messages: [Message] = []
        for element in list {
            guard let message = message(element) else { return nil }
            messages.append(message)
        }
        return messages
    }

    // MARK: Writing

    private static func value(_ message: Message) -> JSONValue {
        var object: JSONObject = ["role": .string(message.role.rawValue)]
        if message.contentIsText, message.content.count == 1, case .text(let text)? = message.content.first {
            object["text"] = .string(text)
        } else {
            object["parts"] = .array(message.content.map(value))
            if message.contentIsText { object["bare"] = true }
        }
        object.set("name", message.name)
        object.set("calls", message.toolCalls.map(value))
        object.set("call", message.toolCallID)
        object.set("refusal", message.refusal)
        object.set("reasoning", message.reasoning.map(value))
        if message.isError { object["error"] = true }
        let marks = message.cacheMarks.sorted { $0.key < $1.key }.map { mark -> JSONValue in
            ["part": .int(mark.key), "ttl": mark.value.ttl.map { .string($0) } ?? .null]
        }
        object.set("marks", marks)
        object.set("extras", message.extras)
        return .object(object)
    }

    private static func value(_ part: Part) -> JSONValue {
        switch part {
        case .text(let text): return ["text": .string(text)]
        case .image(let url, let detail):
            var object: JSONObject = ["image": .string(url)]
            object.set("detail", detail)
            return .object(object)
        case .audio(let data, let format): return ["audio": .string(data), "format": .string(format)]
        case .file(let file):
            var object = JSONObject()
            object.set("id", file.id)
            object.set("data", file.data)
            object.set("name", file.name)
            object.set("url", file.url)
            object.set("text", file.text)
            object.set("type", file.mediaType)
            return ["file": .object(object)]
        case .refusal(let text): return ["refusal": .string(text)]
        case .opaque(let dialect, let value): return ["opaque": value, "dialect": .string(dialect.name)]
        }
    }

    private static func value(_ call: ToolCall) -> JSONValue {
        var object: JSONObject = [
            "id": .string(call.id), "name": .string(call.name), "arguments": .string(call.arguments),
        ]
        if call.isCustom { object["custom"] = true }
        object.set("signature", call.signature)
        object.set("origin", call.origin?.name)
        object.set("extras", call.extras)
        return .object(object)
    }

    private static func value(_ piece: Reasoning) -> JSONValue {
        var object: JSONObject = ["text": .string(piece.text)]
        object.set("signature", piece.signature)
        if let opaque = piece.opaque { object["opaque"] = opaque }
        object.set("origin", piece.origin?.name)
        return .object(object)
    }

    // MARK: Reading

    private static func message(_ value: JSONValue) -> Message? {
        guard let role = value["role"]?.string.flatMap({ Message.Role(rawValue: $0) }) else { return nil }
        var message: Message
        if let text = value["text"]?.string {
            message = Message(role, text: text)
        } else {
            message = Message(role, (value["parts"]?.array ?? []).compactMap(part))
            message.contentIsText = value["bare"]?.bool ?? false
        }
        message.name = value["name"]?.string
        message.toolCalls = (value["calls"]?.array ?? []).compactMap(call)
        message.toolCallID = value["call"]?.string
        message.refusal = value["refusal"]?.string
        message.reasoning = (value["reasoning"]?.array ?? []).map(reasoning)
        message.isError = value["error"]?.bool ?? false
        for mark in value["marks"]?.array ?? [] {
            if let part = mark["part"]?.int { message.cacheMarks[part] = CacheMark(ttl: mark["ttl"]?.string) }
        }
        message.extras = extras(value["extras"])
        return message
    }

    private static func part(_ value: JSONValue) -> Part? {
        if let text = value["text"]?.string { return .text(text) }
        if let url = value["image"]?.string { return .image(url: url, detail: value["detail"]?.string) }
        if let data = value["audio"]?.string { return .audio(data: data, format: value["format"]?.string ?? "") }
        if let text = value["refusal"]?.string { return .refusal(text) }
        if let file = value["file"] {
            var part = FilePart(id: file["id"]?.string, data: file["data"]?.string, name: file["name"]?.string)
            part.url = file["url"]?.string
            part.text = file["text"]?.string
            part.mediaType = file["type"]?.string
            return .file(part)
        }
        guard let opaque = value["opaque"], let dialect = value["dialect"]?.string else { return nil }
        return .opaque(DialectID(dialect), opaque)
    }

    private static func call(_ value: JSONValue) -> ToolCall? {
        guard let id = value["id"]?.string, let name = value["name"]?.string else { return nil }
        var call = ToolCall(id: id, name: name, arguments: value["arguments"]?.string ?? "")
        call.isCustom = value["custom"]?.bool ?? false
        call.signature = value["signature"]?.string
        call.origin = value["origin"]?.string.map { DialectID($0) }
        call.extras = extras(value["extras"])
        return call
    }

    private static func reasoning(_ value: JSONValue) -> Reasoning {
        Reasoning(
            value["text"]?.string ?? "", signature: value["signature"]?.string, opaque: value["opaque"],
            origin: value["origin"]?.string.map { DialectID($0) })
    }

    private static func extras(_ value: JSONValue?) -> Extras {
        guard let value else { return Extras() }
        guard case .object(let fields)? = value["fields"] else { return Extras() }
        return Extras(value["dialect"]?.string.map { DialectID($0) }, fields)
    }
}

extension JSONObject {
    fileprivate mutating func set(_ name: String, _ text: String?) {
        if let text { self[name] = .string(text) }
    }

    fileprivate mutating func set(_ name: String, _ list: [JSONValue]) {
        if !list.isEmpty { self[name] = .array(list) }
    }

    fileprivate mutating func set(_ name: String, _ extras: Extras) {
        guard extras != Extras() else { return }
        var object: JSONObject = ["fields": .object(extras.fields)]
        object.set("dialect", extras.dialect?.name)
        self[name] = .object(object)
    }
}
