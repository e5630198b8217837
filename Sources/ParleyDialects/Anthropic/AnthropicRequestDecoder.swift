// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// Reads a client's Messages request; the input is hostile, and every fault names the field by its path.
///
/// Normalised on the way: a null field is a field not said, `output_format` (the beta's name) is `output_config.format`,
/// and `disable_parallel_tool_use: false` is not said.
enum AnthropicRequestDecoder {
    /// - Parameter isCount: whether only the length is asked for, so that `max_tokens` need not be there.
    static func decode(_ body: JSONObject, isCount: Bool = false) throws(ParleyError) -> ChatRequest {
        var fields = FieldReader(body)
        var request = ChatRequest(model: try fields.string("model") ?? "", messages: [])
        request.maxTokens = try fields.int("max_tokens")
        if request.maxTokens == nil, !isCount { throw RequestFault.missing("max_tokens") }
        if let length = request.maxTokens, length < 1 {
            throw RequestFault.below("max_tokens", minimum: 1, got: length)
        }
        if let system = fields.take("system") {
            request.messages.append(try AnthropicTurnDecoder.system(system, "system"))
        }
        guard let messages = try fields.array("messages", expected: "an array of objects") else {
            throw RequestFault.missing("messages")
        }
        guard !messages.isEmpty else { throw RequestFault.empty("messages") }
        for (index, message) in messages.enumerated() {
            request.messages += try AnthropicTurnDecoder.decode(message, "messages[\(index)]")
        }
        try readSampling(&fields, into: &request)
        try readTools(&fields, into: &request)
        try readThinking(&fields, into: &request)
        try readFormat(&fields, into: &request)
        request.stream = try fields.bool("stream") ?? false
        // A stream of this dialect always ends with its usage.
        request.includeUsage = request.stream
        fields.rest.members.removeAll { $0.value.isNull }
        if !fields.rest.isEmpty { request.extras = Extras(.anthropic, fields.rest) }
        return request
    }

    private static func readSampling(_ fields: inout FieldReader, into request: inout ChatRequest) throws(ParleyError) {
        request.temperature = try fields.double("temperature")
        request.topP = try fields.double("top_p")
        request.topK = try fields.int("top_k")
        for (index, element) in (try fields.array("stop_sequences") ?? []).enumerated() {
            guard let text = element.string else {
                throw RequestFault.type("stop_sequences[\(index)]", expected: "a string", got: element)
            }
            request.stop.append(text)
        }
        if let metadata = try fields.object("metadata") {
            var inner = FieldReader(metadata, path: "metadata")
            request.user = try inner.string("user_id")
            inner.rest["user_id"] = nil
            if !inner.rest.isEmpty { fields.rest["metadata"] = .object(inner.rest) }
        }
    }

    // MARK: - Tools

    private static func readTools(_ fields: inout FieldReader, into request: inout ChatRequest) throws(ParleyError) {
        for (index, tool) in (try fields.array("tools", expected: "an array of objects") ?? []).enumerated() {
            request.tools.append(try decode(tool: tool, "tools[\(index)]"))
        }
        guard let choice = try fields.object("tool_choice") else { return }
        var inner = FieldReader(choice, path: "tool_choice")
        let type = try inner.required("type")
        switch type {
        case "auto": request.toolChoice = .auto
        case "any": request.toolChoice = .required
        case "none": request.toolChoice = ToolChoice.none
        case "tool": request.toolChoice = .named(try inner.required("name"))
        default:
            throw RequestFault.value("tool_choice.type", type, supported: ["auto", "any", "tool", "none"])
        }
        if try inner.bool("disable_parallel_tool_use") == true { request.parallelToolCalls = false }
    }

    /// A tool of the client's own, or one that Anthropic runs or defines, which is kept whole.
    private static func decode(tool value: JSONValue, _ path: String) throws(ParleyError) -> Tool {
        guard let object = value.object else { throw RequestFault.type(path, expected: "an object", got: value) }
        var fields = FieldReader(object, path: path)
        let type = try fields.string("type")
        guard type == nil || type == "custom" else {
            var tool = Tool(name: try fields.string("name") ?? type ?? "")
            tool.opaque = (.anthropic, value)
            return tool
        }
        var tool = Tool(name: try fields.required("name"))
        tool.description = try fields.string("description")
        guard let schema = try fields.object("input_schema") else {
            throw RequestFault.missing(path + ".input_schema")
        }
        tool.parameters = .object(schema)
        tool.strict = try fields.bool("strict")
        tool.cacheMark = try CacheControl.take(from: &fields)
        fields.rest.members.removeAll { $0.value.isNull }
        if type != nil { fields.rest["type"] = "custom" }
        if !fields.rest.isEmpty { tool.extras = Extras(.anthropic, fields.rest) }
        return tool
    }

    // MARK: - Thinking and format

    private static func readThinking(_ fields: inout FieldReader, into request: inout ChatRequest) throws(ParleyError) {
        guard let thinking = try fields.object("thinking") else { return }
        var inner = FieldReader(thinking, path: "thinking")
        let type = try inner.required("type")
        switch type {
        case "enabled":
            guard let budget = try inner.int("budget_tokens") else {
                throw RequestFault.missing("thinking.budget_tokens")
            }
            guard budget >= 1 else { throw RequestFault.below("thinking.budget_tokens", minimum: 1024, got: budget) }
            request.reasoningBudget = budget
        case "adaptive": request.reasoningBudget = -1
        case "disabled": request.reasoningBudget = 0
        default: throw RequestFault.value("thinking.type", type, supported: ["enabled", "adaptive", "disabled"])
        }
        switch inner.rest["display"]?.string {
        case "summarized": request.showsReasoning = true
        case "omitted": request.showsReasoning = false
        default: break
        }
        if request.showsReasoning != nil { inner.rest["display"] = nil }
        inner.rest.members.removeAll { $0.value.isNull }
        if !inner.rest.isEmpty { fields.rest["thinking"] = .object(inner.rest) }
    }

    private static func readFormat(_ fields: inout FieldReader, into request: inout ChatRequest) throws(ParleyError) {
        let config = try fields.object("output_config")
        var inner = FieldReader(config ?? [:], path: "output_config")
        let effort = try inner.string("effort")
        switch request.reasoningBudget {
        case .some(0): break
        case .some: request.reasoningEffort = effort
        // Alone, an effort does not ask for thinking: kept beside the neutral word, so that it is not taken so.
        case nil: request.reasoningEffort = effort
        }
        if let effort, (request.reasoningBudget ?? 0) == 0 { inner.rest["effort"] = .string(effort) }
        if let format = try inner.object("format") {
            request.responseFormat = try decode(format: format, "output_config.format")
        } else if let format = try fields.object("output_format") {
            request.responseFormat = try decode(format: format, "output_format")
        }
        inner.rest.members.removeAll { $0.value.isNull }
        if !inner.rest.isEmpty { fields.rest["output_config"] = .object(inner.rest) }
    }

    private static func decode(format: JSONObject, _ path: String) throws(ParleyError) -> ResponseFormat {
        var fields = FieldReader(format, path: path)
        guard try fields.required("type") == "json_schema" else { return .opaque(.anthropic, .object(format)) }
        guard let schema = try fields.object("schema") else { throw RequestFault.missing(path + ".schema") }
        guard fields.rest.isEmpty else { return .opaque(.anthropic, .object(format)) }
        return .jsonSchema(name: "response", description: nil, schema: .object(schema), strict: nil)
    }
}

/// `cache_control`, the mark of a point up to which a prompt is cached.
enum CacheControl {
    /// Takes the mark of a block or a tool; another kind than `ephemeral` stays where it is.
    static func take(from fields: inout FieldReader) throws(ParleyError) -> CacheMark? {
        guard let value = fields.rest["cache_control"], !value.isNull else {
            fields.rest["cache_control"] = nil
            return nil
        }
        guard let object = value.object else {
            throw RequestFault.type(fields.name("cache_control"), expected: "an object", got: value)
        }
        guard object["type"] == "ephemeral" else { return nil }
        let ttl = object["ttl"]?.string
        guard object == self.object(CacheMark(ttl: ttl)) || object.members.count <= 2 else { return nil }
        fields.rest["cache_control"] = nil
        return CacheMark(ttl: ttl)
    }

    /// The member that a mark is written as.
    static func object(_ mark: CacheMark) -> JSONObject {
        var object: JSONObject = ["type": "ephemeral"]
        if let ttl = mark.ttl { object["ttl"] = .string(ttl) }
        return object
    }
}
