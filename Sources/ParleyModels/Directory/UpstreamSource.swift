// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore

/// A provider as models see it: a name, and models by their ids.
public protocol UpstreamSource: Sendable {
    /// The provider's name in the configuration.
    var name: String { get }

    /// The upstream for the model `id`; nil where the provider is known not to have it.
    func model(_ id: String) -> (any Model)?

    /// The dialect in which the model `id` is asked by such a call; nil where that is not known.
    func dialect(of id: String, for call: Call) -> DialectID?
}

extension UpstreamSource {
    /// Nothing is known.
    public func dialect(of id: String, for call: Call) -> DialectID? { nil }
}

/// The models that a provider says it has.
public struct ProviderList: Sendable, Equatable {
    /// The provider's name in the configuration.
    public var provider: String
    /// The ids, in the provider's order.
    public var ids: [String]

    /// A list.
    public init(provider: String, ids: [String]) {
        self.provider = provider
        self.ids = ids
    }
}
