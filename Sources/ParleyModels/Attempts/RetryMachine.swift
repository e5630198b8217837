// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore

/// Decides what follows a failed attempt: events in, actions out, without a clock or a random source of its own.
public struct RetryMachine: Sendable {
    /// What happened.
    public enum Event: Sendable {
        /// The call begins.
        case started
        /// The attempt failed; `remaining` is the time until the call's deadline, `random` lies in 0 ..< 1.
        case failed(ParleyError, remaining: TimeAmount, random: Double)
        /// The wait is over.
        case waited
    }

    /// What to do next.
    public enum Action: Sendable, Equatable {
        /// Make an attempt, then report how it failed, if it did.
        case attempt
        /// Wait, then report `waited`.
        case wait(TimeAmount)
        /// End with this error.
        case fail(ParleyError)
    }

    private let policy: RetryPolicy
    private var made = 0

    /// A machine for one call at one upstream.
    public init(_ policy: RetryPolicy) {
        self.policy = policy
    }

    /// Takes an event and says what to do.
    public mutating func next(_ event: Event) -> Action {
        switch event {
        case .started, .waited:
            made = made.clampedSum(1)
            return .attempt
        case .failed(let error, let remaining, let random):
            if error.hasSpareCredential, remaining > .zero {
                // A key that was refused says nothing of the next one, which is asked at once: each rests when it fails,
                // so that this ends. One that is used too often is a failed try as any other, but nothing is waited for.
                if error.retryClass == nil { return .attempt }
                if let reason = error.retryClass, made < policy.attempts, policy.on.contains(reason) {
                    made = made.clampedSum(1)
                    return .attempt
                }
            }
            guard made < policy.attempts, let reason = error.retryClass, policy.on.contains(reason),
                let time = wait(after: error, random: random), time < remaining
            else { return .fail(error) }
            return .wait(time)
        }
    }

    /// The wait before the next try; nil when the upstream asks for more than the policy allows.
    private func wait(after error: ParleyError, random: Double) -> TimeAmount? {
        if let asked = error.retryAfter, !asked.isNaN {
            guard let time = Self.amount(seconds: asked), time <= policy.maxWait else { return nil }
            // The first backoff is the floor: `retry-after: 0` must not make a tight loop of a full upstream.
            return max(time, jittered(min(policy.backoff, policy.maxWait), random))
        }
        return jittered(grown(), random)
    }

    /// The backoff after as many doublings as tries were repeated, at most the longest wait.
    private func grown() -> TimeAmount {
        var time = max(policy.backoff, .zero)
        for _ in 1..<max(made, 1) {
            let (doubled, overflow) = time.nanoseconds.multipliedReportingOverflow(by: 2)
            if overflow || doubled >= policy.maxWait.nanoseconds { return policy.maxWait }
            time = .nanoseconds(doubled)
        }
        return min(time, policy.maxWait)
    }

    /// Between half of the time and all of it, so that clients who failed together do not come back together.
    private func jittered(_ time: TimeAmount, _ random: Double) -> TimeAmount {
        let share = 0.5 + 0.5 * min(max(random, 0), 1)
        return .nanoseconds(Int64(exactly: (Double(time.nanoseconds) * share).rounded()) ?? time.nanoseconds)
    }

    /// Seconds as a time, never negative; nil for more than fits.
    private static func amount(seconds: Double) -> TimeAmount? {
        guard seconds > 0 else { return .zero }
        return Int64(exactly: (seconds * 1e9).rounded(.up)).map { .nanoseconds($0) }
    }
}
