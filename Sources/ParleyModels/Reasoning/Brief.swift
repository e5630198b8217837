// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// What a strategy works from: the client's request, the rules, and who can be asked. Makes the requests of its calls.
struct Brief {
    /// The client's request.
    let base: ChatRequest
    let rules: ReasonRules
    /// How many models there are to ask.
    let members: Int
    /// Writes JSON.
    let json: @Sendable (JSONValue) -> String

    /// The place of the model that judges.
    var judge: Int { members }

    /// Whether the client's answer may be a tool call, which no thought can be.
    var hasTools: Bool { !base.tools.isEmpty }

    /// Whether an earlier thought may be the answer: not where only the final call can do what was asked for.
    var mayGive: Bool { !hasTools }

    // MARK: Thinking

    /// A request for a piece of thinking, which only we read: the conversation, our words, our settings.
    ///
    /// - Parameters:
    ///   - system: comes before everything.
    ///   - more: comes behind everything.
    func thinking(
        system: String? = nil, _ more: [Message], maxTokens: Int, format: ResponseFormat? = nil
    ) -> InnerRequest {
        var request = ChatRequest(model: base.model, messages: messages(system) + more)
        request.stream = base.stream
        request.user = base.user
        return bounded(request, maxTokens, rules.temperature, format)
    }

    /// A request for an answer that could be the client's: with all the client's settings but its tools.
    func draft(system: String? = nil, _ more: [Message] = [], sample: Int? = nil) -> InnerRequest {
        var request = base
        request.messages = messages(system) + more
        request.tools = []
        request.toolChoice = nil
        request.parallelToolCalls = nil
        request.logprobs = nil
        request.topLogprobs = nil
        // With one seed all samples would be the same.
        if let seed = request.seed, let sample { request.seed = seed.clampedSum(sample) }
        return bounded(request, base.maxTokens ?? rules.finalTokens, rules.temperature ?? base.temperature)
    }

    /// The client's conversation as plain turns: a model that is offered no tools may refuse their calls and results.
    private func messages(_ system: String?) -> [Message] {
        var parts: [String] = []
        if let system { parts.append(system) }
        if hasTools { parts.append(Prompts.tools(base.tools)) }
        let first = parts.isEmpty ? [] : [Message(.system, text: parts.joined(separator: "\n\n"))]
        return first + PlainHistory.messages(base.messages)
    }

    private func bounded(
        _ request: ChatRequest, _ maxTokens: Int, _ temperature: Double?, _ format: ResponseFormat? = nil
    ) -> InnerRequest {
        var request = request
        request.n = nil
        request.includeUsage = true
        if base.maxTokens == nil || request.maxTokens == nil { request.maxTokensIsLegacy = true }
        request.maxTokens = maxTokens
        request.temperature = temperature
        var plain = request
        plain.maxTokensIsLegacy = false
        if temperature != base.temperature { plain.temperature = nil }
        if let format { request.responseFormat = format }
        return InnerRequest(request: request, plain: plain)
    }

    // MARK: Answering

    /// The request for the client's answer: all it asked for, with what was thought behind it.
    func answer(_ more: [Message], bounds: Bool = true) -> InnerRequest {
        var request = base
        request.messages += more
        request.n = nil
        request.includeUsage = true
        guard bounds, request.maxTokens == nil else { return InnerRequest(request: request) }
        request.maxTokens = rules.finalTokens
        request.maxTokensIsLegacy = true
        var plain = request
        plain.maxTokensIsLegacy = false
        return InnerRequest(request: request, plain: plain)
    }

    /// The client's request with its question asked twice. Where the last turn is none of the user's there is none.
    func rereading() -> InnerRequest {
        var request = base
        request.includeUsage = true
        if let last = request.messages.indices.last, request.messages[last].role == .user {
            let question = request.messages[last].text
            if !question.isEmpty {
                request.messages[last].content.append(.text("\n\n" + Prompts.again(question)))
                request.messages[last].contentIsText = false
            }
        }
        return InnerRequest(request: request)
    }

    /// Whether the client wants JSON or another shape that text must not be put around.
    var hasFormat: Bool { base.responseFormat.map { $0 != .text } ?? false }
}

/// A conversation without tools: what was called and what came back stands there as text.
enum PlainHistory {
    /// The turns in plain form, images and order kept.
    static func messages(_ messages: [Message]) -> [Message] {
        var names: [String: String] = [:]
        return messages.map { message in
            for call in message.toolCalls { names[call.id] = call.name }
            return plain(message, names)
        }
    }

    private static func plain(_ message: Message, _ names: [String: String]) -> Message {
        var plain = message
        plain.reasoning = []
        plain.toolCalls = []
        switch message.role {
        case .tool, .function:
            let name = message.toolCallID.flatMap { names[$0] } ?? message.name
            let head = Prompts.result(of: name, isError: message.isError)
            plain = Message(.user, [.text(head)] + message.content)
            if message.content.allSatisfy(\.isText) { plain = Message(.user, text: head + message.text) }
        case .assistant where !message.toolCalls.isEmpty:
            let calls = message.toolCalls.map(Prompts.called).joined(separator: "\n")
            if message.content.isEmpty || message.contentIsText {
                let text = message.text
                plain.content = [.text(text.isEmpty ? calls : "\(text)\n\n\(calls)")]
                plain.contentIsText = true
            } else {
                plain.content.append(.text(calls))
            }
        default: break
        }
        return plain
    }
}

extension Part {
    fileprivate var isText: Bool {
        if case .text = self { return true }
        return false
    }
}
