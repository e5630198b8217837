// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore

/// The parts of a response head that decide its framing, read in one pass.
struct ResponseHead {
    private(set) var status = 0
    private(set) var contentLength: Int?
    private(set) var isChunked = false
    private(set) var isReusable = true
    /// The header lines where they lie: as long as somebody has them, all that was read with them is kept.
    private(set) var lines = ByteBuffer()

    /// Reads a head, status line and empty line included.
    ///
    /// - Throws: `FramingError` where the status line or a length makes no sense.
    init(_ head: ByteBuffer) throws(FramingError) {
        var failure: FramingError?
        var linesStart = 0
        head.withUnsafeReadableBytes { bytes in
            var start = 0
            while start < bytes.count, failure == nil {
                let end = bytes.place(of: 0x0A, from: start) ?? bytes.count
                var last = end
                if last > start, bytes[last - 1] == 0x0D { last -= 1 }
                let line = UnsafeRawBufferPointer(rebasing: bytes[start..<last])
                if start == 0 {
                    failure = readStatus(line)
                    linesStart = min(end + 1, bytes.count)
                } else {
                    failure = readHeader(line)
                }
                start = end + 1
            }
        }
        if let failure { throw failure }
        lines = head
        lines.moveReaderIndex(forwardBy: linesStart)
    }

    private mutating func readStatus(_ line: UnsafeRawBufferPointer) -> FramingError? {
        // HTTP/1.x SP 3DIGIT
        guard line.count >= 12, line.begins(with: "HTTP/1."), line[8] == 0x20 else {
            return FramingError(reason: "the answer is not HTTP/1.1")
        }
        if line[7] == 0x30 { isReusable = false }
        for byte in line[9..<12] {
            guard byte.isDigit else { return FramingError(reason: "the status is not a number") }
            status = status * 10 + Int(byte) - 0x30
        }
        return status >= 100 ? nil : FramingError(reason: "the status is out of range")
    }

    private mutating func readHeader(_ line: UnsafeRawBufferPointer) -> FramingError? {
        guard let first = line.first else { return nil }
        switch first | 0x20 {
        case UInt8(ascii: "c"):
            if let value = Self.value(line, of: "content-length") { return readLength(value) }
            if let value = Self.value(line, of: "connection"), Self.contains(value, "close") { isReusable = false }
        case UInt8(ascii: "t"):
            if let value = Self.value(line, of: "transfer-encoding") {
                guard Self.contains(value, "chunked") else {
                    return FramingError(reason: "the transfer encoding is unknown")
                }
                isChunked = true
            }
        default: break
        }
        return nil
    }

    private mutating func readLength(_ value: UnsafeRawBufferPointer) -> FramingError? {
        guard let length = value.contentLength else {
            return FramingError(reason: "the content length is no number")
        }
        if let known = contentLength, known != length { return FramingError(reason: "there are two content lengths") }
        contentLength = length
        return nil
    }

    /// The trimmed value of a header line, if the line's name is `name` (lower case).
    private static func value(_ line: UnsafeRawBufferPointer, of name: StaticString) -> UnsafeRawBufferPointer? {
        let length = name.utf8CodeUnitCount
        guard line.count > length, line[length] == 0x3A,
            UnsafeRawBufferPointer(rebasing: line[..<length]).isName(name)
        else { return nil }
        return UnsafeRawBufferPointer(rebasing: line[(length + 1)...]).trimmed
    }

    private static func contains(_ value: UnsafeRawBufferPointer, _ word: StaticString) -> Bool {
        let length = word.utf8CodeUnitCount
        guard value.count >= length else { return false }
        for start in 0...(value.count - length) {
            var matches = true
            for index in 0..<length where value[start + index] | 0x20 != word.utf8Start[index] {
                matches = false
                break
            }
            if matches { return true }
        }
        return false
    }
}
