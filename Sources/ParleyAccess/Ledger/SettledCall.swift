// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore

/// A call that is over: what the way of the request knows, with the trace of what happened. Its record is made of both.
public struct SettledCall: Sendable {
    /// What is known without a look at the trace; attempts and costs are filled in from it.
    public var record: CallRecord
    /// When the request came, on the clock of the trace.
    public var arrived: NIODeadline
    /// What happened.
    public var trace: CallTrace
    /// The prices of the configuration that the call ran with.
    public var prices: PriceBook
    /// Bytes of the request's body, for an estimate of its tokens.
    public var requestBytes = 0
    /// How many pieces of an answer went to the client, for an estimate of its tokens.
    public var pieces = 0
    /// Whether the answer's proper end was seen.
    public var isComplete = true

    /// A call that is over.
    public init(_ record: CallRecord, arrived: NIODeadline, trace: CallTrace, prices: PriceBook) {
        self.record = record
        self.arrived = arrived
        self.trace = trace
        self.prices = prices
    }

    /// The whole record.
    public func makeRecord() -> CallRecord {
        let contents = trace.contents
        var record = record
        record.upstream = contents.upstream
        record.degraded = contents.degraded
        record.dropped = contents.dropped
        record.innerCalls = contents.innerCalls.map { Self.inner($0, arrived, prices, depth: 0) }
        // What was counted was not read by a model.
        if record.operation == "count_tokens" { record.usage = Usage() }
        if let answering = contents.answering {
            estimate(&record.usage, for: contents.attempts[answering].upstream)
        }
        record.attempts = Self.attempts(contents, record.usage, arrived, prices)
        if record.usage.isEmpty, contents.answering == nil {
            for inner in record.innerCalls { record.usage.add(inner.usage) }
        }
        record.cost = Self.cost(record.attempts, record.innerCalls)
        return record
    }

    /// Fills in what an upstream could not say any more because its answer broke off.
    private func estimate(_ usage: inout Usage, for upstream: String) {
        guard !isComplete, record.outcome != "ok", record.operation == "chat" else { return }
        if usage.input == nil {
            // About four bytes of a request are a token; what is longer than the model reads is an image or a file.
            let most = prices.facts(of: upstream).contextLength ?? .max
            usage.input = min(requestBytes / 4, most)
        }
        usage.output = max(usage.output ?? 0, pieces)
        usage.estimated = true
    }

    // MARK: Attempts

    private static func attempts(
        _ contents: CallTrace.Contents, _ usage: Usage, _ arrived: NIODeadline, _ prices: PriceBook
    ) -> [AttemptRecord] {
        let answering = contents.answering
        return contents.attempts.indices.map { index in
            let attempt = contents.attempts[index]
            var record = AttemptRecord(upstream: attempt.upstream)
            record.began = arrived.microseconds(to: attempt.began)
            record.elapsed = attempt.elapsed.map { $0.nanoseconds / 1000 }
            record.failure = attempt.failure?.rawValue
            if let decision = decision(for: index, in: contents) {
                record.why = decision.reason
                record.route = decision.route
            } else if contents.attempts[..<index].last?.upstream == attempt.upstream {
                record.why = "retry"
            }
            if index == answering {
                record.usage = usage
            } else if let answering, attempt.failure == .cancelled {
                record.usage = lost(attempt, to: contents.attempts[answering], usage)
            }
            record.cost = prices.cost(of: record.usage, at: attempt.upstream)
            return record
        }
    }

    /// What a leg used that lost: it read what the winner read, and wrote what was seen of it.
    private static func lost(_ leg: CallTrace.Attempt, to winner: CallTrace.Attempt, _ usage: Usage) -> Usage {
        var lost = leg.usage
        if lost.input == nil { lost.input = usage.input }
        guard lost.input != nil else { return Usage() }
        if lost.output == nil { lost.output = 0 }
        lost.estimated = true
        return lost
    }

    /// The decision that led to an attempt: the last before it that names its upstream, or else the last that came since
    /// the attempt before.
    private static func decision(for index: Int, in contents: CallTrace.Contents) -> CallTrace.Decision? {
        guard !contents.decisions.isEmpty else { return nil }
        let attempt = contents.attempts[index]
        let earlier = contents.decisions.last { $0.time <= attempt.began && $0.member == attempt.upstream }
        let isRepeated = contents.attempts[..<index].contains { other in
            earlier.map { other.upstream == attempt.upstream && other.began >= $0.time } ?? false
        }
        if let earlier, !isRepeated { return earlier }
        let since = index > 0 ? contents.attempts[index - 1].began : NIODeadline.uptimeNanoseconds(0)
        return contents.decisions.last { $0.time <= attempt.began && $0.time >= since && earlier == nil }
    }

    // MARK: Inner calls

    private static let deepest = 16

    private static func inner(
        _ call: CallTrace.InnerCall, _ arrived: NIODeadline, _ prices: PriceBook, depth: Int
    ) -> InnerCallRecord {
        var record = InnerCallRecord(purpose: call.purpose, model: call.model)
        record.began = arrived.microseconds(to: call.began)
        record.elapsed = call.elapsed.map { $0.nanoseconds / 1000 }
        record.failure = call.failure?.rawValue
        record.usage = call.usage
        let contents = call.trace.contents
        record.attempts = attempts(contents, call.usage, arrived, prices)
        if depth < deepest {
            record.innerCalls = contents.innerCalls.map { inner($0, arrived, prices, depth: depth + 1) }
        }
        record.cost = cost(record.attempts, record.innerCalls)
        return record
    }

    private static func cost(_ attempts: [AttemptRecord], _ inner: [InnerCallRecord]) -> Int? {
        let known = attempts.compactMap(\.cost) + inner.compactMap(\.cost)
        return known.isEmpty ? nil : known.reduce(0) { $0.clampedSum($1) }
    }
}
