// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// Writes a neutral request for Gemini.
struct GeminiRequestEncoder {
    let dialect: Gemini
    let request: ChatRequest
    let model: GeminiModelName
    /// Names of functions by the ids of their calls.
    let names: [String: String]
    /// Fields that were left out, each named once.
    private(set) var dropped: [String] = []

    init(dialect: Gemini, request: ChatRequest) {
        self.dialect = dialect
        self.request = request
        model = GeminiModelName(request.model)
        var names: [String: String] = [:]
        for message in request.messages {
            for call in message.toolCalls { names[call.id] = call.name }
        }
        self.names = names
    }

    mutating func encode() throws(ParleyError) -> JSONObject {
        var extras = request.extras.of(.gemini)
        var config = extras.remove("generationConfig")?.object ?? [:]
        var toolConfig = extras.remove("toolConfig")?.object ?? [:]
        var body = JSONObject()
        let turns = try encodeTurns()
        body.members.append(.init("contents", .array(turns.contents)))
        if !turns.system.isEmpty {
            body.members.append(.init("systemInstruction", ["parts": .array(turns.system)]))
        }
        let tools = try encodeTools()
        if !tools.isEmpty { body.members.append(.init("tools", .array(tools))) }
        putChoice(into: &toolConfig)
        if !toolConfig.isEmpty { body.members.append(.init("toolConfig", .object(toolConfig))) }
        var own = try sampling()
        putThinking(into: &own)
        putForeign(into: &own, &extras)
        for member in own.members { config[member.key] = member.value }
        if !config.isEmpty { body.members.append(.init("generationConfig", .object(config))) }
        for member in extras.members where body[member.key] == nil { body.members.append(member) }
        return body
    }

    mutating func drop(_ name: String) {
        if !dropped.contains(name) { dropped.append(name) }
    }

    // MARK: - Configuration

    private mutating func sampling() throws(ParleyError) -> JSONObject {
        var config = JSONObject()
        func put(_ name: String, _ value: JSONValue?) {
            if let value { config.members.append(.init(name, value)) }
        }
        put("temperature", request.temperature.map { .double($0) })
        put("topP", request.topP.map { .double($0) })
        put("topK", request.topK.map { .int($0) })
        put("candidateCount", request.n.map { .int($0) })
        put("maxOutputTokens", request.maxTokens.map { .int($0) })
        put("stopSequences", request.stop.isEmpty ? nil : .array(request.stop.map { .string($0) }))
        put("seed", request.seed.map { .int($0) })
        put("presencePenalty", request.presencePenalty.map { .double($0) })
        put("frequencyPenalty", request.frequencyPenalty.map { .double($0) })
        put("responseLogprobs", request.logprobs.map { .bool($0) })
        put("logprobs", request.topLogprobs.map { .int($0) })
        try putFormat(into: &config)
        if request.user != nil { drop("user") }
        if request.parallelToolCalls == false { drop("parallel_tool_calls") }
        return config
    }

    private func putFormat(into config: inout JSONObject) throws(ParleyError) {
        switch request.responseFormat {
        case nil: break
        case .text?: config["responseMimeType"] = "text/plain"
        case .jsonObject?: config["responseMimeType"] = "application/json"
        case .jsonSchema(_, _, let schema, _)?:
            config["responseMimeType"] = "application/json"
            guard let schema else { return }
            if dialect.jsonSchemaFields {
                config["responseJsonSchema"] = schema
            } else {
                config["responseSchema"] = GeminiSchema.classic(schema)
            }
        case .opaque(.gemini, let value)?:
            for member in value.object?.members ?? [] { config[member.key] = member.value }
        case .opaque?:
            throw ParleyError(
                .invalid, "This response format is one that Gemini does not have.", code: "unsupported_value",
                parameter: "response_format")
        }
    }

    /// How hard to think: by level for Gemini 3, by tokens for Gemini 2.5.
    private mutating func putThinking(into config: inout JSONObject) {
        var thinking = JSONObject()
        if let shows = request.showsReasoning, model.thinks || shows == false {
            if model.thinks { thinking["includeThoughts"] = .bool(shows) }
        }
        if request.reasoningEffort != nil || request.reasoningBudget != nil {
            guard model.thinks else { return drop("reasoning_effort") }
            if model.isThird, let effort = request.reasoningEffort {
                thinking["thinkingLevel"] = .string(level(effort))
            } else if let budget = request.reasoningBudget {
                thinking["thinkingBudget"] = .int(budget)
            } else if let effort = request.reasoningEffort, let tokens = ReasoningBudget.tokens(effort) {
                thinking["thinkingBudget"] = .int(budget(tokens))
            } else {
                drop("reasoning_effort")
            }
        }
        if !thinking.isEmpty { config["thinkingConfig"] = .object(thinking) }
    }

    private func level(_ effort: String) -> String {
        switch effort {
        // The large models know no less than this.
        case "none", "minimal": model.isPro ? "LOW" : "MINIMAL"
        case "low": "LOW"
        case "medium": "MEDIUM"
        default: "HIGH"
        }
    }

    /// The budget within the model's bounds: the large ones think with 128 tokens or more, the others with 24,576 or
    /// less.
    private func budget(_ tokens: Int) -> Int {
        model.isPro ? max(128, tokens) : min(24_576, tokens)
    }

    /// Fields of OpenAI's that Gemini has under another name; the others are dropped.
    private mutating func putForeign(into config: inout JSONObject, _ extras: inout JSONObject) {
        guard let dialect = request.extras.dialect, dialect != .gemini else { return }
        for member in request.extras.inChatWords(dropped: &dropped).members where !member.value.isNull {
            switch (member.key, member.value) {
            case ("modalities", .array(let list)) where dialect == .openAIChat:
                let words = list.compactMap { $0.string?.uppercased() }
                if words != ["TEXT"] { config["responseModalities"] = .array(words.map { .string($0) }) }
            case ("extra_body", .object(let body)) where dialect == .openAIChat:
                put(body["google"]?.object ?? [:], into: &config, &extras)
            case ("stream_options", _), ("functions", _), ("function_call", _): break
            default: drop(member.key)
            }
        }
    }

    /// What Google's own OpenAI face takes beside OpenAI's fields.
    private func put(_ google: JSONObject, into config: inout JSONObject, _ extras: inout JSONObject) {
        for member in GeminiNames.camel(google).members {
            switch member.key {
            case "thinkingConfig":
                config["thinkingConfig"] = .object(GeminiNames.camel(member.value.object ?? [:]))
            case "cachedContent", "safetySettings", "labels": extras[member.key] = member.value
            default: break
            }
        }
    }

    // MARK: - Tools

    private mutating func encodeTools() throws(ParleyError) -> [JSONValue] {
        var tools: [JSONValue] = []
        var functions: [JSONValue] = []
        var place: Int?
        for tool in request.tools {
            if tool.cacheMark != nil { drop("cache_control") }
            if let (dialect, value) = tool.opaque {
                guard dialect == .gemini else {
                    throw ParleyError(
                        .invalid, "The tool '\(tool.name.prefix(64))' is of a kind that Gemini does not have.",
                        code: "unsupported_value", parameter: "tools")
                }
                tools.append(value)
                continue
            }
            if place == nil { place = tools.count }
            functions.append(.object(declaration(tool)))
        }
        if let place { tools.insert(["functionDeclarations": .array(functions)], at: place) }
        return tools
    }

    private mutating func declaration(_ tool: Tool) -> JSONObject {
        var object: JSONObject = ["name": .string(tool.name)]
        if let description = tool.description { object.members.append(.init("description", .string(description))) }
        if let schema = tool.parameters {
            if dialect.jsonSchemaFields {
                object.members.append(.init("parametersJsonSchema", schema))
            } else {
                let classic = GeminiSchema.classic(schema)
                // An object without properties is refused; a function without parameters is not.
                if classic["properties"] != nil { object.members.append(.init("parameters", classic)) }
            }
        }
        if tool.strict == true { drop("tools[].function.strict") }
        object.members += tool.extras.of(.gemini).members
        return object
    }

    private mutating func putChoice(into toolConfig: inout JSONObject) {
        guard let choice = request.toolChoice else { return }
        var calling = JSONObject()
        switch choice {
        case .auto: calling["mode"] = "AUTO"
        case .none: calling["mode"] = "NONE"
        case .required: calling["mode"] = "ANY"
        case .named(let name):
            calling["mode"] = "ANY"
            calling["allowedFunctionNames"] = [.string(name)]
        case .opaque(.gemini, let value): calling = value.object ?? [:]
        case .opaque(.openAIChat, let value):
            guard let allowed = value["allowed_tools"]?.object else { return drop("tool_choice") }
            let names = (allowed["tools"]?.array ?? []).compactMap { $0["function"]?["name"] }
            calling["mode"] = allowed["mode"] == "required" ? "ANY" : "VALIDATED"
            calling["allowedFunctionNames"] = .array(names)
        case .opaque: return drop("tool_choice")
        }
        let others = toolConfig["functionCallingConfig"]?.object?.members ?? []
        calling.members += others.filter { calling[$0.key] == nil }
        toolConfig["functionCallingConfig"] = .object(calling)
    }
}
