// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore

/// What one model costs: whole picodollars per token, so that no sum ever drifts. A millionth of a dollar per million
/// tokens is one picodollar per token.
public struct Price: Sendable, Equatable {
    /// A prompt token.
    public var input: Int
    /// A completion token.
    public var output: Int
    /// A prompt token from a cache; nil: as `input`.
    public var cacheRead: Int?
    /// A prompt token written to a cache; nil: as `input`.
    public var cacheWrite: Int?
    /// A prompt token written to a cache that keeps it for an hour; nil: as `cacheWrite`.
    public var cacheWriteHour: Int?
    /// A prompt token of audio; nil: as `input`.
    public var inputAudio: Int?
    /// A completion token of audio; nil: as `output`.
    public var outputAudio: Int?
    /// A completion token of reasoning; nil: as `output`.
    public var reasoning: Int?
    /// A prompt token of a prompt over 200,000 tokens; nil: as `input`.
    public var inputAbove200K: Int?
    /// A completion token behind a prompt over 200,000 tokens; nil: as `output`.
    public var outputAbove200K: Int?

    /// A price with the same for every class.
    public init(input: Int, output: Int) {
        self.input = input
        self.output = output
    }

    /// A price in US dollars per million tokens as a configuration says it; nil where it is none.
    public static func picodollars(_ dollarsPerMillion: Double) -> Int? {
        guard dollarsPerMillion >= 0 else { return nil }
        return Int(exactly: (dollarsPerMillion * 1e6).rounded())
    }

    /// What the tokens cost, in nanodollars, rounded once; nil where no tokens were reported.
    ///
    /// Classes that are part of another one are taken out of it first, so that no token is paid twice; numbers that
    /// contradict each other never make a class negative.
    public func cost(of usage: Usage) -> Int? {
        guard usage.input != nil || usage.output != nil else { return nil }
        let read = max(0, usage.cacheRead ?? 0)
        let written = max(0, usage.cacheWrite ?? 0)
        let hour = min(max(0, usage.cacheWriteHour ?? 0), written)
        let heard = max(0, usage.inputAudio ?? 0)
        let isLong = (usage.input ?? 0) > 200_000
        var sum = Sum()
        let special = read.clampedSum(written).clampedSum(heard)
        sum.add((usage.input ?? 0).without(special), at: isLong ? inputAbove200K ?? input : input)
        sum.add(read, at: cacheRead ?? input)
        sum.add(written - hour, at: cacheWrite ?? input)
        sum.add(hour, at: cacheWriteHour ?? cacheWrite ?? input)
        sum.add(heard, at: inputAudio ?? input)
        let spoken = max(0, usage.outputAudio ?? 0)
        let thought = reasoning == nil ? 0 : max(0, usage.reasoning ?? 0)
        let rest = (usage.output ?? 0).without(spoken.clampedSum(thought))
        sum.add(rest, at: isLong ? outputAbove200K ?? output : output)
        sum.add(spoken, at: outputAudio ?? output)
        sum.add(thought, at: reasoning ?? output)
        return sum.nanodollars
    }

    /// Picodollars that are added up; the largest number where they do not fit.
    private struct Sum {
        private var picodollars = 0

        mutating func add(_ tokens: Int, at price: Int) {
            let (product, overflow) = tokens.multipliedReportingOverflow(by: price)
            picodollars = picodollars.clampedSum(overflow ? .max : product)
        }

        var nanodollars: Int { picodollars / 1000 + (picodollars % 1000 >= 500 ? 1 : 0) }
    }
}

extension Int {
    /// What is left of a number of tokens without a part of them, never less than nothing.
    fileprivate func without(_ part: Int) -> Int { part >= self ? 0 : self - part }
}

/// What is known about a model at a provider, beside its name.
public struct ModelFacts: Sendable, Equatable {
    /// What it costs; nil where nobody knows, which is not the same as nothing.
    public var price: Price?
    /// How many tokens a prompt and its answer may have together.
    public var contextLength: Int?
    /// How many tokens an answer may have.
    public var maxOutput: Int?

    /// Nothing known.
    public init(price: Price? = nil, contextLength: Int? = nil, maxOutput: Int? = nil) {
        self.price = price
        self.contextLength = contextLength
        self.maxOutput = maxOutput
    }
}
