// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import CParleyBytes
public import NIOCore
public import ParleyCore
import ParleyWire

/// Relays an OpenAI chat stream byte for byte, whole frames at a time, and notes what passes.
///
/// Frames are passed on exactly as they came, but for three exceptions: with `stripUsage` the chunk that has usage and
/// no choices is left out, nothing behind `[DONE]` is passed on, and a byte order mark is dropped. Errors and what is
/// no chat chunk at all are thrown instead of passed on.
public final class ChatStreamRelay {
    /// What passed so far.
    public private(set) var observed = Observation()

    /// Where the relay stands in the stream.
    private enum Phase {
        /// A byte order mark may come.
        case start
        case open
        /// A frame that was left out ended in a CR with which the bytes ended: an LF now belongs to it.
        case afterDroppedReturn
        /// The same behind `[DONE]`, which was passed on.
        case afterLastReturn
        /// Nothing more is passed on.
        case over
    }

    /// What became of a run of frames.
    private enum Stop {
        case done
        case failed(ByteBuffer)
        case garbage
        case overBudget
    }

    private let stripUsage: Bool
    private let budget: Int
    private let reasoningOutsideOutput: Bool
    private let failure: @Sendable (ByteBuffer) -> ParleyError
    private var phase = Phase.start
    /// The incomplete frame at the end of what was pushed.
    private var held = ByteBuffer()

    /// A relay for a new stream.
    ///
    /// - Parameters:
    ///   - stripUsage: leave out the chunk that only has usage, because the client did not ask for it.
    ///   - budget: the most bytes one frame may have.
    ///   - reasoningOutsideOutput: whether the vendor counts reasoning apart from `completion_tokens`; see `Quirks`.
    ///   - failure: reads the payload of an error frame.
    public init(
        stripUsage: Bool, budget: Int = 32 << 20, reasoningOutsideOutput: Bool = false,
        failure: @escaping @Sendable (ByteBuffer) -> ParleyError
    ) {
        self.reasoningOutsideOutput = reasoningOutsideOutput
        self.stripUsage = stripUsage
        self.budget = budget
        self.failure = failure
    }

    /// Passes on what became whole frames.
    ///
    /// - Throws: the upstream's error when one is in the stream; `upstreamUnavailable` for what is no chat stream. What
    ///   was appended to `out` before it is valid.
    public func push(_ bytes: consuming ByteBuffer, into out: inout ByteBuffer) throws(ParleyError) {
        if phase != .open {
            guard let rest = enter(bytes, into: &out) else { return }
            bytes = rest
        }
        try take(consume bytes, into: &out)
    }

    /// The upstream ended its body properly.
    ///
    /// A last frame that only lacks its line ends counts. A stream without `[DONE]` is complete when a finish reason
    /// came, and gets one.
    /// - Throws: `upstreamUnavailable` when the stream is not complete.
    public func finish(into out: inout ByteBuffer) throws(ParleyError) {
        guard phase != .over, !observed.isComplete else { return }
        defer { phase = .over }
        try finishFrame(into: &out)
        guard !observed.isComplete else { return }
        guard observed.finish != nil else {
            throw ParleyError(.upstreamUnavailable, "The upstream ended the stream before it was complete.")
        }
        out.writeStaticString("data: [DONE]\n\n")
        observed.isComplete = true
    }
}

// MARK: - Whole frames

extension ChatStreamRelay {
    private func take(_ bytes: consuming ByteBuffer, into out: inout ByteBuffer) throws(ParleyError) {
        let boundary = bytes.withUnsafeReadableBytes { lastBoundary($0) }
        guard boundary > 0 else {
            try hold(bytes)
            return
        }
        var rest: ByteBuffer?
        if boundary < bytes.readableBytes {
            rest = bytes.getSlice(at: bytes.readerIndex + boundary, length: bytes.readableBytes - boundary)
        }
        if held.readableBytes == 0, out.readableBytes == 0 {
            // Nothing to put them behind: the frames are passed on where they lie.
            bytes.moveWriterIndex(to: bytes.readerIndex + boundary)
            out = consume bytes
            try pass(from: out.readerIndex, in: &out)
        } else {
            let start = out.writerIndex
            if held.readableBytes > 0 {
                out.writeImmutableBuffer(held)
                releaseHeld()
            }
            bytes.withUnsafeReadableBytes { all in
                Self.append(UnsafeRawBufferPointer(rebasing: all[..<boundary]), to: &out)
            }
            try pass(from: start, in: &out)
        }
        guard phase != .over, let rest else { return }
        if phase == .open {
            try hold(rest)
        } else if let rest = enter(rest, into: &out) {
            try hold(rest)
        }
    }

    /// Appends bytes. The buffer's own function for it costs as much as a frame of a few hundred of them.
    private static func append(_ bytes: UnsafeRawBufferPointer, to out: inout ByteBuffer) {
        guard let source = bytes.baseAddress else { return }
        out.reserveCapacity(minimumWritableBytes: bytes.count)
        let end = out.writerIndex
        out.withVeryUnsafeMutableBytes { memory in
            memory.baseAddress.map { ($0 + end).copyMemory(from: source, byteCount: bytes.count) }
        }
        out.moveWriterIndex(forwardBy: bytes.count)
    }

    /// Behind the last line end in `bytes` that ends a frame; 0 where none does.
    ///
    /// A line end ends a frame when it ends an empty line, so its place is found from the back, whatever the length of
    /// the frame before it.
    private func lastBoundary(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard let base = bytes.baseAddress else { return 0 }
        var boundary = 0
        for lineEnd in [UInt8(ascii: "\n"), UInt8(ascii: "\r")] {
            var end = bytes.count
            while end > boundary {
                let at = boundary + parley_find_last(base + boundary, end - boundary, Int32(lineEnd))
                guard at >= boundary else { break }
                if endsFrame(bytes, at) {
                    boundary = at + 1
                    break
                }
                end = at
            }
            if boundary == bytes.count { break }
        }
        return boundary
    }

    /// Whether the line end at `at` ends an empty line.
    private func endsFrame(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> Bool {
        /// The byte at an offset in `bytes`, or before them in `held`; nil before the start of a frame.
        func byte(_ at: Int) -> UInt8? {
            at >= 0 ? bytes[at] : held.getInteger(at: held.writerIndex + at)
        }
        guard let before = byte(at - 1) else { return true }
        if before == UInt8(ascii: "\n") { return true }
        guard before == UInt8(ascii: "\r") else { return false }
        if bytes[at] == UInt8(ascii: "\r") { return true }
        guard let first = byte(at - 2) else { return true }
        return first == UInt8(ascii: "\n") || first == UInt8(ascii: "\r")
    }

    private func hold(_ bytes: ByteBuffer) throws(ParleyError) {
        held.writeImmutableBuffer(bytes)
        if held.readableBytes > budget { throw stopped(.overBudget) }
    }

    /// Empties `held`, keeping its room unless an unusually large frame was in it.
    private func releaseHeld() {
        if held.capacity > 1 << 16 {
            held = ByteBuffer()
        } else {
            held.clear()
        }
    }

    /// Does what has to be done once: at the stream's start, and behind a CR that may be half a line end.
    ///
    /// - Returns: what is left of `bytes`; nil where nothing is.
    private func enter(_ bytes: ByteBuffer, into out: inout ByteBuffer) -> ByteBuffer? {
        var bytes = bytes
        let first = bytes.getInteger(at: bytes.readerIndex, as: UInt8.self)
        guard let first else { return nil }
        switch phase {
        case .open: break
        case .over: return nil
        case .afterDroppedReturn:
            phase = .open
            if first == UInt8(ascii: "\n") { bytes.moveReaderIndex(forwardBy: 1) }
        case .afterLastReturn:
            phase = .over
            if first == UInt8(ascii: "\n") { out.writeInteger(first) }
            return nil
        case .start:
            let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
            if held.readableBytes > 0 {
                held.writeImmutableBuffer(bytes)
                bytes = held
            }
            let start = bytes.readableBytesView.prefix(3)
            guard start.count == 3 || !mark.starts(with: start) else {
                held = bytes
                return nil
            }
            if start.elementsEqual(mark) { bytes.moveReaderIndex(forwardBy: 3) }
            held = ByteBuffer()
            phase = .open
        }
        return bytes
    }
}

// MARK: - Looking at frames

extension ChatStreamRelay {
    /// Looks at the whole frames that `out` has from `start` on, and takes out what must not be passed on.
    private func pass(from start: Int, in out: inout ByteBuffer) throws(ParleyError) {
        let offset = start - out.readerIndex
        var stop: Stop?
        var gaps: [Range<Int>] = []
        let end = out.withUnsafeReadableBytes { all in
            walk(UnsafeRawBufferPointer(rebasing: all[offset...]), &gaps, &stop)
        }
        out.moveWriterIndex(to: start + end)
        if !gaps.isEmpty { Self.close(gaps, behind: offset, in: &out) }
        guard let stop else { return }
        if case .done = stop {
            observed.isComplete = true
            if phase != .afterLastReturn { phase = .over }
            return
        }
        throw stopped(stop)
    }

    private func stopped(_ stop: Stop) -> ParleyError {
        phase = .over
        switch stop {
        case .failed(let payload):
            return failure(payload)
        case .overBudget:
            return ParleyError(.upstreamUnavailable, "The upstream sent an event of more than \(budget) bytes.")
        case .garbage, .done:
            return ParleyError(.upstreamUnavailable, "The upstream sent something that is no chat completion chunk.")
        }
    }

    /// Takes pieces out, whose places count from `offset` on.
    @inline(never)
    private static func close(_ gaps: [Range<Int>], behind offset: Int, in out: inout ByteBuffer) {
        let length = out.withUnsafeMutableReadableBytes { all in
            var to = offset + gaps[0].lowerBound
            for (index, gap) in gaps.enumerated() {
                let from = offset + gap.upperBound
                let end = index + 1 < gaps.count ? offset + gaps[index + 1].lowerBound : all.count
                UnsafeMutableRawBufferPointer(rebasing: all[to..<to + (end - from)])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: all[from..<end]))
                to += end - from
            }
            return to
        }
        out.moveWriterIndex(to: out.readerIndex + length)
    }

    /// Goes over whole frames.
    ///
    /// - Parameter gaps: gains the places of frames that are not passed on.
    /// - Returns: where it ended: what lies behind is not passed on either.
    private func walk(_ bytes: UnsafeRawBufferPointer, _ gaps: inout [Range<Int>], _ stop: inout Stop?) -> Int {
        var from = 0
        while from < bytes.count, stop == nil {
            var keeps = true
            let end: Int
            if let frame = PlainFrame(bytes, at: from, seeksFinish: observed.finish == nil) {
                end = frame.end
                observed.pieces &+= 1
                if frame.isRemarkable || !observed.isMeaningful {
                    keeps = look(at: UnsafeRawBufferPointer(rebasing: bytes[frame.payload]), &stop)
                }
            } else {
                let frame = AnyFrame(bytes, at: from)
                end = frame.end
                keeps = judge(frame, &stop)
            }
            if end - from > budget {
                stop = .overBudget
                keeps = false
            }
            if !keeps { gaps.append(from..<end) }
            if end == bytes.count, bytes[end - 1] == UInt8(ascii: "\r") { noteReturn(isKept: keeps, stop) }
            from = end
        }
        return from
    }

    private func noteReturn(isKept: Bool, _ stop: Stop?) {
        if !isKept {
            phase = .afterDroppedReturn
        } else if case .done = stop {
            phase = .afterLastReturn
        }
    }

    /// Takes note of a payload.
    ///
    /// - Returns: whether the frame is passed on.
    private func look(at payload: UnsafeRawBufferPointer, _ stop: inout Stop?) -> Bool {
        guard let seen = try? ChatPayload(payload, reasoningOutsideOutput: reasoningOutsideOutput) else {
            stop = .garbage
            return false
        }
        if seen.isError {
            stop = .failed(ByteBuffer(bytes: payload))
            return false
        }
        observed.usage.merge(seen.usage)
        if observed.finish == nil { observed.finish = seen.finish }
        if seen.isMeaningful { observed.isMeaningful = true }
        return !(stripUsage && seen.hasUsage && !seen.hasChoices)
    }

    private func judge(_ frame: AnyFrame, _ stop: inout Stop?) -> Bool {
        if let stray = frame.stray {
            let isError = (try? ChatPayload(stray))?.isError ?? false
            stop = isError ? .failed(stray) : .garbage
            return false
        }
        if frame.isErrorEvent {
            stop = .failed(frame.payload ?? ByteBuffer())
            return false
        }
        guard let payload = frame.payload, payload.readableBytes > 0 else { return true }
        if frame.isDone {
            stop = .done
            return true
        }
        guard frame.isObject else {
            stop = .garbage
            return false
        }
        observed.pieces &+= 1
        return payload.withUnsafeReadableBytes { look(at: $0, &stop) }
    }

    /// Passes on what is held at the stream's end, where it is a frame but for its line ends.
    private func finishFrame(into out: inout ByteBuffer) throws(ParleyError) {
        guard held.readableBytes > 0 else { return }
        let frame = held.withUnsafeReadableBytes { AnyFrame($0, at: 0) }
        if let payload = frame.payload, payload.readableBytes > 0 {
            // Half a chunk is an incomplete stream, not garbage.
            guard frame.isDone || frame.isErrorEvent || (try? JSONScan(payload)) != nil else { return }
        } else if frame.stray == nil {
            return
        }
        let start = out.writerIndex
        let last = held.getInteger(at: held.writerIndex - 1, as: UInt8.self)
        let hasLineEnd = last == UInt8(ascii: "\n") || last == UInt8(ascii: "\r")
        out.writeImmutableBuffer(held)
        if !hasLineEnd { out.writeInteger(UInt8(ascii: "\n")) }
        out.writeInteger(UInt8(ascii: "\n"))
        try pass(from: start, in: &out)
    }
}
