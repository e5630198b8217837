// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// Writes a neutral request as Zhipu's version 3 wants it.
struct ZhipuRequestEncoder {
    let prompt: String
    let isCumulative: Bool
    /// Fields that were left out.
    var dropped = DroppedNames()

    static let losses = own + Loss.unknown(to: "Zhipu's version 3")

    private static let own = [
        Loss("n", .refused, "An answer has one choice; n above 1 is refused."),
        Loss("tools", .refused, "Version 3 has none; version 4 does."),
        Loss("messages[].tool_calls", .refused, "There are no tools, so that no turn can have called any."),
        Loss("messages[].role", .refused, "There are no tools, so that no turn can be a tool's."),
        Loss("messages[].content[].image_url", .refused, "There are no images."),
        Loss("messages[].content[].input_audio", .refused, "There is no audio."),
        Loss("messages[].content[].file", .refused, "A file goes as text; any other is refused."),
        Loss("response_format", .refused, "A format that only another vendor knows is refused."),
        Loss("response_format", .emulated, "An instruction in a system prompt."),
        Loss("messages[role=system]", .emulated, "A user's turn by the template `prompt`, and the answer `ok`."),
        Loss("temperature", .emulated, "At most 1."),
        Loss("temperature", .dropped, "Zero, which the service refuses."),
        Loss("top_p", .emulated, "Between 0 and 1; what is not becomes the service's own 0.7."),
        Loss("tool_choice", .dropped, "There are no tools."),
        Loss("parallel_tool_calls", .dropped, "There are no tools."),
        Loss("max_tokens", .dropped, "There is none."),
        Loss("stop", .dropped, "There is none."),
        Loss("seed", .dropped, "There is none."),
        Loss("top_k", .dropped, "There is none."),
        Loss("frequency_penalty", .dropped, "There is none."),
        Loss("presence_penalty", .dropped, "There is none."),
        Loss("logprobs", .dropped, "There are none."),
        Loss("top_logprobs", .dropped, "There are none."),
        Loss("reasoning_effort", .dropped, "The models do not reason."),
        Loss("user", .dropped, "There is none."),
        Loss("messages[].name", .dropped, "Speakers have no names."),
        Loss("messages[].reasoning_content", .dropped, "There is none."),
        Loss("cache_control", .dropped, "Nothing is cached."),
    ]

    mutating func encode(_ request: ChatRequest) throws(ParleyError) -> JSONObject {
        if let n = request.n, n > 1 { throw ChatRequestEncoder.singleChoiceOnly }
        if !request.tools.isEmpty, request.toolChoice != ToolChoice.none {
            throw RequestFault.unsupported("tools", "has no tools (the API's version 3)")
        }
        var turns: [JSONValue] = []
        if let instruction = try FormatInstruction.text(for: request.responseFormat) {
            put(system: instruction, into: &turns)
        }
        for (index, message) in request.messages.enumerated() { try put(message, "messages[\(index)]", into: &turns) }
        var body: JSONObject = ["prompt": .array(turns)]
        putSampling(request, into: &body)
        let (own, foreign) = request.extras.fields(for: .zhipu)
        for name in foreign { dropped.add(name) }
        for member in own.members {
            switch member.key {
            case "request_id": body["request_id"] = member.value
            // The answer could not be read in another mode than the one it is asked for in.
            case "incremental", "top_k", "functions", "function_call": break
            default: dropped.add(member.key)
            }
        }
        body["incremental"] = .bool(!isCumulative)
        return body
    }

    private mutating func putSampling(_ request: ChatRequest, into body: inout JSONObject) {
        if let temperature = request.temperature {
            if temperature > 0 {
                body["temperature"] = .double(min(temperature, 1))
            } else {
                dropped.add("temperature")
            }
        }
        if let topP = request.topP { body["top_p"] = .double(topP > 0 && topP < 1 ? topP : 0.7) }
        dropped.add("max_tokens", if: request.maxTokens != nil)
        dropped.add("stop", if: !request.stop.isEmpty)
        dropped.add("seed", if: request.seed != nil)
        dropped.add("top_k", if: request.topK != nil)
        dropped.add("frequency_penalty", if: request.frequencyPenalty != nil)
        dropped.add("presence_penalty", if: request.presencePenalty != nil)
        dropped.add("logprobs", if: request.logprobs == true)
        dropped.add("top_logprobs", if: request.topLogprobs != nil)
        dropped.add("reasoning_effort", if: request.reasoningWord.map { $0 != "none" } ?? false)
        dropped.add("user", if: request.user != nil)
        let choosesTool = request.toolChoice.map { $0 != .auto && $0 != .none } ?? false
        dropped.add("tool_choice", if: choosesTool)
        dropped.add("parallel_tool_calls", if: request.parallelToolCalls == false)
    }

    // MARK: - Turns

    private mutating func put(
        _ message: Message, _ path: String, into turns: inout [JSONValue]
    ) throws(ParleyError) {
        guard message.role != .tool, message.role != .function else {
            throw RequestFault.unsupported("\(path).role", "has no tools (the API's version 3)")
        }
        guard message.toolCalls.isEmpty else {
            throw RequestFault.unsupported("\(path).tool_calls", "has no tools (the API's version 3)")
        }
        dropped.add("messages[].name", if: message.name != nil)
        dropped.add("messages[].reasoning_content", if: message.reasoning.contains { !$0.text.isEmpty })
        dropped.add("cache_control", if: !message.cacheMarks.isEmpty)
        let text = try PlainTurn.text(of: message, path)
        switch message.role {
        case .system, .developer: put(system: text, into: &turns)
        default: turns.append(["role": .string(message.role.rawValue), "content": .string(text)])
        }
    }

    private func put(system text: String, into turns: inout [JSONValue]) {
        turns.append(["role": "user", "content": .string(prompt.replacing("{system}", with: text))])
        turns.append(["role": "assistant", "content": "ok"])
    }
}
