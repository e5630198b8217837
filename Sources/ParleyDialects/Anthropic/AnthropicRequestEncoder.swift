// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore
import ParleyWire

/// Writes a neutral request for an upstream that speaks Messages.
struct AnthropicRequestEncoder {
    let request: ChatRequest
    let model: ClaudeModel
    /// Fields of the client's that only this dialect knows; what is used up is taken out.
    private var extras: JSONObject
    /// Fields that were left out, each named once.
    private(set) var dropped: [String] = []

    init(_ request: ChatRequest) {
        self.request = request
        model = ClaudeModel(request.model)
        extras = request.extras.of(.anthropic)
    }

    mutating func drop(_ name: String) {
        if !dropped.contains(name) { dropped.append(name) }
    }

    mutating func encode() throws(ParleyError) -> JSONObject {
        try takeForeignExtras()
        if let n = request.n, n > 1 {
            throw ParleyError(
                .invalid, "Invalid 'n': this model's provider gives one choice only. Leave 'n' out or set it to 1.",
                code: "unsupported_value", parameter: "n")
        }
        var turns = AnthropicTurnEncoder()
        try turns.encode(request.messages)
        var config = extras.remove("output_config")?.object ?? [:]
        let instruction = try format(into: &config)
        let plan = AnthropicThinking.plan(request, model: model, extras: &extras, config: &config)
        for name in turns.dropped + plan.dropped { drop(name) }
        var body = JSONObject()
        if !request.model.isEmpty { body["model"] = .string(request.model) }
        body["max_tokens"] = .int(plan.length)
        if let system = turns.system(adding: instruction) { body["system"] = system }
        body["messages"] = .array(try turns.messages())
        try putTools(into: &body)
        if let thinking = plan.thinking { body["thinking"] = .object(thinking) }
        if !config.isEmpty { body["output_config"] = .object(config) }
        putSampling(plan, into: &body)
        if let user = request.user {
            var metadata = extras.remove("metadata")?.object ?? [:]
            metadata["user_id"] = .string(user)
            body["metadata"] = .object(metadata)
        }
        if request.stream { body["stream"] = true }
        for member in extras.members where body[member.key] == nil { body.members.append(member) }
        return body
    }

    /// Fields of Anthropic's own that OpenAI's clients send beside theirs; the others are dropped by name.
    private static let known: Set<String> = [
        "thinking", "top_k", "container", "context_management", "mcp_servers", "inference_geo", "speed",
    ]

    private mutating func takeForeignExtras() throws(ParleyError) {
        guard let dialect = request.extras.dialect, dialect != .anthropic else { return }
        let (own, foreign) = request.extras.fields(for: .anthropic)
        for name in foreign { drop(name) }
        for member in own.members where !member.value.isNull {
            switch member.key {
            case "functions", "function_call", "stream_options": break
            case "modalities" where member.value.array?.contains("audio") == true:
                throw ParleyError(
                    .invalid, "Invalid value for 'modalities': this model's provider answers with text only.",
                    code: "unsupported_value", parameter: "modalities")
            case let name where Self.known.contains(name): extras[name] = member.value
            default: drop(member.key)
            }
        }
    }

    // MARK: - Sampling

    private mutating func putSampling(_ plan: AnthropicThinking, into body: inout JSONObject) {
        if let temperature = plan.temperature { body["temperature"] = .double(temperature) }
        if let topP = plan.topP { body["top_p"] = .double(topP) }
        if let topK = plan.topK { body["top_k"] = .int(topK) }
        let stops = request.stop.filter { $0.contains { !$0.isWhitespace } }
        if stops.count < request.stop.count { drop("stop") }
        if !stops.isEmpty { body["stop_sequences"] = .array(stops.map { .string($0) }) }
        if request.frequencyPenalty != nil { drop("frequency_penalty") }
        if request.presencePenalty != nil { drop("presence_penalty") }
        if request.logprobs == true { drop("logprobs") }
        if request.topLogprobs != nil { drop("top_logprobs") }
        if request.seed != nil { drop("seed") }
    }

    // MARK: - Format

    /// Puts the format where the model takes it; else the instruction that stands for it.
    private mutating func format(into config: inout JSONObject) throws(ParleyError) -> String? {
        switch request.responseFormat {
        case nil, .text?: return nil
        case .jsonObject?: return Self.objectInstruction
        case .jsonSchema(_, let description, let schema, _)?:
            guard let schema else { return Self.objectInstruction }
            if model.hasStructuredOutput {
                config["format"] = ["type": "json_schema", "schema": schema]
                return nil
            }
            let about = description.map { " It is: \($0)" } ?? ""
            return "\(Self.valueInstruction) It must be valid against this JSON Schema:\n\(JSON.text(schema))\(about)"
        case .opaque(.anthropic, let kept)?:
            config["format"] = kept
            return nil
        case .opaque?:
            throw ParleyError(
                .invalid, "This response format is one this model's provider does not have.",
                code: "unsupported_value", parameter: "response_format")
        }
    }

    private static let valueInstruction =
        "Answer with one JSON value and nothing else: no other text, no code fence."
    private static let objectInstruction =
        "Answer with one JSON object and nothing else: no other text, no code fence."

    // MARK: - Tools

    private mutating func putTools(into body: inout JSONObject) throws(ParleyError) {
        var tools: [JSONValue] = []
        for (index, tool) in request.tools.enumerated() { tools.append(try encode(tool, "tools[\(index)]")) }
        if !tools.isEmpty { body["tools"] = .array(tools) }
        var choice: JSONObject?
        switch request.toolChoice {
        case nil: break
        case .auto?: choice = ["type": "auto"]
        case .required?: choice = ["type": "any"]
        case .some(.none): choice = ["type": "none"]
        case .named(let name)?: choice = ["type": "tool", "name": .string(try Self.checked(name, "tool_choice"))]
        case .opaque(.anthropic, let kept)?: choice = kept.object
        case .opaque?: drop("tool_choice")
        }
        // Without tools the API refuses a choice; to call none is what happens then.
        if tools.isEmpty, choice != nil {
            if request.toolChoice != .some(.none), request.toolChoice != .auto { drop("tool_choice") }
            choice = nil
        }
        if request.parallelToolCalls == false {
            if tools.isEmpty || choice?["type"] == "none" {
                drop("parallel_tool_calls")
            } else {
                var own = choice ?? ["type": "auto"]
                own["disable_parallel_tool_use"] = true
                choice = own
            }
        }
        if let choice { body["tool_choice"] = .object(choice) }
    }

    private mutating func encode(_ tool: Tool, _ path: String) throws(ParleyError) -> JSONValue {
        if let (dialect, value) = tool.opaque {
            if dialect == .anthropic { return value }
            throw ParleyError(
                .invalid, "The tool '\(tool.name.prefix(64))' is of a kind this model's provider does not have.",
                code: "unsupported_value", parameter: path)
        }
        var extras = tool.extras.of(.anthropic)
        var object = JSONObject()
        if let type = extras.remove("type") { object["type"] = type }
        object["name"] = .string(try Self.checked(tool.name, path + ".name"))
        if let description = tool.description { object["description"] = .string(description) }
        object["input_schema"] = .object(try schema(of: tool, path))
        if let strict = tool.strict {
            if strict, !model.hasStructuredOutput, request.extras.dialect != .anthropic {
                drop("tools[].function.strict")
            } else if strict || request.extras.dialect == .anthropic {
                object["strict"] = .bool(strict)
            }
        }
        if let mark = tool.cacheMark { object["cache_control"] = .object(CacheControl.object(mark)) }
        object.members += extras.members
        return .object(object)
    }

    /// The schema, which must be that of an object; a tool without one takes no arguments.
    private func schema(of tool: Tool, _ path: String) throws(ParleyError) -> JSONObject {
        guard let parameters = tool.parameters else { return ["type": "object", "properties": [:]] }
        guard case .object(var schema) = parameters else {
            throw RequestFault.type(path + ".parameters", expected: "an object", got: parameters)
        }
        if schema["type"] == nil { schema.members.insert(.init("type", "object"), at: 0) }
        guard schema["type"] == "object" else {
            throw ParleyError(
                .invalid, "Invalid schema for the tool '\(tool.name.prefix(64))': its type must be 'object'.",
                code: "invalid_value", parameter: path + ".parameters")
        }
        return schema
    }

    /// A name as the API takes it. Mapping others would need a way back for the answer's names.
    static func checked(_ name: String, _ path: String) throws(ParleyError) -> String {
        guard (1...128).contains(name.utf8.count), name.utf8.allSatisfy(AnthropicTurnEncoder.isNameByte) else {
            throw ParleyError(
                .invalid,
                "Invalid '\(path)': this model's provider takes names of 1 to 128 letters, digits, underscores and "
                    + "hyphens only.", code: "invalid_value", parameter: path)
        }
        return name
    }
}
