// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// LiteLLM's `router_settings` and `litellm_settings`: how the pools are asked.
struct LiteLLMRouter {
    /// Models to go on with, by the name that failed; `*` for every other name.
    typealias Lists = [String: (models: [String], line: Int)]

    private let router: ImportNode?
    private let general: ImportNode?
    private var strategy = "weighted"
    private var fallbacks: Lists = [:]
    private var onContext: Lists = [:]
    private var onFilter: Lists = [:]
    private var aliases: [ImportEntry] = []

    init(_ router: ImportNode?, _ general: ImportNode?) {
        self.router = router
        self.general = general
    }

    // MARK: - Settings

    /// Carries over what is not about single models.
    mutating func carry(_ imported: inout ImportedConfiguration, places: [String: Int]) {
        var used: Set<String> = []
        func take(_ name: String) -> (node: ImportNode, path: String)? {
            for (section, node) in [("router_settings", router), ("litellm_settings", general)] {
                if let value = node?[name] {
                    used.insert("\(section).\(name)")
                    return (value, "\(section).\(name)")
                }
            }
            return nil
        }
        if let (node, path) = take("routing_strategy") { choose(node, path, &imported) }
        number(take("num_retries"), &imported) { value in
            // LiteLLM counts what comes after the first try.
            guard (0..<100).contains(value), let count = Int(exactly: value) else { return nil }
            return (["retry", "attempts"], .int(count + 1))
        }
        let timeout = take("timeout") ?? take("request_timeout")
        number(timeout, &imported) { ImportValue.seconds($0).map { (["timeout", "total"], $0) } }
        number(take("allowed_fails"), &imported) { value in
            guard (0..<1_000_000).contains(value), let count = Int(exactly: value) else { return nil }
            return (["breaker", "failures"], .int(count + 1))
        }
        number(take("cooldown_time"), &imported) { ImportValue.seconds($0).map { (["breaker", "cooldown"], $0) } }
        if let (node, path) = take("drop_params") {
            switch node.truth {
            case false?: imported.set("defaults", "strict", to: .bool(true))
            case true?: break
            case nil: imported.note("not carried over: must be true or false", line: node.line, path)
            }
        }
        cache(take("cache"), take("cache_params"), &imported)
        fallbacks = lists(take("fallbacks"), places, &imported)
        onContext = lists(take("context_window_fallbacks"), places, &imported)
        onFilter = lists(take("content_policy_fallbacks"), places, &imported)
        if let (node, path) = take("default_fallbacks") {
            fallbacks["*"] = (names(node, places, path, &imported), node.line)
        }
        if let (node, path) = take("model_group_alias") { alias(node, path, places, &imported) }
        for (section, node) in [("router_settings", router), ("litellm_settings", general)] {
            for member in node?.members ?? [] where !used.contains("\(section).\(member.name)") {
                imported.note("not carried over", line: member.line, "\(section)." + Diagnostic.plain(member.name))
            }
        }
    }

    private mutating func choose(_ node: ImportNode, _ path: String, _ imported: inout ImportedConfiguration) {
        switch node.text {
        case "simple-shuffle"?: strategy = "weighted"
        case "least-busy"?: strategy = "least-busy"
        case "latency-based-routing"?: strategy = "fastest"
        case "usage-based-routing"?, "usage-based-routing-v2"?, "cost-based-routing"?:
            imported.note("becomes weighted, which looks at neither usage nor cost", line: node.line, path)
        default: imported.note("is not known; weighted is taken", line: node.line, path)
        }
    }

    private func number(
        _ found: (node: ImportNode, path: String)?, _ imported: inout ImportedConfiguration,
        _ setting: (Double) -> (path: [String], value: ImportValue)?
    ) {
        guard let (node, path) = found else { return }
        guard let (name, value) = node.number.flatMap(setting) else {
            imported.note("not carried over: this number means nothing here", line: node.line, path)
            return
        }
        imported.set("defaults", name[0], name[1], to: value)
    }

    private func cache(
        _ found: (node: ImportNode, path: String)?, _ params: (node: ImportNode, path: String)?,
        _ imported: inout ImportedConfiguration
    ) {
        var isOn = false
        if let (node, path) = found {
            isOn = node.truth ?? false
            if node.truth == nil { imported.note("not carried over: must be true or false", line: node.line, path) }
        }
        let ttl = params?.node["ttl"].flatMap { $0.number.flatMap(ImportValue.seconds) }
        if isOn {
            imported.set("cache", "ttl", to: ttl ?? .text("10m"))
            if ttl == nil, let found { imported.note("no ttl is set; 10m is taken", line: found.node.line, found.path) }
        }
        for member in params?.node.members ?? [] where member.name != "ttl" || !isOn {
            imported.note(
                "not carried over", line: member.line, (params?.path ?? "") + "." + Diagnostic.plain(member.name))
        }
    }

    // MARK: - Names

    private func lists(
        _ found: (node: ImportNode, path: String)?, _ places: [String: Int], _ imported: inout ImportedConfiguration
    ) -> Lists {
        guard let (node, path) = found else { return [:] }
        var lists: Lists = [:]
        for element in node.elements ?? [node] {
            guard let members = element.members else {
                imported.note("not carried over: expected {model: [models]}", line: element.line, path)
                continue
            }
            for member in members {
                let inner = path + "." + Diagnostic.plain(member.name)
                guard places[member.name] != nil || member.name == "*" else {
                    imported.note("not carried over: no model has this name", line: member.line, inner)
                    continue
                }
                let models = names(member.value, places, inner, &imported)
                if !models.isEmpty { lists[member.name] = (models, member.line) }
            }
        }
        return lists
    }

    private func names(
        _ node: ImportNode, _ places: [String: Int], _ path: String, _ imported: inout ImportedConfiguration
    ) -> [String] {
        (node.elements ?? [node]).compactMap { element in
            guard let name = element.text, places[name] != nil, !name.contains("*") else {
                imported.note(
                    "not carried over: \(Diagnostic.quote(element.text ?? "")) is no model's name", line: element.line,
                    path)
                return nil
            }
            return name
        }
    }

    private mutating func alias(
        _ node: ImportNode, _ path: String, _ places: [String: Int], _ imported: inout ImportedConfiguration
    ) {
        for member in node.members ?? [] {
            let inner = path + "." + Diagnostic.plain(member.name)
            guard let target = (member.value["model"] ?? member.value).text, places[target] != nil,
                !target.contains("*") || member.name.contains("*"),
                let name = imported.modelName(member.name, line: member.line, inner), places[name] == nil
            else {
                imported.note("not carried over: it leads to no model", line: member.line, inner)
                continue
            }
            aliases.set(name, .text(target))
        }
    }

    // MARK: - Models

    /// Adds the models: an alias where a name has one deployment, a route where it has several or something to go on
    /// with.
    func build(_ pools: [LiteLLMPool], _ imported: inout ImportedConfiguration) {
        for pool in pools {
            let name = pool.name
            var extras: [ImportEntry] = []
            for (setting, lists, source) in [
                ("on_context_exceeded", onContext, "context_window_fallbacks"),
                ("on_content_filter", onFilter, "content_policy_fallbacks"),
            ] {
                let others = next(lists, name)
                guard let first = others.first else { continue }
                extras.set(setting, .text(plain(first, pools)))
                if others.count > 1 {
                    let path = "\(source).\(Diagnostic.plain(name))"
                    imported.note("only the first model after it is carried over", line: lists[name]?.line, path)
                }
            }
            if let retries = pool.members.compactMap(\.retries).max(), (0..<100).contains(retries) {
                extras.set("retry", .map([ImportEntry("attempts", .int(retries + 1))]))
            }
            if leadsOn(name) {
                let own = inside(pool, among: pools, &imported)
                let members = (own + next(fallbacks, name).map { plain($0, pools) }).map { ImportValue.text($0) }
                let route = [ImportEntry("route", .text("fallback")), ImportEntry("of", .list(members))]
                imported.model(name, .map(route + extras))
            } else if pool.members.count == 1, extras.isEmpty, let only = pool.members.first {
                imported.model(name, .text(only.model))
            } else {
                imported.model(name, .map(spread(pool) + extras))
            }
        }
        for entry in aliases { imported.model(entry.name, entry.value, comment: "from model_group_alias") }
    }

    /// The models after a name in one of the lists; wildcards are not what the lists' `*` means.
    private func next(_ lists: Lists, _ name: String) -> [String] {
        let list = lists[name] ?? (name.contains("*") ? nil : lists["*"])
        return (list?.models ?? []).filter { $0 != name }
    }

    /// Whether a name leads to other names than its own deployments.
    private func leadsOn(_ name: String) -> Bool {
        [fallbacks, onContext, onFilter].contains { !next($0, name).isEmpty }
    }

    /// The members of a pool inside of a route that goes on: the only one, or a route of its own.
    private func inside(
        _ pool: LiteLLMPool, among pools: [LiteLLMPool], _ imported: inout ImportedConfiguration
    ) -> [String] {
        if pool.members.count == 1 { return pool.members.map(\.model) }
        let name = poolName(pool.name, pools)
        imported.model(name, .map(spread(pool)), comment: "The deployments of \(Diagnostic.plain(pool.name)).")
        return [name]
    }

    /// A name without what that name itself goes on with, since two may name each other.
    private func plain(_ name: String, _ pools: [LiteLLMPool]) -> String {
        guard leadsOn(name), let pool = pools.first(where: { $0.name == name }) else { return name }
        return pool.members.count == 1 ? pool.members[0].model : poolName(name, pools)
    }

    private func poolName(_ name: String, _ pools: [LiteLLMPool]) -> String {
        var candidate = "\(name)-pool"
        while pools.contains(where: { $0.name == candidate }) || aliases[candidate] != nil { candidate += "-pool" }
        return candidate
    }

    private func spread(_ pool: LiteLLMPool) -> [ImportEntry] {
        // As there: weights count, else requests per minute, else tokens per minute.
        let given: KeyPath<LiteLLMPool.Member, Double?> =
            pool.members.contains { $0.weight != nil }
            ? \.weight : pool.members.contains { $0.requestsPerMinute != nil } ? \.requestsPerMinute : \.tokensPerMinute
        let members = pool.members.map { member -> ImportValue in
            var entries = [ImportEntry("model", .text(member.model))]
            if let weight = member[keyPath: given], weight != 1, (0...1_000_000).contains(weight) {
                entries.set("weight", .number(Int(exactly: weight).map { String($0) } ?? "\(weight)"))
            }
            if let order = member.order, (-1000...1000).contains(order) { entries.set("priority", .int(order)) }
            return entries.count == 1 ? .text(member.model) : .map(entries)
        }
        let strategy = pool.members.count == 1 ? "fallback" : strategy
        return [ImportEntry("route", .text(strategy)), ImportEntry("of", .list(members))]
    }
}
