// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// Reads `KEY=value` lines as `.env` files have them.
enum EnvironmentLines {
    /// The variables as a mapping, in the order of the file.
    ///
    /// Comments, `export`, quotes and, outside single quotes, `${NAME}` are understood.
    /// - Throws: for a line without `=`, a quote that is not closed, and a name that comes twice.
    static func read(_ source: ImportSource) throws(LineFault) -> ImportNode {
        var reader = KeyValues()
        var lines = source.lines[...]
        var number = 0
        while let line = lines.popFirst() {
            number += 1
            var rest = line.drop(while: \.isWhitespace)
            if rest.isEmpty || rest.first == "#" { continue }
            if rest.hasPrefix("export ") { rest = rest.dropFirst(7).drop(while: \.isWhitespace) }
            guard let equals = rest.firstIndex(of: "=") else {
                throw LineFault(number, "expected KEY=value")
            }
            let name = trimmed(rest[..<equals])
            let start = number
            var value = rest[rest.index(after: equals)...].drop(while: \.isWhitespace)
            let content: ImportNode.Content
            if let quote = value.first, quote == "\"" || quote == "'" {
                // A quoted value may go over several lines.
                var whole = String(value.dropFirst())
                while closing(quote, in: whole) == nil, let more = lines.popFirst() {
                    number += 1
                    whole += "\n" + more
                }
                guard let end = closing(quote, in: whole) else { throw LineFault(start, "the quote is not closed") }
                let inside = whole[..<end]
                content = quote == "'" ? .string(String(inside)) : template(unescaped(inside))
            } else {
                if value.hasPrefix("#") { value = "" }
                if let comment = value.firstRange(of: " #") { value = value[..<comment.lowerBound] }
                content = template(trimmed(value))
            }
            try reader.add(name, ImportNode(content: content, line: start, written: ""), line: start)
        }
        return reader.node
    }

    private static func closing(_ quote: Character, in text: String) -> String.Index? {
        var index = text.startIndex
        while index < text.endIndex {
            if text[index] == "\\", quote == "\"" {
                index = text.index(after: index)
                if index == text.endIndex { return nil }
            } else if text[index] == quote {
                return index
            }
            index = text.index(after: index)
        }
        return nil
    }

    private static func unescaped(_ text: Substring) -> String {
        var out = ""
        var rest = text
        while let character = rest.popFirst() {
            guard character == "\\", let next = rest.popFirst() else {
                out.append(character)
                continue
            }
            switch next {
            case "n": out.append("\n")
            case "r": out.append("\r")
            case "t": out.append("\t")
            case "\"", "\\", "$", "'": out.append(next)
            default: out += "\\\(next)"
            }
        }
        return out
    }

    /// Text in which `${NAME}` and `${NAME:-default}` stand for variables.
    private static func template(_ text: String) -> ImportNode.Content {
        var parts: [ImportPart] = []
        var literal = ""
        var rest = text[...]
        while let character = rest.first {
            if rest.hasPrefix("${"), let end = rest.firstIndex(of: "}") {
                let inner = rest[rest.index(rest.startIndex, offsetBy: 2)..<end]
                let name = inner.firstRange(of: ":-").map { inner[..<$0.lowerBound] } ?? inner
                let fallback = inner.firstRange(of: ":-").map { String(inner[$0.upperBound...]) }
                if VariableNames.isName(String(name)) {
                    if !literal.isEmpty { parts.append(.literal(literal)) }
                    literal = ""
                    parts.append(.variable(String(name), fallback: fallback))
                    rest = rest[rest.index(after: end)...]
                    continue
                }
            }
            literal.append(character)
            rest.removeFirst()
        }
        if parts.isEmpty { return .string(literal) }
        if !literal.isEmpty { parts.append(.literal(literal)) }
        return .template(parts)
    }
}
