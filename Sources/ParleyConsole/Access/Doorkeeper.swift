// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
import ParleyAccess
import Synchronization

/// Who is let in: whoever shows the admin key, or a cookie that was given for it. No client's key opens anything here.
final class Doorkeeper: Sendable {
    /// What became of a key that was shown.
    enum Verdict: Sendable, Equatable {
        case right
        case wrong
        /// Too many wrong ones came from there; seconds to wait.
        case wait(Int)
    }

    private struct State {
        var sessions: AdminSessions
        var guesses = GuessLimit()
    }

    static let cookie = "parley_session"

    let session: Duration
    private let adminKey: KeyDigest
    private let state: Mutex<State>
    private let clock: @Sendable () -> Int64

    init(
        adminKey: KeyDigest, session: Duration, clock: @escaping @Sendable () -> Int64 = Doorkeeper.seconds
    ) {
        self.adminKey = adminKey
        self.session = session
        self.clock = clock
        state = Mutex(State(sessions: AdminSessions(life: session.components.seconds)))
    }

    /// Looks at a key. While an address has to wait, not even the right key is looked at: guessing must not go on.
    func check(_ key: String, from peer: String) -> Verdict {
        let now = clock()
        // Digests are compared, in the same time whatever differs; an empty key opens nothing.
        let isRight = KeyDigest(of: key) == adminKey && !key.isEmpty
        return state.withLock { state in
            if let seconds = state.guesses.wait(peer, now: now) { return .wait(seconds) }
            guard isRight else {
                state.guesses.failed(peer, now: now)
                return .wrong
            }
            return .right
        }
    }

    /// Begins a session for whoever has just shown the right key.
    ///
    /// - Returns: the id for the cookie.
    func begin() -> String {
        let now = clock()
        return state.withLock { $0.sessions.begin(now: now) }
    }

    /// The session of a cookie.
    func find(_ id: String) -> AdminSession? {
        let now = clock()
        return state.withLock { $0.sessions.find(id, now: now) }
    }

    /// Ends a session.
    func end(_ session: AdminSession) { state.withLock { $0.sessions.end(session) } }

    /// Seconds on a clock that nobody sets.
    static func seconds() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec)
    }
}
