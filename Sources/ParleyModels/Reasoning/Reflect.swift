// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// Draft, critique, revision.
struct Reflect: ReasonMachine {
    var log = ReasonLog()
    private let brief: Brief
    private var draft: ChatResponse?

    init(_ brief: Brief) {
        self.brief = brief
    }

    mutating func next(_ event: ReasonEvent) -> ReasonAction {
        switch event {
        case .started:
            let thought = Thought(purpose: "draft", title: "Draft", member: 0, request: brief.draft())
            return .think([thought], leaving: 1)
        case .thought(let outcomes):
            guard let outcome = outcomes.first else { return conclude() }
            return draft == nil ? drafted(outcome) : criticised(outcome)
        case .stopped(let missing):
            log.missing.append(missing)
            return conclude()
        case .answerFailed(let error):
            guard let draft else { return .fail(error) }
            log.missing.append("the revision")
            return .give(draft)
        case .waited: return conclude()
        }
    }

    private mutating func drafted(_ outcome: ReasonOutcome) -> ReasonAction {
        guard let response = outcome.draft else {
            if let error = outcome.failure { return .fail(error) }
            log.missing.append("a draft")
            return conclude()
        }
        draft = response
        log.sections.append(.init(title: "Draft", text: response.text, seconds: outcome.seconds))
        let turns = [Message(.assistant, text: response.text), Message(.user, text: Prompts.critique)]
        let request = brief.thinking(turns, maxTokens: brief.rules.stepTokens)
        return .think(
            [Thought(purpose: "critique", title: "Critique", member: brief.judge, request: request)], leaving: 1)
    }

    private mutating func criticised(_ outcome: ReasonOutcome) -> ReasonAction {
        guard let draft, let critique = outcome.draft?.text else {
            log.missing.append("a critique")
            return conclude()
        }
        log.sections.append(.init(title: "Critique", text: critique, seconds: outcome.seconds, isLast: true))
        let review = "A reviewer says of this answer:\n\n\(critique)\n\n\(brief.rules.finalPrompt ?? Prompts.revise)"
        let turns = [Message(.assistant, text: draft.text), Message(.user, text: review)]
        return .answer(FinalAnswer(purpose: "revision", request: brief.answer(turns)))
    }

    /// The end without a critique: the draft, unless only the final call can do what was asked for.
    private func conclude() -> ReasonAction {
        guard let draft else { return .answer(FinalAnswer(request: brief.answer([]))) }
        if brief.mayGive { return .give(draft) }
        return .answer(FinalAnswer(request: brief.answer([Message(.user, text: Prompts.settled(draft.text))])))
    }
}

extension ChatResponse {
    /// The text of the first choice.
    var text: String { choices.first?.message.text ?? "" }
}
