// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

extension JSONReader {
    /// Reads a whole text as a tree.
    static func tree(_ bytes: UnsafeRawBufferPointer, maximumDepth: Int) throws(JSONError) -> JSONValue {
        guard var reader = JSONReader(bytes) else { throw JSONError(offset: 0, message: "unexpected end of the text") }
        reader.skipSpaces()
        let value = try reader.value(depthLeft: min(maximumDepth, JSON.deepest))
        try reader.expectEnd()
        return value
    }

    /// Reads the value that begins here.
    mutating func value(depthLeft: Int) throws(JSONError) -> JSONValue {
        guard at < end else { throw failure("") }
        switch byte(at) {
        case UInt8(ascii: "\""):
            return .string(try string())
        case UInt8(ascii: "{"):
            return .object(try object(depthLeft: depthLeft))
        case UInt8(ascii: "["):
            return .array(try array(depthLeft: depthLeft))
        case UInt8(ascii: "t"):
            try skipWord("true")
            return .bool(true)
        case UInt8(ascii: "f"):
            try skipWord("false")
            return .bool(false)
        case UInt8(ascii: "n"):
            try skipWord("null")
            return .null
        case UInt8(ascii: "-"), 0x30...0x39:
            let start = at
            try skipNumber()
            return .number(text(start..<at))
        default:
            throw failure("expected a value")
        }
    }

    private mutating func object(depthLeft: Int) throws(JSONError) -> JSONObject {
        guard depthLeft > 0 else { throw failure("nested too deeply") }
        at += 1
        skipSpaces()
        var members: [JSONObject.Member] = []
        if at < end, byte(at) == UInt8(ascii: "}") {
            at += 1
            return JSONObject(members)
        }
        while true {
            let key = try skipKey()
            let name = key.escaped ? unescaped(key.range) : text(key.range)
            members.append(JSONObject.Member(name, try value(depthLeft: depthLeft - 1)))
            skipSpaces()
            guard at < end else { throw failure("") }
            let next = byte(at)
            at += 1
            if next == UInt8(ascii: "}") { return JSONObject(members) }
            guard next == UInt8(ascii: ",") else {
                at -= 1
                throw failure("expected a comma or a brace")
            }
            skipSpaces()
        }
    }

    private mutating func array(depthLeft: Int) throws(JSONError) -> [JSONValue] {
        guard depthLeft > 0 else { throw failure("nested too deeply") }
        at += 1
        skipSpaces()
        var elements: [JSONValue] = []
        if at < end, byte(at) == UInt8(ascii: "]") {
            at += 1
            return elements
        }
        while true {
            elements.append(try value(depthLeft: depthLeft - 1))
            skipSpaces()
            guard at < end else { throw failure("") }
            let next = byte(at)
            at += 1
            if next == UInt8(ascii: "]") { return elements }
            guard next == UInt8(ascii: ",") else {
                at -= 1
                throw failure("expected a comma or a bracket")
            }
            skipSpaces()
        }
    }
}

// MARK: - Text

extension JSONReader {
    /// Reads the string that begins here.
    mutating func string() throws(JSONError) -> String {
        let start = at + 1
        let escaped = try skipString()
        return escaped ? unescaped(start..<at - 1) : text(start..<at - 1)
    }

    /// Bytes that were checked, as text.
    func text(_ range: Range<Int>) -> String {
        String(decoding: UnsafeRawBufferPointer(start: base + range.lowerBound, count: range.count), as: UTF8.self)
    }

    /// The inside of a string that was checked, without its escapes. It is never longer than with them.
    func unescaped(_ range: Range<Int>) -> String {
        String(unsafeUninitializedCapacity: range.count) { out in
            var from = range.lowerBound
            var to = 0
            while from < range.upperBound {
                let next = byte(from)
                if next != UInt8(ascii: "\\") {
                    out[to] = next
                    from += 1
                    to += 1
                    continue
                }
                let kind = byte(from + 1)
                from += 2
                if kind == UInt8(ascii: "u") {
                    for unit in String(character(&from, before: range.upperBound)).utf8 {
                        out[to] = unit
                        to += 1
                    }
                } else {
                    out[to] = Self.escapes(kind)
                    to += 1
                }
            }
            return to
        }
    }

    private static func escapes(_ kind: UInt8) -> UInt8 {
        switch kind {
        case UInt8(ascii: "b"): 0x08
        case UInt8(ascii: "f"): 0x0C
        case UInt8(ascii: "n"): 0x0A
        case UInt8(ascii: "r"): 0x0D
        case UInt8(ascii: "t"): 0x09
        default: kind
        }
    }

    /// The character of a `\u` escape whose digits begin at `from`, and of the one after it where both are one pair.
    private func character(_ from: inout Int, before end: Int) -> Unicode.Scalar {
        let first = UInt32(unit(from))
        from += 4
        if let scalar = Unicode.Scalar(first) { return scalar }
        let isHigh = first < 0xDC00
        if isHigh, from + 6 <= end, byte(from) == UInt8(ascii: "\\"), byte(from + 1) == UInt8(ascii: "u") {
            let second = UInt32(unit(from + 2))
            if second >= 0xDC00, second < 0xE000 {
                from += 6
                let value = 0x10000 + ((first - 0xD800) << 10 | (second - 0xDC00))
                return Unicode.Scalar(value) ?? "\u{FFFD}"
            }
        }
        return "\u{FFFD}"
    }

    private func unit(_ from: Int) -> UInt16 {
        var value: UInt16 = 0
        for offset in from..<from + 4 {
            value = value << 4 | (Self.hexDigit(byte(offset)) ?? 0)
        }
        return value
    }
}
