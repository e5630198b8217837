// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// A plan, its execution, a check; the answer is the solution that passed it, or one with the faults corrected.
struct Plan: ReasonMachine {
    private enum Phase {
        case planning, solving, checking
    }

    var log = ReasonLog()
    private let brief: Brief
    private var phase = Phase.planning
    private var plan = ""
    private var solution: ChatResponse?

    init(_ brief: Brief) {
        self.brief = brief
    }

    mutating func next(_ event: ReasonEvent) -> ReasonAction {
        switch event {
        case .started:
            let request = brief.thinking(
                [Message(.user, text: Prompts.plan)], maxTokens: brief.rules.stepTokens)
            return .think([Thought(purpose: "plan", title: "Plan", member: 0, request: request)], leaving: 1)
        case .thought(let outcomes):
            guard let outcome = outcomes.first else { return conclude() }
            switch phase {
            case .planning: return planned(outcome)
            case .solving: return solved(outcome)
            case .checking: return checked(outcome)
            }
        case .stopped(let missing):
            log.missing.append(missing)
            return conclude()
        case .answerFailed(let error):
            guard let solution else { return .fail(error) }
            log.missing.append("the corrected answer")
            return .give(solution)
        case .waited: return conclude()
        }
    }

    private mutating func planned(_ outcome: ReasonOutcome) -> ReasonAction {
        guard let text = outcome.draft?.text else {
            if let error = outcome.failure { return .fail(error) }
            log.missing.append("a plan")
            return conclude()
        }
        plan = text
        phase = .solving
        log.sections.append(.init(title: "Plan", text: text, seconds: outcome.seconds))
        let request = brief.draft([Message(.assistant, text: text), Message(.user, text: Prompts.solve)])
        return .think([Thought(purpose: "solution", title: "Solution", member: 0, request: request)], leaving: 1)
    }

    private mutating func solved(_ outcome: ReasonOutcome) -> ReasonAction {
        guard let response = outcome.draft else {
            log.missing.append("a solution")
            return conclude()
        }
        solution = response
        phase = .checking
        log.sections.append(.init(title: "Solution", text: response.text, seconds: outcome.seconds))
        let turns = [Message(.assistant, text: work), Message(.user, text: Prompts.check)]
        let request = brief.thinking(turns, maxTokens: brief.rules.stepTokens)
        return .think([Thought(purpose: "check", title: "Check", member: brief.judge, request: request)], leaving: 1)
    }

    private mutating func checked(_ outcome: ReasonOutcome) -> ReasonAction {
        guard let check = outcome.draft?.text else {
            log.missing.append("a check")
            return conclude()
        }
        log.sections.append(.init(title: "Check", text: check, seconds: outcome.seconds, isLast: true))
        let word = check.drop { !$0.isLetter }.prefix { $0.isLetter }
        if word.uppercased() == Prompts.correct { return conclude() }
        return answer("A check of this found:\n\n\(check)\n\n")
    }

    /// The plan and what came of it.
    private var work: String {
        [plan, solution?.text ?? ""].filter { !$0.isEmpty }.joined(separator: "\n\n")
    }

    private func answer(_ found: String) -> ReasonAction {
        let turns = [
            Message(.assistant, text: work),
            Message(.user, text: found + (brief.rules.finalPrompt ?? Prompts.planned)),
        ]
        return .answer(FinalAnswer(request: brief.answer(work.isEmpty ? [] : turns)))
    }

    /// The end: the solution, unless there is none or only the final call can do what was asked for.
    private func conclude() -> ReasonAction {
        guard let solution, brief.mayGive else { return answer("") }
        return .give(solution)
    }
}

/// The question read twice: one call.
struct Reread: ReasonMachine {
    var log = ReasonLog()
    private let brief: Brief

    init(_ brief: Brief) {
        self.brief = brief
    }

    mutating func next(_ event: ReasonEvent) -> ReasonAction {
        if case .answerFailed(let error) = event { return .fail(error) }
        return .answer(FinalAnswer(request: brief.rereading()))
    }
}
