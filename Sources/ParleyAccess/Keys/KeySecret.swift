// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// A secret that Parley makes up: a prefix and 43 letters and digits, 256 bits of the system's randomness.
///
/// It shows itself only through `text`, so that no log and no error can hold it by accident.
public struct KeySecret: Sendable, Equatable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// What every generated secret begins with.
    public static let prefix = "sk-parley-"
    /// How many characters follow the prefix: 62 to the power of 43 is a little over 2 to the power of 256.
    static let length = 43

    /// The secret itself.
    public let text: String

    /// Takes a text that has the shape of a generated secret; nil for anything else.
    public init?(_ text: String) {
        guard text.utf8.starts(with: Self.prefix.utf8) else { return nil }
        let rest = text.utf8.dropFirst(Self.prefix.utf8.count)
        guard rest.count == Self.length, rest.allSatisfy(Self.alphabet.contains) else { return nil }
        self.text = text
    }

    private init(drawn text: String) {
        self.text = text
    }

    /// A new secret.
    public static func generate() -> KeySecret {
        var generator = SystemRandomNumberGenerator()
        var text = Array(prefix.utf8)
        for _ in 0..<length {
            if let letter = alphabet.randomElement(using: &generator) { text.append(letter) }
        }
        return KeySecret(drawn: String(decoding: text, as: UTF8.self))
    }

    /// The digest that a ``KeyRecord`` keeps.
    public var digest: KeyDigest { KeyDigest(of: text) }

    /// Nothing of the secret.
    public var description: String { "KeySecret" }
    /// Nothing of the secret.
    public var debugDescription: String { description }
    /// Nothing of the secret.
    public var customMirror: Mirror { Mirror(self, children: []) }

    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".utf8)
}
