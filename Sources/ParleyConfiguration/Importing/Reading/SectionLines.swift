// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// Reads `[section]` files as Python's `configparser` does.
enum SectionLines {
    /// The sections as a mapping of mappings; names of values in lower case, as that parser has them.
    ///
    /// - Throws: for what is neither a section, a value nor a continued one, and for a name that comes twice.
    static func read(_ source: ImportSource) throws(LineFault) -> ImportNode {
        var sections = KeyValues()
        var current: (name: String, line: Int, values: KeyValues)?
        for (index, line) in source.lines.enumerated() {
            let number = index + 1
            let text = trimmed(line)
            if text.isEmpty || text.hasPrefix("#") || text.hasPrefix(";") { continue }
            if text.hasPrefix("["), let end = text.firstIndex(of: "]") {
                if let current { try sections.add(current.name, current.values.node, line: current.line) }
                current = (String(text[text.index(after: text.startIndex)..<end]), number, KeyValues())
                continue
            }
            guard current != nil else { throw LineFault(number, "a value before the first [section]") }
            if line.first?.isWhitespace == true, current?.values.isEmpty == false {
                current?.values.extend(by: text)
                continue
            }
            guard let mark = text.firstIndex(where: { $0 == "=" || $0 == ":" }) else {
                throw LineFault(number, "expected name = value")
            }
            let value = trimmed(text[text.index(after: mark)...])
            // A per cent sign is written twice there.
            let node = ImportNode(content: .string(value.replacing("%%", with: "%")), line: number, written: value)
            try current?.values.add(trimmed(text[..<mark]).lowercased(), node, line: number)
        }
        if let current { try sections.add(current.name, current.values.node, line: current.line) }
        return sections.node
    }
}
