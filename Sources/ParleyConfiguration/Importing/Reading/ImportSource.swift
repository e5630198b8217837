// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// The text of a file that is being imported, and its lines.
struct ImportSource {
    /// Deepest nesting of any language.
    static let deepest = YAMLComposer.deepest
    /// Most values in one file.
    static let heaviest = YAMLComposer.heaviest
    /// Most bytes in one file.
    static let limit = FileReading.configurationLimit

    let text: String
    let bytes: [UInt8]
    /// The offset at which each line begins.
    private let starts: [Int]

    /// The text of a file's bytes, without a byte order mark.
    ///
    /// - Throws: where it is too large or no UTF-8 text.
    init(_ bytes: [UInt8]) throws(LineFault) {
        guard bytes.count <= Self.limit else { throw LineFault(nil, "larger than \(Self.limit >> 20)MB") }
        var bytes = bytes
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { bytes.removeFirst(3) }
        var starts = [0]
        for (offset, byte) in bytes.enumerated() {
            let loneReturn = byte == 0x0D && !(offset + 1 < bytes.count && bytes[offset + 1] == 0x0A)
            if byte == 0x0A || loneReturn { starts.append(offset + 1) }
        }
        self.bytes = bytes
        self.starts = starts
        guard let text = String(validating: bytes, as: UTF8.self) else {
            let line = Self.invalidLine(bytes, starts)
            throw LineFault(line, "is not UTF-8 text")
        }
        self.text = text
        if let zero = bytes.firstIndex(of: 0) {
            throw LineFault(line(zero), "holds a zero byte, which no such file does")
        }
    }

    /// The first line that is no UTF-8 text by itself: line breaks are never part of a longer character.
    private static func invalidLine(_ bytes: [UInt8], _ starts: [Int]) -> Int {
        for (index, start) in starts.enumerated() {
            let end = index + 1 < starts.count ? starts[index + 1] : bytes.count
            if String(validating: bytes[start..<end], as: UTF8.self) == nil { return index + 1 }
        }
        return 1
    }

    /// The line of a byte, counted from 1.
    func line(_ offset: Int) -> Int {
        var low = 0
        var high = starts.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if starts[middle] <= offset { low = middle } else { high = middle }
        }
        return low + 1
    }

    /// The text of each line, without its break.
    var lines: [Substring] {
        text.split(omittingEmptySubsequences: false) { $0 == "\n" || $0 == "\r\n" || $0 == "\r" }
    }

    /// The file as YAML; null where it is empty.
    ///
    /// - Throws: the first fault, with its line.
    func yaml() throws(LineFault) -> ImportNode {
        let (root, faults) = YAMLComposer.compose(SourceText(text))
        if let (mark, message) = faults.first {
            // The scanner has a bound of its own, with a name of its own.
            let isDeep = message.hasPrefix("Maximum nesting level")
            throw LineFault(mark.line, isDeep ? "nested deeper than \(Self.deepest) levels" : message)
        }
        guard let root else { return ImportNode(content: .null, line: 1) }
        return ImportNode(root)
    }
}

extension ImportNode {
    /// A value of YAML; the composer has bounded its depth and weight.
    fileprivate init(_ node: YAMLNode) {
        line = node.mark.line
        switch node.content {
        case .mapping(let entries):
            content = .map(
                entries.map { ImportMember(name: $0.key, line: $0.mark.line, value: ImportNode($0.value)) })
        case .sequence(let elements):
            content = .list(elements.map { ImportNode($0) })
        case .scalar(let text, let plain):
            written = text
            content = plain ? Self.plain(text) : .string(text)
        }
    }

    /// What text without quotes means in the YAML that the originals read, which is version 1.1's.
    private static func plain(_ text: String) -> Content {
        if YAMLScalar.isNull(text) { return .null }
        switch text {
        case "yes", "Yes", "YES", "on", "On", "ON": return .bool(true)
        case "no", "No", "NO", "off", "Off", "OFF": return .bool(false)
        default:
            return YAMLScalar.bool(text).map { .bool($0) } ?? YAMLScalar.number(text).map { .number($0) }
                ?? .string(text)
        }
    }
}
