// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// Writes a neutral request for an upstream of Responses.
struct ResponsesRequestEncoder {
    /// Fields that were left out, each named once.
    private(set) var dropped: [String] = []

    mutating func encode(_ request: ChatRequest) throws(ParleyError) -> JSONObject {
        var body = JSONObject()
        if !request.model.isEmpty { body["model"] = .string(request.model) }
        try putInput(request, into: &body)
        var extras = request.extras.of(.openAIResponses)
        if request.extras.dialect == .openAIChat { extras = try takeOver(request.extras.fields) }
        if let dialect = request.extras.dialect, dialect != .openAIChat, dialect != .openAIResponses {
            drop(request.extras.fields.members.map(\.key))
        }
        try putSampling(request, into: &body)
        try putTools(request, into: &body)
        try putText(request, &extras, into: &body)
        putReasoning(request, &extras, into: &body)
        if request.extras.dialect != .openAIResponses {
            // Nobody could ask for what is stored there, and encrypted reasoning is what the client can send back.
            body["store"] = false
            body["include"] = .array([.string(ResponsesField.ciphertext)])
        }
        putInclude(request, &extras, into: &body)
        if request.stream { body["stream"] = true }
        for member in extras.members where body[member.key] == nil { body.members.append(member) }
        return body
    }

    private mutating func drop(_ names: [String]) {
        for name in names where !dropped.contains(name) { dropped.append(name) }
    }

    private mutating func putInput(_ request: ChatRequest, into body: inout JSONObject) throws(ParleyError) {
        var first = 0
        // The first turn says how the assistant is to be, where it is plain and has no item of its own.
        if let message = request.messages.first, message.role == .system || message.role == .developer,
            message.extras.of(.openAIResponses)[ResponsesItemDecoder.items] == nil,
            message.content.allSatisfy({ if case .text = $0 { true } else { false } }),
            request.messages.count > 1
                || request.extras.dialect == .openAIResponses
        {
            body["instructions"] = .string(message.text)
            if !message.cacheMarks.isEmpty { drop(["cache_control"]) }
            if message.name != nil { drop(["messages[].name"]) }
            first = 1
        }
        if request.messages.count == first + 1, let message = request.messages.last, message.role == .user,
            message.contentIsText, case .string(let text)? = message.extras.of(.openAIResponses)["items"],
            text == message.text
        {
            body["input"] = .string(text)
            return
        }
        var encoder = ResponsesItemEncoder()
        let items = try encoder.encode(request.messages, from: first)
        drop(encoder.dropped)
        if !items.isEmpty || request.extras.dialect != .openAIResponses { body["input"] = .array(items) }
    }

    private mutating func putSampling(_ request: ChatRequest, into body: inout JSONObject) throws(ParleyError) {
        if let n = request.n, n > 1 { throw Self.unsupported("n", "this model's provider gives one answer only.") }
        body["max_output_tokens"] = request.maxTokens.map { .int($0) }
        body["temperature"] = request.temperature.map { .double($0) }
        body["top_p"] = request.topP.map { .double($0) }
        body["top_logprobs"] = request.topLogprobs.map { .int($0) }
        body["user"] = request.user.map { .string($0) }
        if !request.stop.isEmpty { drop(["stop"]) }
        if request.frequencyPenalty != nil { drop(["frequency_penalty"]) }
        if request.presencePenalty != nil { drop(["presence_penalty"]) }
        if request.seed != nil { drop(["seed"]) }
        if request.topK != nil { drop(["top_k"]) }
    }

    static func unsupported(_ field: String, _ why: String) -> ParleyError {
        ParleyError(.invalid, "Invalid '\(field)': \(why)", code: "unsupported_value", parameter: field)
    }

    /// What a chat request's own fields are here.
    private mutating func takeOver(_ fields: JSONObject) throws(ParleyError) -> JSONObject {
        var extras = JSONObject()
        for member in fields.members where !member.value.isNull {
            switch member.key {
            case _ where ResponsesExtras.shared.contains(member.key): extras.members.append(member)
            case "verbosity": extras["text"] = ["verbosity": member.value]
            // Both are said by the tools; and nothing is stored in any case.
            case "functions", "function_call": break
            case "store" where member.value == false: break
            case "modalities" where member.value == ["text"]: break
            case "audio", "modalities":
                throw Self.unsupported(member.key, "this model's provider answers in text only.")
            default: drop([member.key])
            }
        }
        return extras
    }

    // MARK: - Tools

    private mutating func putTools(_ request: ChatRequest, into body: inout JSONObject) throws(ParleyError) {
        var tools: [JSONValue] = []
        for tool in request.tools {
            tools.append(try encode(tool))
            if tool.cacheMark != nil { drop(["cache_control"]) }
        }
        if !tools.isEmpty { body["tools"] = .array(tools) }
        if let parallel = request.parallelToolCalls { body["parallel_tool_calls"] = .bool(parallel) }
        switch request.toolChoice {
        case nil: break
        case .auto?: body["tool_choice"] = "auto"
        case ToolChoice.none?: body["tool_choice"] = "none"
        case .required?: body["tool_choice"] = "required"
        case .named(let name)?: body["tool_choice"] = ["type": "function", "name": .string(name)]
        case .opaque(.openAIResponses, let value)?: body["tool_choice"] = value
        case .opaque(.openAIChat, let value)?: body["tool_choice"] = Self.flat(choice: value)
        case .opaque?: drop(["tool_choice"])
        }
    }

    private func encode(_ tool: Tool) throws(ParleyError) -> JSONValue {
        if let (dialect, value) = tool.opaque {
            if dialect == .openAIResponses { return value }
            if dialect == .openAIChat, value["type"] == "custom", let custom = value["custom"]?.object {
                return Self.flat(custom: custom)
            }
            throw ParleyError(
                .invalid, "The tool '\(tool.name.prefix(64))' is of a kind this model's provider does not have.",
                code: "unsupported_value", parameter: "tools")
        }
        if let raw = tool.extras.of(.openAIResponses)[ResponsesTools.raw],
            let same = try? ResponsesTools.tool(raw, "tools"), same == tool
        {
            return raw
        }
        var object: JSONObject = ["type": "function", "name": .string(tool.name)]
        if let description = tool.description { object["description"] = .string(description) }
        object["parameters"] = tool.parameters ?? ["type": "object", "properties": [:]]
        // Here a tool is strict unless it says otherwise; everywhere else it is the other way round.
        object["strict"] = .bool(tool.strict ?? false)
        return .object(object)
    }

    private static func flat(custom: JSONObject) -> JSONValue {
        var object: JSONObject = ["type": "custom"]
        object.members += custom.members
        if let grammar = custom["format"]?["grammar"]?.object {
            object["format"] = .object(JSONObject([.init("type", "grammar")] + grammar.members))
        }
        return .object(object)
    }

    private static func flat(choice: JSONValue) -> JSONValue {
        switch choice["type"] {
        case "custom": return ["type": "custom", "name": choice["custom"]?["name"] ?? ""]
        case "allowed_tools":
            let tools = (choice["allowed_tools"]?["tools"]?.array ?? []).map { tool -> JSONValue in
                guard tool["type"] == "function" else { return tool }
                return ["type": "function", "name": tool["function"]?["name"] ?? ""]
            }
            let mode = choice["allowed_tools"]?["mode"] ?? "auto"
            return ["type": "allowed_tools", "mode": mode, "tools": .array(tools)]
        default: return choice
        }
    }

    // MARK: - Text and reasoning

    private func putText(
        _ request: ChatRequest, _ extras: inout JSONObject, into body: inout JSONObject
    ) throws(ParleyError) {
        var text = JSONObject()
        switch request.responseFormat {
        case nil: break
        case .text?: text["format"] = ["type": "text"]
        case .jsonObject?: text["format"] = ["type": "json_object"]
        case .jsonSchema(let name, let description, let schema, let strict)?:
            var format: JSONObject = ["type": "json_schema", "name": .string(name)]
            if let description { format["description"] = .string(description) }
            format["schema"] = schema ?? ["type": "object"]
            if let strict { format["strict"] = .bool(strict) }
            text["format"] = .object(format)
        case .opaque(.openAIResponses, let value)?: text["format"] = value
        case .opaque?:
            throw Self.unsupported("response_format", "this model's provider has no such format.")
        }
        if let others = extras.remove("text")?.object { text.members += others.members }
        if !text.isEmpty { body["text"] = .object(text) }
    }

    private func putReasoning(_ request: ChatRequest, _ extras: inout JSONObject, into body: inout JSONObject) {
        var reasoning = JSONObject()
        if let effort = request.reasoningWord { reasoning["effort"] = .string(effort) }
        if let others = extras.remove("reasoning")?.object {
            reasoning.members += others.members
        } else if request.showsReasoning == true {
            reasoning["summary"] = "auto"
        }
        if !reasoning.isEmpty { body["reasoning"] = .object(reasoning) }
    }

    private func putInclude(_ request: ChatRequest, _ extras: inout JSONObject, into body: inout JSONObject) {
        var include = body["include"]?.array ?? []
        for value in extras.remove("include")?.array ?? [] where !include.contains(value) { include.append(value) }
        if request.logprobs == true, !include.contains(.string(ResponsesField.logprobs)) {
            include.append(.string(ResponsesField.logprobs))
        }
        if !include.isEmpty { body["include"] = .array(include) }
    }
}
