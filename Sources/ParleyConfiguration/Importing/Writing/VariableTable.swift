// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// Gives every secret of an imported configuration the name of a variable.
///
/// Names that the source takes from the environment are kept; a secret that occurs twice has one name.
struct VariableTable {
    private struct Placeholder: Hashable {
        var value: String?
        var hint: String
    }

    /// The variables in the order in which the file needs them.
    private(set) var variables: [ImportVariable] = []
    private var names: [Placeholder: String] = [:]

    private var indices: [String: Int] = [:]
    private var namesByValue: [String: String] = [:]
    private var used = NameSet()

    init(_ imported: ImportedConfiguration) {
        let values = imported.values
        // What the source takes from the environment keeps its name, so that comes first.
        for (path, value) in values {
            Self.walk(value, path) { leaf, setting in
                guard case .template(let parts) = leaf else { return }
                for part in parts { keep(part, setting, imported.knownVariables) }
            }
        }
        for (path, value) in values {
            Self.walk(value, path) { leaf, setting in
                if case .secret(let value, let hint) = leaf { add(value, hint, setting) }
                guard case .template(let parts) = leaf else { return }
                for case .secret(let value, let hint) in parts { add(value, hint, setting) }
            }
        }
    }

    private mutating func keep(_ part: ImportPart, _ setting: String, _ known: [String: String]) {
        let (name, value, hasDefault): (String, String?, Bool)
        switch part {
        case .variable(let variable, let fallback): (name, value, hasDefault) = (variable, nil, fallback != nil)
        case .secretVariable(let variable, let fallback): (name, value, hasDefault) = (variable, fallback, false)
        case .literal, .secret: return
        }
        if let index = indices[name] {
            variables[index].hasDefault = variables[index].hasDefault && hasDefault
            variables[index].value = variables[index].value ?? value
            return
        }
        _ = used.unique(name, separator: "_")
        indices[name] = variables.count
        variables.append(
            ImportVariable(
                name: name, value: known[name] ?? value, setting: setting, isFromEnvironment: true,
                hasDefault: hasDefault))
    }

    private mutating func add(_ value: String?, _ hint: String, _ setting: String) {
        let place = Placeholder(value: value, hint: hint)
        guard names[place] == nil else { return }
        if let value, let known = namesByValue[value] {
            names[place] = known
            return
        }
        let name = used.unique(VariableNames.name(hint), separator: "_")
        names[place] = name
        if let value { namesByValue[value] = name }
        variables.append(ImportVariable(name: name, value: value, setting: setting, isFromEnvironment: false))
    }

    /// The variable of a secret.
    func name(_ value: String?, hint: String) -> String {
        names[Placeholder(value: value, hint: hint)] ?? VariableNames.name(hint)
    }

    private static func walk(_ value: ImportValue, _ path: String, _ visit: (ImportValue, String) -> Void) {
        switch value {
        case .list(let elements): for element in elements { walk(element, path, visit) }
        case .map(let entries): for entry in entries { walk(entry.value, path + "." + entry.name, visit) }
        default: visit(value, path)
        }
    }
}

/// Writes variables as files that shells, systemd and Docker read.
enum EnvironmentFile {
    /// One `NAME='value'` per line, those without a value as comments.
    static func text(_ variables: [ImportVariable]) -> String {
        variables.map { variable in
            guard let value = variable.value else { return "# \(variable.name)=\n" }
            return "\(variable.name)=\(quoted(value))\n"
        }.joined()
    }

    /// The value for a shell: bare where nothing in it means anything there.
    static func quoted(_ value: String) -> String {
        let isPlain = value.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || "_-./:,+@%=".utf8.contains(byte)
        }
        return isPlain && !value.isEmpty ? value : "'" + value.replacing("'", with: #"'\''"#) + "'"
    }
}
