// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// Base64 that holds text.
enum Base64Text {
    /// The text; nil where it is no base64 or no UTF-8.
    static func decode(_ base64: String) -> String? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(base64.utf8.count / 4 * 3)
        var bits: UInt32 = 0
        var count = 0
        for byte in base64.utf8 {
            let value: UInt32
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = UInt32(byte) - 65
            case UInt8(ascii: "a")...UInt8(ascii: "z"): value = UInt32(byte) - 71
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = UInt32(byte) + 4
            case UInt8(ascii: "+"), UInt8(ascii: "-"): value = 62
            case UInt8(ascii: "/"), UInt8(ascii: "_"): value = 63
            case UInt8(ascii: "="), 0x20, 0x0A, 0x0D: continue
            default: return nil
            }
            bits = (bits << 6 | value) & 0xFF_FFFF
            count += 1
            guard count % 4 != 1 else { continue }
            let shift = [0: 0, 2: 4, 3: 2][count % 4] ?? 0
            bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(shift)))
        }
        return String(validating: bytes, as: UTF8.self)
    }

    /// The text's UTF-8 in base64.
    static func encode(_ text: String) -> String {
        let bytes = Array(text.utf8)
        var out: [UInt8] = []
        out.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let left = min(3, bytes.count - start)
            var group: UInt32 = 0
            for offset in 0..<3 { group = group << 8 | UInt32(offset < left ? bytes[start + offset] : 0) }
            for place in 0..<4 {
                let value = Int(group >> UInt32(18 - 6 * place) & 0x3F)
                out.append(place <= left ? alphabet[value] : UInt8(ascii: "="))
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    /// Base64 in the usual alphabet and with its padding; the text itself where it is so already.
    ///
    /// Google's libraries write bytes in the alphabet for addresses, which no other vendor takes.
    static func standard(_ base64: String) -> String {
        let isUsual = base64.utf8.allSatisfy { $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: "_") }
        if isUsual, base64.utf8.count % 4 == 0 { return base64 }
        var out = base64.utf8.map { byte in
            switch byte {
            case UInt8(ascii: "-"): UInt8(ascii: "+")
            case UInt8(ascii: "_"): UInt8(ascii: "/")
            default: byte
            }
        }
        while out.count % 4 != 0 { out.append(UInt8(ascii: "=")) }
        return String(decoding: out, as: UTF8.self)
    }
}
