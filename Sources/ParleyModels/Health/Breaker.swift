// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore

/// When an upstream that keeps failing is left alone.
public struct BreakerSettings: Sendable, Hashable {
    /// Failures in a row that open the breaker.
    public var failures: Int
    /// How long it stays open before one call may try.
    public var cooldown: TimeAmount

    /// Settings; what is not given is as in ``standard``.
    public init(failures: Int = 5, cooldown: TimeAmount = .seconds(30)) {
        self.failures = failures
        self.cooldown = cooldown
    }

    /// Five failures, 30 s.
    public static let standard = BreakerSettings()
}

/// Whether an upstream may be asked: news in, a standing out, without a clock of its own.
///
/// It opens at the last of so many failures in a row. After the cooldown one call may try (the probe), and what becomes
/// of it decides. News of calls that began before it opened change nothing: neither do late failures move the end of
/// the cooldown, nor do late answers close it.
public struct Breaker: Sendable, Equatable {
    /// Whether the upstream may be asked.
    public enum Standing: Sendable, Equatable {
        /// Yes.
        case closed
        /// By one call, the probe.
        case halfOpen
        /// Only where there is nobody else.
        case open(until: NIODeadline)
    }

    /// Failures in a row so far.
    public private(set) var failures = 0
    /// When it opened; nil while it is closed.
    private var opened: NIODeadline?
    /// When the cooldown ends.
    private var end = NIODeadline.uptimeNanoseconds(0)
    /// Until when the verdict of a probe is waited for.
    private var probed: NIODeadline?
    /// Until when the upstream does not want to be asked, by its own word.
    private var rested = NIODeadline.uptimeNanoseconds(0)

    /// Closed, without failures.
    public init() {}

    /// Whether the upstream may be asked now.
    public func standing(at now: NIODeadline) -> Standing {
        if rested > now { return .open(until: opened == nil ? rested : max(rested, end)) }
        guard opened != nil else { return .closed }
        if end > now { return .open(until: end) }
        if let probed, probed > now { return .open(until: probed) }
        return .halfOpen
    }

    /// Makes a call the probe, if one is due. A probe that is not heard of again counts for no longer than a cooldown.
    public mutating func takeProbe(at now: NIODeadline, _ settings: BreakerSettings) -> Bool {
        guard standing(at: now) == .halfOpen else { return false }
        probed = now + max(settings.cooldown, .milliseconds(1))
        return true
    }

    /// A call that began at `began` has reached its commit point.
    ///
    /// A breaker that it closes is on trial until a whole answer has come: a single failure opens it again, so that an
    /// upstream that breaks off every answer is found out.
    public mutating func committed(began: NIODeadline, _ settings: BreakerSettings) {
        guard let opened, began >= opened else { return }
        self.opened = nil
        probed = nil
        failures = max(settings.failures - 1, 0)
    }

    /// An answer is complete.
    public mutating func completed() {
        if opened == nil { failures = 0 }
    }

    /// A call that began at `began` failed, and it is the upstream's fault.
    public mutating func failed(began: NIODeadline, at now: NIODeadline, _ settings: BreakerSettings) {
        if let opened {
            // Somebody's last resort, which failed while it was open, does not keep the upstream away for longer.
            guard began >= opened, end <= now else { return }
        } else {
            failures = min(failures, Int.max - 1) + 1
            guard failures >= settings.failures else { return }
        }
        opened = now
        end = max(end, now + settings.cooldown)
        probed = nil
    }

    /// An answer broke off behind its commit point.
    public mutating func cut(at now: NIODeadline, _ settings: BreakerSettings) {
        if opened == nil { failed(began: now, at: now, settings) }
    }

    /// A call ended without a word about the upstream.
    public mutating func released(began: NIODeadline) {
        if let opened, began >= opened { probed = nil }
    }

    /// The upstream does not want to be asked until `time`. An earlier wish for longer stands.
    public mutating func rest(until time: NIODeadline) { rested = max(rested, time) }
}
