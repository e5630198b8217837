// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// Members as they are found, each name once.
struct KeyValues {
    private var members: [ImportMember] = []
    private var seen: [String: Int] = [:]

    var isEmpty: Bool { members.isEmpty }
    var node: ImportNode { ImportNode(content: .map(members), line: members.first?.line ?? 1) }

    mutating func add(_ name: String, _ value: ImportNode, line: Int) throws(LineFault) {
        guard !name.isEmpty else { throw LineFault(line, "a value without a name") }
        if let first = seen[name] {
            throw LineFault(line, "\(Diagnostic.quote(name)) is already set on line \(first)")
        }
        guard members.count < ImportSource.heaviest else {
            throw LineFault(line, "more than \(ImportSource.heaviest) values")
        }
        seen[name] = line
        members.append(ImportMember(name: name, line: line, value: value))
    }

    /// Adds a line to the last value.
    mutating func extend(by text: String) {
        guard let last = members.indices.last, case .string(let value) = members[last].value.content else { return }
        members[last].value.content = .string(value + "\n" + text)
    }
}

/// The text without white space around it.
func trimmed(_ text: some StringProtocol) -> String {
    var rest = Substring(text).drop(while: \.isWhitespace)
    while rest.last?.isWhitespace == true { rest.removeLast() }
    return String(rest)
}
