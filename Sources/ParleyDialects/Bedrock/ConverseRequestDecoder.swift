// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore
import ParleyWire

/// Reads a request for Converse. What has no neutral meaning is kept whole and comes back only to Bedrock.
enum ConverseRequestDecoder {
    static func decode(_ object: JSONObject) throws(ParleyError) -> ChatRequest {
        var fields = FieldReader(object)
        var request = ChatRequest(model: "", messages: [])
        let system = try fields.array("system") ?? []
        if !system.isEmpty { request.messages.append(self.system(system)) }
        guard let turns = try fields.array("messages") else { throw RequestFault.missing("messages") }
        for (index, turn) in turns.enumerated() {
            request.messages += try messages(turn, "messages[\(index)]")
        }
        var inference = FieldReader(try fields.object("inferenceConfig") ?? [:], path: "inferenceConfig")
        request.maxTokens = try inference.int("maxTokens")
        request.temperature = try inference.double("temperature")
        request.topP = try inference.double("topP")
        request.stop = (try inference.array("stopSequences") ?? []).compactMap(\.string)
        try readTools(try fields.object("toolConfig") ?? [:], into: &request)
        if !fields.rest.isEmpty { request.extras = Extras(.bedrock, fields.rest) }
        return request
    }

    // MARK: - Turns

    private static func system(_ blocks: [JSONValue]) -> Message {
        var message = Message(.system, [])
        for block in blocks { read(block, into: &message) }
        return message
    }

    /// The messages of a turn: each result of a tool is one of its own, before what else the user says.
    private static func messages(_ turn: JSONValue, _ path: String) throws(ParleyError) -> [Message] {
        guard let object = turn.object else { throw RequestFault.type(path, expected: "an object", got: turn) }
        var fields = FieldReader(object, path: path)
        let role = try fields.required("role")
        guard role == "user" || role == "assistant" else {
            throw RequestFault.value(path + ".role", role, supported: ["user", "assistant"])
        }
        let isUser = role == "user"
        guard let blocks = try fields.array("content") else { throw RequestFault.missing(path + ".content") }
        var results: [Message] = []
        var message = Message(isUser ? .user : .assistant, [])
        for (index, block) in blocks.enumerated() {
            let place = "\(path).content[\(index)]"
            guard block.object != nil else { throw RequestFault.type(place, expected: "an object", got: block) }
            if isUser, let result = block["toolResult"]?.object {
                results.append(try self.result(result, place + ".toolResult"))
            } else if let point = block["cachePoint"], message.content.isEmpty, !results.isEmpty {
                results[results.count - 1].cacheMarks[0] = CacheMark(ttl: point["ttl"]?.string)
            } else if !isUser, let use = block["toolUse"]?.object, !ConverseWords.isServerTool(.object(use)) {
                message.toolCalls.append(try call(use, place + ".toolUse"))
            } else if !isUser, let reasoning = block["reasoningContent"] {
                message.reasoning.append(self.reasoning(reasoning))
            } else {
                read(block, into: &message)
            }
        }
        let isEmpty = message.content.isEmpty && message.toolCalls.isEmpty && message.reasoning.isEmpty
        return results + (isEmpty ? [] : [message])
    }

    private static func result(_ object: JSONObject, _ path: String) throws(ParleyError) -> Message {
        var fields = FieldReader(object, path: path)
        var message = Message(.tool, [])
        message.toolCallID = try fields.required("toolUseId")
        for block in try fields.array("content") ?? [] { read(block, into: &message) }
        message.isError = try fields.string("status") == "error"
        return message
    }

    private static func call(_ object: JSONObject, _ path: String) throws(ParleyError) -> ToolCall {
        var fields = FieldReader(object, path: path)
        return ToolCall(
            id: try fields.required("toolUseId"), name: try fields.required("name"),
            arguments: JSON.text(fields.take("input") ?? [:]))
    }

    private static func reasoning(_ value: JSONValue) -> Reasoning {
        if let data = value["redactedContent"]?.string { return ConverseWords.redacted(data) }
        let readable = value["reasoningText"]
        return Reasoning(
            readable?["text"]?.string ?? "", signature: readable?["signature"]?.string, origin: .anthropic)
    }

    /// Reads a block of content; a cache point marks the part before it.
    private static func read(_ block: JSONValue, into message: inout Message) {
        if let point = block["cachePoint"] {
            guard !message.content.isEmpty else { return }
            message.cacheMarks[message.content.count - 1] = CacheMark(ttl: point["ttl"]?.string)
        } else if let text = block["text"]?.string {
            message.content.append(.text(text))
        } else if let image = block["image"], let data = image["source"]?["bytes"]?.string {
            let format = image["format"]?.string ?? "png"
            message.content.append(.image(url: DataURL(mediaType: "image/\(format)", base64: data).text, detail: nil))
        } else {
            message.content.append(.opaque(.bedrock, block))
        }
    }

    // MARK: - Tools

    private static func readTools(_ object: JSONObject, into request: inout ChatRequest) throws(ParleyError) {
        var fields = FieldReader(object, path: "toolConfig")
        for (index, value) in (try fields.array("tools") ?? []).enumerated() {
            if let point = value["cachePoint"] {
                guard !request.tools.isEmpty else { continue }
                request.tools[request.tools.count - 1].cacheMark = CacheMark(ttl: point["ttl"]?.string)
            } else if let spec = value["toolSpec"]?.object {
                var inner = FieldReader(spec, path: "toolConfig.tools[\(index)].toolSpec")
                request.tools.append(
                    Tool(
                        name: try inner.required("name"), description: try inner.string("description"),
                        parameters: inner.take("inputSchema")?["json"], strict: try inner.bool("strict")))
            } else {
                var tool = Tool(name: value["systemTool"]?["name"]?.string ?? "")
                tool.opaque = (.bedrock, value)
                request.tools.append(tool)
            }
        }
        guard let choice = try fields.object("toolChoice") else { return }
        if choice["any"] != nil {
            request.toolChoice = .required
        } else if let name = choice["tool"]?["name"]?.string {
            request.toolChoice = .named(name)
        } else {
            request.toolChoice = choice["auto"] != nil ? .auto : .opaque(.bedrock, .object(choice))
        }
    }
}
