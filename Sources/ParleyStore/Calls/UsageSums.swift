// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
import ParleyAccess
import ParleyCore

/// Sums calls up, straight from their bytes: there may be millions of them.
struct UsageSums {
    /// What upstreams say is not believed without bound: a few numbers that none can mean would drown the sums.
    private static let mostTokens: Int64 = 1_000_000_000_000
    private static let mostMoney: Int64 = 1_000_000_000_000_000

    private let since: Int64
    private let grouping: UsageReport.Grouping
    private var sums: [Sum] = []
    private var places: [String: Int] = [:]
    /// Where the sum of the last name is: calls of one model come in rows.
    private var last: (name: [UInt8], place: Int)?

    private struct Sum {
        var name: String
        var calls = 0
        var failed = 0
        var unpriced = 0
        var cost: Int?
        var isEstimated = false
        var classes = [Int?](repeating: nil, count: Usage.classNames.count)

        mutating func add(_ value: Int64, ofClass place: Int) {
            let value = Int(min(value, UsageSums.mostTokens))
            classes[place] = classes[place].map { $0.clampedSum(value) } ?? value
        }

        mutating func count(isFailed: Bool, isEstimated: Bool, cost: Int64?, mayCost: Bool) {
            calls += 1
            if isFailed { failed += 1 }
            if isEstimated { self.isEstimated = true }
            if let cost { self.cost = (self.cost ?? 0).clampedSum(Int(min(cost, UsageSums.mostMoney))) }
            if cost == nil, mayCost { unpriced += 1 }
        }
    }

    init(since: Int64, by grouping: UsageReport.Grouping) {
        self.since = since
        self.grouping = grouping
    }

    /// The sums, the most expensive first.
    var rows: [UsageReport.Row] {
        sums.map { sum in
            UsageReport.Row(
                name: sum.name, calls: sum.calls, failed: sum.failed,
                usage: Usage(classes: sum.classes, estimated: sum.isEstimated), cost: sum.cost, unpriced: sum.unpriced)
        }.sorted { one, two in
            if one.cost != two.cost { return one.cost ?? -1 > two.cost ?? -1 }
            return one.calls != two.calls ? one.calls > two.calls : one.name < two.name
        }
    }

    /// Adds a call; what cannot be read, or came too early, is left out.
    mutating func add(_ call: UnsafeRawBufferPointer) {
        guard var reader = try? CallReader(call), let head = try? reader.head(), head.time >= since,
            let options = try? reader.options()
        else { return }
        switch grouping {
        case .key: add(whole: head, options, &reader, to: place(of: head.key))
        case .model: add(whole: head, options, &reader, to: place(of: head.model))
        case .upstream: addAttempts(head, options, &reader)
        }
    }

    private mutating func add(
        whole head: CallReader.Head, _ options: CallReader.Options, _ reader: inout CallReader, to place: Int
    ) {
        let isPriceable = addClasses(of: &reader, to: place)
        sums[place].count(
            isFailed: !Self.isWell(head.outcome), isEstimated: reader.isEstimated, cost: options.cost,
            mayCost: head.upstream != nil && isPriceable)
    }

    /// Adds the classes that come next; whether there is anything among them that costs.
    private mutating func addClasses(of reader: inout CallReader, to place: Int) -> Bool {
        var isPriceable = false
        try? reader.classes { index, value in
            sums[place].add(value, ofClass: index)
            if index == Self.input || index == Self.output { isPriceable = true }
        }
        return isPriceable
    }

    private static let input = Usage.classNames.firstIndex(of: "input")
    private static let output = Usage.classNames.firstIndex(of: "output")

    private static func isWell(_ outcome: UnsafeRawBufferPointer) -> Bool {
        outcome.count == 2 && outcome[0] == UInt8(ascii: "o") && outcome[1] == UInt8(ascii: "k")
    }

    // MARK: Attempts

    private mutating func addAttempts(
        _ head: CallReader.Head, _ options: CallReader.Options, _ reader: inout CallReader
    ) {
        if options.answer != nil {
            let place = place(of: head.upstream)
            let isPriceable = addClasses(of: &reader, to: place)
            sums[place].count(
                isFailed: !Self.isWell(head.outcome), isEstimated: reader.isEstimated,
                cost: options.ownCost, mayCost: isPriceable)
        } else {
            try? reader.classes { _, _ in }
        }
        guard let rest = try? reader.rest() else { return }
        for attempt in rest.attempts { add(attempt) }
        for inner in rest.innerCalls { add(inner) }
    }

    private mutating func add(_ inner: InnerCallRecord) {
        for attempt in inner.attempts { add(attempt) }
        for deeper in inner.innerCalls { add(deeper) }
    }

    private mutating func add(_ attempt: AttemptRecord) {
        var upstream = attempt.upstream
        let place = upstream.withUTF8 { self.place(of: UnsafeRawBufferPointer($0)) }
        let usage = attempt.usage
        for (index, value) in usage.classes.enumerated() {
            if let value { sums[place].add(Int64(value), ofClass: index) }
        }
        sums[place].count(
            isFailed: attempt.failure != nil, isEstimated: usage.estimated, cost: attempt.cost.map { Int64($0) },
            mayCost: usage.input != nil || usage.output != nil)
    }

    // MARK: Names

    private mutating func place(of name: UnsafeRawBufferPointer?) -> Int {
        let name = name ?? UnsafeRawBufferPointer(start: nil, count: 0)
        if let last, last.name.withUnsafeBytes({ $0.hasSameBytes(as: name) }) { return last.place }
        let text = String(decoding: name, as: UTF8.self)
        let place = places[text] ?? sums.count
        if place == sums.count {
            sums.append(Sum(name: text))
            places[text] = place
        }
        last = (Array(name), place)
        return place
    }
}

extension UnsafeRawBufferPointer {
    /// Many bytes at a time, as `elementsEqual` does not.
    fileprivate func hasSameBytes(as other: UnsafeRawBufferPointer) -> Bool {
        guard count == other.count else { return false }
        guard let start = baseAddress, let otherStart = other.baseAddress else { return true }
        return memcmp(start, otherStart, count) == 0
    }
}
