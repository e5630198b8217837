// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// A conversation for services that take nothing but text: the turns of a system, a user and an assistant.
///
/// What would change the question is refused; what only tunes the answer is dropped by its name.
struct TextTurns {
    /// One turn.
    struct Turn: Equatable {
        /// `system`, `user` or `assistant`.
        var role: Message.Role
        var text: String

        /// As OpenAI writes it.
        var json: JSONValue { ["role": .string(role.rawValue), "content": .string(text)] }
    }

    private(set) var turns: [Turn] = []
    /// Fields that were left out.
    private(set) var dropped = DroppedNames()

    /// Reads the conversation of a request.
    ///
    /// - Parameter kept: fields that the service takes after all.
    /// - Throws: `invalid` where something that matters cannot be said in text.
    init(_ request: ChatRequest, for dialect: DialectID, keeping kept: Set<String> = []) throws(ParleyError) {
        if let n = request.n, n > 1 { throw ChatRequestEncoder.singleChoiceOnly }
        guard request.tools.isEmpty else {
            throw RequestFault.unsupported("tools", "has no tools; send the request without them")
        }
        switch request.responseFormat {
        case nil, .text?: break
        default: throw RequestFault.unsupported("response_format", "answers in plain text only")
        }
        guard !request.messages.isEmpty else {
            throw ParleyError(.invalid, "'messages' must have at least one message.", parameter: "messages")
        }
        for (index, message) in request.messages.enumerated() {
            turns.append(try turn(message, "messages[\(index)]"))
        }
        dropTuning(request, keeping: kept)
        let (own, foreign) = request.extras.fields(for: dialect)
        for name in foreign { dropped.add(name) }
        for member in own.members where !Self.saidElsewhere.contains(member.key) { dropped.add(member.key) }
    }

    /// Fields that stay among the extras of OpenAI's dialect although the neutral form has them too.
    private static let saidElsewhere: Set<String> = ["top_k", "functions", "function_call"]

    // MARK: - Turns

    private mutating func turn(_ message: Message, _ path: String) throws(ParleyError) -> Turn {
        let role: Message.Role
        switch message.role {
        case .system, .developer: role = .system
        case .user, .assistant: role = message.role
        case .tool, .function: throw RequestFault.unsupported("\(path).role", "takes no results of tools")
        }
        guard message.toolCalls.isEmpty else {
            throw RequestFault.unsupported("\(path).tool_calls", "takes no calls of tools")
        }
        dropped.add("messages[].name", if: message.name != nil)
        dropped.add("messages[].reasoning_content", if: !message.reasoning.isEmpty)
        dropped.add("cache_control", if: !message.cacheMarks.isEmpty)
        var text = ""
        for (index, part) in message.content.enumerated() {
            text += try PlainTurn.text(of: part, "\(path).content[\(index)]")
        }
        return Turn(role: role, text: text + (message.refusal ?? ""))
    }

    // MARK: - What is left out

    private mutating func dropTuning(_ request: ChatRequest, keeping kept: Set<String>) {
        let said = [
            "max_tokens": request.maxTokens != nil, "temperature": request.temperature != nil,
            "top_p": request.topP != nil, "top_k": request.topK != nil, "stop": !request.stop.isEmpty,
            "frequency_penalty": request.frequencyPenalty != nil,
            "presence_penalty": request.presencePenalty != nil, "seed": request.seed != nil,
            "logprobs": request.logprobs == true, "top_logprobs": request.topLogprobs != nil,
            "reasoning_effort": request.reasoningEffort != nil || request.reasoningBudget != nil,
            "user": request.user != nil, "tool_choice": request.toolChoice != nil,
            "parallel_tool_calls": request.parallelToolCalls != nil,
        ]
        for name in Self.tuning where !kept.contains(name) { dropped.add(name, if: said[name] ?? false) }
    }

    private static let tuning = [
        "max_tokens", "temperature", "top_p", "top_k", "stop", "frequency_penalty", "presence_penalty", "seed",
        "logprobs", "top_logprobs", "reasoning_effort", "user", "tool_choice", "parallel_tool_calls",
    ]

    /// What such a service cannot be told.
    ///
    /// - Parameter kept: fields that it takes after all.
    static func losses(of vendor: String, keeping kept: Set<String> = []) -> [Loss] {
        let refused = [
            Loss("n", .refused, "There is one answer; n above 1 is refused."),
            Loss("tools", .refused, "There are no tools, nor turns of them."),
            Loss("response_format", .refused, "Answers are plain text."),
            Loss("messages[].content[].image_url", .refused, "There are no images."),
            Loss("messages[].content[].input_audio", .refused, "There is no audio."),
            Loss("messages[].content[].file", .refused, "A file goes as text; any other is refused."),
        ]
        let dropped = tuning.filter { !kept.contains($0) }.map { Loss($0, .dropped, "The service decides.") }
        let turns = [
            Loss("messages[].name", .dropped, "Speakers have no names."),
            Loss("messages[].reasoning_content", .dropped, "Turns are text."),
            Loss("cache_control", .dropped, "There is no cache to mark."),
        ]
        return refused + dropped + turns + Loss.unknown(to: vendor)
    }
}
