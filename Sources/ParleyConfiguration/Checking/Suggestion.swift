// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// Finding what somebody probably meant.
enum Suggestion {
    /// How many candidates are looked at; comparing words takes time.
    private static let mostCandidates = 1000

    /// The candidate nearest to `word`, if one is near enough to be worth naming; the first among equals.
    static func closest(to word: String, among candidates: some Sequence<String>) -> String? {
        let letters = Array(word.lowercased().unicodeScalars)
        guard !letters.isEmpty, letters.count <= 64 else { return nil }
        var best: (word: String, distance: Int)?
        for candidate in candidates.prefix(mostCandidates) {
            let other = Array(candidate.lowercased().unicodeScalars)
            guard other.count <= 64, abs(other.count - letters.count) <= 3 else { continue }
            let distance = distance(letters, other)
            if distance < best?.distance ?? Int.max { best = (candidate, distance) }
        }
        guard let best, best.distance <= (letters.count < 4 ? 1 : letters.count < 8 ? 2 : 3) else { return nil }
        return best.word
    }

    /// `; did you mean "x"?`, or nothing.
    static func clause(for word: String, among candidates: some Sequence<String>) -> String {
        closest(to: word, among: candidates).map { "; did you mean \"\($0)\"?" } ?? ""
    }

    /// Edits from one word to the other: a letter added, dropped, changed, or two neighbours swapped.
    static func distance(_ left: [Unicode.Scalar], _ right: [Unicode.Scalar]) -> Int {
        var older: [Int] = []
        var old = Array(0...right.count)
        for (row, letter) in left.enumerated() {
            var new = [row + 1]
            for (column, other) in right.enumerated() {
                var cost = min(new[column] + 1, old[column + 1] + 1, old[column] + (letter == other ? 0 : 1))
                if row > 0, column > 0, letter == right[column - 1], left[row - 1] == other {
                    cost = min(cost, older[column - 1] + 1)
                }
                new.append(cost)
            }
            older = old
            old = new
        }
        return old[right.count]
    }
}
