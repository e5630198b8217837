// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Crypto

/// The SHA-256 of a key's secret: all that is kept of it.
public struct KeyDigest: Sendable, Hashable, CustomStringConvertible {
    private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

    /// The digest of a secret's bytes.
    public init(of secret: UnsafeRawBufferPointer) {
        var hash = SHA256()
        hash.update(bufferPointer: secret)
        hash.finalize().withUnsafeBytes { self.load($0) }
    }

    /// The digest of a secret's UTF-8.
    public init(of secret: String) {
        var secret = secret
        self = secret.withUTF8 { KeyDigest(of: UnsafeRawBufferPointer($0)) }
    }

    /// The digest written as 64 hexadecimal digits of either case; nil for anything else.
    public init?(hex: String) {
        var bytes: [UInt8] = []
        var high: UInt8?
        for digit in hex.utf8 {
            guard bytes.count < 32, let value = Self.value(ofHex: digit) else { return nil }
            if let first = high {
                bytes.append(first << 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        guard bytes.count == 32, high == nil else { return nil }
        bytes.withUnsafeBytes { load($0) }
    }

    /// The digest as 64 lower-case hexadecimal digits.
    public var hex: String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        text.reserveCapacity(64)
        for word in [words.0, words.1, words.2, words.3] {
            for shift in stride(from: 60, through: 0, by: -4) {
                text.append(digits[Int(truncatingIfNeeded: word >> UInt64(shift)) & 15])
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Nothing of the digest: that of a short key can be guessed back.
    public var description: String { "KeyDigest" }

    /// Equality in the same time whatever differs.
    public static func == (a: KeyDigest, b: KeyDigest) -> Bool {
        (a.words.0 ^ b.words.0) | (a.words.1 ^ b.words.1) | (a.words.2 ^ b.words.2) | (a.words.3 ^ b.words.3) == 0
    }

    /// Hashes the first word: the bits of a digest are even already.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(words.0)
    }

    /// Takes 32 bytes as four big-endian words; what is missing stays zero.
    private mutating func load(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count == 32 else { return }
        func word(_ index: Int) -> UInt64 {
            UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self))
        }
        words = (word(0), word(1), word(2), word(3))
    }

    private static func value(ofHex digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
