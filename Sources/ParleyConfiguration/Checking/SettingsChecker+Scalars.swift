// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

extension SettingsChecker {
    /// A single value as the type wants it; nil when absent or wrong.
    mutating func scalar(_ node: YAMLNode, as type: SettingType, at place: Place) -> CheckedValue? {
        guard case .scalar(let raw, _) = node.content else { return nil }
        guard let text = expanded(raw, mark: node.mark, path: place.path) else { return nil }
        let isExpanded = Expansion.applies(to: raw)
        // `${NAME:-}` is how a file says "if there is one".
        if text.isEmpty, isExpanded || type.isSecret { return nil }
        if text.isEmpty {
            report.error(node.mark, place.path, "must not be empty")
            return nil
        }
        do throws(ValueFault) {
            var value = CheckedValue(content: try Self.content(text, as: type, context), mark: node.mark)
            value.text = text
            return value
        } catch {
            // What a variable or a file holds may be secret, and a fault may quote the value.
            let fault = isExpanded ? concealed(as: type) : error
            report.error(node.mark, place.path, fault.message)
            return nil
        }
    }

    /// A fault for a value that must not be repeated: the one that an impossible value gives.
    private func concealed(as type: SettingType) -> ValueFault {
        switch type {
        case .choice(let noun, let words):
            ValueFault("the expanded value is no known \(noun); known: " + words.joined(separator: ", "))
        case .kind: ValueFault("the expanded value is no known kind")
        default: ValueFault("the expanded value must be \(type.noun)")
        }
    }

    /// The text with everything put in; nil when something could not be.
    private mutating func expanded(_ raw: String, mark: Mark, path: String) -> String? {
        guard Expansion.applies(to: raw) else { return raw }
        var faults: [String] = []
        let text = expansion.expand(raw) { faults.append($0) }
        for fault in faults { report.error(mark, path, fault) }
        return faults.isEmpty ? text : nil
    }

    /// From text without anything to expand to a typed value.
    static func content(
        _ text: String, as type: SettingType, _ context: LoadContext
    ) throws(ValueFault) -> CheckedValue.Content {
        switch type {
        case .bool: return .bool(try ValueParsing.bool(text))
        case .integer(let bounds): return .int(try ValueParsing.integer(text, in: bounds))
        case .number(let bounds): return .double(try ValueParsing.number(text, in: bounds))
        case .share: return .double(try ValueParsing.share(text))
        case .secret: return .secret(Secret(text))
        case .secrets: return .secrets(secretList(text))
        case .duration(let positive): return .duration(try ValueParsing.duration(text, positive: positive))
        case .size: return .int(try ValueParsing.size(text))
        case .choice(let noun, let words):
            return .string(try ValueParsing.choice(text, noun: noun, among: words))
        case .listen: return .listen(try ValueParsing.listen(text))
        case .listenOr(let words):
            return words.contains(text) ? .string(text) : .listen(try ValueParsing.listen(text))
        case .url(let schemes): return .string(try ValueParsing.url(text, schemes: schemes))
        case .proxy: return .proxy(try ValueParsing.proxy(text))
        case .store: return .store(try ValueParsing.store(text))
        case .date: return .moment(try ValueParsing.date(text))
        case .sha256: return .string(try ValueParsing.sha256(text))
        case .pattern: return .string(try ValueParsing.pattern(text))
        case .kind: return .string(try kind(text, context))
        case .model, .string: return .string(text)
        case .section, .named, .list, .sectionOr, .object, .oneOrMany, .many, .map, .oneOrMap:
            throw ValueFault("must be \(type.noun)")
        }
    }

    private static func secretList(_ text: String) -> [Secret] {
        text.split(separator: ",").compactMap { part in
            var key = part.drop(while: \.isWhitespace)
            while key.last?.isWhitespace == true { key.removeLast() }
            return key.isEmpty ? nil : Secret(String(key))
        }
    }

    private static func kind(_ text: String, _ context: LoadContext) throws(ValueFault) -> String {
        if context.knows(kind: text) { return text }
        let known = SettingsTable.kinds.map(\.name).filter { context.kinds[$0] != nil }
        let all = known + context.kinds.keys.sorted() + context.catalogue.sorted()
        let clause = Suggestion.clause(for: text, among: all)
        throw ValueFault(
            "unknown kind \(Diagnostic.quote(text))"
                + (clause.isEmpty ? "; known: \(known.joined(separator: ", ")), and the catalogue's names" : clause))
    }

    /// A mapping of free shape. Scalars without quotes keep YAML's meaning; every string is expanded.
    mutating func free(_ entries: [YAMLEntry], path: String) -> SettingMap {
        SettingMap(
            entries.map { .init(name: $0.key, value: free($0.value, path: path + "." + Diagnostic.plain($0.key))) })
    }

    private mutating func free(_ node: YAMLNode, path: String) -> SettingValue {
        switch node.content {
        case .mapping(let entries):
            return .map(free(entries, path: path))
        case .sequence(let elements):
            var values: [SettingValue] = []
            for (index, element) in elements.enumerated() {
                values.append(free(element, path: "\(path)[\(index)]"))
            }
            return .list(values)
        case .scalar(let raw, let plain):
            guard let text = expanded(raw, mark: node.mark, path: path) else { return .null }
            guard plain else { return .string(text) }
            if YAMLScalar.isNull(raw) { return .null }
            if YAMLScalar.isNotFinite(text) {
                report.error(node.mark, path, "JSON has no infinity and no NaN")
                return .null
            }
            return YAMLScalar.bool(text).map { .bool($0) } ?? YAMLScalar.number(text).map { .number($0) }
                ?? .string(text)
        }
    }
}

extension SettingType {
    /// Whether a single value is what the type wants.
    var isScalar: Bool {
        switch self {
        case .section, .named, .list, .sectionOr, .object, .oneOrMany, .many, .map, .oneOrMap: false
        default: true
        }
    }

    /// What one value of the type is.
    var single: SettingType {
        switch self {
        case .oneOrMany(let one), .many(let one), .oneOrMap(let one), .sectionOr(let one): one
        default: self
        }
    }

    /// Whether the value is a credential.
    var isSecret: Bool { self == .secret || self == .secrets }

    /// What a value must be, in words for a message and for the reference.
    var noun: String {
        switch self {
        case .section: "a mapping"
        case .named, .object: "a mapping"
        case .list: "a list"
        case .sectionOr(let type): "\(type.noun) or a mapping"
        case .bool: "true or false"
        case .integer: "a whole number"
        case .number: "a number"
        case .share: "a share"
        case .string: "text"
        case .secret: "a secret"
        case .secrets: "a secret or a list of them"
        case .duration: "a duration"
        case .size: "a size"
        case .choice(let noun, _): "a \(noun)"
        case .listen: "an address"
        case .listenOr(let words): "an address, " + words.joined(separator: " or ")
        case .url: "a URL"
        case .proxy: "a proxy's URL"
        case .store: "a store's URL"
        case .date: "a date"
        case .sha256: "a SHA-256"
        case .model: "a model's name"
        case .pattern: "a model's name or a pattern"
        case .kind: "a kind"
        case .oneOrMany(let type): "\(type.noun) or a list"
        case .many(let type): "a list of values, each \(type.noun)"
        case .map(let type): "a mapping to values, each \(type.noun)"
        case .oneOrMap(let type): "\(type.noun) or a mapping"
        }
    }
}
