// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore
import ParleyWire

/// How a conversation becomes the one text that Claude's web site takes.
///
/// Source: the open project openai-style-api, whose templates work here.
public struct ClaudeWebPrompt: Sendable {
    /// Used where the configuration has none.
    public static let standard =
        "The text in [] is the context of the conversation; do not mind that it is JSON, and answer the latest message: "
        + "{newMessage} \n {history}"

    private enum Piece {
        case text(String)
        case newMessage
        case history
    }

    private let pieces: [Piece]

    /// A template with `{newMessage}` for the last message and `{history}` for all before it.
    public init(_ template: String = Self.standard) {
        var pieces: [Piece] = []
        var rest = template[...]
        // Taken apart once, so that what somebody says cannot stand for a place of the template.
        while let open = rest.firstIndex(of: "{") {
            pieces.append(.text(String(rest[..<open])))
            rest = rest[open...]
            if rest.hasPrefix("{newMessage}") {
                pieces.append(.newMessage)
                rest = rest.dropFirst("{newMessage}".count)
            } else if rest.hasPrefix("{history}") {
                pieces.append(.history)
                rest = rest.dropFirst("{history}".count)
            } else {
                pieces.append(.text("{"))
                rest = rest.dropFirst()
            }
        }
        pieces.append(.text(String(rest)))
        self.pieces = pieces
    }

    /// Whether the template has a place for the last message: without it nothing would be asked.
    public var asksSomething: Bool {
        pieces.contains { if case .newMessage = $0 { true } else { false } }
    }

    /// The text for the turns; a single one is its own text.
    func text(_ turns: [TextTurns.Turn]) -> String {
        guard let last = turns.last else { return "" }
        if turns.count == 1 { return last.text }
        let history = JSON.text(.array(turns.dropLast().map(\.json)))
        return pieces.reduce(into: "") { text, piece in
            switch piece {
            case .text(let fixed): text += fixed
            case .newMessage: text += last.text
            case .history: text += history
            }
        }
    }
}
