// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// How a route that spreads its calls chooses among members of the same priority.
public enum SpreadStrategy: Sendable, Equatable {
    /// Each in turn.
    case roundRobin
    /// Any, evenly.
    case random
    /// Any, by weight; what weighs nothing comes after all that weighs something.
    case weighted
}

/// Says which member of a route is asked next: draws in, indices out, without a random source of its own.
///
/// Members of the lowest priority number come first. Within a priority each pick is made by the strategy among those
/// that were not asked yet, so that the calls of a member that is down are spread over the others as well.
public struct MemberPicker: Sendable {
    private struct Candidate {
        var index: Int
        var weight: Double
    }

    private let strategy: SpreadStrategy
    /// Those that were not asked yet: groups by priority, the next group last; each in the order of the file.
    private var groups: [[Candidate]]

    /// A picker for one call.
    ///
    /// - Parameters:
    ///   - members: priority and weight of each member, in the order of the file.
    ///   - turn: how many calls the route had before this one; only `roundRobin` looks at it.
    public init(_ strategy: SpreadStrategy, members: [(priority: Int, weight: Double)], turn: UInt = 0) {
        self.strategy = strategy
        var groups: [Int: [Candidate]] = [:]
        for (index, member) in members.enumerated() {
            let weight = member.weight.isFinite ? max(member.weight, 0) : 0
            groups[member.priority, default: []].append(Candidate(index: index, weight: weight))
        }
        self.groups = groups.sorted { $0.key > $1.key }.map { group in
            guard strategy == .roundRobin else { return group.value }
            let first = Int(turn % UInt(group.value.count))
            return Array(group.value[first...] + group.value[..<first])
        }
    }

    /// The member to ask next; nil after the last one.
    ///
    /// - Parameter random: a number in 0 ..< 1.
    public mutating func next(_ random: Double) -> Int? {
        guard let group = groups.last else { return nil }
        let place = Self.place(in: group, strategy, min(max(random, 0), 1))
        let chosen = groups[groups.count - 1].remove(at: place)
        if groups[groups.count - 1].isEmpty { groups.removeLast() }
        return chosen.index
    }

    private static func place(in group: [Candidate], _ strategy: SpreadStrategy, _ random: Double) -> Int {
        switch strategy {
        case .roundRobin: return 0
        case .random: return min(Int(random * Double(group.count)), group.count - 1)
        case .weighted:
            let total = group.reduce(0) { $0 + $1.weight }
            guard total > 0 else { return 0 }
            var rest = random * total
            for (place, candidate) in group.enumerated() where candidate.weight > 0 {
                rest -= candidate.weight
                if rest < 0 { return place }
            }
            // Only rounding leads here.
            return group.lastIndex { $0.weight > 0 } ?? 0
        }
    }
}
