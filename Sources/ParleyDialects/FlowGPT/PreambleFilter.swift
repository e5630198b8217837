// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// Takes the preamble off an answer that some prompts of FlowGPT put before it: everything up to `Response:**`.
///
/// Whether there is one is decided within the first 150 characters; until then nothing is given out.
struct PreambleFilter {
    private static let mark = "Response:**"
    private static let limit = 150

    private enum State {
        /// What has come so far, and how many characters it is.
        case undecided(String, count: Int)
        /// A preamble was taken off; blanks behind it still are.
        case trimming
        case decided
    }

    private var state = State.undecided("", count: 0)

    /// Takes a piece of the answer.
    ///
    /// - Returns: what can be given out.
    mutating func push(_ piece: String) -> String {
        switch state {
        case .undecided(let held, let count): return decide(held + piece, count + piece.unicodeScalars.count)
        case .trimming: return trimmed(piece)
        case .decided: return piece
        }
    }

    /// The answer ended: what was held back.
    mutating func finish() -> String {
        guard case .undecided(let held, _) = state else { return "" }
        state = .decided
        return held
    }

    private mutating func decide(_ held: String, _ count: Int) -> String {
        // Byte by byte: a combining character behind the mark must not hide it.
        if let mark = held.utf8.firstRange(of: Self.mark.utf8) {
            state = .trimming
            return trimmed(String(held[mark.upperBound...]))
        }
        state = count > Self.limit ? .decided : .undecided(held, count: count)
        return count > Self.limit ? held : ""
    }

    private mutating func trimmed(_ piece: String) -> String {
        let rest = piece.unicodeScalars.drop { $0.properties.isWhitespace }
        if !rest.isEmpty { state = .decided }
        return String(rest)
    }
}
