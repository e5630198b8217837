// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore
import ParleyWire

/// Reads the turns of a request, and the content of a whole answer.
enum AnthropicTurnDecoder {
    /// The member of a message's extras that holds, part by part, the fields its blocks had beside their own.
    static let partExtras = "content"
    /// The member of an assistant turn's extras that says in which order reasoning (r), content (c) and calls (t) came,
    /// where that is not the neutral one. Signatures hold only where blocks are sent back as they came.
    static let order = "order"

    /// The system prompt: text or blocks of text.
    static func system(_ value: JSONValue, _ path: String) throws(ParleyError) -> Message {
        if case .string(let text) = value { return Message(.system, text: text) }
        guard let list = value.array else {
            throw RequestFault.type(path, expected: "one of a string or array of objects", got: value)
        }
        var turn = TurnBuilder(.system)
        for (index, block) in list.enumerated() { try turn.add(BlockReader(block, "\(path)[\(index)]")) }
        return turn.finished()
    }

    /// One turn; tool results become messages of their own.
    static func decode(_ value: JSONValue, _ path: String) throws(ParleyError) -> [Message] {
        guard let object = value.object else { throw RequestFault.type(path, expected: "an object", got: value) }
        var fields = FieldReader(object, path: path)
        let word = try fields.required("role")
        let role: Message.Role
        switch word {
        case "user": role = .user
        case "assistant": role = .assistant
        case "system": role = .system
        default: throw RequestFault.value(path + ".role", word, supported: ["user", "assistant", "system"])
        }
        let content = fields.take("content")
        switch content {
        case .string(let text)?: return [Message(role, text: text)]
        case .array(let list)?:
            return role == .user
                ? try user(list, path + ".content") : [try turn(role, list, path + ".content")]
        case nil: throw RequestFault.missing(path + ".content")
        case let other?:
            throw RequestFault.type(path + ".content", expected: "one of a string or array of objects", got: other)
        }
    }

    private static func turn(_ role: Message.Role, _ list: [JSONValue], _ path: String) throws(ParleyError) -> Message {
        var turn = TurnBuilder(role)
        for (index, block) in list.enumerated() { try turn.add(BlockReader(block, "\(path)[\(index)]")) }
        return turn.finished()
    }

    private static func user(_ list: [JSONValue], _ path: String) throws(ParleyError) -> [Message] {
        var messages: [Message] = []
        var turn = TurnBuilder(.user)
        for (index, value) in list.enumerated() {
            let block = try BlockReader(value, "\(path)[\(index)]")
            guard block.type == "tool_result" else {
                try turn.add(block)
                continue
            }
            if !turn.isEmpty { messages.append(turn.finished()) }
            turn = TurnBuilder(.user)
            messages.append(try result(block))
        }
        if !turn.isEmpty || messages.isEmpty { messages.append(turn.finished()) }
        return messages
    }

    private static func result(_ block: BlockReader) throws(ParleyError) -> Message {
        var fields = block.fields
        let id = try fields.required("tool_use_id")
        let isError = try fields.bool("is_error") ?? false
        let mark = try CacheControl.take(from: &fields)
        var message: Message
        switch fields.take("content") {
        case nil: message = Message(.tool, [])
        case .string(let text)?: message = Message(.tool, text: text)
        case .array(let list)?: message = try turn(.tool, list, block.path + ".content")
        case let other?:
            throw RequestFault.type(
                block.path + ".content", expected: "one of a string or array of objects", got: other)
        }
        message.toolCallID = id
        message.isError = isError
        // The mark of the whole result is that of its last part.
        if let mark { message.cacheMarks[max(0, message.content.count - 1)] = mark }
        fields.rest.members.removeAll { $0.value.isNull }
        for member in fields.rest.members { message.extras.fields[member.key] = member.value }
        if !message.extras.fields.isEmpty { message.extras.dialect = .anthropic }
        return message
    }
}

/// A block with its type.
struct BlockReader {
    let value: JSONValue
    let path: String
    let type: String
    /// The members but the type.
    var fields: FieldReader

    init(_ value: JSONValue, _ path: String) throws(ParleyError) {
        guard let object = value.object else { throw RequestFault.type(path, expected: "an object", got: value) }
        var fields = FieldReader(object, path: path)
        type = try fields.required("type")
        self.value = value
        self.path = path
        self.fields = fields
    }
}

/// Puts one turn together from its blocks.
struct TurnBuilder {
    /// Blocks that only Anthropic knows and that are kept whole.
    static let opaqueTypes: Set<String> = [
        "server_tool_use", "web_search_tool_result", "web_fetch_tool_result", "code_execution_tool_result",
        "bash_code_execution_tool_result", "text_editor_code_execution_tool_result", "tool_search_tool_result",
        "mcp_tool_use", "mcp_tool_result", "container_upload", "compaction", "search_result", "tool_reference",
        "fallback",
    ]

    private var message: Message
    private var extras: [JSONValue] = []
    private var order = ""
    /// Whether a block of an unknown type is kept whole, as in an answer, rather than refused.
    private let isAnswer: Bool

    init(_ role: Message.Role, isAnswer: Bool = false) {
        message = Message(role, [])
        self.isAnswer = isAnswer
    }

    var isEmpty: Bool { message.content.isEmpty && message.reasoning.isEmpty && message.toolCalls.isEmpty }

    /// The turn.
    func finished() -> Message {
        var message = message
        if extras.contains(where: { !$0.isNull }) {
            message.extras.fields[AnthropicTurnDecoder.partExtras] = .array(extras)
        }
        if order != String(order.sorted(by: { Self.rank($0) < Self.rank($1) })) {
            message.extras.fields[AnthropicTurnDecoder.order] = .string(order)
        }
        if !message.extras.fields.isEmpty { message.extras.dialect = .anthropic }
        return message
    }

    private static func rank(_ letter: Character) -> Int { letter == "r" ? 0 : letter == "c" ? 1 : 2 }

    mutating func add(_ block: BlockReader) throws(ParleyError) {
        var block = block
        let isAssistant = message.role == .assistant
        switch block.type {
        case "text":
            let text = try block.fields.required("text")
            try append(.text(text), &block.fields)
        case "image" where !isAssistant && message.role != .system:
            try append(try AnthropicSource.image(&block), &block.fields)
        case "document" where !isAssistant && message.role != .system:
            guard let part = try AnthropicSource.document(&block) else { return keep(block.value) }
            try append(part, &block.fields)
        case "thinking" where isAssistant:
            var thought = Reasoning(try block.fields.required("thinking"), origin: .anthropic)
            if let signature = try block.fields.string("signature"), !signature.isEmpty {
                thought.signature = signature
            }
            message.reasoning.append(thought)
            order += "r"
        case "redacted_thinking" where isAssistant:
            let data = try block.fields.required("data")
            message.reasoning.append(Reasoning("", signature: data, opaque: block.value, origin: .anthropic))
            order += "r"
        case "tool_use" where isAssistant:
            message.toolCalls.append(try call(&block))
            order += "t"
        case let type where Self.opaqueTypes.contains(type) || isAnswer:
            keep(block.value)
        default:
            throw RequestFault.value(block.path + ".type", block.type, supported: Self.known(message.role))
        }
    }

    private mutating func keep(_ value: JSONValue) {
        message.content.append(.opaque(.anthropic, value))
        extras.append(.null)
        order += "c"
    }

    private mutating func append(_ part: Part, _ fields: inout FieldReader) throws(ParleyError) {
        if let mark = try CacheControl.take(from: &fields) { message.cacheMarks[message.content.count] = mark }
        fields.rest.members.removeAll { $0.value.isNull }
        message.content.append(part)
        extras.append(fields.rest.isEmpty ? .null : .object(fields.rest))
        order += "c"
    }

    private func call(_ block: inout BlockReader) throws(ParleyError) -> ToolCall {
        let id = try block.fields.required("id")
        let name = try block.fields.required("name")
        // Some clients send null for a tool without arguments.
        let input = try block.fields.object("input") ?? [:]
        var call = ToolCall(id: id, name: name, arguments: JSON.text(.object(input)))
        block.fields.rest.members.removeAll { $0.value.isNull }
        if !block.fields.rest.isEmpty { call.extras = Extras(.anthropic, block.fields.rest) }
        return call
    }

    private static func known(_ role: Message.Role) -> [String] {
        switch role {
        case .assistant: ["text", "thinking", "redacted_thinking", "tool_use", "server_tool_use"]
        case .system, .developer: ["text"]
        case .tool, .function: ["text", "image", "document", "search_result"]
        case .user: ["text", "image", "document", "tool_result", "search_result"]
        }
    }
}

/// Where an image or a document comes from.
enum AnthropicSource {
    static func image(_ block: inout BlockReader) throws(ParleyError) -> Part {
        let path = block.path + ".source"
        guard let object = try block.fields.object("source") else { throw RequestFault.missing(path) }
        var source = FieldReader(object, path: path)
        let type = try source.required("type")
        switch type {
        case "base64":
            let media = try source.required("media_type")
            let data = try source.required("data")
            return .image(url: DataURL(mediaType: media, base64: data).text, detail: nil)
        case "url": return .image(url: try source.required("url"), detail: nil)
        case "file":
            var file = FilePart(id: try source.required("file_id"))
            file.mediaType = "image/*"
            return .file(file)
        default: throw RequestFault.value(path + ".type", type, supported: ["base64", "url", "file"])
        }
    }

    /// The document; nil for one made of blocks, which only Anthropic knows.
    static func document(_ block: inout BlockReader) throws(ParleyError) -> Part? {
        let path = block.path + ".source"
        guard let object = try block.fields.object("source") else { throw RequestFault.missing(path) }
        var source = FieldReader(object, path: path)
        var file = FilePart()
        let type = try source.required("type")
        switch type {
        case "base64":
            let media = try source.required("media_type")
            let data = try source.required("data")
            file.mediaType = media
            file.data = DataURL(mediaType: media, base64: data).text
        case "url": file.url = try source.required("url")
        case "text":
            file.mediaType = try source.string("media_type") ?? "text/plain"
            file.text = try source.required("data")
        case "file": file.id = try source.required("file_id")
        case "content": return nil
        default:
            throw RequestFault.value(path + ".type", type, supported: ["base64", "text", "url", "file", "content"])
        }
        file.name = try block.fields.string("title")
        return .file(file)
    }
}
