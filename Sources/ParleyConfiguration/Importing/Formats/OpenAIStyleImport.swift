// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// openai-style-api's list of `{token, type, config}`: each entry is a key that alone decides what answers.
enum OpenAIStyleImport {
    /// One entry of the list.
    struct Entry {
        /// Its place in the list, counted from 1.
        var number: Int
        var line: Int
        var type: String
        /// Its token where that is text; how others name it.
        var token: String?
        /// The token as the key that clients show.
        var credential: ImportValue?
        var config: ImportNode

        /// A setting of it, for notes.
        func path(_ name: String) -> String { "[\(number - 1)].config." + Diagnostic.plain(name) }
    }

    static func read(_ source: ImportSource, file: String) throws(LineFault) -> ImportedConfiguration {
        var imported = ImportedConfiguration(kind: .openAIStyle, file: file)
        let root = try list(source, &imported)
        try root.checkNames()
        guard let elements = root.elements else {
            throw LineFault(root.line, "expected a list of {token, type, config}, not \(root.noun)")
        }
        imported.set("server", "listen", to: .text("0.0.0.0:8090"))
        var entries: [Entry] = []
        for (index, node) in elements.enumerated() {
            if let entry = entry(node, index + 1, &imported) { entries.append(entry) }
        }
        dropRepeated(&entries, &imported)
        var targets = OpenAIStyleTargets(entries)
        for entry in entries { targets.carry(entry, into: &imported) }
        return imported
    }

    /// The list: of a JSON file, or the literal of a Python file, where people also put comments into JSON.
    private static func list(
        _ source: ImportSource, _ imported: inout ImportedConfiguration
    ) throws(LineFault) -> ImportNode {
        var parser = PythonLiteral(source)
        parser.skipSpace()
        if parser.peek == UInt8(ascii: "["), let node = try? source.json() { return node }
        if parser.peek == UInt8(ascii: "{") {
            let node = try source.json()
            return node["data"] ?? node["MODEL_CONFIGS"] ?? node
        }
        let (node, later) = try PythonLiteral.assigned("MODEL_CONFIGS", in: source)
        for line in later {
            imported.note("what this line does to MODEL_CONFIGS is not known, since nothing is run", line: line)
        }
        return node
    }

    private static func entry(
        _ node: ImportNode, _ number: Int, _ imported: inout ImportedConfiguration
    ) -> Entry? {
        let path = "[\(number - 1)]"
        guard node.members != nil, let type = node["type"]?.text else {
            imported.note("not carried over: expected {token, type, config}", line: node.line, path)
            return nil
        }
        for member in node.members ?? [] where !["token", "type", "config"].contains(member.name) {
            imported.note("not carried over", line: member.line, path + "." + Diagnostic.plain(member.name))
        }
        let config = node["config"] ?? ImportNode(content: .map([]), line: node.line)
        guard config.members != nil else {
            imported.note("not carried over: its config is \(config.noun)", line: config.line, path + ".config")
            return nil
        }
        let token = node["token"]?.text.map { trimmed($0) }
        var credential = node["token"]?.secret("")
        if credential == nil {
            imported.note("has no token, so no key stands for it", line: node.line, path)
        } else if token?.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7F }) == true {
            imported.note("has a token with spaces in it, which no key may have", line: node.line, path)
            credential = nil
        }
        return Entry(
            number: number, line: node.line, type: type, token: token, credential: credential, config: config)
    }

    /// Of two entries with the same token the later one counted.
    private static func dropRepeated(_ entries: inout [Entry], _ imported: inout ImportedConfiguration) {
        var last: [String: Int] = [:]
        for entry in entries { if let token = entry.token { last[token] = entry.number } }
        entries.removeAll { entry in
            guard let token = entry.token, let other = last[token], other != entry.number else { return false }
            imported.note(
                "not carried over: entry \(other) has the same token, and counted", line: entry.line,
                "[\(entry.number - 1)]")
            return true
        }
    }
}
