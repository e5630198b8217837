// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc

/// Times as people read them.
enum TimeText {
    /// `2026-11-21 17:45 UTC` of seconds since 1970.
    static func utc(_ seconds: Int64) -> String {
        var time = time_t(clamping: min(max(0, seconds), 253_402_300_799))
        var parts = tm()
        guard gmtime_r(&time, &parts) != nil else { return "\(seconds)" }
        func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday)) "
            + "\(two(parts.tm_hour)):\(two(parts.tm_min)) UTC"
    }
}
