// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// Writes a neutral request as ERNIE's older API wants it.
struct ErnieRequestEncoder {
    /// Fields that were left out.
    var dropped = DroppedNames()

    static let losses = own + Loss.unknown(to: "ERNIE's older API")

    private static let own = [
        Loss("n", .refused, "An answer of ERNIE has one choice; n above 1 is refused."),
        Loss("messages", .refused, "A conversation that has no user's turn, or ends with the assistant's."),
        Loss("messages[].content[].image_url", .refused, "There are no images."),
        Loss("messages[].content[].input_audio", .refused, "There is no audio."),
        Loss("messages[].content[].file", .refused, "A file goes as text; any other is refused."),
        Loss("tools", .refused, "Only functions; another vendor's kind of tool is refused."),
        Loss("response_format", .refused, "A format that only another vendor knows is refused."),
        Loss("response_format", .emulated, "A JSON schema is an instruction in the system prompt."),
        Loss("messages[role=system]", .emulated, "All of them, wherever they stand, are the one `system`."),
        Loss("messages[]", .emulated, "Turns alternate: neighbours are joined, or an `OK` is put between them."),
        Loss("messages[]", .dropped, "Turns before the first of the user's, and results without their call."),
        Loss("messages[].tool_calls", .emulated, "One call a turn: several become as many turns with their results."),
        Loss("messages[].tool_calls", .dropped, "Calls that have no result."),
        Loss("tool_choice", .emulated, "`required` names the tool where there is only one."),
        Loss("tool_choice", .dropped, "`required` with several tools, and what only another vendor knows."),
        Loss("tools[].function.strict", .dropped, "There is none."),
        Loss("parallel_tool_calls", .dropped, "There is never more than one call a turn."),
        Loss("temperature", .emulated, "Above 0, at most 1."),
        Loss("top_p", .emulated, "From 0 to 1."),
        Loss("max_tokens", .emulated, "`max_output_tokens`, from 2 to 2048."),
        Loss("frequency_penalty", .emulated, "`penalty_score` from 1 to 2; a negative one is 1."),
        Loss("stop", .dropped, "What is longer than 20 characters, and all after the fourth."),
        Loss("presence_penalty", .dropped, "There is none."),
        Loss("seed", .dropped, "There is none."),
        Loss("top_k", .dropped, "There is none."),
        Loss("logprobs", .dropped, "There are none."),
        Loss("top_logprobs", .dropped, "There are none."),
        Loss("reasoning_effort", .dropped, "The models do not reason."),
        Loss("messages[].name", .dropped, "Speakers have no names."),
        Loss("messages[].reasoning_content", .dropped, "Said only in turns that call a tool, as `thoughts`."),
        Loss("messages[].is_error", .dropped, "A tool's failure is told by its text alone."),
        Loss("cache_control", .dropped, "Nothing is cached."),
    ]

    /// Fields that a client or the configuration may say in ERNIE's own words.
    private static let ownFields: Set<String> = [
        "disable_search", "enable_citation", "enable_trace", "enable_system_memory", "system_memory_id",
        "penalty_score", "max_output_tokens", "user_id", "user_ip", "user_setting",
    ]
    /// Fields that stay among the extras of OpenAI's dialect although the neutral form has them too.
    private static let saidElsewhere: Set<String> = ["top_k", "functions", "function_call"]

    mutating func encode(_ request: ChatRequest) throws(ParleyError) -> JSONObject {
        if let n = request.n, n > 1 { throw ChatRequestEncoder.singleChoiceOnly }
        var turns = ErnieTurns()
        try turns.read(request)
        for name in turns.dropped.names { dropped.add(name) }
        var body: JSONObject = ["messages": .array(turns.messages)]
        try putSystem(turns.system, request, into: &body)
        try putTools(request, into: &body)
        putSampling(request, into: &body)
        let (own, foreign) = request.extras.fields(for: .ernie)
        for name in foreign { dropped.add(name) }
        for member in own.members {
            if Self.ownFields.contains(member.key) {
                body[member.key] = member.value
            } else if !Self.saidElsewhere.contains(member.key) {
                dropped.add(member.key)
            }
        }
        body["stream"] = .bool(request.stream)
        return body
    }

    private func putSystem(
        _ texts: [String], _ request: ChatRequest, into body: inout JSONObject
    ) throws(ParleyError) {
        var texts = texts
        switch request.responseFormat {
        case nil: break
        case .text?: body["response_format"] = "text"
        case .jsonObject?: body["response_format"] = "json_object"
        case .jsonSchema?, .opaque?:
            if let instruction = try FormatInstruction.text(for: request.responseFormat) { texts.append(instruction) }
            body["response_format"] = "json_object"
        }
        if !texts.isEmpty { body["system"] = .string(texts.joined(separator: "\n")) }
    }

    private mutating func putSampling(_ request: ChatRequest, into body: inout JSONObject) {
        body["temperature"] = request.temperature.map { .double(min(max($0, 0.01), 1)) }
        body["top_p"] = request.topP.map { .double(min(max($0, 0), 1)) }
        body["penalty_score"] = request.frequencyPenalty.map { .double(1 + min(max($0, 0), 2) / 2) }
        body["max_output_tokens"] = request.maxTokens.map { .int(min(max($0, 2), 2048)) }
        // The limits count characters, not bytes.
        let stops = request.stop.filter { !$0.isEmpty && $0.unicodeScalars.count <= 20 }
        dropped.add("stop", if: stops.count < request.stop.count || stops.count > 4)
        if !stops.isEmpty { body["stop"] = .array(stops.prefix(4).map { .string($0) }) }
        body["user_id"] = request.user.map { .string($0) }
        dropped.add("presence_penalty", if: request.presencePenalty != nil)
        dropped.add("seed", if: request.seed != nil)
        dropped.add("top_k", if: request.topK != nil)
        dropped.add("logprobs", if: request.logprobs == true)
        dropped.add("top_logprobs", if: request.topLogprobs != nil)
        dropped.add("reasoning_effort", if: request.reasoningWord.map { $0 != "none" } ?? false)
    }

    // MARK: - Tools

    private mutating func putTools(_ request: ChatRequest, into body: inout JSONObject) throws(ParleyError) {
        dropped.add("parallel_tool_calls", if: request.parallelToolCalls == true)
        guard !request.tools.isEmpty, request.toolChoice != ToolChoice.none else { return }
        var functions: [JSONValue] = []
        for tool in request.tools {
            guard tool.opaque == nil else { throw RequestFault.unsupportedTool(tool) }
            dropped.add("cache_control", if: tool.cacheMark != nil)
            dropped.add("tools[].function.strict", if: tool.strict == true)
            var function: JSONObject = ["name": .string(tool.name)]
            // The service wants both.
            function["description"] = .string(tool.description ?? tool.name)
            function["parameters"] = tool.parameters ?? ["type": "object", "properties": [:]]
            functions.append(.object(function))
        }
        body["functions"] = .array(functions)
        switch request.toolChoice {
        case nil, .auto?, ToolChoice.none?: break
        case .named(let name)?: body["tool_choice"] = Self.choice(name)
        case .required?:
            if request.tools.count == 1, let only = request.tools.first {
                body["tool_choice"] = Self.choice(only.name)
            } else {
                dropped.add("tool_choice")
            }
        case .opaque?: dropped.add("tool_choice")
        }
    }

    private static func choice(_ name: String) -> JSONValue {
        ["type": "function", "function": ["name": .string(name)]]
    }
}
