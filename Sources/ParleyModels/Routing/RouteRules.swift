// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import Synchronization

/// A second attempt at another member, after a delay.
public struct HedgeSettings: Sendable, Equatable {
    /// How long the first attempt is waited for.
    public var after: TimeAmount
    /// The largest share of calls that is doubled, 0 to 1.
    public var budget: Double

    /// Settings; what is not given is 2 s and one call of twenty.
    public init(after: TimeAmount = .seconds(2), budget: Double = 0.05) {
        self.after = after
        self.budget = budget
    }
}

/// What keeps the calls of a route at the member that served them before.
public enum AffinityKind: String, Sendable, Equatable {
    case conversation, user, key, none
}

/// How a route treats its calls, beside choosing among its members.
public struct RouteRules: Sendable {
    /// How it chooses.
    public var strategy: RouteStrategy
    /// The retries at each upstream; the route itself waits no longer than they may.
    public var retry = RetryPolicy.standard
    /// When an upstream is left alone.
    public var breaker = BreakerSettings.standard
    /// A second attempt; nil for none.
    public var hedge: HedgeSettings?
    /// What keeps calls at one member.
    public var affinity = AffinityKind.none
    /// The model that is asked when the context window was too small.
    public var onContextExceeded: (any Model)?
    /// The model that is asked when a content filter refused.
    public var onContentFilter: (any Model)?
    /// Whether a stream that broke off is continued by another member.
    public var resumes = false
    /// Whether this is a part of a route that has others to ask, so that waiting is not for this one.
    public var yields = false

    /// The rules of a route that only chooses.
    public init(_ strategy: RouteStrategy) {
        self.strategy = strategy
    }
}

/// One model of a route.
public final class RouteMember: Sendable {
    /// What answers.
    public let model: any Model
    /// Members of a lower number come first.
    public let priority: Int
    /// Its share under `weighted`.
    public let weight: Double
    /// The upstreams below it.
    public let healths: [UpstreamHealth]
    /// What the only upstream below speaks; nil where that is not known.
    public let dialect: (@Sendable (Call) -> DialectID?)?

    /// A member.
    public init(
        _ model: any Model, priority: Int = 0, weight: Double = 1, healths: [UpstreamHealth] = [],
        dialect: (@Sendable (Call) -> DialectID?)? = nil
    ) {
        self.dialect = dialect
        self.model = model
        self.priority = priority
        self.weight = weight
        self.healths = healths
    }

    /// How it is doing: a member that is made of several upstreams may be asked while one of them may, is as quick as the
    /// one that was asked last, and as busy as all of them.
    func look(at now: NIODeadline, stream: Bool) -> UpstreamHealth.Look {
        guard let first = healths.first else { return UpstreamHealth.Look() }
        var whole = first.look(at: now, stream: stream)
        guard healths.count > 1 else { return whole }
        var asked = first.asked
        for health in healths.dropFirst() {
            let look = health.look(at: now, stream: stream)
            whole.standing = Self.better(whole.standing, look.standing)
            whole.inFlight = whole.inFlight.clampedSum(look.inFlight)
            if health.asked > asked { (asked, whole.first) = (health.asked, look.first ?? whole.first) }
        }
        // A route of its own chooses whom to probe.
        if whole.standing == .halfOpen { whole.standing = .closed }
        return whole
    }

    /// Makes a call the probe of the only upstream below.
    func takeProbe(at now: NIODeadline, _ settings: BreakerSettings) -> Bool {
        healths.count == 1 ? healths[0].takeProbe(at: now, settings) : true
    }

    /// Whether an upstream below is `origin`, or one of that provider.
    func isOf(_ origin: String) -> Bool {
        healths.contains { $0.name == origin || $0.name.hasPrefix(origin + "/") }
    }

    private static func better(_ a: Breaker.Standing, _ b: Breaker.Standing) -> Breaker.Standing {
        switch (a, b) {
        case (.closed, _), (_, .closed): .closed
        case (.halfOpen, _), (_, .halfOpen): .halfOpen
        case (.open(let one), .open(let other)): .open(until: min(one, other))
        }
    }
}

/// What a route remembers from call to call. A route that is put together anew, as a wildcard's is for each name, goes on
/// with the same.
public final class RouteState: Sendable {
    private let turns = Atomic<UInt>(0)
    private let hedges = Mutex(HedgeBudget())

    /// At the first turn.
    public init() {}

    /// How many turns were taken before this one.
    public func takeTurn() -> UInt { turns.wrappingAdd(1, ordering: .relaxed).oldValue }

    /// Counts a call, of which a share may be doubled.
    func earnHedge(_ share: Double) { hedges.withLock { $0.earn(share) } }

    /// Whether a call may be doubled now.
    func takeHedge() -> Bool { hedges.withLock { $0.take() } }

    /// Gives back what was taken for a call that was not doubled after all.
    func returnHedge() { hedges.withLock { $0.earn(1) } }
}

/// How many calls may be doubled: each call earns its share of one, and what is saved up is little.
public struct HedgeBudget: Sendable, Equatable {
    /// The most that is saved up.
    public static let capacity = 10.0
    private var saved = 0.0
    private var isFresh = true

    /// Nothing saved.
    public init() {}

    /// A call came. The first one is enough for a second attempt, where there may be any.
    public mutating func earn(_ share: Double) {
        guard share > 0 else { return }
        saved = min(saved + (isFresh ? 1 : min(share, 1)), Self.capacity)
        isFresh = false
    }

    /// Takes what a second attempt costs, where it is there.
    public mutating func take() -> Bool {
        // Twenty times a twentieth is a bit less than one.
        guard saved >= 1 - 1e-9 else { return false }
        saved = max(saved - 1, 0)
        return true
    }
}
