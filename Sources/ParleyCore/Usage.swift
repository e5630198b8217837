// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// Tokens used by one answer, by class; a class that nobody reported is nil, never zero.
///
/// `input` contains `cacheRead` and `cacheWrite`, and `output` contains `reasoning`, as in OpenAI's counting.
public struct Usage: Sendable, Equatable {
    // Half the room of optional numbers: every open stream holds some of these. The least number stands for none.
    @usableFromInline var inputCount = Int.min
    @usableFromInline var cacheReadCount = Int.min
    @usableFromInline var cacheWriteCount = Int.min
    @usableFromInline var cacheWriteHourCount = Int.min
    @usableFromInline var inputAudioCount = Int.min
    @usableFromInline var outputCount = Int.min
    @usableFromInline var reasoningCount = Int.min
    @usableFromInline var outputAudioCount = Int.min
    @usableFromInline var acceptedPredictionCount = Int.min
    @usableFromInline var rejectedPredictionCount = Int.min
    @usableFromInline var statedTotalCount = Int.min

    /// Prompt tokens, cached ones included.
    @inlinable public var input: Int? {
        get { Self.value(inputCount) }
        set { inputCount = newValue ?? .min }
    }

    /// Prompt tokens that came from a cache.
    @inlinable public var cacheRead: Int? {
        get { Self.value(cacheReadCount) }
        set { cacheReadCount = newValue ?? .min }
    }

    /// Prompt tokens that were written to a cache.
    @inlinable public var cacheWrite: Int? {
        get { Self.value(cacheWriteCount) }
        set { cacheWriteCount = newValue ?? .min }
    }

    /// The part of `cacheWrite` that is kept for an hour, where the upstream tells it apart.
    @inlinable public var cacheWriteHour: Int? {
        get { Self.value(cacheWriteHourCount) }
        set { cacheWriteHourCount = newValue ?? .min }
    }

    /// Prompt tokens of audio.
    @inlinable public var inputAudio: Int? {
        get { Self.value(inputAudioCount) }
        set { inputAudioCount = newValue ?? .min }
    }

    /// Completion tokens, reasoning included.
    @inlinable public var output: Int? {
        get { Self.value(outputCount) }
        set { outputCount = newValue ?? .min }
    }

    /// Completion tokens spent on reasoning.
    @inlinable public var reasoning: Int? {
        get { Self.value(reasoningCount) }
        set { reasoningCount = newValue ?? .min }
    }

    /// Completion tokens of audio.
    @inlinable public var outputAudio: Int? {
        get { Self.value(outputAudioCount) }
        set { outputAudioCount = newValue ?? .min }
    }

    /// Tokens of a prediction that were used.
    @inlinable public var acceptedPrediction: Int? {
        get { Self.value(acceptedPredictionCount) }
        set { acceptedPredictionCount = newValue ?? .min }
    }

    /// Tokens of a prediction that were not used.
    @inlinable public var rejectedPrediction: Int? {
        get { Self.value(rejectedPredictionCount) }
        set { rejectedPredictionCount = newValue ?? .min }
    }

    /// The total, where the upstream says one that is not the sum of input and output.
    @inlinable public var statedTotal: Int? {
        get { Self.value(statedTotalCount) }
        set { statedTotalCount = newValue ?? .min }
    }

    /// True when the numbers are an estimate of ours.
    public var estimated = false

    /// Nothing reported yet.
    public init(input: Int? = nil, output: Int? = nil) {
        self.input = input
        self.output = output
    }

    @inlinable static func value(_ count: Int) -> Int? { count == .min ? nil : count }

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
