// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import Testing

@testable import ParleyProviders

@Suite("The catalogue and the registry")
struct CatalogueTests {
    @Test("Every row has a name of its own, an address and, unless it is local, a key's variable")
    func rows() throws {
        var ids: Set<String> = []
        for vendor in Catalogue.vendors {
            #expect(ids.insert(vendor.id).inserted, "\(vendor.id) twice")
            #expect(!vendor.name.isEmpty)
            let url = vendor.places.reduce(vendor.baseURL) { $0.replacing("{\($1)}", with: "x") }
            let base = try BaseURL(url, setting: "base_url")
            let isLocal = base.host == "127.0.0.1"
            #expect(base.isSecure || isLocal || !vendor.places.isEmpty, "\(vendor.id) is not encrypted")
            #expect(!vendor.needsKey || !vendor.variables.isEmpty, "\(vendor.id) has no variable")
            #expect(vendor.chatPath.hasPrefix("/"))
        }
        #expect(Catalogue.vendors.count >= 40)
    }

    @Test("Every row makes a provider that posts to its chat path", arguments: Catalogue.vendors.map(\.id))
    func makes(id: String) async throws {
        let vendor = try #require(Catalogue.vendor(id))
        var setup = ProviderSetup(name: "p", kind: id)
        setup.apiKeys = ["secret"]
        for place in vendor.places { setup.options.values[place] = .string("filled") }
        let connector = FakeConnector(.json(wholeAnswer))
        let model = try #require(try Registry.make(setup).model("m"))
        let reply = try await model.answer(makeCall(connector, stream: false))
        let head = try #require(connector.heads.first)
        #expect(head.hasPrefix("POST /"))
        #expect(head.split(separator: " ")[1].hasSuffix(vendor.chatPath))
        #expect(!head.contains("{"))
        #expect(head.contains("authorization: Bearer secret\r\n"))
        let answer = try parsed(try await text(of: reply))
        #expect(answer["choices"]?.array?.first?["message"]?["content"] == "Hi")
    }

    @Test("Kinds have unique names; each is made or says what is missing")
    func kinds() async throws {
        #expect(Set(Registry.kinds.map(\.name)).count == Registry.kinds.count)
        for name in ["openai", "openai-compatible", "demo", "groq", "azure", "anthropic", "claude-web"] {
            #expect(Registry.kind(name) != nil, "\(name)")
        }
        for kind in Registry.kinds where !kind.isBuilt {
            var setup = ProviderSetup(name: "later", kind: kind.name)
            setup.models = [.init("x", "y")]
            let source = try Registry.make(setup)
            #expect(source.listedModels == ["x"])
            let model = try #require(source.model("any"))
            let failure = await thrown(by: model, makeCall(FakeConnector()))
            #expect(failure?.kind == .notImplemented)
            #expect(failure?.message.contains(kind.name) == true)
        }
        #expect(throws: ProviderError.self) { try Registry.make(ProviderSetup(name: "x", kind: "nonsense")) }
        #expect(throws: ProviderError("must be given", setting: "base_url")) {
            try Registry.make(ProviderSetup(name: "x", kind: "openai-compatible"))
        }
        #expect(throws: ProviderError("must be given, or a base_url", setting: "account_id")) {
            try Registry.make(ProviderSetup(name: "x", kind: "cloudflare"))
        }
    }

    @Test(
        "A base URL is read as people write it",
        arguments: [
            ("http://h", "/v1/chat/completions"), ("http://h/", "/v1/chat/completions"),
            ("http://h/v1", "/v1/chat/completions"), ("http://h/v1/", "/v1/chat/completions"),
            ("http://h/x/y/", "/x/y/chat/completions"), ("http://h/v1/chat/completions", "/v1/chat/completions"),
            ("http://h/v1?api-version=1", "/v1/chat/completions?api-version=1"),
        ])
    func base(url: String, path: String) async throws {
        let connector = FakeConnector(.json(wholeAnswer))
        _ = try await makeModel { $0.baseURL = url }.answer(makeCall(connector, stream: false))
        #expect(connector.heads.first?.hasPrefix("POST \(path) HTTP/1.1\r\nhost: h\r\n") == true)
    }

    @Test(
        "A wrong base URL is refused",
        arguments: [
            "", "h", "ftp://h", "http://", "http://h:0", "http://h:99999", "http://h h", "http://h\r\nx: y/",
            "http://user:pw@h/v1", "http://é/",
        ])
    func wrongBase(url: String) {
        #expect(throws: ProviderError.self) { _ = try makeModel { $0.baseURL = url } }
    }

    @Test("Hosts in brackets, ports and proxies")
    func addresses() async throws {
        let url = try BaseURL("https://[::1]:8443/v1", setting: "base_url")
        #expect(url.host == "::1")
        #expect(url.authority == "[::1]:8443")
        #expect(try BaseURL("https://h:443/", setting: "x").authority == "h")
        let proxy = try ProxyAddress("http://us%40er:p%3Aw@127.0.0.1:7890")
        #expect(proxy == ProxyAddress(host: "127.0.0.1", port: 7890, authorization: "Basic dXNAZXI6cDp3"))
        #expect(try ProxyAddress("http://p").port == 80)
        #expect(throws: ProviderError.self) { try ProxyAddress("socks5://h:1") }
    }

    @Test("Base64 pads", arguments: [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")])
    func base64(plain: String, coded: String) {
        #expect(Base64.text(Array(plain.utf8)) == coded)
    }

    @Test(
        "Headers and keys cannot bring lines of their own",
        arguments: [
            HeaderField("x\r\ny", "1"), HeaderField("x", "1\r\ny: 2"), HeaderField("", "1"),
            HeaderField("host", "other"),
            HeaderField("content-length", "5"),
        ])
    func injection(field: HeaderField) {
        #expect(throws: ProviderError.self) { _ = try makeModel { $0.headers = [field] } }
        #expect(throws: ProviderError.self) { _ = try makeModel(keys: ["a\nb"]) }
    }

    @Test("A row's quirks can be overridden by name; an unknown name is refused")
    func quirks() async throws {
        let connector = FakeConnector(
            .stream(frame(#"{"content":"Hi"}"#, finish: "stop") + doneFrame), .json(wholeAnswer))
        let model = try makeModel {
            $0.quirks = ["stream_options": false, "length_field": "max_completion_tokens", "dropped_fields": ["user"]]
        }
        let body = #"{"model":"a/m","stream":true,"messages":[],"max_tokens":5,"user":"me"}"#
        let call = makeCall(connector, body: body)
        _ = try await model.answer(call)
        let sent = try parsed(connector.bodies[0])
        #expect(sent["stream_options"] == nil)
        #expect(sent["max_completion_tokens"] == 5)
        #expect(sent["max_tokens"] == nil)
        #expect(sent["user"] == nil)
        #expect(call.trace.dropped == ["user"])
        #expect(throws: ProviderError("is not a known quirk", setting: "quirks.nonsense")) {
            _ = try makeModel { $0.quirks = ["nonsense": true] }
        }
        #expect(throws: ProviderError.self) { _ = try makeModel { $0.quirks = ["stream_options": 1] } }
    }

    @Test("Only named models where the configuration says so, else any name")
    func names() throws {
        var setup = ProviderSetup(name: "p", kind: "openai")
        setup.models = [.init("a", "upstream-a")]
        #expect(try Registry.make(setup).listedModels == nil)
        #expect(try Registry.make(setup).namedModels == ["a"])
        #expect(try Registry.make(setup).model("other")?.name == "p/other")
        setup.discover = false
        #expect(try Registry.make(setup).listedModels == ["a"])
        #expect(try Registry.make(setup).model("other") == nil)
        #expect(try Registry.make(setup).model("a")?.name == "p/a")
    }

    @Test(
        "Lists of models are read in every shape",
        arguments: [
            #"{"object":"list","data":[{"id":"a","created":1700000000,"owned_by":"x"},{"id":"b"}]}"#,
            #"[{"id":"a","created":1700000000000,"organization":"x"},{"id":"b"}]"#,
            #"{"models":[{"name":"models/a","created":1700000000.5,"publisher":"x"},"b",{"id":"a"},{"id":""},7]}"#,
        ])
    func lists(body: String) async throws {
        var setup = ProviderSetup(name: "p", kind: "openai")
        setup.apiKeys = ["k"]
        setup.models = [.init("b", "b-7")]
        let connector = FakeConnector(.json(body))
        let models = try await Registry.make(setup).discover(connector)
        #expect(
            models == [ListedModel(id: "b"), ListedModel(id: "a", created: 1_700_000_000, ownedBy: "x")])
        let head = try #require(connector.heads.first)
        #expect(head.hasPrefix("GET /v1/models HTTP/1.1\r\nhost: api.openai.com\r\nauthorization: Bearer k\r\n"))
        #expect(connector.requests[0].body == nil)
        #expect(connector.requests[0].isIdempotent)
    }

    @Test("A list that fails or is no list is an error")
    func failedLists() async throws {
        let source = try Registry.make(ProviderSetup(name: "p", kind: "openai"))
        for script in [FakeConnector.Script.json("{}"), .json("<html>"), .json("{}", status: 401)] {
            #expect(await thrown(by: source, FakeConnector(script)) != nil)
        }
        var github = ProviderSetup(name: "g", kind: "github")
        github.apiKeys = ["k"]
        let connector = FakeConnector(.json(#"[{"id":"openai/gpt-4o"}]"#))
        #expect(try await Registry.make(github).discover(connector).map(\.id) == ["openai/gpt-4o"])
        #expect(connector.heads[0].hasPrefix("GET /catalog/models HTTP/1.1\r\n"))
    }
}

@Suite("Providers from the environment")
struct EnvironmentTests {
    @Test("Keys make providers; empty ones and GITHUB_TOKEN alone do not")
    func keys() throws {
        let found = Catalogue.environment([
            "OPENAI_API_KEY": "o", "OPENAI_BASE_URL": "http://proxy/v1", "OPENAI_ORG_ID": "org", "GROQ_API_KEY": "",
            "DEEPSEEK_API_KEY": "d", "DEEPSEEK_BASE_URL": "http://ds", "GITHUB_TOKEN": "g", "HF_TOKEN": "h",
            "ANTHROPIC_API_KEY": "a", "GEMINI_API_KEY": "gem", "PATH": "/bin",
        ])
        #expect(found.map(\.name) == ["openai", "anthropic", "gemini", "deepseek", "huggingface"])
        #expect(found.map(\.kind) == ["openai", "anthropic", "gemini", "deepseek", "huggingface"])
        #expect(found[0].baseURL == "http://proxy/v1")
        #expect(found[0].headers == [HeaderField("openai-organization", "org")])
        #expect(found[2].apiKeys == ["gem"] && found[2].baseURL == nil)
        #expect(found[3].baseURL == "http://ds")
        #expect(found[4].apiKeys == ["h"])
        #expect(found[1].apiKeys == ["a"] && Registry.kind(found[1].kind)?.isBuilt == true)
        for setup in found { _ = try Registry.make(setup) }
        #expect(Catalogue.environment([:]).isEmpty)
    }

    @Test("GitHub Models and servers that need more than a key")
    func more() {
        let github = ["GITHUB_TOKEN": "g", "PARLEY_GITHUB_MODELS": "1"]
        #expect(Catalogue.environment(github).map(\.name) == ["github"])
        #expect(Catalogue.environment(["CLOUDFLARE_API_TOKEN": "c"]).isEmpty)
        let cloudflare = Catalogue.environment(["CLOUDFLARE_API_TOKEN": "c", "CLOUDFLARE_ACCOUNT_ID": "acc"])
        #expect(cloudflare.first?.options.values["account_id"] == "acc")
        #expect(Catalogue.environment(["VLLM_BASE_URL": "http://gpu:8000/v1"]).map(\.name) == ["vllm"])
        #expect(
            Catalogue.environment(["GOOGLE_API_KEY": "first", "GEMINI_API_KEY": "second"]).map(\.apiKeys) == [["first"]]
        )
        let own = ["GEMINI_API_KEY": "k", "GOOGLE_GEMINI_BASE_URL": "http://own"]
        #expect(Catalogue.environment(own).map(\.baseURL) == ["http://own"])
        let google = ["GOOGLE_APPLICATION_CREDENTIALS": "/sa.json", "GOOGLE_CLOUD_PROJECT": "p"]
        #expect(Catalogue.environment(google).isEmpty)
        let vertex = Catalogue.environment(google.merging(["GOOGLE_GENAI_USE_VERTEXAI": "true"]) { $1 })
        #expect(vertex.map(\.kind) == ["vertex"] && vertex.first?.options.values["project"] == "p")
    }

    @Test("Local servers are looked for at their ports, but not at our own")
    func local() throws {
        let servers = Catalogue.localServers(ownPort: 8080)
        #expect(servers.map(\.port) == [11434, 1234, 8000])
        #expect(Catalogue.localServers(ownPort: nil).map(\.setup.name) == ["ollama", "lmstudio", "vllm", "llamacpp"])
        for server in servers {
            #expect(server.probePath == "/v1/models")
            _ = try Registry.make(server.setup)
        }
    }
}
