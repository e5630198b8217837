// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// Takes the final answer of a chain out of the form of a step, where the model is still at it, as the text comes.
///
/// Only what begins as such an object does, `{"title": "…` or `{"content": "…`, behind a fence or not, is taken for
/// one; everything else passes as it is.
struct FinalReader {
    private enum Mode {
        /// The text so far could become either.
        case undecided(String)
        case plain
        /// The text so far is kept until there is content to show in its place.
        case step(StepReader, raw: String?)
    }

    private var mode = Mode.undecided("")

    /// Takes more of the text.
    ///
    /// - Returns: what can be shown.
    mutating func push(_ more: String) -> String {
        switch mode {
        case .plain: return more
        case .undecided(let before):
            let text = before + more
            switch Self.opening(text) {
            case nil:
                mode = .undecided(text)
                return ""
            case false:
                mode = .plain
                return text
            case true:
                mode = .step(StepReader(), raw: "")
                return push(text)
            }
        case .step(var reader, let raw):
            var shown = ""
            for case .content(let text) in reader.push(more) { shown += text }
            mode = .step(reader, raw: shown.isEmpty ? raw.map { $0 + more } : nil)
            return shown
        }
    }

    /// What is left at the end: a text that could not be told apart, or an object without content.
    mutating func finish() -> String {
        defer { mode = .plain }
        switch mode {
        case .plain: return ""
        case .undecided(let text): return text
        case .step(let reader, let raw):
            if let raw, !raw.isEmpty { return reader.isDone && reader.hasEmptyContent ? "" : raw }
            return ""
        }
    }

    /// Whether the text begins as a step does; nil where it is too short to tell.
    private static func opening(_ text: String) -> Bool? {
        var rest = Substring(text).drop(while: \.isWhitespace)
        if rest.isEmpty { return nil }
        if rest.first == "`" {
            guard let begun = follows("```", &rest) else { return nil }
            guard begun else { return false }
            rest = rest.drop { $0.isLetter }.drop(while: \.isWhitespace)
            if rest.isEmpty { return nil }
        }
        guard rest.first == "{" else { return false }
        rest = rest.dropFirst().drop(while: \.isWhitespace)
        if rest.isEmpty { return nil }
        var isOpen = false
        for key in ["\"title\"", "\"content\""] {
            var behind = rest
            guard let matches = follows(key, &behind) else {
                isOpen = true
                continue
            }
            guard matches else { continue }
            for mark in [":", "\""] {
                behind = behind.drop(while: \.isWhitespace)
                guard let found = follows(mark, &behind) else { return nil }
                if !found { return false }
            }
            return true
        }
        return isOpen ? nil : false
    }

    /// Whether `text` begins with `word`, which is taken off; nil where it ends within.
    private static func follows(_ word: String, _ text: inout Substring) -> Bool? {
        if text.hasPrefix(word) {
            text = text.dropFirst(word.count)
            return true
        }
        return word.hasPrefix(text) ? nil : false
    }
}

extension StepReader {
    /// Whether the object says its content is empty.
    var hasEmptyContent: Bool { (try? step())?.content.isEmpty ?? false }
}
