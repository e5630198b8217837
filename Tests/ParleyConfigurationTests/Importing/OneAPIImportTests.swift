// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyConfiguration
import Testing

@Suite struct OneAPIImportTests {
    /// The result of one channel with these members.
    private static func channel(_ members: String, _ kind: ImportKind = .oneAPI) throws -> Imports.Result {
        try Imports.read("[{\"models\": \"m\", \"status\": 1, \(members)}]", kind)
    }

    @Test(
        "Every type becomes its kind",
        arguments: [
            (1, "openai"), (3, "azure"), (14, "anthropic"), (15, "qianfan"), (16, "zhipu"), (17, "dashscope"),
            (18, "spark"),
            (20, "openrouter"), (23, "hunyuan"), (24, "gemini"), (25, "moonshot"), (26, "baichuan"), (27, "minimax"),
            (28, "mistral"), (29, "groq"), (30, "ollama"), (31, "yi"), (32, "stepfun"), (33, "bedrock"), (35, "cohere"),
            (36, "deepseek"), (37, "cloudflare"), (39, "together"), (40, "volcengine"), (41, "novita"), (42, "vertex"),
            (44, "siliconflow"), (45, "xai"), (47, "qianfan-v2"), (48, "spark-http"), (49, "dashscope-compatible"),
            (51, "gemini-openai"),
        ])
    func types(type: Int, kind: String) throws {
        let result = try Self.channel(
            "\"type\": \(type), \"key\": \"k\", \"config\": \"{\\\"user_id\\\": \\\"acc\\\"}\"")
        let provider = try #require(result.settings.providers.first)
        #expect(provider.kind == kind)
        #expect(result.alias("m") == provider.name + "/m")
    }

    @Test("Types at URLs of their own, and those that nobody knows, are OpenAI-compatible")
    func urls() throws {
        let custom = try Self.channel(#""type": 8, "key": "k", "base_url": "https://h.example""#)
        #expect(custom.settings.providers[0].kind == "openai-compatible")
        #expect(custom.settings.providers[0].baseURL == "https://h.example/v1")
        let compatible = try Self.channel(#""type": 50, "key": "k", "base_url": "https://h.example/api/v2/""#)
        #expect(compatible.settings.providers[0].baseURL == "https://h.example/api/v2")
        let foreign = try Self.channel(#""type": 1, "key": "k", "base_url": "https://h.example""#)
        #expect(foreign.settings.providers[0].kind == "openai-compatible")
        #expect(foreign.settings.providers[0].baseURL == "https://h.example/v1")
        #expect(
            try Self.channel(#""type": 1, "key": "k", "base_url": "https://api.openai.com""#).settings.providers[0]
                .baseURL == nil)
        let unknown = try Self.channel(#""type": 77, "key": "k", "base_url": "https://h.example""#)
        #expect(unknown.settings.providers[0].kind == "openai-compatible" && unknown.hasNote("type 77"))
        #expect(try Self.channel(#""type": 77, "key": "k""#).settings.providers.isEmpty)
        #expect(try Self.channel(#""type": 8, "key": "k""#).hasNote("no base_url"))
        #expect(
            try Self.channel(#""type": 25, "key": "k""#).settings.providers[0].baseURL == "https://api.moonshot.cn/v1")
        let cloud = try Self.channel(#""type": 37, "key": "k", "config": "{\"user_id\": \"acc\"}""#)
        #expect(cloud.settings.providers[0].baseURL == "https://api.cloudflare.com/client/v4/accounts/acc/ai/v1")
    }

    @Test("Keys: several rotate, and those made of parts are taken apart")
    func keys() throws {
        let several = try Self.channel(#""type": 1, "key": "k1\nk2\n\n k3 ""#)
        #expect(several.settings.providers[0].apiKeys == ["k1", "k2", "k3"].map { Secret($0) })
        let spark = try Self.channel(
            #""type": 18, "key": "app|secret|key", "models": "SparkDesk-v3.5,x""#.replacing(
                "\"models\"", with: "\"other_models\""))
        #expect(spark.settings.providers[0].options["app_id"] == .list([.string("app")]))
        #expect(spark.settings.providers[0].options["api_secret"] == .list([.secret(Secret("secret"))]))
        #expect(spark.settings.providers[0].apiKeys == [Secret("key")])
        let baidu = try Self.channel(#""type": 15, "key": "ak|sk""#)
        #expect(baidu.settings.providers[0].apiKeys == [Secret("ak")])
        #expect(baidu.settings.providers[0].options["secret_key"] == .secret(Secret("sk")))
        let aws = try Self.channel(
            #""type": 33, "key": "", "config": "{\"region\": \"eu-west-1\", \"ak\": \"A\", \"sk\": \"S\"}""#)
        #expect(aws.settings.providers[0].options["region"] == .string("eu-west-1"))
        #expect(aws.settings.providers[0].options["access_key"] == .secret(Secret("A")))
        #expect(aws.settings.providers[0].options["secret_key"] == .secret(Secret("S")))
        let vertex = try Self.channel(
            #""type": 42, "config": "{\"region\": \"us-east5\", \"vertex_ai_project_id\": \"p\", "#
                + #"\"vertex_ai_adc\": \"{}\"}""#
        )
        #expect(vertex.settings.providers[0].options["project"] == .string("p"))
        #expect(vertex.settings.providers[0].options["location"] == .string("us-east5"))
        #expect(vertex.settings.providers[0].options["credentials"] == .secret(Secret("{}")))
        let tencent = try Self.channel(#""type": 23, "key": "app|id|key""#)
        #expect(tencent.hasNote("Hunyuan") && tencent.imported.variables.allSatisfy { $0.value == nil })
        // The projects' own lists leave the keys out.
        let without = try Self.channel(#""type": 1"#)
        #expect(without.hasNote("[0].key") && without.imported.variables.map(\.name) == ["OPENAI_API_KEY"])
    }

    @Test("azure: endpoint, version in either place, and names of deployments without dots")
    func azure() throws {
        for version in [#""other": "2024-06-01""#, #""config": "{\"api_version\": \"2024-06-01\"}""#] {
            let result = try Imports.read(
                #"[{"type": 3, "key": "k", "base_url": "https://x.openai.azure.com", "models": "gpt-3.5-turbo,gpt-4", "#
                    + version + "}]",
                .oneAPI)
            let provider = result.settings.providers[0]
            #expect(provider.options["endpoint"] == .string("https://x.openai.azure.com"))
            #expect(provider.options["api_version"] == .string("2024-06-01"))
            #expect(provider.renames.map(\.upstream) == ["gpt-35-turbo"])
        }
    }

    @Test("Names upstream: model_mapping, and those that the projects rename themselves")
    func names() throws {
        let mapped = try Self.channel(#""type": 1, "key": "k", "model_mapping": "{\"m\": \"theirs\", \"x\": 1}""#)
        #expect(mapped.settings.providers[0].renames.map(\.upstream) == ["theirs", "1"])
        let aws = try Imports.read(
            #"[{"type": 33, "key": "a|s|us-west-2", "models": "claude-3-5-sonnet-20241022,"#
                + #"claude-3-haiku-20240307,claude-2.1"}]"#,
            .oneAPI)
        #expect(
            aws.settings.providers[0].renames.map(\.upstream) == [
                "anthropic.claude-3-5-sonnet-20241022-v2:0", "anthropic.claude-3-haiku-20240307-v1:0",
                "anthropic.claude-v2:1",
            ])
        #expect(aws.settings.providers[0].options["region"] == .string("us-west-2"))
        let spark = try Imports.read(#"[{"type": 18, "key": "a|b|c", "models": "SparkDesk-v3.5"}]"#, .oneAPI)
        #expect(spark.settings.providers[0].renames.map(\.upstream) == ["generalv3.5"])
    }

    @Test("Channels that serve the same model are a pool, higher priorities first, then by weight")
    func pools() throws {
        let result = try Imports.read(
            """
            [{"type": 1, "key": "a", "name": "A", "models": "m,only", "priority": 0, "weight": 2},
             {"type": 1, "key": "b", "name": "B", "models": "m", "priority": 10, "weight": 3},
             {"type": 1, "key": "c", "name": "C", "models": "m", "priority": 10, "weight": 1},
             {"type": 1, "key": "d", "name": "D", "models": "m", "status": 2},
             {"type": 1, "key": "e", "name": "E", "models": "even"},
             {"type": 1, "key": "f", "name": "F", "models": "even"}]
            """, .oneAPI)
        let route = try #require(result.route("m"))
        #expect(route.strategy == .weighted)
        #expect(route.of.map(\.model) == ["a/m", "b/m", "c/m"])
        #expect(route.of.map(\.priority) == [1, 0, 0] && route.of.map(\.weight) == [2, 3, 1])
        #expect(result.alias("only") == "a/only")
        #expect(result.route("even")?.of.map(\.weight) == [1, 1])
        #expect(result.provider("d") == nil && result.hasNote("source:4", "switched off"))
        #expect(result.warnings.isEmpty)
    }

    @Test("A channel's system prompt is put before what it is asked; groups and other settings are said")
    func others() throws {
        let result = try Self.channel(
            #""type": 1, "key": "k", "system_prompt": "Be ${brief}.", "group": "vip", "odd": 1, "used_quota": 5"#)
        #expect(result.route("openai-prompted/*")?.system == "Be ${brief}.")
        #expect(result.alias("m") == "openai-prompted/m")
        #expect(result.hasNote("group") && result.hasNote("[0].odd") && !result.hasNote("used_quota"))
        #expect(result.hasNote("keys of clients"))
    }

    @Test(
        "new-api numbers some types otherwise",
        arguments: [
            (4, "ollama"), (26, "zhipu"), (27, "perplexity"), (34, "cohere"), (40, "siliconflow"), (42, "mistral"),
            (43, "deepseek"),
            (45, "volcengine"), (46, "qianfan-v2"), (48, "xai"), (1, "openai"), (33, "bedrock"),
        ])
    func newAPI(type: Int, kind: String) throws {
        let result = try Self.channel("\"type\": \(type), \"key\": \"k\"", .newAPI)
        #expect(result.settings.providers.map(\.kind) == [kind])
    }

    @Test("Lists in data, in data.items and bare are read alike")
    func shapes() throws {
        let row = #"{"type": 1, "key": "k", "models": "m"}"#
        for text in [
            "[\(row)]", "{\"data\": [\(row)]}", "{\"success\": true, \"data\": {\"items\": [\(row)], \"total\": 1}}",
        ] {
            #expect(try Imports.read(text).settings.providers.count == 1)
        }
    }
}
