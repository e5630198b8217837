// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// A value of a file that is being imported, whatever language the file is written in, with its line.
struct ImportNode {
    enum Content {
        case null
        case bool(Bool)
        /// A number in JSON's grammar.
        case number(String)
        case string(String)
        /// Text that the file takes from the environment, wholly or in part.
        case template([ImportPart])
        case list([ImportNode])
        case map([ImportMember])
    }

    var content: Content
    /// The line it begins on, counted from 1.
    var line: Int
    /// The text of a single value as the file has it: what `1.10` or `yes` was before it was understood.
    var written = ""

    /// Whether there is nothing: null, or text without a character.
    var isEmpty: Bool {
        switch content {
        case .null: true
        case .string(let text): text.isEmpty
        default: false
        }
    }

    /// The members in order; nil where it is no mapping.
    var members: [ImportMember]? { if case .map(let members) = content { members } else { nil } }
    /// The elements in order; nil where it is no list.
    var elements: [ImportNode]? { if case .list(let elements) = content { elements } else { nil } }

    /// The member of that name, unless it is null.
    subscript(_ name: String) -> ImportNode? {
        guard let value = members?.first(where: { $0.name == name })?.value else { return nil }
        if case .null = value.content { return nil }
        return value
    }

    /// The text of a single value, a number's and a truth value's as they were written; nil where it comes from the
    /// environment or is not single.
    var text: String? {
        switch content {
        case .string(let text): text
        case .number, .bool: written
        case .null, .template, .list, .map: nil
        }
    }

    /// The truth value, also where it is written as text; nil where it is none.
    var truth: Bool? {
        if case .bool(let value) = content { return value }
        switch text?.lowercased() {
        case "true", "yes", "on", "1": return true
        case "false", "no", "off", "0": return false
        default: return nil
        }
    }

    /// The number, also where it is written as text; nil where it is none.
    var number: Double? {
        switch content {
        case .number(let text): Double(text)
        case .string(let text): YAMLScalar.number(text).flatMap { Double($0) }
        default: nil
        }
    }

    /// The whole number, also where it is written as text; nil where it is none.
    var int: Int? { number.flatMap { Int(exactly: $0) } }

    /// What the value is, in words for a message.
    var noun: String {
        switch content {
        case .null: "nothing"
        case .bool: "true or false"
        case .number: "a number"
        case .string: "text"
        case .template: "text from the environment"
        case .list: "a list"
        case .map: "a mapping"
        }
    }
}

extension ImportNode {
    /// The longest name, as it is written in YAML; its reader takes no longer ones.
    private static let longestName = 1000

    /// Looks at the names in it.
    ///
    /// - Throws: for one that the configuration could not hold.
    func checkNames() throws(LineFault) {
        for element in elements ?? [] { try element.checkNames() }
        for member in members ?? [] {
            guard member.name.utf8.count <= Self.longestName,
                YAMLText.scalar(member.name).utf8.count <= Self.longestName
            else { throw LineFault(member.line, "a name longer than \(Self.longestName) characters") }
            try member.value.checkNames()
        }
    }
}

/// One member of a mapping.
struct ImportMember {
    var name: String
    var line: Int
    var value: ImportNode
}

/// A piece of text of which some comes from the environment.
enum ImportPart: Hashable {
    case literal(String)
    /// The variable's value; `fallback` where it is not set.
    case variable(String, fallback: String?)
    /// The value of a variable in place of a secret; what the source takes where it is not set is as secret.
    case secretVariable(String, value: String?)
    /// A piece of a secret that stands in the source.
    case secret(String, hint: String)
}

/// Why a file cannot be imported.
public struct ImportFault: Error, Equatable, CustomStringConvertible {
    /// The file's name as it was given.
    public var file: String
    /// The line, counted from 1; nil where it is about the file as a whole.
    public var line: Int?
    /// What is wrong; holds no secret.
    public var message: String

    /// `config.yaml:12: error: nested deeper than 64 levels`, as compilers print it.
    public var description: String {
        line.map { "\(file):\($0): error: \(message)" } ?? "\(file): error: \(message)"
    }
}

/// What is wrong at a line, before the file's name is added.
struct LineFault: Error {
    var line: Int?
    var message: String

    init(_ line: Int?, _ message: String) {
        self.line = line
        self.message = message
    }
}
