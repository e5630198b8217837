// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore
import Synchronization

/// A model that spreads its calls over others: one is picked by the strategy, and where it fails the next one, as
/// ``Fallback`` does.
public struct Spread: Model {
    /// One model of the route.
    public struct Member: Sendable {
        /// What answers.
        public var model: any Model
        /// Members of a lower number come first.
        public var priority: Int
        /// Its share under `weighted`.
        public var weight: Double

        /// A member.
        public init(_ model: any Model, priority: Int = 0, weight: Double = 1) {
            self.model = model
            self.priority = priority
            self.weight = weight
        }
    }

    /// Counts the calls of a route. A route that is put together anew, as a wildcard's is for each name, goes on with
    /// the same one.
    public final class Turns: Sendable {
        private let count = Atomic<UInt>(0)

        /// At the first turn.
        public init() {}

        /// How many turns were taken before this one.
        public func take() -> UInt { count.wrappingAdd(1, ordering: .relaxed).oldValue }
    }

    /// The name it has.
    public let name: String

    private let strategy: SpreadStrategy
    private let members: [Member]
    private let turns: Turns
    private let random: @Sendable () -> Double

    /// Spreads calls over `members`, in the order of the file; `random` gives numbers in 0 ..< 1.
    public init(
        _ name: String, _ strategy: SpreadStrategy, of members: [Member], turns: Turns = Turns(),
        random: @escaping @Sendable () -> Double = { Double.random(in: 0..<1) }
    ) {
        self.name = name
        self.strategy = strategy
        self.members = members
        self.turns = turns
        self.random = random
    }

    /// Answers with the first picked member that can; throws as ``Fallback/answer(_:)`` does.
    public func answer(_ call: Call) async throws(ParleyError) -> Reply {
        var picker = MemberPicker(
            strategy, members: members.map { ($0.priority, $0.weight) }, turn: turns.take())
        return try await Fallback.ask(call, for: name) { picker.next(random()).map { members[$0].model } }
    }
}
