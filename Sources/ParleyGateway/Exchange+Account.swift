// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
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
    @inline(never)
    func account(_ record: inout AccessRecord) {
        if let plain = trace.plain, record.outcome == .ok || !plain.isAnswered {
            account(plain, &record)
        } else {
            accountFully(&record)
        }
    }

    /// The way of nearly every call: written straight from where things are, with no record in between.
    private func account(_ plain: CallTrace.Plain, _ record: inout AccessRecord) {
        record.upstream = plain.upstream
        record.attempts = plain.upstream == nil ? 0 : 1
        guard let operation else { return }
        if let why = plain.why, why != "first", shard.accessLog != nil { note(plain, why, &record) }
        // What was counted was not read by a model.
        let usage = operation == .countTokens ? Usage() : seen?.usage ?? Usage()
        if plain.isAnswered, let upstream = plain.upstream {
            record.cost = shard.accounts.cost(of: usage, at: upstream, in: snapshot.prices)
        }
        handOver(plain, operation, usage, record)
    }

    // A function of its own, which is lent the record: to read a text of what one may change is to retain it.
    @inline(never)
    private func handOver(
        _ plain: CallTrace.Plain, _ operation: Operation, _ usage: Usage, _ record: AccessRecord
    ) {
        guard let ledger = shard.gateway.ledger else { return }
        let writer = shard.accounts
        let numbers = CallWriter.Numbers(
            time: record.time, status: record.status, total: record.total, firstEvent: record.firstEvent,
            cost: record.cost, stream: record.stream)
        writer.write(
            id: id, operation: operation.rawValue, dialect: dialectID.name, outcome: record.outcome.rawValue,
            key: record.key, model: record.model, error: record.error, finish: record.finish, numbers, plain,
            usage: usage, arrived: request.arrived)
        ledger.settle(writer.bytes)
    }

    /// What the log says of the only attempt where a route did not simply take its first member.
    private func note(_ plain: CallTrace.Plain, _ why: String, _ record: inout AccessRecord) {
        record.attemptDetails = [
            AccessRecord.Attempt(
                upstream: plain.upstream ?? "", why: why, failure: plain.failure?.rawValue,
                elapsed: plain.elapsed.map { $0.nanoseconds / 1000 })
        ]
    }

    private func accountFully(_ record: inout AccessRecord) {
        let contents = trace.contents
        record.upstream = contents.upstream
        record.attempts = contents.attemptCount
        record.degraded = contents.degraded
        guard let operation else { return }
        let full = settled(operation, record).makeRecord()
        record.cost = full.cost
        if !contents.isPlain || (record.outcome != .ok && contents.answering != nil) {
            // An estimate, for an answer that broke off before the upstream said what it took.
            record.inputTokens = full.usage.input
            record.outputTokens = full.usage.output
        }
        if !contents.isPlain, shard.accessLog != nil {
            record.attemptDetails = full.attempts.map {
                AccessRecord.Attempt(upstream: $0.upstream, why: $0.why, failure: $0.failure, elapsed: $0.elapsed)
            }
        }
        guard let ledger = shard.gateway.ledger else { return }
        shard.accounts.write(full)
        ledger.settle(shard.accounts.bytes)
    }

    private func settled(_ operation: Operation, _ record: AccessRecord) -> SettledCall {
        var known = CallRecord(id: id, time: record.time, operation: operation.rawValue, dialect: dialectID.name)
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
