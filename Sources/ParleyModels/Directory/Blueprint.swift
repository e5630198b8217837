// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

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

        /// An entry.
        public init(
            _ name: String, _ body: Body, overrides: [FieldOverride] = [],
            timeouts: TimeoutOverrides = TimeoutOverrides(), system: String? = nil
        ) {
            self.system = system
            self.name = name
            self.body = body
            self.overrides = overrides
            self.timeouts = timeouts
        }
    }

    /// What answers. Names of other models may hold a `*` where the entry's own name has one, and mean what it matched.
    public enum Body: Sendable, Equatable {
        /// Another model.
        case alias(String)
        /// A choice among models.
        case route(Route)
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

    /// A blueprint.
    public init(_ entries: [Entry] = [], retry: RetryPolicy = .standard, breaker: BreakerSettings = .standard) {
        self.entries = entries
        self.retry = retry
        self.breaker = breaker
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
        case .unavailable: []
        }
    }
}
