// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore

/// A provider as the rest of the program sees it: a name and the models behind it.
public protocol ModelSource: Sendable {
    /// The provider's name: the part before the slash in `provider/model`.
    var name: String { get }

    /// The models that the configuration names, in its order.
    var namedModels: [String] { get }

    /// The models there are, where that is known without asking; nil means that `discover` must be asked.
    var listedModels: [String]? { get }

    /// The model `id` of this provider (the part after the slash), renamed where the configuration says so.
    ///
    /// - Returns: nil where only named models may be used and `id` is not one.
    func model(_ id: String) -> (any Model)?

    /// The dialect in which the model `id` is asked by such a call; nil where that is not known.
    func dialect(of id: String, for call: Call) -> DialectID?

    /// What answers a request that is passed on and names no model; nil where this provider is not known to have it.
    func passing(_ request: PassedRequest) -> (any Model)?

    /// How its user signs in at the vendor's own page; nil where that is not how this provider works.
    var signIn: (any SignsIn)? { get }

    /// Whether tokens of this provider have to survive a restart, so that it is of no use without a store.
    var keepsTokens: Bool { get }

    /// Asks the service which models it has; those that the configuration names come first.
    func discover(_ connector: any Connector) async throws(ParleyError) -> [ListedModel]
}

extension ModelSource {
    /// Nothing is known.
    public func dialect(of id: String, for call: Call) -> DialectID? { nil }

    /// Nothing is passed on.
    public func passing(_ request: PassedRequest) -> (any Model)? { nil }

    /// Nobody signs in.
    public var signIn: (any SignsIn)? { nil }

    /// Nothing is kept.
    public var keepsTokens: Bool { false }
}

/// A model as a service lists it.
public struct ListedModel: Sendable, Equatable {
    /// The id to ask for it by.
    public var id: String
    /// When it was made, in seconds since 1970, where the service says so.
    public var created: Int?
    /// Who made it, where the service says so.
    public var ownedBy: String?

    /// A model of a list.
    public init(id: String, created: Int? = nil, ownedBy: String? = nil) {
        self.id = id
        self.created = created
        self.ownedBy = ownedBy
    }
}
