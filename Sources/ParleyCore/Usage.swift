// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// Tokens used by one answer, by class; a class that nobody reported is nil, never zero.
///
/// `input` contains `cacheRead` and `cacheWrite`, and `output` contains `reasoning`, as in OpenAI's counting.
public struct Usage: Sendable, Equatable {
    /// Prompt tokens, cached ones included.
    public var input: Int?
    /// Prompt tokens that came from a cache.
    public var cacheRead: Int?
    /// Prompt tokens that were written to a cache.
    public var cacheWrite: Int?
    /// The part of `cacheWrite` that is kept for an hour, where the upstream tells it apart.
    public var cacheWriteHour: Int?
    /// Prompt tokens of audio.
    public var inputAudio: Int?
    /// Completion tokens, reasoning included.
    public var output: Int?
    /// Completion tokens spent on reasoning.
    public var reasoning: Int?
    /// Completion tokens of audio.
    public var outputAudio: Int?
    /// Tokens of a prediction that were used.
    public var acceptedPrediction: Int?
    /// Tokens of a prediction that were not used.
    public var rejectedPrediction: Int?
    /// The total, where the upstream says one that is not the sum of input and output.
    public var statedTotal: Int?
    /// True when the numbers are an estimate of ours.
    public var estimated = false

    /// Nothing reported yet.
    public init(input: Int? = nil, output: Int? = nil) {
        self.input = input
        self.output = output
    }

    /// True when no class was reported.
    public var isEmpty: Bool { self == Usage() }

    /// The total: input and output.
    public var total: Int { (input ?? 0).clampedSum(output ?? 0) }

    /// Takes the larger number of each class: vendors repeat usage cumulatively, so a sum would count it many times.
    public mutating func merge(_ other: Usage) {
        func larger(_ a: Int?, _ b: Int?) -> Int? {
            guard let a else { return b }
            return max(a, b ?? a)
        }
        input = larger(input, other.input)
        cacheRead = larger(cacheRead, other.cacheRead)
        cacheWrite = larger(cacheWrite, other.cacheWrite)
        cacheWriteHour = larger(cacheWriteHour, other.cacheWriteHour)
        inputAudio = larger(inputAudio, other.inputAudio)
        output = larger(output, other.output)
        reasoning = larger(reasoning, other.reasoning)
        outputAudio = larger(outputAudio, other.outputAudio)
        acceptedPrediction = larger(acceptedPrediction, other.acceptedPrediction)
        rejectedPrediction = larger(rejectedPrediction, other.rejectedPrediction)
        statedTotal = larger(statedTotal, other.statedTotal)
        estimated = estimated || other.estimated
    }

    /// Adds the numbers of each class: for answers of several calls, where ``merge(_:)`` is for reports of one.
    public mutating func add(_ other: Usage) {
        func sum(_ a: Int?, _ b: Int?) -> Int? {
            guard let a else { return b }
            return a.clampedSum(b ?? 0)
        }
        if statedTotal != nil || other.statedTotal != nil {
            statedTotal = (statedTotal ?? total).clampedSum(other.statedTotal ?? other.total)
        }
        input = sum(input, other.input)
        cacheRead = sum(cacheRead, other.cacheRead)
        cacheWrite = sum(cacheWrite, other.cacheWrite)
        cacheWriteHour = sum(cacheWriteHour, other.cacheWriteHour)
        inputAudio = sum(inputAudio, other.inputAudio)
        output = sum(output, other.output)
        reasoning = sum(reasoning, other.reasoning)
        outputAudio = sum(outputAudio, other.outputAudio)
        acceptedPrediction = sum(acceptedPrediction, other.acceptedPrediction)
        rejectedPrediction = sum(rejectedPrediction, other.rejectedPrediction)
        estimated = estimated || other.estimated
    }
}

extension Int {
    /// The sum, or the largest integer where it does not fit: numbers from a wire must not trap.
    public func clampedSum(_ other: Int) -> Int {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? (other > 0 ? .max : .min) : sum
    }
}

/// Why an answer ended, in OpenAI's words.
public enum FinishReason: String, Sendable, Equatable {
    case stop
    case length
    case toolCalls = "tool_calls"
    case contentFilter = "content_filter"
    /// The deprecated single function call.
    case functionCall = "function_call"
}
