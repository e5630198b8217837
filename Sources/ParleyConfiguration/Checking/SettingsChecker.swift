// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// Holds a parsed document against the table: unknown settings, types, expansion, what is not built yet.
struct SettingsChecker {
    let context: LoadContext
    var expansion: Expansion
    var report: Report

    /// Where the checker is.
    struct Place {
        var node: SettingNode
        var path: String
        /// The kind of the provider around it; nil outside of providers.
        var kind: String?
        /// Whether to stay silent about what is not built, since something above has said it.
        var silent = false

        var type: SettingType { node.setting.type }

        func child(_ node: SettingNode, _ name: String) -> Place {
            Place(node: node, path: path.isEmpty ? name : path + "." + name, kind: kind, silent: silent)
        }
    }

    /// The checked document; members that are wrong are reported and left out.
    mutating func check(_ root: YAMLNode?) -> CheckedSection {
        let empty = CheckedSection(mark: .start)
        guard let root, !root.isNull else { return empty }
        guard case .mapping(let entries) = root.content else {
            report.error(root.mark, "", "the file must be a mapping of settings, not \(root.noun)")
            return empty
        }
        return section(entries, mark: root.mark, at: Place(node: SettingsTable.tree, path: ""))
    }

    /// The value at a place; nil when absent or wrong.
    mutating func value(_ node: YAMLNode, at place: Place) -> CheckedValue? {
        if node.isNull { return nil }
        switch (place.type, node.content) {
        case (.section, .mapping(let entries)), (.sectionOr, .mapping(let entries)):
            return CheckedValue(content: .section(section(entries, mark: node.mark, at: place)), mark: node.mark)
        case (.named, .mapping(let entries)):
            return CheckedValue(content: .section(named(entries, mark: node.mark, at: place)), mark: node.mark)
        case (.map(let type), .mapping(let entries)), (.oneOrMap(let type), .mapping(let entries)):
            let map = map(entries, of: type, mark: node.mark, at: place)
            return CheckedValue(content: .section(map), mark: node.mark)
        case (.object, .mapping(let entries)):
            return CheckedValue(content: .object(free(entries, path: place.path)), mark: node.mark)
        case (.list, .sequence(let elements)):
            return list(elements, mark: node.mark, at: place)
        case (.many(let type), .sequence(let elements)), (.oneOrMany(let type), .sequence(let elements)):
            return many(elements, of: type, mark: node.mark, at: place)
        case (.oneOrMany(let type), .scalar):
            guard let one = scalar(node, as: type, at: place) else { return nil }
            return CheckedValue(content: .list([one]), mark: node.mark)
        case (.oneOrMap(let type), .scalar), (.sectionOr(let type), .scalar):
            return scalar(node, as: type, at: place)
        case (.secrets, .sequence(let elements)):
            return secrets(elements, mark: node.mark, at: place)
        case (let type, .scalar) where type.isScalar:
            return scalar(node, as: type, at: place)
        default:
            report.error(node.mark, place.path, "must be \(place.type.noun), not \(node.noun)")
            return nil
        }
    }

    mutating func section(_ entries: [YAMLEntry], mark: Mark, at place: Place) -> CheckedSection {
        var result = CheckedSection(mark: mark)
        for entry in entries {
            guard let node = place.node.member(entry.key, kind: place.kind) else {
                unknown(entry, at: place)
                continue
            }
            let inner = place.child(node, entry.key)
            result.written.insert(entry.key)
            if entry.value.isNull {
                result.absent.insert(entry.key)
                continue
            }
            let quiet = warn(entry, at: inner)
            let before = report.errorCount
            if let value = value(entry.value, at: quiet) {
                result.members.append(.init(name: entry.key, mark: entry.mark, value: value))
            } else if report.errorCount == before {
                result.absent.insert(entry.key)
            }
            if report.errorCount > before { result.wrong.insert(entry.key) }
        }
        return result
    }

    /// Warns about a setting that is not built; below it nothing more is said.
    private mutating func warn(_ entry: YAMLEntry, at place: Place) -> Place {
        var place = place
        let setting = place.node.setting
        // A provider's own settings are as built as its kind, which has a warning of its own.
        guard !setting.built, setting.kinds.isEmpty else { return place }
        if !place.silent { report.warning(entry.mark, place.path, "not built yet; it has no effect so far") }
        place.silent = true
        return place
    }

    private mutating func unknown(_ entry: YAMLEntry, at place: Place) {
        let names = place.node.names(kind: place.kind)
        let shown = Diagnostic.quote(entry.key)
        let path = place.path.isEmpty ? Diagnostic.plain(entry.key) : place.path + "." + Diagnostic.plain(entry.key)
        let owners = place.node.members.filter { $0.setting.name == entry.key }.flatMap(\.setting.kinds)
        if let kind = place.kind, !owners.isEmpty {
            // With a kind that nobody knows, nobody knows its settings either.
            guard context.knows(kind: kind) else { return }
            let list = owners.joined(separator: ", ")
            report.error(entry.mark, path, "a setting of kind \(list), not of \(Diagnostic.plain(kind))")
        } else if let closest = Suggestion.closest(to: entry.key, among: names) {
            report.error(entry.mark, path, "unknown setting \(shown); did you mean \"\(closest)\"?")
        } else {
            report.error(entry.mark, path, "unknown setting \(shown); known here: " + names.joined(separator: ", "))
        }
    }

    private mutating func named(_ entries: [YAMLEntry], mark: Mark, at place: Place) -> CheckedSection {
        var result = CheckedSection(mark: mark)
        guard let element = place.node.element else { return result }
        for entry in entries {
            result.written.insert(entry.key)
            var inner = place.child(element, Diagnostic.plain(entry.key))
            if element.setting.path == "providers.*" { inner.kind = kind(of: entry) }
            if entry.value.isNull {
                // A provider may consist of its name; a model or a price says nothing without a value.
                guard inner.kind != nil else {
                    report.error(entry.mark, inner.path, "has no value; it must be \(element.setting.type.noun)")
                    continue
                }
                let value = CheckedValue(content: .section(CheckedSection(mark: entry.mark)), mark: entry.mark)
                result.members.append(.init(name: entry.key, mark: entry.mark, value: value))
            } else if let value = value(entry.value, at: inner) {
                result.members.append(.init(name: entry.key, mark: entry.mark, value: value))
            }
        }
        return result
    }

    /// The kind that decides which settings a provider has; faults in it are reported when it is checked itself.
    private func kind(of provider: YAMLEntry) -> String {
        guard case .mapping(let entries) = provider.value.content,
            let kind = entries.first(where: { $0.key == "kind" })?.value,
            case .scalar(let text, _) = kind.content, !text.isEmpty
        else { return provider.key }
        guard Expansion.applies(to: text) else { return text }
        var copy = expansion
        return copy.expand(text) { _ in }
    }

    private mutating func map(
        _ entries: [YAMLEntry], of type: SettingType, mark: Mark, at place: Place
    ) -> CheckedSection {
        var result = CheckedSection(mark: mark)
        for entry in entries {
            let inner = place.child(place.node, Diagnostic.plain(entry.key))
            guard !entry.key.isEmpty else {
                report.error(entry.mark, place.path, "a name must not be empty")
                continue
            }
            guard case .scalar = entry.value.content, !entry.value.isNull else {
                report.error(entry.value.mark, inner.path, "must be \(type.noun), not \(entry.value.noun)")
                continue
            }
            if let value = scalar(entry.value, as: type, at: inner) {
                result.members.append(.init(name: entry.key, mark: entry.mark, value: value))
            }
        }
        return result
    }

    private mutating func list(_ elements: [YAMLNode], mark: Mark, at place: Place) -> CheckedValue? {
        guard let element = place.node.element else { return nil }
        var values: [CheckedValue] = []
        for (index, node) in elements.enumerated() {
            var inner = place
            inner.node = element
            inner.path += "[\(index)]"
            if node.isNull {
                report.error(node.mark, inner.path, "has no value; it must be \(element.setting.type.noun)")
            } else if var value = value(node, at: inner) {
                value.index = index
                values.append(value)
            }
        }
        return CheckedValue(content: .list(values), mark: mark)
    }

    private mutating func many(
        _ elements: [YAMLNode], of type: SettingType, mark: Mark, at place: Place
    ) -> CheckedValue? {
        var values: [CheckedValue] = []
        for (index, node) in elements.enumerated() {
            var inner = place
            inner.path += "[\(index)]"
            guard case .scalar = node.content, !node.isNull else {
                report.error(node.mark, inner.path, "must be \(type.noun), not \(node.noun)")
                continue
            }
            if var value = scalar(node, as: type, at: inner) {
                value.index = index
                values.append(value)
            }
        }
        return CheckedValue(content: .list(values), mark: mark)
    }

    private mutating func secrets(_ elements: [YAMLNode], mark: Mark, at place: Place) -> CheckedValue? {
        guard let checked = many(elements, of: .secrets, mark: mark, at: place),
            case .list(let values) = checked.content
        else { return nil }
        let all = values.flatMap { value -> [Secret] in
            if case .secrets(let secrets) = value.content { secrets } else { [] }
        }
        return CheckedValue(content: .secrets(all), mark: mark)
    }
}
