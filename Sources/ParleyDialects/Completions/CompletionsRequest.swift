// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// Requests of the legacy API, read and written.
enum CompletionsRequest {
    /// How long an answer may be where the client does not say (`max_tokens` in OpenAI's reference).
    private static let standardLength = 16

    /// Fields of chat requests that have no meaning here, so that configuration cannot set them.
    private static let chatOnly: Set<String> = [
        "messages", "tools", "tool_choice", "parallel_tool_calls", "response_format", "reasoning_effort", "functions",
        "function_call", "modalities", "audio", "prediction", "verbosity", "web_search_options", "top_logprobs",
        "logprobs", "tool_calls_switch",
    ]

    /// Whether a field that configuration sets, named as in a chat, is one of this API too.
    static func takesOverride(_ name: String) -> Bool { !chatOnly.contains(name) }

    // MARK: Reading

    static func decode(_ body: JSONObject) throws(ParleyError) -> ChatRequest {
        var fields = FieldReader(body)
        var request = ChatRequest(model: try fields.string("model") ?? "", messages: [])
        guard let prompt = fields.take("prompt") else { throw RequestFault.missing("prompt") }
        request.messages = [try message(prompt)]
        if prompt.string == nil { fields.rest["prompt"] = prompt }
        try readSampling(&fields, into: &request)
        if let count = try fields.int("logprobs") {
            if count < 0 { throw RequestFault.below("logprobs", minimum: 0, got: count) }
            request.logprobs = true
            request.topLogprobs = count
        }
        request.user = try fields.string("user")
        request.stream = try fields.bool("stream") ?? false
        if var options = try fields.object("stream_options") {
            if let include = options.remove("include_usage"), !include.isNull {
                guard let truth = include.bool else {
                    throw RequestFault.type("stream_options.include_usage", expected: "a boolean", got: include)
                }
                request.includeUsage = truth
            }
            if !options.isEmpty { fields.rest["stream_options"] = .object(options) }
        }
        try checkExtras(&fields)
        if !fields.rest.isEmpty { request.extras = Extras(.openAICompletions, fields.rest) }
        return request
    }

    private static func readSampling(_ fields: inout FieldReader, into request: inout ChatRequest) throws(ParleyError) {
        request.maxTokens = try fields.int("max_tokens")
        request.maxTokensIsLegacy = request.maxTokens != nil
        request.temperature = try fields.double("temperature")
        request.topP = try fields.double("top_p")
        request.frequencyPenalty = try fields.double("frequency_penalty")
        request.presencePenalty = try fields.double("presence_penalty")
        request.seed = try fields.int("seed")
        request.n = try fields.int("n")
        if let n = request.n, n < 1 { throw RequestFault.below("n", minimum: 1, got: n) }
        switch fields.take("stop") {
        case nil: break
        case .string(let text)?: request.stop = [text]
        case .array(let list)?:
            for (index, element) in list.enumerated() {
                guard let text = element.string else {
                    throw RequestFault.type("stop[\(index)]", expected: "a string", got: element)
                }
                request.stop.append(text)
            }
        case let other?: throw RequestFault.type("stop", expected: "one of a string or an array of strings", got: other)
        }
    }

    /// Checks the documented fields that have no neutral meaning; one that is null is not said.
    private static func checkExtras(_ fields: inout FieldReader) throws(ParleyError) {
        if let echo = try fields.bool("echo") { fields.rest["echo"] = .bool(echo) }
        if let suffix = try fields.string("suffix") { fields.rest["suffix"] = .string(suffix) }
        if let bias = try fields.object("logit_bias") { fields.rest["logit_bias"] = .object(bias) }
        if let count = try fields.int("best_of") {
            if count < 1 { throw RequestFault.below("best_of", minimum: 1, got: count) }
            fields.rest["best_of"] = .int(count)
        }
    }

    /// The prompt as a turn: its text; of several, one part each; of tokens nothing, since nobody else can read them.
    private static func message(_ prompt: JSONValue) throws(ParleyError) -> Message {
        switch prompt {
        case .string(let text): return Message(.user, text: text)
        case .array(let list):
            guard !list.isEmpty else { throw RequestFault.empty("prompt") }
            var texts: [Part] = []
            for (index, element) in list.enumerated() {
                switch element {
                case .string(let text): texts.append(.text(text))
                case .number where element.int != nil: break
                case .array(let tokens):
                    for (position, token) in tokens.enumerated() where token.int == nil {
                        throw RequestFault.type("prompt[\(index)][\(position)]", expected: "an integer", got: token)
                    }
                default:
                    throw RequestFault.type(
                        "prompt[\(index)]", expected: "one of a string, an integer or an array of integers",
                        got: element)
                }
            }
            guard texts.isEmpty || texts.count == list.count else {
                throw RequestFault.type("prompt", expected: "an array of one kind", got: "an array of several")
            }
            return Message(.user, texts)
        default:
            throw RequestFault.type("prompt", expected: "one of a string or an array", got: prompt)
        }
    }

    // MARK: Writing

    static func encode(
        _ request: ChatRequest, quirks: Quirks, dropped: inout [String]
    ) throws(ParleyError) -> JSONObject {
        func drop(_ name: String) {
            if !dropped.contains(name) { dropped.append(name) }
        }
        var body = JSONObject()
        func put(_ name: String, _ value: JSONValue?) {
            if let value { body.members.append(.init(name, value)) }
        }
        var extras = request.extras.of(.openAICompletions)
        let options = extras.remove("stream_options")?.object ?? [:]
        if request.extras.dialect != .openAICompletions {
            let foreign = request.extras.inChatWords(dropped: &dropped)
            for member in foreign.members where member.key != "logit_bias" { drop(member.key) }
            if let bias = request.extras.of(.openAIChat)["logit_bias"] { extras["logit_bias"] = bias }
        }
        if !request.model.isEmpty { put("model", .string(request.model)) }
        if let whole = extras.remove("prompt") {
            put("prompt", whole)
        } else {
            put("prompt", .string(try prompt(request)))
        }
        put("max_tokens", request.maxTokens.map { .int($0) })
        put("temperature", request.temperature.map { .double($0) })
        put("top_p", request.topP.map { .double($0) })
        put("frequency_penalty", request.frequencyPenalty.map { .double($0) })
        put("presence_penalty", request.presencePenalty.map { .double($0) })
        put("stop", request.stop.isEmpty ? nil : .array(request.stop.map { .string($0) }))
        put("n", request.n.map { .int($0) })
        if request.logprobs == true { put("logprobs", .int(request.topLogprobs ?? 0)) }
        put("seed", request.seed.map { .int($0) })
        put("user", request.user.map { .string($0) })
        if request.toolChoice != nil { drop("tool_choice") }
        if request.parallelToolCalls != nil { drop("parallel_tool_calls") }
        if request.reasoningEffort != nil || request.reasoningBudget != nil { drop("reasoning_effort") }
        if request.topK != nil { drop("top_k") }
        if request.messages.contains(where: { $0.name != nil }) { drop("messages[].name") }
        if request.messages.contains(where: { !$0.cacheMarks.isEmpty }) { drop("cache_control") }
        if request.stream {
            put("stream", true)
            if quirks.streamOptions {
                put("stream_options", .object(JSONObject([.init("include_usage", true)] + options.members)))
            }
        }
        for member in extras.members where body[member.key] == nil { body.members.append(member) }
        for name in quirks.droppedFields.sorted() where !(body.remove(name)?.isNull ?? true) { drop(name) }
        for index in body.members.indices {
            if let name = quirks.renamedFields[body.members[index].key] { body.members[index].key = name }
        }
        return body
    }

    /// The prompt of a request that came from elsewhere: its one user turn of text.
    private static func prompt(_ request: ChatRequest) throws(ParleyError) -> String {
        func unsupported(_ field: String, _ what: String) -> ParleyError {
            ParleyError(
                .invalid, "The model only completes a prompt: \(what).", code: "unsupported_value", parameter: field)
        }
        guard request.tools.isEmpty else { throw unsupported("tools", "it has no tools") }
        if let format = request.responseFormat, format != .text {
            throw unsupported("response_format", "it has no response format")
        }
        guard request.messages.count == 1, let message = request.messages.first, message.role == .user else {
            throw unsupported("messages", "send one user message")
        }
        for part in message.content {
            guard case .text = part else { throw unsupported("messages[0].content", "send text") }
        }
        return message.text
    }

    // MARK: Leaving for another API

    static func prepareForTranslation(_ request: inout ChatRequest) throws(ParleyError) {
        guard request.extras.dialect == nil || request.extras.dialect == .openAICompletions else { return }
        var rest = request.extras.fields
        if let prompt = rest.remove("prompt")?.array {
            guard prompt.count == 1, prompt.first?.string != nil else {
                throw chatsOnly("prompt", prompt.first?.string == nil ? "a prompt of tokens" : "several prompts")
            }
        }
        if let suffix = rest.remove("suffix")?.string, !suffix.isEmpty { throw chatsOnly("suffix", "'suffix'") }
        if let count = rest.remove("best_of")?.int, count > 1 { throw chatsOnly("best_of", "'best_of' above 1") }
        // The answer's encoder writes the prompt.
        _ = rest.remove("echo")
        if request.maxTokens == nil {
            request.maxTokens = standardLength
            request.maxTokensIsLegacy = true
        }
        // What else there is, `logit_bias` and the vendors' own sampling fields, is called the same in both APIs.
        request.extras = rest.isEmpty ? Extras() : Extras(.openAIChat, rest)
    }

    private static func chatsOnly(_ field: String, _ what: String) -> ParleyError {
        ParleyError(
            .invalid,
            "The model answers chats only and cannot take \(what). Send one prompt as text, or ask a model that "
                + "completes.", code: "unsupported_parameter", parameter: field)
    }
}
