// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// Reads the items of a request's `input` as turns.
///
/// Items that an assistant made one after the other are one turn. Each turn keeps its items as they came, so that they
/// can be written again unchanged for an upstream of the same dialect.
struct ResponsesItemDecoder {
    /// The member of a turn's extras with its items.
    static let items = "items"

    private(set) var messages: [Message] = []
    private var raw: [JSONValue] = []
    private var turn: Message?
    /// Signatures of calls that are yet to come.
    private var seals: [ReasoningSeal.Content] = []

    /// The turns that the items of `list` make.
    static func decode(_ list: [JSONValue]) throws(ParleyError) -> [Message] {
        var decoder = ResponsesItemDecoder()
        for (index, value) in list.enumerated() { try decoder.read(value, "input[\(index)]") }
        decoder.endTurn()
        return decoder.messages
    }

    private mutating func endTurn() {
        guard var message = turn else { return }
        message.extras = Extras(.openAIResponses, [Self.items: .array(raw)])
        messages.append(message)
        turn = nil
        raw = []
    }

    private mutating func add(_ message: Message, _ item: JSONValue) {
        endTurn()
        var message = message
        message.extras = Extras(.openAIResponses, [Self.items: [item]])
        messages.append(message)
    }

    /// Adds to the assistant's turn.
    private mutating func extend(_ item: JSONValue, _ body: (inout Message) -> Void) {
        var message = turn ?? Message(.assistant, [])
        body(&message)
        turn = message
        raw.append(item)
    }

    private mutating func read(_ value: JSONValue, _ path: String) throws(ParleyError) {
        guard let object = value.object else { throw RequestFault.type(path, expected: "an object", got: value) }
        var fields = FieldReader(object, path: path)
        let type =
            try fields.string("type") ?? (object["role"] == nil && object["id"] != nil ? "item_reference" : "message")
        switch type {
        case "message": try readMessage(&fields, value, path)
        case "reasoning": readReasoning(object, value)
        case "function_call": try readCall(&fields, value, isCustom: false)
        case "custom_tool_call": try readCall(&fields, value, isCustom: true)
        case "function_call_output", "custom_tool_call_output": try readOutput(&fields, value, path)
        case _ where Self.serverItems.contains(type):
            // What the vendor's own tools did matters to nobody else; it stays among the turn's items.
            extend(value) { _ in }
        case _ where type.hasSuffix("_output") || type == "item_reference" || type == "mcp_approval_response":
            add(Message(.user, [.opaque(.openAIResponses, value)]), value)
        default: extend(value) { $0.content.append(.opaque(.openAIResponses, value)) }
        }
    }

    /// Items of tools that run at the vendor.
    private static let serverItems: Set<String> = [
        "web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call", "mcp_list_tools",
        "mcp_call", "mcp_approval_request", "tool_search_call", "tool_search_output", "program", "program_output",
    ]

    private mutating func readMessage(
        _ fields: inout FieldReader, _ value: JSONValue, _ path: String
    ) throws(ParleyError) {
        let word = try fields.required("role")
        guard let role = Message.Role(rawValue: word), role != .tool, role != .function else {
            throw RequestFault.value(
                path + ".role", word, supported: ["assistant", "system", "developer", "user"])
        }
        var message = Message(role, [])
        try ResponsesParts.read(&fields, "content", path, into: &message)
        guard role == .assistant else { return add(message, value) }
        extend(value) { turn in
            turn.contentIsText = turn.content.isEmpty && message.contentIsText
            turn.content += message.content
            if let refusal = message.refusal { turn.refusal = (turn.refusal ?? "") + refusal }
        }
    }

    private mutating func readReasoning(_ object: JSONObject, _ value: JSONValue) {
        let (reasoning, call) = ReasoningItem.read(object)
        if let call { seals.append(call) }
        extend(value) { if reasoning != Reasoning("") { $0.reasoning.append(reasoning) } }
    }

    private mutating func readCall(
        _ fields: inout FieldReader, _ value: JSONValue, isCustom: Bool
    ) throws(ParleyError) {
        let id = try fields.required("call_id")
        let name = try fields.required("name")
        let arguments = try fields.required(isCustom ? "input" : "arguments")
        var call = ToolCall(id: id, name: name, arguments: arguments)
        call.isCustom = isCustom
        if let index = seals.firstIndex(where: { $0.call == id }) {
            let seal = seals.remove(at: index)
            call.signature = seal.signature
            call.origin = seal.origin
        }
        extend(value) { $0.toolCalls.append(call) }
    }

    private mutating func readOutput(
        _ fields: inout FieldReader, _ value: JSONValue, _ path: String
    ) throws(ParleyError) {
        var message = Message(.tool, [])
        message.toolCallID = try fields.required("call_id")
        try ResponsesParts.read(&fields, "output", path, into: &message)
        add(message, value)
    }
}

/// Reads content: text, or a list of parts.
enum ResponsesParts {
    static func read(
        _ fields: inout FieldReader, _ key: String, _ path: String, into message: inout Message
    ) throws(ParleyError) {
        switch fields.take(key) {
        case .string(let text)?:
            message.content = [.text(text)]
            message.contentIsText = true
        case .array(let list)?:
            for (index, value) in list.enumerated() {
                try read(value, "\(path).\(key)[\(index)]", into: &message)
            }
        case nil: throw RequestFault.missing("\(path).\(key)")
        case let other?:
            throw RequestFault.type("\(path).\(key)", expected: "one of a string or array of objects", got: other)
        }
    }

    private static func read(_ value: JSONValue, _ path: String, into message: inout Message) throws(ParleyError) {
        guard let object = value.object else { throw RequestFault.type(path, expected: "an object", got: value) }
        var fields = FieldReader(object, path: path)
        let type = try fields.required("type")
        switch type {
        case "input_text", "output_text", "text": message.content.append(.text(try fields.required("text")))
        case "refusal":
            let text = try fields.required("refusal")
            if message.role == .assistant {
                message.refusal = (message.refusal ?? "") + text
            } else {
                message.content.append(.refusal(text))
            }
        case "input_image": message.content.append(try image(&fields, path))
        case "input_file":
            var file = FilePart(id: try fields.string("file_id"), data: try fields.string("file_data"))
            file.name = try fields.string("filename")
            file.url = try fields.string("file_url")
            message.content.append(.file(file))
        case "input_audio":
            guard let audio = try fields.object("input_audio") else {
                throw RequestFault.missing(path + ".input_audio")
            }
            var inner = FieldReader(audio, path: path + ".input_audio")
            message.content.append(.audio(data: try inner.required("data"), format: try inner.required("format")))
        default: message.content.append(.opaque(.openAIResponses, value))
        }
    }

    private static func image(_ fields: inout FieldReader, _ path: String) throws(ParleyError) -> Part {
        let detail = try fields.string("detail")
        if let url = try fields.string("image_url") { return .image(url: url, detail: detail) }
        guard let id = try fields.string("file_id") else { throw RequestFault.missing(path + ".image_url") }
        var file = FilePart(id: id)
        file.mediaType = "image/*"
        return .file(file)
    }
}
