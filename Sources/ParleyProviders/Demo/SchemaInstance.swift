// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// Makes up a value that a JSON Schema accepts.
///
/// Understands types, `const`, `enum`, `anyOf`, `oneOf`, `allOf`, references within the schema, required properties,
/// array and text lengths, number ranges and the usual formats; not `pattern`, `not` or conditions. Recursive schemas
/// end as soon as they may, and a schema that asks for endless or huge values gets `null` where it goes too far.
struct SchemaInstance {
    private static let deepest = 32
    /// From here on, everything that may be left out is.
    private static let shallow = 3

    private let root: JSONValue
    private var budget = 4096

    /// A value for the schema.
    static func make(_ schema: JSONValue) -> JSONValue {
        var maker = SchemaInstance(root: schema)
        return maker.value(schema, name: nil, depth: 0)
    }

    private init(root: JSONValue) {
        self.root = root
    }

    private mutating func value(_ schema: JSONValue, name: String?, depth: Int) -> JSONValue {
        budget -= 1
        guard depth < Self.deepest, budget > 0 else { return nil }
        guard let object = resolved(schema) else { return schema.bool == true ? .string("demo") : nil }
        if let constant = object["const"] { return constant }
        if let first = object["enum"]?.array?.first { return first }
        if let options = (object["anyOf"] ?? object["oneOf"])?.array, !options.isEmpty {
            var base = object
            _ = base.remove("anyOf")
            _ = base.remove("oneOf")
            let option = depth < Self.shallow ? options[0] : options.min { weight($0) < weight($1) } ?? options[0]
            let merged = resolved(option).map { Self.merged(base, $0) } ?? base
            return value(.object(merged), name: name, depth: depth + 1)
        }
        if let value = object["default"] ?? object["examples"]?.array?.first, depth > 0 { return value }
        switch type(of: object, depth: depth) {
        case "object": return self.object(object, depth: depth)
        case "array": return array(object, depth: depth)
        case "integer": return Self.number(object, isWhole: true)
        case "number": return Self.number(object, isWhole: false)
        case "boolean": return true
        case "null": return nil
        default: return .string(Self.text(object, name: name))
        }
    }

    // MARK: Structure

    private mutating func object(_ schema: JSONObject, depth: Int) -> JSONValue {
        let properties = schema["properties"]?.object ?? [:]
        var names = schema["required"]?.array?.compactMap(\.string) ?? []
        if schema["required"] == nil, depth < Self.shallow { names = properties.members.map(\.key) }
        var result = JSONObject()
        // In the order of the properties; required ones without a description come last.
        let ordered = properties.members.map(\.key).filter(names.contains) + names.filter { properties[$0] == nil }
        for name in ordered where result[name] == nil {
            let rule = properties[name] ?? schema["additionalProperties"] ?? true
            result[name] = value(rule, name: name, depth: depth + 1)
        }
        let least = min(schema["minProperties"]?.int ?? 0, 64)
        var number = 1
        while result.members.count < least, budget > 0 {
            let candidate = properties.members.first { result[$0.key] == nil }
            let name = candidate?.key ?? "property\(number)"
            result[name] = value(
                candidate?.value ?? schema["additionalProperties"] ?? true, name: name, depth: depth + 1)
            number += 1
        }
        return .object(result)
    }

    private mutating func array(_ schema: JSONObject, depth: Int) -> JSONValue {
        let first = schema["prefixItems"]?.array ?? []
        let least = max(schema["minItems"]?.int ?? 0, 0)
        let wished = depth < Self.shallow ? max(least, first.isEmpty ? 1 : first.count) : least
        let count = min(wished, max(schema["maxItems"]?.int ?? .max, least), 256)
        var elements: [JSONValue] = []
        for index in 0..<count where budget > 0 {
            let element = index < first.count ? first[index] : schema["items"] ?? true
            var made = value(element, name: nil, depth: depth + 1)
            if schema["uniqueItems"]?.bool == true, elements.contains(made) {
                made = Self.varied(made, by: index)
            }
            elements.append(made)
        }
        return .array(elements)
    }

    /// The schema as an object: references followed, `allOf` merged in; nil for `true`, `false` and nonsense.
    private func resolved(_ schema: JSONValue) -> JSONObject? {
        guard var object = schema.object else { return nil }
        var hops = 0
        while let reference = object["$ref"]?.string, hops < Self.deepest {
            hops += 1
            _ = object.remove("$ref")
            guard let target = pointed(reference)?.object else { break }
            object = Self.merged(object, target)
        }
        if let parts = object.remove("allOf")?.array, hops < Self.deepest {
            for part in parts.prefix(64) {
                // One level of nesting is looked through here; deeper ones by the same rule, below a reference.
                guard let part = part.object else { continue }
                let target = part["$ref"]?.string.flatMap { pointed($0)?.object } ?? part
                object = Self.merged(object, target)
            }
        }
        return object
    }

    private func pointed(_ reference: String) -> JSONValue? {
        guard reference.hasPrefix("#") else { return nil }
        var place = root
        for part in reference.dropFirst().split(separator: "/") {
            let name = part.replacing("~1", with: "/").replacing("~0", with: "~").replacing("%24", with: "$")
            if let index = Int(name), let elements = place.array {
                guard elements.indices.contains(index) else { return nil }
                place = elements[index]
            } else {
                guard let member = place[String(name)] else { return nil }
                place = member
            }
        }
        return place
    }

    /// Both schemas at once: properties and required names are joined, else the second one wins.
    private static func merged(_ a: JSONObject, _ b: JSONObject) -> JSONObject {
        var result = a
        for member in b.members {
            switch (member.key, result[member.key], member.value) {
            case ("properties", .object(var mine)?, .object(let theirs)):
                for property in theirs.members { mine[property.key] = property.value }
                result["properties"] = .object(mine)
            case ("required", .array(let mine)?, .array(let theirs)):
                result["required"] = .array(mine + theirs.filter { !mine.contains($0) })
            default:
                result[member.key] = member.value
            }
        }
        return result
    }

    private func type(of schema: JSONObject, depth: Int) -> String? {
        if let types = schema["type"]?.array?.compactMap(\.string), !types.isEmpty {
            if depth >= Self.shallow, types.contains("null") { return "null" }
            return types.first { $0 != "null" } ?? "null"
        }
        if let type = schema["type"]?.string { return type }
        let signs: [(String, [String])] = [
            ("object", ["properties", "required", "additionalProperties", "minProperties"]),
            ("array", ["items", "prefixItems", "minItems"]),
            ("number", ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]),
        ]
        return signs.first { sign in sign.1.contains { schema[$0] != nil } }?.0
    }

    /// How much a schema would lead on: nothing, a plain value, a list, an object.
    private func weight(_ schema: JSONValue) -> Int {
        guard let object = resolved(schema) else { return 1 }
        if object["const"] != nil || object["enum"] != nil { return 1 }
        switch type(of: object, depth: Self.shallow) {
        case "null": return 0
        case "array": return 2
        case "object": return 3
        case nil where object["anyOf"] != nil || object["oneOf"] != nil: return 3
        default: return 1
        }
    }

    // MARK: Plain values

    private static func number(_ schema: JSONObject, isWhole: Bool) -> JSONValue {
        let least = schema["minimum"]?.double
        let above = schema["exclusiveMinimum"]?.double
        let most = schema["maximum"]?.double
        let below = schema["exclusiveMaximum"]?.double
        let step = schema["multipleOf"]?.double.flatMap { $0 > 0 ? $0 : nil } ?? (isWhole ? 1 : nil)
        func isFine(_ value: Double) -> Bool {
            value >= least ?? -.infinity && value > above ?? -.infinity && value <= most ?? .infinity
                && value < below ?? .infinity
        }
        // One if it may be, else the nearest to a bound, else the middle.
        var candidates = [1.0]
        for bound in [least, above, most, below].compactMap(\.self) {
            candidates += [bound, bound + (step ?? 1), bound - (step ?? 1)]
        }
        if let low = above ?? least, let high = below ?? most { candidates.append(low / 2 + high / 2) }
        if let step {
            candidates = candidates.flatMap { [($0 / step).rounded(.up) * step, ($0 / step).rounded(.down) * step] }
        }
        return .double(candidates.first(where: isFine) ?? candidates[0])
    }

    private static func text(_ schema: JSONObject, name: String?) -> String {
        if let format = schema["format"]?.string, let sample = formats[format] { return sample }
        var text = name.map { "demo \($0)" } ?? "demo"
        let least = min(schema["minLength"]?.int ?? 0, 4096)
        if text.count < least { text += String(repeating: "x", count: least - text.count) }
        if let most = schema["maxLength"]?.int, most >= 0 { text = String(text.prefix(most)) }
        return text
    }

    private static let formats = [
        "date-time": "2026-01-01T00:00:00Z", "date": "2026-01-01", "time": "00:00:00Z", "duration": "P1D",
        "email": "demo@example.com", "hostname": "example.com", "ipv4": "192.0.2.1", "ipv6": "2001:db8::1",
        "uri": "https://example.com/", "url": "https://example.com/", "uuid": "00000000-0000-4000-8000-000000000000",
    ]

    private static func varied(_ value: JSONValue, by index: Int) -> JSONValue {
        switch value {
        case .string(let text): .string("\(text) \(index + 1)")
        case .number: value.double.map { .double($0 + Double(index)) } ?? value
        case .bool(let flag): .bool(!flag)
        default: value
        }
    }
}
