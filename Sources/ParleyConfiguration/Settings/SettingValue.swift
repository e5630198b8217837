// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// A value of free shape, as `params`, `force`, `quirks` and a provider's `options` hold it.
public enum SettingValue: Sendable, Equatable {
    /// JSON's null.
    case null
    /// true or false.
    case bool(Bool)
    /// A number in JSON's grammar, as text, so that nothing is lost on the way to a request.
    case number(String)
    /// A string.
    case string(String)
    /// Elements in order.
    case list([SettingValue])
    /// Members in file order.
    case map(SettingMap)
    /// A credential; occurs only in a provider's `options`.
    case secret(Secret)
    /// A length of time; occurs only in a provider's `options`.
    case duration(Duration)

    /// The boolean, if it is one.
    public var boolValue: Bool? { if case .bool(let value) = self { value } else { nil } }
    /// The number as an integer, if it is one that fits.
    public var intValue: Int? { if case .number(let text) = self { Int(text) } else { nil } }
    /// The number, if it is one.
    public var doubleValue: Double? { if case .number(let text) = self { Double(text) } else { nil } }
    /// The string, if it is one.
    public var stringValue: String? { if case .string(let value) = self { value } else { nil } }
    /// The elements, if it is a list.
    public var listValue: [SettingValue]? { if case .list(let value) = self { value } else { nil } }
    /// The members, if it is a map.
    public var mapValue: SettingMap? { if case .map(let value) = self { value } else { nil } }
    /// The credential, if it is one.
    public var secretValue: Secret? { if case .secret(let value) = self { value } else { nil } }
    /// The length of time, if it is one.
    public var durationValue: Duration? { if case .duration(let value) = self { value } else { nil } }

    /// The value as compact JSON. Secrets become null and lengths of time their seconds: neither is sent anywhere.
    public var json: String {
        switch self {
        case .null, .secret: return "null"
        case .bool(let value): return value ? "true" : "false"
        case .number(let text): return text
        case .string(let value): return JSONText.quoted(value)
        case .duration(let value): return "\(value.components.seconds)"
        case .list(let elements): return "[" + elements.map(\.json).joined(separator: ",") + "]"
        case .map(let map): return map.json
        }
    }
}

/// Named values in file order.
public struct SettingMap: Sendable, Equatable, ExpressibleByDictionaryLiteral {
    /// One named value.
    public struct Entry: Sendable, Equatable {
        /// The name.
        public var name: String
        /// The value.
        public var value: SettingValue

        /// A named value.
        public init(name: String, value: SettingValue) {
            self.name = name
            self.value = value
        }
    }

    /// The members in file order; names are unique.
    public var entries: [Entry]

    /// A map of these members.
    public init(_ entries: [Entry] = []) {
        self.entries = entries
    }

    /// A map of these members, in the order written.
    public init(dictionaryLiteral elements: (String, SettingValue)...) {
        entries = elements.map { Entry(name: $0.0, value: $0.1) }
    }

    /// Whether there are no members.
    public var isEmpty: Bool { entries.isEmpty }
    /// The names in file order.
    public var names: [String] { entries.map(\.name) }

    /// The value of that name, if there is one.
    public subscript(name: String) -> SettingValue? { entries.first { $0.name == name }?.value }

    /// The map as one compact JSON object.
    public var json: String {
        "{" + entries.map { JSONText.quoted($0.name) + ":" + $0.value.json }.joined(separator: ",") + "}"
    }
}
