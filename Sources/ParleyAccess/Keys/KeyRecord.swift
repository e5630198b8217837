// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore

/// What is known of a key: who it is for and what it may do, never the secret.
public struct KeyRecord: Sendable, Equatable {
    /// The name in logs and reports.
    public var name: String
    /// The SHA-256 of the secret.
    public var digest: KeyDigest
    /// The names of models it may use, each with at most one `*`; nil: all.
    public var models: [String]?
    /// The model that answers whatever the client asks for; a `*` in it stands for the name asked for. Nil: the one
    /// asked for.
    public var forcedModel: String?
    /// Request fields it sets, weakest first.
    public var overrides: [FieldOverride]
    /// When it stops working, in seconds since 1970; nil: never.
    public var expires: Int64?
    /// Whether Parley made it up because the configuration has none.
    public var isGenerated: Bool

    /// A key; one that is given no more than a name and a digest may do everything for ever.
    public init(
        name: String, digest: KeyDigest, models: [String]? = nil, forcedModel: String? = nil,
        overrides: [FieldOverride] = [], expires: Int64? = nil, isGenerated: Bool = false
    ) {
        self.name = name
        self.digest = digest
        self.models = models
        self.forcedModel = forcedModel
        self.overrides = overrides
        self.expires = expires
        self.isGenerated = isGenerated
    }

    /// The model that answers where the client asks for `asked`: the forced one with that name in place of its `*`.
    ///
    /// - Returns: nil where the client decides, and where its name is wanted and missing.
    public func forced(_ asked: String?) -> String? {
        guard let forcedModel, let star = forcedModel.firstIndex(of: "*") else { return forcedModel }
        guard let asked, !asked.isEmpty else { return nil }
        return "\(forcedModel[..<star])\(asked)\(forcedModel[forcedModel.index(after: star)...])"
    }

    /// Whether the key no longer works at `now`, in seconds since 1970.
    public func isExpired(at now: Int64) -> Bool {
        expires.map { $0 <= now } ?? false
    }
}
