// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// flowgpt-2api's `.env`.
enum FlowGPTImport {
    private static let known = [
        "API_MASTER_KEY", "NGINX_PORT", "FLOWGPT_BEARER_TOKEN", "FLOWGPT_DEVICE_ID", "REQUEST_TIMEOUT",
        "API_REQUEST_TIMEOUT", "DEFAULT_MODEL_ID", "MODEL_MAP",
    ]

    static func read(_ source: ImportSource, file: String) throws(LineFault) -> ImportedConfiguration {
        let root = try EnvironmentLines.read(source)
        try root.checkNames()
        var imported = ImportedConfiguration(kind: .flowGPT, file: file)
        if let port = root["NGINX_PORT"] {
            if let number = port.int, (1...65535).contains(number) {
                imported.set("server", "listen", to: .text("0.0.0.0:\(number)"))
            } else if case .template(let parts) = port.content {
                imported.set("server", "listen", to: .template([.literal("0.0.0.0:")] + parts))
            } else {
                imported.note("not carried over: a port is a number from 1 to 65535", line: port.line, "NGINX_PORT")
            }
        }
        var settings = [ImportEntry("kind", .text("flowgpt"))]
        for (name, variable) in [("token", "FLOWGPT_BEARER_TOKEN"), ("device_id", "FLOWGPT_DEVICE_ID")] {
            let value = root[variable]?.secret(variable)
            if value == nil { imported.note("not set; set the variable", line: nil, variable) }
            settings.set(name, value ?? .secret(nil, hint: variable))
        }
        settings.set("default_model", root["DEFAULT_MODEL_ID"]?.textValue)
        timeout(root, &settings, &imported)
        let names = try modelMap(root, &imported)
        let provider = imported.provider("flowgpt", settings, renames: names)
        for entry in names {
            guard let name = imported.modelName(entry.name, line: root["MODEL_MAP"]?.line, "MODEL_MAP"),
                !name.contains("*")
            else { continue }
            imported.model(name, .text("\(provider)/\(entry.name)"))
        }
        // As there: a name that the map does not have means the default.
        imported.model("*", .text("\(provider)/*"))
        if let model = root["DEFAULT_MODEL_ID"]?.text, !model.isEmpty, !model.contains("*") {
            imported.set("defaults", "model", to: .text("\(provider)/\(model)"))
        }
        if let key = root["API_MASTER_KEY"]?.secret("API_MASTER_KEY") {
            imported.key("master", key)
        } else {
            imported.note(
                "not set, so it was open to everybody; that is not carried over: Parley generates a key", line: nil,
                "API_MASTER_KEY")
        }
        for member in root.members ?? [] where !known.contains(member.name) {
            imported.note("not carried over", line: member.line, Diagnostic.plain(member.name))
        }
        return imported
    }

    private static func timeout(
        _ root: ImportNode, _ settings: inout [ImportEntry], _ imported: inout ImportedConfiguration
    ) {
        let given = ["API_REQUEST_TIMEOUT", "REQUEST_TIMEOUT"].filter { root[$0] != nil }
        guard let name = given.first, let node = root[name] else { return }
        guard let value = node.number.flatMap(ImportValue.seconds) else {
            imported.note("not carried over: this is no number of seconds", line: node.line, name)
            return
        }
        settings.set("timeout", .map([ImportEntry("total", value)]))
        if given.count > 1 { imported.note("not carried over: \(name) counts", line: root[given[1]]?.line, given[1]) }
    }

    /// The map of names to prompts, as renames.
    private static func modelMap(
        _ root: ImportNode, _ imported: inout ImportedConfiguration
    ) throws(LineFault) -> [ImportEntry] {
        guard let node = root["MODEL_MAP"], let text = node.text, !text.isEmpty else { return [] }
        let map = try ImportedJSON.read(text, line: node.line, "MODEL_MAP")
        guard let members = map.members else { throw LineFault(node.line, "MODEL_MAP must be a JSON object") }
        return members.compactMap { member in
            guard let value = member.value.textValue, !member.name.isEmpty else {
                imported.note("not carried over: a prompt's id is text", line: node.line, "MODEL_MAP")
                return nil
            }
            return ImportEntry(member.name, value)
        }
    }
}
