// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore

/// Several members at work on one call: the first at its commit point answers, the others are cancelled.
struct Contest {
    let plan: RoutePlan
    let call: Call

    /// Answers with the first to commit. It returns when the others have let go.
    ///
    /// - Throws: what another member could not do better either, as soon as one says so; when every member failed, an
    ///   error that lists them.
    func reply(_ run: inout RouteRun) async throws(ParleyError) -> Reply {
        let (finish, rest) = await decided(run)
        run = rest
        do throws(ParleyError) {
            try stopIfCancelled()
        } catch {
            // The client left while the winner came in.
            finish?.giveUp()
            throw error
        }
        guard let finish else { throw run.failures.error }
        return try finish.outcome.get()
    }

    private func decided(_ start: RouteRun) async -> (Finish?, RouteRun) {
        let hedge = plan.rules.strategy == .race ? nil : plan.rules.hedge
        if let hedge { plan.state.earnHedge(hedge.budget) }
        return await withTaskGroup(of: Finish.self) { group in
            var run = start
            var machine = ContestMachine(asksAll: plan.rules.strategy == .race)
            var decision: Finish?
            var action = machine.next(.started)
            while true {
                switch action {
                case .ask, .askAll, .hedge:
                    let members = ask(action, &run)
                    for index in members { group.addTask { [run] in await self.run(index, run) } }
                    if action == .ask, let hedge, machine.awaitsDelay {
                        group.addTask { await delay(hedge.after) }
                    }
                    action = machine.next(.asked(members.count))
                    continue
                case .wait: break
                case .end: group.cancelAll()
                }
                guard let finish = await group.next() else { return (decision, run) }
                guard let index = finish.member else {
                    action = machine.next(.delayPassed)
                    continue
                }
                switch finish.outcome {
                case .success where machine.isDecided:
                    finish.giveUp()
                    action = .wait
                case .success:
                    decision = finish
                    action = machine.next(.committed)
                case .failure(let error):
                    do throws(ParleyError) {
                        if !machine.isDecided { try run.failed(index, error, call) }
                        action = machine.next(.failed)
                    } catch {
                        decision = Finish(member: index, outcome: .failure(error))
                        action = machine.next(.committed)
                    }
                }
            }
        }
    }

    private func ask(_ action: ContestMachine.Action, _ run: inout RouteRun) -> [Int] {
        if case .askAll = action { return run.nextGroup() }
        if case .hedge = action {
            guard plan.state.takeHedge() else { return [] }
            if let index = run.nextAvailable("hedge") { return [index] }
            plan.state.returnHedge()
            return []
        }
        if !run.failures.isEmpty, call.deadline <= .now() { return [] }
        return run.next().map { [$0] } ?? []
    }

    private func run(_ index: Int, _ run: RouteRun) async -> Finish {
        do throws(ParleyError) {
            return Finish(member: index, outcome: .success(try await plan.ask(index, call, run)))
        } catch {
            return Finish(member: index, outcome: .failure(error))
        }
    }

    private func delay(_ time: TimeAmount) async -> Finish {
        do throws(ParleyError) {
            try await call.connector.sleep(time)
            return Finish(member: nil, outcome: .failure(ParleyError(.timeout, "The delay is over.")))
        } catch {
            return Finish(member: nil, outcome: .failure(error))
        }
    }

    /// How a member came in, or that the delay is over.
    ///
    /// `@unchecked Sendable`: the members' tasks run where the call does, on its event loop, which a child task takes
    /// over from its parent, and each hands its reply on before it ends.
    private struct Finish: @unchecked Sendable {
        /// The member's place; nil for the delay.
        let member: Int?
        let outcome: Result<Reply, ParleyError>

        /// Gives an answer up that nobody needs; what it used is accounted for.
        func giveUp() {
            if case .success(let reply) = outcome { reply.giveUp() }
        }
    }
}

/// Who is asked when several may be at work: events in, actions out.
public struct ContestMachine: Sendable {
    /// What happened.
    public enum Event: Sendable, Equatable {
        /// The call begins.
        case started
        /// So many were asked.
        case asked(Int)
        /// The first has been waited for long enough.
        case delayPassed
        /// One failed, and another may do better.
        case failed
        /// One answers, or says what no other could do better.
        case committed
    }

    /// What to do next.
    public enum Action: Sendable, Equatable {
        /// Ask the next member.
        case ask
        /// Ask all of the next group.
        case askAll
        /// Ask the next member, where the budget allows it.
        case hedge
        /// Wait for those that were asked.
        case wait
        /// Cancel all that still run.
        case end
    }

    /// Whether the answer is found, or there will be none.
    public private(set) var isDecided = false
    /// Whether the delay has not begun yet.
    public private(set) var awaitsDelay = true
    private let asksAll: Bool
    private var running = 0
    private var isHedging = false

    /// A machine for one call.
    public init(asksAll: Bool) {
        self.asksAll = asksAll
    }

    /// Takes an event and says what to do.
    public mutating func next(_ event: Event) -> Action {
        switch event {
        case .started: return asksAll ? .askAll : .ask
        case .asked(let count):
            let wasHedge = isHedging
            isHedging = false
            if !asksAll { awaitsDelay = false }
            running += count
            // Nobody is left: what runs is waited for, and if nothing runs that was it.
            guard running == 0, !wasHedge else { return .wait }
            isDecided = true
            return .end
        case .delayPassed:
            guard !isDecided, running > 0 else { return .wait }
            isHedging = true
            return .hedge
        case .failed:
            running -= 1
            guard !isDecided, running == 0 else { return .wait }
            return asksAll ? .askAll : .ask
        case .committed:
            running -= 1
            isDecided = true
            return .end
        }
    }
}
