// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore

/// Tokens that stand for a provider's keys, made without asking anybody.
protocol KeyTokens: Sendable {
    /// The token to send in place of a key.
    func value(for credential: Credential) -> String?

    /// The service has refused the token in this head; a newer one stays.
    ///
    /// - Returns: whether the next token may be better.
    func drop(usedIn head: ByteBuffer) -> Bool
}
