// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore

/// One call on its way through a strategy: performs what the machine says, a piece at a time, whenever somebody reads.
///
/// Nothing runs between two readings. Thoughts that are asked for together are opened together; while they are read,
/// all within one reading, what is shown goes to the sink, if the reader has one.
final class ReasonRun: EventSource {
    enum Stage {
        case next(ReasonAction)
        case thinking(ReasonLeg, Thought, ThoughtReader)
        case together([(leg: ReasonLeg, thought: Thought)])
        case answering(ReasonLeg, AnswerReader)
        case over
    }

    let call: Call
    let forms: any NeutralForms
    private let team: [any Model]
    private let rules: ReasonRules
    private let cost: InnerCost?
    private let began = NIODeadline.now()
    private var machine: any ReasonMachine
    var budget: ReasonBudget
    var view: ReasonView
    var stage: Stage
    var out: [Event] = []
    weak var sink: (any EventSink)?
    private var isStarted = false
    private var hasThought = false
    private var missing: [String] = []
    /// Everything that was thought, for the object that lists the steps.
    private(set) var sections: [ReasonLog.Section] = []
    /// When the final answer was asked for first, and how long it took.
    private var answerBegan: NIODeadline?
    private(set) var answerSeconds = 0.0
    /// The answer's text alone.
    private(set) var answerText = ""

    /// A call of `team`, the judge last, by the machine's strategy.
    init(
        _ call: Call, _ machine: any ReasonMachine, team: [any Model], _ rules: ReasonRules,
        _ forms: any NeutralForms, cost: InnerCost?
    ) {
        self.call = call
        self.machine = machine
        self.team = team
        self.rules = rules
        self.forms = forms
        self.cost = cost
        budget = ReasonBudget(rules.caps, began: began)
        view = ReasonView(rules)
        stage = .next(.fail(ParleyError(.internalError, "The strategy did not begin.")))
        step(.started)
    }

    // MARK: Reading

    /// The next events: what is at hand, else what the next pieces of the strategy give.
    func next(into events: inout [Event], by deadline: NIODeadline) async throws(ParleyError) -> Bool {
        let failure = await fill(by: deadline) { !self.out.isEmpty }
        events += out
        out = []
        if let failure { throw failure }
        return !isOver
    }

    /// Goes on to the first thing that a client has been given.
    ///
    /// - Throws: why there is none.
    func commit() async throws(ParleyError) {
        let failure = await fill(by: call.deadline) { self.out.contains(where: \.isMeaningful) }
        if let failure { throw failure }
    }

    /// Goes on until there is enough, or no more.
    private func fill(by deadline: NIODeadline, until isEnough: () -> Bool) async -> ParleyError? {
        do throws(ParleyError) {
            while !isOver, !isEnough() { try await advance(by: deadline) }
            return nil
        } catch {
            cancel()
            return error
        }
    }

    /// Gives up: closes every inner call.
    func cancel() {
        switch stage {
        case .thinking(let leg, _, _), .answering(let leg, _): leg.giveUp()
        case .together(let legs): for (leg, _) in legs { leg.giveUp() }
        case .next, .over: break
        }
        stage = .over
    }

    /// What is shown while a reading waits goes there.
    func forward(to sink: any EventSink) { self.sink = sink }

    var isOver: Bool {
        if case .over = stage { return true }
        return false
    }

    // MARK: Going on

    private func advance(by deadline: NIODeadline) async throws(ParleyError) {
        switch stage {
        case .next(let action): try await perform(action)
        case .thinking(let leg, let thought, let reader):
            try await read(leg, thought, reader, by: min(deadline, budget.deadline))
        case .together(let legs): try await readTogether(legs, by: min(deadline, budget.deadline))
        case .answering(let leg, let reader): try await read(leg, reader, by: deadline)
        case .over: break
        }
    }

    /// Tells the machine what happened, and shows what it has to say.
    func step(_ event: ReasonEvent) {
        let action = machine.next(event)
        let log = machine.log.take()
        for missing in log.missing { miss(missing) }
        // Before anything has answered there is nobody to tell: the call may still end as an error.
        if isStarted { for status in log.status { view.note(status, &out) } }
        for section in log.sections {
            sections.append(section)
            view.section(section, &out)
        }
        stage = .next(action)
    }

    /// Notes what the answer has to do without, once.
    func miss(_ what: String) {
        guard !missing.contains(what) else { return }
        missing.append(what)
        call.trace.degrade(what)
    }

    private func perform(_ action: ReasonAction) async throws(ParleyError) {
        switch action {
        case .think(let thoughts, let leaving): try await think(thoughts, leaving: leaving)
        case .wait(let time):
            let began = NIODeadline.now()
            try await call.connector.sleep(time)
            try stopIfCancelled()
            step(.waited((.now() - began).seconds))
        case .answer(let final): try await answer(final)
        case .give(let response): give(response)
        case .fail(let error): throw error
        }
    }

    // MARK: Thinking

    private func think(_ thoughts: [Thought], leaving: Int) async throws(ParleyError) {
        let allowed: Int
        switch budget.allowance(thoughts.count, leaving: leaving, at: .now()) {
        case .none(let missing): return step(.stopped(missing))
        case .calls(let count): allowed = count
        }
        hasThought = true
        let legs = thoughts.prefix(allowed).map { (leg: leg(for: $0), thought: $0) }
        budget.begin(legs.count)
        guard let first = legs.first, legs.count == 1 else { return try await openTogether(legs) }
        stage = .thinking(first.leg, first.thought, ThoughtReader(first.thought))
        await first.leg.open()
        try stopIfCancelled()
        guard first.leg.isOpen else {
            let outcome = outcome(of: first.leg, ThoughtReader(first.thought))
            return step(.thought([outcome]))
        }
        begin()
        if first.thought.form != .hidden { view.begin(first.thought.title) }
    }

    private func leg(for thought: Thought) -> ReasonLeg {
        var request = thought.request
        if let left = budget.tokensLeft {
            let bound = min(request.request.maxTokens ?? left, left)
            request.request.maxTokens = bound
            request.plain?.maxTokens = bound
        }
        return ReasonLeg(
            thought.purpose, request, to: model(thought.member), of: call, forms, by: budget.deadline)
    }

    private func model(_ place: Int) -> any Model { team[min(max(place, 0), team.count - 1)] }

    private func read(
        _ leg: ReasonLeg, _ thought: Thought, _ reader: ThoughtReader, by deadline: NIODeadline
    ) async throws(ParleyError) {
        var reader = reader
        let chunk = await leg.read(by: deadline)
        try stopIfCancelled()
        for event in chunk.events { reader.show(event, in: &view, &out) }
        guard chunk.isOver else {
            stage = .thinking(leg, thought, reader)
            return
        }
        step(.thought([outcome(of: leg, reader)]))
    }

    /// How a thought ended, once its call is over; what it used is taken into account.
    func outcome(of leg: ReasonLeg, _ reader: ThoughtReader) -> ReasonOutcome {
        if leg.calls > 1 { budget.begin(leg.calls - 1) }
        budget.spend(leg.usage, cost: cost?(leg.upstream, leg.usage), isAnswer: false)
        var outcome = ReasonOutcome(response: leg.response, failure: leg.failure, seconds: leg.elapsed.seconds)
        guard outcome.response != nil, reader.readsStep else { return outcome }
        do throws(StepFault) {
            outcome.step = try reader.step()
        } catch {
            outcome.failure = ParleyError(.upstreamUnavailable, error.message)
        }
        return outcome
    }

    /// The answer begins: from here on the client gets events.
    func begin() {
        if !isStarted {
            isStarted = true
            out.append(.start(AnswerIdentity(model: call.model, created: WallClock.seconds())))
        }
        view.open(&out, showsThinking: hasThought)
    }

    // MARK: Answering

    private func answer(_ final: FinalAnswer) async throws(ParleyError) {
        if answerBegan == nil {
            answerBegan = .now()
            if hasThought, isStarted {
                view.note("Thought for \(Hundredths.text((.now() - began).seconds)) seconds.", &out)
            }
        } else if !budget.hasCall {
            let error = ParleyError(.internalError, "The final answer failed, and no more calls may be made.")
            return step(.answerFailed(error))
        }
        budget.begin()
        let leg = ReasonLeg(
            final.purpose, final.request, to: model(final.member), of: call, forms, by: call.deadline)
        stage = .answering(leg, AnswerReader(unwraps: final.unwraps))
        await leg.open()
        try stopIfCancelled()
        if leg.calls > 1 { budget.begin(leg.calls - 1) }
        guard leg.isOpen else { return fail(leg) }
        begin()
    }

    private func read(
        _ leg: ReasonLeg, _ reader: AnswerReader, by deadline: NIODeadline
    ) async throws(ParleyError) {
        var reader = reader
        let chunk = await leg.read(by: deadline)
        try stopIfCancelled()
        if view.isLive {
            for event in chunk.events { reader.show(event, &out) }
            if chunk.failure == nil, chunk.isOver { reader.finish(&out) }
        }
        if let error = chunk.failure {
            // What the client has of an answer cannot be taken back.
            if reader.hasShown { throw error }
            return fail(leg)
        }
        guard chunk.isOver, let response = leg.response else {
            stage = .answering(leg, reader)
            return
        }
        budget.spend(leg.usage, cost: cost?(leg.upstream, leg.usage), isAnswer: true)
        end(with: reader.unwrapped(response))
        if !view.isLive { show(reader.unwrapped(response)) }
        finish()
    }

    /// The final answer failed with nothing shown of it.
    private func fail(_ leg: ReasonLeg) {
        budget.spend(leg.usage, cost: cost?(leg.upstream, leg.usage), isAnswer: false)
        step(.answerFailed(leg.failure ?? ParleyError(.internalError, "The final answer was not asked for.")))
    }

    private func end(with response: ChatResponse) {
        answerText = response.text
        answerSeconds = answerBegan.map { (.now() - $0).seconds } ?? 0
    }

    /// A thought is the answer.
    private func give(_ response: ChatResponse) {
        budget.reveal(response.usage)
        end(with: response)
        begin()
        if view.isLive {
            for event in forms.events(of: response) where event.isOfAnswer { out.append(event) }
        } else {
            show(response)
        }
        finish()
    }

    /// A whole answer where thinking stands in the content: its text as the last section, everything else as it is.
    private func show(_ response: ChatResponse) {
        let message = response.choices.first?.message
        let seconds = sections.reduce(answerSeconds) { $0 + $1.seconds }
        var rest: [Event] = []
        for event in forms.events(of: response) where event.isOfAnswer {
            switch event {
            case .text: break
            case .reasoning: out.append(event)
            default: rest.append(event)
            }
        }
        if hasThought {
            view.answer(
                message?.text ?? "", seconds: seconds, hasCalls: message?.toolCalls.isEmpty == false, &out)
        } else if let text = message?.text, !text.isEmpty {
            out.append(.text(choice: 0, text))
        }
        out += rest
    }

    private func finish() {
        let usage = budget.usage
        if !usage.isEmpty { out.append(.usage(usage)) }
        stage = .over
    }
}
