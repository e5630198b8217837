// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import CParleyBytes
public import NIOCore
public import ParleyCore

extension ByteBuffer {
    /// Appends a value as compact JSON text: members in their order, numbers as they were written.
    public mutating func writeJSON(_ value: JSONValue) {
        switch value {
        case .null: writeStaticString("null")
        case .bool(true): writeStaticString("true")
        case .bool(false): writeStaticString("false")
        case .number(let text): writeString(text)
        case .string(let text): writeJSONString(text)
        case .array(let elements):
            var separator = UInt8(ascii: "[")
            for element in elements {
                writeInteger(separator)
                writeJSON(element)
                separator = UInt8(ascii: ",")
            }
            if elements.isEmpty { writeInteger(separator) }
            writeInteger(UInt8(ascii: "]"))
        case .object(let object):
            var separator = UInt8(ascii: "{")
            for member in object.members {
                writeInteger(separator)
                writeJSONString(member.key)
                writeInteger(UInt8(ascii: ":"))
                writeJSON(member.value)
                separator = UInt8(ascii: ",")
            }
            if object.isEmpty { writeInteger(separator) }
            writeInteger(UInt8(ascii: "}"))
        }
    }

    /// Appends text as a JSON string, with its quotes; only what must be escaped is.
    public mutating func writeJSONString(_ text: String) {
        var text = text
        text.withUTF8 { utf8 in
            let bytes = UnsafeRawBufferPointer(utf8)
            let plain = bytes.baseAddress.map { parley_unescaped_run($0, bytes.count) } ?? 0
            guard plain == bytes.count else {
                writeEscaped(bytes, plain: plain)
                return
            }
            writeWithUnsafeMutableBytes(minimumWritableBytes: plain + 2) { out in
                out[0] = UInt8(ascii: "\"")
                UnsafeMutableRawBufferPointer(rebasing: out[1...]).copyMemory(from: bytes)
                out[plain + 1] = UInt8(ascii: "\"")
                return plain + 2
            }
        }
    }

    /// Appends text that needs escapes, `plain` bytes of which at its start do not.
    private mutating func writeEscaped(_ bytes: UnsafeRawBufferPointer, plain: Int) {
        guard let base = bytes.baseAddress else { return }
        writeInteger(UInt8(ascii: "\""))
        var start = 0
        var run = plain
        while true {
            writeBytes(UnsafeRawBufferPointer(start: base + start, count: run))
            start += run
            guard start < bytes.count else { break }
            writeEscape(bytes[start])
            start += 1
            run = parley_unescaped_run(base + start, bytes.count - start)
        }
        writeInteger(UInt8(ascii: "\""))
    }

    private mutating func writeEscape(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""): writeStaticString("\\\"")
        case UInt8(ascii: "\\"): writeStaticString("\\\\")
        case 0x08: writeStaticString("\\b")
        case 0x09: writeStaticString("\\t")
        case 0x0A: writeStaticString("\\n")
        case 0x0C: writeStaticString("\\f")
        case 0x0D: writeStaticString("\\r")
        default:
            func digit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x61 + value - 10 }
            writeStaticString("\\u00")
            writeInteger(digit(byte >> 4))
            writeInteger(digit(byte & 0x0F))
        }
    }
}
