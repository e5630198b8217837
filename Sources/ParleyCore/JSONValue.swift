// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// A JSON value that keeps what a careful relay must not lose: the order of members and the text of numbers.
///
/// Parsing and writing live in `ParleyWire`; this is only the currency.
public enum JSONValue: Sendable, Hashable {
    case null
    case bool(Bool)
    /// The number as it was written, e.g. `1e3` or `0.10`; always valid JSON number text.
    case number(String)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)
}

/// The members of a JSON object in the order they were written.
///
/// Look-ups are linear: the objects that pass through a gateway have few members. Where a key is repeated the last
/// one is found, as most upstreams read it.
public struct JSONObject: Sendable, Hashable, ExpressibleByDictionaryLiteral {
    /// One name and its value.
    public struct Member: Sendable, Hashable {
        /// The member's name, unescaped.
        public var key: String
        /// The member's value.
        public var value: JSONValue

        /// Pairs a name with a value.
        public init(_ key: String, _ value: JSONValue) {
            self.key = key
            self.value = value
        }
    }

    /// Every member in order, repeated keys included.
    public var members: [Member]

    /// An object with the given members.
    public init(_ members: [Member] = []) {
        self.members = members
    }

    /// An object written as a literal, in the literal's order.
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        self.members = elements.map { Member($0.0, $0.1) }
    }

    /// True when there are no members.
    public var isEmpty: Bool { members.isEmpty }

    /// The value of `key` (the last one where it is repeated); setting replaces in place or appends, nil removes.
    public subscript(_ key: String) -> JSONValue? {
        get { members.last { $0.key == key }?.value }
        set {
            guard let newValue else {
                members.removeAll { $0.key == key }
                return
            }
            if let index = members.lastIndex(where: { $0.key == key }) {
                members[index].value = newValue
            } else {
                members.append(Member(key, newValue))
            }
        }
    }

    /// Takes a member out and returns its value.
    public mutating func remove(_ key: String) -> JSONValue? {
        let value = self[key]
        if value != nil { members.removeAll { $0.key == key } }
        return value
    }
}

extension JSONValue {
    /// A number from an integer.
    public static func int(_ value: Int) -> JSONValue { .number(String(value)) }

    /// A number from a double, in its shortest exact form; null when it is not finite, since JSON has no word for it.
    public static func double(_ value: Double) -> JSONValue {
        guard value.isFinite else { return .null }
        if let whole = Int(exactly: value) { return .number(String(whole)) }
        return .number(value.description)
    }

    /// The text of a string, else nil.
    public var string: String? {
        if case .string(let value) = self { return value }
        return nil
    }

    /// The truth value, else nil.
    public var bool: Bool? {
        if case .bool(let value) = self { return value }
        return nil
    }

    /// The number as an integer when it is one (also when written `5.0`), else nil.
    public var int: Int? {
        guard case .number(let text) = self else { return nil }
        if let value = Int(text) { return value }
        guard let value = Double(text) else { return nil }
        return Int(exactly: value)
    }

    /// The number as a double, else nil.
    public var double: Double? {
        guard case .number(let text) = self else { return nil }
        return Double(text)
    }

    /// The elements of an array, else nil.
    public var array: [JSONValue]? {
        if case .array(let value) = self { return value }
        return nil
    }

    /// The object, else nil.
    public var object: JSONObject? {
        if case .object(let value) = self { return value }
        return nil
    }

    /// True for JSON's null.
    public var isNull: Bool { self == .null }

    /// The member `key` of an object, else nil.
    public subscript(_ key: String) -> JSONValue? { object?[key] }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
    /// A string value.
    public init(stringLiteral value: String) { self = .string(value) }
    /// A truth value.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    /// A number value.
    public init(integerLiteral value: Int) { self = .int(value) }
    /// An array value.
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    /// An object value, in the literal's order.
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(JSONObject(elements.map { JSONObject.Member($0.0, $0.1) }))
    }
    /// JSON's null.
    public init(nilLiteral: ()) { self = .null }
}
