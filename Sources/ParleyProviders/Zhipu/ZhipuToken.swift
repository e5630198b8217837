// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Crypto
import Glibc
import NIOCore
import ParleyCore
import ParleyWire
import Synchronization

/// A key of Zhipu's: an id and a secret with a dot between them.
struct ZhipuKey: Sendable {
    let id: String
    let secret: String

    /// Takes a key apart.
    ///
    /// - Throws: where there is not exactly one dot, with something on both sides.
    init(_ text: String) throws(ProviderError) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else {
            throw ProviderError("must be a key of the form id.secret, with one dot", setting: "api_key")
        }
        id = String(parts[0])
        secret = String(parts[1])
    }

    /// The JSON Web Token (HS256) that stands for the key, good from `time` to `end`; both count milliseconds, which is
    /// what the service wants, not what RFC 7519 says.
    func token(at time: Int, until end: Int) -> String {
        let header = #"{"alg":"HS256","sign_type":"SIGN"}"#
        let claims = JSON.text(["api_key": .string(id), "exp": .int(end), "timestamp": .int(time)])
        let text = "\(Self.encoded(Array(header.utf8))).\(Self.encoded(Array(claims.utf8)))"
        let code = HMAC<SHA256>.authenticationCode(
            for: Array(text.utf8), using: SymmetricKey(data: Array(secret.utf8)))
        return "\(text).\(Self.encoded(Array(code)))"
    }

    /// Base64 as JSON Web Tokens want it.
    private static func encoded(_ bytes: [UInt8]) -> String {
        var text = Base64.text(bytes).replacing("+", with: "-").replacing("/", with: "_")
        while text.hasSuffix("=") { text.removeLast() }
        return text
    }
}

/// The tokens that stand for the keys of one provider: each is signed once for its life, whoever asks.
final class ZhipuTokens: KeyTokens {
    /// How long a token is used.
    static let use = 180_000
    /// How much longer it is good, for requests on their way and clocks that differ.
    static let leeway = 30_000

    private let keys: [ZhipuKey]
    private let now: @Sendable () -> Int
    private let tokens: Mutex<[Int: (token: String, end: Int)]>

    /// Tokens for these keys.
    ///
    /// - Parameter now: the time in milliseconds since 1970.
    init(_ keys: [ZhipuKey], now: @escaping @Sendable () -> Int = ZhipuTokens.milliseconds) {
        self.keys = keys
        self.now = now
        tokens = Mutex([:])
    }

    func value(for credential: Credential) -> String? {
        guard keys.indices.contains(credential.index) else { return nil }
        let time = now()
        return tokens.withLock { tokens in
            // A clock that was set back makes a token of the future, which is signed anew.
            if let known = tokens[credential.index], known.end > time, known.end - time <= Self.use {
                return known.token
            }
            let token = keys[credential.index].token(at: time, until: time + Self.use + Self.leeway)
            tokens[credential.index] = (token, time + Self.use)
            return token
        }
    }

    func drop(usedIn head: ByteBuffer) -> Bool {
        let text = String(buffer: head)
        tokens.withLock { tokens in
            for (index, known) in tokens where text.contains(known.token) { tokens[index] = nil }
        }
        return true
    }

    /// The time in milliseconds since 1970.
    static func milliseconds() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
    }
}
