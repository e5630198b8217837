// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// One entry of `models`: a name and what answers under it.
public struct ModelSettings: Sendable, Equatable {
    /// What answers.
    public enum Body: Sendable, Equatable {
        /// Another name; `*` in it stands for what the entry's own `*` matched.
        case alias(String)
        /// A choice among models.
        case route(RouteSettings)
        /// A reasoning chain.
        case reason(ReasonSettings)
    }

    /// The name clients use; may hold one `*`.
    public var name: String
    /// Where the entry stands in the file.
    public var position: SourcePosition
    /// What answers.
    public var body: Body

    /// A model.
    public init(name: String, position: SourcePosition, body: Body) {
        self.name = name
        self.position = position
        self.body = body
    }
}

/// A model that chooses among others.
public struct RouteSettings: Sendable, Equatable {
    /// How it chooses.
    public enum Strategy: String, Sendable, Equatable, CaseIterable {
        /// In order, the next one when one fails.
        case fallback
        /// Each in turn.
        case roundRobin = "round-robin"
        /// Any, evenly.
        case random
        /// Any, by weight.
        case weighted
        /// The one with the fewest calls running.
        case leastBusy = "least-busy"
        /// The one whose first token came soonest lately.
        case fastest
        /// All at once; the first meaningful event wins.
        case race
    }

    /// One model to choose from.
    public struct Member: Sendable, Equatable {
        /// The model's name.
        public var model: String
        /// Its share under `weighted`.
        public var weight = 1.0
        /// Members of a lower number come first; file order among equals.
        public var priority = 0
        /// Where the member stands in the file.
        public var position: SourcePosition

        /// A member with the default weight and priority.
        public init(model: String, position: SourcePosition) {
            self.model = model
            self.position = position
        }
    }

    /// A second attempt after a delay.
    public struct Hedge: Sendable, Equatable {
        /// How long the first attempt is waited for.
        public var after: Duration = .seconds(2)
        /// The largest share of calls that may be doubled, 0 to 1.
        public var budget = 0.05

        /// The defaults.
        public init() {}
    }

    /// What keeps calls at the member that served them before.
    public enum Affinity: String, Sendable, Equatable, CaseIterable {
        /// The conversation.
        case conversation
        /// The request's user field.
        case user
        /// The key.
        case key
        /// Nothing.
        case none
    }

    /// How it chooses.
    public var strategy: Strategy
    /// The members as the file orders them; at least one. ``ordered`` has them by priority.
    public var of: [Member]
    /// Retries that differ from the defaults.
    public var retry = RetryOverrides()
    /// Deadlines that differ from the defaults.
    public var timeout = TimeoutOverrides()
    /// Breaker settings that differ from the defaults.
    public var breaker = BreakerOverrides()
    /// The second attempt; nil: none.
    public var hedge: Hedge?
    /// What keeps calls at one member.
    public var affinity = Affinity.none
    /// The model asked when the context window was too small; nil: none.
    public var onContextExceeded: String?
    /// The model asked when a content filter refused; nil: none.
    public var onContentFilter: String?
    /// Whether a cut answer is continued at another member.
    public var resume = false
    /// Request members sent unless the client says otherwise.
    public var params = SettingMap()
    /// A system message put before the client's own messages; nil: none.
    public var system: String?
    /// How long answers may be reused; nil: as `cache.ttl` says.
    public var cacheTTL: Duration?

    /// A route with defaults.
    public init(strategy: Strategy, of: [Member]) {
        self.strategy = strategy
        self.of = of
    }

    /// The members by priority, file order among equals.
    public var ordered: [Member] {
        of.enumerated().sorted { ($0.element.priority, $0.offset) < ($1.element.priority, $1.offset) }.map(\.element)
    }
}

/// A reasoning chain: a model that thinks by asking others.
public struct ReasonSettings: Sendable, Equatable {
    /// How it thinks.
    public enum Strategy: String, Sendable, Equatable, CaseIterable {
        /// Step by step until the model says it has the answer.
        case steps
        /// Draft, critique, rewrite.
        case reflect
        /// Several samples, the commonest answer.
        case vote
        /// Several samples, the best one.
        case bestOf = "best-of"
        /// Several models, one judge.
        case panel
        /// The question read twice.
        case reread
        /// A plan first, then its execution.
        case plan
    }

    /// How thinking is shown to the client.
    public enum Show: String, Sendable, Equatable, CaseIterable {
        /// As reasoning content.
        case reasoning
        /// In the content, as Markdown.
        case markdown
        /// In the content, folded.
        case details
    }

    /// What an answer that is not streamed looks like.
    public enum Whole: String, Sendable, Equatable, CaseIterable {
        /// A chat completion.
        case chat
        /// An object that lists the steps.
        case stepsJSON = "steps-json"
    }

    /// Token bounds of the inner calls.
    public struct Tokens: Sendable, Equatable {
        /// Of one step.
        public var step = 1000
        /// Of the final answer.
        public var final = 2000

        /// The defaults.
        public init() {}
    }

    /// What one call may use in all; nil members are unbounded.
    public struct Caps: Sendable, Equatable {
        /// Inner calls.
        public var calls: Int? = 64
        /// Tokens.
        public var tokens: Int? = 100_000
        /// US dollars.
        public var usd: Double? = 1
        /// Time.
        public var time: Duration? = .seconds(300)

        /// The defaults.
        public init() {}
    }

    /// How it thinks.
    public var strategy: Strategy
    /// The models it asks; at least one.
    public var with: [String]
    /// The model that judges; nil: the first of `with`.
    public var judge: String?
    /// How thinking is shown.
    public var show = Show.reasoning
    /// What an answer that is not streamed looks like.
    public var whole = Whole.chat
    /// Whether the client is told what is going on.
    public var status = true
    /// The most steps.
    public var maxSteps = 25
    /// Token bounds of the inner calls.
    public var tokens = Tokens()
    /// Tries of one step.
    public var attempts = 3
    /// The wait between two tries.
    public var wait: Duration = .seconds(1)
    /// The temperature of inner calls; nil: the model's own.
    public var temperature: Double? = 0.2
    /// The number of samples of `vote` and `best-of`.
    public var samples = 5
    /// The prompt of a step; nil: the built-in one.
    public var stepPrompt: String?
    /// The prompt of the final answer; nil: the built-in one.
    public var finalPrompt: String?
    /// What one call may use in all.
    public var caps = Caps()

    /// A chain with defaults.
    public init(strategy: Strategy, with: [String]) {
        self.strategy = strategy
        self.with = with
    }
}
