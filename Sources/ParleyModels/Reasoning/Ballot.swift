// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// Finds the commonest answer among several, and the one of those that words it best.
struct Ballot {
    /// The place of the answer that is taken.
    let chosen: Int
    /// How many came to the same.
    let votes: Int

    /// Counts; nil where there is nothing to count.
    init?(_ texts: [String]) {
        guard !texts.isEmpty else { return nil }
        var clusters: [(key: String, places: [Int])] = []
        for (place, text) in texts.enumerated() {
            let key = AnswerKey.key(of: text)
            if let index = clusters.firstIndex(where: { $0.key == key }) {
                clusters[index].places.append(place)
            } else {
                clusters.append((key, [place]))
            }
        }
        // Among equals the one that came up first.
        let largest = clusters.map(\.places.count).max() ?? 1
        var places = clusters.first { $0.places.count == largest }?.places ?? [0]
        votes = places.count
        // Where all differ nothing was voted for: the one in the middle of all is the best guess.
        if places.count == 1 { places = Array(texts.indices) }
        chosen = places[Self.closest(places.map { texts[$0] })]
    }

    /// The place of the text that says most of what the others say; among equals the first.
    static func closest(_ texts: [String]) -> Int {
        let bags = texts.map(words)
        var best = (place: 0, score: -1.0)
        for (place, bag) in bags.enumerated() {
            var score = 0.0
            for (other, more) in bags.enumerated() where other != place {
                let all = bag.union(more).count
                score += all == 0 ? 0 : Double(bag.intersection(more).count) / Double(all)
            }
            if score > best.score { best = (place, score) }
        }
        return best.place
    }

    private static func words(_ text: String) -> Set<Substring> {
        Set(text.lowercased().split { !$0.isLetter && !$0.isNumber }.map { $0 })
    }
}

/// What an answer comes down to, so that two that mean the same compare as equal.
enum AnswerKey {
    private static let markers = ["answer is", "answer:", "result:", "solution:"]

    /// What is in a box as LaTeX has it; else what a marker announces; else what the last line says.
    static func key(of text: String) -> String {
        if let boxed = boxed(text) { return normal(boxed) }
        let lines = text.split(whereSeparator: \.isNewline).map { plain(String($0)) }.filter { !$0.isEmpty }
        for line in lines.reversed() {
            for marker in markers {
                guard let range = line.lastRange(of: marker) else { continue }
                let rest = normal(String(line[range.upperBound...]))
                if !rest.isEmpty { return rest }
            }
        }
        return normal(lines.last ?? "")
    }

    /// The contents of the last `\boxed{…}`.
    private static func boxed(_ text: String) -> String? {
        guard let range = text.lastRange(of: "\\boxed{") else { return nil }
        var depth = 1
        var inside = ""
        for character in text[range.upperBound...] {
            if character == "{" { depth += 1 }
            if character == "}" { depth -= 1 }
            if depth == 0 { return inside }
            inside.append(character)
        }
        return nil
    }

    /// Without marks of emphasis and case.
    private static func plain(_ line: String) -> String {
        String(line.lowercased().filter { !"*_`#".contains($0) }).trimmed
    }

    /// A choice as its letter, a statement with one number as that number, everything else as its words.
    static func normal(_ text: String) -> String {
        let text = plain(text)
        if let letter = choice(text) { return letter }
        let numbers = self.numbers(text)
        if numbers.count == 1 { return numbers[0] }
        return text.split { !$0.isLetter && !$0.isNumber && !"+-/^=.,<>%".contains($0) }.joined(separator: " ")
            .trimmed(of: ".,")
    }

    /// The letter of a choice: `b`, `(b)`, `b) because`, `option b`.
    private static func choice(_ text: String) -> String? {
        var rest = Substring(text)
        for word in ["option ", "choice "] where rest.hasPrefix(word) { rest = rest.dropFirst(word.count) }
        let isOpen = rest.first == "("
        if isOpen { rest = rest.dropFirst() }
        guard let letter = rest.first, letter.isASCII, letter.isLetter else { return nil }
        rest = rest.dropFirst()
        if rest.isEmpty || rest == "." { return String(letter) }
        if rest.first == ")" || !isOpen && rest.first == ":" { return String(letter) }
        return nil
    }

    /// The numbers of a text as they compare: no separators of thousands, no zeros that say nothing.
    private static func numbers(_ text: String) -> [String] {
        var found: [String] = []
        var current = ""
        var before: Character = " "
        func end() {
            if current.contains(where: \.isNumber) { found.append(canonical(current)) }
            current = ""
        }
        for character in text {
            let isDigit = character.isASCII && character.isNumber
            let joins = current.contains(where: \.isNumber) && (character == "." || character == ",")
            // A digit inside a word, as in `x2`, is part of a name.
            if isDigit, current.isEmpty, before.isLetter {
                before = character
                continue
            }
            if isDigit || joins {
                current.append(character)
            } else {
                end()
                if character == "-", !before.isNumber, !before.isLetter { current = "-" }
            }
            before = character
        }
        end()
        return found
    }

    private static func canonical(_ number: String) -> String {
        var digits = number.trimmed(of: ".,")
        let isNegative = digits.first == "-"
        if isNegative { digits.removeFirst() }
        digits.removeAll { $0 == "," }
        var (whole, part) = (digits, "")
        if let point = digits.lastIndex(of: ".") {
            whole = String(digits[..<point].filter { $0 != "." })
            part = String(digits[digits.index(after: point)...])
        }
        whole = String(whole.drop { $0 == "0" })
        while part.last == "0" { part.removeLast() }
        let text = (whole.isEmpty ? "0" : whole) + (part.isEmpty ? "" : "." + part)
        return isNegative && text != "0" ? "-" + text : text
    }
}

/// Reads what a judge says.
enum Verdict {
    /// The place of the answer it names, the last one where it names several; nil where it names none.
    static func place(in verdict: String, of count: Int) -> Int? {
        let text = verdict.lowercased()
        var rest = Substring(text)
        if let range = text.lastRange(of: "best:") { rest = text[range.upperBound...] }
        let numbers = rest.split { !($0.isASCII && $0.isNumber) }.compactMap { Int($0) }
        let named = numbers.filter { (1...max(count, 1)).contains($0) }
        return (rest.count < text.count ? named.first : named.last).map { $0 - 1 }
    }
}

extension String {
    /// Without white space at both ends.
    fileprivate var trimmed: String {
        String(drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
    }

    /// Without these characters and white space at both ends.
    fileprivate func trimmed(of marks: String) -> String {
        func isMark(_ character: Character) -> Bool { character.isWhitespace || marks.contains(character) }
        return String(drop(while: isMark).reversed().drop(while: isMark).reversed())
    }

    /// Where `word` stands last.
    fileprivate func lastRange(of word: String) -> Range<Index>? {
        var found: Range<Index>?
        for range in ranges(of: word) { found = range }
        return found
    }
}
