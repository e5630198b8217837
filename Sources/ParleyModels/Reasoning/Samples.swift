// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// A round of drafts, as several strategies begin with.
struct Samples {
    /// What came of it: each draft with its number, counted from one.
    private(set) var drafts: [(number: Int, response: ChatResponse)] = []
    /// Why the first one failed that did.
    private(set) var failure: ParleyError?

    /// Sorts out what came, and notes in the log what did not.
    init(_ outcomes: [ReasonOutcome], of asked: Int, called name: String, _ log: inout ReasonLog) {
        for (index, outcome) in outcomes.enumerated() {
            guard let response = outcome.draft else {
                failure = failure ?? outcome.failure
                continue
            }
            drafts.append((index + 1, response))
            log.sections.append(
                .init(title: "\(name) \(index + 1)", text: response.text, seconds: outcome.seconds))
        }
        if drafts.count < asked { log.missing.append("\(asked - drafts.count) of \(asked) \(name.lowercased())s") }
    }

    var texts: [String] { drafts.map(\.response.text) }

    /// What to do where nothing came: tell why; where nothing failed, ask once more for the answer itself.
    func instead(_ brief: Brief) -> ReasonAction {
        failure.map { .fail($0) } ?? .answer(FinalAnswer(request: brief.answer([])))
    }

    /// The thoughts that ask for such a round.
    static func thoughts(
        _ count: Int, called name: String, _ request: (Int) -> InnerRequest, member: (Int) -> Int
    ) -> [Thought] {
        (0..<max(count, 1)).map { index in
            Thought(
                purpose: "\(name.lowercased()) \(index + 1)", title: "\(name) \(index + 1)", member: member(index),
                request: request(index))
        }
    }
}

/// Self-consistency: several samples, and one of those that came to the commonest answer.
struct Vote: ReasonMachine {
    var log = ReasonLog()
    private let brief: Brief
    private var winner: ChatResponse?

    init(_ brief: Brief) {
        self.brief = brief
    }

    mutating func next(_ event: ReasonEvent) -> ReasonAction {
        switch event {
        case .started:
            let system = brief.hasFormat ? nil : Prompts.sample
            return .think(
                Samples.thoughts(
                    brief.rules.samples, called: "Sample", { brief.draft(system: system, sample: $0) },
                    member: { $0 % max(brief.members, 1) }),
                leaving: brief.mayGive ? 0 : 1)
        case .thought(let outcomes): return count(outcomes)
        case .stopped(let missing):
            log.missing.append(missing)
            return .answer(FinalAnswer(request: brief.answer([])))
        case .answerFailed(let error):
            guard let winner else { return .fail(error) }
            log.missing.append("the final answer")
            return .give(winner)
        case .waited: return .answer(FinalAnswer(request: brief.answer([])))
        }
    }

    private mutating func count(_ outcomes: [ReasonOutcome]) -> ReasonAction {
        let samples = Samples(outcomes, of: brief.rules.samples, called: "Sample", &log)
        guard let ballot = Ballot(samples.texts) else { return samples.instead(brief) }
        log.status.append("\(ballot.votes) of \(samples.drafts.count) samples agree.")
        let chosen = samples.drafts[ballot.chosen].response
        winner = chosen
        if brief.mayGive { return .give(chosen) }
        return .answer(FinalAnswer(request: brief.answer([Message(.user, text: Prompts.settled(chosen.text))])))
    }
}

/// Several drafts, and the one that a judge picks.
struct BestOf: ReasonMachine {
    var log = ReasonLog()
    private let brief: Brief
    private var drafts: [ChatResponse] = []
    private var winner: ChatResponse?

    init(_ brief: Brief) {
        self.brief = brief
    }

    mutating func next(_ event: ReasonEvent) -> ReasonAction {
        switch event {
        case .started:
            return .think(
                Samples.thoughts(
                    brief.rules.samples, called: "Draft", { brief.draft(sample: $0) },
                    member: { $0 % max(brief.members, 1) }),
                leaving: brief.mayGive ? 1 : 2)
        case .thought(let outcomes): return drafts.isEmpty ? drafted(outcomes) : judged(outcomes)
        case .stopped(let missing):
            log.missing.append(missing)
            return conclude(0)
        case .answerFailed(let error):
            guard let winner else { return .fail(error) }
            log.missing.append("the final answer")
            return .give(winner)
        case .waited: return conclude(0)
        }
    }

    private mutating func drafted(_ outcomes: [ReasonOutcome]) -> ReasonAction {
        let samples = Samples(outcomes, of: brief.rules.samples, called: "Draft", &log)
        drafts = samples.drafts.map(\.response)
        if drafts.isEmpty { return samples.instead(brief) }
        if drafts.count == 1 { return conclude(0) }
        let request = brief.thinking(
            [Message(.user, text: Prompts.judge(samples.texts))], maxTokens: brief.rules.stepTokens)
        return .think(
            [Thought(purpose: "judge", title: "Verdict", member: brief.judge, request: request)],
            leaving: brief.mayGive ? 0 : 1)
    }

    private mutating func judged(_ outcomes: [ReasonOutcome]) -> ReasonAction {
        guard let outcome = outcomes.first, let verdict = outcome.draft?.text,
            let place = Verdict.place(in: verdict, of: drafts.count)
        else {
            log.missing.append("a verdict")
            return conclude(Ballot.closest(drafts.map(\.text)))
        }
        log.sections.append(.init(title: "Verdict", text: verdict, seconds: outcome.seconds, isLast: true))
        return conclude(place)
    }

    private mutating func conclude(_ place: Int) -> ReasonAction {
        guard drafts.indices.contains(place) else { return .answer(FinalAnswer(request: brief.answer([]))) }
        winner = drafts[place]
        if brief.mayGive { return .give(drafts[place]) }
        let turn = Message(.user, text: Prompts.settled(drafts[place].text))
        return .answer(FinalAnswer(request: brief.answer([turn])))
    }
}

/// Several models draft, one makes an answer of the drafts.
struct Panel: ReasonMachine {
    /// How many drafts one model writes where there is no other.
    private static let alone = 3

    var log = ReasonLog()
    private let brief: Brief
    private var drafts: [ChatResponse] = []

    init(_ brief: Brief) {
        self.brief = brief
    }

    private var count: Int { brief.members > 1 ? brief.members : min(Self.alone, brief.rules.samples) }

    mutating func next(_ event: ReasonEvent) -> ReasonAction {
        switch event {
        case .started:
            return .think(
                Samples.thoughts(
                    count, called: "Draft", { brief.draft(sample: $0) }, member: { $0 % max(brief.members, 1) }),
                leaving: 1)
        case .thought(let outcomes): return drafted(outcomes)
        case .stopped(let missing):
            log.missing.append(missing)
            return .answer(FinalAnswer(member: brief.judge, request: brief.answer([])))
        case .answerFailed(let error):
            guard !drafts.isEmpty else { return .fail(error) }
            log.missing.append("the synthesis")
            return .give(drafts[Ballot.closest(drafts.map(\.text))])
        case .waited: return .answer(FinalAnswer(request: brief.answer([])))
        }
    }

    private mutating func drafted(_ outcomes: [ReasonOutcome]) -> ReasonAction {
        let samples = Samples(outcomes, of: count, called: "Draft", &log)
        drafts = samples.drafts.map(\.response)
        if drafts.isEmpty { return samples.instead(brief) }
        var prompt = Prompts.synthesis(samples.texts)
        if let own = brief.rules.finalPrompt { prompt += "\n\n" + own }
        return .answer(
            FinalAnswer(
                purpose: "synthesis", member: brief.judge, request: brief.answer([Message(.user, text: prompt)])))
    }
}
