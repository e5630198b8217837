// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore

/// Reads lines, one JSON value each, from bytes that may be split anywhere (NDJSON).
///
/// Lines end in LF or CRLF; blank lines and a byte order mark at the start are passed over. What is on a line is not
/// looked at.
public struct JSONLines {
    /// The bytes from the start of the first incomplete line on.
    private var held = ByteBuffer()
    /// Bytes of `held` that are known to have no line end.
    private var searched = 0
    private var isAtStart = true
    private let budget: Int

    /// A reader of a new stream.
    ///
    /// - Parameter budget: the most bytes one line may have.
    public init(budget: Int = 32 << 20) {
        self.budget = budget
    }

    /// Takes bytes; `next` then reads them.
    public mutating func push(_ bytes: ByteBuffer) {
        guard bytes.readableBytes > 0 else { return }
        if held.readableBytes == 0 {
            held = bytes
            return
        }
        // What was read already must not pile up before what is still to come.
        if held.readerIndex > 0 { held.discardReadBytes() }
        held.writeImmutableBuffer(bytes)
    }

    /// The next complete line that is not blank; nil when more bytes are needed.
    ///
    /// - Throws: `upstreamUnavailable` when a line is over the budget.
    public mutating func next() throws(ParleyError) -> ByteBuffer? {
        while let end = lineEnd() {
            guard end <= budget, var line = held.readSlice(length: end) else { throw overBudget }
            held.moveReaderIndex(forwardBy: min(1, held.readableBytes))
            searched = 0
            trim(&line)
            if line.readableBytes > 0 { return line }
        }
        if held.readableBytes > budget { throw overBudget }
        return nil
    }

    /// The stream ended: the last line, where only its end is missing.
    public mutating func finish() -> ByteBuffer? {
        var line = held
        held = ByteBuffer()
        searched = 0
        trim(&line)
        return line.readableBytes > 0 ? line : nil
    }

    /// Where the first line of `held` ends, as an offset from its start.
    private mutating func lineEnd() -> Int? {
        let view = held.readableBytesView.dropFirst(searched)
        guard let end = view.firstIndex(of: UInt8(ascii: "\n")) else {
            searched = held.readableBytes
            return nil
        }
        return end - held.readerIndex
    }

    /// Takes blanks off both ends, and the byte order mark off the stream's first line.
    private mutating func trim(_ line: inout ByteBuffer) {
        if isAtStart {
            isAtStart = false
            if line.readableBytesView.starts(with: [0xEF, 0xBB, 0xBF]) { line.moveReaderIndex(forwardBy: 3) }
        }
        let blank = line.readableBytesView.prefix { $0 <= 0x20 }.count
        line.moveReaderIndex(forwardBy: blank)
        let trailing = line.readableBytesView.reversed().prefix { $0 <= 0x20 }.count
        line.moveWriterIndex(to: line.writerIndex - trailing)
    }

    private var overBudget: ParleyError {
        ParleyError(.upstreamUnavailable, "The upstream sent a line of more than \(budget) bytes.")
    }
}
