// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// The JSON Schema (draft 2020-12) of `parley.yaml`, for editors.
public enum JSONSchema {
    /// The schema's text, with a final line break.
    public static func text() -> String {
        var members: [(String, SettingValue)] = [
            ("$schema", .string("https://json-schema.org/draft/2020-12/schema")),
            ("title", .string("parley.yaml")),
            ("description", .string("The configuration of Parley, an LLM gateway.")),
        ]
        members += section(SettingsTable.tree)
        members.append(("$defs", definitions))
        return pretty(object(members), indent: 0) + "\n"
    }

    /// What every typed value may also be: text with something to expand.
    private static let definitions: SettingValue = object([
        (
            "expansion",
            object([
                ("type", .string("string")), ("pattern", .string("\\$\\{")),
                ("description", .string("${NAME}, ${NAME:-default} or ${file:path}")),
            ])
        )
    ])

    private static func object(_ members: [(String, SettingValue)]) -> SettingValue {
        .map(SettingMap(members.map { .init(name: $0.0, value: $0.1) }))
    }

    private static func strings(_ values: [String]) -> SettingValue { .list(values.map { .string($0) }) }

    /// The members of a schema for a mapping of known settings.
    private static func section(_ node: SettingNode) -> [(String, SettingValue)] {
        var properties: [(String, SettingValue)] = []
        for member in node.members {
            // A name that means different things by kind allows all of them; the loader knows which.
            if let index = properties.firstIndex(where: { $0.0 == member.setting.name }) {
                properties[index].1 = .map(["anyOf": .list([properties[index].1, schema(member)])])
            } else {
                properties.append((member.setting.name, schema(member)))
            }
        }
        return [
            ("type", strings(["object", "null"])), ("properties", object(properties)),
            ("additionalProperties", .bool(false)),
        ]
    }

    private static func schema(_ node: SettingNode) -> SettingValue {
        let setting = node.setting
        var text = setting.doc
        if !setting.kinds.isEmpty { text += " Kind: " + setting.kinds.joined(separator: ", ") + "." }
        if let fallback = setting.fallback { text += " Default: \(fallback)." }
        if !setting.built { text += " Not built yet." }
        return object([("description", .string(text))] + members(setting.type, node))
    }

    private static func members(_ type: SettingType, _ node: SettingNode) -> [(String, SettingValue)] {
        switch type {
        case .section:
            return section(node)
        case .sectionOr(let scalar):
            return [("anyOf", .list([object(members(scalar, node)), object(section(node))]))]
        case .named:
            let entry = node.element.map { schema($0) } ?? .bool(true)
            return [("type", strings(["object", "null"])), ("additionalProperties", entry)]
        case .list:
            let entry = node.element.map { schema($0) } ?? .bool(true)
            return [("type", strings(["array", "null"])), ("items", entry)]
        case .oneOrMany(let one):
            let items = object(members(one, node))
            let list = object([("type", .string("array")), ("items", items)])
            return [("anyOf", .list([items, list]))]
        case .many(let one):
            return [("type", strings(["array", "null"])), ("items", object(members(one, node)))]
        case .map(let one):
            return [("type", strings(["object", "null"])), ("additionalProperties", object(members(one, node)))]
        case .oneOrMap(let one):
            let value = object(members(one, node))
            return [("anyOf", .list([value, object([("type", .string("object")), ("additionalProperties", value)])]))]
        case .object:
            return [("type", strings(["object", "null"]))]
        case .secrets:
            let one = strings(["string", "number", "null"])
            let list = object([
                ("type", .string("array")), ("items", object([("type", strings(["string", "number"]))])),
            ])
            return [("anyOf", .list([object([("type", one)]), list]))]
        default:
            return scalar(type)
        }
    }

    private static func scalar(_ type: SettingType) -> [(String, SettingValue)] {
        switch type {
        case .bool:
            return expandable([("type", strings(["boolean", "null"]))])
        case .integer(let bounds):
            return expandable([
                ("type", strings(["integer", "null"])), ("minimum", .number("\(bounds.lowerBound)")),
                ("maximum", .number("\(bounds.upperBound)")),
            ])
        case .number(let bounds):
            return expandable([
                ("type", strings(["number", "null"])), ("minimum", .number("\(Int(bounds.lowerBound))")),
                ("maximum", .number("\(Int(bounds.upperBound))")),
            ])
        case .share:
            return expandable([
                ("type", strings(["number", "string", "null"])), ("minimum", .number("0")), ("maximum", .number("1")),
                ("pattern", .string("^[0-9.]+%$")),
            ])
        case .duration:
            return expandable([
                ("type", strings(["string", "integer", "null"])), ("pattern", .string("^([0-9.]+(ms|s|m|h|d|y)|0)$")),
                ("maximum", .number("0")),
            ])
        case .size:
            return expandable([
                ("type", strings(["string", "integer", "null"])),
                ("pattern", .string("^[0-9.]+ ?([KMGkmg][Ii]?)?[Bb]?$")), ("minimum", .number("1")),
            ])
        case .choice(_, let words):
            return expandable([("enum", .list(words.map { .string($0) } + [.null]))])
        case .sha256:
            return expandable([("type", strings(["string", "null"])), ("pattern", .string("^[0-9A-Fa-f]{64}$"))])
        case .url(let schemes):
            let pattern = "^(" + schemes.joined(separator: "|") + ")://"
            return expandable([("type", strings(["string", "null"])), ("pattern", .string(pattern))])
        default:
            // Whatever a scalar is written like, it is taken as text.
            return [("type", strings(["string", "number", "boolean", "null"]))]
        }
    }

    private static func expandable(_ members: [(String, SettingValue)]) -> [(String, SettingValue)] {
        [("anyOf", .list([object(members), .map(["$ref": .string("#/$defs/expansion")])]))]
    }

    private static func pretty(_ value: SettingValue, indent: Int) -> String {
        let inner = String(repeating: "  ", count: indent + 1)
        let outer = String(repeating: "  ", count: indent)
        switch value {
        case .map(let map) where value.json.utf8.count > 90:
            let lines = map.entries.map {
                inner + JSONText.quoted($0.name) + ": " + pretty($0.value, indent: indent + 1)
            }
            return "{\n" + lines.joined(separator: ",\n") + "\n" + outer + "}"
        case .list(let elements) where value.json.utf8.count > 90:
            let lines = elements.map { inner + pretty($0, indent: indent + 1) }
            return "[\n" + lines.joined(separator: ",\n") + "\n" + outer + "]"
        default:
            return value.json
        }
    }
}
