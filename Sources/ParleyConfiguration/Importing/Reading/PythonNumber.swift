// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// One number of Python's, as JSON writes it.
///
/// Facts: "Numeric literals" of Python's language reference.
enum PythonNumber {
    /// Reads the number that begins here, and steps behind it.
    static func read(_ parser: inout PythonLiteral) throws(LineFault) -> String {
        let start = parser.at
        let fault = parser.fault("this is no number that can be written as JSON")
        var sign = ""
        while let byte = parser.peek, byte == UInt8(ascii: "-") || byte == UInt8(ascii: "+") {
            if byte == UInt8(ascii: "-") { sign = sign.isEmpty ? "-" : "" }
            parser.at += 1
            parser.skipSpace()
        }
        let digits = parser.at
        var last: UInt8 = 0
        parser.skip { byte in
            let isExponentSign =
                (byte == UInt8(ascii: "-") || byte == UInt8(ascii: "+"))
                && (last == UInt8(ascii: "e") || last == UInt8(ascii: "E"))
            let isPart = Character(Unicode.Scalar(byte)).isLetter || (0x30...0x39).contains(byte) || byte == 0x2E
            last = byte
            return byte < 0x80 && (isPart || byte == 0x5F || isExponentSign)
        }
        guard parser.at > digits, parser.at - start <= 400 else { throw fault }
        let text = String(decoding: parser.source.bytes[digits..<parser.at], as: UTF8.self).lowercased()
        guard !text.hasPrefix("_"), !text.hasSuffix("_"), !text.contains("__") else { throw fault }
        let bare = text.replacing("_", with: "")
        for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] where bare.hasPrefix(prefix) {
            guard bare.dropFirst(2).allSatisfy(\.isHexDigit), let value = UInt64(bare.dropFirst(2), radix: radix) else {
                throw fault
            }
            return sign + String(value)
        }
        guard let number = YAMLScalar.number(bare) else { throw fault }
        return sign + number
    }
}
