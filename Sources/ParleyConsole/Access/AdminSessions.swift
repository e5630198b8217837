// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyAccess

/// One browser's sign-in.
struct AdminSession: Sendable, Equatable {
    /// The digest of the id in the browser's cookie; the id itself is not kept.
    var id: KeyDigest
    /// What every form of this session carries, so that no other site can send one.
    var formToken: String
    /// When it ends, in seconds.
    var ends: Int64

    /// Whether a form came from a page of this session; takes as long whatever differs.
    func accepts(_ token: String) -> Bool { KeyDigest(of: token) == KeyDigest(of: formToken) }
}

/// The browsers that are signed in: random ids, in memory only. Times are seconds on any one clock.
struct AdminSessions: Sendable {
    /// More people than run any gateway; beyond it the one that ends first has to sign in again.
    static let limit = 256

    private var sessions: [KeyDigest: AdminSession] = [:]
    private let life: Int64

    init(life: Int64) {
        self.life = life
    }

    /// Begins a session.
    ///
    /// - Returns: the id for the browser's cookie.
    mutating func begin(now: Int64) -> String {
        sessions = sessions.filter { $0.value.ends > now }
        if sessions.count >= Self.limit, let oldest = sessions.values.min(by: { $0.ends < $1.ends }) {
            sessions[oldest.id] = nil
        }
        let id = RandomText.make()
        let digest = KeyDigest(of: id)
        sessions[digest] = AdminSession(id: digest, formToken: RandomText.make(), ends: now + life)
        return id
    }

    /// The session of a cookie; nil where there is none any more.
    func find(_ id: String, now: Int64) -> AdminSession? {
        // Looked up by digest: how long it takes says nothing about the ids there are.
        guard let session = sessions[KeyDigest(of: id)], session.ends > now else { return nil }
        return session
    }

    /// Ends a session.
    mutating func end(_ session: AdminSession) { sessions[session.id] = nil }
}

/// Random words that nobody guesses.
enum RandomText {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    /// Letters, digits, `-` and `_`: six bits each.
    static func make(_ length: Int = 43) -> String {
        var generator = SystemRandomNumberGenerator()
        let bytes = (0..<length).compactMap { _ in alphabet.randomElement(using: &generator) }
        return String(decoding: bytes, as: UTF8.self)
    }
}
