// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// What each type of openai-style-api's entries becomes.
enum OpenAIStyleProviders {
    typealias Entry = OpenAIStyleImport.Entry
    typealias Target = OpenAIStyleTargets.Target

    /// The provider and the model of an entry that is no router; nil, with a note, for a type that is not known.
    static func target(_ entry: Entry, _ imported: inout ImportedConfiguration) -> Target? {
        switch entry.type {
        case "openai", "proxy": openAI(entry, &imported)
        case "azure": azure(entry, &imported)
        case "claude": claude(entry, &imported)
        case "claude-web": claudeWeb(entry, &imported)
        case "zhipu-api": zhipu(entry, &imported)
        case "xunfei-spark-api": spark(entry, &imported)
        case "gemini": gemini(entry, &imported)
        default: unknown(entry, &imported)
        }
    }

    private static func unknown(_ entry: Entry, _ imported: inout ImportedConfiguration) -> Target? {
        imported.note(
            "not carried over: the type \(Diagnostic.quote(entry.type)) is not known", line: entry.line,
            "[\(entry.number - 1)].type")
        return nil
    }

    private static func openAI(_ entry: Entry, _ imported: inout ImportedConfiguration) -> Target {
        let base = entry.config["api_base"]?.textValue.map(ImportedURL.base) ?? .text("https://api.openai.com/v1")
        let isOwn = base.text.flatMap(ImportedURL.host) == "api.openai.com"
        let name = isOwn ? "openai" : base.text.flatMap(ImportedURL.name) ?? "upstream"
        var settings = [ImportEntry("kind", .text(isOwn ? "openai" : "openai-compatible"))]
        if base != .text("https://api.openai.com/v1") { settings.set("base_url", checked(base, entry, &imported)) }
        settings.set("api_key", key(entry, name, isNeeded: isOwn, &imported))
        return target(entry, name, settings, known: ["api_base", "api_key", "model"], &imported)
    }

    private static func azure(_ entry: Entry, _ imported: inout ImportedConfiguration) -> Target {
        var settings = [ImportEntry("kind", .text("azure"))]
        if let base = entry.config["api_base"]?.textValue {
            settings.set("endpoint", checked(ImportedURL.base(base), entry, &imported))
        } else {
            settings.set("endpoint", .secret(nil, hint: "azure-endpoint"))
            imported.note("not set; set the variable AZURE_ENDPOINT", line: entry.line, entry.path("api_base"))
        }
        settings.set("api_version", entry.config["api_version"]?.textValue)
        settings.set("api_key", key(entry, "azure", isNeeded: true, &imported))
        let deployment = entry.config["deployment_id"]?.textValue
        let model = entry.config["model"]?.text ?? deployment?.text
        let known = ["api_base", "api_key", "api_version", "deployment_id", "model"]
        guard let deployment, let model, usable(model) else {
            if deployment != nil {
                imported.note("the deployment is not in the file; the client's model is asked for", line: entry.line)
            }
            return target(entry, "azure", settings, model: "*", known: known, &imported)
        }
        return target(
            entry, "azure", settings, model: model, renames: [ImportEntry(model, deployment)], known: known, &imported)
    }

    private static func claude(_ entry: Entry, _ imported: inout ImportedConfiguration) -> Target {
        var settings = [ImportEntry("kind", .text("anthropic"))]
        if let base = entry.config["api_base"]?.textValue {
            settings.set("base_url", checked(ImportedURL.base(base), entry, &imported))
        }
        settings.set("api_key", key(entry, "claude", isNeeded: true, &imported))
        settings.set("version", entry.config["anthropic-version"]?.textValue)
        let known = ["api_base", "api_key", "anthropic-version", "model"]
        if let model = entry.config["model"]?.text, usable(model) {
            if model.hasPrefix("claude-instant") || model.hasPrefix("claude-1") || model.hasPrefix("claude-2") {
                imported.note("this model is retired; name a newer one", line: entry.line, entry.path("model"))
            }
            return target(entry, "claude", settings, known: known, &imported)
        }
        imported.note(
            "no model is set: gpt-3.5-turbo and gpt-4 become claude-instant-1 and claude-2 as they did there, and both "
                + "are retired; name newer ones", line: entry.line, entry.path("model"))
        let renames = [
            ImportEntry("gpt-3.5-turbo", .text("claude-instant-1")), ImportEntry("gpt-4", .text("claude-2")),
        ]
        return target(entry, "claude", settings, model: "*", renames: renames, known: known, &imported)
    }

    private static func claudeWeb(_ entry: Entry, _ imported: inout ImportedConfiguration) -> Target {
        var settings = [ImportEntry("kind", .text("claude-web"))]
        settings.set(
            "cookie", entry.config["cookie"]?.secret("claude-web-cookie") ?? .secret(nil, hint: "claude-web-cookie"))
        settings.set("proxy", proxy(entry, &imported))
        if entry.config["single_conversation"]?.truth == true {
            // The original made one when it started and kept it.
            settings.set("conversation", entry.config["conversation_id"]?.textValue ?? .text("single"))
        }
        settings.set("prompt", entry.config["prompt"]?.textValue)
        let known = ["cookie", "proxies", "conversation_id", "single_conversation", "prompt"]
        noteRest(entry, known, &imported)
        return finished(entry, "claude-web", settings, model: "*", [], [], &imported)
    }

    private static func zhipu(_ entry: Entry, _ imported: inout ImportedConfiguration) -> Target {
        var settings = [ImportEntry("kind", .text("zhipu")), ImportEntry("api", .text("v3"))]
        settings.set("api_key", key(entry, "zhipu", isNeeded: true, &imported))
        imported.note("stays at the API v3, which is retired; api: v4 has newer models", line: entry.line)
        return target(entry, "zhipu", settings, known: ["api_key", "model", "prompt"], &imported)
    }

    /// The model of each version of Spark's API.
    private static let sparkModels = [
        "v1.1": "lite", "v1.5": "general", "v2.0": "generalv2", "v2.1": "generalv2", "v3.0": "generalv3",
        "v3.1": "generalv3", "v3.5": "generalv3.5", "v4.0": "4.0Ultra",
    ]

    private static func spark(_ entry: Entry, _ imported: inout ImportedConfiguration) -> Target {
        var settings = [ImportEntry("kind", .text("spark"))]
        settings.set("app_id", entry.config["app_id"]?.textValue ?? .secret(nil, hint: "spark-app-id"))
        settings.set("api_key", key(entry, "spark", isNeeded: true, &imported))
        settings.set(
            "api_secret",
            entry.config["api_secret"]?.secret("spark-api-secret") ?? .secret(nil, hint: "spark-api-secret"))
        let version = entry.config["api_model_version"]
        var model = version?.text.flatMap { sparkModels[$0.lowercased()] }
        if model == nil {
            model = "generalv3.5"
            imported.note(
                version == nil ? "not set; generalv3.5 is taken" : "not known; generalv3.5 is taken",
                line: version?.line ?? entry.line, entry.path("api_model_version"))
        }
        let known = ["app_id", "api_key", "api_secret", "api_model_version", "prompt"]
        return target(entry, "spark", settings, model: model, known: known, &imported)
    }

    private static func gemini(_ entry: Entry, _ imported: inout ImportedConfiguration) -> Target {
        var settings = [ImportEntry("kind", .text("gemini"))]
        settings.set("api_key", key(entry, "gemini", isNeeded: true, &imported))
        settings.set("proxy", proxy(entry, &imported))
        var model = entry.config["model"]?.text
        if model.map(usable) != true {
            model = "gemini-2.5-pro"
            imported.note(
                "it always asked gemini-pro, which is retired; gemini-2.5-pro takes its place", line: entry.line)
        }
        return target(
            entry, "gemini", settings, model: model, known: ["api_key", "proxies", "prompt", "model"], &imported)
    }

    // MARK: - Shared

    /// A target whose other members are sent whatever the client says, as the original sent them.
    private static func target(
        _ entry: Entry, _ name: String, _ settings: [ImportEntry], model: String? = nil, renames: [ImportEntry] = [],
        known: [String], _ imported: inout ImportedConfiguration
    ) -> Target {
        var settings = settings
        if let prompt = entry.config["prompt"], known.contains("prompt") {
            if let text = prompt.text, text.contains("{system}"), let kind = settings["kind"]?.text,
                SettingsTable.has("prompt", of: kind)
            {
                settings.set("prompt", .text(text))
            } else {
                imported.note(
                    "not carried over: system messages are sent as such", line: prompt.line, entry.path("prompt"))
            }
        }
        var model = model
        if model == nil, let node = entry.config["model"] {
            model = node.text
            if model.map(usable) != true {
                imported.note(
                    "not carried over: a model's name is text in the file, without *; the client's is asked for",
                    line: node.line, entry.path("model"))
                model = nil
            }
        }
        var force: [ImportEntry] = []
        for member in entry.config.members ?? [] where !known.contains(member.name) {
            if ["proxies", "messages", "stream"].contains(member.name) {
                imported.note("not carried over", line: member.line, entry.path(member.name))
            } else {
                force.append(member.entry)
            }
        }
        return finished(entry, name, settings, model: model ?? "*", renames, force, &imported)
    }

    private static func finished(
        _ entry: Entry, _ name: String, _ settings: [ImportEntry], model: String, _ renames: [ImportEntry],
        _ force: [ImportEntry], _ imported: inout ImportedConfiguration
    ) -> Target {
        let provider = imported.provider(name, settings, renames: renames, comment: OpenAIStyleTargets.comment(entry))
        return Target(
            model: "\(provider)/\(model)", force: force,
            provider: (name: provider, settings: settings, renames: renames))
    }

    private static func usable(_ model: String) -> Bool { !model.isEmpty && !model.contains("*") }

    private static func key(
        _ entry: Entry, _ name: String, isNeeded: Bool, _ imported: inout ImportedConfiguration
    ) -> ImportValue? {
        if let key = entry.config["api_key"]?.secret(name + "-api-key") { return key }
        guard isNeeded else { return nil }
        imported.note("not set; set the variable", line: entry.line, entry.path("api_key"))
        return .secret(nil, hint: name + "-api-key")
    }

    private static func checked(
        _ base: ImportValue, _ entry: Entry, _ imported: inout ImportedConfiguration
    ) -> ImportValue {
        if case .template = base {
            imported.note(
                "comes from the environment: it must end before /chat/completions", line: entry.line,
                entry.path("api_base"))
        } else if let text = base.text, !ImportedURL.isValid(text) {
            imported.note("is no base URL as Parley takes it; correct it", line: entry.line, entry.path("api_base"))
        }
        return base
    }

    private static func proxy(_ entry: Entry, _ imported: inout ImportedConfiguration) -> ImportValue? {
        guard let node = entry.config["proxies"] else { return nil }
        guard let given = node["https"] ?? node["http"], let value = given.textValue else {
            imported.note("not carried over: there is no proxy in it", line: node.line, entry.path("proxies"))
            return nil
        }
        guard let text = value.text else { return value }
        let (url, reason) = ImportedURL.proxy(text)
        guard let url else {
            imported.note(reason, line: given.line, entry.path("proxies"))
            return nil
        }
        return url.contains("@") ? .secret(url, hint: entry.type + "-proxy") : .text(url)
    }

    /// Notes the settings of an entry that nothing was made of.
    static func noteRest(_ entry: Entry, _ known: [String], _ imported: inout ImportedConfiguration) {
        for member in entry.config.members ?? [] where !known.contains(member.name) {
            imported.note("not carried over", line: member.line, entry.path(member.name))
        }
    }
}
