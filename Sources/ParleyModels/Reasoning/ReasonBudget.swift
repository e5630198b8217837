// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore

/// What a call has used so far, held against its caps.
struct ReasonBudget {
    private let caps: ReasonRules.Caps
    private let began: NIODeadline
    private var calls = 0
    private var cost = 0.0
    private var sum = Usage()
    private var hidden: Int?

    init(_ caps: ReasonRules.Caps, began: NIODeadline) {
        self.caps = caps
        self.began = began
    }

    /// When thinking must be over.
    var deadline: NIODeadline { caps.time.map { began + $0 } ?? .distantFuture }

    /// How many of so many thoughts may be asked for.
    enum Allowance: Equatable {
        case calls(Int)
        /// None; the text says what the answer has to do without.
        case none(String)
    }

    /// Whether more may be thought.
    ///
    /// - Parameter leaving: how many calls must be left behind it.
    func allowance(_ wanted: Int, leaving: Int, at now: NIODeadline) -> Allowance {
        if now >= deadline { return .none("thinking beyond its time") }
        if let most = caps.tokens, sum.total >= most { return .none("thinking beyond \(most) tokens") }
        if let most = caps.usd, cost >= most { return .none("thinking beyond its cost") }
        guard let most = caps.calls else { return .calls(wanted) }
        let left = max(most - calls - leaving, 0)
        return left == 0 ? .none("thinking beyond \(most) calls") : .calls(min(wanted, left))
    }

    /// Whether one more call may be made at all.
    var hasCall: Bool { caps.calls.map { calls < $0 } ?? true }

    /// The most tokens a thought may still have; nil is unbounded.
    var tokensLeft: Int? { caps.tokens.map { max($0 - sum.total, 1) } }

    /// Notes that calls begin.
    mutating func begin(_ count: Int = 1) { calls += count }

    /// Notes what a call has used.
    ///
    /// - Parameter isAnswer: whether the client reads what was said; otherwise all of it was thinking.
    mutating func spend(_ usage: Usage, cost: Double?, isAnswer: Bool) {
        sum.add(usage)
        if let cost, cost.isFinite, cost > 0 { self.cost += cost }
        let thought = isAnswer ? usage.reasoning : usage.output
        if let thought { hidden = (hidden ?? 0).clampedSum(max(thought, 0)) }
    }

    /// Notes that what was taken for thinking is the client's answer after all.
    mutating func reveal(_ usage: Usage) {
        guard let hidden, let output = usage.output else { return }
        self.hidden = max(hidden - max(output - (usage.reasoning ?? 0), 0), 0)
    }

    /// Everything that was used, thinking in its class.
    var usage: Usage {
        var usage = sum
        usage.reasoning = hidden
        return usage
    }
}
