// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// Writes an imported configuration as a commented `parley.yaml`.
struct ImportWriter {
    private static let width = 110

    let variables: VariableTable
    let showsSecrets: Bool
    private var out = ""

    /// The file's text.
    static func text(_ imported: ImportedConfiguration, showsSecrets: Bool) -> String {
        var writer = ImportWriter(variables: VariableTable(imported), showsSecrets: showsSecrets)
        writer.head(imported)
        for entry in imported.sections { writer.section(entry) }
        writer.list(imported)
        return writer.out
    }

    private init(variables: VariableTable, showsSecrets: Bool) {
        self.variables = variables
        self.showsSecrets = showsSecrets
    }

    // MARK: - Comments

    private mutating func head(_ imported: ImportedConfiguration) {
        comment("Made by `parley import` from \(imported.kind.summary): \(imported.file)")
        if !variables.variables.isEmpty {
            out += "#\n"
            comment("Set these environment variables before you start it:")
            for variable in variables.variables { comment("  " + line(variable)) }
        }
        for credentials in imported.credentials {
            out += "#\n"
            comment("The tokens of \(credentials.provider) belong into the store; parley import has put them there.")
        }
        if !imported.notes.isEmpty {
            out += "#\n"
            comment("Not carried over, or to be looked at:")
            for note in imported.notes { comment("  " + note.description) }
        }
    }

    private func line(_ variable: ImportVariable) -> String {
        var text = variable.name
        if showsSecrets, let value = variable.value { text += "=" + EnvironmentFile.quoted(value) }
        text += "  (\(variable.setting)"
        if variable.isFromEnvironment, variable.value == nil { text += "; from the environment, as before" }
        if variable.hasDefault { text += "; has a default" }
        if !variable.isFromEnvironment, variable.value == nil { text += "; the source does not say it" }
        return text + ")"
    }

    private mutating func comment(_ text: String, indent: Int = 0) {
        out += String(repeating: " ", count: indent) + "# " + YAMLText.comment(text) + "\n"
    }

    // MARK: - Sections

    private mutating func section(_ entry: ImportEntry) {
        out += "\n"
        self.entry(entry, indent: 0, isOpen: true)
    }

    private mutating func list(_ imported: ImportedConfiguration) {
        if !imported.providers.isEmpty { out += "\nproviders:\n" }
        for provider in imported.providers {
            named(provider.name, provider.value, provider.comment)
        }
        if !imported.models.isEmpty { out += "\nmodels:\n" }
        for model in imported.models { named(model.name, model.value, model.comment) }
        if !imported.keys.isEmpty { out += "\nkeys:\n" }
        for key in imported.keys {
            if !key.comment.isEmpty { comment(key.comment, indent: 2) }
            item(.map(key.settings), indent: 2)
        }
    }

    private mutating func named(_ name: String, _ value: ImportValue, _ comment: String) {
        if !comment.isEmpty { self.comment(comment, indent: 2) }
        entry(ImportEntry(name, value), indent: 2, isOpen: false)
    }

    // MARK: - Values

    /// One member, on one line where there is room and it need not be open.
    private mutating func entry(_ entry: ImportEntry, indent: Int, isOpen: Bool) {
        let head = String(repeating: " ", count: indent) + YAMLText.scalar(entry.name) + ":"
        let flat = inline(entry.value)
        switch entry.value {
        case .map(let entries) where !entries.isEmpty && (isOpen || head.count + flat.count >= Self.width):
            out += head + "\n"
            for inner in entries { self.entry(inner, indent: indent + 2, isOpen: false) }
        case .list(let elements) where !elements.isEmpty && head.count + flat.count >= Self.width:
            out += head + "\n"
            for element in elements { item(element, indent: indent + 2) }
        default:
            out += head + " " + flat + "\n"
        }
    }

    /// One element of a list.
    private mutating func item(_ value: ImportValue, indent: Int) {
        let dash = String(repeating: " ", count: indent) + "- "
        let flat = inline(value)
        guard case .map(let entries) = value, dash.count + flat.count >= Self.width, !entries.isEmpty else {
            out += dash + flat + "\n"
            return
        }
        var rest = ImportWriter(variables: variables, showsSecrets: showsSecrets)
        for inner in entries { rest.entry(inner, indent: indent + 2, isOpen: false) }
        out += dash + rest.out.dropFirst(indent + 2)
    }

    /// The value on one line.
    private func inline(_ value: ImportValue) -> String {
        switch value {
        case .null: return "null"
        case .bool(let value): return value ? "true" : "false"
        case .number(let text): return text
        case .text(let text): return YAMLText.scalar(Self.literal(text))
        case .secret(let value, let hint): return YAMLText.quoted("${\(variables.name(value, hint: hint))}")
        case .template(let parts): return YAMLText.quoted(parts.map(part).joined())
        case .list(let elements): return "[" + elements.map(inline).joined(separator: ", ") + "]"
        case .map(let entries):
            return "{" + entries.map { YAMLText.scalar($0.name) + ": " + inline($0.value) }.joined(separator: ", ")
                + "}"
        }
    }

    private func part(_ part: ImportPart) -> String {
        switch part {
        case .literal(let text): return Self.literal(text)
        case .secretVariable(let name, _): return "${\(name)}"
        case .secret(let text, let hint): return "${\(variables.name(text, hint: hint))}"
        case .variable(let name, let fallback):
            // A closing brace would end the expansion.
            guard let fallback, !fallback.contains("}") else { return "${\(name)}" }
            return "${\(name):-\(fallback)}"
        }
    }

    /// Text in which nothing is expanded.
    private static func literal(_ text: String) -> String { text.replacing("${", with: "$${") }
}

extension ImportedConfiguration {
    /// The configuration as the commented text of a `parley.yaml`.
    ///
    /// - Parameter showsSecrets: whether the values of the variables stand in its comments.
    public func yaml(showsSecrets: Bool = false) -> String {
        ImportWriter.text(self, showsSecrets: showsSecrets)
    }

    /// The environment variables that the configuration needs.
    public var variables: [ImportVariable] { VariableTable(self).variables }

    /// The variables with their values, as shells, systemd and Docker read them.
    public var environmentFile: String { EnvironmentFile.text(variables) }
}
