// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects

/// Spark's HTTP API: OpenAI's, as the catalogue describes it, but that X1 lives beside it under `/v2`.
final class SparkHTTPProvider: Provider {
    let id: String
    let credentials: Credentials
    var overrides: [FieldOverride] { standard.overrides }
    private let standard: CompatibleProvider
    private let reasoning: CompatibleProvider
    private let reasoningPath: String

    init(_ setup: ProviderSetup) throws(ProviderError) {
        guard let vendor = Catalogue.vendor("spark-http") else { throw ProviderError("is not known", setting: "kind") }
        var setup = setup
        setup.apiKeys = try Self.keys(setup)
        standard = try CompatibleProvider(setup, vendor: vendor)
        let second = Self.second(setup.baseURL ?? vendor.baseURL)
        setup.baseURL = second
        reasoning = try CompatibleProvider(setup, vendor: vendor)
        reasoningPath = try BaseURL(second, setting: "base_url").path
        id = standard.id
        credentials = standard.credentials
    }

    /// `/v1`, or no path at all, as `/v2`.
    private static func second(_ base: String) -> String {
        var base = base
        while base.hasSuffix("/") { base.removeLast() }
        if base.hasSuffix("/v1") { return String(base.dropLast()) + "2" }
        return base.split(separator: "/").count > 2 ? base : base + "/v2"
    }

    /// The key is the APIPassword; older accounts put one together from key and secret.
    private static func keys(_ setup: ProviderSetup) throws(ProviderError) -> [String] {
        let keys = setup.apiKeys.flatMap { $0.split(separator: ",").map(\.trimmed) }
        let secrets = try SparkCredential.list(setup, "api_secret")
        guard !secrets.isEmpty else { return setup.apiKeys }
        guard secrets.count == keys.count else {
            throw ProviderError(
                "has \(secrets.count) values where api_key has \(keys.count): they go together one by one",
                setting: "api_secret")
        }
        return zip(keys, secrets).map { "\($0):\($1)" }
    }

    func face(for call: Call, model: String) throws(ParleyError) -> Face {
        try (model == "x1" ? reasoning : standard).face(for: call, model: model)
    }

    func authorize(
        _ target: Target, body: ByteBuffer?, with credential: Credential, through connector: any Connector
    ) async throws(ParleyError) -> ByteBuffer {
        let provider = target.path.hasPrefix(reasoningPath + "/") ? reasoning : standard
        return try await provider.authorize(target, body: body, with: credential, through: connector)
    }

    func learn(from failure: ParleyError, body: ByteBuffer) -> Bool {
        let isLearnt = standard.learn(from: failure, body: body)
        return reasoning.learn(from: failure, body: body) || isLearnt
    }
}

/// Spark's models by any of their names. The service has no list, but the versions are known.
struct SparkSource: ModelSource {
    private let source: ProviderSource
    /// What is offered beside the models that the configuration names.
    private let known: [String]
    private let isClosed: Bool

    init(_ setup: ProviderSetup) throws(ProviderError) {
        var setup = setup
        let isHTTP = try setup.options.string("transport") == "http"
        for index in setup.models.indices {
            setup.models[index].upstream = SparkModel(setup.models[index].upstream).domain
        }
        if isHTTP {
            source = ProviderSource(try SparkHTTPProvider(setup), setup: setup)
        } else {
            source = ProviderSource(try SparkProvider(setup), setup: setup)
        }
        isClosed = !setup.discover && !setup.models.isEmpty
        let named = setup.models.map(\.name)
        // The second version was never offered over HTTP.
        let unnamed = SparkModel.domains.filter { !named.contains($0) && !(isHTTP && $0 == "generalv2") }
        known = setup.discover ? unnamed : []
    }

    var name: String { source.name }

    var namedModels: [String] { source.namedModels }

    var listedModels: [String]? { namedModels + known }

    func model(_ id: String) -> (any Model)? {
        if isClosed || id.isEmpty || namedModels.contains(id) { return source.model(id) }
        return source.model(SparkModel(id).domain)
    }

    func discover(_ connector: any Connector) async throws(ParleyError) -> [ListedModel] {
        (listedModels ?? []).map { ListedModel(id: $0, ownedBy: nil) }
    }
}
