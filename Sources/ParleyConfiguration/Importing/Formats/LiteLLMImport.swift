// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// LiteLLM's `config.yaml`.
///
/// Facts: the field names are those of LiteLLM's proxy configuration.
struct LiteLLMImport {
    var imported: ImportedConfiguration
    /// What the names of `model_list` stand for, in the order of the file.
    var pools: [LiteLLMPool] = []
    /// The place of a name in `pools`.
    var places: [String: Int] = [:]

    static func read(_ source: ImportSource, file: String) throws(LineFault) -> ImportedConfiguration {
        let root = try source.yaml()
        try root.checkNames()
        guard root.members != nil else { throw LineFault(root.line, "expected a mapping, not \(root.noun)") }
        // A name such as openai/gpt-4o must not be taken for a model of a provider called openai.
        let names = (root["model_list"]?.elements ?? []).compactMap { $0["model_name"]?.text }
        let prefixes = names.compactMap { name in name.firstIndex(of: "/").map { String(name[..<$0]) } }
        var reader = LiteLLMImport(
            imported: ImportedConfiguration(kind: .liteLLM, file: file, reservedProviders: Set(prefixes)))
        reader.run(root)
        return reader.imported
    }

    private mutating func run(_ root: ImportNode) {
        environment(root["environment_variables"])
        for (index, node) in (root["model_list"]?.elements ?? []).enumerated() {
            deployment(node, "model_list[\(index)]")
        }
        if root["model_list"]?.elements == nil {
            imported.note("there are no models in it", line: root["model_list"]?.line, "model_list")
        }
        var router = LiteLLMRouter(root["router_settings"], root["litellm_settings"])
        router.carry(&imported, places: places)
        router.build(pools, &imported)
        general(root["general_settings"])
        let known = ["environment_variables", "model_list", "router_settings", "litellm_settings", "general_settings"]
        for member in root.members ?? [] where !known.contains(member.name) {
            imported.note("not carried over", line: member.line, Diagnostic.plain(member.name))
        }
    }

    /// Variables that LiteLLM sets for itself.
    private mutating func environment(_ node: ImportNode?) {
        for member in node?.members ?? [] {
            guard let text = member.value.text, VariableNames.isName(member.name) else {
                imported.note("not carried over", line: member.line, "environment_variables")
                continue
            }
            imported.knownVariables[member.name] = text
        }
    }

    private mutating func deployment(_ node: ImportNode, _ path: String) {
        guard let given = node["model_name"]?.text, let params = node["litellm_params"], params.members != nil else {
            imported.note("not carried over: expected model_name and litellm_params", line: node.line, path)
            return
        }
        guard let name = imported.modelName(given, line: node.line, path + ".model_name") else { return }
        if params["model"]?.text?.contains("*") == true, !name.contains("*") {
            imported.note(
                "not carried over: its model has a *, but its name has none", line: node.line, path + ".model_name")
            return
        }
        guard let member = LiteLLMDeployment.member(params, path + ".litellm_params", &imported) else { return }
        for other in node.members ?? [] where !["model_name", "litellm_params", "model_info"].contains(other.name) {
            imported.note("not carried over", line: other.line, path + "." + Diagnostic.plain(other.name))
        }
        for info in node["model_info"]?.members ?? [] {
            imported.note("not carried over", line: info.line, path + ".model_info." + Diagnostic.plain(info.name))
        }
        if let place = places[name] {
            pools[place].members.append(member)
        } else {
            places[name] = pools.count
            pools.append(LiteLLMPool(name: name, members: [member]))
        }
    }

    private mutating func general(_ node: ImportNode?) {
        let hasKey = node?["master_key"].map { !$0.isEmpty } ?? false
        if let node = node?["master_key"], let key = LiteLLMValue.secret(node, "LITELLM_MASTER_KEY") {
            imported.set("admin", "key", to: key)
            imported.key("master", key)
        }
        if !hasKey {
            imported.note(
                "not set, so it was open to everybody; that is not carried over: Parley generates a key", line: nil,
                "general_settings.master_key")
        }
        if let node = node?["database_url"] { database(node) }
        for member in node?.members ?? [] where !["master_key", "database_url"].contains(member.name) {
            imported.note("not carried over", line: member.line, "general_settings." + Diagnostic.plain(member.name))
        }
    }

    private mutating func database(_ node: ImportNode) {
        let path = "general_settings.database_url"
        if let name = LiteLLMValue.variable(node) {
            imported.set("store", to: .template([.variable(name, fallback: nil)]))
            imported.note("comes from the environment: it must be PostgreSQL's", line: node.line, path)
        } else if let text = node.text, text.hasPrefix("postgres://") || text.hasPrefix("postgresql://") {
            imported.set("store", to: .secret(text, hint: "DATABASE_URL"))
        } else {
            imported.note("not carried over: only PostgreSQL is a store", line: node.line, path)
        }
    }
}

/// The deployments that share a name.
struct LiteLLMPool {
    struct Member {
        /// As `provider/model`.
        var model: String
        var weight: Double?
        var requestsPerMinute: Double?
        var tokensPerMinute: Double?
        var order: Int?
        var retries: Int?
        var line: Int
    }

    var name: String
    var members: [Member]
}

/// Values of LiteLLM, which writes `os.environ/NAME` for what comes from the environment.
enum LiteLLMValue {
    /// The variable that a value names; nil where it names none.
    static func variable(_ node: ImportNode) -> String? {
        guard let text = node.text, text.hasPrefix("os.environ/") else { return nil }
        let name = String(text.dropFirst("os.environ/".count))
        return VariableNames.isName(name) ? name : nil
    }

    static func text(_ node: ImportNode) -> ImportValue? {
        variable(node).map { .template([.variable($0, fallback: nil)]) } ?? node.textValue
    }

    static func secret(_ node: ImportNode, _ hint: String) -> ImportValue? {
        variable(node).map { .template([.variable($0, fallback: nil)]) } ?? node.secret(hint)
    }

    /// A member of free shape.
    static func entry(_ member: ImportMember) -> ImportEntry {
        variable(member.value) == nil && member.value.members == nil && member.value.elements == nil
            ? member.entry : ImportEntry(member.name, any(member.value))
    }

    /// A value of free shape.
    static func any(_ node: ImportNode) -> ImportValue {
        switch node.content {
        case .list(let elements): .list(elements.map(any))
        case .map(let members): .map(members.map(entry))
        default: variable(node).map { .template([.variable($0, fallback: nil)]) } ?? node.value
        }
    }
}
