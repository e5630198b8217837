// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import CParleyBytes

/// A position in JSON text, and the steps over one token each.
///
/// Every read is preceded by a comparison with `end`, since the text is a stranger's. The pointer is valid only inside
/// the closure that lent it.
struct JSONReader {
    let base: UnsafeRawPointer
    let end: Int
    var at: Int

    /// Begins at `at`, which must lie within `bytes`; nil where there are no bytes.
    init?(_ bytes: UnsafeRawBufferPointer, at: Int = 0) {
        guard let base = bytes.baseAddress, at >= 0, at <= bytes.count else { return nil }
        self.base = base
        self.end = bytes.count
        self.at = at
    }

    @inline(__always)
    func byte(_ offset: Int) -> UInt8 {
        base.load(fromByteOffset: offset, as: UInt8.self)
    }

    @inline(never)
    func failure(_ message: String) -> JSONError {
        JSONError(offset: at, message: at < end ? message : "unexpected end of the text")
    }

    @inline(__always)
    mutating func skipSpaces() {
        while at < end {
            let byte = byte(at)
            guard byte <= 0x20, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
            at += 1
        }
    }

    /// Steps over the byte that must come next.
    @inline(__always)
    mutating func expect(_ expected: UInt8, _ message: String) throws(JSONError) {
        guard at < end, byte(at) == expected else { throw failure(message) }
        at += 1
    }

    /// Checks that only spaces are left.
    mutating func expectEnd() throws(JSONError) {
        skipSpaces()
        guard at == end else { throw failure("only one value is allowed") }
    }
}

// MARK: - Strings

extension JSONReader {
    /// Steps over a string, from its opening quote to behind its closing one.
    ///
    /// - Returns: whether it has escapes.
    @inline(__always)
    mutating func skipString() throws(JSONError) -> Bool {
        at += 1
        skipPlain()
        if at < end, byte(at) == UInt8(ascii: "\"") {
            at += 1
            return false
        }
        return try skipRestOfString()
    }

    @inline(never)
    private mutating func skipRestOfString() throws(JSONError) -> Bool {
        var escaped = false
        while at < end {
            let next = byte(at)
            if next >= 0x80 {
                try skipUTF8()
            } else if next == UInt8(ascii: "\\") {
                escaped = true
                try skipEscape()
            } else if next == UInt8(ascii: "\"") {
                at += 1
                return escaped
            } else {
                throw failure("control character in a string")
            }
            skipPlain()
        }
        throw failure("")
    }

    /// Steps over ASCII that stands for itself: keys and short words eight bytes at a time here, the rest by the
    /// longer scan.
    @inline(__always)
    private mutating func skipPlain() {
        for _ in 0..<2 {
            guard end - at >= 8 else { break }
            let stops = Self.stops(base.loadUnaligned(fromByteOffset: at, as: UInt64.self))
            if stops != 0 {
                at += stops.trailingZeroBitCount >> 3
                return
            }
            at += 8
        }
        at += parley_plain_run(base + at, end - at)
    }

    /// Marks the bytes of a word that are not plain; the lowest mark is exact, those above it may be false.
    @inline(__always)
    private static func stops(_ stored: UInt64) -> UInt64 {
        let word = UInt64(littleEndian: stored)
        let ones: UInt64 = 0x0101_0101_0101_0101
        let quotes = word ^ (ones &* 0x22)
        let backslashes = word ^ (ones &* 0x5C)
        let below = (word &- ones &* 0x20) | (quotes &- ones) & ~quotes | (backslashes &- ones) & ~backslashes
        return (below | word) & (ones &* 0x80)
    }

    /// Steps over one escape, from its backslash.
    private mutating func skipEscape() throws(JSONError) {
        at += 1
        guard at < end else { throw failure("") }
        switch byte(at) {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            at += 1
        case UInt8(ascii: "u"):
            at += 1
            for _ in 0..<4 {
                guard at < end, Self.hexDigit(byte(at)) != nil else { throw failure("expected a hexadecimal digit") }
                at += 1
            }
        default:
            throw failure("unknown escape in a string")
        }
    }

    @inline(__always)
    static func hexDigit(_ byte: UInt8) -> UInt16? {
        switch byte {
        case 0x30...0x39: UInt16(byte &- 0x30)
        case 0x41...0x46: UInt16(byte &- 0x41 &+ 10)
        case 0x61...0x66: UInt16(byte &- 0x61 &+ 10)
        default: nil
        }
    }

    /// Steps over a run of characters outside ASCII, checking that each is well formed: shortest form, no surrogate,
    /// none over U+10FFFF.
    private mutating func skipUTF8() throws(JSONError) {
        while at < end {
            let lead = byte(at)
            guard lead >= 0x80 else { return }
            let second = at + 1 < end ? byte(at + 1) : 0
            switch lead {
            case 0xC2...0xDF:
                guard second & 0xC0 == 0x80 else { throw failure("invalid UTF-8") }
                at += 2
            case 0xE0...0xEF:
                guard at + 2 < end, second & 0xC0 == 0x80, byte(at + 2) & 0xC0 == 0x80,
                    lead != 0xE0 || second >= 0xA0, lead != 0xED || second < 0xA0
                else { throw failure("invalid UTF-8") }
                at += 3
            case 0xF0...0xF4:
                guard at + 3 < end, second & 0xC0 == 0x80, byte(at + 2) & 0xC0 == 0x80, byte(at + 3) & 0xC0 == 0x80,
                    lead != 0xF0 || second >= 0x90, lead != 0xF4 || second < 0x90
                else { throw failure("invalid UTF-8") }
                at += 4
            default:
                throw failure("invalid UTF-8")
            }
        }
    }
}

// MARK: - Numbers and words

extension JSONReader {
    /// Steps over a number, from its sign or first digit.
    mutating func skipNumber() throws(JSONError) {
        if byte(at) == UInt8(ascii: "-") { at += 1 }
        guard at < end else { throw failure("") }
        if byte(at) == UInt8(ascii: "0") {
            at += 1
        } else {
            try skipDigits()
        }
        if at < end, byte(at) == UInt8(ascii: ".") {
            at += 1
            try skipDigits()
        }
        if at < end, byte(at) | 0x20 == UInt8(ascii: "e") {
            at += 1
            if at < end, byte(at) == UInt8(ascii: "+") || byte(at) == UInt8(ascii: "-") { at += 1 }
            try skipDigits()
        }
    }

    /// Steps over `null` or a count, which most values are that are no texts.
    ///
    /// - Returns: false where something else is next; then nothing was stepped over.
    @inline(__always)
    mutating func skipShort() -> Bool {
        guard end - at >= 4 else { return false }
        if base.loadUnaligned(fromByteOffset: at, as: UInt32.self) == Self.null {
            at += 4
            return true
        }
        guard byte(at) &- 0x31 < 9 else { return false }
        var next = at + 1
        while next < end, byte(next) &- 0x30 < 10 { next += 1 }
        // What a comma or a brace ends has no fraction and no exponent.
        guard next < end, byte(next) == UInt8(ascii: ",") || byte(next) == UInt8(ascii: "}") else { return false }
        at = next
        return true
    }

    /// The word as it lies in memory.
    private static let null: UInt32 = (0x6E75_6C6C as UInt32).bigEndian

    @inline(__always)
    private mutating func skipDigits() throws(JSONError) {
        guard at < end, byte(at) &- 0x30 < 10 else { throw failure("expected a digit") }
        repeat { at += 1 } while at < end && byte(at) &- 0x30 < 10
    }

    /// Steps over `true`, `false` or `null`, whichever `word` is.
    @inline(__always)
    mutating func skipWord(_ word: StaticString) throws(JSONError) {
        let text = UnsafeRawBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount)
        for expected in text {
            guard at < end, byte(at) == expected else { throw failure("expected a value") }
            at += 1
        }
    }
}

// MARK: - Values

extension JSONReader {
    /// How many arrays and objects the scan lets be open at once: the bits of its stack.
    static let scanDepth = 128

    /// Steps over a value and everything in it, checking all of it, without recursion.
    ///
    /// - Parameter depth: how many arrays and objects are open around it.
    mutating func skipValue(depth: Int) throws(JSONError) {
        // One bit for each open container, the innermost lowest: set for an object.
        var kinds: UInt128 = 0
        var open = 0
        while true {
            guard at < end else { throw failure("") }
            var entered = false
            switch byte(at) {
            case UInt8(ascii: "\""):
                _ = try skipString()
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                guard depth + open < Self.scanDepth else { throw failure("nested too deeply") }
                kinds = kinds << 1 | (byte(at) == UInt8(ascii: "{") ? 1 : 0)
                open += 1
                at += 1
                entered = true
            case UInt8(ascii: "-"), 0x30...0x39:
                try skipNumber()
            case UInt8(ascii: "t"):
                try skipWord("true")
            case UInt8(ascii: "f"):
                try skipWord("false")
            case UInt8(ascii: "n"):
                try skipWord("null")
            default:
                throw failure("expected a value")
            }
            guard try advance(&kinds, &open, entered: entered) else { return }
        }
    }

    /// Goes on to the next value behind a value or an opening bracket: over commas, keys and closing brackets.
    ///
    /// - Returns: false when nothing is open any more.
    @inline(__always)
    private mutating func advance(_ kinds: inout UInt128, _ open: inout Int, entered: Bool) throws(JSONError) -> Bool {
        var mayBegin = entered
        while open > 0 {
            skipSpaces()
            guard at < end else { throw failure("") }
            let next = byte(at)
            let isObject = kinds & 1 == 1
            if next == (isObject ? UInt8(ascii: "}") : UInt8(ascii: "]")) {
                at += 1
                kinds >>= 1
                open -= 1
                mayBegin = false
                continue
            }
            if !mayBegin {
                guard next == UInt8(ascii: ",") else {
                    throw failure(isObject ? "expected a comma or a brace" : "expected a comma or a bracket")
                }
                at += 1
                skipSpaces()
            }
            if isObject { _ = try skipKey() }
            return true
        }
        return false
    }

    /// Steps over a key, its colon and the spaces up to the value.
    ///
    /// - Returns: where the key is, inside its quotes, and whether it has escapes.
    @inline(__always)
    mutating func skipKey() throws(JSONError) -> (range: Range<Int>, escaped: Bool) {
        guard at < end, byte(at) == UInt8(ascii: "\"") else { throw failure("expected a key") }
        let start = at + 1
        let escaped = try skipString()
        let range = Range(uncheckedBounds: (start, at - 1))
        skipSpaces()
        try expect(UInt8(ascii: ":"), "expected a colon")
        skipSpaces()
        return (range, escaped)
    }
}
