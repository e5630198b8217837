// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
import Synchronization

/// The keyboard: lines with editing and history where the terminal can do that, plain lines where not.
final class TerminalInput: Sendable {
    /// What was typed.
    enum Entry: Equatable {
        case line(String)
        case interrupt
        case end
    }

    private let output: Output
    private let saved: termios?
    private let editor = Mutex(LineEditor())

    /// - Parameter output: where the line is shown; it and standard input must be terminals for editing.
    init(output: Output) {
        self.output = output
        var attributes = termios()
        let isEditable = output.hasStyle && tcgetattr(STDIN_FILENO, &attributes) == 0
        saved = isEditable ? attributes : nil
    }

    /// Puts the terminal back as it was found.
    func restore() {
        guard var saved else { return }
        tcsetattr(STDIN_FILENO, TCSADRAIN, &saved)
        output.write("\u{1B}[?2004l")
    }

    /// While an answer runs: keys are not shown and wait for the next line, Ctrl-C is still a signal.
    func hideKeys() {
        guard var attributes = saved else { return }
        attributes.c_lflag &= ~tcflag_t(ECHO | ICANON)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &attributes)
    }

    /// Reads a line. Blocks the thread: while somebody types, nothing else goes on in a chat.
    func read(prompt: String) -> Entry {
        guard saved != nil else {
            output.write(prompt)
            return readLine(strippingNewline: true).map { .line($0) } ?? .end
        }
        return editor.withLock { editor in
            editor.reset()
            showKeys()
            defer { hideKeys() }
            draw(editor, prompt)
            var bytes = [UInt8](repeating: 0, count: 4096)
            while true {
                let count = Glibc.read(STDIN_FILENO, &bytes, bytes.count)
                if count < 0, errno == EINTR || errno == EAGAIN { continue }
                guard count > 0 else { return .end }
                for byte in bytes.prefix(count) {
                    if let entry = take(byte, &editor, prompt) {
                        return entry
                    }
                }
                draw(editor, prompt)
            }
        }
    }

    private func take(_ byte: UInt8, _ editor: inout LineEditor, _ prompt: String) -> Entry? {
        switch editor.feed(byte) {
        case .editing:
            return nil
        case .line(let line):
            // The whole line stays on the screen; the editor only ever showed a window of it.
            output.write("\r\(prompt)\(output.safe(line))\u{1B}[K\n")
            return .line(line)
        case .interrupt:
            output.write("\r\(prompt)\(output.safe(String(editor.text)))^C\u{1B}[K\n")
            if editor.text.isEmpty { return .interrupt }
            editor.reset()
            return nil
        case .end:
            output.write("\n")
            return .end
        case .clearScreen:
            output.write("\u{1B}[H\u{1B}[2J")
            return nil
        case .suspend:
            restore()
            kill(getpid(), SIGTSTP)
            showKeys()
            return nil
        }
    }

    /// Shows the part of the line around the cursor that fits into one row.
    private func draw(_ editor: LineEditor, _ prompt: String) {
        let room = max(10, output.columns - prompt.columns - 1)
        let shown = editor.text.map { character -> Character in
            character == "\n" ? "⏎" : character.isNewline || character == "\t" ? " " : character
        }
        var start = 0
        var before = shown[..<editor.cursor].columns
        while before > room {
            before -= shown[start].columns
            start += 1
        }
        var visible = ""
        var width = 0
        for character in shown[start...] {
            width += character.columns
            guard width <= room else { break }
            visible.append(character)
        }
        let column = prompt.columns + before
        let place = column > 0 ? "\r\u{1B}[\(column)C" : "\r"
        output.write("\r\(prompt)\(output.safe(visible))\u{1B}[K\(place)")
    }

    private func showKeys() {
        guard var attributes = saved else { return }
        attributes.c_lflag &= ~tcflag_t(ECHO | ICANON | ISIG | IEXTEN)
        attributes.c_iflag &= ~tcflag_t(IXON | ICRNL)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &attributes)
        // Pasted text comes between marks, so that its line ends do not send it.
        output.write("\u{1B}[?2004h")
    }
}
