// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
import ParleyAccess

/// Ids for requests whose client sent none: unique, not secret.
struct RequestIDs {
    /// Random per event loop and process, so that ids of several machines do not meet.
    private var high = UInt64.random(in: .min ... .max)
    private var low = UInt64.random(in: 1 ... .max)

    /// The next id: `req_`, nine digits of the time and fifteen letters and digits.
    mutating func next() -> String {
        // A xorshift walk: cheap, and two neighbours look nothing alike.
        low ^= low << 13
        low ^= low >> 7
        low ^= low << 17
        high &+= 0x9E37_79B9_7F4A_7C15
        // To some milliseconds: who looks a call up by its id's time allows for seconds.
        var now = timespec()
        clock_gettime(CLOCK_REALTIME_COARSE, &now)
        let time = Int64(now.tv_sec) &* 1000 &+ Int64(now.tv_nsec) / 1_000_000
        return CallID.make(time: time, noise: low >> 29, more: low ^ high >> 24)
    }

    /// Whether a client's own id can be kept: 1 to 128 visible ASCII characters.
    static func isAcceptable(_ id: String) -> Bool {
        let length = id.utf8.count
        return length > 0 && length <= 128 && id.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
    }
}
