// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// Replaces `${NAME}`, `${NAME:-default}` and `${file:path}`; `$${` stands for `${`.
///
/// What is put in is never looked at again, neither for more of these nor as YAML.
struct Expansion {
    /// The most that all expansions of one file may put in, in bytes.
    static let limit = 16 << 20

    let environment: [String: String]
    /// The configuration file's folder with its slash, or nothing.
    let folder: String
    let readFile: @Sendable (String) throws(FileFault) -> [UInt8]
    private(set) var inserted = 0

    init(
        environment: [String: String], folder: String,
        readFile: @escaping @Sendable (String) throws(FileFault) -> [UInt8]
    ) {
        self.environment = environment
        self.folder = folder
        self.readFile = readFile
    }

    /// Whether the text has anything to expand.
    static func applies(to text: String) -> Bool { text.contains("${") }

    /// The text with everything put in. A failed part is left empty and reported.
    mutating func expand(_ text: String, report: (String) -> Void) -> String {
        var result = ""
        var rest = text[...]
        while let dollar = rest.firstIndex(of: "$") {
            result += rest[..<dollar]
            rest = rest[dollar...]
            if rest.hasPrefix("$${") {
                result += "${"
                rest = rest.dropFirst(3)
            } else if rest.hasPrefix("${") {
                guard let end = rest.firstIndex(of: "}") else {
                    report("${ is not closed; write $${ for a plain ${")
                    return result
                }
                result += part(rest[rest.index(rest.startIndex, offsetBy: 2)..<end], report: report)
                rest = rest[rest.index(after: end)...]
            } else {
                result += "$"
                rest = rest.dropFirst()
            }
        }
        return result + rest
    }

    private mutating func part(_ inner: Substring, report: (String) -> Void) -> String {
        let value = inner.hasPrefix("file:") ? file(inner.dropFirst(5), report) : variable(inner, report)
        inserted += value.utf8.count
        guard inserted <= Self.limit else {
            report("expansions put in more than \(Self.limit >> 20)MB")
            return ""
        }
        return value
    }

    private func variable(_ inner: Substring, _ report: (String) -> Void) -> String {
        var name = inner
        var fallback: Substring?
        if let mark = inner.firstRange(of: ":-") {
            name = inner[..<mark.lowerBound]
            fallback = inner[mark.upperBound...]
        }
        guard Self.isName(name) else {
            report("what stands between ${ and } is not a variable's name; write $${ for a plain ${")
            return ""
        }
        let value = environment[String(name)]
        if let fallback {
            return value.flatMap { $0.isEmpty ? nil : $0 } ?? String(fallback)
        }
        guard let value else {
            report("environment variable \(name) is not set (use ${\(name):-} to allow it to be empty)")
            return ""
        }
        return value
    }

    private static func isName(_ text: Substring) -> Bool {
        guard let first = text.utf8.first, !(0x30...0x39).contains(first) else { return false }
        return text.utf8.allSatisfy {
            (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0) || $0 == 0x5F
        }
    }

    private func file(_ path: Substring, _ report: (String) -> Void) -> String {
        guard !path.isEmpty else {
            report("${file:} needs a path")
            return ""
        }
        do {
            let bytes = try readFile(path.hasPrefix("/") ? String(path) : folder + path)
            guard var text = String(validating: bytes, as: UTF8.self) else {
                report("file \(Diagnostic.quote(String(path))) is not UTF-8 text")
                return ""
            }
            if text.utf8.last == 0x0A { text.unicodeScalars.removeLast() }
            if text.utf8.last == 0x0D { text.unicodeScalars.removeLast() }
            return text
        } catch {
            report("file \(Diagnostic.quote(String(path))) cannot be read: \(error.message)")
            return ""
        }
    }
}
