// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
import ParleyCore

/// Which member a sticky call wants: highest random weight (rendezvous hashing), so that nothing has to be remembered,
/// every replica says the same, and a member that goes takes only its own calls with it.
enum Stickiness {
    /// How much a call with `key` wants the member `name`; the largest pull wins.
    static func pull(_ key: String, _ name: String, weight: Double = 1) -> Double {
        // FNV-1a, then splitmix64's last steps to spread what differs in few bits; the seeded hashes of the standard
        // library would change with every start.
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in key.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        hash = (hash ^ 0xFF) &* 0x100_0000_01B3
        for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        hash = (hash ^ (hash >> 30)) &* 0xBF58_476D_1CE4_E5B9
        hash = (hash ^ (hash >> 27)) &* 0x94D0_49BB_1331_11EB
        hash ^= hash >> 31
        let share = (Double(hash >> 11) + 0.5) / Double(UInt64(1) << 53)
        return weight / -log(share)
    }

    /// What a call is known by; nil where it sticks to nothing.
    static func key(of call: Call, _ kind: AffinityKind) -> String? {
        switch kind {
        case .none: nil
        case .conversation: call.affinity?.conversation
        case .user: call.forms?.user(of: call)
        case .key: call.caller.isEmpty ? nil : call.caller
        }
    }
}
