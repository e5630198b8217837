// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// Text inside a path or a query (RFC 3986 section 2).
enum PercentEncoding {
    /// The text with every byte encoded that is neither unreserved nor among `kept`.
    static func encode(_ text: String, keeping kept: String = "") -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                bytes.append(byte)
            default:
                if kept.utf8.contains(byte) {
                    bytes.append(byte)
                } else {
                    bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
                }
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The text as one segment of a path, or one value of a query: names come from clients.
    static func segment(_ text: String) -> String {
        let out = encode(text, keeping: "@")
        // A dot alone is a step, not a name.
        return out.allSatisfy { $0 == "." } ? out.replacing(".", with: "%2E") : out
    }
}
