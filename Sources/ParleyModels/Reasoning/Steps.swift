// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore

/// The chain of steps: one call per step, which says whether another is needed, then one for the answer.
struct Steps: ReasonMachine {
    var log = ReasonLog()
    private let brief: Brief
    private var steps: [Step] = []
    private var isAnswering = false
    /// Which try this is, of the step or of the answer.
    private var attempt = 1
    /// How long the step has taken, tries that failed and waits included.
    private var seconds = 0.0

    init(_ brief: Brief) {
        self.brief = brief
    }

    private var rules: ReasonRules { brief.rules }
    private var number: Int { steps.count + 1 }

    mutating func next(_ event: ReasonEvent) -> ReasonAction {
        switch event {
        case .started: return think()
        case .thought(let outcomes):
            guard let outcome = outcomes.first else { return answer() }
            seconds += outcome.seconds
            return outcome.step.map { took($0) } ?? lost(outcome)
        case .waited(let time):
            if isAnswering { return answer() }
            seconds += time
            return think()
        case .stopped(let missing):
            log.missing.append(missing)
            return answer()
        case .answerFailed(let error): return answerFailed(error)
        }
    }

    // MARK: Steps

    private func think() -> ReasonAction {
        var prompt = rules.stepPrompt ?? Prompts.step
        if !prompt.contains("next_action") { prompt += "\n\n" + Prompts.stepForm }
        var turns: [Message] = []
        for step in steps {
            turns.append(Message(.assistant, text: brief.json(step.value)))
            turns.append(Message(.user, text: Prompts.nextStep))
        }
        let request = brief.thinking(
            system: prompt, turns, maxTokens: rules.stepTokens, format: .jsonObject)
        let thought = Thought(
            purpose: "step \(number)", title: "Step \(number)", member: 0, request: request, form: .step(number))
        return .think([thought], leaving: 1)
    }

    private mutating func took(_ step: Step) -> ReasonAction {
        let isLast = step.isFinal || number >= rules.maxSteps
        if !step.isFinal, isLast { log.missing.append("steps beyond \(rules.maxSteps)") }
        log.sections.append(
            .init(title: "Step \(number): \(step.title)", text: step.content, seconds: seconds, isLast: isLast))
        steps.append(step)
        attempt = 1
        seconds = 0
        return isLast ? answer() : think()
    }

    private mutating func lost(_ outcome: ReasonOutcome) -> ReasonAction {
        let error = outcome.failure ?? ParleyError(.upstreamUnavailable, "Nothing came.")
        if attempt < rules.attempts, !outcome.isLost || error.mayPass {
            attempt += 1
            log.status.append("Step \(number) once more: \(error.message)")
            return .wait(error.wait(atLeast: rules.wait))
        }
        // Where not even the first call got through, there is nothing to go on from.
        if outcome.isLost, steps.isEmpty { return .fail(error) }
        log.missing.append("step \(number)")
        let text = "Unable to generate step after \(attempt) attempts. Error: \(error.message)"
        log.sections.append(.init(title: "Step \(number): Error", text: text, seconds: seconds, isLast: true))
        return answer()
    }

    // MARK: The answer

    private mutating func answer() -> ReasonAction {
        if !isAnswering { attempt = 1 }
        isAnswering = true
        var turns: [Message] = []
        if !steps.isEmpty {
            let thinking = steps.enumerated().map { place, step in
                "Step \(place + 1): \(step.title)\n\(step.content)"
            }
            turns = [
                Message(.assistant, text: thinking.joined(separator: "\n\n")),
                Message(.user, text: rules.finalPrompt ?? Prompts.finalStep),
            ]
        }
        return .answer(FinalAnswer(request: brief.answer(turns), unwraps: !brief.hasFormat))
    }

    private mutating func answerFailed(_ error: ParleyError) -> ReasonAction {
        if attempt < rules.attempts, error.mayPass {
            attempt += 1
            return .wait(error.wait(atLeast: rules.wait))
        }
        guard let last = steps.last, !last.content.isEmpty else { return .fail(error) }
        log.missing.append("the final answer")
        let choice = ChatResponse.Choice(index: 0, message: Message(.assistant, text: last.content), finish: .stop)
        return .give(ChatResponse(identity: AnswerIdentity(), choices: [choice]))
    }
}

extension Step {
    /// The step as the model wrote it, or should have.
    fileprivate var value: JSONValue {
        [
            "title": .string(title), "content": .string(content),
            "next_action": .string(isFinal ? "final_answer" : "continue"),
        ]
    }
}

extension ParleyError {
    /// Whether the same call may get through at another time.
    fileprivate var mayPass: Bool { retryClass != nil }

    /// The wait before another try: what the upstream asks for, up to 20 s, and not less than `time`.
    fileprivate func wait(atLeast time: TimeAmount) -> TimeAmount {
        guard let retryAfter, retryAfter > 0 else { return time }
        return max(time, .milliseconds(Int64(min(retryAfter, 20) * 1000)))
    }
}
