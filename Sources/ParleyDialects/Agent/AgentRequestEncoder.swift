// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore
import ParleyWire

/// Writes a neutral request as turns of content blocks.
struct AgentRequestEncoder {
    /// Fields that were left out.
    private(set) var dropped = DroppedNames()

    static let losses = own + Loss.unknown(to: "An agent")

    private static let own = [
        Loss("n", .refused, "A turn has one answer; n above 1 is refused."),
        Loss("tools", .refused, "The agent runs tools of its own, and calls nobody else's."),
        Loss("messages[].content[].file", .refused, "A file goes as text; any other is refused."),
        Loss("response_format", .refused, "A format that only another vendor knows is refused."),
        Loss("max_tokens", .dropped, "The agent decides."),
        Loss("temperature", .dropped, "The agent decides."),
        Loss("top_p", .dropped, "The agent decides."),
        Loss("top_k", .dropped, "The agent decides."),
        Loss("seed", .dropped, "The agent decides."),
        Loss("stop", .dropped, "The agent decides."),
        Loss("frequency_penalty", .dropped, "The agent decides."),
        Loss("presence_penalty", .dropped, "The agent decides."),
        Loss("logprobs", .dropped, "There are none."),
        Loss("top_logprobs", .dropped, "There are none."),
        Loss("tool_choice", .dropped, "There are no tools of the client."),
        Loss("parallel_tool_calls", .dropped, "There are no tools of the client."),
        Loss("reasoning_effort", .dropped, "The agent decides."),
        Loss("user", .dropped, "There is none."),
        Loss("messages[].name", .dropped, "Speakers have no names."),
        Loss("messages[].is_error", .dropped, "A tool's failure is told by its text alone."),
        Loss("messages[].reasoning_content", .dropped, "An agent remembers its own thoughts."),
        Loss("image_url.detail", .dropped, "Images have no level of detail."),
        Loss("cache_control", .dropped, "There are no marks for a cache."),
        Loss("messages", .emulated, "In a session only what is new is said; else all of it, each turn by its speaker."),
        Loss("messages[].tool_calls", .emulated, "Calls of earlier turns are told in words."),
        Loss("messages[].content[].image_url", .emulated, "An address goes as a link, which the agent may follow."),
        Loss("response_format", .emulated, "A schema, or the wish for JSON, is said as an instruction."),
    ]

    mutating func encode(_ request: ChatRequest) throws(ParleyError) -> [AgentRequest.Turn] {
        if let n = request.n, n > 1 { throw ChatRequestEncoder.singleChoiceOnly }
        try refuseTools(request)
        dropSampling(request)
        var turns: [AgentRequest.Turn] = []
        // Said first, so that a conversation that goes on begins the same way each time.
        if let wish = try instruction(for: request.responseFormat) {
            turns.append(AgentRequest.Turn("system", [AgentRequest.text(wish)]))
        }
        for (index, message) in request.messages.enumerated() {
            let turn = AgentRequest.Turn(word(for: message.role), try blocks(of: message, "messages[\(index)]"))
            turns.append(turn)
        }
        let (own, foreign) = request.extras.fields(for: .acp)
        for name in foreign + own.members.map(\.key) where !["functions", "function_call"].contains(name) {
            dropped.add(name)
        }
        return turns
    }

    // MARK: - Fields

    private mutating func refuseTools(_ request: ChatRequest) throws(ParleyError) {
        if !request.tools.isEmpty, request.toolChoice != ToolChoice.none {
            throw ParleyError(
                .invalid, "An agent runs its own tools and cannot call a client's; leave `tools` out.",
                code: "unsupported_value", parameter: "tools")
        }
        dropped.add("tool_choice", if: request.toolChoice != nil && request.toolChoice != .auto)
        dropped.add("parallel_tool_calls", if: request.parallelToolCalls == false)
    }

    private mutating func dropSampling(_ request: ChatRequest) {
        dropped.add("max_tokens", if: request.maxTokens != nil)
        dropped.add("temperature", if: request.temperature != nil)
        dropped.add("top_p", if: request.topP != nil)
        dropped.add("top_k", if: request.topK != nil)
        dropped.add("seed", if: request.seed != nil)
        dropped.add("stop", if: !request.stop.isEmpty)
        dropped.add("frequency_penalty", if: request.frequencyPenalty != nil)
        dropped.add("presence_penalty", if: request.presencePenalty != nil)
        dropped.add("logprobs", if: request.logprobs == true)
        dropped.add("top_logprobs", if: request.topLogprobs != nil)
        dropped.add("reasoning_effort", if: request.reasoningEffort != nil || request.reasoningBudget != nil)
        dropped.add("user", if: request.user != nil)
    }

    private func instruction(for format: ResponseFormat?) throws(ParleyError) -> String? {
        switch format {
        case nil, .text?: return nil
        case .jsonObject?, .jsonSchema(_, _, nil, _)?:
            return "Answer with one JSON object and nothing else: no other text, no code fence."
        case .jsonSchema(_, let description, let schema?, _)?:
            let about = description.map { " It is: \($0)" } ?? ""
            return "Answer with one JSON value and nothing else: no other text, no code fence. It must be valid "
                + "against this JSON Schema:\n\(JSON.text(schema))\(about)"
        case .opaque?: throw RequestFault.unsupportedFormat
        }
    }

    // MARK: - Turns

    private func word(for role: Message.Role) -> String {
        switch role {
        case .system, .developer: "system"
        case .tool, .function: "tool"
        case .user, .assistant: role.rawValue
        }
    }

    private mutating func blocks(of message: Message, _ path: String) throws(ParleyError) -> [JSONValue] {
        var blocks: [JSONValue] = []
        for (index, part) in message.content.enumerated() {
            blocks.append(try block(part, "\(path).content[\(index)]"))
        }
        if let refusal = message.refusal { blocks.append(AgentRequest.text(refusal)) }
        for call in message.toolCalls {
            blocks.append(AgentRequest.text("[calls \(call.name) with \(call.arguments)]"))
        }
        dropped.add("messages[].name", if: message.name != nil)
        dropped.add("messages[].is_error", if: message.isError)
        dropped.add("messages[].reasoning_content", if: !message.reasoning.isEmpty)
        dropped.add("cache_control", if: !message.cacheMarks.isEmpty)
        return joined(blocks)
    }

    /// Neighbouring texts as one: how a client cuts its text up says nothing.
    private func joined(_ blocks: [JSONValue]) -> [JSONValue] {
        var joined: [JSONValue] = []
        for block in blocks {
            if let text = block["text"]?.string, let last = joined.last?["text"]?.string {
                joined[joined.count - 1] = AgentRequest.text(last + "\n" + text)
            } else {
                joined.append(block)
            }
        }
        return joined
    }

    private mutating func block(_ part: Part, _ path: String) throws(ParleyError) -> JSONValue {
        switch part {
        case .text(let text), .refusal(let text): return AgentRequest.text(text)
        case .image(let url, let detail):
            dropped.add("image_url.detail", if: detail != nil)
            guard let data = DataURL(url) else {
                return ["type": "resource_link", "uri": .string(url), "name": "image"]
            }
            return ["type": "image", "mimeType": .string(data.mediaType), "data": .string(data.base64)]
        case .audio(let data, let format):
            return ["type": "audio", "mimeType": .string(MediaType.audio(format)), "data": .string(data)]
        case .file(let file):
            if let text = file.plainText { return AgentRequest.text(text) }
            guard let url = file.url, DataURL(url) == nil else {
                throw RequestFault.unsupported("\(path).file", "takes files of text only")
            }
            return ["type": "resource_link", "uri": .string(url), "name": .string(file.name ?? "file")]
        case .opaque(.acp, let value): return value
        case .opaque: throw RequestFault.unsupported(path, "has no such content part")
        }
    }
}
