// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore

/// How a route chooses among members of the same priority.
public enum RouteStrategy: String, Sendable, Equatable {
    /// In order.
    case fallback
    /// Each in turn.
    case roundRobin = "round-robin"
    /// Any, evenly.
    case random
    /// Any, by weight; what weighs nothing comes after all that weighs something.
    case weighted
    /// The one with the fewest calls in flight.
    case leastBusy = "least-busy"
    /// Of two the one that answers sooner.
    case fastest
    /// All at once.
    case race
}

/// Says which member of a route is asked next: looks and draws in, indices out, without a clock or a random source of
/// its own.
///
/// Members that may be asked come before those that should be left alone; among them those that the call is bound to
/// come first, then those of the lowest priority number. Each pick is made by the strategy among those that were not
/// asked yet, so that the calls of a member that is down are spread over the others as well.
public struct MemberPicker: Sendable {
    /// What is fixed about a member.
    public struct Member: Sendable {
        /// Members of a lower number come first.
        public var priority: Int
        /// Its share under `weighted`.
        public var weight: Double
        /// Whether an earlier turn of the call binds it to this member.
        public var isBound: Bool
        /// How much a sticky call wants this member; nil where the call sticks to none.
        public var pull: Double?

        /// A member.
        public init(priority: Int = 0, weight: Double = 1, isBound: Bool = false, pull: Double? = nil) {
            self.priority = priority
            self.weight = weight.isFinite ? max(weight, 0) : 0
            self.isBound = isBound
            self.pull = pull
        }
    }

    /// A choice and why.
    public struct Pick: Sendable, Equatable {
        /// The member's place in the route.
        public var index: Int
        /// A word or two, as the call's trace records it.
        public var reason: String

        /// A choice.
        public init(_ index: Int, _ reason: String) {
            self.index = index
            self.reason = reason
        }
    }

    private let strategy: RouteStrategy
    private let members: [Member]
    /// How many calls the route had before this one; only `roundRobin` looks at it.
    var turn: UInt
    /// Those that were not asked yet, in the order of groups, each in the order of the file.
    private var rest: [Int]
    /// Those that somebody else was just let to probe.
    private var refused: [Int] = []
    private var last: Int?

    /// A picker for one call.
    ///
    /// - Parameters:
    ///   - members: the members in the order of the file.
    ///   - turn: see the property.
    public init(_ strategy: RouteStrategy, members: [Member], turn: UInt = 0) {
        self.strategy = strategy
        self.members = members
        self.turn = turn
        rest = Array(members.indices)
        let isOrdered = zip(members, members.dropFirst()).allSatisfy { Self.rank($0) <= Self.rank($1) }
        if !isOrdered {
            rest.sort { a, b in
                let (left, right) = (Self.rank(members[a]), Self.rank(members[b]))
                return left == right ? a < b : left < right
            }
        }
    }

    /// The member to ask next; nil after the last one.
    ///
    /// - Parameters:
    ///   - random: gives numbers in 0 ..< 1.
    ///   - look: how a member is doing.
    public mutating func next(random: () -> Double, look: (Int) -> UpstreamHealth.Look) -> Pick? {
        var start = rest.startIndex
        while start < rest.endIndex {
            let end = groupEnd(from: start)
            if let pick = pick(from: rest[start..<end], random, look) {
                take(pick.index)
                return pick
            }
            start = end
        }
        guard let index = leastBad(look) else { return nil }
        take(index)
        return Pick(index, "least bad")
    }

    /// All of the first group that may be asked at once; the least bad one where there is none.
    public mutating func nextGroup(look: (Int) -> UpstreamHealth.Look) -> [Pick] {
        var start = rest.startIndex
        while start < rest.endIndex {
            let end = groupEnd(from: start)
            let picks = rest[start..<end].compactMap { index -> Pick? in
                switch standing(index, look) {
                case .closed: Pick(index, "race")
                case .halfOpen: Pick(index, "probe")
                case .open: nil
                }
            }
            if !picks.isEmpty {
                for pick in picks { take(pick.index) }
                return picks
            }
            start = end
        }
        guard let index = leastBad(look) else { return [] }
        take(index)
        return [Pick(index, "least bad")]
    }

    /// Takes a pick back: somebody else was just let to probe the member.
    public mutating func refuse(_ index: Int) {
        refused.append(index)
        putBack(index)
    }

    /// Takes a pick back: the member is not asked now.
    public mutating func putBack(_ index: Int) {
        let place = rest.firstIndex { Self.rank(members[$0]) > Self.rank(members[index]) } ?? rest.endIndex
        rest.insert(index, at: place)
    }

    private mutating func take(_ index: Int) {
        rest.removeAll { $0 == index }
        last = index
    }

    // MARK: Groups

    private static func rank(_ member: Member) -> (Int, Int) { (member.isBound ? 0 : 1, member.priority) }

    private func groupEnd(from start: Int) -> Int {
        let rank = Self.rank(members[rest[start]])
        return rest[start...].firstIndex { Self.rank(members[$0]) != rank } ?? rest.endIndex
    }

    private func standing(_ index: Int, _ look: (Int) -> UpstreamHealth.Look) -> Breaker.Standing {
        let standing = look(index).standing
        if standing == .halfOpen, refused.contains(index) { return .open(until: .uptimeNanoseconds(0)) }
        return standing
    }

    private func leastBad(_ look: (Int) -> UpstreamHealth.Look) -> Int? {
        // Of those that are equally bad the first in order.
        var best: (index: Int, end: NIODeadline)?
        for index in rest {
            var end = NIODeadline.uptimeNanoseconds(0)
            if case .open(let until) = look(index).standing { end = until }
            if best.map({ end < $0.end }) ?? true { best = (index, end) }
        }
        return best?.index
    }

    // MARK: Strategies

    private func pick(
        from group: ArraySlice<Int>, _ random: () -> Double, _ look: (Int) -> UpstreamHealth.Look
    ) -> Pick? {
        if strategy == .fallback || strategy == .race { return inOrder(group, look) }
        var available: [Int] = []
        var probe: Int?
        for index in group {
            switch standing(index, look) {
            case .closed: available.append(index)
            case .halfOpen:
                available.append(index)
                if probe == nil { probe = index }
            case .open: break
            }
        }
        guard !available.isEmpty else { return nil }
        if let index = sticky(available) { return named(index, "sticky", look) }
        switch strategy {
        case .roundRobin: return named(inTurn(available), "turn", look)
        case .random: return named(available[Self.place(random(), of: available.count)], "random", look)
        case .weighted: return named(byWeight(available, random()), "weighted", look)
        case .leastBusy: return named(leastBusy(available, random(), look), "least busy", look)
        case .fastest:
            // Its time of failing would keep it from being asked, and so from showing that it is well again.
            if let probe { return Pick(probe, "probe") }
            return named(fastest(available, random, look), "fastest", look)
        case .fallback, .race: return nil
        }
    }

    private func named(_ index: Int, _ reason: String, _ look: (Int) -> UpstreamHealth.Look) -> Pick {
        if look(index).standing == .halfOpen { return Pick(index, "probe") }
        return Pick(index, last == nil ? reason : "next")
    }

    private func inOrder(_ group: ArraySlice<Int>, _ look: (Int) -> UpstreamHealth.Look) -> Pick? {
        for index in group {
            switch standing(index, look) {
            case .closed: return Pick(index, last == nil && index == rest.first ? "first" : "next")
            case .halfOpen: return Pick(index, "probe")
            case .open: break
            }
        }
        return nil
    }

    private func sticky(_ available: [Int]) -> Int? {
        var best: (index: Int, pull: Double)?
        for index in available {
            guard let pull = members[index].pull else { return nil }
            if best.map({ pull > $0.pull }) ?? true { best = (index, pull) }
        }
        return best?.index
    }

    /// The one whose turn it is; after it, those that follow it.
    private func inTurn(_ available: [Int]) -> Int {
        if let last, Self.rank(members[last]) == Self.rank(members[available[0]]) {
            return available.first { $0 > last } ?? available[0]
        }
        return available[Int(turn % UInt(available.count))]
    }

    private func byWeight(_ available: [Int], _ random: Double) -> Int {
        let total = available.reduce(0) { $0 + members[$1].weight }
        guard total > 0 else { return available[0] }
        var left = min(max(random, 0), 1) * total
        for index in available where members[index].weight > 0 {
            left -= members[index].weight
            if left < 0 { return index }
        }
        // Only rounding leads here.
        return available.last { members[$0].weight > 0 } ?? available[0]
    }

    private func leastBusy(_ available: [Int], _ random: Double, _ look: (Int) -> UpstreamHealth.Look) -> Int {
        var least = Int.max
        var tied: [Int] = []
        for index in available {
            let count = look(index).inFlight
            if count < least { (least, tied) = (count, []) }
            if count == least { tied.append(index) }
        }
        return tied[Self.place(random, of: tied.count)]
    }

    /// The better of two that chance names: what is best by itself would be asked by everybody at once.
    private func fastest(_ available: [Int], _ random: () -> Double, _ look: (Int) -> UpstreamHealth.Look) -> Int {
        guard available.count > 1 else { return available[0] }
        let one = Self.place(random(), of: available.count)
        let other = (one + 1 + Self.place(random(), of: available.count - 1)) % available.count
        let (a, b) = (available[one], available[other])
        return Self.cost(look(b)) < Self.cost(look(a)) ? b : a
    }

    /// What has not been measured is tried, by one call at first.
    private static func cost(_ look: UpstreamHealth.Look) -> Double {
        guard let first = look.first else { return look.inFlight == 0 ? 0 : .greatestFiniteMagnitude }
        return first * (Double(look.inFlight) + 1)
    }

    private static func place(_ random: Double, of count: Int) -> Int {
        min(Int(min(max(random, 0), 1) * Double(count)), count - 1)
    }
}
