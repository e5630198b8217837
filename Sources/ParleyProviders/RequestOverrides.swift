// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire

extension ChatRequest {
    /// Sets fields that configuration asks for, weakest first; for requests that cannot be changed in place.
    ///
    /// The fields are OpenAI's, whatever the upstream speaks; one without a neutral meaning goes where only OpenAI's
    /// dialect finds it.
    mutating func apply(_ overrides: [FieldOverride]) throws(ParleyError) {
        guard !overrides.isEmpty else { return }
        var fields = JSONObject()
        var forced: Set<String> = []
        for override in overrides {
            // A default does not undo what something weaker forced.
            if !override.force, forced.contains(override.name) { continue }
            guard let value = try? JSON.parse(override.json) else {
                throw ParleyError(
                    .internalError, "The configured value of \(override.name) is not JSON.", parameter: override.name)
            }
            fields[override.name] = value
            if override.force { forced.insert(override.name) }
        }
        var body = fields
        body["model"] = "m"
        if fields["messages"] == nil { body["messages"] = [["role": "user", "content": ""]] }
        var bytes = ByteBuffer()
        bytes.writeJSON(.object(body))
        let given = try OpenAIChat().decodeRequest(bytes)
        for member in fields.members {
            set(member.key, from: given, value: member.value, isForced: forced.contains(member.key))
        }
    }

    private mutating func set(_ name: String, from given: ChatRequest, value: JSONValue, isForced: Bool) {
        func choose<T>(_ mine: T?, _ theirs: T?) -> T? { isForced ? theirs : mine ?? theirs }
        func choose<T>(_ mine: [T], _ theirs: [T]) -> [T] { isForced || mine.isEmpty ? theirs : mine }
        switch name {
        case "model", "stream", "stream_options": break
        case "messages": if isForced { messages = given.messages }
        case "tools": tools = choose(tools, given.tools)
        case "tool_choice": toolChoice = choose(toolChoice, given.toolChoice)
        case "parallel_tool_calls": parallelToolCalls = choose(parallelToolCalls, given.parallelToolCalls)
        case "response_format": responseFormat = choose(responseFormat, given.responseFormat)
        case "max_tokens", "max_completion_tokens":
            guard isForced || maxTokens == nil else { return }
            maxTokens = given.maxTokens
            maxTokensIsLegacy = given.maxTokensIsLegacy
        case "temperature": temperature = choose(temperature, given.temperature)
        case "top_p": topP = choose(topP, given.topP)
        case "frequency_penalty": frequencyPenalty = choose(frequencyPenalty, given.frequencyPenalty)
        case "presence_penalty": presencePenalty = choose(presencePenalty, given.presencePenalty)
        case "stop": stop = choose(stop, given.stop)
        case "n": n = choose(n, given.n)
        case "logprobs": logprobs = choose(logprobs, given.logprobs)
        case "top_logprobs": topLogprobs = choose(topLogprobs, given.topLogprobs)
        case "seed": seed = choose(seed, given.seed)
        case "reasoning_effort":
            // A budget in tokens says the same, and a client may have said that.
            guard isForced || reasoningBudget == nil else { return }
            reasoningEffort = choose(reasoningEffort, given.reasoningEffort)
            if isForced { reasoningBudget = nil }
        case "user": user = choose(user, given.user)
        default:
            // Not OpenAI's own, so it stays among the extras too.
            if name == "top_k" { topK = choose(topK, given.topK) }
            guard extras.dialect == nil || extras.dialect == .openAIChat else { return }
            extras.dialect = .openAIChat
            if isForced || extras.fields[name] == nil { extras.fields[name] = value }
        }
    }
}
