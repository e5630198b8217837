// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore

/// A model that thinks by asking others, by one of the strategies.
public struct Reason: Model {
    /// The name it has.
    public let name: String

    let rules: ReasonRules
    /// Those who think, then the judge.
    let team: [any Model]
    private let cost: InnerCost?

    /// Thinks with `members`; where no `judge` is given, the first of them judges.
    public init(
        _ name: String, _ rules: ReasonRules, with members: [any Model], judge: (any Model)? = nil,
        cost: InnerCost? = nil
    ) {
        self.name = name
        self.rules = rules
        team = members + [judge ?? members.first].compactMap { $0 }
        self.cost = cost
    }

    /// Answers at the first sign of thought.
    ///
    /// - Throws: what is wrong with the request, or the failure of the first inner calls where none of them succeeded.
    public func answer(_ call: Call) async throws(ParleyError) -> Reply {
        guard let first = team.first, let forms = call.forms else {
            throw ParleyError(.internalError, "The model \"\(name)\" has nothing to think with.")
        }
        switch call.operation {
        case .chat: break
        case .countTokens: return try await first.answer(call)
        case .embed, .pass:
            throw ParleyError(
                .invalid, "The model \"\(name)\" reasons: it only answers conversations.",
                code: "unsupported_operation", parameter: "model")
        }
        let base = try call.neutralRequest()
        if let n = base.n, n > 1 {
            throw ParleyError(
                .invalid, "The model \"\(name)\" reasons towards one answer: n must be 1.",
                code: "unsupported_value", parameter: "n")
        }
        call.trace.allow(attempts: rules.caps.calls ?? .max)
        let brief = Brief(base: base, rules: rules, members: team.count - 1) { forms.text(of: $0) }
        let run = ReasonRun(call, machine(brief), team: team, rules, forms, cost: cost)
        guard call.stream else { return try await whole(run, forms) }
        try await run.commit()
        return Reply(.events(run))
    }

    private func machine(_ brief: Brief) -> any ReasonMachine {
        switch rules.strategy {
        case .steps: Steps(brief)
        case .reflect: Reflect(brief)
        case .vote: Vote(brief)
        case .bestOf: BestOf(brief)
        case .panel: Panel(brief)
        case .reread: Reread(brief)
        case .plan: Plan(brief)
        }
    }

    /// Everything at once, for a client that does not stream.
    private func whole(_ run: ReasonRun, _ forms: any NeutralForms) async throws(ParleyError) -> Reply {
        var collector = forms.makeCollector()
        var isOpen = true
        while isOpen {
            var events: [Event] = []
            isOpen = try await run.next(into: &events, by: run.call.deadline)
            for event in events { collector.add(event) }
        }
        let response = collector.response()
        // A tool call has no place in the list of steps.
        guard rules.whole == .stepsJSON, response.choices.first?.message.toolCalls.isEmpty ?? true else {
            return Reply(.whole(response))
        }
        return Reply(.client(ReadyBody(json: forms.text(of: run.list), of: response)))
    }
}
