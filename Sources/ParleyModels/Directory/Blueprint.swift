// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore

/// The configured models as plain descriptions, in file order.
public struct Blueprint: Sendable, Equatable {
    /// A name and what answers under it.
    public struct Entry: Sendable, Equatable {
        /// The name; may hold one `*`.
        public var name: String
        /// What answers.
        public var body: Body
        /// Request fields it sets, weakest first.
        public var overrides: [FieldOverride]
        /// Time limits it sets.
        public var timeouts: TimeoutOverrides
        /// A system message it puts before the client's own; nil for none.
        public var system: String?
        /// How long its answers may be reused; zero: not at all; nil: as the blueprint says.
        public var cacheTTL: TimeAmount?

        /// An entry.
        public init(
            _ name: String, _ body: Body, overrides: [FieldOverride] = [],
            timeouts: TimeoutOverrides = TimeoutOverrides(), system: String? = nil, cacheTTL: TimeAmount? = nil
        ) {
            self.system = system
            self.name = name
            self.body = body
            self.overrides = overrides
            self.timeouts = timeouts
            self.cacheTTL = cacheTTL
        }
    }

    /// What answers. Names of other models may hold a `*` where the entry's own name has one, and mean what it matched.
    public enum Body: Sendable, Equatable {
        /// Another model.
        case alias(String)
        /// A choice among models.
        case route(Route)
        /// Thinking by asking others.
        case reason(Chain)
        /// Nothing: every call gets this error.
        case unavailable(ParleyError)
    }

    /// A choice among models.
    public struct Route: Sendable, Equatable {
        /// How it chooses.
        public var strategy: RouteStrategy
        /// The models, in file order.
        public var members: [Member]
        /// The retries at each upstream below; nil leaves it to the model above, and at last to the blueprint.
        public var retry: RetryPolicy?
        /// When an upstream below is left alone; nil leaves it to the model above, and at last to the blueprint.
        public var breaker: BreakerSettings?
        /// A second attempt after a delay; nil for none.
        public var hedge: HedgeSettings?
        /// What keeps calls at one member.
        public var affinity = AffinityKind.none
        /// The model that is asked when the context window was too small.
        public var onContextExceeded: String?
        /// The model that is asked when a content filter refused.
        public var onContentFilter: String?
        /// Whether a stream that broke off is continued by another member.
        public var resumes = false

        /// A route.
        public init(_ strategy: RouteStrategy, of members: [Member], retry: RetryPolicy? = nil) {
            self.strategy = strategy
            self.members = members
            self.retry = retry
        }

        /// The members by priority, file order among equals.
        var ordered: [Member] {
            members.enumerated().sorted { ($0.element.priority, $0.offset) < ($1.element.priority, $1.offset) }
                .map(\.element)
        }
    }

    /// A model that thinks by asking others.
    public struct Chain: Sendable, Equatable {
        /// How it thinks.
        public var rules: ReasonRules
        /// The models it asks.
        public var with: [String]
        /// The model that judges; nil: the first of `with`.
        public var judge: String?

        /// A chain.
        public init(_ rules: ReasonRules, with: [String], judge: String? = nil) {
            self.rules = rules
            self.with = with
            self.judge = judge
        }
    }

    /// One model of a route.
    public struct Member: Sendable, Equatable {
        /// The model's name.
        public var model: String
        /// Members of a lower number come first.
        public var priority: Int
        /// Its share where the route chooses by weight.
        public var weight: Double

        /// A member.
        public init(_ model: String, priority: Int = 0, weight: Double = 1) {
            self.model = model
            self.priority = priority
            self.weight = weight
        }
    }

    /// The entries in file order; of two with one name the first counts.
    public var entries: [Entry]
    /// The retries at each upstream where no model says otherwise.
    public var retry: RetryPolicy
    /// When an upstream is left alone where no route says otherwise.
    public var breaker: BreakerSettings

    /// How long the answers of a model may be reused that is asked by a client and does not say itself; zero: not at all.
    public var cacheTTL: TimeAmount

    /// A blueprint.
    public init(
        _ entries: [Entry] = [], retry: RetryPolicy = .standard, breaker: BreakerSettings = .standard,
        cacheTTL: TimeAmount = .zero
    ) {
        self.entries = entries
        self.retry = retry
        self.breaker = breaker
        self.cacheTTL = cacheTTL
    }

    /// Something that keeps an entry from answering.
    public struct Problem: Sendable, Hashable {
        /// The entry's name.
        public var model: String
        /// The name in it that is at fault; nil where it is the entry itself.
        public var reference: String?
        /// One or two sentences.
        public var message: String
    }
}

extension Blueprint.Body {
    /// The names of other models in it.
    var references: [String] {
        switch self {
        case .alias(let target): [target]
        case .route(let route):
            route.members.map(\.model) + [route.onContextExceeded, route.onContentFilter].compactMap(\.self)
        case .reason(let chain): chain.with + [chain.judge].compactMap { $0 }
        case .unavailable: []
        }
    }
}
