// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
import NIOCore
import ParleyCore

/// The queue behind a sink and the thread that empties it.
///
/// Safe to share: `state` is only read or changed while `lock` is held, `destination`, `scratch` and `isMidLine` only
/// by the writing thread, and the rest never changes.
final class LogWriter: @unchecked Sendable {
    private enum Item {
        case lines(ByteBuffer)
        case reopen
    }

    private struct State {
        var queue: [Item] = []
        var queuedBytes = 0
        /// Counts items ever put in and ever dealt with, so that a flush knows what to wait for.
        var enqueued: UInt64 = 0
        var finished: UInt64 = 0
        var isClosing = false
        /// Lines lost since the log last said so.
        var unreported = 0
        /// Set by a drop: then the thread says so even when nothing else is to be written.
        var isReportDue = false
        var statistics = LogSink.Statistics()
    }

    private let destination: any LogDestination
    private let format: LogFormat
    private let capacity: Int
    private let lock = Monitor()
    private var state = State()
    private var scratch = ByteBuffer()
    private var isMidLine = false

    /// The size up to which small buffers are put together into one write.
    private static let batch = 64 << 10

    init(_ destination: any LogDestination, format: LogFormat, capacity: Int) {
        self.destination = destination
        self.format = format
        self.capacity = capacity
    }

    /// Starts the thread, which keeps the writer alive until `finish`.
    func start() -> Bool {
        BackgroundThread.start { self.run() }
    }

    func enqueue(_ lines: ByteBuffer) {
        guard lines.readableBytes > 0 else { return }
        lock.with {
            guard state.queuedBytes + lines.readableBytes <= capacity else {
                let count = lines.lineCount
                state.statistics.dropped += count
                state.unreported += count
                state.isReportDue = true
                return
            }
            state.queuedBytes += lines.readableBytes
            push(.lines(lines))
        }
    }

    func requestReopen() {
        lock.with { push(.reopen) }
    }

    func finish() {
        lock.with {
            state.isClosing = true
            lock.wake()
        }
    }

    func flush(within limit: TimeAmount) -> Bool {
        let deadline = NIODeadline.now() + limit
        return lock.with {
            let target = state.enqueued
            while state.finished < target {
                let rest = deadline - .now()
                guard rest > .zero else { return false }
                lock.wait(atMost: rest)
            }
            return true
        }
    }

    var statistics: LogSink.Statistics { lock.with { state.statistics } }

    private func push(_ item: Item) {
        state.queue.append(item)
        state.enqueued &+= 1
        lock.wake()
    }
}

extension LogWriter {
    private func run() {
        while let (items, unreported) = nextItems() {
            if unreported > 0 { report(unreported) }
            for item in items {
                switch item {
                case .lines(let lines):
                    if scratch.readableBytes + lines.readableBytes > Self.batch { writeScratch() }
                    if lines.readableBytes >= Self.batch {
                        writeQueued(lines)
                    } else {
                        scratch.writeImmutableBuffer(lines)
                    }
                case .reopen:
                    writeScratch()
                    destination.reopen()
                    isMidLine = false
                }
            }
            writeScratch()
            lock.with {
                state.finished &+= UInt64(items.count)
                lock.wake()
            }
        }
    }

    /// Takes everything that waits, waiting for something; nil at the end.
    private func nextItems() -> (items: [Item], unreported: Int)? {
        lock.with {
            while state.queue.isEmpty && !state.isReportDue {
                if state.isClosing { return nil }
                lock.wait()
            }
            let taken = (state.queue, state.unreported)
            state.queue = []
            state.unreported = 0
            state.isReportDue = false
            return taken
        }
    }

    private func writeScratch() {
        guard scratch.readableBytes > 0 else { return }
        writeQueued(scratch)
        scratch.clear(minimumCapacity: 0)
    }

    private func writeQueued(_ lines: ByteBuffer) {
        let result = write(lines)
        lock.with {
            state.queuedBytes -= lines.readableBytes
            state.statistics.bytes += result.written
            state.statistics.failed += result.lost
            state.unreported += result.lost
        }
    }

    /// Says in the log how many lines are missing; where even that fails, they are counted for the next time.
    private func report(_ count: Int) {
        let result = write(notice(count))
        lock.with {
            state.statistics.bytes += result.written
            if result.lost > 0 { state.unreported += count }
        }
    }

    private func write(_ lines: ByteBuffer) -> (written: Int, lost: Int) {
        // Where the last write broke off within a line, end that first, so that the next line can be read.
        var bytes = lines
        if isMidLine {
            bytes = ByteBuffer(string: "\n")
            bytes.writeImmutableBuffer(lines)
        }
        destination.prepare(for: bytes.readableBytes)
        let written = bytes.withUnsafeReadableBytes { destination.write($0) }
        // Nothing went out, not even the end of a broken line, which is no line of ours.
        guard written > 0 else { return (0, lines.lineCount) }
        if let last = bytes.getInteger(at: bytes.readerIndex + written - 1, as: UInt8.self) {
            isMidLine = last != UInt8(ascii: "\n")
        }
        bytes.moveReaderIndex(forwardBy: min(written, bytes.readableBytes))
        return (written, bytes.lineCount)
    }

    private func notice(_ count: Int) -> ByteBuffer {
        var out = ByteBuffer()
        var time = TimestampWriter()
        switch format {
        case .text:
            time.write(LogTimestamp.now(), into: &out)
            out.writeString(" warning log lines were lost count=\(count)\n")
        case .json:
            out.writeStaticString("{\"time\":\"")
            time.write(LogTimestamp.now(), into: &out)
            out.writeString("\",\"level\":\"warning\",\"message\":\"log lines were lost\",\"count\":\(count)}\n")
        }
        return out
    }
}

extension ByteBuffer {
    /// How many lines the readable bytes have, an unfinished one included.
    fileprivate var lineCount: Int {
        withUnsafeReadableBytes { bytes in
            guard let last = bytes.last else { return 0 }
            let ends = bytes.reduce(into: 0) { $0 += $1 == UInt8(ascii: "\n") ? 1 : 0 }
            return last == UInt8(ascii: "\n") ? ends : ends + 1
        }
    }
}
