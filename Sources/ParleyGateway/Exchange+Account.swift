// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyAccess
import ParleyConfiguration
import ParleyCore
import ParleyDialects

/// The account of a call.
extension Exchange {
    /// What a call is for, as the ledger says it.
    enum Operation: String {
        case chat
        case countTokens = "count_tokens"
        case embed
        case pass
    }

    /// Takes note of what was seen of the answer.
    func observe(_ seen: Observation) {
        self.seen = seen
        record.finish = seen.finish
        record.inputTokens = seen.usage.input
        record.outputTokens = seen.usage.output
        record.cachedTokens = seen.usage.cacheRead
        record.reasoningTokens = seen.usage.reasoning
    }

    /// Hands the call over to the ledger, once, and tells the log what it needs of the trace.
    ///
    /// The whole record is made by the ledger, off the event loop. Here only calls with more than one attempt are looked
    /// at closely.
    @inline(never)
    func account() {
        let contents = trace.contents
        record.upstream = contents.upstream
        record.attempts = contents.attemptCount
        record.degraded = contents.degraded
        guard let operation else { return }
        let ledger = shard.gateway.ledger
        let isPlain = contents.isPlain && (record.outcome == .ok || contents.answering == nil)
        if isPlain, shard.accessLog != nil, operation != .countTokens, let upstream = record.upstream {
            record.cost = seen.flatMap { snapshot.prices.cost(of: $0.usage, at: upstream) }
        }
        guard ledger != nil || !isPlain else { return }
        let call = settled(operation)
        ledger?.settle(call)
        if !isPlain, shard.accessLog != nil { detail(call, contents) }
    }

    /// What the log says of a call that took more than one attempt, or did not end well.
    private func detail(_ call: SettledCall, _ contents: CallTrace.Contents) {
        let full = call.makeRecord()
        record.cost = full.cost
        // An estimate, for an answer that broke off before the upstream said what it took.
        record.inputTokens = full.usage.input
        record.outputTokens = full.usage.output
        guard !contents.isPlain else { return }
        record.attemptDetails = full.attempts.map {
            AccessRecord.Attempt(upstream: $0.upstream, why: $0.why, failure: $0.failure, elapsed: $0.elapsed)
        }
    }

    private func settled(_ operation: Operation) -> SettledCall {
        var known = CallRecord(id: id, time: record.time, operation: operation.rawValue, dialect: dialect.id.name)
        known.key = record.key
        known.model = record.model
        known.stream = record.stream
        known.status = record.status
        known.outcome = record.outcome.rawValue
        known.error = record.error
        known.finish = record.finish
        known.firstEvent = record.firstEvent
        known.total = record.total
        known.usage = seen?.usage ?? Usage()
        var call = SettledCall(known, arrived: request.arrived, trace: trace, prices: snapshot.prices)
        call.requestBytes = record.bytesIn
        call.isComplete = seen?.isComplete ?? true
        // Not every tap counts pieces; then the length of what was sent has to do.
        let pieces = seen?.pieces ?? 0
        call.pieces = pieces > 0 ? pieces : record.bytesOut / Self.bytesOfStreamPerToken
        return call
    }

    /// What a token takes in a stream, with the frame around it.
    private static let bytesOfStreamPerToken = 100
}

extension CallTrace.Contents {
    /// Whether there is nothing to tell but which upstream answered, or failed.
    fileprivate var isPlain: Bool {
        attempts.count <= 1 && innerCalls.isEmpty && decisions.allSatisfy { $0.reason == "first" }
    }
}
