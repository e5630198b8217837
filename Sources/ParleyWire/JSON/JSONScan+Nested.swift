// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore

// Going further down than the top level, for the few places where that is cheaper than a tree.
extension JSONScan {
    /// The member's value as an object of its own; nil where it is none. Offsets in it count from its own start.
    public func object(_ name: String) -> JSONScan? {
        guard let member = member(name) else { return nil }
        return object(member.value)
    }

    /// The object at `range` of this text; nil where there is none.
    public func object(_ range: Range<Int>) -> JSONScan? {
        guard let slice = slice(range), slice.isObject else { return nil }
        return try? JSONScan(slice)
    }

    /// Where the elements of the array `name` are in this text; nil where it is no array.
    public func elements(_ name: String) -> [Range<Int>]? {
        guard let member = member(name), first(member) == UInt8(ascii: "[") else { return nil }
        return bytes.withUnsafeReadableBytes { raw in
            guard member.value.upperBound <= raw.count, var reader = JSONReader(raw, at: member.value.lowerBound) else {
                return nil
            }
            return try? reader.elements()
        }
    }

    /// The member's value where it is a whole number that fits, also when written `5.0` or `5e0`; else nil.
    public func int(_ name: String) -> Int? {
        guard let member = member(name) else { return nil }
        let digits = bytes.withUnsafeReadableBytes { raw -> Int? in
            guard member.value.upperBound <= raw.count, member.value.count <= 18 else { return nil }
            var number = 0
            for byte in raw[member.value] {
                guard byte &- 0x30 < 10 else { return nil }
                number = number &* 10 &+ Int(byte &- 0x30)
            }
            return number
        }
        if let digits { return digits }
        return (try? value(member))?.int
    }
}

extension JSONScan {
    /// Whether the member's value is null or an empty string, array or object.
    public func isBlank(_ member: JSONMember) -> Bool {
        bytes.withUnsafeReadableBytes { raw in
            guard member.value.upperBound <= raw.count, let first = raw[member.value].first else { return true }
            switch first {
            case UInt8(ascii: "n"): return true
            case UInt8(ascii: "\""): return member.value.count == 2
            case UInt8(ascii: "["), UInt8(ascii: "{"):
                return raw[member.value].dropFirst().dropLast().allSatisfy { $0 <= 0x20 }
            default: return false
            }
        }
    }
}

extension ByteBuffer {
    fileprivate var isObject: Bool { getInteger(at: readerIndex, as: UInt8.self) == UInt8(ascii: "{") }
}

extension JSONReader {
    /// Steps over the array that begins here.
    ///
    /// - Returns: where its elements are.
    fileprivate mutating func elements() throws(JSONError) -> [Range<Int>] {
        var elements: [Range<Int>] = []
        at += 1
        skipSpaces()
        if at < end, byte(at) == UInt8(ascii: "]") { return elements }
        while true {
            let start = at
            try skipValue(depth: 1)
            elements.append(start..<at)
            skipSpaces()
            guard at < end, byte(at) == UInt8(ascii: ",") else { break }
            at += 1
            skipSpaces()
        }
        try expect(UInt8(ascii: "]"), "expected a comma or a bracket")
        return elements
    }
}
