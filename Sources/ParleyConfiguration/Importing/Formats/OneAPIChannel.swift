// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// One channel: what its type, key, URL and `config` become.
struct OneAPIChannel {
    private let node: ImportNode
    private let type: Int
    private let row: OneAPITypes.Row?
    private let path: String
    private var config = ImportNode(content: .map([]), line: 0)

    init(_ node: ImportNode, type: Int, isNewAPI: Bool, path: String) {
        self.node = node
        self.type = type
        self.path = path
        row = OneAPITypes.row(type, isNewAPI: isNewAPI)
    }

    /// A word for the service.
    var name: String { row?.name ?? node["base_url"]?.text.flatMap(ImportedURL.name) ?? "type-\(type)" }

    private var kind: String { row?.kind ?? "openai-compatible" }
    private var isAzure: Bool { kind == "azure" }

    /// The name that the channel's variables begin with.
    private var hint: String {
        let slug = NameSet.slug(node["name"]?.text ?? "", fallback: name)
        return slug.utf8.allSatisfy { $0 < 0x80 } ? slug : name
    }

    /// The provider's settings; nil, with a note, where there is nothing to ask.
    mutating func settings(_ imported: inout ImportedConfiguration) throws(LineFault) -> [ImportEntry]? {
        if let text = node["config"]?.text, !text.isEmpty {
            config = try ImportedJSON.read(text, line: node["config"]?.line ?? node.line, path + ".config")
        } else if let given = node["config"], given.members != nil {
            config = given
        }
        let base = node["base_url"]?.text.map { ImportedURL.base($0) } ?? ""
        if row == nil {
            guard !base.isEmpty else {
                imported.note(
                    "not carried over: the type \(type) is not known, and it has no base_url", line: node.line, path)
                return nil
            }
            imported.note("the type \(type) is not known; it is asked as OpenAI-compatible", line: node.line, path)
        }
        if row != nil, row?.kind == nil, base.isEmpty {
            imported.note("not carried over: it has no base_url", line: node.line, path)
            return nil
        }
        if !base.isEmpty, !ImportedURL.isValid(base) {
            imported.note("is no base URL as Parley takes it; correct it", line: node.line, path + ".base_url")
        }
        // Type 1 is also what people take for any service that speaks OpenAI's API.
        let isForeign = kind == "openai" && !base.isEmpty && ImportedURL.host(base) != "api.openai.com"
        var settings = [ImportEntry("kind", .text(isForeign ? "openai-compatible" : kind))]
        address(base, &settings, &imported)
        credentials(&settings, &imported)
        if let organization = node["openai_organization"]?.textValue {
            settings.set("headers", .map([ImportEntry("OpenAI-Organization", organization)]))
        }
        return settings
    }

    private func address(
        _ base: String, _ settings: inout [ImportEntry], _ imported: inout ImportedConfiguration
    ) {
        switch kind {
        case "azure":
            settings.set("endpoint", base.isEmpty ? .secret(nil, hint: hint + "-endpoint") : ImportedURL.value(base))
            if base.isEmpty { imported.note("not set; set the variable", line: node.line, path + ".base_url") }
            settings.set("api_version", config["api_version"]?.textValue ?? node["other"]?.textValue)
        case "vertex":
            let project = config["vertex_ai_project_id"]?.textValue ?? config["project_id"]?.textValue
            settings.set("project", project ?? .secret(nil, hint: hint + "-project"))
            settings.set("location", (config["region"] ?? node["other"])?.textValue)
        case "bedrock":
            settings.set("region", config["region"]?.textValue ?? keyPart(2) ?? .text("us-east-1"))
        case "cloudflare":
            let account = (config["user_id"] ?? node["other"])?.text ?? ""
            if account.isEmpty {
                imported.note("has no account's id: put it in place of ACCOUNT", line: node.line, path + ".config")
            }
            let root = base.isEmpty ? "https://api.cloudflare.com" : base
            let id = account.isEmpty ? "ACCOUNT" : account
            settings.set("base_url", ImportedURL.value("\(root)/client/v4/accounts/\(id)/ai/v1"))
        default:
            let own = row?.base ?? ""
            let isOwn = base.isEmpty || base == own
            if isOwn, row?.isElsewhere != true { return }
            settings.set("base_url", ImportedURL.value(url(isOwn ? own : base)))
        }
    }

    /// The base URL with what the projects put behind it themselves.
    private func url(_ base: String) -> String {
        let path = row?.path ?? "/v1"
        let last = base.split(separator: "/").last ?? ""
        let hasVersion = last.first == "v" && last.dropFirst().first?.isNumber == true
        return hasVersion || base.hasSuffix(path) ? base : base + path
    }

    // MARK: - Keys

    /// A part of a key such as `id|secret|region`.
    private func keyPart(_ index: Int) -> ImportValue? {
        let parts = (node["key"]?.text ?? "").split(separator: "|", omittingEmptySubsequences: false).map {
            trimmed($0)
        }
        guard parts.count > 1, parts.indices.contains(index), !parts[index].isEmpty else { return nil }
        return .text(parts[index])
    }

    private func secret(_ value: String?, _ what: String) -> ImportValue {
        .secret(value.flatMap { $0.isEmpty ? nil : $0 }, hint: "\(hint)-\(what)")
    }

    private func credentials(_ settings: inout [ImportEntry], _ imported: inout ImportedConfiguration) {
        let key = node["key"]?.text.map { trimmed($0) } ?? ""
        if key.isEmpty, kind != "ollama", config["ak"] == nil, config["vertex_ai_adc"] == nil {
            imported.note(
                "has no key, as the projects' own lists leave it out; set the variable", line: node.line, path + ".key")
        }
        let part = { (index: Int) in keyPart(index)?.text }
        switch kind {
        case "bedrock":
            settings.set("access_key", secret(config["ak"]?.text ?? part(0), "access-key"))
            settings.set("secret_key", secret(config["sk"]?.text ?? part(1), "secret-key"))
        case "vertex":
            settings.set("credentials", secret(config["vertex_ai_adc"]?.text ?? key, "credentials"))
        case "qianfan":
            settings.set("api_key", secret(part(0) ?? key, "api-key"))
            settings.set("secret_key", secret(part(1), "secret-key"))
        case "spark":
            settings.set("app_id", keyPart(0) ?? secret(nil, "app-id"))
            settings.set("api_secret", secret(part(1), "api-secret"))
            settings.set("api_key", secret(part(2), "api-key"))
        case "hunyuan" where key.contains("|"):
            imported.note(
                "its key is for Tencent's older API; make an API key of Hunyuan and set the variable", line: node.line,
                path + ".key")
            settings.set("api_key", secret(nil, "api-key"))
        case "ollama" where key.isEmpty: break
        default:
            // Several keys, one per line, rotate here as they did there.
            let keys = key.split(whereSeparator: \.isNewline).map { trimmed($0) }.filter { !$0.isEmpty }
            settings.set("api_key", secret(keys.joined(separator: ","), "api-key"))
        }
    }

    // MARK: - Models

    private static let sparkModels = [
        "SparkDesk-v1.1": "lite", "SparkDesk-v1.5": "general", "SparkDesk-v2.1": "generalv2",
        "SparkDesk-v3.1": "generalv3", "SparkDesk-v3.5": "generalv3.5", "SparkDesk-v4.0": "4.0Ultra",
        "SparkDesk": "generalv3.5",
    ]

    /// The models with another name upstream: those of `model_mapping`, and those that the projects rename themselves.
    func mapping(_ models: [String], _ imported: inout ImportedConfiguration) throws(LineFault) -> [ImportEntry] {
        var renames: [ImportEntry] = []
        var names: Set<String> = []
        let given = node["model_mapping"]
        var map = given
        if let text = given?.text, !text.isEmpty {
            map = try ImportedJSON.read(text, line: given?.line ?? node.line, path + ".model_mapping")
        }
        for member in map?.members ?? [] {
            guard let target = member.value.textValue, !member.name.isEmpty else {
                imported.note("not carried over: a model's name is text", line: given?.line, path + ".model_mapping")
                continue
            }
            names.insert(member.name)
            renames.append(ImportEntry(member.name, target))
        }
        for model in models where !names.contains(model) {
            if let upstream = upstream(model) { renames.append(ImportEntry(model, .text(upstream))) }
        }
        return renames
    }

    /// The name that the projects ask for where it is not the one shown.
    private func upstream(_ model: String) -> String? {
        switch kind {
        case "azure":
            // Names of deployments have no dots.
            return model.contains(".") ? model.filter { $0 != "." } : nil
        case "spark": return Self.sparkModels[model]
        case "bedrock" where !model.contains(".") || model.hasPrefix("claude-"):
            switch model {
            case "claude-instant-1.2": return "anthropic.claude-instant-v1"
            case "claude-2.0": return "anthropic.claude-v2"
            case "claude-2.1": return "anthropic.claude-v2:1"
            case "claude-3-5-sonnet-20241022", "claude-3-5-sonnet-latest":
                return "anthropic.claude-3-5-sonnet-20241022-v2:0"
            default: return model.hasPrefix("claude-") ? "anthropic.\(model)-v1:0" : nil
            }
        default: return nil
        }
    }
}
