// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore

/// A model that asks others all at once: the first that says something meaningful answers, the rest are cancelled.
public struct Race: Model {
    /// The name it has.
    public let name: String

    private let members: [any Model]

    /// Asks all of `members` for every call; each one does its own retries.
    public init(_ name: String, of members: [any Model]) {
        self.name = name
        self.members = members
    }

    /// Answers with the member that is first at its commit point. It returns when the others have let go.
    ///
    /// - Throws: what another member could not do better either, as soon as one says so; when every member failed, an
    ///   error that lists them.
    public func answer(_ call: Call) async throws(ParleyError) -> Reply {
        // What is sent on while it arrives can be sent only once.
        guard call.upload == nil else { return try await Fallback(name, of: members).answer(call) }
        let finish = await withTaskGroup(of: Finish.self) { group in
            for member in members { group.addTask { await Self.run(member, call) } }
            var standing = Standing(route: name)
            while let finish = await group.next() {
                if standing.take(finish) { group.cancelAll() }
            }
            return standing.outcome
        }
        do throws(ParleyError) {
            try stopIfCancelled()
        } catch {
            // The client left while the winner came in.
            finish.giveUp()
            throw error
        }
        return try finish.get()
    }

    private static func run(_ member: any Model, _ call: Call) async -> Finish {
        do throws(ParleyError) {
            return Finish(member: member.name, outcome: .success(try await member.answer(call)))
        } catch {
            return Finish(member: member.name, outcome: .failure(error))
        }
    }

    /// How a member came in.
    ///
    /// `@unchecked Sendable`: the members' tasks run where the call does, on its event loop, which a child task takes
    /// over from its parent, and each hands its reply on before it ends.
    private struct Finish: @unchecked Sendable {
        let member: String
        let outcome: Result<Reply, ParleyError>

        func get() throws(ParleyError) -> Reply { try outcome.get() }

        func giveUp() {
            if case .success(let reply) = outcome { reply.giveUp() }
        }
    }

    /// Who leads, as members come in.
    private struct Standing {
        private let route: String
        private var decision: Finish?
        private var failures: FallbackFailures

        init(route: String) {
            self.route = route
            failures = FallbackFailures(route: route)
        }

        var outcome: Finish { decision ?? Finish(member: route, outcome: .failure(failures.error)) }

        /// - Returns: whether this decides the race.
        mutating func take(_ finish: Finish) -> Bool {
            guard decision == nil else {
                finish.giveUp()
                return false
            }
            if case .failure(let error) = finish.outcome, Fallback.isWorthMovingOn(after: error) {
                failures.append(finish.member, error)
                return false
            }
            decision = finish
            return true
        }
    }
}
