// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyAccess

/// Sign-ins that were begun and whose browsers are at a vendor's page: each is known by a random `state`, which is good
/// once and for ten minutes. Times are seconds on any one clock.
struct PendingSignIns: Sendable {
    /// One of them.
    struct Pending: Sendable, Equatable {
        /// The provider's name.
        var provider: String
        /// Where the vendor was told to send the browser back to.
        var redirect: String
        /// The session that began it; nil where a program did, for a browser that has none.
        var session: KeyDigest?
        /// When it is too late.
        var ends: Int64
    }

    static let life: Int64 = 600
    static let limit = 256

    private var pending: [KeyDigest: Pending] = [:]

    /// Begins one.
    ///
    /// - Returns: its state.
    mutating func begin(_ provider: String, redirect: String, session: KeyDigest?, now: Int64) -> String {
        pending = pending.filter { $0.value.ends > now }
        if pending.count >= Self.limit, let oldest = pending.min(by: { $0.value.ends < $1.value.ends }) {
            pending[oldest.key] = nil
        }
        let state = RandomText.make(32)
        pending[KeyDigest(of: state)] = Pending(
            provider: provider, redirect: redirect, session: session, ends: now + Self.life)
        return state
    }

    /// Takes the one of a state out; nil where there is none, or it is too late.
    mutating func take(_ state: String, now: Int64) -> Pending? {
        guard let found = pending.removeValue(forKey: KeyDigest(of: state)), found.ends > now else { return nil }
        return found
    }
}
