// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyConfiguration
import Testing

@Suite struct OpenAIStyleImportTests {
    /// The result of a list of entries, each `type config`, with the tokens t1, t2, …
    private static func read(_ entries: (type: String, config: String)...) throws -> Imports.Result {
        let list = entries.enumerated().map { index, entry in
            "{\"token\": \"t\(index + 1)\", \"type\": \"\(entry.type)\", \"config\": \(entry.config)}"
        }
        return try Imports.read("[" + list.joined(separator: ",\n") + "]", .openAIStyle)
    }

    @Test("openai and proxy: base, key, model, and what the entry forces")
    func openAI() throws {
        let result = try Self.read(
            (
                "openai",
                #"{"api_base": "https://api.openai.com/v1/", "api_key": "k", "model": "gpt-4", "temperature": 0.8, "#
                    + #""top_p": 1}"#
            ),
            ("openai", #"{"api_key": "k"}"#),
            ("proxy", #"{"api_base": "https://api.openai-sb.com/v1/chat/completions", "api_key": "s", "model": "m"}"#))
        #expect(result.settings.providers.map(\.name) == ["openai", "openai-sb"])
        #expect(result.provider("openai")?.kind == "openai" && result.provider("openai")?.baseURL == nil)
        #expect(result.provider("openai-sb")?.kind == "openai-compatible")
        #expect(result.provider("openai-sb")?.baseURL == "https://api.openai-sb.com/v1")
        #expect(result.settings.keys.map(\.model) == ["openai/gpt-4", "openai/*", "openai-sb/m"])
        #expect(result.settings.keys[0].force == ["temperature": .number("0.8"), "top_p": .number("1")])
        #expect(result.settings.keys[1].force.isEmpty)
        #expect(result.settings.keys.map(\.credential) == ["t1", "t2", "t3"].map { .plain(Secret($0)) })
        #expect(result.settings.server.listen.map(\.description) == ["0.0.0.0:8090"])
        #expect(result.notes.isEmpty && result.warnings.isEmpty)
    }

    @Test("azure: endpoint, deployment, version")
    func azure() throws {
        let result = try Self.read(
            (
                "azure",
                #"{"api_base": "https://x.openai.azure.com/", "deployment_id": "gpt-35-turbo", "#
                    + #""api_version": "2023-05-15", "api_key": "k", "temperature": 0.8}"#
            ),
            (
                "azure",
                #"{"api_base": "https://x.openai.azure.com", "deployment_id": "d2", "#
                    + #""api_version": "2023-05-15", "api_key": "k"}"#
            ))
        let provider = try #require(result.settings.providers.first)
        #expect(result.settings.providers.count == 1 && provider.kind == "azure")
        #expect(provider.options["endpoint"] == .string("https://x.openai.azure.com"))
        #expect(provider.options["api_version"] == .string("2023-05-15"))
        #expect(provider.renames.map(\.upstream) == ["gpt-35-turbo", "d2"])
        #expect(result.settings.keys.map(\.model) == ["azure/gpt-35-turbo", "azure/d2"])
        #expect(result.settings.keys[0].force == ["temperature": .number("0.8")])
    }

    @Test("claude: version, model, and the map it had where none is set")
    func claude() throws {
        let result = try Self.read(
            ("claude", #"{"api_key": "k", "anthropic-version": "2023-06-01", "model": "claude-sonnet-4-5"}"#),
            ("claude", #"{"api_key": "k"}"#), ("claude", #"{"api_key": "k", "model": "claude-2"}"#))
        #expect(result.settings.providers.map(\.kind) == ["anthropic", "anthropic"])
        #expect(result.settings.providers[0].options["version"] == .string("2023-06-01"))
        #expect(result.settings.keys.map(\.model) == ["claude/claude-sonnet-4-5", "claude-2/*", "claude-2/claude-2"])
        #expect(result.settings.providers[1].renames.map(\.upstream) == ["claude-instant-1", "claude-2"])
        #expect(result.hasNote("source:2", "retired") && result.hasNote("source:3", "retired"))
    }

    @Test("claude-web: cookie, proxy, conversation, prompt")
    func claudeWeb() throws {
        let result = try Self.read(
            (
                "claude-web",
                #"{"cookie": "c", "proxies": {"http": "http://a:1", "https": "http://localhost:7890"}, "#
                    + #""conversation_id": "id-1", "single_conversation": true, "prompt": "{newMessage} \n {history}"}"#
            ), ("claude-web", #"{"cookie": "c2", "conversation_id": "id-2", "single_conversation": false}"#),
            (
                "claude-web",
                #"{"cookie": "c3", "proxies": {"https": "socks5://h:1"}, "single_conversation": true, "x": 1}"#
            ))
        let first = result.settings.providers[0]
        #expect(first.kind == "claude-web" && first.options["cookie"] == .list([.secret(Secret("c"))]))
        #expect(first.proxy?.host == "localhost" && first.proxy?.port == 7890)
        #expect(first.options["conversation"] == .string("id-1"))
        #expect(first.options["prompt"] == .string("{newMessage} \n {history}"))
        #expect(result.settings.providers[1].options["conversation"] == .string("new"))
        #expect(result.settings.keys.map(\.model) == ["claude-web/*", "claude-web-2/*", "claude-web-3/*"])
        #expect(result.settings.providers[2].options["conversation"] == .string("single"))
        #expect(result.hasNote("source:3", "proxies", "http://") && !result.hasNote("source:3", "single_conversation"))
        #expect(result.hasNote("source:3", "[2].config.x"))
    }

    @Test("zhipu-api stays at v3, and what it forces is the key's")
    func zhipu() throws {
        let result = try Self.read(
            (
                "zhipu-api",
                #"{"api_key": "id.secret", "model": "chatglm_lite", "temperature": 0.8, "top_p": 0.7, "#
                    + #""prompt": "{system}"}"#
            ))
        #expect(
            result.settings.providers[0].kind == "zhipu" && result.settings.providers[0].options["api"] == .string("v3")
        )
        #expect(result.settings.providers[0].apiKeys == [Secret("id.secret")])
        #expect(result.settings.keys[0].model == "zhipu/chatglm_lite")
        #expect(result.settings.keys[0].force == ["temperature": .number("0.8"), "top_p": .number("0.7")])
        #expect(result.settings.providers[0].options["prompt"] == .string("{system}") && result.hasNote("v4"))
    }

    @Test(
        "xunfei-spark-api: the version says the model",
        arguments: [
            ("v1.5", "general"), ("v2.0", "generalv2"), ("v3.0", "generalv3"), ("v3.5", "generalv3.5"),
            ("v9", "generalv3.5"),
        ])
    func spark(version: String, model: String) throws {
        let result = try Self.read(
            (
                "xunfei-spark-api",
                #"{"app_id": "a", "api_key": "k", "api_secret": "s", "api_model_version": "\#(version)", "top_k": 5, "#
                    + #""temperature": 1, "max_tokens": 9, "prompt": "p"}"#
            ))
        let provider = result.settings.providers[0]
        #expect(provider.kind == "spark" && provider.options["app_id"] == .list([.string("a")]))
        #expect(provider.apiKeys == [Secret("k")])
        #expect(provider.options["api_secret"] == .list([.secret(Secret("s"))]))
        #expect(result.settings.keys[0].model == "spark/\(model)")
        #expect(
            result.settings.keys[0].force == [
                "top_k": .number("5"), "temperature": .number("1"), "max_tokens": .number("9"),
            ])
        #expect(result.hasNote("api_model_version") == (version == "v9"))
    }

    @Test("gemini: key and proxy; the only model it asked is replaced")
    func gemini() throws {
        let result = try Self.read(
            ("gemini", #"{"api_key": "k", "proxies": {"https": "http://u:p@localhost:7890"}, "prompt": "x"}"#))
        let provider = result.settings.providers[0]
        #expect(provider.kind == "gemini" && provider.apiKeys == [Secret("k")])
        #expect(provider.proxy?.host == "localhost" && provider.proxy?.password == Secret("p"))
        #expect(!result.yaml.contains("u:p@"))
        #expect(result.settings.keys[0].model == "gemini/gemini-2.5-pro" && result.hasNote("gemini-pro"))
    }

    @Test(
        "router: its strategies over its tokens' targets",
        arguments: [
            ("round-robin", RouteSettings.Strategy.roundRobin, false), ("random", .random, false),
            ("parallel", .race, false),
            ("odd", .roundRobin, true),
        ])
    func router(strategy: String, route: RouteSettings.Strategy, noted: Bool) throws {
        let result = try Self.read(
            ("openai", #"{"api_key": "k", "model": "gpt-4"}"#),
            ("openai", #"{"api_key": "k", "model": "gpt-3.5", "temperature": 0}"#),
            ("router", "{\"router_strategy\": \"\(strategy)\", \"token_pool\": [\"t1\", \"t2\", \"gone\"]}"))
        #expect(result.route("router-1")?.strategy == route)
        // What the second entry forces goes along, by way of a provider of its own.
        #expect(result.route("router-1")?.of.map(\.model) == ["openai/gpt-4", "openai-2/gpt-3.5"])
        #expect(result.provider("openai-2")?.force == ["temperature": .number("0")])
        #expect(result.key("router-1")?.model == "router-1")
        #expect(result.hasNote("source:3", "token_pool[2]", "no entry has this token"))
        #expect(result.hasNote("router_strategy") == noted)
    }

    @Test("router: a target that takes the client's model takes it through routers as well")
    func openRouter() throws {
        let result = try Self.read(
            ("router", #"{"router_strategy": "random", "token_pool": ["t2", "t3"]}"#),
            ("openai", #"{"api_key": "k"}"#),
            ("router", #"{"router_strategy": "round-robin", "token_pool": ["t2", "t4"]}"#),
            ("proxy", #"{"api_base": "http://h/v1", "api_key": "k"}"#))
        #expect(result.settings.keys[0].model == "router-2/*")
        #expect(result.route("router-2/*")?.of.map(\.model) == ["openai/*", "router-1/*"])
        #expect(result.route("router-1/*")?.of.map(\.model) == ["openai/*", "h/*"])
    }

    @Test("router: one that leads to itself, and one with nothing to ask, are said and left out")
    func circle() throws {
        let result = try Self.read(
            ("router", #"{"router_strategy": "random", "token_pool": ["t2"]}"#),
            ("router", #"{"router_strategy": "random", "token_pool": ["t1"]}"#),
            ("router", #"{"router_strategy": "random", "token_pool": []}"#))
        #expect(result.settings.models.isEmpty && result.settings.keys.isEmpty)
        #expect(result.hasNote("leads back to itself") && result.hasNote("source:3", "nothing to ask"))
    }

    @Test("model-name-router: one alias per name, the default for every other, and the key lets the client choose")
    func nameRouter() throws {
        let result = try Self.read(
            ("openai", #"{"api_key": "k", "model": "gpt-4"}"#),
            ("proxy", #"{"api_base": "http://h/v1", "api_key": "k"}"#),
            ("model-name-router", #"{"model-2-token": {"smart": "t1", "any": "t2", "lost": "t9", "default": "t2"}}"#),
            ("model-name-router", #"{"model-2-token": {"smart": "t1"}}"#))
        #expect(result.alias("smart") == "openai/gpt-4" && result.alias("any") == "h/any" && result.alias("*") == "h/*")
        let key = try #require(result.key("model-name-router"))
        #expect(key.model == nil && key.models == nil)
        // Without a default other names are refused.
        #expect(result.key("model-name-router-2")?.models == ["smart"])
        #expect(result.hasNote("source:3", "model-2-token.lost"))
    }

    @Test("model-name-router: where two disagree the later one's names are prefixed, and its key adds the prefix")
    func disagreement() throws {
        let result = try Self.read(
            ("openai", #"{"api_key": "k", "model": "gpt-4"}"#), ("openai", #"{"api_key": "k", "model": "gpt-3.5"}"#),
            ("model-name-router", #"{"model-2-token": {"smart": "t1"}}"#),
            ("model-name-router", #"{"model-2-token": {"smart": "t2", "default": "t1"}}"#))
        #expect(result.alias("smart") == "openai/gpt-4" && result.alias("*") == nil)
        #expect(result.alias("names-1/smart") == "openai/gpt-3.5" && result.alias("names-1/*") == "openai/gpt-4")
        #expect(result.key("model-name-router-2")?.model == "names-1/*")
        #expect(result.hasNote("source:4", "prefixed"))
        let closed = try Self.read(
            ("openai", #"{"api_key": "k", "model": "gpt-4"}"#), ("openai", #"{"api_key": "k", "model": "gpt-3.5"}"#),
            ("model-name-router", #"{"model-2-token": {"smart": "t1", "default": "t1"}}"#),
            ("model-name-router", #"{"model-2-token": {"smart": "t2"}}"#))
        // Else the other one's default would answer for names that this one does not have.
        #expect(closed.key("model-name-router-2")?.models == ["names-1/smart"])
    }

    @Test("Entries that nothing can be made of are said; of equal tokens the later counts")
    func odd() throws {
        let result = try Imports.read(
            """
            [{"token": "t", "type": "bing", "config": {}}, 1, {"token": "a b", "type": "openai", "config":
              {"api_key": "k"}},
             {"type": "openai", "config": {"api_key": "k"}}, {"token": "t", "type": "openai", "config": [], "x": 1},
             {"token": "u", "type": "openai", "config": {"api_key": "k", "model": "a"}},
             {"token": "u", "type": "openai", "config": {"api_key": "", "model": "b"}, "extra": 1}]
            """, .openAIStyle)
        #expect(result.settings.keys.map(\.model) == ["openai-2/b"])
        for part in [
            "\"bing\"", "[1]", "spaces", "no token", "config is a list", "entry 7 has the same token", "[6].extra",
        ] {
            #expect(result.hasNote(part), "\(part)")
        }
        #expect(result.imported.variables.contains { $0.name == "OPENAI_API_KEY_2" && $0.value == nil })
    }

    @Test("The admin token is never carried over: Parley makes its own")
    func adminToken() throws {
        let result = try Imports.read(
            "ADMIN_TOKEN = os.getenv('ADMIN-TOKEN', 'admin')\n"
                + "MODEL_CONFIGS = [{'token': 't', 'type': 'openai', 'config': {'api_key': 'k'}}]"
        )
        #expect(!result.yaml.contains("admin"))
    }
}
