// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore

/// How log lines are written.
public enum LogFormat: String, Sendable {
    /// Words and `name=value` pairs, for people.
    case text
    /// One JSON object per line.
    case json
}

/// What a field may hold in plain sight; everything else is escaped, so that no value can forge a line or a field,
/// or make a terminal do something.
enum ByteClass {
    /// Whether a byte may stand as it is in an unquoted text value.
    static func isBare(_ byte: UInt8) -> Bool {
        byte > 0x20 && byte < 0x7F && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
            && byte != UInt8(ascii: "=")
    }

    /// Whether a byte may stand as it is inside quotes.
    static func isQuotable(_ byte: UInt8) -> Bool {
        byte >= 0x20 && byte < 0x7F && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
    }
}

extension ByteBuffer {
    /// Appends a value of a text line: bare where that is unambiguous, else in quotes with JSON's escapes.
    ///
    /// - Parameter limit: how many bytes of the value may be written; a longer one is cut and ends in `…`.
    mutating func writeTextValue(_ value: String, limit: Int) {
        if !writeIf(value, limit: limit, ByteClass.isBare) { writeQuoted(value, limit: limit) }
    }

    /// Appends a value as a JSON string, which is also how a text line quotes.
    ///
    /// - Parameter limit: how many bytes of the value may be written; a longer one is cut and ends in `…`.
    mutating func writeQuoted(_ value: String, limit: Int) {
        writeInteger(UInt8(ascii: "\""))
        if !writeIf(value, limit: limit, ByteClass.isQuotable) {
            writeEscaped(value, limit: limit, keepingQuotes: false)
        }
        writeInteger(UInt8(ascii: "\""))
    }

    /// Appends text with control characters escaped: the message of a text line.
    mutating func writeMessage(_ value: String, limit: Int) {
        writeEscaped(value, limit: limit, keepingQuotes: true)
    }

    /// Appends a value as it is, if it is not empty or too long and all its bytes are allowed.
    @inline(__always)
    private mutating func writeIf(_ value: String, limit: Int, _ isAllowed: (UInt8) -> Bool) -> Bool {
        let written = value.utf8.withContiguousStorageIfAvailable { bytes in
            guard !bytes.isEmpty, bytes.count <= limit, bytes.allSatisfy(isAllowed) else { return false }
            writeBytes(UnsafeRawBufferPointer(bytes))
            return true
        }
        return written ?? false
    }

    private mutating func writeEscaped(_ value: String, limit: Int, keepingQuotes: Bool) {
        var written = 0
        for scalar in value.unicodeScalars {
            let width = UTF8.width(scalar)
            guard written + width <= limit else {
                writeString("…")
                return
            }
            written += width
            writeEscaped(scalar, keepingQuotes: keepingQuotes)
        }
    }

    private mutating func writeEscaped(_ scalar: Unicode.Scalar, keepingQuotes: Bool) {
        switch scalar {
        case "\"" where !keepingQuotes: writeStaticString("\\\"")
        case "\\" where !keepingQuotes: writeStaticString("\\\\")
        case "\n": writeStaticString("\\n")
        case "\r": writeStaticString("\\r")
        case "\t": writeStaticString("\\t")
        default:
            if scalar.isHazard {
                writeStaticString("\\u")
                writeHexadecimal(UInt16(truncatingIfNeeded: scalar.value))
            } else if scalar.isASCII {
                writeInteger(UInt8(truncatingIfNeeded: scalar.value))
            } else {
                writeString(String(scalar))
            }
        }
    }

    private mutating func writeHexadecimal(_ value: UInt16) {
        for shift: UInt16 in [12, 8, 4, 0] {
            let digit = UInt8(truncatingIfNeeded: (value >> shift) & 0xF)
            writeInteger(digit < 10 ? UInt8(ascii: "0") &+ digit : UInt8(ascii: "a") &+ digit &- 10)
        }
    }

    /// Appends a number that is not negative, of at least `width` digits, with zeros in front.
    mutating func writePadded(_ value: Int64, width: Int) {
        // Twenty bytes hold the digits of any 64-bit number.
        writeWithUnsafeMutableBytes(minimumWritableBytes: 20) { bytes in
            var rest = value.magnitude
            var digits = 1
            while digits < 20, rest >= 10 {
                rest /= 10
                digits += 1
            }
            let count = min(20, max(width, digits))
            rest = value.magnitude
            for index in stride(from: count - 1, through: 0, by: -1) {
                bytes[index] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
            }
            return count
        }
    }
}

extension UTF8 {
    fileprivate static func width(_ scalar: Unicode.Scalar) -> Int {
        switch scalar.value {
        case 0..<0x80: 1
        case 0x80..<0x800: 2
        case 0x800..<0x10000: 3
        default: 4
        }
    }
}

extension Unicode.Scalar {
    /// Controls, line separators and marks that turn the reading direction: all within 16 bits.
    fileprivate var isHazard: Bool {
        switch value {
        case 0..<0x20, 0x7F..<0xA0, 0x2028...0x202E, 0x2066...0x2069, 0xFEFF: true
        default: false
        }
    }
}
