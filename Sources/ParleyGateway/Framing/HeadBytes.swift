// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc

// What the readers of heads, requests' and responses', ask of bytes.

extension UInt8 {
    /// Whether this may stand in a token (RFC 9110 section 5.6.2).
    var isTokenCharacter: Bool {
        let set: UInt64 = self < 64 ? 0x03FF_6CFA_0000_0000 : 0x57FF_FFFF_C7FF_FFFE
        return self < 128 && set >> UInt64(self & 63) & 1 == 1
    }

    var isBlank: Bool { self == 0x20 || self == 0x09 }
    var isDigit: Bool { (0x30...0x39).contains(self) }
}

extension UnsafeRawBufferPointer {
    /// Where the byte is, from a place on; nil where it is not.
    func place(of byte: UInt8, from start: Int = 0) -> Int? {
        guard let baseAddress, start < count, let found = memchr(baseAddress + start, Int32(byte), count - start)
        else { return nil }
        return baseAddress.distance(to: UnsafeRawPointer(found))
    }

    /// Whether the first bytes are those of `text`.
    func begins(with text: StaticString) -> Bool {
        guard let baseAddress, count >= text.utf8CodeUnitCount else { return false }
        return memcmp(baseAddress, text.utf8Start, text.utf8CodeUnitCount) == 0
    }

    /// Whether the bytes are those of `text`.
    func `is`(_ text: StaticString) -> Bool { count == text.utf8CodeUnitCount && begins(with: text) }

    /// Whether this is `name` (lower case), whatever the case of its letters.
    ///
    /// For names, which are tokens: in these the bit that tells the cases apart tells nothing else apart.
    func isName(_ name: StaticString) -> Bool {
        let length = name.utf8CodeUnitCount
        guard count == length else { return false }
        var difference: UInt8 = 0
        for index in 0..<length { difference |= (self[index] | 0x20) ^ (name.utf8Start[index] | 0x20) }
        return difference == 0
    }

    /// Whether this is `word` (in lower case), whatever the case of its letters.
    func isWord(_ word: StaticString) -> Bool {
        let length = word.utf8CodeUnitCount
        guard count == length else { return false }
        for index in 0..<length {
            let byte = self[index]
            guard (0x41...0x5A).contains(byte) ? byte | 0x20 == word.utf8Start[index] : byte == word.utf8Start[index]
            else { return false }
        }
        return true
    }

    /// Whether this begins as the URLs of clients that speak to a proxy do.
    var isURL: Bool {
        UnsafeRawBufferPointer(rebasing: prefix(7)).isWord("http://")
            || UnsafeRawBufferPointer(rebasing: prefix(8)).isWord("https://")
    }

    /// Without the blanks at both ends.
    var trimmed: UnsafeRawBufferPointer {
        var (low, high) = (0, count)
        while low < high, self[low].isBlank { low += 1 }
        while high > low, self[high - 1].isBlank { high -= 1 }
        return UnsafeRawBufferPointer(rebasing: self[low..<high])
    }

    /// The value of a content-length; nil where it is not a number of at most 18 digits and nothing else.
    var contentLength: Int? {
        guard !isEmpty, count <= 18 else { return nil }
        var length = 0
        for byte in self {
            guard byte.isDigit else { return nil }
            length = length * 10 + Int(byte) - 0x30
        }
        return length
    }
}
