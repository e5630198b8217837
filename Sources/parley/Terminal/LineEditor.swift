// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// A line being typed: bytes of the keyboard in, the line and its cursor out. Knows no terminal.
struct LineEditor {
    /// What a key led to.
    enum Outcome: Equatable {
        case editing
        case line(String)
        /// Ctrl-C.
        case interrupt
        /// Ctrl-D on an empty line.
        case end
        /// Ctrl-Z.
        case suspend
        /// Ctrl-L.
        case clearScreen
    }

    private(set) var text: [Character] = []
    private(set) var cursor = 0
    private var history: [String] = []
    private var position = 0
    /// What was being typed when the history was entered.
    private var draft: [Character] = []
    /// The bytes of a character or an escape sequence so far.
    private var partial: [UInt8] = []
    /// The bytes of a paste so far; nil when nothing is being pasted.
    private var paste: [UInt8]?

    /// Starts a new line.
    mutating func reset() {
        (text, cursor, partial, paste) = ([], 0, [], nil)
        (position, draft) = (history.count, [])
    }

    /// Takes one byte of what the terminal sends.
    mutating func feed(_ byte: UInt8) -> Outcome {
        if !partial.isEmpty || byte == 0x1B || byte >= 0x80 { return feedSequence(byte) }
        if paste != nil {
            paste?.append(byte)
            return .editing
        }
        switch byte {
        case 0x0A, 0x0D: return finish()
        case 0x01: cursor = 0
        case 0x02: cursor = max(0, cursor - 1)
        case 0x03: return .interrupt
        case 0x04:
            if text.isEmpty { return .end }
            delete(cursor..<min(text.count, cursor + 1))
        case 0x05: cursor = text.count
        case 0x06: cursor = min(text.count, cursor + 1)
        case 0x08, 0x7F: delete(max(0, cursor - 1)..<cursor)
        case 0x09: insert(" ")
        case 0x0B: delete(cursor..<text.count)
        case 0x0C: return .clearScreen
        case 0x0E: recall(position + 1)
        case 0x10: recall(position - 1)
        case 0x15: delete(0..<cursor)
        case 0x17: delete(wordStart..<cursor)
        case 0x1A: return .suspend
        case 0x20...0x7E: insert(Character(Unicode.Scalar(byte)))
        default: break
        }
        return .editing
    }

    private mutating func feedSequence(_ byte: UInt8) -> Outcome {
        if partial.first != 0x1B, byte < 0x80 {
            // Not the rest of a character after all.
            partial = []
            if byte != 0x1B { return feed(byte) }
        }
        partial.append(byte)
        if partial.first == 0x1B {
            feedEscape(byte)
        } else if let character = String(validating: partial, as: UTF8.self) {
            partial = []
            if paste != nil { paste?.append(contentsOf: character.utf8) } else { insert(character) }
        } else if partial.count >= 4 {
            partial = []
        }
        return .editing
    }

    private mutating func feedEscape(_ byte: UInt8) {
        guard partial.count > 1 else { return }
        let isLong = partial[1] == UInt8(ascii: "[") || partial[1] == UInt8(ascii: "O")
        guard !isLong || (partial.count > 2 && (0x40...0x7E).contains(byte)) || partial.count > 16 else { return }
        let sequence = String(decoding: partial.dropFirst(), as: UTF8.self)
        partial = []
        if sequence == "[201~", let pasted = paste {
            paste = nil
            insert(pasteText(pasted))
        }
        guard paste == nil else { return }
        switch sequence {
        case "[A", "OA": recall(position - 1)
        case "[B", "OB": recall(position + 1)
        case "[C", "OC": cursor = min(text.count, cursor + 1)
        case "[D", "OD": cursor = max(0, cursor - 1)
        case "[H", "OH", "[1~", "[7~": cursor = 0
        case "[F", "OF", "[4~", "[8~": cursor = text.count
        case "[3~": delete(cursor..<min(text.count, cursor + 1))
        case "[1;5D", "b": cursor = wordStart
        case "[1;5C", "f": cursor = wordEnd
        case "[200~": paste = []
        default: break
        }
    }

    private mutating func finish() -> Outcome {
        let line = String(text)
        if !line.isEmpty, line != history.last { history.append(line) }
        reset()
        return .line(line)
    }

    /// Terminals send a return for each end of a pasted line.
    private func pasteText(_ bytes: [UInt8]) -> String {
        var text = String(decoding: bytes, as: UTF8.self).replacingLineEnds()
        while text.last == "\n" { text.removeLast() }
        return text
    }

    private mutating func insert(_ new: String) {
        // A mark belongs to the character before it, and deleting takes both.
        guard cursor > 0, new.utf8.first.map({ $0 >= 0x80 }) ?? false else {
            text.insert(contentsOf: new, at: cursor)
            cursor += new.count
            return
        }
        let joined = Array(String(text[cursor - 1]) + new)
        text.replaceSubrange(cursor - 1..<cursor, with: joined)
        cursor += joined.count - 1
    }

    private mutating func insert(_ character: Character) {
        text.insert(character, at: cursor)
        cursor += 1
    }

    private mutating func delete(_ range: Range<Int>) {
        text.removeSubrange(range)
        cursor = range.lowerBound
    }

    private mutating func recall(_ index: Int) {
        guard index >= 0, index <= history.count, index != position else { return }
        if position == history.count { draft = text }
        position = index
        text = index == history.count ? draft : Array(history[index])
        cursor = text.count
    }

    private var wordStart: Int {
        var index = cursor
        while index > 0, text[index - 1].isWhitespace { index -= 1 }
        while index > 0, !text[index - 1].isWhitespace { index -= 1 }
        return index
    }

    private var wordEnd: Int {
        var index = cursor
        while index < text.count, text[index].isWhitespace { index += 1 }
        while index < text.count, !text[index].isWhitespace { index += 1 }
        return index
    }
}

extension String {
    /// CR LF and CR as LF.
    fileprivate func replacingLineEnds() -> String {
        String(map { $0 == "\r\n" || $0 == "\r" ? "\n" : $0 })
    }
}
