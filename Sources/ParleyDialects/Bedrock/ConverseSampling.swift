// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

extension ConverseRequestEncoder {
    /// `inferenceConfig`, and what only some models know, for `additionalModelRequestFields`.
    mutating func encodeSampling(_ additional: inout JSONObject) -> JSONObject {
        let thinks = encodeReasoning(&additional)
        var inference = JSONObject()
        if let count = request.maxTokens { inference["maxTokens"] = .int(count) }
        // Claude thinks at its own temperature only.
        let isFree = !(thinks && family.vendor == .anthropic)
        if let value = request.temperature {
            if isFree { inference["temperature"] = .double(clamped(value)) } else { drop("temperature") }
        }
        if let value = request.topP {
            // From 4.5 on Claude takes one of both.
            let isOneTooMany = family.hasStructuredOutput && inference["temperature"] != nil
            if isFree, !isOneTooMany { inference["topP"] = .double(value) } else { drop("top_p") }
        }
        if !request.stop.isEmpty { inference["stopSequences"] = .array(request.stop.map { .string($0) }) }
        if let count = request.topK {
            if isFree, putTopK(count, into: &additional) {} else { drop("top_k") }
        }
        dropUnknown()
        return inference
    }

    /// Claude's scale ends at 1 where OpenAI's ends at 2.
    private func clamped(_ temperature: Double) -> Double {
        family.vendor == .anthropic ? min(temperature, 1) : temperature
    }

    private func putTopK(_ count: Int, into additional: inout JSONObject) -> Bool {
        switch family.vendor {
        case .anthropic, .unknown, .mistral: additional["top_k"] = .int(count)
        case .cohere: additional["k"] = .int(count)
        case .nova: additional["inferenceConfig"] = ["topK": .int(count)]
        case .openAI, .llama, .other: return false
        }
        return true
    }

    private mutating func dropUnknown() {
        if request.frequencyPenalty != nil { drop("frequency_penalty") }
        if request.presencePenalty != nil { drop("presence_penalty") }
        if request.logprobs == true { drop("logprobs") }
        if request.topLogprobs != nil { drop("top_logprobs") }
        if request.seed != nil { drop("seed") }
        if request.user != nil { drop("user") }
    }

    // MARK: - Reasoning

    /// Says how hard to think.
    ///
    /// - Returns: whether the model will.
    private mutating func encodeReasoning(_ additional: inout JSONObject) -> Bool {
        guard let word = request.reasoningWord, word != "none", request.reasoningTokens != 0 else { return false }
        switch family.vendor {
        case .anthropic where family.takesThinkingBudget && mayThink:
            if let fields = thinking(word) {
                for field in fields.members { additional[field.key] = field.value }
                return true
            }
        case .nova where ModelFamily.novaThinks(request.model):
            additional["reasoningConfig"] = ["type": "enabled", "maxReasoningEffort": .string(threeWords(word))]
            return true
        case .openAI:
            additional["reasoning_effort"] = .string(threeWords(word))
            return true
        default: break
        }
        drop("reasoning_effort")
        return false
    }

    private func thinking(_ word: String) -> JSONObject? {
        if family.thinksAdaptively {
            let effort = word == "max" || word == "xhigh" ? "max" : threeWords(word)
            return ["thinking": ["type": "adaptive"], "output_config": ["effort": .string(effort)]]
        }
        var budget = request.reasoningTokens ?? -1
        if budget < 0 { budget = ReasoningBudget.tokens("medium") ?? 8192 }
        budget = max(budget, 1024)
        if let most = request.maxTokens {
            guard most > 1024 else { return nil }
            budget = min(budget, most - 1)
        }
        return ["thinking": ["type": "enabled", "budget_tokens": .int(budget)]]
    }

    private func threeWords(_ word: String) -> String {
        switch word {
        case "none", "minimal", "low": "low"
        case "medium": "medium"
        default: "high"
        }
    }

    /// Claude does not think where a tool is demanded, nor in the middle of a tool loop that began without thinking.
    private var mayThink: Bool {
        switch request.toolChoice {
        case .required?, .named?: return false
        default: break
        }
        guard let last = request.messages.last, last.role == .tool || last.role == .function,
            let turn = request.messages.last(where: { $0.role == .assistant })
        else { return true }
        return turn.reasoning.contains { $0.isClaudes }
    }
}

extension Reasoning {
    /// Whether Claude wrote it and wants it back.
    var isClaudes: Bool { origin == .anthropic && signature != nil }
}
