// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// Reasoning under every name the vendors gave it, in deltas, messages and replayed turns.
enum ReasoningFields {
    /// DeepSeek, Qwen, GLM, xAI and vLLM say `reasoning_content`; OpenRouter, Groq, Cerebras and Ollama `reasoning`.
    private static let names = ["reasoning_content", "reasoning", "thinking"]

    /// Takes the reasoning out of a message or a delta.
    ///
    /// `reasoning_details` (OpenRouter, MiniMax) are kept whole, element by element; the readable text beside them says
    /// the same again and counts only where it says more. Empty text that is said is an empty piece.
    static func take(from object: inout JSONObject) -> [Reasoning] {
        var text = ""
        var isSaid = false
        for name in names {
            guard let value = object[name] else { continue }
            switch value {
            case .null: object[name] = nil
            case .string(let piece):
                if text.isEmpty { text = piece }
                isSaid = true
                object[name] = nil
            default: break
            }
        }
        var details: [Reasoning] = []
        if case .array(let list)? = object["reasoning_details"] {
            details = list.map(ReasoningDetails.reasoning)
            object["reasoning_details"] = nil
        } else if object["reasoning_details"] == .null {
            object["reasoning_details"] = nil
        }
        let detailed = details.reduce(into: "") { $0 += $1.text }
        // DeepSeek refuses a tool loop whose turns do not say their reasoning, be it empty.
        if text.isEmpty, details.isEmpty { return isSaid ? [Reasoning("")] : [] }
        if text.isEmpty || text == detailed { return details }
        if !detailed.isEmpty, text.hasSuffix(detailed) {
            text.removeLast(detailed.count)
        } else if !detailed.isEmpty, text.hasPrefix(detailed) {
            return details + [Reasoning(String(text.dropFirst(detailed.count)))]
        }
        return [Reasoning(text)] + details
    }

    /// The elements that reasoning is written as.
    static func details(_ reasoning: [Reasoning]) -> [JSONValue] {
        var details: [JSONValue] = []
        for piece in reasoning {
            if let detail = ReasoningDetails.element(piece, index: details.count) { details.append(detail) }
        }
        return details
    }

    /// Writes reasoning into a message: the readable text under `name`, and the elements that bind it to its origin.
    static func put(_ reasoning: [Reasoning], into object: inout JSONObject, name: String) {
        let text = reasoning.reduce(into: "") { $0 += $1.text }
        let details = details(reasoning)
        if !text.isEmpty || (details.isEmpty && !reasoning.isEmpty) {
            object.members.append(.init(name, .string(text)))
        }
        if !details.isEmpty { object.members.append(.init("reasoning_details", .array(details))) }
    }
}

/// Answer content that may be text or, with Mistral, a list of parts with the thinking among them.
enum AnswerContent {
    /// Calls `emit` with each piece of text and whether it is thinking.
    static func read(_ value: JSONValue, _ emit: (_ text: String, _ isThinking: Bool) -> Void) {
        switch value {
        case .string(let text): emit(text, false)
        case .array(let parts):
            for part in parts {
                switch part["type"]?.string {
                case "thinking", "reasoning":
                    let inner = part["thinking"] ?? part["text"] ?? .null
                    read(inner) { text, _ in emit(text, true) }
                default:
                    if let text = part.string ?? part["text"]?.string { emit(text, false) }
                }
            }
        default: break
        }
    }
}

/// Tells `<think>…</think>` at the very start of an answer from the answer itself; pieces may be split anywhere.
struct ThinkSplitter {
    private enum State { case start, thinking, afterThinking, answer }

    private var state = State.start
    /// Text that may be the beginning of a tag.
    private var held = ""

    private static let open = "<think>"
    private static let close = "</think>"

    /// Passes a piece of content on, as thinking or as answer.
    mutating func push(_ piece: String, _ emit: (_ text: String, _ isThinking: Bool) -> Void) {
        var rest = piece
        if state == .start {
            held += rest
            let trimmed = held.drop { $0.isWhitespace }
            if trimmed.hasPrefix(Self.open) {
                rest = String(trimmed.dropFirst(Self.open.count))
                state = .thinking
                held = ""
            } else if Self.open.hasPrefix(trimmed) {
                return
            } else {
                rest = held
                state = .answer
                held = ""
            }
        }
        if state == .thinking {
            held += rest
            rest = ""
            if let range = Self.find(Self.close, in: held) {
                let thought = String(held[..<range.lowerBound])
                if !thought.isEmpty { emit(thought, true) }
                rest = String(held[range.upperBound...])
                held = ""
                state = .afterThinking
            } else {
                let keep = Self.tail(of: held, matching: Self.close)
                let thought = String(held.dropLast(keep))
                held = String(held.suffix(keep))
                if !thought.isEmpty { emit(thought, true) }
            }
        }
        if state == .afterThinking {
            rest = String(rest.drop { $0.isNewline })
            if rest.isEmpty { return }
            state = .answer
        }
        if state == .answer, !rest.isEmpty { emit(rest, false) }
    }

    /// Passes on what is still held back.
    mutating func finish(_ emit: (_ text: String, _ isThinking: Bool) -> Void) {
        if !held.isEmpty { emit(held, state == .thinking) }
        held = ""
        state = .answer
    }

    /// How many characters at the end of `text` could begin `tag`.
    private static func tail(of text: String, matching tag: String) -> Int {
        var length = min(tag.count - 1, text.count)
        while length > 0 {
            if tag.hasPrefix(text.suffix(length)) { return length }
            length -= 1
        }
        return 0
    }

    private static func find(_ tag: String, in text: String) -> Range<String.Index>? {
        let haystack = text.utf8
        let needle = tag.utf8
        var start = haystack.startIndex
        while let index = haystack[start...].firstIndex(of: 0x3C) {
            if haystack[index...].starts(with: needle) {
                return index..<haystack.index(index, offsetBy: needle.count)
            }
            start = haystack.index(after: index)
        }
        return nil
    }
}
