// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyWire

/// Vectors as JSON: lists of numbers, or base64 of little-endian 32-bit floats. No tree: vectors are long.
enum VectorText {
    /// The vector at `value`: a list of numbers, or base64; nil for anything else.
    static func read(_ text: JSONText, _ value: Range<Int>) -> [Float]? {
        guard value.lowerBound >= 0, value.upperBound <= text.bytes.count else { return nil }
        switch text.first(value) {
        case UInt8(ascii: "["): return numbers(UnsafeRawBufferPointer(rebasing: text.bytes[value]))
        case UInt8(ascii: "\""): return bytes(text, value).flatMap(floats)
        default: return nil
        }
    }

    /// The vector at `value` where it is base64 of signed bytes (Perplexity).
    static func readInt8(_ text: JSONText, _ value: Range<Int>) -> [Float]? {
        guard value.lowerBound >= 0, value.upperBound <= text.bytes.count else { return nil }
        return bytes(text, value)?.map { Float(Int8(bitPattern: $0)) }
    }

    /// Appends a vector as a list of the shortest numbers that read back the same.
    static func write(_ vector: [Float], into out: inout ByteBuffer) {
        out.writeStaticString("[")
        for (index, value) in vector.enumerated() {
            if index > 0 { out.writeStaticString(",") }
            // Few enough characters to need no memory of their own.
            out.writeString(value.isFinite ? value.description : "0")
        }
        out.writeStaticString("]")
    }

    /// Appends a vector as base64 of its floats, with quotes.
    static func writeBase64(_ vector: [Float], into out: inout ByteBuffer) {
        let words = vector.map(\.bitPattern.littleEndian)
        words.withUnsafeBytes { bytes in
            _ = out.writeWithUnsafeMutableBytes(minimumWritableBytes: (bytes.count + 2) / 3 * 4 + 2) { target in
                target[0] = UInt8(ascii: "\"")
                let end = encode(bytes, into: target, at: 1)
                target[end] = UInt8(ascii: "\"")
                return end + 1
            }
        }
    }

    // MARK: Numbers

    private static let powers: [Double] = [
        1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
        1e20, 1e21, 1e22,
    ]

    /// The numbers of a list whose grammar was checked when it was found.
    private static func numbers(_ bytes: UnsafeRawBufferPointer) -> [Float]? {
        var list: [Float] = []
        list.reserveCapacity(bytes.count / 12)
        return powers.withUnsafeBufferPointer { powers in
            var at = 1
            while at < bytes.count {
                switch bytes[at] {
                case 0x20, 0x09, 0x0A, 0x0D, UInt8(ascii: ","): at += 1
                case UInt8(ascii: "]"): return list
                default:
                    guard let number = number(bytes, &at, powers), number.isFinite else { return nil }
                    list.append(number)
                }
            }
            return nil
        }
    }

    /// The number at `at`, which is moved behind it.
    @inline(__always)
    private static func number(
        _ bytes: UnsafeRawBufferPointer, _ at: inout Int, _ powers: UnsafeBufferPointer<Double>
    ) -> Float? {
        let start = at
        let isNegative = bytes[at] == UInt8(ascii: "-")
        if isNegative { at += 1 }
        var digits = Digits()
        digits.read(bytes, &at)
        if at < bytes.count, bytes[at] == UInt8(ascii: ".") {
            at += 1
            let point = at
            digits.read(bytes, &at)
            digits.exponent = point - at
        }
        if at < bytes.count, bytes[at] | 0x20 == UInt8(ascii: "e") { digits.readExponent(bytes, &at) }
        guard digits.count > 0 else { return nil }
        // Exact where both factors are: then one rounding to a double, and one to a float that could only differ from
        // rounding once where the double lies in the middle between two floats.
        let scale = abs(digits.exponent)
        if digits.mantissa <= 1 << 53, digits.count <= 19, scale < powers.count {
            let whole = Double(digits.mantissa)
            let value = digits.exponent < 0 ? whole / powers[scale] : whole * powers[scale]
            if value.bitPattern & 0x1FFF_FFFF != 0x1000_0000 { return Float(isNegative ? -value : value) }
        }
        return Float(String(decoding: bytes[start..<at], as: UTF8.self))
    }

    /// A number's digits so far.
    private struct Digits {
        var mantissa: UInt64 = 0
        var count = 0
        var exponent = 0

        @inline(__always)
        mutating func read(_ bytes: UnsafeRawBufferPointer, _ at: inout Int) {
            while at < bytes.count, bytes[at] &- 0x30 < 10 {
                // More than nineteen do not fit; the slow way reads them.
                mantissa = mantissa &* 10 &+ UInt64(bytes[at] &- 0x30)
                if count < 20 { count += mantissa == 0 && count > 0 ? 0 : 1 }
                at += 1
            }
        }

        @inline(__always)
        mutating func readExponent(_ bytes: UnsafeRawBufferPointer, _ at: inout Int) {
            at += 1
            var isNegative = false
            if at < bytes.count, bytes[at] == UInt8(ascii: "-") || bytes[at] == UInt8(ascii: "+") {
                isNegative = bytes[at] == UInt8(ascii: "-")
                at += 1
            }
            var power = 0
            while at < bytes.count, bytes[at] &- 0x30 < 10 {
                power = min(power * 10 + Int(bytes[at] &- 0x30), 100_000)
                at += 1
            }
            exponent += isNegative ? -power : power
        }
    }

    // MARK: Base64

    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    /// The value of each character; 0xFF for one that is none.
    private static let values: [UInt8] = {
        var values = [UInt8](repeating: 0xFF, count: 256)
        for (value, character) in alphabet.enumerated() { values[Int(character)] = UInt8(value) }
        return values
    }()

    /// The bytes of a base64 string; nil where it is none.
    private static func bytes(_ text: JSONText, _ value: Range<Int>) -> [UInt8]? {
        guard text.first(value) == UInt8(ascii: "\""), value.count >= 2 else { return nil }
        let inside = UnsafeRawBufferPointer(rebasing: text.bytes[value.lowerBound + 1..<value.upperBound - 1])
        // Some write the slash with a backslash before it.
        guard inside.contains(UInt8(ascii: "\\")) else { return decode(inside) }
        guard var plain = text.string(value) else { return nil }
        return plain.withUTF8 { decode(UnsafeRawBufferPointer($0)) }
    }

    private static func decode(_ text: UnsafeRawBufferPointer) -> [UInt8]? {
        var count = text.count
        while count > 0, text[count - 1] == UInt8(ascii: "="), text.count - count < 2 { count -= 1 }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count / 4 * 3 + 3)
        var held: UInt32 = 0
        var bits = 0
        var isValid = true
        values.withUnsafeBufferPointer { values in
            for index in 0..<count {
                let value = values[Int(text[index])]
                if value == 0xFF { isValid = false }
                held = held << 6 | UInt32(value & 0x3F)
                bits += 6
                if bits >= 8 {
                    bits -= 8
                    bytes.append(UInt8(truncatingIfNeeded: held >> UInt32(bits)))
                }
            }
        }
        return isValid && bits < 6 ? bytes : nil
    }

    private static func floats(_ bytes: [UInt8]) -> [Float]? {
        guard bytes.count % 4 == 0 else { return nil }
        var list: [Float] = []
        list.reserveCapacity(bytes.count / 4)
        var isFinite = true
        bytes.withUnsafeBytes { raw in
            for offset in stride(from: 0, to: raw.count, by: 4) {
                let value = Float(
                    bitPattern: UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
                if !value.isFinite { isFinite = false }
                list.append(value)
            }
        }
        return isFinite ? list : nil
    }

    /// Writes base64 of `bytes` from `start` on.
    ///
    /// - Returns: the offset behind it.
    private static func encode(
        _ bytes: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer, at start: Int
    ) -> Int {
        var to = start
        alphabet.withUnsafeBufferPointer { alphabet in
            var from = 0
            while from < bytes.count {
                let left = bytes.count - from
                let second = left > 1 ? UInt32(bytes[from + 1]) : 0
                let third = left > 2 ? UInt32(bytes[from + 2]) : 0
                let group = UInt32(bytes[from]) << 16 | second << 8 | third
                target[to] = alphabet[Int(group >> 18)]
                target[to + 1] = alphabet[Int(group >> 12 & 0x3F)]
                target[to + 2] = left > 1 ? alphabet[Int(group >> 6 & 0x3F)] : UInt8(ascii: "=")
                target[to + 3] = left > 2 ? alphabet[Int(group & 0x3F)] : UInt8(ascii: "=")
                to += 4
                from += 3
            }
        }
        return to
    }
}
