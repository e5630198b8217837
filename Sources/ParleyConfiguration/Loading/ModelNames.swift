// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// The configured models' names, some with a `*`, and which of them answers to a name.
public struct ModelNames: Sendable {
    private struct Wildcard: Sendable {
        var pattern: String
        var tail: Substring
    }

    /// Every name, in file order.
    public let all: [String]
    private let exact: Set<String>
    /// The names in their order, to find those with the same beginning.
    private let sorted: [String]
    /// Names with a `*`, by what stands before it; in file order.
    private var wildcards: [Substring: [Wildcard]] = [:]
    /// The longest text before a `*`, in characters.
    private var longestHead = 0

    /// Names in file order; of equal ones the first counts.
    public init(_ names: [String]) {
        var seen: Set<String> = []
        all = names.filter { seen.insert($0).inserted }
        exact = seen
        sorted = all.sorted()
        for pattern in all {
            guard let star = pattern.firstIndex(of: "*") else { continue }
            let head = pattern[..<star]
            wildcards[head, default: []].append(.init(pattern: pattern, tail: pattern[star...].dropFirst()))
            longestHead = max(longestHead, head.count)
        }
    }

    /// Whether there is an entry of exactly that name.
    public func has(_ name: String) -> Bool { exact.contains(name) }

    /// Whether there is an entry that begins as a pattern does whose `*` is its end.
    public func hasBeginning(of pattern: String) -> Bool {
        guard pattern.hasSuffix("*"), pattern != "*" else { return false }
        let head = pattern.dropLast()
        var low = 0
        var high = sorted.count
        while low < high {
            let middle = (low + high) / 2
            if sorted[middle] < head { low = middle + 1 } else { high = middle }
        }
        return low < sorted.count && sorted[low].hasPrefix(head)
    }

    /// The entry that answers to a name: the name itself, else the most specific wildcard, which is the one with the
    /// most characters besides its `*`; the first in the file among equals.
    public func match(_ name: String) -> String? {
        if exact.contains(name) { return name }
        guard !name.contains("*"), !wildcards.isEmpty else { return nil }
        var best: (pattern: String, length: Int)?
        var end = name.startIndex
        for length in 0...longestHead {
            let rest = name[end...]
            for wildcard in wildcards[name[..<end]] ?? [] where rest.hasSuffix(wildcard.tail) {
                let total = length + wildcard.tail.count
                if total > best?.length ?? -1 { best = (wildcard.pattern, total) }
            }
            guard end < name.endIndex else { break }
            end = name.index(after: end)
        }
        return best?.pattern
    }

    /// Whether a pattern with one `*` takes in a name.
    public static func matches(_ pattern: String, _ name: String) -> Bool {
        guard let star = pattern.firstIndex(of: "*") else { return pattern == name }
        let head = pattern[..<star]
        guard name.hasPrefix(head) else { return false }
        return name.dropFirst(head.count).hasSuffix(pattern[star...].dropFirst())
    }
}
