// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// A conversation as the one text that Fitten Code takes: turns between tokens that name the speaker.
///
/// Source: the open project fitten-code-api.
enum FittenPrompt {
    /// The text for the turns. One of the system comes first, empty where there is none.
    static func text(_ turns: [TextTurns.Turn]) -> String {
        var pieces: [String] = []
        if !turns.contains(where: { $0.role == .system }) { pieces.append("<|system|>\n<|end|>") }
        for turn in turns { pieces.append("<|\(turn.role.rawValue)|>\n\(neutralised(turn.text))\n<|end|>") }
        return pieces.joined(separator: "\n") + "\n<|assistant|>"
    }

    /// The text with every token in it broken up by a blank of no width: what somebody says must not become another
    /// speaker's turn. `<|` alone stays, since it means something in several programming languages.
    static func neutralised(_ text: String) -> String {
        let bytes = Array(text.utf8)
        var out: [UInt8] = []
        out.reserveCapacity(bytes.count)
        for (index, byte) in bytes.enumerated() {
            out.append(byte)
            if byte == UInt8(ascii: "<"), isToken(bytes[index...]) { out += "\u{200B}".utf8 }
        }
        return out.count == bytes.count ? text : String(decoding: out, as: UTF8.self)
    }

    /// Whether there is `<|name|>` at the start, whatever the name.
    private static func isToken(_ bytes: ArraySlice<UInt8>) -> Bool {
        guard bytes.starts(with: "<|".utf8) else { return false }
        let name = bytes.dropFirst(2).prefix(longestName + 1).prefix(while: isWordByte)
        return !name.isEmpty && bytes[name.endIndex...].starts(with: "|>".utf8)
    }

    private static let longestName = 40

    private static func isWordByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }
}
