// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// fitten-code-api's `config.ini`: one account behind one key.
enum FittenImport {
    static func read(_ source: ImportSource, file: String) throws(LineFault) -> ImportedConfiguration {
        let root = try SectionLines.read(source)
        try root.checkNames()
        var imported = ImportedConfiguration(kind: .fitten, file: file)
        guard let main = root["Main"] ?? root["main"] else { throw LineFault(nil, "there is no section [Main] in it") }
        imported.set("server", "listen", to: .text("0.0.0.0:5000"))
        imported.set("log", "file", "path", to: .text("fitten_api.log"))
        var settings = [ImportEntry("kind", .text("fitten"))]
        for (name, hint) in [("username", "fitten-user"), ("password", "fitten-password")] {
            let value = main[name]?.secret(hint)
            if value == nil { imported.note("not set; set the variable", line: nil, "Main.\(name)") }
            settings.set(name, value ?? .secret(nil, hint: hint))
        }
        let provider = imported.provider("fitten", settings)
        imported.model("fitten-code", .text("\(provider)/fitten-code"))
        imported.set("defaults", "model", to: .text("fitten-code"))
        if let key = main["api_key"]?.secret("fitten-api-key") {
            imported.key("fitten", key)
        } else {
            imported.note("not set; Parley generates a key", line: nil, "Main.api_key")
        }
        for section in root.members ?? [] {
            for member in section.value.members ?? [] {
                let isKnown =
                    section.name.lowercased() == "main" && ["username", "password", "api_key"].contains(member.name)
                if isKnown { continue }
                imported.note("not carried over", line: member.line, Diagnostic.plain("\(section.name).\(member.name)"))
            }
        }
        return imported
    }
}
