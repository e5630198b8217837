// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// A line and a column, both counted from 1; columns are Unicode scalars.
struct Mark: Hashable, Comparable {
    var line: Int
    var column: Int

    static let start = Mark(line: 1, column: 1)

    static func < (left: Mark, right: Mark) -> Bool {
        (left.line, left.column) < (right.line, right.column)
    }
}

/// One value of a parsed document. Aliases are already replaced by what they stand for.
struct YAMLNode {
    enum Content {
        /// `plain`: written without quotes, so that it may be a number, a boolean or null.
        case scalar(String, plain: Bool)
        case sequence([YAMLNode])
        case mapping([YAMLEntry])
    }

    var content: Content
    var mark: Mark
    /// Levels below and including this one.
    var height: Int
    /// Values below and including this one, aliases counted in full.
    var weight: Int

    /// Whether the value is absent: `~`, `null` or nothing at all.
    var isNull: Bool {
        if case .scalar(let text, plain: true) = content { YAMLScalar.isNull(text) } else { false }
    }

    /// What the value is, in words for a message.
    var noun: String {
        switch content {
        case .scalar(let text, let plain):
            plain && YAMLScalar.isNull(text) ? "nothing" : "a single value"
        case .sequence: "a list"
        case .mapping: "a mapping"
        }
    }
}

/// One member of a mapping.
struct YAMLEntry {
    var key: String
    var mark: Mark
    var value: YAMLNode
}

/// What a scalar without quotes means, by YAML 1.2's core schema.
enum YAMLScalar {
    static func isNull(_ text: String) -> Bool {
        text.isEmpty || text == "~" || text == "null" || text == "Null" || text == "NULL"
    }

    static func bool(_ text: String) -> Bool? {
        switch text {
        case "true", "True", "TRUE": true
        case "false", "False", "FALSE": false
        default: nil
        }
    }

    /// Whether the text stands for infinity or "not a number", which JSON cannot say.
    static func isNotFinite(_ text: String) -> Bool {
        var rest = Substring(text).lowercased()
        if rest.hasPrefix("+") || rest.hasPrefix("-") { rest.removeFirst() }
        return rest == ".inf" || rest == ".nan"
    }

    /// The number in JSON's grammar, if the text is one: `+5` is `5`, `.5` is `0.5`, `007` is `7`.
    static func number(_ text: String) -> String? {
        var rest = Substring(text)
        var sign = ""
        if let first = rest.first, first == "+" || first == "-" {
            if first == "-" { sign = "-" }
            rest.removeFirst()
        }
        let whole = digits(&rest)
        var fraction = Substring()
        var hasPoint = false
        if rest.first == "." {
            hasPoint = true
            rest.removeFirst()
            fraction = digits(&rest)
        }
        guard !whole.isEmpty || !fraction.isEmpty else { return nil }
        var exponent = ""
        if let first = rest.first, first == "e" || first == "E" {
            rest.removeFirst()
            exponent = "e"
            if let mark = rest.first, mark == "+" || mark == "-" {
                exponent.append(mark)
                rest.removeFirst()
            }
            let power = digits(&rest)
            guard !power.isEmpty else { return nil }
            exponent += power
        }
        guard rest.isEmpty else { return nil }
        let trimmed = whole.drop { $0 == "0" }
        let point = hasPoint && !fraction.isEmpty ? "." + fraction : ""
        return sign + (trimmed.isEmpty ? "0" : trimmed) + point + exponent
    }

    private static func digits(_ text: inout Substring) -> Substring {
        let run = text.prefix { $0.isASCII && $0.isWholeNumber }
        text = text[run.endIndex...]
        return run
    }
}
