// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// One entry of `keys`: a credential that this gateway accepts.
public struct KeySettings: Sendable, Equatable {
    /// What a client must show.
    public enum Credential: Sendable, Equatable {
        /// The key itself.
        case plain(Secret)
        /// The SHA-256 of the key, 64 lower-case hexadecimal digits.
        case sha256(String)
    }

    /// The key's name in logs and reports.
    public var name: String
    /// Where the entry stands in the file.
    public var position: SourcePosition
    /// What a client must show.
    public var credential: Credential
    /// The names this key may use, each with at most one `*`; nil: all.
    public var models: [String]?
    /// The model that answers whatever the client asks for, a `*` in it being the name asked for; nil: that name.
    public var model: String?
    /// Request members sent unless the client says otherwise.
    public var params = SettingMap()
    /// Request members sent whatever the client says.
    public var force = SettingMap()
    /// The team that the key belongs to.
    public var team: String?
    /// How much the key may ask.
    public var limits = LimitSettings()
    /// What the key may spend; nil: no bound.
    public var budget: BudgetSettings?
    /// Reasoning strategies that the key may ask for by name; nil: none.
    public var strategies: [ReasonSettings.Strategy]?
    /// When the key stops working, in seconds since 1970 (UTC); nil: never.
    public var expires: Int64?

    /// A key that may use everything.
    public init(name: String, position: SourcePosition, credential: Credential) {
        self.name = name
        self.position = position
        self.credential = credential
    }
}

/// How much may be asked; nil members are unbounded.
public struct LimitSettings: Sendable, Equatable {
    /// Bounds for one model.
    public struct PerModel: Sendable, Equatable {
        /// The model's name.
        public var model: String
        /// Requests per minute.
        public var rpm: Int?
        /// Tokens per minute.
        public var tpm: Int?
        /// Calls at once.
        public var concurrent: Int?

        /// No bounds.
        public init(model: String) {
            self.model = model
        }
    }

    /// Requests per minute.
    public var rpm: Int?
    /// Tokens per minute.
    public var tpm: Int?
    /// Calls at once.
    public var concurrent: Int?
    /// Bounds for single models, in file order.
    public var models: [PerModel] = []

    /// No bounds.
    public init() {}
}

/// What may be spent.
public struct BudgetSettings: Sendable, Equatable {
    /// The span after which spending starts at zero again.
    public enum Period: String, Sendable, Equatable, CaseIterable {
        /// A day, UTC.
        case day
        /// A week from Monday, UTC.
        case week
        /// A calendar month, UTC.
        case month
        /// For ever.
        case total
    }

    /// US dollars.
    public var usd: Double
    /// The span they are for.
    public var per: Period

    /// A budget.
    public init(usd: Double, per: Period = .month) {
        self.usd = usd
        self.per = per
    }
}

/// One entry of `teams`: keys that share limits and a budget.
public struct TeamSettings: Sendable, Equatable {
    /// The team's name.
    public var name: String
    /// Where the entry stands in the file.
    public var position: SourcePosition
    /// How much the team may ask.
    public var limits = LimitSettings()
    /// What the team may spend; nil: no bound.
    public var budget: BudgetSettings?

    /// A team without bounds.
    public init(name: String, position: SourcePosition) {
        self.name = name
        self.position = position
    }
}

/// `jwt`: tokens of an identity provider that are accepted in place of keys.
public struct JWTSettings: Sendable, Equatable {
    /// The issuer that tokens must name.
    public var issuer: String
    /// The audience that tokens must name.
    public var audience: String
    /// URL of the issuer's public keys.
    public var jwks: String
    /// The claim that names the team; nil: none.
    public var teamClaim: String?
    /// The names such a caller may use; nil: all.
    public var models: [String]?

    /// Settings without a team claim, for all models.
    public init(issuer: String, audience: String, jwks: String) {
        self.issuer = issuer
        self.audience = audience
        self.jwks = jwks
    }
}

/// One entry of `prices`, in US dollars per million tokens.
public struct PriceSettings: Sendable, Equatable {
    /// The upstream, as `provider/model`.
    public var model: String
    /// Where the entry stands in the file.
    public var position: SourcePosition
    /// Tokens read.
    public var input: Double
    /// Tokens read from the upstream's cache; nil: as `input`.
    public var cacheRead: Double?
    /// Tokens written.
    public var output: Double

    /// A price.
    public init(model: String, position: SourcePosition, input: Double, output: Double) {
        self.model = model
        self.position = position
        self.input = input
        self.output = output
    }
}
