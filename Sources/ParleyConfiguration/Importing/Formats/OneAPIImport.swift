// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// The channels of one-api and new-api, as their API or a dump of their table has them.
struct OneAPIImport {
    /// A channel that serves a model.
    struct Server {
        /// As `provider/model`.
        var model: String
        var priority: Double
        var weight: Double
    }

    var imported: ImportedConfiguration
    private var names: [String] = []
    private var servers: [String: [Server]] = [:]

    static func read(
        _ source: ImportSource, file: String, kind: ImportKind
    ) throws(LineFault) -> ImportedConfiguration {
        let root = try source.json()
        try root.checkNames()
        let list = root["data"] ?? root
        guard let channels = list.elements ?? list["items"]?.elements else {
            throw LineFault(root.line, "expected a list of channels, or {\"data\": [...]}")
        }
        var reader = OneAPIImport(imported: ImportedConfiguration(kind: kind, file: file))
        for (index, node) in channels.enumerated() { try reader.channel(node, "[\(index)]") }
        reader.pools()
        reader.imported.note(
            "keys of clients are not among the channels: Parley generates one, or name them under `keys`", line: nil)
        return reader.imported
    }

    /// Whether rows have what only new-api's have, which numbers some types otherwise.
    static func isNewAPI(_ channels: [ImportNode]) -> Bool {
        let own: Set<String> = [
            "auto_ban", "status_code_mapping", "channel_info", "param_override", "header_override", "setting",
            "settings",
            "tag", "other_info", "openai_organization",
        ]
        return channels.contains { ($0.members ?? []).contains { own.contains($0.name) } }
    }

    // MARK: - Channels

    private mutating func channel(_ node: ImportNode, _ path: String) throws(LineFault) {
        guard node.members != nil, let type = node["type"]?.int else {
            imported.note("not carried over: a channel has a type, which is a number", line: node.line, path)
            return
        }
        let title = node["name"]?.text ?? ""
        guard (node["status"]?.int ?? 1) == 1 else {
            imported.note("not carried over: \(Diagnostic.quote(title)) is switched off", line: node.line, path)
            return
        }
        var channel = OneAPIChannel(node, type: type, isNewAPI: imported.kind == .newAPI, path: path)
        guard let settings = try channel.settings(&imported) else { return }
        let models = Self.models(node["models"])
        let mapping = try channel.mapping(models, &imported)
        let comment =
            "channel \(node["id"]?.text ?? path) (line \(node.line))"
            + (title.isEmpty ? "" : ", \(Diagnostic.plain(title))")
        let name = imported.provider(
            NameSet.slug(title, fallback: channel.name), settings, renames: mapping, comment: comment)
        if models.isEmpty { imported.note("has no models", line: node.line, path + ".models") }
        let prefix = prompted(name, node, path)
        for model in models {
            guard let shown = imported.modelName(model, line: node.line, path + ".models"), !model.contains("*") else {
                continue
            }
            if servers[shown] == nil { names.append(shown) }
            servers[shown, default: []].append(
                Server(
                    model: "\(prefix)/\(model)", priority: node["priority"]?.number ?? 0,
                    weight: min(max(node["weight"]?.number ?? 0, 0), 1_000_000)))
        }
        rest(node, path)
    }

    /// The names in a list with commas, each once.
    private static func models(_ node: ImportNode?) -> [String] {
        var seen: Set<String> = []
        return (node?.text ?? "").split(separator: ",").map { trimmed($0) }.filter {
            !$0.isEmpty && seen.insert($0).inserted
        }
    }

    /// The provider's name, or that of a route that puts the channel's system prompt before what it asks.
    private mutating func prompted(_ provider: String, _ node: ImportNode, _ path: String) -> String {
        guard let prompt = node["system_prompt"]?.textValue else { return provider }
        var name = provider + "-prompted"
        while imported.hasModel(name + "/*") { name += "-2" }
        imported.model(
            name + "/*",
            .map([
                ImportEntry("route", .text("fallback")), ImportEntry("of", .list([.text(provider + "/*")])),
                ImportEntry("system", prompt),
            ]))
        return name
    }

    private mutating func rest(_ node: ImportNode, _ path: String) {
        if let group = node["group"], let text = group.text, text != "default", !text.isEmpty {
            imported.note(
                "not carried over: groups of users are not among the channels; give keys their `models`",
                line: group.line, path + ".group")
        }
        let known: Set<String> = [
            "id", "type", "key", "status", "name", "weight", "priority", "base_url", "models", "model_mapping", "group",
            "config", "other", "system_prompt", "openai_organization",
        ]
        // What the projects count and measure is no setting.
        let measured: Set<String> = [
            "created_time", "test_time", "response_time", "balance", "balance_updated_time", "used_quota", "other_info",
            "channel_info", "test_model",
        ]
        for member in node.members ?? [] where !known.contains(member.name) && !measured.contains(member.name) {
            if member.value.isEmpty || member.value.text == "{}" || member.value.members?.isEmpty == true { continue }
            imported.note("not carried over", line: member.line, path + "." + Diagnostic.plain(member.name))
        }
    }

    // MARK: - Pools

    private mutating func pools() {
        for name in names {
            let all = servers[name] ?? []
            if all.count == 1, let only = all.first {
                imported.model(name, .text(only.model))
                continue
            }
            // There the higher number comes first, here the lower.
            let ranks = Set(all.map(\.priority)).sorted(by: >)
            let hasWeights = all.contains { $0.weight != all[0].weight }
            let members = all.map { server -> ImportValue in
                var entries = [ImportEntry("model", .text(server.model))]
                if hasWeights {
                    entries.set("weight", .number(Int(exactly: server.weight).map { String($0) } ?? "\(server.weight)"))
                }
                if let rank = ranks.firstIndex(of: server.priority), rank > 0 {
                    entries.set("priority", .int(min(rank, 1000)))
                }
                return entries.count == 1 ? .text(server.model) : .map(entries)
            }
            imported.model(
                name, .map([ImportEntry("route", .text("weighted")), ImportEntry("of", .list(members))]))
        }
    }
}
