// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// Reads a client's request; the input is hostile, and every fault names the field by its path.
enum GeminiRequestDecoder {
    static func decode(_ body: JSONObject) throws(ParleyError) -> ChatRequest {
        var fields = FieldReader(GeminiNames.camel(body))
        var request = ChatRequest(model: "", messages: [])
        _ = fields.take("model")
        if let system = fields.take("systemInstruction") {
            request.messages.append(try GeminiContentDecoder.system(system, "systemInstruction"))
        }
        guard let contents = fields.take("contents") else { throw RequestFault.missing("contents") }
        let turns = try GeminiContentDecoder.contents(contents)
        guard !turns.isEmpty else { throw RequestFault.empty("contents") }
        request.messages += turns
        try readTools(&fields, into: &request)
        try readToolConfig(&fields, into: &request)
        try readConfig(&fields, into: &request)
        if !fields.rest.isEmpty { request.extras = Extras(.gemini, fields.rest) }
        return request
    }

    // MARK: - Tools

    private static func readTools(_ fields: inout FieldReader, into request: inout ChatRequest) throws(ParleyError) {
        guard let tools = fields.take("tools") else { return }
        for (index, value) in (tools.array ?? [tools]).enumerated() {
            let path = "tools[\(index)]"
            guard let object = value.object else { throw RequestFault.type(path, expected: "an object", got: value) }
            var tool = FieldReader(GeminiNames.camel(object), path: path)
            let functions = try tool.array("functionDeclarations", expected: "an array of objects") ?? []
            for (index, function) in functions.enumerated() {
                request.tools.append(try self.function(function, "\(path).functionDeclarations[\(index)]"))
            }
            tool.rest.members.removeAll { $0.value.isNull }
            guard let name = tool.rest.members.first?.key else { continue }
            var builtIn = Tool(name: name)
            builtIn.opaque = (.gemini, .object(tool.rest))
            request.tools.append(builtIn)
        }
    }

    private static func function(_ value: JSONValue, _ path: String) throws(ParleyError) -> Tool {
        guard let object = value.object else { throw RequestFault.type(path, expected: "an object", got: value) }
        var fields = FieldReader(GeminiNames.camel(object), path: path)
        var tool = Tool(name: try fields.required("name"))
        tool.description = try fields.string("description")
        let classic = try fields.object("parameters")
        if let schema = fields.take("parametersJsonSchema") {
            tool.parameters = schema
        } else if let classic {
            tool.parameters = GeminiSchema.jsonSchema(.object(classic))
        }
        fields.rest.members.removeAll { $0.value.isNull }
        if !fields.rest.isEmpty { tool.extras = Extras(.gemini, fields.rest) }
        return tool
    }

    private static func readToolConfig(
        _ fields: inout FieldReader, into request: inout ChatRequest
    ) throws(ParleyError) {
        guard let object = try fields.object("toolConfig") else { return }
        var config = FieldReader(GeminiNames.camel(object), path: "toolConfig")
        if let object = try config.object("functionCallingConfig") {
            let path = "toolConfig.functionCallingConfig"
            var calling = FieldReader(GeminiNames.camel(object), path: path)
            let mode = try calling.string("mode")?.uppercased()
            var names: [String] = []
            for (index, value) in (try calling.array("allowedFunctionNames") ?? []).enumerated() {
                guard let name = value.string else {
                    throw RequestFault.type("\(path).allowedFunctionNames[\(index)]", expected: "a string", got: value)
                }
                names.append(name)
            }
            request.toolChoice = choice(mode, names)
            if !calling.rest.isEmpty { config.rest["functionCallingConfig"] = .object(calling.rest) }
        }
        if !config.rest.isEmpty { fields.rest["toolConfig"] = .object(config.rest) }
    }

    private static func choice(_ mode: String?, _ names: [String]) -> ToolChoice? {
        switch (mode, names.count) {
        case (nil, 0), ("MODE_UNSPECIFIED", 0): return nil
        case ("AUTO", 0): return .auto
        case ("NONE", _): return ToolChoice.none
        case ("ANY", 0): return .required
        case ("ANY", 1): return .named(names[0])
        default:
            var object = JSONObject()
            if let mode { object.members.append(.init("mode", .string(mode))) }
            if !names.isEmpty {
                object.members.append(.init("allowedFunctionNames", .array(names.map { .string($0) })))
            }
            return .opaque(.gemini, .object(object))
        }
    }

    // MARK: - Configuration

    private static func readConfig(_ fields: inout FieldReader, into request: inout ChatRequest) throws(ParleyError) {
        guard let object = try fields.object("generationConfig") else { return }
        var config = FieldReader(GeminiNames.camel(object), path: "generationConfig")
        request.temperature = try config.double("temperature")
        request.topP = try config.double("topP")
        if let value = config.rest["topK"], let whole = value.int {
            request.topK = whole
            config.rest["topK"] = nil
        }
        request.n = try config.int("candidateCount")
        if let n = request.n, n < 1 {
            throw RequestFault.below("generationConfig.candidateCount", minimum: 1, got: n)
        }
        request.maxTokens = try config.int("maxOutputTokens")
        request.seed = try config.int("seed")
        request.presencePenalty = try config.double("presencePenalty")
        request.frequencyPenalty = try config.double("frequencyPenalty")
        request.logprobs = try config.bool("responseLogprobs")
        request.topLogprobs = try config.int("logprobs")
        for (index, value) in (try config.array("stopSequences", expected: "an array of strings") ?? []).enumerated() {
            guard let text = value.string else {
                throw RequestFault.type("generationConfig.stopSequences[\(index)]", expected: "a string", got: value)
            }
            request.stop.append(text)
        }
        try readThinking(&config, into: &request)
        request.responseFormat = try readFormat(&config)
        config.rest.members.removeAll { $0.value.isNull }
        if !config.rest.isEmpty { fields.rest["generationConfig"] = .object(config.rest) }
    }

    private static func readThinking(
        _ config: inout FieldReader, into request: inout ChatRequest
    ) throws(ParleyError) {
        guard let object = try config.object("thinkingConfig") else { return }
        var thinking = FieldReader(GeminiNames.camel(object), path: "generationConfig.thinkingConfig")
        request.showsReasoning = try thinking.bool("includeThoughts")
        request.reasoningBudget = try thinking.int("thinkingBudget")
        if let level = try thinking.string("thinkingLevel")?.lowercased(), level != "thinking_level_unspecified" {
            request.reasoningEffort = level
        }
    }

    private static func readFormat(_ config: inout FieldReader) throws(ParleyError) -> ResponseFormat? {
        let mime = try config.string("responseMimeType")
        let classic = config.take("responseSchema")
        let schema = config.take("responseJsonSchema") ?? classic.map { GeminiSchema.jsonSchema($0) }
        switch (mime, schema) {
        case (nil, nil): return nil
        case ("text/plain", nil): return .text
        case ("application/json", nil): return .jsonObject
        case ("application/json", let schema?), (nil, let schema?):
            return .jsonSchema(name: "response", description: nil, schema: schema, strict: nil)
        default:
            var object = JSONObject()
            if let mime { object.members.append(.init("responseMimeType", .string(mime))) }
            if let classic {
                object.members.append(.init("responseSchema", classic))
            } else if let schema {
                object.members.append(.init("responseJsonSchema", schema))
            }
            return .opaque(.gemini, .object(object))
        }
    }
}
