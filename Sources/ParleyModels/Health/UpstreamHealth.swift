// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import Synchronization

/// How one upstream fares, for all routes that lead to it.
public final class UpstreamHealth: Sendable {
    /// What a route looks at when it chooses.
    public struct Look: Sendable, Equatable {
        /// Whether it may be asked.
        public var standing: Breaker.Standing
        /// Calls whose answers are not complete.
        public var inFlight: Int
        /// Seconds to the first event lately; nil where nothing was measured.
        public var first: Double?

        /// A look.
        public init(standing: Breaker.Standing = .closed, inFlight: Int = 0, first: Double? = nil) {
            self.standing = standing
            self.inFlight = inFlight
            self.first = first
        }
    }

    private struct State {
        var breaker = Breaker()
        var inFlight = 0
        var streamed = PeakAverage()
        var whole = PeakAverage()
        var asked = NIODeadline.uptimeNanoseconds(0)

        mutating func noteLonger(than time: TimeAmount, at now: NIODeadline, _ stream: Bool) {
            if stream { streamed.noteLonger(than: time, at: now) } else { whole.noteLonger(than: time, at: now) }
        }
    }

    /// How long an upstream rests that was asked too often, where it does not say.
    static let busyRest = TimeAmount.seconds(1)
    /// The longest rest that an upstream can ask for, in seconds.
    static let longestRest = 3600.0
    /// What an upstream that failed counts as having taken at least.
    static let penalty = TimeAmount.seconds(1)

    /// `provider/model`.
    public let name: String
    private let state = Mutex(State())

    /// An upstream of which nothing is known yet.
    public init(_ name: String) {
        self.name = name
    }

    /// How it is now.
    ///
    /// - Parameter stream: whether the time to the first event is that of streams; that of whole answers is another.
    public func look(at now: NIODeadline, stream: Bool) -> Look {
        state.withLock { state in
            Look(
                standing: state.breaker.standing(at: now), inFlight: state.inFlight,
                first: (stream ? state.streamed : state.whole).seconds(at: now))
        }
    }

    /// Failures in a row so far.
    public var failures: Int { state.withLock { $0.breaker.failures } }

    /// When it was asked last.
    var asked: NIODeadline { state.withLock { $0.asked } }

    /// Whether it may be asked without being a last resort.
    func isAvailable(at now: NIODeadline) -> Bool {
        if case .open = state.withLock({ $0.breaker.standing(at: now) }) { return false }
        return true
    }

    /// Whether nothing would be lost with it.
    var isIdle: Bool {
        let now = NIODeadline.now()
        return state.withLock {
            $0.inFlight == 0 && $0.breaker.failures == 0 && $0.breaker.standing(at: now) == .closed
        }
    }

    /// Makes a call the probe, if one is due.
    public func takeProbe(at now: NIODeadline, _ settings: BreakerSettings) -> Bool {
        state.withLock { $0.breaker.takeProbe(at: now, settings) }
    }

    /// A call begins.
    public func begin(at now: NIODeadline) {
        state.withLock { state in
            state.inFlight += 1
            state.asked = now
        }
    }

    /// A call has reached its commit point; `measures` for what the time to the first event means something.
    public func committed(
        began: NIODeadline, at now: NIODeadline, measures: Bool, stream: Bool, _ settings: BreakerSettings
    ) {
        state.withLock { state in
            state.breaker.committed(began: began, settings)
            guard measures else { return }
            if stream { state.streamed.note(now - began, at: now) } else { state.whole.note(now - began, at: now) }
        }
    }

    /// A call failed before its commit point, and so is over.
    public func failed(
        _ error: ParleyError, began: NIODeadline, at now: NIODeadline, stream: Bool, _ settings: BreakerSettings
    ) {
        state.withLock { state in
            state.inFlight = max(state.inFlight - 1, 0)
            let taken = now - began
            switch Self.blame(for: error) {
            case .upstream:
                state.breaker.failed(began: began, at: now, settings)
                state.noteLonger(than: max(taken, Self.penalty), at: now, stream)
            case .rest:
                state.breaker.released(began: began)
                state.breaker.rest(until: now + Self.rest(after: error))
            case .nobody:
                state.breaker.released(began: began)
                if error.kind == .cancelled { state.noteLonger(than: taken, at: now, stream) }
            case .request:
                state.breaker.committed(began: began, settings)
                state.breaker.completed()
            }
        }
    }

    /// An answer that was committed is over.
    public func ended(_ failure: ParleyError?, at now: NIODeadline, _ settings: BreakerSettings) {
        state.withLock { state in
            state.inFlight = max(state.inFlight - 1, 0)
            guard let failure else { return state.breaker.completed() }
            if Self.blame(for: failure) == .upstream { state.breaker.cut(at: now, settings) }
        }
    }

    private enum Blame {
        case upstream, rest, request, nobody
    }

    private static func blame(for error: ParleyError) -> Blame {
        switch error.kind {
        case .upstreamUnavailable, .timeout: error.code == "shutting_down" ? .nobody : .upstream
        // Where another of the provider's keys is at hand, only this one has to rest, and it does.
        case .rateLimited: error.hasSpareCredential ? .nobody : .rest
        // Some of these are said before the upstream was asked.
        case .cancelled, .internalError, .notImplemented, .invalid, .methodNotAllowed: .nobody
        // It is there, and says what is wrong.
        case .unauthenticated, .forbidden, .notFound, .tooLarge, .quota, .contentFiltered, .contextExceeded,
            .upstreamRejected:
            .request
        }
    }

    private static func rest(after error: ParleyError) -> TimeAmount {
        guard let seconds = error.retryAfter, seconds > 0 else { return busyRest }
        return .nanoseconds(Int64(min(seconds, longestRest) * 1e9))
    }
}
