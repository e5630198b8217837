// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// How much a model is to think, and what that leaves of length and sampling.
struct AnthropicThinking {
    /// The `thinking` member.
    var thinking: JSONObject?
    /// `max_tokens`.
    var length = 0
    var temperature: Double?
    var topP: Double?
    var topK: Int?
    /// Fields that do not go together with the rest.
    var dropped: [String] = []

    /// The least budget the API takes.
    private static let leastBudget = 1024
    /// What is left for the answer beside a budget where nobody says the length.
    private static let answerRoom = 4096

    /// - Parameters:
    ///   - extras: the client's own fields; what belongs to thinking is taken out.
    ///   - config: `output_config`, which gains the effort.
    static func plan(
        _ request: ChatRequest, model: ClaudeModel, extras: inout JSONObject, config: inout JSONObject
    ) -> Self {
        var plan = Self()
        let own = extras.remove("thinking")?.object
        plan.choose(request, model, &config)
        if let own { plan.add(own, request) }
        plan.setLength(request, model)
        if var thinking = plan.thinking, thinking["type"] != "disabled", let shows = request.showsReasoning {
            thinking["display"] = shows ? "summarized" : "omitted"
            plan.thinking = thinking
        }
        plan.setSampling(request, model)
        return plan
    }

    /// Chooses the kind of thinking.
    private mutating func choose(_ request: ChatRequest, _ model: ClaudeModel, _ config: inout JSONObject) {
        let isEffortAlone = config["effort"] != nil && request.reasoningBudget == nil
        if isEffortAlone, config["effort"]?.string == request.reasoningEffort { return }
        config["effort"] = (request.reasoningBudget == 0) ? config["effort"] : nil
        let word = request.reasoningEffort
        if request.reasoningBudget == 0 || (request.reasoningBudget == nil && word == "none") {
            if request.reasoningBudget == 0, model.thinks, !model.isAdaptiveOnly { thinking = ["type": "disabled"] }
            return
        }
        guard request.reasoningBudget != nil || word != nil else { return }
        guard model.thinks, !request.forcesTool else { return dropped.append("reasoning_effort") }
        let saysBudget = (request.reasoningBudget ?? -1) > 0
        if model.thinksAdaptively, model.isAdaptiveOnly || !saysBudget {
            thinking = ["type": "adaptive"]
            if let word = word ?? request.reasoningBudget.flatMap({ $0 > 0 ? ReasoningBudget.effort($0) : nil }) {
                config["effort"] = .string(model.effort(word))
            }
            return
        }
        guard !request.lostThinking else { return dropped.append("reasoning_effort") }
        let tokens = saysBudget ? request.reasoningBudget : word.flatMap(ReasoningBudget.tokens)
        budget = max(tokens ?? 8192, Self.leastBudget)
        if saysBudget, let word { config["effort"] = .string(word) }
        if !saysBudget { budget = min(budget, model.longest - Self.answerRoom) }
        thinking = ["type": "enabled", "budget_tokens": .int(budget)]
    }

    private var budget = 0

    /// Adds what the client said about thinking beside its kind, or all of it where an OpenAI client says it so.
    private mutating func add(_ own: JSONObject, _ request: ChatRequest) {
        guard own["type"] != nil else {
            if let thinking { self.thinking = JSONObject(thinking.members + own.members) }
            return
        }
        dropped.removeAll { $0 == "reasoning_effort" }
        thinking = own
        budget = own["budget_tokens"]?.int ?? 0
    }

    /// Chooses the length, and makes the budget fit.
    private mutating func setLength(_ request: ChatRequest, _ model: ClaudeModel) {
        guard let wanted = request.maxTokens else {
            length = max(model.defaultLength, budget.clampedSum(budget > 0 ? Self.answerRoom : 0))
            return
        }
        length = wanted
        guard budget > 0, budget >= wanted, thinking?["type"] == "enabled" else { return }
        guard wanted > Self.leastBudget else {
            thinking = nil
            return dropped.append("reasoning_effort")
        }
        // A third of a short answer is left for what is said.
        budget = max(Self.leastBudget, wanted / 3 * 2)
        thinking?["budget_tokens"] = .int(min(budget, wanted - 1))
    }

    private mutating func setSampling(_ request: ChatRequest, _ model: ClaudeModel) {
        let thinks = thinking.map { $0["type"] != "disabled" } ?? false
        temperature = request.temperature.map { min(max($0, 0), 1) }
        topP = request.topP
        topK = request.topK
        if temperature != nil, model.isAdaptiveOnly || (thinks && temperature != 1) {
            temperature = nil
            dropped.append("temperature")
        }
        let isSecond = model.takesOneSampling && temperature != nil
        if let given = topP, model.isAdaptiveOnly || isSecond || (thinks && given < 0.95) {
            topP = nil
            dropped.append("top_p")
        }
        if topK != nil, model.isAdaptiveOnly || thinks {
            topK = nil
            dropped.append("top_k")
        }
    }
}

extension ChatRequest {
    /// Whether a tool must be called, which cannot be together with thinking.
    fileprivate var forcesTool: Bool {
        switch toolChoice {
        case .required?, .named?: !tools.isEmpty
        default: false
        }
    }

    /// Whether this is in the middle of a tool loop whose thinking is gone: with a budget the API wants it back.
    fileprivate var lostThinking: Bool {
        guard let last = messages.last, last.role == .tool || last.role == .function else { return false }
        guard let turn = messages.last(where: { $0.role == .assistant }) else { return false }
        return !turn.reasoning.contains { AnthropicTurnEncoder.isOwn($0) }
    }
}
