// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore
import Testing

@testable import ParleyGateway

@Suite("Limits of endpoints")
struct EndpointLimitTests {
    private static func endpoint(_ limit: Int?) -> Endpoint {
        Endpoint(host: "up.example", port: 80, isSecure: false, connectionLimit: limit)
    }

    @Test("All who ask for an endpoint's limit share it, and an endpoint without one has none")
    func shared() throws {
        let limits = EndpointLimits()
        let endpoint = Self.endpoint(2)
        let first = try #require(limits.limit(of: endpoint))
        #expect(limits.limit(of: endpoint) === first)
        #expect(limits.limit(of: Self.endpoint(2)) !== first)
        #expect(limits.limit(of: Self.endpoint(nil)) == nil)
    }

    @Test("However often a configuration brings new endpoints, the limits of those dropped are forgotten")
    func forgotten() throws {
        let limits = EndpointLimits()
        let kept = try #require(limits.limit(of: Self.endpoint(1)))
        weak var endpoint: Endpoint?
        for _ in 0..<100 {
            let dropped = Self.endpoint(1)
            endpoint = dropped
            #expect(limits.limit(of: dropped) !== kept)
        }
        #expect(endpoint == nil)
        #expect(limits.count <= 2)
        withExtendedLifetime(kept) {}
    }
}
