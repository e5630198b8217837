// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// What a typed line asks for.
enum ChatInstruction: Equatable {
    case say(String)
    case model(String?)
    case models
    case system(String?)
    case clear
    case help
    case quit
    case unknown(String)
    case nothing

    /// Reads a line: a slash begins a command, two slashes a text that begins with one.
    init(_ line: String) {
        let text = line.trimmed
        if text.isEmpty {
            self = .nothing
        } else if text.hasPrefix("//") {
            self = .say(String(text.dropFirst()))
        } else if text.hasPrefix("/") {
            let parts = text.split(maxSplits: 1, whereSeparator: \.isWhitespace)
            let argument = parts.count > 1 ? String(parts[1]).trimmed : nil
            self = Self.command(parts.first.map(String.init) ?? text, argument)
        } else {
            self = .say(text)
        }
    }

    private static func command(_ name: String, _ argument: String?) -> ChatInstruction {
        switch name {
        case "/model": .model(argument)
        case "/models": .models
        case "/system": .system(argument)
        case "/clear": .clear
        case "/help", "/?": .help
        case "/quit", "/exit", "/bye": .quit
        default: .unknown(name)
        }
    }

    static let helpText = """
        /model NAME    ask another model from here on; without a name: which one is asked
        /models        list the models
        /system TEXT   set the system prompt; without a text: show it
        /clear         forget the conversation
        /quit          leave (also Ctrl-D, or Ctrl-C twice)
        Ctrl-C stops a running answer. A text that begins with a slash is written with two.

        """
}

extension String {
    /// Without the white space around it.
    var trimmed: String {
        let head = drop(while: \.isWhitespace)
        guard let last = head.lastIndex(where: { !$0.isWhitespace }) else { return "" }
        return String(head[...last])
    }
}
