// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc

/// Standard output or standard error, with what a terminal there can do.
struct Output: Sendable {
    let descriptor: CInt
    /// Whether somebody watches.
    let isTerminal: Bool
    /// Whether dimming and cursor movements may be used.
    let hasStyle: Bool

    static let standard = Output(STDOUT_FILENO)
    static let error = Output(STDERR_FILENO)

    init(_ descriptor: CInt) {
        self.descriptor = descriptor
        isTerminal = isatty(descriptor) == 1
        hasStyle = isTerminal && Output.terminalKnowsEscapes
    }

    /// False on a terminal that only prints.
    static let terminalKnowsEscapes = (environment("TERM") ?? "dumb") != "dumb"

    /// Writes everything at once; what a closed pipe does not take is lost, as with every command.
    func write(_ text: String) {
        var text = text
        text.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while !rest.isEmpty {
                let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
                if count > 0 {
                    rest = UnsafeRawBufferPointer(rebasing: rest[count...])
                } else if errno == EAGAIN {
                    var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    _ = poll(&wait, 1, 1000)
                } else if errno != EINTR {
                    return
                }
            }
        }
    }

    /// The text in a weaker colour where that is possible and wanted.
    func dim(_ text: String) -> String {
        hasStyle && environment("NO_COLOR") == nil ? "\u{1B}[2m\(text)\u{1B}[22m" : text
    }

    /// The text without what would make a terminal do something: a model's words are not to be trusted with that.
    func safe(_ text: String) -> String {
        guard isTerminal else { return text }
        let isHarmless = text.unicodeScalars.allSatisfy { !$0.isControl }
        if isHarmless { return text }
        return String(String.UnicodeScalarView(text.unicodeScalars.map { $0.isControl ? "\u{FFFD}" : $0 }))
    }

    /// How many columns there are; 80 where nobody says.
    var columns: Int {
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }
}

extension Unicode.Scalar {
    fileprivate var isControl: Bool {
        switch value {
        case 0x09, 0x0A: false
        case 0..<0x20, 0x7F..<0xA0: true
        default: false
        }
    }
}

extension Output {
    /// Writes a line.
    func line(_ text: String) {
        write(text + "\n")
    }
}
