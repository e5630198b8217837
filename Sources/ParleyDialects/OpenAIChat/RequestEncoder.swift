// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// Writes a neutral request as an upstream with these quirks wants it.
struct ChatRequestEncoder {
    let quirks: Quirks
    /// Fields that were left out, each named once.
    private(set) var dropped: [String] = []

    init(quirks: Quirks) {
        self.quirks = quirks
    }

    mutating func encode(_ request: ChatRequest) throws(ParleyError) -> JSONObject {
        var body = JSONObject()
        body.members.reserveCapacity(16)
        if !request.model.isEmpty { body.members.append(.init("model", .string(request.model))) }
        body.members.append(.init("messages", .array(try encode(request.messages))))
        try putSampling(request, into: &body)
        var extras = request.extras.of(.openAIChat)
        if request.extras.dialect == .openAIResponses {
            extras = ResponsesExtras.forChat(request.extras.fields, dropped: &dropped)
        } else if request.extras.dialect != .openAIChat {
            drop(request.extras.fields.members.map(\.key))
        }
        putForeign(request, extras, into: &body)
        try putTools(request, &extras, into: &body)
        if let format = request.responseFormat {
            body.members.append(.init("response_format", try encode(format)))
        }
        putStream(request, &extras, into: &body)
        for member in extras.members where body[member.key] == nil { body.members.append(member) }
        applyQuirks(to: &body, extras: extras)
        return body
    }

    mutating func drop(_ names: [String]) {
        for name in names where !dropped.contains(name) { dropped.append(name) }
    }

    private func putSampling(_ request: ChatRequest, into body: inout JSONObject) throws(ParleyError) {
        func put(_ name: String, _ value: JSONValue?) {
            if let value { body.members.append(.init(name, value)) }
        }
        let usesLegacyLength =
            switch quirks.lengthField {
            case .asSent: request.maxTokensIsLegacy
            case .maxTokens: true
            case .maxCompletionTokens: false
            }
        put(usesLegacyLength ? "max_tokens" : "max_completion_tokens", request.maxTokens.map { .int($0) })
        put("temperature", request.temperature.map { .double($0) })
        put("top_p", request.topP.map { .double($0) })
        put("frequency_penalty", request.frequencyPenalty.map { .double($0) })
        put("presence_penalty", request.presencePenalty.map { .double($0) })
        put("stop", request.stop.isEmpty ? nil : .array(request.stop.map { .string($0) }))
        if quirks.singleChoice, let n = request.n, n > 1 { throw Self.singleChoiceOnly }
        put("n", request.n.map { .int($0) })
        put("logprobs", request.logprobs.map { .bool($0) })
        put("top_logprobs", request.topLogprobs.map { .int($0) })
        put("seed", request.seed.map { .int($0) })
        put("reasoning_effort", request.reasoningEffort.map { .string($0) } ?? effort(request.reasoningBudget))
        put("user", request.user.map { .string($0) })
    }

    /// The word for a budget in tokens. None at all and as the model likes have no word that every model takes.
    private func effort(_ budget: Int?) -> JSONValue? {
        guard let budget, budget > 0 else { return nil }
        return .string(ReasoningBudget.effort(budget))
    }

    /// What was said in the neutral form alone, by a client of another dialect.
    private mutating func putForeign(_ request: ChatRequest, _ extras: JSONObject, into body: inout JSONObject) {
        if request.reasoningEffort == nil, request.reasoningBudget == 0 { drop(["reasoning_effort"]) }
        guard let topK = request.topK, extras["top_k"] == nil else { return }
        if quirks.knownFields.contains("top_k") {
            body.members.append(.init("top_k", .int(topK)))
        } else {
            drop(["top_k"])
        }
    }

    /// The failure where a vendor gives one answer only.
    static var singleChoiceOnly: ParleyError {
        ParleyError(
            .invalid, "Invalid 'n': this model's provider gives one choice only. Leave 'n' out or set it to 1.",
            code: "unsupported_value", parameter: "n")
    }

    private mutating func putTools(
        _ request: ChatRequest, _ extras: inout JSONObject, into body: inout JSONObject
    ) throws(ParleyError) {
        // Functions are sent as the client sent them, unless something in between took the tools away.
        if extras["functions"] != nil {
            if quirks.legacyFunctions, !request.tools.isEmpty { return }
            extras["functions"] = nil
            extras["function_call"] = nil
        }
        if !request.tools.isEmpty {
            var tools: [JSONValue] = []
            for tool in request.tools { tools.append(.object(try encode(tool))) }
            body.members.append(.init("tools", .array(tools)))
        }
        if let parallel = request.parallelToolCalls {
            body.members.append(.init("parallel_tool_calls", .bool(parallel)))
        }
        guard let choice = request.toolChoice else { return }
        let value: JSONValue
        switch choice {
        case .auto: value = "auto"
        case .none: value = "none"
        case .required: value = .string(quirks.requiredToolChoice ?? "required")
        case .named(let name): value = ["type": "function", "function": ["name": .string(name)]]
        case .opaque(.openAIChat, let kept): value = kept
        case .opaque: return drop(["tool_choice"])
        }
        body.members.append(.init("tool_choice", value))
    }

    private static func saysCacheControl(_ tool: Tool) -> Bool {
        let extras = tool.extras.of(.openAIChat)
        return extras[ChatCacheControl.field] != nil || extras["function"]?[ChatCacheControl.field] != nil
    }

    private mutating func encode(_ tool: Tool) throws(ParleyError) -> JSONObject {
        if let (dialect, value) = tool.opaque {
            if dialect == .openAIChat, let object = value.object { return object }
            throw ParleyError(
                .invalid, "The tool '\(tool.name.prefix(64))' is of a kind this model's provider does not have.",
                code: "unsupported_value", parameter: "tools")
        }
        var function: JSONObject = ["name": .string(tool.name)]
        if let description = tool.description { function.members.append(.init("description", .string(description))) }
        if let parameters = tool.parameters { function.members.append(.init("parameters", parameters)) }
        if let strict = tool.strict { function.members.append(.init("strict", .bool(strict))) }
        var extras = tool.extras.of(.openAIChat)
        if let nested = extras.remove("function")?.object { function.members += nested.members }
        var object: JSONObject = ["type": "function", "function": .object(function)]
        object.members += extras.members
        if let mark = tool.cacheMark, !Self.saysCacheControl(tool) {
            if quirks.cacheControl {
                object[ChatCacheControl.field] = ChatCacheControl.value(mark)
            } else {
                drop([ChatCacheControl.field])
            }
        }
        return object
    }

    private func encode(_ format: ResponseFormat) throws(ParleyError) -> JSONValue {
        switch format {
        case .text: return ["type": "text"]
        case .jsonObject: return ["type": "json_object"]
        case .jsonSchema(let name, let description, let schema, let strict):
            var inner: JSONObject = ["name": .string(name)]
            if let description { inner.members.append(.init("description", .string(description))) }
            if let schema { inner.members.append(.init("schema", schema)) }
            if let strict { inner.members.append(.init("strict", .bool(strict))) }
            return ["type": "json_schema", "json_schema": .object(inner)]
        case .opaque(.openAIChat, let kept): return kept
        case .opaque:
            throw ParleyError(
                .invalid, "This response format is one this model's provider does not have.",
                code: "unsupported_value", parameter: "response_format")
        }
    }

    private func putStream(_ request: ChatRequest, _ extras: inout JSONObject, into body: inout JSONObject) {
        let others = extras.remove("stream_options")?.object ?? [:]
        guard request.stream else { return }
        body.members.append(.init("stream", true))
        guard quirks.streamOptions else { return }
        var options: JSONObject = ["include_usage": true]
        options.members += others.members
        body.members.append(.init("stream_options", .object(options)))
    }

    /// Renames and leaves out top-level fields.
    private mutating func applyQuirks(to body: inout JSONObject, extras: JSONObject) {
        if quirks.refusesUnknownFields {
            let unknown = extras.members.map(\.key).filter {
                !ChatField.documented.contains($0) && !quirks.knownFields.contains($0)
            }
            for name in unknown { body[name] = nil }
            drop(unknown)
        }
        for name in quirks.droppedFields.sorted() {
            guard let value = body.remove(name) else { continue }
            if !value.isNull { drop([name]) }
        }
        guard !quirks.renamedFields.isEmpty else { return }
        for index in body.members.indices {
            if let name = quirks.renamedFields[body.members[index].key] { body.members[index].key = name }
        }
    }
}
