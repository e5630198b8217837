// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyAccess
import ParleyConfiguration
import ParleyCore

/// Who sent the last request of a connection, so that the next one need not be hashed again.
struct Caller {
    /// The secret as it was presented; it lives as long as the connection and is never written anywhere.
    let secret: [UInt8]
    let key: KeyRecord
    /// The serial of the configuration that has the key. Not the configuration itself: it would live as long as the
    /// connection, with its providers and their processes.
    let serial: UInt64

    /// Whether the same key is presented under the same configuration and still works.
    ///
    /// Compared in constant time, since a proxy may send several clients' requests over one connection.
    func isSame(_ presented: String, _ current: Snapshot) -> Bool {
        guard serial == current.serial, presented.utf8.count == secret.count else { return false }
        let isEqual = presented.utf8.withContiguousStorageIfAvailable { bytes in
            secret.withUnsafeBufferPointer { secret in
                var difference: UInt8 = 0
                for index in 0..<min(bytes.count, secret.count) { difference |= bytes[index] ^ secret[index] }
                return difference == 0
            }
        }
        // Text that is not in one piece is looked up like that of a stranger.
        guard isEqual == true else { return false }
        return key.expires == nil || !key.isExpired(at: Int64(WallClock.seconds()))
    }
}
