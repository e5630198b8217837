// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore

/// What is known of a key: who it is for and what it may do, never the secret.
///
/// An object, since every request passes it along and nothing changes it.
public final class KeyRecord: Sendable, Equatable {
    /// The name in logs and reports.
    public let name: String
    /// The SHA-256 of the secret.
    public let digest: KeyDigest
    /// The names of models it may use, each with at most one `*`; nil: all.
    public let models: [String]?
    /// The model that answers whatever the client asks for; a `*` in it stands for the name asked for. Nil: the one
    /// asked for.
    public let forcedModel: String?
    /// Reasoning strategies it may ask for by name, as in `panel:smart`; nil: none.
    public let strategies: [String]?
    /// Request fields it sets, weakest first.
    public let overrides: [FieldOverride]
    /// When it stops working, in seconds since 1970; nil: never.
    public let expires: Int64?
    /// Whether Parley made it up because the configuration has none.
    public let isGenerated: Bool

    /// A key; one that is given no more than a name and a digest may do everything for ever.
    public init(
        name: String, digest: KeyDigest, models: [String]? = nil, forcedModel: String? = nil,
        strategies: [String]? = nil, overrides: [FieldOverride] = [], expires: Int64? = nil, isGenerated: Bool = false
    ) {
        self.name = name
        self.digest = digest
        self.models = models
        self.forcedModel = forcedModel
        self.strategies = strategies
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

    /// Whether both say the same.
    public static func == (left: KeyRecord, right: KeyRecord) -> Bool {
        left === right
            || left.name == right.name && left.digest == right.digest && left.models == right.models
                && left.forcedModel == right.forcedModel
                && left.strategies == right.strategies && left.overrides == right.overrides
                && left.expires == right.expires && left.isGenerated == right.isGenerated
    }

    /// Whether the key no longer works at `now`, in seconds since 1970.
    public func isExpired(at now: Int64) -> Bool {
        expires.map { $0 <= now } ?? false
    }
}
