// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// Writes a neutral request as Cohere's `/v2/chat` wants it.
struct CohereRequestEncoder {
    /// Fields that were left out.
    var dropped = DroppedNames()

    static let losses = own + Loss.unknown(to: "Cohere")

    private static let own = [
        Loss("n", .refused, "An answer of Cohere has one choice; n above 1 is refused."),
        Loss("messages[].content[].input_audio", .refused, "There is no audio."),
        Loss("messages[].content[].file", .refused, "A file goes as text; any other is refused."),
        Loss("messages[].content[].image_url", .refused, "Images stand in user turns only."),
        Loss("tools", .refused, "Only functions; another vendor's kind of tool is refused."),
        Loss("response_format", .refused, "A format that only another vendor knows is refused."),
        Loss("tool_choice", .emulated, "A named tool is the only one on offer, and `REQUIRED`."),
        Loss("tool_choice", .dropped, "A choice that only another vendor knows."),
        Loss("tools[].function.strict", .dropped, "`strict_tools` holds for all tools; sent where all ask for it."),
        Loss("parallel_tool_calls", .dropped, "The model decides."),
        Loss("logprobs", .dropped, "Cohere's are of another shape."),
        Loss("top_logprobs", .dropped, "There are none."),
        Loss("user", .dropped, "There is none."),
        Loss("messages[].name", .dropped, "Speakers have no names."),
        Loss("messages[].reasoning_content", .dropped, "Said only in turns that call tools, as `tool_plan`."),
        Loss("messages[].is_error", .dropped, "A tool's failure is told by its text alone."),
        Loss("cache_control", .dropped, "The service caches prompts by itself."),
        Loss("reasoning_effort", .emulated, "`thinking`: disabled, or a budget of tokens; high has no bound."),
    ]

    /// Fields that a client or the configuration may say in Cohere's own words.
    private static let ownFields: Set<String> = [
        "documents", "citation_options", "safety_mode", "strict_tools", "priority", "raw_prompting", "thinking", "k",
        "p", "stop_sequences",
    ]
    /// Fields that stay among the extras of OpenAI's dialect although the neutral form has them too.
    private static let saidElsewhere: Set<String> = ["top_k", "functions", "function_call"]

    mutating func encode(_ request: ChatRequest) throws(ParleyError) -> JSONObject {
        if let n = request.n, n > 1 { throw ChatRequestEncoder.singleChoiceOnly }
        var body: JSONObject = ["model": .string(request.model)]
        var messages: [JSONValue] = []
        for (index, message) in request.messages.enumerated() {
            messages.append(.object(try encode(message, "messages[\(index)]")))
        }
        body["messages"] = .array(messages)
        body["stream"] = .bool(request.stream)
        try putTools(request, into: &body)
        if let format = request.responseFormat { body["response_format"] = try encode(format) }
        putSampling(request, into: &body)
        if let thinking = thinking(request) { body["thinking"] = thinking }
        let (own, foreign) = request.extras.fields(for: .cohere)
        for name in foreign { dropped.add(name) }
        for member in own.members {
            if Self.ownFields.contains(member.key) {
                body[member.key] = member.value
            } else if !Self.saidElsewhere.contains(member.key) {
                dropped.add(member.key)
            }
        }
        dropped.add("logprobs", if: request.logprobs == true)
        dropped.add("top_logprobs", if: request.topLogprobs != nil)
        dropped.add("user", if: request.user != nil)
        return body
    }

    private func putSampling(_ request: ChatRequest, into body: inout JSONObject) {
        body["max_tokens"] = request.maxTokens.map { .int($0) }
        body["temperature"] = request.temperature.map { .double($0) }
        body["p"] = request.topP.map { .double($0) }
        body["k"] = request.topK.map { .int($0) }
        body["seed"] = request.seed.map { .int($0) }
        body["frequency_penalty"] = request.frequencyPenalty.map { .double($0) }
        body["presence_penalty"] = request.presencePenalty.map { .double($0) }
        if !request.stop.isEmpty { body["stop_sequences"] = .array(request.stop.map { .string($0) }) }
    }

    /// The largest budget is what the model has, which is said by not saying one.
    private func thinking(_ request: ChatRequest) -> JSONValue? {
        guard let tokens = request.reasoningTokens else {
            return request.reasoningEffort == nil ? nil : ["type": "enabled"]
        }
        if tokens == 0 { return ["type": "disabled"] }
        let isBounded = tokens > 0 && (request.reasoningBudget != nil || tokens < 24576)
        return isBounded ? ["type": "enabled", "token_budget": .int(tokens)] : ["type": "enabled"]
    }

    private func encode(_ format: ResponseFormat) throws(ParleyError) -> JSONValue {
        switch format {
        case .text: return ["type": "text"]
        case .jsonObject, .jsonSchema(_, _, nil, _): return ["type": "json_object"]
        case .jsonSchema(_, _, let schema?, _): return ["type": "json_object", "json_schema": schema]
        case .opaque: throw RequestFault.unsupportedFormat
        }
    }

    // MARK: - Tools

    private mutating func putTools(_ request: ChatRequest, into body: inout JSONObject) throws(ParleyError) {
        dropped.add("parallel_tool_calls", if: request.parallelToolCalls == false)
        guard !request.tools.isEmpty else { return }
        var offered = request.tools
        switch request.toolChoice {
        case nil, .auto?: break
        case ToolChoice.none?: body["tool_choice"] = "NONE"
        case .required?: body["tool_choice"] = "REQUIRED"
        case .named(let name)?:
            offered = offered.filter { $0.name == name }
            guard !offered.isEmpty else {
                throw RequestFault.unsupported("tool_choice", "was given no tool of that name")
            }
            body["tool_choice"] = "REQUIRED"
        case .opaque?: dropped.add("tool_choice")
        }
        var tools: [JSONValue] = []
        for tool in offered {
            guard tool.opaque == nil else { throw RequestFault.unsupportedTool(tool) }
            dropped.add("cache_control", if: tool.cacheMark != nil)
            var function: JSONObject = ["name": .string(tool.name)]
            function["description"] = tool.description.map { .string($0) }
            function["parameters"] = tool.parameters ?? ["type": "object", "properties": [:]]
            tools.append(["type": "function", "function": .object(function)])
        }
        body["tools"] = .array(tools)
        // Strictness holds for all tools, each of which must then have a required parameter.
        if offered.allSatisfy({ $0.strict == true && $0.parameters?["required"]?.array?.isEmpty == false }) {
            body["strict_tools"] = true
        } else {
            dropped.add("tools[].function.strict", if: offered.contains { $0.strict == true })
        }
    }
}
