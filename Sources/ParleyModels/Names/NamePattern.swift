// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// A model name in which one `*` stands for any text, also for none; compared byte by byte.
public struct NamePattern: Sendable, Hashable {
    /// The pattern as written.
    public let text: String

    /// A pattern; without `*` it stands for exactly itself, and a second `*` is an ordinary character.
    public init(_ text: String) {
        self.text = text
    }

    /// Whether the pattern has a `*`.
    public var isWildcard: Bool { text.utf8.contains(Self.star) }

    /// Whether the pattern covers `name`.
    public func matches(_ name: String) -> Bool { match(name) != nil }

    /// What the `*` stands for in `name`: empty for an exact match without `*`; nil when the pattern does not cover it.
    public func match(_ name: String) -> Substring? {
        let pattern = text.utf8
        let bytes = name.utf8
        guard let star = pattern.firstIndex(of: Self.star) else {
            return pattern.elementsEqual(bytes) ? name[name.endIndex...] : nil
        }
        let prefix = pattern[..<star]
        let suffix = pattern[pattern.index(after: star)...]
        guard let start = bytes.index(bytes.startIndex, offsetBy: prefix.count, limitedBy: bytes.endIndex),
            let end = bytes.index(bytes.endIndex, offsetBy: -suffix.count, limitedBy: start),
            bytes[..<start].elementsEqual(prefix), bytes[end...].elementsEqual(suffix)
        else { return nil }
        return name[start..<end]
    }

    /// How much of a name the pattern fixes: the more, the more specific; of two alike the longer beginning wins.
    var specificity: (fixed: Int, prefix: Int) {
        let bytes = text.utf8
        guard let star = bytes.firstIndex(of: Self.star) else { return (bytes.count, bytes.count) }
        return (bytes.count - 1, bytes.distance(from: bytes.startIndex, to: star))
    }

    /// The text `target` with `star` in place of its first `*`.
    static func substitute(_ star: Substring, in target: String) -> String {
        guard let index = target.utf8.firstIndex(of: Self.star) else { return target }
        return "\(target[..<index])\(star)\(target[target.utf8.index(after: index)...])"
    }

    /// How many `*` a text has.
    static func stars(in text: String) -> Int {
        text.utf8.reduce(0) { $0 + ($1 == star ? 1 : 0) }
    }

    private static let star = UInt8(ascii: "*")
}
