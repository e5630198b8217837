// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore
import Synchronization

/// What the upstreams of a configuration cost: its own prices, then the built-in table's.
public final class PriceBook: Sendable {
    /// A provider as far as prices go.
    public struct Provider: Sendable, Equatable {
        /// Its kind, e.g. `openai`.
        public var kind: String
        /// The names its service knows models by, where the configuration renames them.
        public var renames: [String: String]

        /// A provider.
        public init(kind: String, renames: [String: String] = [:]) {
            self.kind = kind
            self.renames = renames
        }
    }

    private let providers: [String: Provider]
    private let overrides: [String: Price]
    /// What was looked up before, also in vain: the same few models are asked for over and over.
    private let known = Mutex<[String: ModelFacts]>([:])

    private static let keptNames = 512

    /// The prices of `providers` by their names; `overrides` by `provider/model`.
    public init(providers: [String: Provider] = [:], overrides: [String: Price] = [:]) {
        self.providers = providers
        self.overrides = overrides
    }

    /// What is known of an upstream, named `provider/model`.
    public func facts(of upstream: String) -> ModelFacts {
        if let facts = known.withLock({ $0[upstream] }) { return facts }
        let facts = find(upstream)
        known.withLock { known in
            if known.count >= Self.keptNames { known.removeAll() }
            known[upstream] = facts
        }
        return facts
    }

    /// What the upstream takes for these tokens, in nanodollars; nil where its price or the tokens are not known.
    public func cost(of usage: Usage, at upstream: String) -> Int? {
        guard usage.input != nil || usage.output != nil else { return nil }
        return facts(of: upstream).price?.cost(of: usage)
    }

    private func find(_ upstream: String) -> ModelFacts {
        var facts = ModelFacts()
        if let slash = upstream.utf8.firstIndex(of: UInt8(ascii: "/")) {
            let model = String(upstream[upstream.utf8.index(after: slash)...])
            if let provider = providers[String(upstream[..<slash])] { facts = Self.find(model, at: provider) }
        }
        if let price = overrides[upstream] { facts.price = price }
        return facts
    }

    private static func find(_ model: String, at provider: Provider) -> ModelFacts {
        // The service's own name first; a deployment may be called anything, then the name here tells more.
        let names = provider.renames[model].map { [$0, model] } ?? [model]
        for vendor in PriceNames.vendors(of: provider.kind) {
            for name in names {
                for candidate in PriceNames.models(name, vendor: vendor) {
                    if let facts = PriceTable.facts(vendor: vendor, model: candidate) { return facts }
                }
            }
        }
        return ModelFacts()
    }
}
