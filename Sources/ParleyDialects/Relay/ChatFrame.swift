// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import CParleyBytes
import Glibc
import NIOCore

/// A frame as nearly every one is: one line of `data:` with an object in it.
///
/// What makes a chunk worth a closer look is found in the same pass that finds the line's end. A quote inside a JSON
/// string is always escaped, so `"usage"` with both its quotes is never a piece of a text.
struct PlainFrame {
    /// Where the object is.
    let payload: Range<Int>
    /// Behind the frame's blank line.
    let end: Int
    /// Whether it has usage, an error, or a finish reason where one is looked for.
    let isRemarkable: Bool

    /// The frame that begins at `start`; nil where it has another form.
    @inline(__always)
    init?(_ bytes: UnsafeRawBufferPointer, at start: Int, seeksFinish: Bool) {
        guard let base = bytes.baseAddress, bytes.count - start >= 8 else { return nil }
        let data = UInt32(littleEndian: base.loadUnaligned(fromByteOffset: start, as: UInt32.self))
        guard data == 0x6174_6164, bytes[start + 4] == UInt8(ascii: ":") else { return nil }
        let object = start + (bytes[start + 5] == UInt8(ascii: " ") ? 6 : 5)
        guard bytes[object] == UInt8(ascii: "{") else { return nil }
        var at = object + 1
        var isRemarkable = false
        while true {
            at += parley_mark_run(base + at, bytes.count - at)
            guard at < bytes.count else { return nil }
            if bytes[at] != UInt8(ascii: "\"") { break }
            if !isRemarkable { isRemarkable = Self.isRemarkable(bytes, at: at, seeksFinish: seeksFinish) }
            at += 1
        }
        guard bytes[at - 1] == UInt8(ascii: "}"), let end = Self.blankLine(bytes, at: at) else { return nil }
        payload = Range(uncheckedBounds: (object, at))
        self.end = end
        self.isRemarkable = isRemarkable
    }

    /// Behind the two line ends that begin at `at`, which must be of one kind, LF or CRLF; nil where they are not.
    @inline(__always)
    private static func blankLine(_ bytes: UnsafeRawBufferPointer, at: Int) -> Int? {
        guard at + 1 < bytes.count, bytes[at + 1] == UInt8(ascii: "\n") else { return nil }
        if bytes[at] == UInt8(ascii: "\n") { return at + 2 }
        guard at + 2 < bytes.count, bytes[at + 2] == UInt8(ascii: "\r") else { return nil }
        // The last LF may be in the next read.
        return at + 3 < bytes.count && bytes[at + 3] == UInt8(ascii: "\n") ? at + 4 : at + 3
    }

    /// Whether the quote at `at` begins a key that matters, with a value that does.
    @inline(__always)
    private static func isRemarkable(_ bytes: UnsafeRawBufferPointer, at: Int, seeksFinish: Bool) -> Bool {
        let rest = UnsafeRawBufferPointer(rebasing: bytes[at...])
        switch rest[1] {
        case UInt8(ascii: "f"):
            guard seeksFinish, rest.begins(with: "\"finish_reason\"") else { return false }
            return !hasNoValue(rest, after: 15)
        case UInt8(ascii: "u"):
            return rest.begins(with: "\"usage\"") && !hasNoValue(rest, after: 7)
        default:
            // As a value it may be `object: error`.
            return rest.begins(with: "\"error\"") && !hasNoValue(rest, after: 7)
        }
    }

    /// Whether null, `""` or `"null"` follows a key that ends at `length`.
    @inline(__always)
    private static func hasNoValue(_ rest: UnsafeRawBufferPointer, after length: Int) -> Bool {
        guard rest.count > length, rest[length] == UInt8(ascii: ":") else { return false }
        var at = length + 1
        while at < rest.count, rest[at] == UInt8(ascii: " ") { at += 1 }
        let value = UnsafeRawBufferPointer(rebasing: rest[at...])
        return value.begins(with: "null") || value.begins(with: "\"\"") || value.begins(with: "\"null\"")
    }
}

extension UnsafeRawBufferPointer {
    /// Whether the first bytes are those of `text`.
    @inline(__always)
    func begins(with text: StaticString) -> Bool {
        guard count >= text.utf8CodeUnitCount, let baseAddress else { return false }
        return memcmp(baseAddress, text.utf8Start, text.utf8CodeUnitCount) == 0
    }
}

/// A frame of any form that server-sent events allow, read line by line.
struct AnyFrame {
    /// The data lines joined by line feeds, without spaces around them; nil where there is no data line.
    private(set) var payload: ByteBuffer?
    /// Whether it is named `error`.
    private(set) var isErrorEvent = false
    /// Lines that no event stream has: an answer that was sent without framing.
    private(set) var stray: ByteBuffer?
    /// Behind the frame's blank line.
    private(set) var end: Int

    /// Reads the frame that begins at `start`. What is not ended by a blank line counts as ended.
    init(_ bytes: UnsafeRawBufferPointer, at start: Int) {
        end = start
        guard let base = bytes.baseAddress else { return }
        var strayStart: Int?
        while end < bytes.count {
            let lineStart = end
            let length = parley_line_run(base + end, bytes.count - end)
            let line = UnsafeRawBufferPointer(rebasing: bytes[end..<end + length])
            end += length
            if end < bytes.count {
                let isPair =
                    bytes[end] == UInt8(ascii: "\r") && end + 1 < bytes.count
                    && bytes[end + 1] == UInt8(ascii: "\n")
                end += isPair ? 2 : 1
            }
            if line.isEmpty { break }
            if !take(line), strayStart == nil { strayStart = lineStart }
        }
        payload?.trimSpaces()
        if let strayStart { stray = ByteBuffer(bytes: UnsafeRawBufferPointer(rebasing: bytes[strayStart..<end])) }
    }

    /// Takes in a line that is not empty.
    ///
    /// - Returns: false where no event stream has such a line.
    private mutating func take(_ line: UnsafeRawBufferPointer) -> Bool {
        if let value = line.field("data") {
            if payload == nil {
                payload = ByteBuffer(bytes: value)
            } else {
                payload?.writeInteger(UInt8(ascii: "\n"))
                payload?.writeBytes(value)
            }
        } else if let value = line.field("event") {
            isErrorEvent = value.elementsEqual("error".utf8)
        } else {
            return line[0] != UInt8(ascii: "{") && line[0] != UInt8(ascii: "[") && line[0] != UInt8(ascii: "<")
        }
        return true
    }

    /// Whether the frame is the stream's proper end.
    var isDone: Bool { payload?.readableBytesView.elementsEqual("[DONE]".utf8) ?? false }

    /// Whether the payload begins and ends as an object does.
    var isObject: Bool {
        guard let view = payload?.readableBytesView else { return false }
        return view.first == UInt8(ascii: "{") && view.last == UInt8(ascii: "}")
    }
}

extension UnsafeRawBufferPointer {
    /// The value of a line's field, when the line is one of that field.
    fileprivate func field(_ name: StaticString) -> UnsafeRawBufferPointer? {
        guard begins(with: name) else { return nil }
        let length = name.utf8CodeUnitCount
        if count == length { return UnsafeRawBufferPointer(rebasing: self[length...]) }
        guard self[length] == UInt8(ascii: ":") else { return nil }
        let hasSpace = count > length + 1 && self[length + 1] == UInt8(ascii: " ")
        return UnsafeRawBufferPointer(rebasing: self[(length + (hasSpace ? 2 : 1))...])
    }
}

extension ByteBuffer {
    /// Takes the spaces off both ends.
    fileprivate mutating func trimSpaces() {
        func isSpace(_ byte: UInt8?) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D }
        while isSpace(getInteger(at: readerIndex)) { moveReaderIndex(forwardBy: 1) }
        while readableBytes > 0, isSpace(getInteger(at: writerIndex - 1)) { moveWriterIndex(to: writerIndex - 1) }
    }
}
