// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyProviders

/// One deployment of LiteLLM's `model_list`: what its `litellm_params` become.
struct LiteLLMDeployment {
    /// LiteLLM's name of a service, and the kind it is here.
    private static let kinds = [
        "openai": "openai", "text-completion-openai": "openai", "azure": "azure", "azure_text": "azure",
        "azure_ai": "azure", "anthropic": "anthropic", "gemini": "gemini", "vertex_ai": "vertex",
        "vertex_ai_beta": "vertex", "bedrock": "bedrock", "bedrock_converse": "bedrock", "ollama": "ollama",
        "ollama_chat": "ollama", "groq": "groq", "mistral": "mistral", "codestral": "mistral", "deepseek": "deepseek",
        "together_ai": "together", "fireworks_ai": "fireworks", "openrouter": "openrouter",
        "perplexity": "perplexity", "xai": "xai", "cohere": "cohere", "cohere_chat": "cohere", "cerebras": "cerebras",
        "nvidia_nim": "nvidia", "github": "github", "huggingface": "huggingface", "deepinfra": "deepinfra",
        "moonshot": "moonshot", "minimax": "minimax", "volcengine": "volcengine",
        "dashscope": "dashscope-compatible", "zai": "zai", "siliconflow": "siliconflow", "novita": "novita",
        "hosted_vllm": "vllm", "vllm": "vllm", "lm_studio": "lmstudio", "snowflake": "snowflake",
        "openai_like": "openai-compatible", "custom_openai": "openai-compatible", "custom": "openai-compatible",
        "litellm_proxy": "openai-compatible", "llamafile": "openai-compatible", "xinference": "openai-compatible",
        "databricks": "openai-compatible", "infinity": "openai-compatible", "docker_model_runner": "openai-compatible",
    ]
    /// The variables that LiteLLM reads where a deployment has no key.
    private static let variables = [
        "openai": "OPENAI_API_KEY", "azure": "AZURE_API_KEY", "anthropic": "ANTHROPIC_API_KEY",
        "gemini": "GEMINI_API_KEY", "cohere": "COHERE_API_KEY", "together": "TOGETHERAI_API_KEY",
        "fireworks": "FIREWORKS_AI_API_KEY", "perplexity": "PERPLEXITYAI_API_KEY", "nvidia": "NVIDIA_NIM_API_KEY",
        "huggingface": "HUGGINGFACE_API_KEY", "github": "GITHUB_API_KEY",
    ]
    private static let sampling = [
        "temperature", "top_p", "top_k", "max_tokens", "max_completion_tokens", "stop", "seed", "presence_penalty",
        "frequency_penalty", "n", "user", "response_format", "reasoning_effort", "logit_bias",
    ]

    private let params: ImportNode
    private let path: String
    private var settings: [ImportEntry] = []
    private var done: Set<String> = ["model", "custom_llm_provider", "weight", "order", "max_retries"]

    private init(_ params: ImportNode, _ path: String) {
        self.params = params
        self.path = path
    }

    /// The member of a pool that a deployment is; nil, with a note, where it cannot be carried over.
    static func member(
        _ params: ImportNode, _ path: String, _ imported: inout ImportedConfiguration
    ) -> LiteLLMPool.Member? {
        var deployment = LiteLLMDeployment(params, path)
        return deployment.member(&imported)
    }

    private mutating func member(_ imported: inout ImportedConfiguration) -> LiteLLMPool.Member? {
        guard let named = params["model"]?.text, !named.isEmpty, let (service, kind, id) = place(named, &imported)
        else {
            return nil
        }
        settings = [ImportEntry("kind", .text(kind))]
        address(kind, &imported)
        credentials(kind, service, &imported)
        limits(&imported)
        extras(&imported)
        var renames: [ImportEntry] = []
        if let base = params["model_info"]?["base_model"]?.textValue { renames.append(ImportEntry(id, base)) }
        for member in params.members ?? [] where !done.contains(member.name) {
            imported.note("not carried over", line: member.line, path + "." + Diagnostic.plain(member.name))
        }
        let provider = imported.provider(name(service, kind), settings, renames: renames)
        var member = LiteLLMPool.Member(model: "\(provider)/\(id)", line: params.line)
        member.weight = positive("weight", &imported)
        member.requestsPerMinute = params["rpm"]?.number
        member.tokensPerMinute = params["tpm"]?.number
        member.order = params["order"]?.int
        member.retries = params["max_retries"]?.int
        return member
    }

    // MARK: - Which service

    /// LiteLLM's name of the service, the kind it is here, and the model's name there.
    private func place(
        _ named: String, _ imported: inout ImportedConfiguration
    ) -> (service: String, kind: String, id: String)? {
        var service = params["custom_llm_provider"]?.text ?? ""
        var id = named
        if let slash = named.firstIndex(of: "/"), service.isEmpty || named.hasPrefix(service + "/") {
            let prefix = String(named[..<slash])
            if service.isEmpty, Self.kinds[prefix] != nil || params["api_base"] == nil {
                service = prefix
                id = String(named[named.index(after: slash)...])
            } else if !service.isEmpty {
                id = String(named[named.index(after: slash)...])
            }
        }
        if service.isEmpty { service = guessed(named) }
        guard id.count(where: { $0 == "*" }) <= 1, !id.isEmpty else {
            imported.note("not carried over: the model's name has more than one *", line: params.line, path + ".model")
            return nil
        }
        guard var kind = Self.kinds[service] ?? (Catalogue.vendor(service) == nil ? nil : service) else {
            guard params["api_base"] != nil else {
                imported.note(
                    "not carried over: there is nothing here for \(Diagnostic.quote(service)); with an api_base it "
                        + "would be asked as OpenAI-compatible", line: params.line, path + ".model")
                return nil
            }
            imported.note(
                "\(Diagnostic.quote(service)) is not known here; it is asked as OpenAI-compatible", line: params.line,
                path + ".model")
            return (service, "openai-compatible", id)
        }
        let host = params["api_base"]?.text.flatMap(ImportedURL.host)
        if kind == "openai", params["api_base"] != nil, host != "api.openai.com" { kind = "openai-compatible" }
        if kind == "bedrock" { id = Self.bedrockModel(id) }
        return (service, kind, id)
    }

    private func guessed(_ model: String) -> String {
        if model == "*" || params["api_base"] != nil { return "openai" }
        if model.hasPrefix("claude") { return "anthropic" }
        if model.hasPrefix("gemini") { return "vertex_ai" }
        if model.hasPrefix("command") { return "cohere" }
        if model.hasPrefix("mistral") { return "mistral" }
        return "openai"
    }

    /// A model's name at Bedrock, without what LiteLLM puts before it to choose an API or a region.
    private static func bedrockModel(_ id: String) -> String {
        var id = id[...]
        while let slash = id.firstIndex(of: "/"), !id.hasPrefix("arn:") {
            let head = id[..<slash]
            let isRegion = head.split(separator: "-").count >= 3 && head.last?.isNumber == true
            guard ["converse", "invoke", "converse_like"].contains(head) || isRegion else { break }
            id = id[id.index(after: slash)...]
        }
        return String(id)
    }

    private func name(_ service: String, _ kind: String) -> String {
        guard kind == "openai-compatible", let base = params["api_base"]?.text else {
            return kind == "openai-compatible" ? service : kind
        }
        return ImportedURL.name(base) ?? service
    }

    // MARK: - Settings

    private mutating func take(_ name: String) -> ImportNode? {
        done.insert(name)
        return params[name]
    }

    private mutating func address(_ kind: String, _ imported: inout ImportedConfiguration) {
        let node = take("api_base")
        switch kind {
        case "azure":
            let variable = ImportValue.template([.variable("AZURE_API_BASE", fallback: nil)])
            settings.set("endpoint", node.flatMap(LiteLLMValue.text).map(ImportedURL.base) ?? variable)
            settings.set("api_version", take("api_version").flatMap(LiteLLMValue.text))
        case "vertex":
            let project = take("vertex_project").flatMap(LiteLLMValue.text)
            settings.set("project", project ?? .template([.variable("VERTEXAI_PROJECT", fallback: nil)]))
            settings.set("location", take("vertex_location").flatMap(LiteLLMValue.text))
        case "bedrock":
            let region = take("aws_region_name").flatMap(LiteLLMValue.text)
            settings.set("region", region ?? .template([.variable("AWS_REGION_NAME", fallback: "us-east-1")]))
        default: break
        }
        guard kind != "azure", let value = node.flatMap(LiteLLMValue.text).map(ImportedURL.base) else {
            if kind == "openai-compatible" {
                settings.set("base_url", .secret(nil, hint: "base-url"))
                imported.note("not set; set the variable BASE_URL", line: params.line, path + ".api_base")
            }
            return
        }
        if let text = value.text, !ImportedURL.isValid(text) {
            imported.note("is no base URL as Parley takes it; correct it", line: params.line, path + ".api_base")
        }
        settings.set("base_url", value)
    }

    private mutating func credentials(_ kind: String, _ service: String, _ imported: inout ImportedConfiguration) {
        let key = take("api_key").flatMap { LiteLLMValue.secret($0, name(service, kind) + "-api-key") }
        switch kind {
        case "bedrock":
            if let key {
                settings.set("api_key", key)
                return
            }
            let names = [
                ("access_key", "aws_access_key_id"), ("secret_key", "aws_secret_access_key"),
                ("session_token", "aws_session_token"),
            ]
            for (setting, name) in names {
                let value = take(name).flatMap { LiteLLMValue.secret($0, name) }
                let variable = ImportValue.template([.variable(name.uppercased(), fallback: nil)])
                settings.set(setting, value ?? (setting == "session_token" ? nil : variable))
            }
        case "vertex":
            let node = take("vertex_credentials")
            // The setting takes a path as well as the JSON itself.
            if let text = node?.text, !text.hasPrefix("{"), !text.hasPrefix("os.environ/") {
                settings.set("credentials", .text(text))
            } else {
                let variable = ImportValue.template([.variable("GOOGLE_APPLICATION_CREDENTIALS", fallback: nil)])
                settings.set(
                    "credentials", node.flatMap { LiteLLMValue.secret($0, "vertex-credentials") } ?? variable)
            }
        default:
            if let key {
                settings.set("api_key", key)
            } else if let vendor = Catalogue.vendor(kind), vendor.needsKey {
                let variable = Self.variables[kind] ?? vendor.variables.first ?? VariableNames.name(kind + "-api-key")
                settings.set("api_key", .template([.variable(variable, fallback: nil)]))
            } else if let variable = Self.variables[kind] {
                settings.set("api_key", .template([.variable(variable, fallback: nil)]))
            }
        }
        if let node = take("organization"), let value = LiteLLMValue.text(node) {
            settings.set("headers", .map([ImportEntry("OpenAI-Organization", value)]))
        }
    }

    private mutating func limits(_ imported: inout ImportedConfiguration) {
        var limits: [ImportEntry] = []
        for name in ["rpm", "tpm"] {
            guard let node = take(name) else { continue }
            if let value = node.int, (1...SettingsTable.many).contains(value) {
                limits.set(name, .int(value))
            } else {
                imported.note("not carried over: this is no count", line: node.line, path + "." + name)
            }
        }
        if let node = take("max_parallel_requests"), let value = node.int, (1...SettingsTable.many).contains(value) {
            limits.set("concurrent", .int(value))
        }
        if !limits.isEmpty { settings.set("limits", .map(limits)) }
        var timeout: [ImportEntry] = []
        for (name, setting) in [("stream_timeout", "first"), ("timeout", "total")] {
            guard let node = take(name) else { continue }
            if let value = node.number.flatMap(ImportValue.seconds) {
                timeout.set(setting, value)
            } else {
                imported.note("not carried over: this is no number of seconds", line: node.line, path + "." + name)
            }
        }
        if !timeout.isEmpty { settings.set("timeout", .map(timeout)) }
    }

    private mutating func extras(_ imported: inout ImportedConfiguration) {
        var fields: [ImportEntry] = []
        for name in Self.sampling {
            if let node = take(name) { fields.set(name, LiteLLMValue.any(node)) }
        }
        for member in take("extra_body")?.members ?? [] {
            fields.set(member.name, LiteLLMValue.entry(member).value)
        }
        if !fields.isEmpty { settings.set("params", .map(fields)) }
        var headers: [ImportEntry] = []
        if case .map(let given)? = settings["headers"] { headers = given }
        for name in ["extra_headers", "headers"] {
            for member in take(name)?.members ?? [] {
                headers.set(member.name, LiteLLMValue.secret(member.value, member.name + "-header"))
            }
        }
        if !headers.isEmpty { settings.set("headers", .map(headers)) }
    }

    private func positive(_ name: String, _ imported: inout ImportedConfiguration) -> Double? {
        guard let node = params[name] else { return nil }
        guard let value = node.number, (0...1_000_000).contains(value) else {
            imported.note("not carried over: a weight is a number from 0", line: node.line, path + "." + name)
            return nil
        }
        return value
    }
}
