// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore

/// Gemini's two ways of writing a schema: JSON Schema in newer fields, and the subset of OpenAPI's in the older ones.
public enum GeminiSchema {
    /// The deepest nesting that is followed; what is below stays out.
    private static let deepest = 32

    /// A classic schema as JSON Schema: types in lower case, `nullable` as a second type.
    public static func jsonSchema(_ value: JSONValue) -> JSONValue {
        lowered(value, depth: 0)
    }

    private static func lowered(_ value: JSONValue, depth: Int) -> JSONValue {
        guard depth < deepest, case .object(let given) = value else { return value }
        var object = GeminiNames.camel(given)
        var isNullable = false
        object.members.removeAll { member in
            if member.key == "nullable" { isNullable = member.value == true }
            return ["nullable", "propertyOrdering", "example"].contains(member.key) || member.value.isNull
        }
        for index in object.members.indices {
            let value = object.members[index].value
            switch object.members[index].key {
            case "type":
                let type = value.string.map { JSONValue.string($0.lowercased()) } ?? value
                object.members[index].value = isNullable && type.string != nil ? .array([type, "null"]) : type
            case "items", "additionalProperties":
                object.members[index].value = lowered(value, depth: depth + 1)
            case "anyOf":
                object.members[index].value = .array((value.array ?? []).map { lowered($0, depth: depth + 1) })
            case "properties", "$defs", "defs":
                object.members[index].value = mapped(value) { lowered($0, depth: depth + 1) }
            case "minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties":
                // Google writes 64-bit numbers as text.
                if let text = value.string, let number = Int(text) { object.members[index].value = .int(number) }
            default: break
            }
        }
        return .object(object)
    }

    private static func mapped(_ value: JSONValue, _ change: (JSONValue) -> JSONValue) -> JSONValue {
        guard case .object(var object) = value else { return value }
        for index in object.members.indices { object.members[index].value = change(object.members[index].value) }
        return .object(object)
    }

    /// JSON Schema cut down to the classic subset: references are put in, alternatives become `anyOf`, a type beside
    /// `null` becomes `nullable`, and what the subset has no word for is left out.
    public static func classic(_ schema: JSONValue) -> JSONValue {
        var reducer = Reducer(root: schema)
        return .object(reducer.reduce(schema, depth: 0))
    }

    private struct Reducer {
        /// The most schemas one schema may become, since references multiply.
        private static let budget = 4096

        let root: JSONValue
        private var count = 0

        init(root: JSONValue) {
            self.root = root
        }

        mutating func reduce(_ value: JSONValue, depth: Int) -> JSONObject {
            count += 1
            guard depth < GeminiSchema.deepest, count < Self.budget, var given = value.object else {
                return ["type": "OBJECT"]
            }
            var hops = 0
            while let reference = given["$ref"]?.string, hops < 8, let target = resolve(reference)?.object {
                let description = given["description"]
                given = target
                if let description { given["description"] = description }
                hops += 1
            }
            joinAll(&given)
            var out = JSONObject()
            putType(given, into: &out)
            for member in given.members { put(member, into: &out, depth: depth) }
            finish(&out)
            return out
        }

        /// The schema that `#/$defs/Name` and the like point to.
        private func resolve(_ reference: String) -> JSONValue? {
            guard reference.hasPrefix("#/") else { return nil }
            var value: JSONValue? = root
            for part in reference.dropFirst(2).split(separator: "/") {
                value = value?[String(part).replacing("~1", with: "/").replacing("~0", with: "~")]
            }
            return value
        }

        /// Members of `allOf` as if they were written in the schema itself.
        private func joinAll(_ object: inout JSONObject) {
            guard let parts = object.remove("allOf")?.array else { return }
            for part in parts {
                var fields = part.object ?? [:]
                if let reference = fields["$ref"]?.string { fields = resolve(reference)?.object ?? [:] }
                for member in fields.members {
                    switch (object[member.key], member.value) {
                    case (.object(let mine)?, .object(let more)):
                        object[member.key] = .object(JSONObject(mine.members + more.members))
                    case (.array(let mine)?, .array(let more)) where member.key == "required":
                        object[member.key] = .array(mine + more)
                    case (nil, let value): object[member.key] = value
                    default: break
                    }
                }
            }
        }

        private func putType(_ given: JSONObject, into out: inout JSONObject) {
            switch given["type"] {
            case .string(let type)?: out["type"] = .string(type.uppercased())
            case .array(let list)?:
                let types = list.compactMap(\.string)
                let others = types.filter { $0.lowercased() != "null" }
                if others.count == 1 {
                    out["type"] = .string(others[0].uppercased())
                } else if !others.isEmpty {
                    out["anyOf"] = .array(others.map { ["type": .string($0.uppercased())] })
                }
                if others.count < types.count { out["nullable"] = true }
            default: break
            }
        }

        private mutating func put(_ member: JSONObject.Member, into out: inout JSONObject, depth: Int) {
            switch (member.key, member.value) {
            case ("description", .string), ("title", .string), ("format", .string), ("pattern", .string),
                ("minItems", .number), ("maxItems", .number), ("minimum", .number), ("maximum", .number),
                ("minLength", .number), ("maxLength", .number), ("minProperties", .number),
                ("maxProperties", .number), ("nullable", .bool), ("required", .array), ("propertyOrdering", .array):
                out[member.key] = member.value
            case ("default", let value), ("example", let value): out[member.key] = value
            case ("enum", .array(let values)): out["enum"] = .array(values.map(text))
            case ("const", let value): out["enum"] = .array([text(value)])
            case ("items", .object): out["items"] = .object(reduce(member.value, depth: depth + 1))
            case ("anyOf", .array(let list)), ("oneOf", .array(let list)):
                putAlternatives(list, into: &out, depth: depth)
            case ("properties", .object(let properties)):
                var reduced = JSONObject()
                for property in properties.members {
                    reduced.members.append(.init(property.key, .object(reduce(property.value, depth: depth + 1))))
                }
                if !reduced.isEmpty { out["properties"] = .object(reduced) }
            default: break
            }
        }

        private mutating func putAlternatives(_ list: [JSONValue], into out: inout JSONObject, depth: Int) {
            let others = list.filter { $0["type"] != "null" }
            if others.count < list.count { out["nullable"] = true }
            if others.count == 1 {
                for member in reduce(others[0], depth: depth + 1).members where out[member.key] == nil {
                    out.members.append(member)
                }
            } else if !others.isEmpty {
                out["anyOf"] = .array(others.map { .object(reduce($0, depth: depth + 1)) })
            }
        }

        private func text(_ value: JSONValue) -> JSONValue {
            switch value {
            case .string: value
            case .number(let text): .string(text)
            case .bool(let truth): .string(truth ? "true" : "false")
            default: "null"
            }
        }

        /// What the service insists on.
        private func finish(_ out: inout JSONObject) {
            if out["enum"] != nil {
                out["type"] = "STRING"
                out["format"] = nil
            }
            if out["properties"] != nil, out["type"] == nil { out["type"] = "OBJECT" }
            if out["type"] == "ARRAY", out["items"] == nil { out["items"] = ["type": "STRING"] }
            if let required = out["required"]?.array {
                // A name that is no property is refused.
                let known = out["properties"]?.object?.members.map { JSONValue.string($0.key) } ?? []
                let kept = required.filter(known.contains)
                out["required"] = kept.isEmpty ? nil : .array(kept)
            }
            if out["type"] == "STRING", let format = out["format"]?.string, !["date-time", "enum"].contains(format) {
                out["format"] = nil
            }
        }
    }
}
