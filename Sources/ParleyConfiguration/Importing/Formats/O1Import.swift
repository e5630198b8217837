// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// o1-api's `config.yaml`: one service behind one key, asked step by step.
enum O1Import {
    static func read(_ source: ImportSource, file: String) throws(LineFault) -> ImportedConfiguration {
        let root = try source.yaml()
        try root.checkNames()
        guard let members = root.members else { throw LineFault(root.line, "expected a mapping, not \(root.noun)") }
        var imported = ImportedConfiguration(kind: .o1, file: file)
        imported.set("server", "listen", to: .text("0.0.0.0:18888"))
        var settings = [ImportEntry("kind", .text("openai-compatible"))]
        var name = "upstream"
        if let url = root["default_api_url"], let text = url.textValue {
            let base = ImportedURL.base(text)
            settings.set("base_url", base)
            name = base.text.flatMap(ImportedURL.name) ?? name
        } else {
            settings.set("base_url", .text("https://api.openai.com/v1"))
            imported.note("not set; https://api.openai.com/v1 is taken", line: nil, "default_api_url")
        }
        settings.set("api_key", root["model_provider_api_key"]?.secret(name + "-api-key"))
        let provider = imported.provider(name, settings)
        var model = root["default_model"]?.text ?? ""
        if model.isEmpty || model.contains("*") {
            model = "gpt-4o-mini"
            imported.note("not set as text; gpt-4o-mini is taken", line: root["default_model"]?.line, "default_model")
        }
        imported.model("o1", chain("\(provider)/\(model)", root), comment: "As o1-api thinks, with its own numbers.")
        imported.set("defaults", "model", to: .text("o1"))
        if let key = root["api_bearer_token"]?.secret("o1-key") {
            imported.key("o1", key, [ImportEntry("model", .text("o1"))])
        } else {
            imported.note("not set, so it was open; Parley generates a key", line: nil, "api_bearer_token")
        }
        let known = [
            "api_bearer_token", "model_provider_api_key", "default_api_url", "default_model", "use_regex_processing",
            "stream_status_feedback",
        ]
        for member in members where !known.contains(member.name) {
            imported.note("not carried over", line: member.line, Diagnostic.plain(member.name))
        }
        return imported
    }

    private static func chain(_ model: String, _ root: ImportNode) -> ImportValue {
        let showsMarkdown = root["use_regex_processing"]?.truth ?? false
        let tokens = [ImportEntry("step", .int(300)), ImportEntry("final", .int(200))]
        return .map([
            ImportEntry("reason", .text("steps")), ImportEntry("with", .text(model)),
            ImportEntry("show", .text(showsMarkdown ? "markdown" : "details")),
            ImportEntry("whole", .text("steps-json")),
            ImportEntry("status", .bool(root["stream_status_feedback"]?.truth ?? false)),
            ImportEntry("max_steps", .int(25)), ImportEntry("tokens", .map(tokens)),
            ImportEntry("attempts", .int(3)), ImportEntry("wait", .text("1s")),
            ImportEntry("temperature", .number("0.2")),
        ])
    }
}
