// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
public import ParleyAccess
public import ParleyCore
public import ParleyModels
public import ParleyProviders

/// Makes a live configuration of settings.
public struct Assembler: Sendable {
    /// The key that was generated for clients; used where the file names none.
    public var generatedKey: KeyRecord?
    /// A key beside those of the file, for a server that serves only the command it runs in.
    public var ownKey: KeyRecord?
    /// Providers that were found without a file: by environment variables, or listening on this machine.
    public var found: [ProviderSetup] = []
    /// Where providers keep tokens; nil keeps them in memory only.
    public var store: CredentialStoreReference?
    /// Where answers are kept, also from one configuration to the next; nil keeps none.
    public var cache: AnswerCache?
    /// Whether the demo model stands in where there is no provider at all.
    public var offersDemo = true

    /// An assembler that adds nothing to the file.
    public init() {}

    /// The live configuration, or everything that is in the way of one.
    ///
    /// - Parameter previous: the configuration so far; a provider that says the same as there goes on, with its tokens
    ///   and processes.
    public func assemble(
        _ settings: Settings, loaded: Int, after previous: Snapshot? = nil
    ) -> (snapshot: Snapshot?, diagnostics: [Diagnostic]) {
        var diagnostics: [Diagnostic] = []
        var made: [Snapshot.MadeProvider] = []
        let timeouts = ParleyCore.TimeoutOverrides(settings.defaults.timeout)
        for provider in settings.providers {
            do {
                made.append(try make(ProviderSetup(provider).filled(with: timeouts), after: previous))
            } catch {
                let path = "providers.\(provider.name)" + (error.setting.map { ".\($0)" } ?? "")
                diagnostics.append(
                    Diagnostic(severity: .error, position: provider.position, path: path, message: error.message))
            }
        }
        for setup in found where !made.contains(where: { $0.setup.name == setup.name }) {
            if let provider = try? make(setup.filled(with: timeouts), after: previous) { made.append(provider) }
        }
        var providers = made.map(\.source)
        var hint: String?
        let isDemoOnly = providers.allSatisfy { $0.listedModels == ["demo"] }
        if providers.isEmpty, offersDemo, let demo = try? Registry.make(ProviderSetup(name: "demo", kind: "demo")) {
            providers.append(demo)
        }
        if isDemoOnly {
            hint =
                "Only the built-in \"demo\" model is there: set OPENAI_API_KEY (or another provider's variable) "
                + "and start again, or name a provider in parley.yaml."
        }
        let health = health(of: made, after: previous)
        let prices = PriceBook(settings.prices, providers: made.map(\.setup))
        let (directory, problems) = Directory.build(
            blueprint(settings), sources: providers.map { SourceAdapter(source: $0) }, cache: cache,
            cost: { upstream, usage in prices.cost(of: usage, at: upstream).map { Double($0) / 1e9 } }, health: health)
        for problem in problems {
            let position =
                settings.model(named: problem.model)?.position ?? SourcePosition(file: "", line: 1, column: 1)
            diagnostics.append(
                Diagnostic(
                    severity: .error, position: position, path: "models.\(problem.model)", message: problem.message))
        }
        guard !diagnostics.contains(where: { $0.severity == .error }) else { return (nil, diagnostics) }
        cache?.resize(settings.cache.memory)
        let snapshot = Snapshot(
            server: ServerRules(settings.server), keys: keys(settings), providers: providers, made: made,
            health: health, lists: ModelLists(directory, providers: providers),
            prices: prices, defaultModel: settings.defaults.model, timeouts: timeouts,
            isStrict: settings.defaults.strict, conversations: ConversationRules(settings.conversations), hint: hint,
            loaded: loaded)
        return (snapshot, diagnostics)
    }

    /// How the upstreams fare: what is known of those that are the same as before goes on.
    private func health(of made: [Snapshot.MadeProvider], after previous: Snapshot?) -> HealthBook {
        guard let previous else { return HealthBook() }
        let same = made.filter { provider in previous.made.contains { $0.setup == provider.setup } }
        return HealthBook(after: previous.health, keeping: Set(same.map(\.setup.name)))
    }

    private func make(
        _ setup: ProviderSetup, after previous: Snapshot?
    ) throws(ProviderError) -> Snapshot.MadeProvider {
        var setup = setup
        setup.store = store
        if let same = previous?.made.first(where: { $0.setup == setup }) { return same }
        return Snapshot.MadeProvider(setup: setup, source: try Registry.make(setup))
    }

    private func keys(_ settings: Settings) -> KeyTable {
        var records = settings.keys.compactMap { KeyRecord($0) }
        if records.isEmpty, let generatedKey { records.append(generatedKey) }
        if let ownKey { records.append(ownKey) }
        return KeyTable(records)
    }

    private func blueprint(_ settings: Settings) -> Blueprint {
        Blueprint(
            settings.models.map { model in
                switch model.body {
                case .alias(let target): return Blueprint.Entry(model.name, .alias(target))
                case .route(let route): return entry(model.name, route, settings)
                case .reason(let reason):
                    return Blueprint.Entry(model.name, .reason(Blueprint.Chain(reason)))
                }
            }, retry: RetryPolicy(settings.defaults.retry),
            breaker: ParleyModels.BreakerSettings(settings.defaults.breaker),
            cacheTTL: TimeAmount(settings.cache.ttl))
    }

    private func entry(_ name: String, _ route: RouteSettings, _ settings: Settings) -> Blueprint.Entry {
        Blueprint.Entry(
            name, .route(Blueprint.Route(route, settings.defaults)),
            overrides: FieldOverride.list(params: route.params, force: SettingMap()),
            timeouts: ParleyCore.TimeoutOverrides(route.timeout), system: route.system,
            cacheTTL: route.cacheTTL.map { TimeAmount($0) })
    }
}

/// A provider as models see it.
private struct SourceAdapter: UpstreamSource {
    let source: any ModelSource

    var name: String { source.name }

    func model(_ id: String) -> (any Model)? { source.model(id) }

    func dialect(of id: String, for call: Call) -> DialectID? { source.dialect(of: id, for: call) }
}
