// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// iflow_openapi's stored keys and values, as JSON or as `KEY=value` lines.
enum IFlowImport {
    /// The fields by what is left of their names without case and underscores.
    private static let fields = [
        "apikey": "apiKey", "baseurl": "baseUrl", "modelname": "modelName", "selectedauthtype": "selectedAuthType",
        "cna": "cna", "oauthaccesstoken": "oauth_access_token", "oauthrefreshtoken": "oauth_refresh_token",
        "oauthexpiresat": "oauth_expires_at", "workerauthtoken": "worker_auth_token",
    ]
    /// What is kept in the store, by the names that the project itself uses.
    private static let stored = [
        "apiKey", "baseUrl", "modelName", "cna", "selectedAuthType", "oauth_access_token", "oauth_refresh_token",
        "oauth_expires_at",
    ]

    /// The field that a name means: `apiKey` by `API_KEY`, `IFLOW_API_KEY` and `apikey`; nil where it means none.
    static func field(_ name: String) -> String? {
        var word = name.lowercased().filter { $0 != "_" && $0 != "-" }
        if word.hasPrefix("iflow") { word.removeFirst(5) }
        return fields[word]
    }

    /// Whether a name is in no other project's files, as a plain `API_KEY` is.
    static func isTelling(_ name: String) -> Bool {
        guard let field = field(name) else { return false }
        return name.lowercased().hasPrefix("iflow") || field.contains("_") || field == "selectedAuthType"
    }

    static func read(_ source: ImportSource, file: String) throws(LineFault) -> ImportedConfiguration {
        var parser = PythonLiteral(source)
        parser.skipSpace()
        let root = try parser.peek == UInt8(ascii: "{") ? source.json() : EnvironmentLines.read(source)
        try root.checkNames()
        var imported = ImportedConfiguration(kind: .iFlow, file: file)
        var values: [String: ImportNode] = [:]
        for member in root.members ?? [] {
            guard let field = field(member.name) else {
                imported.note("not carried over", line: member.line, Diagnostic.plain(member.name))
                continue
            }
            guard values[field] == nil else {
                throw LineFault(member.line, "\(field) is already set on line \(values[field]?.line ?? 0)")
            }
            if !member.value.isEmpty { values[field] = member.value }
        }
        if values.isEmpty { return agent(&imported) }
        api(values, &imported)
        return imported
    }

    /// Without any of the keys it was the project's first version, which runs the command.
    private static func agent(_ imported: inout ImportedConfiguration) -> ImportedConfiguration {
        imported.set("server", "listen", to: .text("127.0.0.1:11666"))
        let provider = imported.provider(
            "iflow", [ImportEntry("kind", .text("iflow")), ImportEntry("mode", .text("cli"))])
        imported.model("iflow", .text("\(provider)/iflow"))
        imported.set("defaults", "model", to: .text("iflow"))
        imported.note("no key is set; the iflow command is run, and Parley generates a key for clients", line: nil)
        return imported
    }

    private static func api(_ values: [String: ImportNode], _ imported: inout ImportedConfiguration) {
        var settings = [ImportEntry("kind", .text("iflow")), ImportEntry("mode", .text("api"))]
        let isLogin = values["oauth_access_token"] != nil || values["oauth_refresh_token"] != nil
        // A key that came with a login changes when the login is renewed: it is kept with the tokens.
        if !isLogin {
            settings.set("api_key", values["apiKey"]?.secret("IFLOW_API_KEY") ?? .secret(nil, hint: "IFLOW_API_KEY"))
        }
        settings.set("base_url", values["baseUrl"]?.textValue.map(ImportedURL.base))
        if isLogin {
            settings.set("client_id", .secret(nil, hint: "IFLOW_CLIENT_ID"))
            settings.set("client_secret", .secret(nil, hint: "IFLOW_CLIENT_SECRET"))
            imported.note(
                "the client of the login page is not in the source: set IFLOW_CLIENT_ID and IFLOW_CLIENT_SECRET",
                line: nil)
        }
        let provider = imported.provider("iflow", settings)
        if isLogin { keep(values, provider, &imported) }
        if let type = values["selectedAuthType"], !isLogin, type.text?.hasPrefix("oauth") == true {
            imported.note(
                "there are no tokens of a login beside it; sign in again", line: type.line, "selectedAuthType")
        }
        if let model = values["modelName"]?.text, !model.contains("*") {
            imported.set("defaults", "model", to: .text("\(provider)/\(model)"))
        }
        // As there: a name is the service's own.
        imported.model("*", .text("\(provider)/*"))
        if let token = values["worker_auth_token"]?.secret("WORKER_AUTH_TOKEN") {
            imported.key("worker", token)
        } else {
            imported.note("not set; Parley generates a key", line: nil, "worker_auth_token")
        }
    }

    private static func keep(
        _ values: [String: ImportNode], _ provider: String, _ imported: inout ImportedConfiguration
    ) {
        var kept = JSONObject()
        for name in stored {
            guard let node = values[name] else { continue }
            guard let text = node.text else {
                imported.note("not kept: its value is not in the file", line: node.line, name)
                continue
            }
            if name == "oauth_expires_at" {
                guard let moment = node.int else {
                    imported.note("not kept: this is no time in milliseconds", line: node.line, name)
                    continue
                }
                kept[name] = .int(moment)
            } else {
                kept[name] = .string(text)
            }
        }
        imported.credentials.append(ImportedCredentials(provider: provider, values: kept))
    }
}
