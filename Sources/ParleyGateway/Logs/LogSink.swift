// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore

/// A log file that cannot be opened.
public struct LogSinkError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The file's path as configured.
    public var path: String
    /// The system's reason.
    public var reason: String

    /// One sentence with both.
    public var description: String { "cannot open the log file \(path): \(reason)" }
}

/// Where log lines go: standard error or a file, written by one thread of its own.
///
/// Lines are handed over in whole buffers and wait in a bounded queue. Whoever logs never waits for a terminal or a
/// disk: when the queue is full, lines are dropped and counted, and the log itself says how many.
public final class LogSink: Sendable {
    /// The end of the line.
    public enum Destination: Sendable {
        /// The process's standard error.
        case standardError
        /// A file. At `rotate` bytes (0: never) it becomes `path.1`, that one `path.2`, up to `keep` old files.
        case file(path: String, rotate: Int, keep: Int)
        /// An open descriptor, which stays open.
        case descriptor(CInt)
    }

    /// What became of the lines so far.
    public struct Statistics: Sendable, Equatable {
        /// Lines that did not fit into the queue.
        public var dropped = 0
        /// Lines lost because the destination failed, for instance on a full disk.
        public var failed = 0
        /// Bytes written.
        public var bytes = 0
    }

    /// How the sink's own lines, about lost ones, are written; everybody who writes here uses the same.
    public let format: LogFormat
    private let writer: LogWriter

    /// Opens the destination and starts the writing thread, which ends with the sink.
    ///
    /// - Parameter capacity: how many bytes may wait, 8 MB by default.
    /// - Throws: `LogSinkError` when the file cannot be opened.
    public init(_ destination: Destination, format: LogFormat = .text, capacity: Int = 8 << 20) throws(LogSinkError) {
        self.format = format
        let target: any LogDestination =
            switch destination {
            case .standardError: DescriptorDestination(2)
            case .file(let path, let rotate, let keep): try RotatingFile(path: path, limit: rotate, keep: keep)
            case .descriptor(let descriptor): DescriptorDestination(descriptor)
            }
        writer = LogWriter(target, format: format, capacity: capacity)
        guard writer.start() else {
            throw LogSinkError(path: "(thread)", reason: "the writing thread does not start")
        }
    }

    deinit { writer.finish() }

    /// Hands over whole lines; never blocks on the destination. The bytes are written in the order of the calls.
    public func write(_ lines: ByteBuffer) { writer.enqueue(lines) }

    /// Closes and opens the file again, after what was handed over before; for SIGHUP, when another program moved it.
    public func reopen() { writer.requestReopen() }

    /// Waits until everything handed over before is written. Blocks its thread, so it is for the end of the process.
    ///
    /// - Parameter limit: the longest wait, 2 s by default: a blocked terminal must not keep a process from ending.
    /// - Returns: false when the wait ended first.
    @discardableResult
    public func flush(within limit: TimeAmount = .seconds(2)) -> Bool { writer.flush(within: limit) }

    /// What became of the lines so far.
    public var statistics: Statistics { writer.statistics }
}
