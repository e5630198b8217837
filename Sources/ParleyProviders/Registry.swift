// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore
import ParleyDialects

/// Every kind of provider, as one table: its order is the order of the documentation.
public enum Registry {
    /// A kind of provider.
    public struct Kind: Sendable {
        /// The name in a configuration.
        public let name: String
        /// What it is, in a few words.
        public let summary: String
        /// False where the kind is known but its models only say that they are not built.
        public let isBuilt: Bool
        /// Names of the settings that only this kind knows.
        public let options: [String]
        /// Makes the provider of a configuration.
        public let make: @Sendable (ProviderSetup) throws(ProviderError) -> any ModelSource
    }

    /// The kinds.
    public static let kinds: [Kind] = first + catalogued + unbuilt

    private static let first: [Kind] = [
        compatible(openAI, "OpenAI's own API"),
        compatible(anyCompatible, "Anything that speaks OpenAI's Chat Completions at a base_url"),
        Kind(
            name: "anthropic", summary: "Anthropic", isBuilt: true, options: AnthropicProvider.options
        ) { setup throws(ProviderError) in ProviderSource(try AnthropicProvider(setup), setup: setup) },
        Kind(
            name: "demo", summary: "A built-in model that needs no key", isBuilt: true, options: DemoSource.options
        ) { setup throws(ProviderError) in try DemoSource(setup) },
        Kind(name: "gemini", summary: "Google Gemini, native API", isBuilt: true, options: []) {
            setup throws(ProviderError) in ProviderSource(try GeminiProvider(setup), setup: setup)
        },
        Kind(name: "vertex", summary: "Google Vertex AI", isBuilt: true, options: VertexProvider.options) {
            setup throws(ProviderError) in ProviderSource(try VertexProvider(setup), setup: setup)
        },
        Kind(
            name: "azure", summary: "Azure OpenAI and Azure AI Foundry", isBuilt: true, options: AzureProvider.options
        ) { setup throws(ProviderError) in ProviderSource(try AzureProvider(setup), setup: setup) },
        Kind(
            name: "bedrock", summary: "Amazon Bedrock", isBuilt: true, options: BedrockProvider.options
        ) { setup throws(ProviderError) in ProviderSource(try BedrockProvider(setup), setup: setup) },
        own("ollama", OllamaProvider.summary) { setup throws(ProviderError) in try OllamaProvider(setup) },
        own("cohere", CohereProvider.summary) { setup throws(ProviderError) in try CohereProvider(setup) },
        own("flowgpt", FlowGPTProvider.summary, options: FlowGPTProvider.options) { setup throws(ProviderError) in
            try FlowGPTProvider(setup)
        },
        own("fitten", FittenProvider.summary, options: FittenProvider.options) { setup throws(ProviderError) in
            try FittenProvider(setup)
        },
        own("claude-web", ClaudeWebProvider.summary, options: ClaudeWebProvider.options) {
            setup throws(ProviderError) in try ClaudeWebProvider(setup)
        },
        Kind(
            name: "spark", summary: SparkProvider.summary, isBuilt: true, options: SparkProvider.options
        ) { setup throws(ProviderError) in try SparkSource(setup) },
        Kind(name: "iflow", summary: IFlow.summary, isBuilt: true, options: IFlow.options) {
            setup throws(ProviderError) in try IFlow.make(setup)
        },
        own("acp", ACPProvider.summary, options: ACPProvider.options) { setup throws(ProviderError) in
            try ACPProvider(setup)
        },
        own("zhipu", ZhipuProvider.summary, options: ZhipuProvider.options, ZhipuProvider.make),
        own("qianfan", QianfanProvider.summary, options: QianfanProvider.options, QianfanProvider.make),
        own("dashscope", DashScopeProvider.summary, options: DashScopeProvider.options, DashScopeProvider.make),
    ]

    private static let catalogued: [Kind] = Catalogue.vendors.map { compatible($0, $0.name) }

    private static let byName = Dictionary(kinds.map { ($0.name, $0) }) { first, _ in first }

    /// The kind called `name`.
    public static func kind(_ name: String) -> Kind? { byName[name] }

    /// Makes the provider that `setup` describes.
    public static func make(_ setup: ProviderSetup) throws(ProviderError) -> any ModelSource {
        guard let kind = byName[setup.kind] else {
            throw ProviderError("is not a known kind of provider", setting: "kind")
        }
        return try kind.make(setup)
    }

    static let openAI = Vendor("openai", "OpenAI", "https://api.openai.com/v1", ["OPENAI_API_KEY"]) {
        $0.quirks.completions = true
        $0.quirks.responses = true
        $0.hasResponsesOnlyModels = true
    }

    static let anyCompatible = Vendor("openai-compatible", "OpenAI-compatible", "{base_url}/v1") {
        $0.needsKey = false
        // Only where an answer is translated: relayed ones stay as they are.
        $0.quirks.inlineThinking = true
        // Servers of one's own sample by it, nearly all of them.
        $0.quirks.knownFields = ["top_k"]
        $0.quirks.completions = true
    }

    private static func compatible(_ vendor: Vendor, _ summary: String) -> Kind {
        Kind(
            name: vendor.id, summary: summary, isBuilt: true, options: vendor.places.filter { $0 != "base_url" }
        ) { setup throws(ProviderError) in
            ProviderSource(try CompatibleProvider(setup, vendor: vendor), setup: setup)
        }
    }

    /// A kind with an API of its own.
    private static func own(
        _ name: String, _ summary: String, options: [String] = [],
        _ make: @escaping @Sendable (ProviderSetup) throws(ProviderError) -> any Provider
    ) -> Kind {
        Kind(name: name, summary: summary, isBuilt: true, options: options) { setup throws(ProviderError) in
            ProviderSource(try make(setup), setup: setup)
        }
    }

    /// Kinds that a configuration may name and that answer `notImplemented`, with the settings they will have.
    private static let unbuilt: [Kind] = [
        later("replicate", "Replicate", [])
    ]

    private static func later(_ name: String, _ summary: String, _ options: [String]) -> Kind {
        Kind(name: name, summary: summary, isBuilt: false, options: options) { setup throws(ProviderError) in
            UnbuiltSource(setup)
        }
    }
}
