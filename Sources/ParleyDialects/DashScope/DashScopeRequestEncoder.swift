// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// Writes a neutral request as DashScope's own API wants it.
struct DashScopeRequestEncoder {
    let isMultimodal: Bool
    let isCumulative: Bool
    /// Fields that were left out.
    var dropped = DroppedNames()

    static let losses = own + Loss.unknown(to: "DashScope's own API")

    private static let own = [
        Loss("messages[].content[].image_url", .refused, "Models that see are asked elsewhere; others see nothing."),
        Loss("messages[].content[].input_audio", .refused, "The same for audio."),
        Loss("messages[].content[].file", .refused, "A file goes as text; any other is refused."),
        Loss("tools", .refused, "Only functions; another vendor's kind of tool is refused."),
        Loss("response_format", .refused, "A format that only another vendor knows is refused."),
        Loss("tool_choice", .dropped, "`required`, and what only another vendor knows."),
        Loss("tools[].function.strict", .dropped, "There is none."),
        Loss("temperature", .emulated, "From 0, below 2."),
        Loss("top_p", .emulated, "Between 0 and 1."),
        Loss("frequency_penalty", .dropped, "There is `repetition_penalty`, which is another thing."),
        Loss("reasoning_effort", .emulated, "`enable_thinking`, with `thinking_budget` in tokens."),
        Loss("image_url.detail", .dropped, "Images have no level of detail."),
        Loss("user", .dropped, "There is none."),
        Loss("messages[].name", .dropped, "Speakers have no names."),
        Loss("messages[].reasoning_content", .dropped, "Earlier turns have none."),
        Loss("messages[].is_error", .dropped, "A tool's failure is told by its text alone."),
        Loss("cache_control", .dropped, "The service caches prompts by itself."),
    ]

    /// Parameters that a client or the configuration may say in DashScope's own words.
    private static let ownParameters: Set<String> = [
        "enable_search", "search_options", "enable_thinking", "thinking_budget", "repetition_penalty",
        "vl_high_resolution_images", "translation_options", "enable_code_interpreter", "asr_options",
        "max_input_tokens",
    ]
    /// Fields that stay among the extras of OpenAI's dialect although the neutral form has them too, and how the answer
    /// is written, which must be as it is read.
    private static let saidElsewhere: Set<String> = [
        "top_k", "functions", "function_call", "incremental_output", "result_format",
    ]
    /// What one-api's users put behind a model's name to have it search the web.
    private static let searchEnding = "-internet"

    mutating func encode(_ request: ChatRequest) throws(ParleyError) -> JSONObject {
        var model = request.model
        var parameters: JSONObject = ["result_format": "message"]
        if model.hasSuffix(Self.searchEnding) {
            model.removeLast(Self.searchEnding.count)
            parameters["enable_search"] = true
        }
        if request.stream { parameters["incremental_output"] = .bool(!isCumulative) }
        var messages: [JSONValue] = []
        for (index, message) in request.messages.enumerated() {
            messages.append(.object(try encode(message, "messages[\(index)]", in: request)))
        }
        putSampling(request, into: &parameters)
        try putTools(request, into: &parameters)
        if let format = request.responseFormat { parameters["response_format"] = try encode(format) }
        putThinking(request, into: &parameters)
        let (own, foreign) = request.extras.fields(for: .dashscope)
        for name in foreign { dropped.add(name) }
        for member in own.members {
            if Self.ownParameters.contains(member.key) {
                parameters[member.key] = member.value
            } else if !Self.saidElsewhere.contains(member.key) {
                dropped.add(member.key)
            }
        }
        return [
            "model": .string(model), "input": ["messages": .array(messages)], "parameters": .object(parameters),
        ]
    }

    private mutating func putSampling(_ request: ChatRequest, into parameters: inout JSONObject) {
        parameters["temperature"] = request.temperature.map { .double(min(max($0, 0), 1.9999)) }
        parameters["top_p"] = request.topP.map { .double(min(max($0, 0.0001), 0.9999)) }
        parameters["top_k"] = request.topK.map { .int($0) }
        parameters["max_tokens"] = request.maxTokens.map { .int($0) }
        parameters["seed"] = request.seed.map { .int($0) }
        parameters["presence_penalty"] = request.presencePenalty.map { .double($0) }
        parameters["n"] = request.n.map { .int($0) }
        parameters["logprobs"] = request.logprobs.map { .bool($0) }
        parameters["top_logprobs"] = request.topLogprobs.map { .int($0) }
        if !request.stop.isEmpty { parameters["stop"] = .array(request.stop.map { .string($0) }) }
        dropped.add("frequency_penalty", if: request.frequencyPenalty != nil)
        dropped.add("user", if: request.user != nil)
    }

    private func putThinking(_ request: ChatRequest, into parameters: inout JSONObject) {
        guard request.reasoningWord != nil else { return }
        let tokens = request.reasoningTokens
        parameters["enable_thinking"] = .bool(tokens != 0)
        if let tokens, tokens > 0 { parameters["thinking_budget"] = .int(tokens) }
    }

    private func encode(_ format: ResponseFormat) throws(ParleyError) -> JSONValue {
        switch format {
        case .text: return ["type": "text"]
        case .jsonObject: return ["type": "json_object"]
        case .jsonSchema(let name, let description, let schema, let strict):
            var inner: JSONObject = ["name": .string(name)]
            inner["description"] = description.map { .string($0) }
            inner["schema"] = schema
            inner["strict"] = strict.map { .bool($0) }
            return ["type": "json_schema", "json_schema": .object(inner)]
        case .opaque: throw RequestFault.unsupportedFormat
        }
    }

    private mutating func putTools(_ request: ChatRequest, into parameters: inout JSONObject) throws(ParleyError) {
        guard !request.tools.isEmpty else { return }
        var tools: [JSONValue] = []
        for tool in request.tools {
            guard tool.opaque == nil else { throw RequestFault.unsupportedTool(tool) }
            dropped.add("tools[].function.strict", if: tool.strict == true)
            dropped.add("cache_control", if: tool.cacheMark != nil)
            var function: JSONObject = ["name": .string(tool.name)]
            function["description"] = tool.description.map { .string($0) }
            function["parameters"] = tool.parameters ?? ["type": "object", "properties": [:]]
            tools.append(["type": "function", "function": .object(function)])
        }
        parameters["tools"] = .array(tools)
        parameters["parallel_tool_calls"] = request.parallelToolCalls.map { .bool($0) }
        switch request.toolChoice {
        case nil: break
        case .auto?: parameters["tool_choice"] = "auto"
        case ToolChoice.none?: parameters["tool_choice"] = "none"
        case .named(let name)?:
            parameters["tool_choice"] = ["type": "function", "function": ["name": .string(name)]]
        case .required?, .opaque?: dropped.add("tool_choice")
        }
    }
}
