// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
public import ParleyCore

/// A model that chooses among others: by its strategy, by how they fare, and where one fails the next one.
public struct Route: Model {
    /// The name it has.
    public var name: String { plan.name }

    let plan: RoutePlan

    /// Chooses among `members`, in the order of the file; `random` gives numbers in 0 ..< 1.
    public init(
        _ name: String, _ rules: RouteRules, of members: [RouteMember], state: RouteState = RouteState(),
        random: @escaping @Sendable () -> Double = { Double.random(in: 0..<1) }
    ) {
        plan = RoutePlan(name: name, rules: rules, members: members, state: state, random: random)
    }

    /// Answers with the first asked member that can.
    ///
    /// - Throws: at once what the next member could not do better: the client's own mistakes, or `cancelled`. When
    ///   every member failed, an error that lists them.
    public func answer(_ call: Call) async throws(ParleyError) -> Reply {
        guard plan.hasSpecials else { return try await choose(call) }
        do throws(ParleyError) {
            return try await choose(call)
        } catch {
            guard call.isRepeatable, let (model, reason) = plan.special(after: error) else { throw error }
            try stopIfCancelled()
            call.trace.decide(name, model.name, reason)
            return try await model.answer(call)
        }
    }

    private func choose(_ call: Call) async throws(ParleyError) -> Reply {
        var run = RouteRun(plan, call)
        // What is sent on while it arrives can be sent only once.
        if plan.runsSeveral, call.upload == nil {
            return try await Contest(plan: plan, call: call).reply(&run)
        }
        while let index = run.next() {
            try stopIfCancelled()
            // The first member is asked in any case, so that there is an answer to why there is none.
            if !run.failures.isEmpty, call.deadline <= .now() { break }
            do throws(ParleyError) {
                return try await plan.ask(index, call, run)
            } catch {
                try run.failed(index, error, call)
            }
        }
        guard let (index, wait) = run.lastResort(call) else { throw run.failures.error }
        try await call.connector.sleep(wait)
        try stopIfCancelled()
        call.trace.decide(name, plan.members[index].model.name, "after its rest")
        do throws(ParleyError) {
            return try await plan.ask(index, call, run)
        } catch {
            try run.failed(index, error, call)
        }
        throw run.failures.error
    }
}

extension ParleyError {
    /// Whether another upstream may do what this one could not.
    ///
    /// True for what is wrong with an upstream: down, full, out of money, its key refused, its model gone. False for
    /// what is wrong with the request, which would fail the same way elsewhere, and for faults of Parley's own, which
    /// must not hide.
    public var isWorthMovingOn: Bool {
        switch kind {
        case .rateLimited, .quota, .upstreamUnavailable, .timeout, .notFound, .notImplemented: true
        // Clients were authenticated before any model was asked, so these two come from an upstream.
        case .unauthenticated, .forbidden: true
        case .upstreamRejected:
            // Of the refusals only those of Parley's own credentials or of the model at that place.
            code == "invalid_api_key" || [401, 402, 403, 404].contains(httpStatus)
        // What this upstream's API cannot say, another's may.
        case .invalid where code?.hasPrefix("unsupported_") == true: true
        case .invalid, .methodNotAllowed, .tooLarge, .contentFiltered, .contextExceeded, .cancelled, .internalError:
            false
        }
    }
}

/// A route as it stands in the configuration; shared by all its calls.
final class RoutePlan: Sendable {
    let name: String
    let rules: RouteRules
    let members: [RouteMember]
    let state: RouteState
    let random: @Sendable () -> Double
    let hasSpecials: Bool
    /// Whether several members may run at the same time.
    let runsSeveral: Bool
    /// Whether a call can be bound to some of the members and not to others.
    let bindsCalls: Bool
    /// The picker of a call that is bound to none of the members and sticks to none.
    let picker: MemberPicker

    init(
        name: String, rules: RouteRules, members: [RouteMember], state: RouteState,
        random: @escaping @Sendable () -> Double
    ) {
        self.name = name
        self.rules = rules
        self.members = members
        self.state = state
        self.random = random
        hasSpecials = rules.onContextExceeded != nil || rules.onContentFilter != nil
        runsSeveral = members.count > 1 && (rules.strategy == .race || rules.hedge != nil)
        picker = Self.picker(rules, members, bound: [], key: nil)
        bindsCalls = Set(members.flatMap(\.healths).map { $0.name.prefix { $0 != "/" } }).count > 1
    }

    /// A picker of a call that is bound to some members, or sticks to one of them by a key.
    static func picker(_ rules: RouteRules, _ members: [RouteMember], bound: [Int], key: String?) -> MemberPicker {
        var fixed: [MemberPicker.Member] = []
        fixed.reserveCapacity(members.count)
        for (index, member) in members.enumerated() {
            let weight = rules.strategy == .weighted ? member.weight : 1
            fixed.append(
                MemberPicker.Member(
                    priority: member.priority, weight: member.weight, isBound: bound.contains(index),
                    pull: key.map { Stickiness.pull($0, member.model.name, weight: weight) }))
        }
        return MemberPicker(rules.strategy, members: fixed)
    }

    /// The model that is asked when a call ended so.
    func special(after error: ParleyError) -> (model: any Model, reason: String)? {
        switch error.kind {
        case .contextExceeded: rules.onContextExceeded.map { ($0, "context exceeded") }
        case .contentFiltered: rules.onContentFilter.map { ($0, "content filter") }
        default: nil
        }
    }

    /// Asks a member.
    func ask(_ index: Int, _ call: Call, _ run: RouteRun) async throws(ParleyError) -> Reply {
        let member = members[index]
        var call = call
        if run.isBound, !run.isBound(index) { call = try call.withoutBoundReasoning() }
        guard rules.resumes, call.stream, call.operation == .chat, call.forms != nil else {
            return try await member.model.answer(call)
        }
        return try await ResumingEvents.reply(self, index, call, run)
    }
}

/// The choices of one call.
struct RouteRun {
    private let plan: RoutePlan
    private let trace: CallTrace
    private let isStream: Bool
    private var picker: MemberPicker
    private(set) var failures: RouteFailures
    /// The members that can read what an earlier turn left in the request; empty where all can, or none.
    private var bound: [Int] = []
    private var limited: [(index: Int, error: ParleyError)] = []

    init(_ plan: RoutePlan, _ call: Call) {
        self.plan = plan
        trace = call.trace
        isStream = call.stream
        failures = RouteFailures(route: plan.name)
        let rules = plan.rules
        if plan.bindsCalls, call.operation == .chat { bound = Self.bound(plan, call) }
        let key = rules.affinity == .none ? nil : Stickiness.key(of: call, rules.affinity)
        let isPlain = bound.isEmpty && key == nil
        picker = isPlain ? plan.picker : RoutePlan.picker(rules, plan.members, bound: bound, key: key)
        if rules.strategy == .roundRobin { picker.turn = plan.state.takeTurn() }
    }

    /// Whether the call is bound to some of the members.
    var isBound: Bool { !bound.isEmpty }

    func isBound(_ index: Int) -> Bool { bound.contains(index) }

    private static func bound(_ plan: RoutePlan, _ call: Call) -> [Int] {
        if let origin = call.affinity?.origin {
            return plan.members.indices.filter { plan.members[$0].isOf(origin) }
        }
        guard plan.members.contains(where: { $0.dialect != nil }), let dialect = call.forms?.binding(of: call) else {
            return []
        }
        let found = plan.members.indices.filter { plan.members[$0].dialect?(call) == dialect }
        return found.count < plan.members.count ? found : []
    }

    /// The member to ask next; nil where there is none.
    ///
    /// - Parameter reason: a better word for why than the strategy has.
    mutating func next(_ reason: String? = nil) -> Int? { next(reason, orLeastBad: true) }

    /// The member to ask next, but none that should be left alone.
    mutating func nextAvailable(_ reason: String) -> Int? { next(reason, orLeastBad: false) }

    private mutating func next(_ reason: String?, orLeastBad: Bool) -> Int? {
        let (plan, isStream, now) = (plan, isStream, NIODeadline.now())
        while let pick = picker.next(
            random: plan.random, look: { plan.members[$0].look(at: now, stream: isStream) })
        {
            if !orLeastBad, pick.reason == "least bad" {
                picker.putBack(pick.index)
                return nil
            }
            guard admit(pick, at: now) else { continue }
            decide(pick, reason)
            return pick.index
        }
        return nil
    }

    /// All that are asked at once next.
    mutating func nextGroup() -> [Int] {
        let (plan, isStream, now) = (plan, isStream, NIODeadline.now())
        while true {
            let picks = picker.nextGroup { plan.members[$0].look(at: now, stream: isStream) }
            guard !picks.isEmpty else { return [] }
            let admitted = picks.filter { admit($0, at: now) }
            for pick in admitted { decide(pick, nil) }
            if !admitted.isEmpty { return admitted.map(\.index) }
        }
    }

    /// Only one call may be the probe.
    private mutating func admit(_ pick: MemberPicker.Pick, at now: NIODeadline) -> Bool {
        guard pick.reason == "probe" else { return true }
        if plan.members[pick.index].takeProbe(at: now, plan.rules.breaker) { return true }
        picker.refuse(pick.index)
        return false
    }

    /// What goes without saying is not recorded.
    private func decide(_ pick: MemberPicker.Pick, _ reason: String?) {
        guard pick.reason != "first", plan.members.count > 1 else { return }
        trace.decide(plan.name, plan.members[pick.index].model.name, reason ?? pick.reason)
    }

    /// Notes that a member failed.
    ///
    /// - Throws: the error, where nobody else should be asked.
    mutating func failed(_ index: Int, _ error: ParleyError, _ call: Call) throws(ParleyError) {
        try stopIfCancelled()
        guard call.isRepeatable, error.isWorthMovingOn else { throw error }
        failures.append(plan.members[index].model.name, error)
        if error.kind == .rateLimited { limited.append((index, error)) }
    }

    /// The member that can be asked again soonest, where all have failed and one of them only for now.
    ///
    /// A part of a larger route leaves it to that one; with a single member the retries have waited already.
    func lastResort(_ call: Call) -> (index: Int, wait: TimeAmount)? {
        let retry = plan.rules.retry
        guard plan.members.count > 1, !plan.rules.yields, retry.attempts > 1, retry.on.contains(.rateLimited) else {
            return nil
        }
        var machine = RetryMachine(retry)
        _ = machine.next(.started)
        let remaining = call.deadline - .now()
        var best: (index: Int, wait: TimeAmount)?
        for (index, error) in limited {
            let event = RetryMachine.Event.failed(error, remaining: remaining, random: plan.random())
            guard case .wait(let wait) = machine.next(event) else { continue }
            if best.map({ wait < $0.wait }) ?? true { best = (index, wait) }
        }
        return best
    }
}

extension Call {
    /// The same call without what only the origin of an earlier turn can read: another upstream would refuse it.
    fileprivate func withoutBoundReasoning() throws(ParleyError) -> Call {
        var call = self
        var request = try neutralRequest()
        for index in request.messages.indices {
            request.messages[index].reasoning.removeAll { $0.text.isEmpty }
            for place in request.messages[index].reasoning.indices {
                request.messages[index].reasoning[place].signature = nil
                request.messages[index].reasoning[place].opaque = nil
                request.messages[index].reasoning[place].origin = nil
            }
            for place in request.messages[index].toolCalls.indices {
                request.messages[index].toolCalls[place].signature = nil
            }
        }
        call.replaceRequest(with: request)
        return call
    }
}
