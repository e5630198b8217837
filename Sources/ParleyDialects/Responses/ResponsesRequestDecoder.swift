// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// Reads a client's request; the input is hostile, and every fault names the field by its path.
///
/// `instructions` become the first turn, a system turn without items of its own.
enum ResponsesRequestDecoder {
    static func decode(_ body: JSONObject) throws(ParleyError) -> ChatRequest {
        var fields = FieldReader(body)
        var request = ChatRequest(model: try fields.string("model") ?? "", messages: [])
        if let instructions = try fields.string("instructions") {
            request.messages.append(Message(.system, text: instructions))
        }
        request.messages += try input(&fields)
        try readSampling(&fields, into: &request)
        try readTools(&fields, into: &request)
        try readText(&fields, into: &request)
        try readReasoning(&fields, into: &request)
        request.user = try fields.string("user")
        request.stream = try fields.bool("stream") ?? false
        request.includeUsage = request.stream
        try checkShapes(fields.rest)
        fields.rest.members.removeAll { $0.value.isNull }
        // Also where there are none: a request of this dialect is told from others by it.
        request.extras = Extras(.openAIResponses, fields.rest)
        return request
    }

    private static func input(_ fields: inout FieldReader) throws(ParleyError) -> [Message] {
        switch fields.take("input") {
        case .string(let text)?:
            var message = Message(.user, text: text)
            // A mark that this is how it came.
            message.extras = Extras(.openAIResponses, [ResponsesItemDecoder.items: .string(text)])
            return [message]
        case .array(let list)?:
            let messages = try ResponsesItemDecoder.decode(list)
            if messages.isEmpty, !canDoWithout(fields) { throw RequestFault.empty("input") }
            return messages
        case nil:
            guard canDoWithout(fields) else { throw RequestFault.missing("input") }
            return []
        case let other?: throw RequestFault.type("input", expected: "one of a string or an array", got: other)
        }
    }

    /// Whether the conversation comes from elsewhere.
    private static func canDoWithout(_ fields: FieldReader) -> Bool {
        ["prompt", "previous_response_id", "conversation"].contains { fields.rest[$0].map { !$0.isNull } ?? false }
    }

    private static func readSampling(_ fields: inout FieldReader, into request: inout ChatRequest) throws(ParleyError) {
        request.maxTokens = try fields.int("max_output_tokens")
        request.temperature = try fields.double("temperature")
        request.topP = try fields.double("top_p")
        request.topLogprobs = try fields.int("top_logprobs")
        if let include = fields.rest["include"], !include.isNull {
            guard let list = include.array else {
                throw RequestFault.type("include", expected: "an array of strings", got: include)
            }
            for (index, value) in list.enumerated() where value.string == nil {
                throw RequestFault.type("include[\(index)]", expected: "a string", got: value)
            }
            if list.contains(.string(ResponsesField.logprobs)) { request.logprobs = true }
        }
    }

    private static func readTools(_ fields: inout FieldReader, into request: inout ChatRequest) throws(ParleyError) {
        request.parallelToolCalls = try fields.bool("parallel_tool_calls")
        for (index, tool) in (try fields.array("tools", expected: "an array of objects") ?? []).enumerated() {
            request.tools.append(try ResponsesTools.tool(tool, "tools[\(index)]"))
        }
        if let choice = fields.take("tool_choice") {
            request.toolChoice = try ResponsesTools.choice(choice, "tool_choice")
        }
    }

    private static func readText(_ fields: inout FieldReader, into request: inout ChatRequest) throws(ParleyError) {
        guard let text = try fields.object("text") else { return }
        var inner = FieldReader(text, path: "text")
        if let format = try inner.object("format") { request.responseFormat = try Self.format(format) }
        inner.rest.members.removeAll { $0.value.isNull }
        if !inner.rest.isEmpty { fields.rest["text"] = .object(inner.rest) }
    }

    private static func format(_ object: JSONObject) throws(ParleyError) -> ResponseFormat {
        var fields = FieldReader(object, path: "text.format")
        switch try fields.required("type") {
        case "text": return .text
        case "json_object": return .jsonObject
        case "json_schema":
            let name = try fields.required("name")
            let description = try fields.string("description")
            guard let schema = try fields.object("schema") else { throw RequestFault.missing("text.format.schema") }
            return .jsonSchema(
                name: name, description: description, schema: .object(schema), strict: try fields.bool("strict"))
        default: return .opaque(.openAIResponses, .object(object))
        }
    }

    private static func readReasoning(
        _ fields: inout FieldReader, into request: inout ChatRequest
    ) throws(ParleyError) {
        guard let reasoning = try fields.object("reasoning") else { return }
        var inner = FieldReader(reasoning, path: "reasoning")
        request.reasoningEffort = try inner.string("effort")
        inner.rest.members.removeAll { $0.value.isNull }
        let summary = inner.rest["summary"] ?? inner.rest["generate_summary"]
        if let summary {
            guard summary.string != nil else {
                throw RequestFault.type("reasoning.summary", expected: "a string", got: summary)
            }
            request.showsReasoning = true
        }
        if !inner.rest.isEmpty { fields.rest["reasoning"] = .object(inner.rest) }
    }

    /// Checks the documented fields that are only passed on.
    private static func checkShapes(_ rest: JSONObject) throws(ParleyError) {
        for member in rest.members where !member.value.isNull {
            guard let expected = ResponsesField.mismatch(member.key, member.value) else { continue }
            throw RequestFault.type(member.key, expected: expected, got: member.value)
        }
    }
}

/// Facts about the fields of a request.
enum ResponsesField {
    /// What asks for log probabilities in `include`.
    static let logprobs = "message.output_text.logprobs"
    /// What asks for encrypted reasoning in `include`.
    static let ciphertext = "reasoning.encrypted_content"

    /// What a documented field that is passed on should be, where `value` is something else.
    static func mismatch(_ name: String, _ value: JSONValue) -> String? {
        switch name {
        case "store", "background": value.bool == nil ? "a boolean" : nil
        case "max_tool_calls": value.int == nil ? "an integer" : nil
        case "metadata", "stream_options", "prompt": value.object == nil ? "an object" : nil
        case "previous_response_id", "prompt_cache_key", "safety_identifier", "service_tier", "truncation":
            value.string == nil ? "a string" : nil
        case "conversation":
            value.string == nil && value["id"]?.string == nil ? "one of a string or an object with an id" : nil
        default: nil
        }
    }
}

/// Reads tools and tool choices, which have no `function` object inside here.
enum ResponsesTools {
    /// The member of a tool's extras with the tool as it came.
    static let raw = "tool"

    static func tool(_ value: JSONValue, _ path: String) throws(ParleyError) -> Tool {
        guard let object = value.object else { throw RequestFault.type(path, expected: "an object", got: value) }
        var fields = FieldReader(object, path: path)
        let type = try fields.required("type")
        guard type == "function" else {
            var tool = Tool(name: try fields.string("name") ?? type)
            tool.description = try fields.string("description")
            tool.opaque = (.openAIResponses, value)
            return tool
        }
        var tool = Tool(name: try fields.required("name"))
        tool.description = try fields.string("description")
        if let parameters = try fields.object("parameters") { tool.parameters = .object(parameters) }
        tool.strict = try fields.bool("strict")
        tool.extras = Extras(.openAIResponses, [raw: value])
        return tool
    }

    static func choice(_ value: JSONValue, _ path: String) throws(ParleyError) -> ToolChoice {
        switch value {
        case .string("auto"): return .auto
        case .string("none"): return .none
        case .string("required"): return .required
        case .string(let word): throw RequestFault.value(path, word, supported: ["none", "auto", "required"])
        case .object(let object):
            var fields = FieldReader(object, path: path)
            guard try fields.required("type") == "function" else { return .opaque(.openAIResponses, value) }
            return .named(try fields.required("name"))
        default:
            throw RequestFault.type(path, expected: ChatField.Shape.textOrObject.expected, got: value)
        }
    }
}
