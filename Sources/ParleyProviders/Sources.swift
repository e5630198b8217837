// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore
import ParleyDialects

/// The models of one provider.
struct ProviderSource: ModelSource {
    let provider: any Provider
    /// In the order of the configuration.
    let renames: [ProviderSetup.Rename]
    let discovers: Bool
    private let upstreamNames: [String: String]

    init(_ provider: any Provider, setup: ProviderSetup) {
        self.provider = provider
        renames = setup.models
        discovers = setup.discover && provider is any ListsModels
        upstreamNames = Dictionary(setup.models.map { ($0.name, $0.upstream) }) { _, last in last }
        // Where nothing is named and nothing is listed, every name is let through: only the service knows.
        isClosed = !setup.discover && !setup.models.isEmpty
    }

    private let isClosed: Bool

    var name: String { provider.id }

    var namedModels: [String] { renames.map(\.name) }

    var listedModels: [String]? { discovers ? nil : namedModels }

    func model(_ id: String) -> (any Model)? {
        guard !id.isEmpty else { return nil }
        if let upstream = upstreamNames[id] {
            return Upstream(provider: provider, model: upstream, name: "\(provider.id)/\(id)")
        }
        return isClosed ? nil : Upstream(provider: provider, model: id, name: "\(provider.id)/\(id)")
    }

    func dialect(of id: String, for call: Call) -> DialectID? {
        (try? provider.face(for: call, model: upstreamNames[id] ?? id))?.dialect.id
    }

    func passing(_ request: PassedRequest) -> (any Model)? {
        guard let provider = provider as? any PassesRequests, provider.passes(request) else { return nil }
        return Upstream(provider: provider, model: "", name: provider.id)
    }

    var signIn: (any SignsIn)? { (provider as? any SignsIn).flatMap { $0.isSignInOffered ? $0 : nil } }

    var keepsTokens: Bool { signIn != nil }

    func discover(_ connector: any Connector) async throws(ParleyError) -> [ListedModel] {
        let named = renames.map { ListedModel(id: $0.name) }
        guard discovers, let lister = provider as? any ListsModels else { return named }
        let listed = try await lister.models(connector)
        return named + listed.filter { model in upstreamNames[model.id] == nil }
    }
}

/// The models of a kind of provider that is known but not built: each says so when it is called.
struct UnbuiltSource: ModelSource {
    let name: String
    let kind: String
    let namedModels: [String]

    /// - Parameter what: what is not built, where it is not the whole kind.
    init(_ setup: ProviderSetup, what: String? = nil) {
        name = setup.name
        kind = what ?? setup.kind
        namedModels = setup.models.map(\.name)
    }

    var listedModels: [String]? { namedModels }

    func model(_ id: String) -> (any Model)? {
        UnbuiltModel(name: "\(name)/\(id)", kind: kind)
    }

    func discover(_ connector: any Connector) async throws(ParleyError) -> [ListedModel] {
        namedModels.map { ListedModel(id: $0) }
    }
}

/// A model that says that its provider is not built.
struct UnbuiltModel: Model {
    let name: String
    let kind: String

    func answer(_ call: Call) async throws(ParleyError) -> Reply {
        call.trace.fail(try call.trace.begin(name), .notImplemented)
        throw ParleyError(
            .notImplemented, "The model \(name) belongs to a provider of kind \(kind), which is not built yet.")
    }
}

/// The demo's models: one that is listed, and any other name.
struct DemoSource: ModelSource {
    static let options = ["delay", "tokens_per_second", "fail", "cut", "replies"]

    let name: String
    private let settings: DemoModel.Settings
    private let names: [String]
    private let models: [String: DemoModel]

    init(_ setup: ProviderSetup) throws(ProviderError) {
        name = setup.name
        var settings = DemoModel.Settings()
        let options = setup.options
        if let delay = try options.duration("delay") { settings.delay = delay }
        if let speed = try options.double("tokens_per_second", in: 0...1e6) { settings.tokensPerSecond = speed }
        if let share = try options.double("fail", in: 0...1) { settings.failureShare = share }
        if let share = try options.double("cut", in: 0...1) { settings.cutShare = share }
        if let replies = try options.strings("replies") { settings.replies = replies }
        self.settings = settings
        var names = setup.models.map(\.name)
        if !names.contains("demo") { names.append("demo") }
        self.names = names
        // Kept, so that replies take turns from call to call.
        models = Dictionary(
            names.map { ($0, DemoModel(name: "\(setup.name)/\($0)", settings: settings)) },
            uniquingKeysWith: { first, _ in first })
    }

    var namedModels: [String] { names }

    var listedModels: [String]? { names }

    func model(_ id: String) -> (any Model)? {
        guard !id.isEmpty else { return nil }
        return models[id] ?? DemoModel(name: "\(name)/\(id)", settings: settings)
    }

    func discover(_ connector: any Connector) async throws(ParleyError) -> [ListedModel] {
        names.map { ListedModel(id: $0, ownedBy: "parley") }
    }
}
