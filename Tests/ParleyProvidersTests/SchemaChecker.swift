// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Reads JSON that a test made.
func parsed(_ text: String) throws -> JSONValue { try JSON.parse(text) }

/// A small JSON Schema validator: what is wrong with `value`; empty where nothing is.
struct SchemaChecker {
    let root: JSONValue

    static func faults(_ value: JSONValue, _ schema: JSONValue) -> [String] {
        SchemaChecker(root: schema).faults(value, schema, "$")
    }

    private func faults(_ value: JSONValue, _ schema: JSONValue, _ path: String) -> [String] {
        if let flag = schema.bool { return flag ? [] : ["\(path): nothing is allowed"] }
        guard let rules = schema.object else { return [] }
        var faults: [String] = []
        if let reference = rules["$ref"]?.string {
            var target = root
            for part in reference.dropFirst(2).split(separator: "/") { target = target[String(part)] ?? false }
            faults += self.faults(value, target, path)
        }
        if let constant = rules["const"], constant != value { faults.append("\(path): not the constant") }
        if let options = rules["enum"]?.array, !options.contains(value) { faults.append("\(path): not in the enum") }
        for part in rules["allOf"]?.array ?? [] { faults += self.faults(value, part, path) }
        for key in ["anyOf", "oneOf"] {
            guard let options = rules[key]?.array else { continue }
            if options.allSatisfy({ !self.faults(value, $0, path).isEmpty }) { faults.append("\(path): no \(key)") }
        }
        let types = rules["type"]?.array?.compactMap(\.string) ?? rules["type"]?.string.map { [$0] }
        if let types, !types.contains(where: { Self.fits(value, $0) }) { faults.append("\(path): wrong type") }
        switch value {
        case .object(let object): faults += check(object, rules, path)
        case .array(let array): faults += check(array, rules, path)
        case .string(let text):
            if let least = rules["minLength"]?.int, text.count < least { faults.append("\(path): too short") }
            if let most = rules["maxLength"]?.int, text.count > most { faults.append("\(path): too long") }
        case .number: faults += check(value.double ?? .nan, rules, path)
        default: break
        }
        return faults
    }

    private func check(_ object: JSONObject, _ rules: JSONObject, _ path: String) -> [String] {
        var faults: [String] = []
        for name in rules["required"]?.array?.compactMap(\.string) ?? [] where object[name] == nil {
            faults.append("\(path).\(name): missing")
        }
        for member in object.members {
            if let rule = rules["properties"]?[member.key] {
                faults += self.faults(member.value, rule, "\(path).\(member.key)")
            } else if let rule = rules["additionalProperties"] {
                faults += self.faults(member.value, rule, "\(path).\(member.key)")
            }
        }
        if let least = rules["minProperties"]?.int, object.members.count < least { faults.append("\(path): too few") }
        return faults
    }

    private func check(_ array: [JSONValue], _ rules: JSONObject, _ path: String) -> [String] {
        var faults: [String] = []
        if let least = rules["minItems"]?.int, array.count < least { faults.append("\(path): too few items") }
        if let most = rules["maxItems"]?.int, array.count > most { faults.append("\(path): too many items") }
        if rules["uniqueItems"]?.bool == true, Set(array).count < array.count { faults.append("\(path): repeated") }
        let first = rules["prefixItems"]?.array ?? []
        for (index, element) in array.enumerated() {
            let rule = index < first.count ? first[index] : rules["items"] ?? true
            faults += self.faults(element, rule, "\(path)[\(index)]")
        }
        return faults
    }

    private func check(_ number: Double, _ rules: JSONObject, _ path: String) -> [String] {
        let isFine =
            (rules["minimum"]?.double).map { number >= $0 } ?? true
            && (rules["maximum"]?.double).map { number <= $0 } ?? true
            && (rules["exclusiveMinimum"]?.double).map { number > $0 } ?? true
            && (rules["exclusiveMaximum"]?.double).map { number < $0 } ?? true
            && (rules["multipleOf"]?.double).map { (number / $0).rounded() == number / $0 } ?? true
        return isFine ? [] : ["\(path): \(number) is out of range"]
    }

    private static func fits(_ value: JSONValue, _ type: String) -> Bool {
        switch (value, type) {
        case (.object, "object"), (.array, "array"), (.string, "string"), (.bool, "boolean"), (.null, "null"),
            (.number, "number"):
            true
        case (.number, "integer"): value.int != nil
        default: false
        }
    }
}
