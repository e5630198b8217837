// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// A failure that may be tried again.
public enum RetryCause: String, Sendable, Hashable, CaseIterable {
    /// The upstream said that it was asked too often.
    case rateLimited = "rate-limited"
    /// The upstream could not be reached, or answered 5xx.
    case unavailable
    /// A deadline passed before the first event.
    case timeout
}

/// When and how often a failed attempt is repeated at one upstream.
public struct RetrySettings: Sendable, Equatable {
    /// Tries in all at one upstream; at least 1, which means no retry.
    public var attempts = 3
    /// What is tried again.
    public var on: [RetryCause] = [.rateLimited, .unavailable, .timeout]
    /// The first wait between tries; doubles, with jitter.
    public var backoff: Duration = .milliseconds(250)
    /// The longest wait between tries, also when the upstream asks for more.
    public var maxWait: Duration = .seconds(20)

    /// The defaults.
    public init() {}

    /// These settings with what `overrides` says in place of them.
    public func applying(_ overrides: RetryOverrides) -> RetrySettings {
        var result = self
        result.attempts = overrides.attempts ?? attempts
        result.on = overrides.on ?? on
        result.backoff = overrides.backoff ?? backoff
        result.maxWait = overrides.maxWait ?? maxWait
        return result
    }
}

/// Retry settings of one model; nil members take the default's.
public struct RetryOverrides: Sendable, Equatable {
    /// Tries in all at one upstream.
    public var attempts: Int?
    /// What is tried again.
    public var on: [RetryCause]?
    /// The first wait between tries.
    public var backoff: Duration?
    /// The longest wait between tries.
    public var maxWait: Duration?

    /// Nothing overridden.
    public init() {}
}

/// How long each part of a call may take.
public struct TimeoutSettings: Sendable, Equatable {
    /// Connecting, TLS included.
    public var connect: Duration = .seconds(5)
    /// Until the first meaningful event.
    public var first: Duration = .seconds(60)
    /// Between two events.
    public var idle: Duration = .seconds(60)
    /// The whole call.
    public var total: Duration = .seconds(600)

    /// The defaults.
    public init() {}

    /// These deadlines with what `overrides` says in place of them.
    public func applying(_ overrides: TimeoutOverrides) -> TimeoutSettings {
        var result = self
        result.connect = overrides.connect ?? connect
        result.first = overrides.first ?? first
        result.idle = overrides.idle ?? idle
        result.total = overrides.total ?? total
        return result
    }
}

/// Deadlines of one provider or model; nil members take the default's.
public struct TimeoutOverrides: Sendable, Equatable {
    /// Connecting, TLS included.
    public var connect: Duration?
    /// Until the first meaningful event.
    public var first: Duration?
    /// Between two events.
    public var idle: Duration?
    /// The whole call.
    public var total: Duration?

    /// Nothing overridden.
    public init() {}
}

/// When an upstream that keeps failing is left alone.
public struct BreakerSettings: Sendable, Equatable {
    /// Failures in a row that open the breaker.
    public var failures = 5
    /// How long it stays open before one probe.
    public var cooldown: Duration = .seconds(30)

    /// The defaults.
    public init() {}

    /// These settings with what `overrides` says in place of them.
    public func applying(_ overrides: BreakerOverrides) -> BreakerSettings {
        var result = self
        result.failures = overrides.failures ?? failures
        result.cooldown = overrides.cooldown ?? cooldown
        return result
    }
}

/// Breaker settings of one model; nil members take the default's.
public struct BreakerOverrides: Sendable, Equatable {
    /// Failures in a row that open the breaker.
    public var failures: Int?
    /// How long it stays open before one probe.
    public var cooldown: Duration?

    /// Nothing overridden.
    public init() {}
}

/// `defaults`: what a model does not say itself.
public struct DefaultsSettings: Sendable, Equatable {
    /// The model of a request that names none; nil: the only model there is.
    public var model: String?
    /// Retries.
    public var retry = RetrySettings()
    /// Deadlines.
    public var timeout = TimeoutSettings()
    /// Breakers.
    public var breaker = BreakerSettings()
    /// Whether a call is refused when a translation would lose something.
    public var strict = false

    /// The defaults.
    public init() {}
}
