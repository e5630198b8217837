// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

extension SettingsTable {
    private static let strategies: SettingType =
        .oneOrMany(.choice(noun: "strategy", ReasonSettings.Strategy.allCases.map(\.rawValue)))

    private static let period: SettingType =
        .choice(noun: "period", BudgetSettings.Period.allCases.map(\.rawValue))

    static let access: [Setting] =
        [
            Setting("keys", .list, "The credentials that clients may use. Absent: one is generated, kept and printed."),
            Setting("keys[]", .section, "One key."),
            Setting("keys[].name", .string, "Its name in logs and reports. Required, and unique."),
            Setting("keys[].key", .secret, "The key itself. Required, unless `sha256` is given."),
            Setting("keys[].sha256", .sha256, "The SHA-256 of the key in hexadecimal, in place of `key`."),
            Setting(
                "keys[].models", .oneOrMany(.pattern),
                "The names it may use, each with at most one `*`. Absent or `*`: all."),
            Setting(
                "keys[].model", .model,
                "The model that answers whatever the client asks for; a `*` in it stands for the name asked for."),
            Setting("keys[].params", .object, "Request members sent unless the client says otherwise."),
            Setting("keys[].force", .object, "Request members sent whatever the client says."),
            Setting(
                "keys[].expires", .date,
                "When it stops working: a day (from 00:00 UTC) or a moment such as `2027-01-01T12:00:00Z`."),
            Setting("keys[].team", .string, built: false, "The team it belongs to."),
        ]
        + limits("keys[]") + perModelLimits + budget("keys[]") + [
            Setting(
                "keys[].strategies", strategies,
                "Reasoning strategies it may ask for by name, as in `panel:smart`."),
            Setting("teams", .list, built: false, "Groups of keys that share limits and a budget."),
            Setting("teams[]", .section, built: false, "One team."),
            Setting("teams[].name", .string, built: false, "Its name. Required, and unique."),
        ] + limits("teams[]") + budget("teams[]") + identity

    private static func limits(_ owner: String) -> [Setting] {
        [
            Setting("\(owner).limits", .section, built: false, "How much may be asked. Absent: no bound."),
            Setting("\(owner).limits.rpm", count, built: false, "Requests per minute."),
            Setting("\(owner).limits.tpm", count, built: false, "Tokens per minute."),
            Setting("\(owner).limits.concurrent", count, built: false, "Calls at once."),
        ]
    }

    private static let perModelLimits: [Setting] = [
        Setting("keys[].limits.models", .named, built: false, "Bounds for single models, by name."),
        Setting("keys[].limits.models.*", .section, built: false, "One model's bounds."),
        Setting("keys[].limits.models.*.rpm", count, built: false, "Requests per minute."),
        Setting("keys[].limits.models.*.tpm", count, built: false, "Tokens per minute."),
        Setting("keys[].limits.models.*.concurrent", count, built: false, "Calls at once."),
    ]

    private static func budget(_ owner: String) -> [Setting] {
        [
            Setting("\(owner).budget", .section, built: false, "What may be spent. Absent: no bound."),
            Setting("\(owner).budget.usd", money, built: false, "US dollars. Required within `budget`."),
            Setting("\(owner).budget.per", period, "month", built: false, "The span they are for, in UTC."),
        ]
    }

    private static let identity: [Setting] = [
        Setting("jwt", .section, built: false, "Tokens of an identity provider, accepted in place of keys."),
        Setting("jwt.issuer", .url(["https", "http"]), built: false, "The issuer tokens must name. Required."),
        Setting("jwt.audience", .string, built: false, "The audience tokens must name. Required."),
        Setting("jwt.jwks", .url(["https", "http"]), built: false, "The issuer's public keys. Required."),
        Setting("jwt.team_claim", .string, built: false, "The claim that names the team. Absent: none."),
        Setting("jwt.models", .oneOrMany(.pattern), built: false, "The names such callers may use. Absent: all."),
        Setting("prices", .named, "Prices in US dollars per million tokens; win over the built-in ones."),
        Setting("prices.*", .section, "One upstream, as `provider/model`."),
        Setting("prices.*.input", money, "Tokens read. Required."),
        Setting("prices.*.cache_read", money, "Tokens from the upstream's cache. Absent: as `input`."),
        Setting("prices.*.output", money, "Tokens written. Required."),
    ]
}
