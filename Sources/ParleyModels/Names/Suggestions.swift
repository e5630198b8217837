// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// Finding the names that somebody probably meant, at a cost that a hostile name cannot raise.
enum Suggestions {
    /// The most candidates that are looked at.
    private static let mostCandidates = 4096
    /// The longest name that is compared, in bytes.
    private static let longest = 128

    /// Up to `count` of `candidates` close to `name`, the closest first, in their own order among equals.
    ///
    /// A candidate also counts as close by what follows its provider: `gpt-4o` suggests `openai/gpt-4o`.
    static func closest(to name: String, among candidates: some Sequence<String>, count: Int = 3) -> [String] {
        let wanted = lowered(name.utf8)
        guard !wanted.isEmpty, wanted.count <= longest else { return [] }
        let limit = max(1, min(4, wanted.count / 3))
        var found: [(name: String, distance: Int)] = []
        for candidate in candidates.prefix(mostCandidates) {
            var best = distance(wanted, lowered(candidate.utf8), limit: limit)
            if let slash = candidate.utf8.firstIndex(of: UInt8(ascii: "/")) {
                let tail = candidate.utf8[candidate.utf8.index(after: slash)...]
                best = min(best, distance(wanted, lowered(tail), limit: limit))
            }
            guard best <= limit, best < (found.count == count ? found.last?.distance ?? 0 : .max) else { continue }
            let place = found.firstIndex { $0.distance > best } ?? found.endIndex
            found.insert((candidate, best), at: place)
            if found.count > count { found.removeLast() }
        }
        return found.map(\.name)
    }

    private static func lowered(_ bytes: some Sequence<UInt8>) -> [UInt8] {
        bytes.map { $0 >= 0x41 && $0 <= 0x5A ? $0 | 0x20 : $0 }
    }

    /// Edits from one text to the other (a byte added, dropped, changed, or two neighbours swapped); more than `limit`
    /// counts as `limit + 1`, so that only a band of the table is filled.
    static func distance(_ left: [UInt8], _ right: [UInt8], limit: Int) -> Int {
        let far = limit + 1
        guard abs(left.count - right.count) <= limit, right.count <= longest else { return far }
        var older = [Int](repeating: far, count: right.count + 1)
        var old = (0...right.count).map { min($0, far) }
        for (row, byte) in left.enumerated() {
            var new = [Int](repeating: far, count: right.count + 1)
            new[0] = min(row + 1, far)
            let low = max(0, row - limit)
            let high = min(right.count, row + limit + 1)
            guard low < high else { return far }
            for column in low..<high {
                var cost = min(new[column] + 1, old[column + 1] + 1, old[column] + (byte == right[column] ? 0 : 1))
                if row > 0, column > 0, byte == right[column - 1], left[row - 1] == right[column] {
                    cost = min(cost, older[column - 1] + 1)
                }
                new[column + 1] = min(cost, far)
            }
            older = old
            old = new
        }
        return old[right.count]
    }
}
