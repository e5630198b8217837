// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// Everything `parley.yaml` can say, typed, with defaults filled in.
///
/// An empty file gives `Settings()`. Lists that the file orders (providers, models, keys) keep that order.
public struct Settings: Sendable, Equatable {
    /// The data plane's listener and its bounds.
    public var server = ServerSettings()
    /// The administrator's credential.
    public var admin = AdminSettings()
    /// Where the console listens and how long a sign-in lasts.
    public var console = ConsoleSettings()
    /// Where and what is logged.
    public var log = LogSettings()
    /// Metrics and traces.
    public var telemetry = TelemetrySettings()
    /// The database; nil means SQLite in the state folder.
    public var store: StoreSettings?
    /// How long stored records are kept.
    public var retention = RetentionSettings()
    /// Whether request and answer bodies are stored.
    public var capture = CaptureSettings()
    /// The services that host models, in file order.
    public var providers: [ProviderSettings] = []
    /// What a model does not say itself.
    public var defaults = DefaultsSettings()
    /// The configured models, in file order; names may hold one `*`.
    public var models: [ModelSettings] = []
    /// Histories kept on the server.
    public var conversations = ConversationSettings()
    /// The answer cache.
    public var cache = CacheSettings()
    /// The credentials this gateway accepts, in file order.
    public var keys: [KeySettings] = []
    /// Groups of keys that share limits and a budget.
    public var teams: [TeamSettings] = []
    /// Tokens of an identity provider accepted in place of keys; nil when absent.
    public var jwt: JWTSettings?
    /// Prices that win over the built-in table, in file order.
    public var prices: [PriceSettings] = []

    /// The settings of an empty file.
    public init() {}

    /// The provider of that name, if the file has one.
    public func provider(named name: String) -> ProviderSettings? { providers.first { $0.name == name } }

    /// The model configured under exactly that name, if the file has one.
    public func model(named name: String) -> ModelSettings? { models.first { $0.name == name } }
}
