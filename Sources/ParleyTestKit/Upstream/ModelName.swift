// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.
import Glibc
import NIOCore

/// Finds the top-level `model` of a JSON object without decoding it: the upstream does this for every request, at
/// tens of thousands a second, and the bodies may be large.
enum ModelName {
    /// The model, or `nil` if the body is not a JSON object with a string of that name (one without escapes).
    static func find(in body: ByteBuffer) -> String? {
        body.withUnsafeReadableBytes { bytes in
            guard let range = range(in: bytes) else { return nil }
            return String(decoding: bytes[range], as: UTF8.self)
        }
    }

    private static func range(in bytes: UnsafeRawBufferPointer) -> Range<Int>? {
        let key = "model"
        var depth = 0
        var position = 0
        var found = false
        while position < bytes.count {
            switch bytes[position] {
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
            case UInt8(ascii: "\""):
                guard let end = endOfString(from: position + 1, in: bytes) else { return nil }
                let content = position + 1..<end
                if found { return content }
                position = end + 1
                if depth == 1, bytes[content].elementsEqual(key.utf8) {
                    while position < bytes.count, isSpace(bytes[position]) { position += 1 }
                    found = position < bytes.count && bytes[position] == UInt8(ascii: ":")
                    position += found ? 1 : 0
                }
                continue
            case let byte where isSpace(byte): break
            default: found = false
            }
            position += 1
        }
        return nil
    }

    private static func isSpace(_ byte: UInt8) -> Bool {
        byte == 0x20 || (0x09...0x0D).contains(byte)
    }

    /// The place of the closing quote.
    private static func endOfString(from start: Int, in bytes: UnsafeRawBufferPointer) -> Int? {
        guard let base = bytes.baseAddress else { return nil }
        var position = start
        while position < bytes.count,
            let quote = memchr(base.advanced(by: position), Int32(UInt8(ascii: "\"")), bytes.count - position)
        {
            let place = UnsafeRawPointer(quote) - base
            var backslashes = 0
            while place - backslashes > start, bytes[place - backslashes - 1] == UInt8(ascii: "\\") {
                backslashes += 1
            }
            if backslashes % 2 == 0 { return place }
            position = place + 1
        }
        return nil
    }
}
