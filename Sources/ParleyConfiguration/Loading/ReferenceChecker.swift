// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// Names that refer to other names: whether they exist, and whether they lead back to themselves.
struct ReferenceChecker {
    let context: LoadContext
    var report: Report
    private var providers: Set<String> = []
    private var providerNames: [String] = []
    private var names = ModelNames([])
    /// Whether the providers' own model lists may answer to a bare name, which nobody can know before asking.
    private var listsAnswer = false

    init(context: LoadContext, report: Report) {
        self.context = context
        self.report = report
    }

    mutating func check(_ file: CheckedSection, _ settings: Settings) {
        let members = file.section("providers")?.members ?? []
        // A faulty provider exists all the same; its own report is enough.
        providerNames = members.map(\.name) + (file.section("providers")?.written ?? []).sorted()
        providers = Set(providerNames).union(context.providers)
        providerNames += context.providers.sorted()
        let written = file.section("models")
        let models = written?.members ?? []
        names = ModelNames(models.map(\.name) + (written?.written ?? []).sorted())
        listsAnswer = written?.written.isEmpty ?? true

        if let value = file.section("defaults")?["model"] { resolve(value, "defaults.model") }
        let edges = models.map { model in (model, references(of: model)) }
        for (model, references) in edges {
            for (value, path) in references { resolve(value, path, from: model.name) }
        }
        cycles(edges.map { ($0.0, $0.1.map(\.0)) })
        keys(file.list("keys") ?? [], settings)
        if let jwt = file.section("jwt") { patterns(jwt, "jwt.models") }
    }

    /// Everything a model refers to, with the paths of the places.
    private func references(of model: CheckedSection.Member) -> [(CheckedValue, String)] {
        let path = "models." + Diagnostic.plain(model.name)
        guard case .section(let section) = model.value.content else { return [(model.value, path)] }
        var result: [(CheckedValue, String)] = []
        for value in section.list("of") ?? [] {
            let place = "\(path).of[\(value.index)]"
            if case .section(let entry) = value.content {
                if let model = entry["model"] { result.append((model, place + ".model")) }
            } else {
                result.append((value, place))
            }
        }
        for value in section.list("with") ?? [] {
            let isList = section["with"]?.mark != value.mark
            result.append((value, isList ? "\(path).with[\(value.index)]" : "\(path).with"))
        }
        for name in ["judge", "on_context_exceeded", "on_content_filter"] {
            if let value = section[name] { result.append((value, "\(path).\(name)")) }
        }
        return result
    }

    /// Reports a name that nothing answers to.
    private mutating func resolve(_ value: CheckedValue, _ path: String, from model: String? = nil) {
        guard case .string(let name) = value.content else { return }
        if name.contains("*") {
            guard name.count(where: { $0 == "*" }) == 1 else {
                report.error(value.mark, path, "may hold one * only")
                return
            }
            guard let model, model.contains("*") else {
                report.error(value.mark, path, "\(Diagnostic.quote(name)) has a *, but no name it could come from")
                return
            }
        }
        guard !isKnown(name), !names.hasBeginning(of: name) else { return }
        if listsAnswer {
            let known = providerNames.map { $0 + "/" }
            if let slash = name.firstIndex(of: "/"), !known.isEmpty {
                let provider = String(name[..<slash])
                report.warning(
                    value.mark, path,
                    "no provider is named \(Diagnostic.quote(provider))"
                        + Suggestion.clause(for: provider, among: providerNames))
            }
            return
        }
        report.error(value.mark, path, unknown(name))
    }

    private func isKnown(_ name: String) -> Bool {
        names.match(name) != nil || isUpstream(name)
    }

    /// Whether a name is one of a provider's own.
    private func isUpstream(_ name: String) -> Bool {
        guard let slash = name.firstIndex(of: "/") else { return false }
        return providers.contains(String(name[..<slash])) && name.index(after: slash) != name.endIndex
    }

    private func unknown(_ name: String) -> String {
        let shown = Diagnostic.quote(name)
        // Past the bound nobody reads this, and looking for near names takes time.
        guard !report.isFull else { return "unknown model \(shown)" }
        guard let slash = name.firstIndex(of: "/") else {
            if providers.contains(name) {
                return "\(shown) is a provider; a model of it is named \(name)/MODEL"
            }
            return "unknown model \(shown)" + Suggestion.clause(for: name, among: names.all)
        }
        let provider = String(name[..<slash])
        if providers.contains(provider) { return "\(shown) names a provider, but no model after the /" }
        let rest = name[slash...]
        let full = Suggestion.closest(to: name, among: names.all)
        let other = Suggestion.closest(to: provider, among: providerNames).map { $0 + rest }
        return "no model is named \(shown) and no provider \(Diagnostic.quote(provider))"
            + ((full ?? other).map { "; did you mean \"\(Diagnostic.plain($0))\"?" } ?? "")
    }

    private mutating func keys(_ values: [CheckedValue], _ settings: Settings) {
        let teams = Set(settings.teams.map(\.name))
        for value in values {
            guard case .section(let section) = value.content else { continue }
            let path = "keys[\(value.index)]"
            // Its `*` is what the client asks for, which may be anything.
            if let model = section["model"] { resolve(model, path + ".model", from: "*") }
            patterns(section, path + ".models")
            if let team = section["team"], case .string(let name) = team.content, !teams.contains(name) {
                report.error(
                    team.mark, path + ".team",
                    "unknown team \(Diagnostic.quote(name))" + Suggestion.clause(for: name, among: teams.sorted()))
            }
            for member in section.section("limits")?.section("models")?.members ?? [] where !listsAnswer {
                if !isKnown(member.name) {
                    report.warning(
                        member.mark, "\(path).limits.models.\(Diagnostic.plain(member.name))", unknown(member.name))
                }
            }
        }
    }

    /// Warns about allow-list entries that allow nothing.
    private mutating func patterns(_ section: CheckedSection, _ path: String) {
        guard !listsAnswer else { return }
        for value in section.list("models") ?? [] {
            guard case .string(let pattern) = value.content, !isKnown(pattern) else { continue }
            if pattern.contains("*"), (names.all + providers.map { $0 + "/" }).contains(where: { covers(pattern, $0) })
            {
                continue
            }
            report.warning(value.mark, "\(path)[\(value.index)]", "allows nothing: " + unknown(pattern))
        }
    }

    /// Whether a pattern takes in a name, or a provider's names when `name` ends in a slash.
    private func covers(_ pattern: String, _ name: String) -> Bool {
        if ModelNames.matches(pattern, name) { return true }
        guard name.hasSuffix("/"), let star = pattern.firstIndex(of: "*") else { return false }
        return name.hasPrefix(pattern[..<star])
    }

    /// Reports each way that leads from a model back to itself, once.
    private mutating func cycles(_ models: [(model: CheckedSection.Member, targets: [CheckedValue])]) {
        var targets: [String: [String]] = [:]
        var marks: [String: Mark] = [:]
        for (model, values) in models {
            marks[model.name] = model.mark
            targets[model.name] = values.compactMap { value in
                guard case .string(let name) = value.content else { return nil }
                // An exact name wins over a provider's, and that over a wildcard.
                return names.has(name) ? name : isUpstream(name) ? nil : names.match(name)
            }
        }
        var finished: Set<String> = []
        for (model, _) in models where !finished.contains(model.name) {
            var way: [(name: String, next: Int)] = [(model.name, 0)]
            var onWay: Set<String> = [model.name]
            while let last = way.indices.last {
                let (name, next) = way[last]
                let choices = targets[name] ?? []
                guard next < choices.count else {
                    finished.insert(name)
                    onWay.remove(name)
                    way.removeLast()
                    continue
                }
                way[last].next += 1
                let choice = choices[next]
                if onWay.contains(choice) {
                    let loop = way.map(\.name).drop { $0 != choice } + [choice]
                    let shown = loop.prefix(12).map { Diagnostic.plain($0) }.joined(separator: " -> ")
                    report.error(
                        marks[choice] ?? model.mark, "models." + Diagnostic.plain(choice),
                        "leads back to itself: " + shown + (loop.count > 12 ? " -> …" : ""))
                } else if !finished.contains(choice) {
                    way.append((choice, 0))
                    onWay.insert(choice)
                }
            }
        }
    }
}
