// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore

/// Writes one log line into room that was reserved for all of it.
///
/// What does not fit is left out, so that a wrong estimate of the room costs text and nothing worse.
struct LineWriter {
    /// How many bytes of a client's text are written.
    static let limit = 256

    private let room: UnsafeMutableRawBufferPointer
    /// How many bytes are written.
    private(set) var count = 0

    init(_ room: UnsafeMutableRawBufferPointer) {
        self.room = room
    }

    /// The most room that a value can take: six bytes for each of its own, quotes, and what marks a cut.
    static func room(for value: String?) -> Int {
        guard let value else { return 0 }
        return min(limit, value.utf8.count) * 6 + 8
    }

    @inline(__always)
    mutating func write(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count <= room.count - count, let source = bytes.baseAddress, let target = room.baseAddress else {
            return
        }
        (target + count).copyMemory(from: source, byteCount: bytes.count)
        count += bytes.count
    }

    @inline(__always)
    mutating func write(_ text: StaticString) {
        write(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Appends text whose every byte is known to be harmless.
    mutating func writePlain(_ text: String) {
        text.withBytes { write($0) }
    }

    /// Appends a number of at least `width` digits, with zeros in front; a negative one counts as zero.
    mutating func write(_ value: Int, width: Int = 1) {
        if value >= 0, value < 10, width == 1, count < room.count {
            room[count] = UInt8(truncatingIfNeeded: value) | 0x30
            count += 1
            return
        }
        var rest = UInt64(max(0, value))
        var digits = 1
        var bound: UInt64 = 10
        while digits < 19, rest >= bound {
            bound *= 10
            digits += 1
        }
        let length = max(width, digits)
        guard length <= room.count - count else { return }
        var at = count + length
        while at > count {
            at -= 1
            let next = rest / 10
            room[at] = UInt8(truncatingIfNeeded: rest &- next &* 10) | 0x30
            rest = next
        }
        count += length
    }

    /// Appends a value as a text line has it: bare where that is unambiguous, else in quotes.
    mutating func writeValue(_ value: String) {
        if !writeIf(value, ByteClass.isBare) { writeUnusual { $0.writeTextValue(value, limit: Self.limit) } }
    }

    /// Appends a value as a JSON string.
    mutating func writeQuoted(_ value: String) {
        let start = count
        write("\"")
        if writeIf(value, ByteClass.isQuotable) {
            write("\"")
        } else {
            count = start
            writeUnusual { $0.writeQuoted(value, limit: Self.limit) }
        }
    }

    @inline(never)
    private mutating func writeUnusual(_ body: (inout ByteBuffer) -> Void) {
        var text = ByteBuffer()
        body(&text)
        text.withUnsafeReadableBytes { write($0) }
    }

    /// Appends a value as it is, if it is not empty or too long and all its bytes are allowed.
    @inline(__always)
    private mutating func writeIf(_ value: String, _ isAllowed: (UInt8) -> Bool) -> Bool {
        value.withBytes { bytes in
            guard !bytes.isEmpty, bytes.count <= Self.limit, bytes.count <= room.count - count else { return false }
            // Without a way out of the loop, so that the compiler looks at many bytes at once.
            var harmful: UInt8 = 0
            for byte in bytes { harmful |= isAllowed(byte) ? 0 : 1 }
            guard harmful == 0 else { return false }
            write(bytes)
            return true
        }
    }
}

extension String {
    /// Lends the text's bytes; unlike `withUTF8` without a copy of the reference to them where they are in one piece, as they
    /// nearly always are.
    @inline(__always)
    func withBytes<Value>(_ body: (UnsafeRawBufferPointer) -> Value) -> Value {
        if let value = utf8.withContiguousStorageIfAvailable({ body(UnsafeRawBufferPointer($0)) }) { return value }
        var copy = self
        return copy.withUTF8 { body(UnsafeRawBufferPointer($0)) }
    }
}
