// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

extension Catalogue {
    /// The providers that exist on a machine with these environment variables, in the catalogue's order.
    ///
    /// OpenAI comes first, then Anthropic, Google, then the catalogue. An empty
    /// variable counts as not set. Another base URL is taken from `<KEY VARIABLE'S STEM>_BASE_URL`, as the vendors'
    /// SDKs do it. A `GITHUB_TOKEN` is on many machines for other reasons and would be sent to GitHub Models, so it
    /// counts only together with `PARLEY_GITHUB_MODELS=1`. A self-hosted server that needs no key exists when its
    /// base URL or key is set; without either `localServers` says where to look.
    public static func environment(_ environment: [String: String]) -> [ProviderSetup] {
        func value(_ name: String) -> String? {
            guard let text = environment[name], !text.isEmpty else { return nil }
            return text
        }
        var found: [ProviderSetup] = []
        if let key = value("OPENAI_API_KEY") {
            var setup = ProviderSetup(name: "openai", kind: "openai")
            setup.apiKeys = [key]
            setup.baseURL = value("OPENAI_BASE_URL")
            if let id = value("OPENAI_ORG_ID") { setup.headers.append(HeaderField("openai-organization", id)) }
            if let id = value("OPENAI_PROJECT_ID") { setup.headers.append(HeaderField("openai-project", id)) }
            found.append(setup)
        }
        if let setup = anthropic(value) { found.append(setup) }
        if let key = GeminiProvider.environment.lazy.compactMap(value).first {
            var setup = ProviderSetup(name: "gemini", kind: "gemini")
            setup.apiKeys = [key]
            setup.baseURL = value(GeminiProvider.baseVariable)
            found.append(setup)
        }
        // The variables of Google's own SDKs; the path alone is on many machines for other reasons.
        if ["1", "true"].contains(value("GOOGLE_GENAI_USE_VERTEXAI")?.lowercased()),
            let path = value("GOOGLE_APPLICATION_CREDENTIALS"), let project = value("GOOGLE_CLOUD_PROJECT")
        {
            var setup = ProviderSetup(name: "vertex", kind: "vertex")
            setup.options.values = ["credentials": .string(path), "project": .string(project)]
            if let location = value("GOOGLE_CLOUD_LOCATION") { setup.options.values["location"] = .string(location) }
            found.append(setup)
        }
        // Gemini has been found by its own API already.
        return found + vendors.filter { $0.id != "gemini-openai" }.compactMap { $0.setup(value) }
            + [azure(value), bedrock(value), qianfan(value)].compactMap(\.self)
    }

    /// Anthropic, by its key or by a token. A token that is not Anthropic's own is for somebody between, who wants it as
    /// a bearer's.
    private static func anthropic(_ value: (String) -> String?) -> ProviderSetup? {
        var setup = ProviderSetup(name: "anthropic", kind: "anthropic")
        setup.baseURL = value("ANTHROPIC_BASE_URL")
        if let key = value("ANTHROPIC_API_KEY") {
            setup.apiKeys = [key]
        } else if let token = value("ANTHROPIC_AUTH_TOKEN") {
            if token.hasPrefix("sk-ant-oat") { setup.apiKeys = [token] } else { setup.headers = [.bearer(token)] }
        } else {
            return nil
        }
        return setup
    }

    /// Azure, by the variables of OpenAI's SDK: a key or a token of Entra ID, and the resource's address.
    private static func azure(_ value: (String) -> String?) -> ProviderSetup? {
        guard let key = value("AZURE_OPENAI_API_KEY") ?? value("AZURE_OPENAI_AD_TOKEN"),
            let endpoint = value("AZURE_OPENAI_ENDPOINT")
        else { return nil }
        var setup = ProviderSetup(name: "azure", kind: "azure")
        setup.apiKeys = [key]
        setup.options.values["endpoint"] = .string(endpoint)
        if let version = value("OPENAI_API_VERSION") { setup.options.values["api_version"] = .string(version) }
        return setup
    }

    /// Bedrock, by its own API key; AWS credentials are on many machines for other reasons, so they count only
    /// together with a region and `PARLEY_BEDROCK=1`.
    private static func bedrock(_ value: (String) -> String?) -> ProviderSetup? {
        var setup = ProviderSetup(name: "bedrock", kind: "bedrock")
        let region = value("AWS_REGION") ?? value("AWS_DEFAULT_REGION")
        setup.options.values["region"] = .string(region ?? "us-east-1")
        if let key = value("AWS_BEARER_TOKEN_BEDROCK") {
            setup.apiKeys = [key]
            return setup
        }
        guard region != nil, value("PARLEY_BEDROCK") == "1", let key = value("AWS_ACCESS_KEY_ID"),
            let secret = value("AWS_SECRET_ACCESS_KEY")
        else { return nil }
        setup.options.values["access_key"] = .string(key)
        setup.options.values["secret_key"] = .string(secret)
        if let token = value("AWS_SESSION_TOKEN") { setup.options.values["session_token"] = .string(token) }
        return setup
    }

    /// Qianfan's older API, by the variables of Baidu's SDK; a key of the newer one goes before it.
    private static func qianfan(_ value: (String) -> String?) -> ProviderSetup? {
        guard value("QIANFAN_API_KEY") == nil, let key = value("QIANFAN_AK"), let secret = value("QIANFAN_SK") else {
            return nil
        }
        var setup = ProviderSetup(name: "qianfan", kind: "qianfan")
        setup.apiKeys = [key]
        setup.baseURL = value("QIANFAN_BASE_URL")
        setup.options.values["secret_key"] = .string(secret)
        return setup
    }

    /// A server that may run on this machine.
    public struct LocalServer: Sendable {
        /// The provider it would be.
        public var setup: ProviderSetup
        /// The port it listens on unless told otherwise.
        public var port: Int
        /// What to `GET` on it to see whether it is there: the list of models.
        public var probePath: String
    }

    /// Where local servers are found when nobody changed their ports.
    ///
    /// - Parameter ownPort: the port Parley itself listens on, which is not looked at.
    public static func localServers(ownPort: Int?) -> [LocalServer] {
        let places: [(name: String, kind: String, port: Int)] = [
            ("ollama", "ollama-openai", 11434), ("lmstudio", "lmstudio", 1234), ("vllm", "vllm", 8000),
            ("llamacpp", "llamacpp", 8080),
        ]
        return places.filter { $0.port != ownPort }.map { place in
            var setup = ProviderSetup(name: place.name, kind: place.kind)
            setup.baseURL = "http://127.0.0.1:\(place.port)/v1"
            return LocalServer(setup: setup, port: place.port, probePath: "/v1/models")
        }
    }
}

extension Vendor {
    /// The name a provider of this kind gets when the environment alone says that it exists.
    var environmentName: String {
        switch id {
        case "dashscope-compatible": "dashscope"
        case "qianfan-v2": "qianfan"
        case "spark-http": "spark"
        case "cohere-compatible": "cohere"
        case "iflow-openai": "iflow"
        default: id
        }
    }

    /// The kind of such a provider: the service's own API, where Parley speaks it.
    var environmentKind: String {
        id == "cohere-compatible" ? "cohere" : id
    }

    /// Every variable that may hold another base URL: the row's own and those that follow from the keys' names.
    public var allBaseVariables: [String] {
        var names = baseVariables
        for variable in variables {
            for ending in ["_API_KEY", "_API_TOKEN", "_API_PASSWORD", "_TOKEN"] where variable.hasSuffix(ending) {
                let name = variable.dropLast(ending.count) + "_BASE_URL"
                if !names.contains(String(name)) { names.append(String(name)) }
                break
            }
        }
        return names
    }

    /// The provider that these variables describe, if they do.
    func setup(_ value: (String) -> String?) -> ProviderSetup? {
        let key = variables.lazy.compactMap(value).first
        let base = allBaseVariables.lazy.compactMap(value).first
        if let consentVariable, value(consentVariable) != "1" { return nil }
        guard key != nil || (!needsKey && base != nil) else { return nil }
        var setup = ProviderSetup(name: environmentName, kind: environmentKind)
        setup.apiKeys = key.map { [$0] } ?? []
        setup.baseURL = base
        for place in places where base == nil {
            guard let variable = placeVariables[place], let text = value(variable) else { return nil }
            setup.options.values[place] = .string(text)
        }
        return setup
    }
}
