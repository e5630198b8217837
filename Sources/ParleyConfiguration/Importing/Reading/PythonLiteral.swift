// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// Reads literals of Python: lists, tuples, dictionaries, text, numbers, `True`, `None`, and look-ups in the
/// environment. Nothing is executed; what is not one of these is a fault.
///
/// JSON's `true`, `false`, `null` and comments with `//` are understood too, since people paste one into the other.
struct PythonLiteral {
    let source: ImportSource
    var at: Int
    var names = CharacterNames()
    private var count = 0

    init(_ source: ImportSource, at: Int = 0) {
        self.source = source
        self.at = at
    }

    /// The value assigned to `name`, or the only value of a file that has nothing else.
    ///
    /// - Returns: the value, and the lines after it that mention the name, whose effect is unknown.
    static func assigned(_ name: String, in source: ImportSource) throws(LineFault) -> (ImportNode, later: [Int]) {
        var found: ImportNode?
        var mentions: [Int] = []
        var parser = PythonLiteral(source)
        parser.skipSpace()
        if let first = parser.peek, first == UInt8(ascii: "[") {
            let value = try parser.value(depth: 1)
            parser.skipSpace()
            guard parser.peek == nil else { throw parser.fault("expected nothing after the list") }
            return (value, [])
        }
        while parser.skipToWord(name) {
            let start = parser.at
            parser.at += name.utf8.count
            parser.skipSpace(lines: false)
            if parser.peek == UInt8(ascii: ":") { parser.skip { $0 != UInt8(ascii: "=") && $0 != 0x0A } }
            if parser.peek == UInt8(ascii: "="), parser.peek(1) != UInt8(ascii: "=") {
                parser.at += 1
                found = try parser.value(depth: 1)
                mentions = []
            } else if found != nil {
                mentions.append(source.line(start))
            }
        }
        guard let found else { throw LineFault(nil, "there is no \(name) = [...] in it") }
        return (found, mentions)
    }

    // MARK: - Values

    /// The expression that begins here, with what joins several into one: `+`, `or`, and texts side by side.
    mutating func value(depth: Int) throws(LineFault) -> ImportNode {
        skipSpace()
        let line = source.line(at)
        var node = try single(depth: depth)
        while true {
            skipSpace()
            if peek == UInt8(ascii: "+") {
                at += 1
                skipSpace()
                node = try joined(node, single(depth: depth), line)
            } else if isText(node), let next = peek, Self.isQuote(next) || textPrefix() != nil {
                node = try joined(node, single(depth: depth), line)
            } else if word() == "or" {
                at += 2
                skipSpace()
                node = try fallen(node, to: single(depth: depth))
            } else {
                return node
            }
        }
    }

    private mutating func single(depth: Int) throws(LineFault) -> ImportNode {
        count += 1
        guard count <= ImportSource.heaviest else { throw fault("more than \(ImportSource.heaviest) values") }
        guard depth <= ImportSource.deepest else {
            throw fault("nested deeper than \(ImportSource.deepest) levels")
        }
        let start = at
        let line = source.line(start)
        guard let byte = peek else { throw fault("the file ends where a value is expected") }
        switch byte {
        case UInt8(ascii: "["):
            return ImportNode(content: .list(try elements(until: UInt8(ascii: "]"), depth: depth)), line: line)
        case UInt8(ascii: "("):
            return try parenthesised(depth: depth, line)
        case UInt8(ascii: "{"):
            return ImportNode(content: .map(try members(depth: depth)), line: line)
        case UInt8(ascii: "\""), UInt8(ascii: "'"):
            return ImportNode(content: .string(try PythonText.read(&self)), line: line)
        case UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "."), 0x30...0x39:
            let number = try PythonNumber.read(&self)
            return ImportNode(
                content: .number(number), line: line, written: String(decoding: source.bytes[start..<at], as: UTF8.self)
            )
        default:
            if textPrefix() != nil {
                return ImportNode(content: .string(try PythonText.read(&self)), line: line)
            }
            return try named(line)
        }
    }

    private mutating func elements(until end: UInt8, depth: Int) throws(LineFault) -> [ImportNode] {
        let line = source.line(at)
        at += 1
        var nodes: [ImportNode] = []
        while true {
            skipSpace()
            guard let byte = peek else { throw LineFault(line, "this list is not closed") }
            if byte == end {
                at += 1
                return nodes
            }
            nodes.append(try value(depth: depth + 1))
            skipSpace()
            if peek == UInt8(ascii: ",") {
                at += 1
            } else if peek != nil, peek != end {
                throw fault(
                    "expected a comma or the end of the list; only literals and look-ups in the environment are read")
            }
        }
    }

    /// A value in parentheses, or a tuple.
    private mutating func parenthesised(depth: Int, _ line: Int) throws(LineFault) -> ImportNode {
        let nodes = try elements(until: UInt8(ascii: ")"), depth: depth)
        var last = at - 2
        while last > 0, source.bytes[last] <= 0x20 { last -= 1 }
        if nodes.count == 1, source.bytes[last] != UInt8(ascii: ","), let only = nodes.first { return only }
        return ImportNode(content: .list(nodes), line: line)
    }

    private mutating func members(depth: Int) throws(LineFault) -> [ImportMember] {
        let line = source.line(at)
        at += 1
        var members: [ImportMember] = []
        var seen: [String: Int] = [:]
        while true {
            skipSpace()
            guard let byte = peek else { throw LineFault(line, "this { is not closed") }
            if byte == UInt8(ascii: "}") {
                at += 1
                return members
            }
            let place = source.line(at)
            let key = try value(depth: depth + 1)
            guard let name = key.text else { throw LineFault(place, "a key must be text, not \(key.noun)") }
            skipSpace()
            guard peek == UInt8(ascii: ":") else { throw fault("expected : after the key") }
            at += 1
            if let first = seen[name] {
                throw LineFault(place, "\(Diagnostic.quote(name)) is already set on line \(first)")
            }
            seen[name] = place
            members.append(ImportMember(name: name, line: place, value: try value(depth: depth + 1)))
            skipSpace()
            if peek == UInt8(ascii: ",") {
                at += 1
            } else if peek != nil, peek != UInt8(ascii: "}") {
                throw fault("expected a comma or }; only literals and look-ups in the environment are read")
            }
        }
    }

    /// A value that is written as a word.
    private mutating func named(_ line: Int) throws(LineFault) -> ImportNode {
        let name = dottedWord()
        switch name {
        case "True", "true": return ImportNode(content: .bool(true), line: line, written: "true")
        case "False", "false": return ImportNode(content: .bool(false), line: line, written: "false")
        case "None", "null": return ImportNode(content: .null, line: line)
        case "os.getenv", "getenv", "os.environ.get", "environ.get", "os.environ", "environ":
            return try lookUp(line)
        case "": throw fault("expected a value")
        default:
            throw LineFault(
                line, "only literals and look-ups in the environment are read, and \(Diagnostic.quote(name)) is none")
        }
    }

    /// `("NAME")`, `("NAME", "default")` or `["NAME"]`.
    private mutating func lookUp(_ line: Int) throws(LineFault) -> ImportNode {
        skipSpace(lines: false)
        let open = peek
        guard open == UInt8(ascii: "(") || open == UInt8(ascii: "[") else {
            throw fault("expected the variable's name after it")
        }
        let arguments = try elements(until: open == UInt8(ascii: "(") ? UInt8(ascii: ")") : UInt8(ascii: "]"), depth: 1)
        guard let name = arguments.first?.text, arguments.count <= 2 else {
            throw LineFault(line, "a look-up in the environment takes the variable's name and maybe a default")
        }
        guard VariableNames.isName(name) else {
            throw LineFault(line, "\(Diagnostic.quote(name)) is not a variable's name that a shell can set")
        }
        let fallback = arguments.count == 2 ? arguments[1].text ?? "" : nil
        let isNone = arguments.count == 2 && arguments[1].isEmpty && arguments[1].text == nil
        return ImportNode(content: .template([.variable(name, fallback: isNone ? nil : fallback)]), line: line)
    }

    // MARK: - Joining

    private func isText(_ node: ImportNode) -> Bool {
        switch node.content {
        case .string, .template: true
        default: false
        }
    }

    private func joined(_ left: ImportNode, _ right: ImportNode, _ line: Int) throws(LineFault) -> ImportNode {
        switch (left.content, right.content) {
        case (.string(let first), .string(let second)):
            return ImportNode(content: .string(first + second), line: line)
        case (.list(let first), .list(let second)):
            return ImportNode(content: .list(first + second), line: line)
        default:
            guard let first = Self.parts(left), let second = Self.parts(right) else {
                throw LineFault(line, "\(left.noun) and \(right.noun) cannot be joined")
            }
            return ImportNode(content: .template(first + second), line: line)
        }
    }

    /// `os.getenv("NAME") or "default"`.
    private func fallen(_ left: ImportNode, to right: ImportNode) throws(LineFault) -> ImportNode {
        if case .template(let parts) = left.content, parts.count == 1, case .variable(let name, nil) = parts[0],
            let text = right.text
        {
            return ImportNode(content: .template([.variable(name, fallback: text)]), line: left.line)
        }
        if case .template = left.content { throw LineFault(left.line, "this `or` is not understood") }
        return left.isEmpty ? right : left
    }

    private static func parts(_ node: ImportNode) -> [ImportPart]? {
        switch node.content {
        case .string(let text): [.literal(text)]
        case .template(let parts): parts
        default: nil
        }
    }
}

// MARK: - Steps over bytes

extension PythonLiteral {
    var peek: UInt8? { at < source.bytes.count ? source.bytes[at] : nil }

    func peek(_ distance: Int) -> UInt8? {
        at + distance < source.bytes.count ? source.bytes[at + distance] : nil
    }

    func fault(_ message: String) -> LineFault { LineFault(source.line(at), message) }

    mutating func skip(while isSkipped: (UInt8) -> Bool) {
        while let byte = peek, isSkipped(byte) { at += 1 }
    }

    /// Steps over spaces, comments, lines that go on, and, where wanted, line ends.
    mutating func skipSpace(lines: Bool = true) {
        while let byte = peek {
            switch byte {
            case 0x20, 0x09, 0x0C: at += 1
            case 0x0A, 0x0D:
                guard lines else { return }
                at += 1
            case UInt8(ascii: "\\") where peek(1) == 0x0A: at += 2
            case UInt8(ascii: "\\") where peek(1) == 0x0D && peek(2) == 0x0A: at += 3
            case UInt8(ascii: "#"): skip { $0 != 0x0A && $0 != 0x0D }
            case UInt8(ascii: "/") where peek(1) == UInt8(ascii: "/"): skip { $0 != 0x0A && $0 != 0x0D }
            default: return
            }
        }
    }

    /// Goes to the next place where `name` stands as a word, outside of texts and comments.
    mutating func skipToWord(_ name: String) -> Bool {
        while let byte = peek {
            if byte == UInt8(ascii: "#") {
                skip { $0 != 0x0A && $0 != 0x0D }
            } else if Self.isQuote(byte) {
                // What is wrong with a text that nobody wants to know about is not of interest.
                let start = at
                if (try? PythonText.read(&self)) == nil { at = max(at, start + 1) }
            } else if Self.isWordStart(byte) {
                let start = at
                skip(while: Self.isWordPart)
                let isMember = start > 0 && source.bytes[start - 1] == UInt8(ascii: ".")
                if !isMember, source.bytes[start..<at].elementsEqual(name.utf8) {
                    at = start
                    return true
                }
            } else {
                at += 1
            }
        }
        return false
    }

    /// The word here, without stepping over it.
    func word() -> String {
        var end = at
        while end < source.bytes.count, Self.isWordPart(source.bytes[end]) { end += 1 }
        return String(decoding: source.bytes[at..<end], as: UTF8.self)
    }

    private mutating func dottedWord() -> String {
        let start = at
        skip { Self.isWordPart($0) || $0 == UInt8(ascii: ".") }
        return String(decoding: source.bytes[start..<at], as: UTF8.self)
    }

    /// The letters before a quote, as in `rb"…"`; nil where there is no text with a prefix here.
    func textPrefix() -> String? {
        let letters = word()
        guard (1...2).contains(letters.utf8.count), let quote = peek(letters.utf8.count), Self.isQuote(quote) else {
            return nil
        }
        let known = ["r", "u", "b", "f", "br", "rb", "fr", "rf", "t", "tr", "rt"]
        return known.contains(letters.lowercased()) ? letters.lowercased() : nil
    }

    static func isQuote(_ byte: UInt8) -> Bool { byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") }

    private static func isWordStart(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "_") || byte >= 0x80 || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
    }

    private static func isWordPart(_ byte: UInt8) -> Bool { isWordStart(byte) || (0x30...0x39).contains(byte) }
}
