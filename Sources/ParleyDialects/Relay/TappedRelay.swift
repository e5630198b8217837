// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import CParleyBytes
public import NIOCore
public import ParleyCore
import ParleyWire

/// Watches the frames of one stream in one dialect.
public protocol FrameTap {
    /// What was seen so far.
    var observed: Observation { get }

    /// Takes note of a frame's data; frames without data are not shown. Sets `observed.isComplete` at the proper end.
    ///
    /// - Throws: the upstream's error, or `upstreamUnavailable` for what is no frame of this dialect; the frame is then
    ///   not passed on.
    mutating func note(_ data: ByteBuffer) throws(ParleyError)

    /// Whether the frame noted last is not for the client: an answer to what only Parley asked for.
    var hidesFrame: Bool { get }

    /// The upstream closed its body properly.
    ///
    /// - Throws: `upstreamUnavailable` where the stream is not complete.
    mutating func finish() throws(ParleyError)

    /// Writes the terminator that an upstream left out which ended properly.
    mutating func writeEnd(into out: inout ByteBuffer)

    /// Writes an error as the stream's end.
    mutating func fail(_ error: ParleyError, into out: inout ByteBuffer)
}

extension FrameTap {
    /// Every frame is passed on.
    public var hidesFrame: Bool { false }

    /// Nothing: the stream just ends.
    public mutating func writeEnd(into out: inout ByteBuffer) {}
}

/// Relays a stream of server-sent events byte for byte, whole frames at a time, past a tap.
public final class TappedRelay<Tap: FrameTap>: StreamRelay {
    private var tap: Tap
    private let budget: Int
    /// From the start of the first incomplete frame on.
    private var held = ByteBuffer()
    /// Bytes of `held` in which no frame ends.
    private var searched = 0
    private var isAtStart = true

    /// A relay of a new stream.
    ///
    /// - Parameter budget: the most bytes one frame may have.
    public init(_ tap: Tap, budget: Int = 32 << 20) {
        self.tap = tap
        self.budget = budget
    }

    /// What was seen so far.
    public var observed: Observation { tap.observed }

    /// Whether an event passed that cannot be taken back.
    public var isMeaningful: Bool { tap.observed.isMeaningful }

    /// Whether the answer's proper end was seen.
    public var isComplete: Bool { tap.observed.isComplete }

    /// Passes on what became whole frames; nothing behind the proper end is passed on.
    public func push(_ bytes: ByteBuffer, into out: inout ByteBuffer) throws(ParleyError) {
        guard !isComplete else { return }
        if held.readableBytes == 0 { held = bytes } else { held.writeImmutableBuffer(bytes) }
        guard dropByteOrderMark() else { return }
        while !isComplete, let length = frameLength() {
            try pass(length, into: &out)
        }
        if held.readableBytes > budget {
            throw ParleyError(.upstreamUnavailable, "The upstream sent an event of more than \(budget) bytes.")
        }
    }

    /// The upstream closed its body properly; a last frame that only lacks its blank line counts.
    public func finish(into out: inout ByteBuffer) throws(ParleyError) {
        guard !isComplete else { return }
        if held.readableBytes > 0, let last = held.getInteger(at: held.writerIndex - 1, as: UInt8.self) {
            if last != UInt8(ascii: "\n"), last != UInt8(ascii: "\r") { held.writeInteger(UInt8(ascii: "\n")) }
            held.writeInteger(UInt8(ascii: "\n"))
            try pass(held.readableBytes, into: &out)
        }
        guard !isComplete else { return }
        try tap.finish()
        tap.writeEnd(into: &out)
    }

    /// Writes an error as the stream's end.
    public func fail(_ error: ParleyError, into out: inout ByteBuffer) {
        tap.fail(error, into: &out)
    }

    private func pass(_ length: Int, into out: inout ByteBuffer) throws(ParleyError) {
        guard var frame = held.readSlice(length: length) else { return }
        searched = 0
        var reader = ServerSentEvents(budget: budget)
        reader.push(frame)
        if let event = try reader.next() {
            try tap.note(event.data)
            if tap.hidesFrame { return }
        }
        out.writeBuffer(&frame)
    }

    /// The length of the first frame with its blank line; nil while it is not whole.
    private func frameLength() -> Int? {
        let start = searched
        let (end, resume) = held.withUnsafeReadableBytes { bytes -> (Int?, Int) in
            guard let base = bytes.baseAddress else { return (nil, 0) }
            var line = start
            while line < bytes.count {
                let end = line + parley_line_run(base + line, bytes.count - line)
                guard end < bytes.count else { return (nil, line) }
                var next = end + 1
                if bytes[end] == UInt8(ascii: "\r") {
                    // A line feed that is still to come belongs to it.
                    guard next < bytes.count else { return (nil, line) }
                    if bytes[next] == UInt8(ascii: "\n") { next += 1 }
                }
                if end == line { return (next, next) }
                line = next
            }
            return (nil, line)
        }
        searched = end == nil ? resume : 0
        return end
    }

    /// - Returns: false while it cannot be told whether one comes.
    private func dropByteOrderMark() -> Bool {
        guard isAtStart else { return true }
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        let start = held.readableBytesView.prefix(3)
        guard start.count == 3 || !mark.starts(with: start) else { return false }
        if start.elementsEqual(mark) { held.moveReaderIndex(forwardBy: 3) }
        isAtStart = false
        return true
    }
}
