// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import CParleyBytes
public import NIOCore
public import ParleyCore

/// Reads server-sent events from bytes that may be split anywhere.
///
/// Lines may end in LF, CRLF or CR; a byte order mark at the start, comments, `id` and `retry` are passed over; `data:`
/// may do without its space. Frames without data (comments, pings, an `event:` alone) are not handed out, unless a
/// vendor's own field is asked for, which may stand in a frame without any.
public struct ServerSentEvents {
    /// One event.
    public struct Frame: Sendable, Equatable {
        /// The event's name, where it has one.
        public var event: String?
        /// The data lines, joined by line feeds.
        public var data: ByteBuffer
        /// The last value of the vendor's own field, where one was asked for.
        public var own: ByteBuffer?
    }

    /// The bytes from the start of the first incomplete frame on.
    private var held = ByteBuffer()
    /// Whether nobody else shares `held`, so that appending copies nothing.
    private var isOwn = false
    /// Bytes of `held` that are known to have no line end.
    private var searched = 0
    /// Where the line being read begins in `held`.
    private var line = 0
    /// The frame's data lines so far, as offsets in `held`.
    private var data: [Range<Int>] = []
    private var event: String?
    /// The frame's value of the vendor's own field, as offsets in `held`.
    private var own: Range<Int>?
    /// The name of that field.
    private let ownField: StaticString?
    /// Whether the last line ended in a CR at the end of the bytes, so that an LF now belongs to it.
    private var mayFollowLineFeed = false
    /// Whether a byte order mark may still come.
    private var isAtStart = true
    private let budget: Int

    /// A reader of a new stream.
    ///
    /// - Parameters:
    ///   - budget: the most bytes one frame may have.
    ///   - ownField: a field beside those of the standard; then frames without data are handed out too, if they have a
    ///     name.
    public init(budget: Int = 32 << 20, ownField: StaticString? = nil) {
        self.budget = budget
        self.ownField = ownField
    }

    /// Takes bytes; `next` then reads them.
    public mutating func push(_ bytes: ByteBuffer) {
        guard bytes.readableBytes > 0 else { return }
        if held.readableBytes == 0 {
            held = bytes
            isOwn = false
        } else if isOwn, held.readerIndex == 0 {
            held.writeImmutableBuffer(bytes)
        } else {
            var joined = ByteBufferAllocator().buffer(capacity: held.readableBytes + bytes.readableBytes)
            joined.writeImmutableBuffer(held)
            joined.writeImmutableBuffer(bytes)
            held = joined
            isOwn = true
        }
    }

    /// The next complete frame; nil when more bytes are needed.
    ///
    /// - Throws: `upstreamUnavailable` when a frame is over the budget.
    public mutating func next() throws(ParleyError) -> Frame? {
        guard skipByteOrderMark() else { return nil }
        while let (range, length) = nextLine() {
            line = range.upperBound + length
            searched = line
            if line > budget { throw overBudget }
            if let frame = take(range) { return frame }
        }
        if held.readableBytes > budget { throw overBudget }
        return nil
    }

    /// The stream ended: the last frame, where only its blank line is missing.
    public mutating func finish() -> Frame? {
        guard skipByteOrderMark() else { return nil }
        if line < held.readableBytes { _ = take(line..<held.readableBytes) }
        line = held.readableBytes
        return endFrame()
    }

    private var overBudget: ParleyError {
        ParleyError(.upstreamUnavailable, "The upstream sent an event of more than \(budget) bytes.")
    }
}

// MARK: - Lines

extension ServerSentEvents {
    /// Passes over a byte order mark at the stream's start.
    ///
    /// - Returns: false while it cannot be told yet.
    private mutating func skipByteOrderMark() -> Bool {
        guard isAtStart else { return true }
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        let start = held.readableBytesView.prefix(3)
        guard start.count == 3 || !mark.starts(with: start) else { return false }
        if start.elementsEqual(mark) { held.moveReaderIndex(forwardBy: 3) }
        isAtStart = false
        return true
    }

    /// The next complete line in `held`, and the length of its end.
    private mutating func nextLine() -> (Range<Int>, Int)? {
        if mayFollowLineFeed, let first = held.getInteger(at: held.readerIndex + line, as: UInt8.self) {
            mayFollowLineFeed = false
            if first == UInt8(ascii: "\n") {
                if line == 0 {
                    held.moveReaderIndex(forwardBy: 1)
                } else {
                    line += 1
                }
                searched = line
            }
        }
        let (line, searched) = (line, searched)
        let found = held.withUnsafeReadableBytes { raw -> (end: Int, length: Int)? in
            guard let base = raw.baseAddress, searched < raw.count else { return nil }
            let end = searched + parley_line_run(base + searched, raw.count - searched)
            guard end < raw.count else { return nil }
            guard raw[end] == UInt8(ascii: "\r") else { return (end, 1) }
            guard end + 1 < raw.count else { return (end, 1) }
            return (end, raw[end + 1] == UInt8(ascii: "\n") ? 2 : 1)
        }
        guard let found else {
            self.searched = held.readableBytes
            return nil
        }
        mayFollowLineFeed = found.end + found.length == held.readableBytes && found.length == 1 && isReturn(found.end)
        return (line..<found.end, found.length)
    }

    private func isReturn(_ offset: Int) -> Bool {
        held.getInteger(at: held.readerIndex + offset, as: UInt8.self) == UInt8(ascii: "\r")
    }

    /// Takes in a line; the frame, where the line is the blank one at its end.
    private mutating func take(_ range: Range<Int>) -> Frame? {
        guard !range.isEmpty else { return endFrame() }
        enum Field { case data, event, own }
        let ownField = ownField
        let field = held.withUnsafeReadableBytes { raw -> (Field, Range<Int>)? in
            let name = UnsafeRawBufferPointer(rebasing: raw[range])
            func value(after length: Int) -> Range<Int>? {
                if name.count == length { return range.upperBound..<range.upperBound }
                guard name[length] == UInt8(ascii: ":") else { return nil }
                var start = range.lowerBound + length + 1
                if start < range.upperBound, raw[start] == UInt8(ascii: " ") { start += 1 }
                return start..<range.upperBound
            }
            if name.starts(with: "data".utf8) { return value(after: 4).map { (.data, $0) } }
            if name.starts(with: "event".utf8) { return value(after: 5).map { (.event, $0) } }
            guard let ownField, name.starts(with: ownField.bytes) else { return nil }
            return value(after: ownField.utf8CodeUnitCount).map { (.own, $0) }
        }
        switch field {
        case (.data, let value)?: data.append(value)
        case (.event, let value)?:
            event = held.getString(at: held.readerIndex + value.lowerBound, length: value.count)
        case (.own, let value)?: own = value
        case nil: break
        }
        return nil
    }

    /// Ends the frame at `line` and hands it out, unless it has no data.
    private mutating func endFrame() -> Frame? {
        let bytes = joinedData()
        let name = event
        let more = own.flatMap { held.getSlice(at: held.readerIndex + $0.lowerBound, length: $0.count) }
        held.moveReaderIndex(forwardBy: min(line, held.readableBytes))
        line = 0
        searched = 0
        event = nil
        own = nil
        data.removeAll(keepingCapacity: true)
        let isWanted = ownField != nil && name?.isEmpty == false
        guard isWanted || bytes.map({ $0.readableBytes > 0 }) == true else { return nil }
        isOwn = false
        return Frame(event: name?.isEmpty == true ? nil : name, data: bytes ?? ByteBuffer(), own: more)
    }

    private func joinedData() -> ByteBuffer? {
        guard let first = data.first else { return nil }
        if data.count == 1 { return held.getSlice(at: held.readerIndex + first.lowerBound, length: first.count) }
        var joined = ByteBufferAllocator().buffer(capacity: data.reduce(data.count) { $0 + $1.count })
        for (index, range) in data.enumerated() {
            if index > 0 { joined.writeInteger(UInt8(ascii: "\n")) }
            if let slice = held.getSlice(at: held.readerIndex + range.lowerBound, length: range.count) {
                joined.writeImmutableBuffer(slice)
            }
        }
        return joined
    }
}

extension StaticString {
    fileprivate var bytes: UnsafeBufferPointer<UInt8> {
        UnsafeBufferPointer(start: utf8Start, count: utf8CodeUnitCount)
    }
}
