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
        guard let base = bytes.baseAddress else { return nil }
        var frame = parley_frame()
        guard parley_chat_frame(base + start, bytes.count - start, seeksFinish ? 1 : 0, &frame) != 0 else { return nil }
        payload = Range(uncheckedBounds: (start + frame.payload, start + frame.payload_end))
        end = start + frame.end
        isRemarkable = frame.is_remarkable != 0
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
