// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import CParleyBytes
public import NIOCore
import ParleyCore

/// JSON text that is lent for a while, read by position: nothing is copied and nothing is kept.
///
/// Valid only inside the closure that lent the bytes. Ranges count from the text's start.
public struct JSONText {
    /// The text.
    public let bytes: UnsafeRawBufferPointer

    /// Lends a text.
    public init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
    }

    /// The object that begins at `start`, or behind the spaces there, member by member.
    ///
    /// - Throws: where there is none.
    public func members(at start: Int = 0) throws(JSONError) -> JSONMembers {
        guard var reader = JSONReader(bytes, at: start) else {
            throw JSONError(offset: 0, message: "unexpected end of the text")
        }
        reader.skipSpaces()
        try reader.expect(UInt8(ascii: "{"), "expected an object")
        return JSONMembers(reader)
    }

    /// The elements of the array that begins at `start`, one after the other; nil where there is none.
    public func elements(at start: Int) -> JSONElements? {
        guard let reader = JSONReader(bytes, at: start), start < bytes.count,
            reader.byte(start) == UInt8(ascii: "[")
        else { return nil }
        return JSONElements(reader)
    }

    /// The first byte of a value, which tells its kind; zero for what is outside the text.
    @inline(__always)
    public func first(_ value: Range<Int>) -> UInt8 {
        value.lowerBound >= 0 && value.lowerBound < bytes.count ? bytes[value.lowerBound] : 0
    }

    /// Whether a value is null.
    public func isNull(_ value: Range<Int>) -> Bool { first(value) == UInt8(ascii: "n") }

    /// Whether a value is null or an empty string, array or object.
    public func isBlank(_ value: Range<Int>) -> Bool {
        guard let inside = inside(value) else { return true }
        switch inside[0] {
        case UInt8(ascii: "n"): return true
        case UInt8(ascii: "\""): return inside.count == 2
        case UInt8(ascii: "["), UInt8(ascii: "{"):
            for index in 1..<max(1, inside.count - 1) where inside[index] > 0x20 { return false }
            return true
        default: return false
        }
    }

    /// A value as text without escapes; nil where it is no string.
    public func string(_ value: Range<Int>) -> String? {
        guard first(value) == UInt8(ascii: "\""), var reader = JSONReader(bytes, at: value.lowerBound) else {
            return nil
        }
        return try? reader.string()
    }

    /// A value where it is a whole number that fits, also when written `5.0` or `5e0`; else nil.
    public func int(_ value: Range<Int>) -> Int? {
        guard let digits = inside(value) else { return nil }
        guard digits.count <= 18 else { return slowInt(digits) }
        var number = 0
        for byte in digits {
            guard byte &- 0x30 < 10 else { return slowInt(digits) }
            number = number &* 10 &+ Int(byte &- 0x30)
        }
        return number
    }

    @inline(never)
    private func slowInt(_ text: UnsafeRawBufferPointer) -> Int? {
        (try? JSON.parse(ByteBuffer(bytes: text)))?.int
    }

    /// The bytes of a value; nil for none and for what is outside the text.
    @inline(__always)
    private func inside(_ value: Range<Int>) -> UnsafeRawBufferPointer? {
        guard value.lowerBound >= 0, value.lowerBound < value.upperBound, value.upperBound <= bytes.count else {
            return nil
        }
        return UnsafeRawBufferPointer(rebasing: bytes[value])
    }
}

extension JSONMember {
    /// Whether the key is written with escapes.
    public var hasEscapes: Bool { keyIsEscaped }

    /// Whether the key is `name`, compared without its escapes. `text` is the text that the member was found in.
    @inlinable
    @inline(__always)
    public func isNamed(_ name: StaticString, in text: JSONText) -> Bool {
        found.isNamed(name, in: text)
    }

    /// The key alone.
    @inlinable
    @inline(__always)
    var found: JSONKey { JSONKey(range: key, isEscaped: keyIsEscaped) }
}

/// The key of a member whose value was not looked at yet.
public struct JSONKey {
    /// Where it is, inside its quotes.
    @usableFromInline let range: Range<Int>
    @usableFromInline let isEscaped: Bool

    @usableFromInline init(range: Range<Int>, isEscaped: Bool) {
        self.range = range
        self.isEscaped = isEscaped
    }

    /// Whether the key is `name`, compared without its escapes. `text` is the text that the member was found in.
    @inlinable
    @inline(__always)
    public func isNamed(_ name: StaticString, in text: JSONText) -> Bool {
        // Most names differ in their length already.
        guard range.count == name.utf8CodeUnitCount || isEscaped else { return false }
        return equals(name, in: text)
    }

    @inline(never)
    @usableFromInline
    func equals(_ name: StaticString, in text: JSONText) -> Bool {
        let name = UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
        return JSONScan.matches(self, name, in: text.bytes)
    }
}

/// The members of one object in order, each checked when it is stepped over.
public struct JSONMembers {
    private var reader: JSONReader
    private var isFirst = true
    /// Behind the object's opening brace.
    let opening: Int

    /// Begins behind the brace where `reader` stands.
    @inline(__always)
    init(_ reader: JSONReader) {
        self.reader = reader
        opening = reader.at
    }

    /// The next member; nil behind the last one.
    public mutating func next() throws(JSONError) -> JSONMember? {
        guard let key = try nextKey() else { return nil }
        return JSONMember(key: key.range, value: try skipValue(), keyIsEscaped: key.isEscaped)
    }

    /// The key of the next member; nil behind the last one. Whoever asks must step over the value: with `skipValue`, or with a
    /// walk of its own whose end it tells with `resume`.
    public mutating func nextKey() throws(JSONError) -> JSONKey? {
        reader.skipSpaces()
        guard reader.at < reader.end else { throw reader.failure("") }
        let next = reader.byte(reader.at)
        if next == UInt8(ascii: "}") {
            reader.at += 1
            return nil
        }
        if !isFirst {
            guard next == UInt8(ascii: ",") else { throw reader.failure("expected a comma or a brace") }
            reader.at += 1
            reader.skipSpaces()
        }
        isFirst = false
        let key = try reader.skipKey()
        return JSONKey(range: key.range, isEscaped: key.escaped)
    }

    /// Steps over the value behind a key, and says where it is.
    public mutating func skipValue() throws(JSONError) -> Range<Int> {
        let start = reader.at
        if start < reader.end, reader.byte(start) == UInt8(ascii: "\"") {
            _ = try reader.skipString()
        } else if !reader.skipShort() {
            try reader.skipValue(depth: 1)
        }
        return Range(uncheckedBounds: (start, reader.at))
    }

    /// Whether the value behind a key begins with this byte.
    @inline(__always)
    public func valueBegins(with byte: UInt8) -> Bool {
        reader.at < reader.end && reader.byte(reader.at) == byte
    }

    /// Goes on at `position`, behind a value that somebody else walked over.
    public mutating func resume(at position: Int) {
        reader.at = min(max(position, reader.at), reader.end)
    }

    /// Where the walk stands: behind the object once `next` has given nil.
    public var position: Int { reader.at }

    /// Checks that only spaces are left in the text.
    public mutating func expectEnd() throws(JSONError) {
        try reader.expectEnd()
    }
}

/// The elements of one array in order, each checked when it is stepped over.
public struct JSONElements {
    private var reader: JSONReader
    private var isFirst = true

    /// Begins at the bracket where `reader` stands.
    init(_ reader: JSONReader) {
        self.reader = reader
        self.reader.at += 1
    }

    /// Where the next element is, which is stepped over; nil behind the last one.
    public mutating func next() throws(JSONError) -> Range<Int>? {
        guard let start = try begin() else { return nil }
        try reader.skipValue(depth: 1)
        return Range(uncheckedBounds: (start, reader.at))
    }

    /// Where the next object among the elements begins; others are stepped over, nil behind the last one.
    ///
    /// Whoever reads the object must say with `resume` where it ended.
    /// - Parameter count: gains the number of elements that were stepped over, the object included.
    public mutating func nextObject(_ count: inout Int) throws(JSONError) -> Int? {
        while let start = try begin() {
            count += 1
            if start < reader.end, reader.byte(start) == UInt8(ascii: "{") { return start }
            try reader.skipValue(depth: 1)
        }
        return nil
    }

    /// Where the walk stands: behind the array once `next` or `nextObject` has given nil.
    public var position: Int { reader.at }

    /// Goes on at `position`, behind the object that `nextObject` found.
    public mutating func resume(at position: Int) {
        reader.at = min(max(position, reader.at), reader.end)
    }

    /// Steps over what stands before an element.
    private mutating func begin() throws(JSONError) -> Int? {
        reader.skipSpaces()
        guard reader.at < reader.end else { throw reader.failure("") }
        let next = reader.byte(reader.at)
        if next == UInt8(ascii: "]") {
            reader.at += 1
            return nil
        }
        if !isFirst {
            guard next == UInt8(ascii: ",") else { throw reader.failure("expected a comma or a bracket") }
            reader.at += 1
            reader.skipSpaces()
        }
        isFirst = false
        return reader.at
    }
}

extension ByteBuffer {
    /// Whether a word of a few bytes occurs; quick even in long texts.
    public func contains(_ word: StaticString) -> Bool {
        withUnsafeReadableBytes { bytes in
            guard let base = bytes.baseAddress else { return word.utf8CodeUnitCount == 0 }
            return parley_find_word(base, bytes.count, word.utf8Start, word.utf8CodeUnitCount) >= 0
        }
    }
}
