// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// What the tokens of openai-style-api lead to, and the keys, routes and aliases that follow from it.
struct OpenAIStyleTargets {
    /// What answers for a token.
    struct Target {
        /// The model; a `*` in it stands for the name the client asked for.
        var model: String
        /// Request members that the entry sets whatever the client says; they do not pass through a router by
        /// themselves, since they are the key's.
        var force: [ImportEntry] = []
        /// The provider's settings, to make another provider of them that forces by itself.
        var provider: (name: String, settings: [ImportEntry], renames: [ImportEntry])?

        var isOpen: Bool { model.contains("*") }
    }

    typealias Entry = OpenAIStyleImport.Entry

    private let byToken: [String: Entry]
    private var made: [Int: Target?] = [:]
    /// Entries that are being made, to find routers that lead to themselves.
    private var onWay: Set<Int> = []
    /// What the model-name routers have as plain names so far.
    private var routers: [NameRouter] = []
    private var keyed: Set<Int> = []

    init(_ entries: [Entry]) {
        byToken = Dictionary(
            entries.compactMap { entry in entry.token.map { ($0, entry) } }, uniquingKeysWith: { _, last in last })
    }

    /// Adds the provider or route of an entry, and its key.
    mutating func carry(_ entry: Entry, into imported: inout ImportedConfiguration) {
        if entry.type == "model-name-router" {
            nameRouter(entry, &imported)
            return
        }
        guard let target = target(entry, &imported), let credential = entry.credential else { return }
        var settings = [ImportEntry("model", .text(target.model))]
        if !target.force.isEmpty { settings.append(ImportEntry("force", .map(target.force))) }
        let name = target.isOpen ? entry.type : "\(entry.type)-\(target.model.split(separator: "/").last ?? "")"
        imported.key(entry.type == "router" ? target.model : name, credential, settings, comment: Self.comment(entry))
    }

    static func comment(_ entry: Entry) -> String { "entry \(entry.number) (line \(entry.line)), \(entry.type)" }

    /// What answers for an entry; nil, with a note, where nothing can.
    private mutating func target(_ entry: Entry, _ imported: inout ImportedConfiguration) -> Target? {
        if let known = made[entry.number] { return known }
        guard onWay.insert(entry.number).inserted, onWay.count <= 12 else {
            imported.note(
                "not carried over: this router leads back to itself", line: entry.line, "[\(entry.number - 1)]")
            return nil
        }
        defer { onWay.remove(entry.number) }
        let target: Target? =
            switch entry.type {
            case "router": router(entry, &imported)
            case "model-name-router": prefixed(entry, &imported)
            default: OpenAIStyleProviders.target(entry, &imported)
            }
        made[entry.number] = .some(target)
        return target
    }

    /// What answers for a token inside of a router: the entry's target, with what it forces moved to a provider of
    /// its own.
    private mutating func member(
        _ token: ImportNode, _ entry: Entry, _ path: String, _ imported: inout ImportedConfiguration
    ) -> String? {
        guard let text = token.text, let other = byToken[trimmed(text)] else {
            imported.note("not carried over: no entry has this token", line: token.line, path)
            return nil
        }
        guard let target = target(other, &imported) else {
            imported.note("not carried over: entry \(other.number) is not", line: token.line, path)
            return nil
        }
        guard !target.force.isEmpty, let provider = target.provider else { return target.model }
        let name = imported.provider(
            provider.name, provider.settings + [ImportEntry("force", .map(target.force))], renames: provider.renames,
            comment: "entry \(other.number) as routers ask it")
        return name + target.model.drop { $0 != "/" }
    }

    // MARK: - Routers

    private mutating func router(_ entry: Entry, _ imported: inout ImportedConfiguration) -> Target? {
        var members: [String] = []
        for (index, token) in (entry.config["token_pool"]?.elements ?? []).enumerated() {
            if let model = member(token, entry, entry.path("token_pool[\(index)]"), &imported) { members.append(model) }
        }
        guard !members.isEmpty else {
            imported.note("not carried over: its pool has nothing to ask", line: entry.line, entry.path("token_pool"))
            return nil
        }
        let strategy = strategy(entry, &imported)
        OpenAIStyleProviders.noteRest(entry, ["router_strategy", "token_pool"], &imported)
        // Where a member takes the client's name, the route's own name has to bring it.
        let isOpen = members.contains { $0.contains("*") }
        var number = 1
        while imported.hasModel("router-\(number)") || imported.hasModel("router-\(number)/*") { number += 1 }
        let name = isOpen ? "router-\(number)/*" : "router-\(number)"
        let route = [
            ImportEntry("route", .text(strategy)), ImportEntry("of", .list(members.map { .text($0) })),
        ]
        imported.model(name, .map(route), comment: Self.comment(entry))
        return Target(model: name)
    }

    private func strategy(_ entry: Entry, _ imported: inout ImportedConfiguration) -> String {
        let node = entry.config["router_strategy"]
        switch node?.text?.lowercased() {
        case "round-robin": return "round-robin"
        case "random": return "random"
        case "parallel", "race": return "race"
        case nil:
            imported.note("is missing; round-robin is taken", line: entry.line, entry.path("router_strategy"))
            return "round-robin"
        default:
            imported.note("is not known; round-robin is taken", line: node?.line, entry.path("router_strategy"))
            return "round-robin"
        }
    }

    // MARK: - Routers by model name

    /// The names of a router and what they lead to.
    struct NameRouter {
        var names: [(name: String, model: String)]
        var fallback: String?

        /// What a name leads to: nil where the router does not have it.
        func model(_ name: String) -> String? { names.first { $0.name == name }?.model ?? fallback }

        /// Whether clients of both would get the same from one list of names.
        func agrees(with other: NameRouter) -> Bool {
            if let fallback, let theirs = other.fallback, fallback != theirs { return false }
            return names.allSatisfy { other.model($0.name) ?? $0.model == $0.model }
                && other.names.allSatisfy { model($0.name) ?? $0.model == $0.model }
        }
    }

    private mutating func names(_ entry: Entry, _ imported: inout ImportedConfiguration) -> NameRouter {
        var router = NameRouter(names: [], fallback: nil)
        let map = entry.config["model-2-token"]
        if map?.members == nil {
            imported.note(
                "is no mapping of names to tokens", line: map?.line ?? entry.line, entry.path("model-2-token"))
        }
        for member in map?.members ?? [] {
            let path = entry.path("model-2-token.\(member.name)")
            guard let model = self.member(member.value, entry, path, &imported) else { continue }
            if member.name == "default" {
                router.fallback = model
                continue
            }
            guard let name = imported.modelName(member.name, line: member.line, path), !name.contains("*") else {
                continue
            }
            // The name is known here, so it takes the place of the client's.
            router.names.append((name, model.replacing("*", with: name, maxReplacements: 1)))
        }
        OpenAIStyleProviders.noteRest(entry, ["model-2-token"], &imported)
        return router
    }

    /// The key of a model-name router, with its names for all to use, unless they mean something else already.
    private mutating func nameRouter(_ entry: Entry, _ imported: inout ImportedConfiguration) {
        onWay.insert(entry.number)
        let router = names(entry, &imported)
        onWay.remove(entry.number)
        guard !router.names.isEmpty || router.fallback != nil else {
            imported.note(
                "not carried over: none of its names leads anywhere", line: entry.line, "[\(entry.number - 1)]")
            return
        }
        let comment = Self.comment(entry)
        guard routers.allSatisfy({ $0.agrees(with: router) }) else {
            imported.note(
                "its names mean something else in another model-name-router: they are prefixed, and its key adds the "
                    + "prefix to what its clients ask for", line: entry.line, entry.path("model-2-token"))
            guard let target = target(entry, &imported), let credential = entry.credential else { return }
            var settings = [ImportEntry("model", .text(target.model))]
            if router.fallback == nil {
                let prefix = target.model.dropLast()
                settings.set("models", .list(router.names.map { .text(prefix + $0.name) }))
            }
            imported.key("model-name-router", credential, settings, comment: comment)
            return
        }
        routers.append(router)
        for (name, model) in router.names { imported.model(name, .text(model), comment: "") }
        if let fallback = router.fallback { imported.model("*", .text(fallback)) }
        guard let credential = entry.credential else { return }
        // Without a default other names were refused.
        let allowed = router.names.map { ImportValue.text($0.name) }
        let settings = router.fallback == nil ? [ImportEntry("models", .list(allowed))] : []
        imported.key("model-name-router", credential, settings, comment: comment)
    }

    /// A model-name router under a prefix of its own.
    private mutating func prefixed(_ entry: Entry, _ imported: inout ImportedConfiguration) -> Target? {
        let router = names(entry, &imported)
        guard !router.names.isEmpty || router.fallback != nil else { return nil }
        var number = 1
        while routerPrefixes.contains("names-\(number)") { number += 1 }
        let prefix = "names-\(number)"
        routerPrefixes.insert(prefix)
        for (name, model) in router.names { imported.model("\(prefix)/\(name)", .text(model)) }
        if let fallback = router.fallback { imported.model("\(prefix)/*", .text(fallback)) }
        return Target(model: "\(prefix)/*")
    }

    private var routerPrefixes: Set<String> = []
}
