// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyConfiguration
import ParleyCore
import Testing

@Suite struct ImportFormatTests {
    /// A file of each kind.
    static let samples: [ImportKind: String] = [
        .openAIStyle: """
        MODEL_CONFIGS = [
            {"token": "t1", "type": "openai", "config": {"api_base": "https://api.openai.com/v1/",
                    "api_key": "k", "model": "gpt-4"}},
            {"token": "t2", "type": "zhipu-api", "config": {"api_key": os.environ.get("ZHIPU"),
                    "model": 'chatglm_turbo'}},
            {"token": "t3", "type": "router", "config": {"router_strategy": "round-robin", "token_pool": ["t1", "t2"]}},
        ]
        """,
        .o1: """
        api_bearer_token: "sk-o1"
        model_provider_api_key: "sk-upstream"
        default_api_url: "https://api.example.com/v1/chat/completions"
        default_model: "gpt-4o"
        use_regex_processing: true
        stream_status_feedback: false
        """,
        .fitten: "[Main]\nusername = me@example.com\npassword = p%%w;d\napi_key = sk-fitten\n",
        .flowGPT: """
        # FlowGPT
        API_MASTER_KEY=sk-master
        NGINX_PORT=8088
        FLOWGPT_BEARER_TOKEN="eyJ.a.b"
        FLOWGPT_DEVICE_ID='device-1'
        API_REQUEST_TIMEOUT=180
        DEFAULT_MODEL_ID=gpt-4-free
        MODEL_MAP={"gpt-4-free": "uzNc", "chatgpt-5-pro": "abc"}
        """,
        .iFlow: """
        {"apiKey": "key", "baseUrl": "https://apis.iflow.cn/v1/", "modelName": "qwen3-coder-plus",
         "selectedAuthType": "oauth-iflow", "oauth_access_token": "at", "oauth_refresh_token": "rt",
         "oauth_expires_at": 1763000000000, "worker_auth_token": "sk-worker"}
        """,
        .liteLLM: """
        model_list:
          - model_name: gpt-4o
            litellm_params: {model: azure/my-deployment, api_base: "https://x.openai.azure.com/", rpm: 6}
          - {model_name: gpt-4o, litellm_params: {model: gpt-4o, api_key: sk-1}}
        litellm_settings: {num_retries: 2}
        general_settings: {master_key: sk-1234}
        """,
        .oneAPI: """
        {"data": [{"id": 1, "type": 1, "key": "k1\\nk2", "status": 1, "name": "main", "weight": 1, "priority": 5,
        "base_url": "", "models": "gpt-4o,gpt-4", "model_mapping": "{\\"gpt-4\\": \\"gpt-4-turbo\\"}",
            "group": "default"}]}
        """,
        .newAPI: """
        [{"id": 1, "type": 43, "key": "k1", "status": 1, "name": "deep", "auto_ban": 1, "models": "deepseek-chat"}]
        """,
    ]

    @Test("The kind of a file is found in it", arguments: ImportKind.allCases)
    func detection(kind: ImportKind) throws {
        #expect(try Imports.read(try #require(Self.samples[kind])).imported.kind == kind)
    }

    @Test("The kind of other forms is found as well")
    func moreDetection() throws {
        let list = #"[{"token": "t", "type": "openai", "config": {"api_key": "k"}}]"#
        #expect(try Imports.read(list).imported.kind == .openAIStyle)
        #expect(try Imports.read("[\n  // ours\n" + list.dropFirst()).imported.kind == .openAIStyle)
        #expect(try Imports.read("WORKER_AUTH_TOKEN=x\nIFLOW_API_KEY=y").imported.kind == .iFlow)
        #expect(try Imports.read("{\"general_settings\": {\"master_key\": \"x\"}}").imported.kind == .liteLLM)
        #expect(try Imports.read("\u{FEFF}[main]\npassword: x").imported.kind == .fitten)
    }

    @Test("o1-api: every field lands where the table says", arguments: [true, false])
    func o1(regex: Bool) throws {
        let text = try #require(Self.samples[.o1]).replacing("processing: true", with: "processing: \(regex)")
            .replacing("feedback: false", with: "feedback: \(regex)")
        let result = try Imports.read(text + "\nother: 1\n", .o1, more: ["O1_KEY": "sk-o1"])
        let provider = try #require(result.provider("example"))
        #expect(provider.kind == "openai-compatible" && provider.baseURL == "https://api.example.com/v1")
        #expect(provider.apiKeys == [Secret("sk-upstream")])
        guard case .reason(let chain)? = result.settings.model(named: "o1")?.body else {
            Issue.record("there is no chain")
            return
        }
        #expect(chain.strategy == .steps && chain.with == ["example/gpt-4o"])
        #expect(chain.show == (regex ? .markdown : .details) && chain.status == regex)
        #expect(chain.whole == .stepsJSON && chain.maxSteps == 25 && chain.attempts == 3 && chain.wait == .seconds(1))
        #expect(chain.tokens.step == 300 && chain.tokens.final == 200 && chain.temperature == 0.2)
        #expect(result.settings.defaults.model == "o1")
        #expect(result.settings.server.listen.map(\.description) == ["0.0.0.0:18888"])
        #expect(result.key("o1")?.model == "o1" && result.key("o1")?.credential == .plain(Secret("sk-o1")))
        #expect(result.notes == ["source:7: other: not carried over"])
        #expect(result.warnings.isEmpty)
    }

    @Test("fitten-code-api: every field lands where the table says")
    func fitten() throws {
        let result = try Imports.read(try #require(Self.samples[.fitten]) + "more = 1\n[Other]\nx = y\n")
        let provider = try #require(result.provider("fitten"))
        #expect(provider.kind == "fitten")
        #expect(result.imported.variables.map(\.name) == ["FITTEN_USER", "FITTEN_PASSWORD", "FITTEN_API_KEY"])
        #expect(result.imported.variables.map(\.value) == ["me@example.com", "p%w;d", "sk-fitten"])
        #expect(provider.options["password"] == .list([.secret(Secret("p%w;d"))]))
        #expect(provider.options["username"] == .list([.string("me@example.com")]))
        #expect(result.alias("fitten-code") == "fitten/fitten-code" && result.settings.defaults.model == "fitten-code")
        #expect(result.settings.server.listen.map(\.description) == ["0.0.0.0:5000"])
        #expect(result.settings.log.file?.path == "fitten_api.log")
        #expect(result.settings.keys.map(\.credential) == [.plain(Secret("sk-fitten"))])
        #expect(result.hasNote("source:5", "Main.more") && result.hasNote("source:7", "Other.x"))
    }

    @Test("flowgpt-2api: every field lands where the table says")
    func flowGPT() throws {
        let result = try Imports.read(try #require(Self.samples[.flowGPT]) + "\nOTHER=1\n")
        let provider = try #require(result.provider("flowgpt"))
        #expect(provider.kind == "flowgpt" && provider.timeout.total == .seconds(180))
        #expect(provider.options["token"] == .list([.secret(Secret("eyJ.a.b"))]))
        #expect(provider.options["device_id"] == .list([.secret(Secret("device-1"))]))
        #expect(provider.options["default_model"] == .string("gpt-4-free"))
        #expect(provider.renames.map(\.name) == ["gpt-4-free", "chatgpt-5-pro"])
        #expect(provider.renames.map(\.upstream) == ["uzNc", "abc"])
        #expect(result.settings.server.listen.map(\.description) == ["0.0.0.0:8088"])
        #expect(result.key("master")?.credential == .plain(Secret("sk-master")))
        #expect(result.alias("chatgpt-5-pro") == "flowgpt/chatgpt-5-pro" && result.alias("*") == "flowgpt/*")
        #expect(result.settings.defaults.model == "flowgpt/gpt-4-free")
        #expect(result.notes == ["source:9: OTHER: not carried over"])
        #expect(
            result.imported.variables.map(\.name) == ["FLOWGPT_BEARER_TOKEN", "FLOWGPT_DEVICE_ID", "API_MASTER_KEY"])
    }

    @Test("flowgpt-2api: what is missing or odd is said, and never makes an open gateway")
    func flowGPTOdd() throws {
        let result = try Imports.read(
            "export REQUEST_TIMEOUT=90.5 # s\nNGINX_PORT=http\nFLOWGPT_BEARER_TOKEN=${TOKEN}\n", .flowGPT)
        #expect(result.provider("flowgpt")?.timeout.total == .milliseconds(90_500))
        #expect(result.settings.keys.isEmpty)
        #expect(result.hasNote("API_MASTER_KEY", "Parley generates a key") && result.hasNote("source:2", "NGINX_PORT"))
        #expect(result.imported.variables.map(\.name).sorted() == ["FLOWGPT_DEVICE_ID", "TOKEN"])
    }

    @Test("iflow: tokens of a login go to the store, a key of one's own into the file")
    func iFlow() throws {
        let result = try Imports.read(try #require(Self.samples[.iFlow]))
        let provider = try #require(result.provider("iflow"))
        #expect(provider.kind == "iflow" && provider.options["mode"] == .string("api"))
        #expect(provider.baseURL == "https://apis.iflow.cn/v1" && provider.apiKeys.isEmpty)
        #expect(result.imported.credentials.map(\.provider) == ["iflow"])
        let kept = try #require(result.imported.credentials.first?.values)
        #expect(kept["apiKey"]?.string == "key" && kept["oauth_refresh_token"]?.string == "rt")
        #expect(kept["oauth_expires_at"]?.int == 1_763_000_000_000 && kept["selectedAuthType"]?.string == "oauth-iflow")
        #expect(!result.yaml.contains("rt\"") && !result.imported.environmentFile.contains("=rt"))
        #expect(result.settings.keys.map(\.credential) == [.plain(Secret("sk-worker"))])
        #expect(result.settings.defaults.model == "iflow/qwen3-coder-plus" && result.alias("*") == "iflow/*")

        let own = try Imports.read("APIKEY=mine\nWORKER_AUTH_TOKEN=w\nMODELNAME=m\nNO=1")
        #expect(own.provider("iflow")?.apiKeys == [Secret("mine")] && own.imported.credentials.isEmpty)
        #expect(own.hasNote("source:4", "NO"))

        let agent = try Imports.read("# nothing\n", .iFlow)
        #expect(agent.provider("iflow")?.options["mode"] == .string("cli"))
        #expect(agent.alias("iflow") == "iflow/iflow" && agent.settings.defaults.model == "iflow")
        #expect(agent.settings.server.listen.map(\.description) == ["127.0.0.1:11666"])
    }
}
