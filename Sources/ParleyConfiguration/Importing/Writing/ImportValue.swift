// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// A value on its way into `parley.yaml`.
indirect enum ImportValue: Hashable {
    case bool(Bool)
    /// A number in JSON's grammar.
    case number(String)
    /// Text that means exactly itself.
    case text(String)
    /// Text of which some comes from the environment.
    case template([ImportPart])
    /// What must not stand in the file: `${NAME}` takes its place, named after `hint`. Nil where the source does not
    /// say it either.
    case secret(String?, hint: String)
    case null
    case list([ImportValue])
    case map([ImportEntry])

    /// A whole number.
    static func int(_ value: Int) -> ImportValue { .number(String(value)) }

    /// A length of time in seconds, as the configuration writes it.
    static func seconds(_ value: Double) -> ImportValue? {
        guard value > 0, value <= 31_536_000 else { return nil }
        if let whole = Int(exactly: value) { return .text("\(whole)s") }
        return Int(exactly: (value * 1000).rounded()).flatMap { $0 > 0 ? .text("\($0)ms") : nil }
    }

    /// The text, where it means exactly itself.
    var text: String? { if case .text(let text) = self { text } else { nil } }
}

/// One member of a mapping.
struct ImportEntry: Hashable {
    var name: String
    var value: ImportValue

    init(_ name: String, _ value: ImportValue) {
        self.name = name
        self.value = value
    }
}

extension [ImportEntry] {
    /// Adds a member, unless there is no value.
    mutating func set(_ name: String, _ value: ImportValue?) {
        guard let value else { return }
        if let index = firstIndex(where: { $0.name == name }) {
            self[index].value = value
        } else {
            append(ImportEntry(name, value))
        }
    }

    subscript(name: String) -> ImportValue? { first { $0.name == name }?.value }
}

extension ImportMember {
    /// The member as it is, except that what its name says is a secret is one.
    var entry: ImportEntry {
        let word = name.lowercased().replacing("-", with: "_")
        let isSecret =
            word == "token" || ["authorization", "password", "secret", "cookie"].contains { word.contains($0) }
            || ["_token", "_key", "apikey"].contains { word.hasSuffix($0) }
        if isSecret, let secret = value.secret(name) { return ImportEntry(name, secret) }
        return ImportEntry(name, value.value)
    }
}

extension ImportPart {
    /// The piece where it is one of a secret.
    fileprivate func hidden(_ hint: String) -> ImportPart {
        switch self {
        case .literal(let text): .secret(text, hint: hint)
        case .variable(let name, let fallback): .secretVariable(name, value: fallback)
        case .secretVariable, .secret: self
        }
    }
}

extension ImportNode {
    /// The value as it is, for settings of free shape and for text.
    var value: ImportValue {
        switch content {
        case .null: .null
        case .bool(let value): .bool(value)
        case .number(let text): .number(text)
        case .string(let text): .text(text)
        case .template(let parts): .template(parts)
        case .list(let elements): .list(elements.map(\.value))
        case .map(let members): .map(members.map(\.entry))
        }
    }

    /// The value as text; nil where it is empty or not single.
    var textValue: ImportValue? {
        if isEmpty { return nil }
        if case .template(let parts) = content { return .template(parts) }
        return text.map { .text($0) }
    }

    /// The value as a secret; nil where it is empty or not single.
    func secret(_ hint: String) -> ImportValue? {
        if isEmpty { return nil }
        if case .template(let parts) = content { return .template(parts.map { $0.hidden(hint) }) }
        return text.map { .secret(trimmed($0), hint: hint) }
    }
}
