// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyConfiguration
import Testing

@Suite struct LiteLLMImportTests {
    private static func read(_ text: String) throws -> Imports.Result { try Imports.read(text, .liteLLM) }

    /// The result of one deployment called `m`.
    private static func deployment(_ params: String) throws -> Imports.Result {
        try read("model_list:\n  - model_name: m\n    litellm_params: {\(params)}\n")
    }

    @Test(
        "Each service becomes its kind, and the model's name loses LiteLLM's prefix",
        arguments: [
            ("openai/gpt-4o", "openai", "gpt-4o"), ("gpt-4o", "openai", "gpt-4o"),
            ("anthropic/claude-x", "anthropic", "claude-x"),
            ("claude-x", "anthropic", "claude-x"), ("gemini/g", "gemini", "g"), ("vertex_ai/g", "vertex", "g"),
            ("gemini-pro", "vertex", "gemini-pro"), ("bedrock/anthropic.x-v1:0", "bedrock", "anthropic.x-v1:0"),
            ("bedrock/converse/us-west-2/anthropic.x", "bedrock", "anthropic.x"), ("ollama/llama3", "ollama", "llama3"),
            ("ollama_chat/llama3", "ollama", "llama3"), ("groq/llama-3", "groq", "llama-3"),
            ("mistral/m", "mistral", "m"),
            ("deepseek/deepseek-chat", "deepseek", "deepseek-chat"), ("together_ai/meta/l", "together", "meta/l"),
            ("fireworks_ai/accounts/f", "fireworks", "accounts/f"), ("openrouter/a/b", "openrouter", "a/b"),
            ("xai/grok", "xai", "grok"), ("cohere_chat/command-r", "cohere", "command-r"),
            ("perplexity/sonar", "perplexity", "sonar"),
            ("nvidia_nim/n", "nvidia", "n"), ("cerebras/c", "cerebras", "c"), ("deepinfra/d", "deepinfra", "d"),
            ("volcengine/v", "volcengine", "v"), ("dashscope/qwen", "dashscope-compatible", "qwen"),
            ("moonshot/k", "moonshot", "k"),
            ("github/g", "github", "g"), ("huggingface/a/b", "huggingface", "a/b"), ("zai/glm", "zai", "glm"),
        ])
    func services(model: String, kind: String, id: String) throws {
        let result = try Self.deployment("model: \"\(model)\"")
        let provider = try #require(result.settings.providers.first)
        #expect(provider.kind == kind)
        #expect(result.alias("m") == "\(provider.name)/\(id)")
        #expect(result.notes.filter { !$0.contains("master_key") }.isEmpty, "\(result.notes)")
    }

    @Test("A base of one's own makes openai/ an OpenAI-compatible service, as does a service nobody knows")
    func compatible() throws {
        let own = try Self.deployment(#"model: openai/x, api_base: "http://localhost:8000/v1/", api_key: sk"#)
        #expect(own.provider("local")?.kind == "openai-compatible")
        #expect(own.provider("local")?.baseURL == "http://localhost:8000/v1" && own.alias("m") == "local/x")
        let slashed = try Self.deployment(#"model: meta/llama, api_base: "http://h/v1""#)
        #expect(slashed.alias("m") == "h/meta/llama")
        let unknown = try Self.deployment(#"model: nobody/x, custom_llm_provider: nobody, api_base: "http://h/v1""#)
        #expect(unknown.alias("m") == "h/x" && unknown.hasNote("\"nobody\" is not known here"))
        let gone = try Self.deployment("model: sagemaker/x")
        #expect(gone.settings.models.isEmpty && gone.hasNote("source:3", "sagemaker"))
        #expect(
            try Self.deployment(#"model: openai/x, api_base: "https://api.openai.com/v1""#).provider("openai") != nil)
    }

    @Test("Every listed setting of a deployment lands where it belongs")
    func fields() throws {
        let azure = try Self.deployment(
            #"model: azure/dep, api_base: "https://x.openai.azure.com/", api_version: "2024-10-21", "#
                + "api_key: os.environ/AZ, organization: org, rpm: 60, tpm: 1000, timeout: 30, stream_timeout: 2.5, "
                + "max_retries: 4, temperature: 0.1, extra_headers: {X-A: b}, extra_body: {z: 1}, odd: 1"
        )
        let provider = try #require(azure.provider("azure"))
        #expect(provider.options["endpoint"] == .string("https://x.openai.azure.com"))
        #expect(provider.options["api_version"] == .string("2024-10-21"))
        #expect(azure.imported.variables.contains { $0.name == "AZ" && $0.isFromEnvironment })
        #expect(provider.headers.map(\.name) == ["OpenAI-Organization", "X-A"])
        #expect(provider.limits.rpm == 60 && provider.limits.tpm == 1000)
        #expect(provider.timeout.total == .seconds(30) && provider.timeout.first == .milliseconds(2500))
        #expect(provider.params == ["temperature": .number("0.1"), "z": .number("1")])
        #expect(azure.route("m")?.retry.attempts == 5 && azure.route("m")?.of.map(\.model) == ["azure/dep"])
        #expect(azure.hasNote("source:3", "litellm_params.odd"))

        let bedrock = try Self.deployment(
            "model: bedrock/x, aws_region_name: eu-west-1, aws_access_key_id: A, "
                + "aws_secret_access_key: S, aws_session_token: T, aws_role_name: r"
        )
        #expect(bedrock.provider("bedrock")?.options["region"] == .string("eu-west-1"))
        #expect(bedrock.provider("bedrock")?.options["secret_key"] == .secret(Secret("S")))
        #expect(bedrock.provider("bedrock")?.options["session_token"] == .secret(Secret("T")))
        #expect(bedrock.hasNote("aws_role_name"))

        let vertex = try Self.deployment(
            "model: vertex_ai/x, vertex_project: p, vertex_location: europe-west1, vertex_credentials: sa.json")
        #expect(vertex.provider("vertex")?.options["project"] == .string("p"))
        #expect(vertex.provider("vertex")?.options["location"] == .string("europe-west1"))
        #expect(vertex.provider("vertex")?.options["credentials"] == .secret(Secret("sa.json")))
    }

    @Test("Equal names are a pool with weights and orders; without weights requests per minute weigh")
    func pools() throws {
        let result = try Self.read(
            """
            model_list:
              - {model_name: a, litellm_params: {model: openai/x, api_key: k, weight: 3, order: 1}}
              - {model_name: a, litellm_params: {model: groq/y, api_key: k, weight: 1, order: 2}}
              - {model_name: b, litellm_params: {model: openai/x, api_key: k1, rpm: 6}}
              - {model_name: b, litellm_params: {model: openai/x, api_key: k2, rpm: 3}}
              - {model_name: "openai/*", litellm_params: {model: "openai/*", api_key: k}, model_info: {id: x}}
              - {model_name: c, litellm_params: {model: "openai/*"}}
            """)
        let first = try #require(result.route("a"))
        #expect(first.strategy == .weighted && first.of.map(\.weight) == [3, 1] && first.of.map(\.priority) == [1, 2])
        #expect(result.route("b")?.of.map(\.weight) == [6, 3])
        #expect(result.route("b")?.of.map(\.model).count == 2)
        // The provider has another name than the wildcard's beginning, so that neither leads to itself.
        #expect(result.alias("openai/*") == "openai-2/*")
        #expect(result.settings.model(named: "c") == nil && result.hasNote("source:7", "its name has none"))
        #expect(result.hasNote("source:6", "model_info.id") && result.settings.providers.count == 4)
    }

    @Test(
        "Routing strategies",
        arguments: [
            ("simple-shuffle", RouteSettings.Strategy.weighted, false), ("least-busy", .leastBusy, false),
            ("latency-based-routing", .fastest, false), ("usage-based-routing", .weighted, true),
            ("usage-based-routing-v2", .weighted, true), ("cost-based-routing", .weighted, true),
            ("odd", .weighted, true),
        ])
    func strategies(name: String, strategy: RouteSettings.Strategy, noted: Bool) throws {
        let result = try Self.read(
            """
            model_list:
              - {model_name: a, litellm_params: {model: openai/x, api_key: k}}
              - {model_name: a, litellm_params: {model: groq/y, api_key: k}}
            router_settings: {routing_strategy: \(name)}
            """)
        #expect(result.route("a")?.strategy == strategy)
        #expect(result.hasNote("source:4", "routing_strategy") == noted)
    }

    private static let models = """
        model_list:
          - {model_name: a, litellm_params: {model: openai/a, api_key: k}}
          - {model_name: b, litellm_params: {model: openai/b, api_key: k}}
          - {model_name: b, litellm_params: {model: groq/b, api_key: k}}
          - {model_name: c, litellm_params: {model: openai/c, api_key: k}}

        """

    @Test("Fallbacks go on with the others' own deployments, so that two may name each other")
    func fallbacks() throws {
        let result = try Self.read(
            Self.models + """
                router_settings:
                  fallbacks: [{a: [b, c]}, {b: [a, gone]}]
                  context_window_fallbacks: [{a: [c, b]}]
                  content_policy_fallbacks: [{c: [a]}]
                  model_group_alias: {alias: a, hidden: {model: b, hidden: true}, lost: gone}
                """)
        #expect(result.route("a")?.strategy == .fallback)
        #expect(result.route("a")?.of.map(\.model) == ["openai/a", "b-pool", "openai/c"])
        #expect(result.route("b")?.of.map(\.model) == ["b-pool", "openai/a"])
        #expect(
            result.route("b-pool")?.strategy == .weighted
                && result.route("b-pool")?.of.map(\.model) == ["openai/b", "groq/b"])
        #expect(result.route("a")?.onContextExceeded == "openai/c" && result.route("c")?.onContentFilter == "openai/a")
        #expect(result.alias("alias") == "a" && result.alias("hidden") == "b")
        for part in ["\"gone\"", "context_window_fallbacks.a", "model_group_alias.lost"] {
            #expect(result.hasNote(part), "\(part)")
        }
        let all = try Self.read(Self.models + "litellm_settings: {default_fallbacks: [c]}")
        #expect(all.route("a")?.of.map(\.model) == ["openai/a", "c"] && all.alias("c") == "openai/c")
    }

    @Test("Settings of the router, of LiteLLM and general ones; the rest is said, each with its line")
    func settings() throws {
        let result = try Self.read(
            Self.models + """
                router_settings: {num_retries: 3, timeout: 45, allowed_fails: 2, cooldown_time: 60, redis_host: h}
                litellm_settings:
                  num_retries: 9
                  request_timeout: 600
                  cache: true
                  cache_params: {ttl: 120, type: redis}
                  drop_params: false
                  success_callback: [x]
                general_settings:
                  master_key: sk-1234
                  database_url: "postgresql://u:p@h/db"
                  alerting: [slack]
                environment_variables: {A: b}
                guardrails: []
                """)
        let defaults = result.settings.defaults
        #expect(defaults.retry.attempts == 4 && defaults.timeout.total == .seconds(45))
        #expect(defaults.breaker.failures == 3 && defaults.breaker.cooldown == .seconds(60) && defaults.strict)
        #expect(result.settings.cache.ttl == .seconds(120))
        #expect(result.settings.keys.map(\.credential) == [.plain(Secret("sk-1234"))])
        #expect(result.settings.admin.key == Secret("sk-1234"))
        #expect(
            result.settings.store == .postgres(url: Secret("postgresql://u:p@h/db")) && !result.yaml.contains("u:p@"))
        for part in [
            "source:6: router_settings.redis_host", "source:8: litellm_settings.num_retries",
            "litellm_settings.request_timeout",
            "source:11: litellm_settings.cache_params.type", "litellm_settings.success_callback",
            "general_settings.alerting",
            "guardrails",
        ] { #expect(result.hasNote(part), "\(part)") }
    }

    @Test("What LiteLLM leaves open stays closed, and other databases are no store")
    func open() throws {
        let result = try Self.read(
            Self.models + "general_settings: {database_url: \"mysql://x\"}\nlitellm_settings: {drop_params: true}")
        #expect(result.settings.keys.isEmpty && result.hasNote("master_key", "Parley generates a key"))
        #expect(result.hasNote("source:6", "database_url") && !result.settings.defaults.strict)
        let variables = try Imports.read(
            Self.models
                + "general_settings: {master_key: os.environ/MK, database_url: os.environ/DB}\n"
                + "environment_variables: {MK: sk-9}\n",
            .liteLLM, more: ["DB": "postgres://h/d"])
        #expect(variables.imported.variables.contains { $0.name == "MK" && $0.value == "sk-9" })
        #expect(variables.settings.keys.map(\.credential) == [.plain(Secret("sk-9"))])
    }

    @Test("Merge keys and anchors of YAML are followed")
    func anchors() throws {
        let result = try Self.read(
            """
            common: &common {api_key: k, api_base: "http://h/v1"}
            model_list:
              - {model_name: a, litellm_params: {<<: *common, model: openai/x}}
            """)
        #expect(result.alias("a") == "h/x" && result.hasNote("source:1", "common"))
    }
}
