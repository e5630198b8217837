// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// The text of a configuration file, with its lines as editors count them.
///
/// The YAML scanner also breaks lines at U+0085, U+2028 and U+2029, so its line numbers are not used: positions are
/// found from its count of scalars, and are always within the text.
struct SourceText {
    let bytes: [UInt8]
    /// The scalar index at which each line begins.
    private let starts: [Int]
    private let scalarCount: Int

    init(_ text: String) {
        var utf8 = Array(text.utf8)
        if utf8.starts(with: [0xEF, 0xBB, 0xBF]) { utf8.removeFirst(3) }
        var starts = [0]
        var index = 0
        for (offset, byte) in utf8.enumerated() {
            // A continuation byte belongs to the scalar before it.
            guard byte & 0xC0 != 0x80 else { continue }
            index += 1
            let loneReturn = byte == 0x0D && !(offset + 1 < utf8.count && utf8[offset + 1] == 0x0A)
            if byte == 0x0A || loneReturn { starts.append(index) }
        }
        self.bytes = utf8
        self.starts = starts
        scalarCount = index
    }

    /// The number of lines; an empty text has one.
    var lineCount: Int { starts.count }

    /// The place of a scalar; an index past the end means the end.
    func mark(scalar index: Int) -> Mark {
        let index = min(max(index, 0), scalarCount)
        var low = 0
        var high = starts.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if starts[middle] <= index { low = middle } else { high = middle }
        }
        return Mark(line: low + 1, column: index - starts[low] + 1)
    }

    /// The place of a byte; an offset past the end means the end.
    func mark(byte offset: Int) -> Mark {
        mark(scalar: bytes.prefix(max(offset, 0)).count { $0 & 0xC0 != 0x80 })
    }

    /// A few scalars from the middle of the text; fewer at its end.
    func text(scalar index: Int, count: Int) -> String {
        guard index >= 0, index < scalarCount else { return "" }
        let scalars = String(decoding: bytes, as: UTF8.self).unicodeScalars
        return String(String.UnicodeScalarView(scalars.dropFirst(index).prefix(count)))
    }
}
