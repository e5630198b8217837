// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore

/// What a model that reasons was told: its strategy, what it shows, and what it may use.
public struct ReasonRules: Sendable, Equatable {
    /// How it thinks.
    public enum Strategy: String, Sendable, CaseIterable {
        /// Step by step until the model says it has the answer.
        case steps
        /// Draft, critique, rewrite.
        case reflect
        /// Several samples, the commonest answer.
        case vote
        /// Several samples, the one a judge picks.
        case bestOf = "best-of"
        /// Several drafts, one answer made of them.
        case panel
        /// The question read twice.
        case reread
        /// A plan, its execution, a check.
        case plan
    }

    /// How thinking is shown to the client.
    public enum Show: String, Sendable {
        /// As reasoning, while it happens.
        case reasoning
        /// In the content, as Markdown.
        case markdown
        /// In the content, folded.
        case details
    }

    /// What an answer that is not streamed looks like.
    public enum Whole: String, Sendable {
        /// An answer of the client's dialect.
        case chat
        /// One JSON object that lists the steps.
        case stepsJSON = "steps-json"
    }

    /// What one call may use in all; nil is unbounded.
    public struct Caps: Sendable, Equatable {
        /// Inner calls, the final answer included.
        public var calls: Int? = 64
        /// Tokens at which thinking ends.
        public var tokens: Int? = 100_000
        /// US dollars at which thinking ends, where prices are known.
        public var usd: Double? = 1
        /// The time that thinking may take.
        public var time: TimeAmount? = .minutes(5)

        /// The defaults.
        public init() {}
    }

    /// How it thinks.
    public var strategy: Strategy
    /// How thinking is shown.
    public var show = Show.reasoning
    /// What an answer that is not streamed looks like.
    public var whole = Whole.chat
    /// Whether the client is told what is going on.
    public var status = true
    /// The most steps.
    public var maxSteps = 25
    /// The most tokens of one step, a plan, a critique or a verdict.
    public var stepTokens = 1000
    /// The most tokens of a draft or the final answer, where the client sets no bound.
    public var finalTokens = 2000
    /// Tries of one step, and of the final answer behind steps.
    public var attempts = 3
    /// The wait between two tries.
    public var wait: TimeAmount = .seconds(1)
    /// The temperature of inner calls; nil: the client's for drafts, the model's own for the rest.
    public var temperature: Double?
    /// The number of samples.
    public var samples = 5
    /// The prompt of a step; nil: ours.
    public var stepPrompt: String?
    /// The prompt of the final answer; nil: ours.
    public var finalPrompt: String?
    /// What one call may use in all.
    public var caps = Caps()

    /// The defaults of a strategy: steps are cool, everything else has the temperature the model or the client likes.
    public init(_ strategy: Strategy) {
        self.strategy = strategy
        temperature = strategy == .steps ? 0.2 : nil
    }
}

/// A strategy and a model as one name, e.g. `panel:smart`.
public struct StrategyName: Sendable, Equatable {
    /// How it is thought.
    public var strategy: ReasonRules.Strategy
    /// The name of the model that is asked.
    public var model: String

    /// Reads a name; nil where it does not begin with a strategy and a colon.
    public init?(_ name: String) {
        // Asked of every request's model, and hardly any has a colon: a look at the bytes in one piece is quick.
        let hasColon = name.utf8.withContiguousStorageIfAvailable { $0.contains(UInt8(ascii: ":")) }
        guard hasColon ?? true, let colon = name.utf8.firstIndex(of: UInt8(ascii: ":")),
            let strategy = ReasonRules.Strategy(rawValue: String(name[..<colon]))
        else { return nil }
        let model = name[name.utf8.index(after: colon)...]
        guard !model.isEmpty else { return nil }
        self.strategy = strategy
        self.model = String(model)
    }
}

/// What an inner call cost in US dollars, by the upstream (`provider/model`) and what it used; nil where no price is
/// known.
public typealias InnerCost = @Sendable (_ upstream: String, _ usage: Usage) -> Double?
