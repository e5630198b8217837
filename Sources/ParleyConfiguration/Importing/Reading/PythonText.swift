// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// One text of Python's, with its prefix, its quotes and its escapes.
///
/// Facts: "String and Bytes literals" of Python's language reference.
enum PythonText {
    /// Reads the text that begins here, and steps behind it.
    static func read(_ parser: inout PythonLiteral) throws(LineFault) -> String {
        let start = parser.fault("this text is not closed")
        let prefix = parser.textPrefix() ?? ""
        if prefix.contains("f") || prefix.contains("t") {
            throw parser.fault("text with a formula in it (\(prefix)\"…\") is not read: it would have to be run")
        }
        if prefix.contains("b") { throw parser.fault("bytes (\(prefix)\"…\") are no text") }
        parser.at += prefix.utf8.count
        guard let quote = parser.peek else { throw start }
        let isLong = parser.peek(1) == quote && parser.peek(2) == quote
        parser.at += isLong ? 3 : 1
        var out: [UInt8] = []
        while let byte = parser.peek {
            if byte == quote, !isLong || (parser.peek(1) == quote && parser.peek(2) == quote) {
                parser.at += isLong ? 3 : 1
                return String(decoding: out, as: UTF8.self)
            }
            if byte == 0x0A || byte == 0x0D, !isLong { throw start }
            if byte == UInt8(ascii: "\\") {
                if prefix.contains("r") {
                    // The character behind it loses its meaning, but both stay.
                    out.append(byte)
                    parser.at += 1
                    if let next = parser.peek {
                        out.append(next)
                        parser.at += 1
                    }
                } else {
                    try escape(&parser, into: &out)
                }
            } else {
                out.append(byte)
                parser.at += 1
            }
        }
        throw start
    }

    private static let plain: [UInt8: UInt8] = [
        UInt8(ascii: "\\"): UInt8(ascii: "\\"), UInt8(ascii: "'"): UInt8(ascii: "'"),
        UInt8(ascii: "\""): UInt8(ascii: "\""), UInt8(ascii: "a"): 0x07, UInt8(ascii: "b"): 0x08,
        UInt8(ascii: "f"): 0x0C, UInt8(ascii: "n"): 0x0A, UInt8(ascii: "r"): 0x0D, UInt8(ascii: "t"): 0x09,
        UInt8(ascii: "v"): 0x0B,
    ]

    private static func escape(_ parser: inout PythonLiteral, into out: inout [UInt8]) throws(LineFault) {
        guard let kind = parser.peek(1) else { throw parser.fault("this text is not closed") }
        let fault = parser.fault("this escape stands for no character")
        if let byte = plain[kind] {
            out.append(byte)
            parser.at += 2
            return
        }
        switch kind {
        case 0x0A: parser.at += 2
        case 0x0D: parser.at += parser.peek(2) == 0x0A ? 3 : 2
        case 0x30...0x37:
            parser.at += 1
            var value: UInt32 = 0
            for _ in 0..<3 {
                guard let digit = parser.peek, (0x30...0x37).contains(digit) else { break }
                value = value << 3 | UInt32(digit - 0x30)
                parser.at += 1
            }
            try append(value, fault, &out)
        case UInt8(ascii: "x"): try hexadecimal(2, &parser, fault, &out)
        case UInt8(ascii: "u"): try hexadecimal(4, &parser, fault, &out)
        case UInt8(ascii: "U"): try hexadecimal(8, &parser, fault, &out)
        case UInt8(ascii: "N"):
            guard parser.peek(2) == UInt8(ascii: "{") else { throw fault }
            parser.at += 3
            let start = parser.at
            parser.skip { $0 != UInt8(ascii: "}") && $0 != 0x0A }
            let name = String(decoding: parser.source.bytes[start..<parser.at], as: UTF8.self).uppercased()
            guard parser.peek == UInt8(ascii: "}"), name.utf8.count <= 100,
                let scalar = parser.names.scalar(named: name)
            else { throw fault }
            parser.at += 1
            try append(scalar.value, fault, &out)
        default:
            // An unknown escape stays as it is.
            out += [UInt8(ascii: "\\")]
            parser.at += 1
        }
    }

    private static func hexadecimal(
        _ count: Int, _ parser: inout PythonLiteral, _ fault: LineFault, _ out: inout [UInt8]
    ) throws(LineFault) {
        parser.at += 2
        let digits = parser.source.bytes[parser.at...].prefix(count)
        let isHex = digits.allSatisfy { Character(Unicode.Scalar($0)).isHexDigit && $0 < 0x80 }
        guard digits.count == count, isHex, let value = UInt32(String(decoding: digits, as: UTF8.self), radix: 16)
        else { throw fault }
        parser.at += count
        try append(value, fault, &out)
    }

    private static func append(_ value: UInt32, _ fault: LineFault, _ out: inout [UInt8]) throws(LineFault) {
        // Half of a surrogate pair is no character, and Python does not put two of them together.
        guard let scalar = Unicode.Scalar(value) else { throw fault }
        out += Array(String(scalar).utf8)
    }
}

/// Finds characters by their Unicode names; looking through all of them takes time, so only so many are looked for.
struct CharacterNames {
    private var found: [String: Unicode.Scalar?] = [:]
    private static let most = 32

    /// The character of that name, which is in capitals.
    mutating func scalar(named name: String) -> Unicode.Scalar? {
        if let known = found[name] { return known }
        guard found.count < Self.most else { return nil }
        let scalar = (0x20...0xFFFFF as ClosedRange<UInt32>).lazy.compactMap { Unicode.Scalar($0) }.first {
            $0.properties.name == name || $0.properties.nameAlias == name
        }
        found[name] = .some(scalar)
        return scalar
    }
}
