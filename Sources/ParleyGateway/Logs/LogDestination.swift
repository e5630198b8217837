// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
import NIOCore

/// Where a sink's bytes end up. Used by the sink's writing thread alone.
protocol LogDestination: AnyObject {
    /// Writes everything, however long it takes.
    ///
    /// - Returns: how many bytes were written; fewer than there are when the destination failed.
    func write(_ bytes: UnsafeRawBufferPointer) -> Int

    /// Makes room before `count` more bytes are written.
    func prepare(for count: Int)

    /// Opens the destination anew, where it has a name.
    func reopen()
}

/// A descriptor that was there before, such as standard error; never closed here.
final class DescriptorDestination: LogDestination {
    private let descriptor: CInt

    init(_ descriptor: CInt) {
        self.descriptor = descriptor
    }

    func write(_ bytes: UnsafeRawBufferPointer) -> Int { writeFully(bytes, to: descriptor) }
    func prepare(for count: Int) {}
    func reopen() {}
}

/// A file that is renamed to `name.1` when it is full, `name.1` to `name.2` and so on.
final class RotatingFile: LogDestination {
    private let path: String
    private let limit: Int
    private let keep: Int
    private var descriptor: CInt = -1
    private var size = 0
    /// The size at which to rotate: the limit, or later when the last rotation failed.
    private var threshold: Int

    /// Opens the file for appending, creating it with mode 0640.
    ///
    /// - Parameters:
    ///   - limit: the size in bytes that a file may reach; 0 never rotates.
    ///   - keep: how many full files are kept; with 0 a full file is emptied.
    /// - Throws: `LogSinkError` when the file cannot be opened.
    init(path: String, limit: Int, keep: Int) throws(LogSinkError) {
        self.path = path
        self.limit = max(0, limit)
        self.keep = max(0, keep)
        self.threshold = limit > 0 ? limit : .max
        guard open() else { throw LogSinkError(path: path, reason: String(cString: strerror(errno))) }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    func write(_ bytes: UnsafeRawBufferPointer) -> Int {
        // A file that could not be opened (a full disk, a folder that went away) is tried again with every batch.
        guard descriptor >= 0 || open() else { return 0 }
        let written = writeFully(bytes, to: descriptor)
        size += written
        return written
    }

    func prepare(for count: Int) {
        guard descriptor >= 0, size > 0, size.addingReportingOverflow(count).partialValue > threshold else { return }
        rotate()
    }

    func reopen() {
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
        _ = open()
    }

    private func open() -> Bool {
        descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else { return false }
        var status = stat()
        size = fstat(descriptor, &status) == 0 ? Int(status.st_size) : 0
        threshold = limit > 0 ? limit : .max
        return true
    }

    private func rotate() {
        guard keep > 0 else {
            if ftruncate(descriptor, 0) == 0 { size = 0 } else { postpone() }
            return
        }
        for index in stride(from: keep - 1, to: 0, by: -1) {
            _ = rename("\(path).\(index)", "\(path).\(index + 1)")
        }
        guard rename(path, "\(path).1") == 0 else {
            // Someone moved the file, or the folder may not be written: go on in the open file.
            if errno == ENOENT { reopen() } else { postpone() }
            return
        }
        reopen()
    }

    /// Keeps a rotation that fails from being tried with every batch.
    private func postpone() {
        threshold = size.clampedAdding(limit)
    }
}

extension Int {
    fileprivate func clampedAdding(_ other: Int) -> Int {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}

/// Writes all bytes, waiting where a non-blocking descriptor is full; returns how many went out before an error.
private func writeFully(_ bytes: UnsafeRawBufferPointer, to descriptor: CInt) -> Int {
    var offset = 0
    while offset < bytes.count {
        let rest = UnsafeRawBufferPointer(rebasing: bytes[offset...])
        let count = write(descriptor, rest.baseAddress, rest.count)
        if count > 0 {
            offset += count
            continue
        }
        switch errno {
        case EINTR where count < 0:
            continue
        case EAGAIN where count < 0:
            var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            _ = poll(&wait, 1, 1000)
        default:
            return offset
        }
    }
    return offset
}
