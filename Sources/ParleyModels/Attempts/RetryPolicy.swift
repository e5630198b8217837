// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore

/// When and how often a failed attempt is repeated at one upstream.
public struct RetryPolicy: Sendable, Hashable {
    /// Tries in all at one upstream; 1 or less means no retry.
    public var attempts: Int
    /// The classes of failure that are tried again.
    public var on: Set<RetryClass>
    /// The wait before the second try; it doubles from try to try, with jitter.
    public var backoff: TimeAmount
    /// The longest wait between two tries; an upstream that asks for more is given up.
    public var maxWait: TimeAmount

    /// A policy; what is not given is as in ``standard``.
    public init(
        attempts: Int = 3, on: Set<RetryClass> = Set(RetryClass.allCases), backoff: TimeAmount = .milliseconds(250),
        maxWait: TimeAmount = .seconds(20)
    ) {
        self.attempts = attempts
        self.on = on
        self.backoff = backoff
        self.maxWait = maxWait
    }

    /// Three tries, every class, 250 ms growing to at most 20 s.
    public static let standard = RetryPolicy()

    /// One try.
    public static let never = RetryPolicy(attempts: 1)
}
