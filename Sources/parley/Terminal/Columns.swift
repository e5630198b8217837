// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

extension Character {
    /// How many columns of a terminal the character takes.
    var columns: Int {
        guard let first = unicodeScalars.first else { return 0 }
        let category = first.properties.generalCategory
        if category == .nonspacingMark || category == .format { return 0 }
        // A heart becomes an emoji, and wide, by the variation selector behind it.
        if unicodeScalars.contains("\u{FE0F}") { return 2 }
        switch first.value {
        case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0x4DBF, 0x4E00...0xA4CF, 0xA960...0xA97F, 0xAC00...0xD7A3,
            0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x1F1E6...0x1F1FF, 0x1F300...0x1F64F,
            0x1F680...0x1F6FF, 0x1F900...0x1FAFF, 0x20000...0x3FFFD:
            return 2
        default:
            return first.properties.isEmojiPresentation ? 2 : 1
        }
    }
}

extension Sequence where Element == Character {
    /// How many columns of a terminal the characters take.
    var columns: Int { reduce(0) { $0 + $1.columns } }
}

/// Rows under a heading, each column as wide as its widest cell.
func table(_ heading: [String], _ rows: [[String]]) -> String {
    let all = [heading] + rows
    let widths = heading.indices.map { column in
        all.map { $0.indices.contains(column) ? $0[column].columns : 0 }.max() ?? 0
    }
    return all.map { row in
        var line = ""
        for (index, (cell, width)) in zip(row, widths).enumerated() {
            line += cell
            if index < row.count - 1 { line += String(repeating: " ", count: width - cell.columns + 2) }
        }
        return line + "\n"
    }.joined()
}
