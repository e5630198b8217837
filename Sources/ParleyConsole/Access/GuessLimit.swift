// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc

/// How often somebody may show a wrong key: ten times a minute from one address. Times are seconds on any one clock.
struct GuessLimit: Sendable {
    static let tries = 10
    static let window: Int64 = 60
    /// Addresses remembered; those beyond share one place.
    static let places = 1024

    private struct Count {
        var failures: Int
        var ends: Int64
    }

    private var counts: [String: Count] = [:]

    /// How long this address has to wait before its next try; nil where it has not.
    func wait(_ peer: String, now: Int64) -> Int? {
        guard let count = counts[place(of: peer)], count.ends > now, count.failures >= Self.tries else { return nil }
        return Int(clamping: count.ends - now)
    }

    /// A wrong key came from this address.
    mutating func failed(_ peer: String, now: Int64) {
        counts = counts.count < Self.places ? counts : counts.filter { $0.value.ends > now }
        let place = place(of: peer)
        var count = counts[place] ?? Count(failures: 0, ends: 0)
        if count.ends <= now { count = Count(failures: 0, ends: now + Self.window) }
        count.failures += 1
        counts[place] = count
    }

    private func place(of peer: String) -> String {
        let place = Self.network(of: peer)
        return counts[place] != nil || counts.count < Self.places ? place : ""
    }

    /// An address as one who guesses has it: of IPv6 the network, since its hosts are for the taking.
    static func network(of peer: String) -> String {
        var bytes = in6_addr()
        guard peer.contains(":"), inet_pton(AF_INET6, peer, &bytes) == 1 else { return peer }
        return withUnsafeBytes(of: &bytes) { raw in
            // An IPv4 address in IPv6's clothes is one host.
            let isMapped = raw.prefix(10).allSatisfy { $0 == 0 } && raw[10] == 0xFF && raw[11] == 0xFF
            return (isMapped ? raw[...] : raw.prefix(8)).map { String($0, radix: 16) }.joined(separator: ":")
        }
    }
}
