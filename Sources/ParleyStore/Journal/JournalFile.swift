// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
import ParleyCore

/// One file of a journal. As long as its process lives it is locked, so that others leave it alone.
///
/// Safe to share: what changes is only read or changed under the monitor of the journal that it belongs to, or by the one
/// task that takes over what a dead process left.
final class JournalFile: @unchecked Sendable {
    let name: String
    private let path: String
    private let descriptor: CInt
    /// How many of its bytes are whole frames.
    var written = 0
    /// How many of them the store has.
    var imported = 0
    /// How many calls are in what the store has not, where this process wrote them.
    var waiting = 0
    /// Whether nothing will be appended any more.
    var isSealed = false

    private init(name: String, path: String, descriptor: CInt) {
        self.name = name
        self.path = path
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    static func failure(_ what: String, _ path: String) -> ParleyError {
        let reason = String(cString: strerror(errno))
        return ParleyError(.internalError, "The journal of calls \(path) cannot be \(what): \(reason).")
    }

    // MARK: Folders

    private static let suffix = ".journal"

    /// Makes a file in the folder, and the folder where there is none.
    static func create(in folder: String) throws(ParleyError) -> JournalFile {
        if mkdir(folder, 0o700) != 0, errno != EEXIST { throw failure("made", folder) }
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        let name = "\(now.tv_sec)-\(getpid())-\(String(UInt32.random(in: 0 ... .max), radix: 36))"
        let path = "\(folder)/\(name)\(suffix)"
        // Whoever takes over what dead processes left must not meet it before it is locked.
        return try Folder.alone(in: folder) { () throws(ParleyError) in
            let descriptor = open(path, O_CREAT | O_EXCL | O_RDWR | O_APPEND | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else { throw failure("made", folder) }
            let file = JournalFile(name: name + suffix, path: path, descriptor: descriptor)
            guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { throw failure("locked", path) }
            return file
        }
    }

    /// Takes over the files in the folder whose processes are gone, the oldest first.
    static func adopt(in folder: String) -> [JournalFile] {
        Folder.alone(in: folder) {
            Folder.names(in: folder).filter { $0.hasSuffix(suffix) }.sorted().compactMap { adopt($0, in: folder) }
        }
    }

    private static func adopt(_ name: String, in folder: String) -> JournalFile? {
        let path = "\(folder)/\(name)"
        let descriptor = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else { return nil }
        let file = JournalFile(name: name, path: path, descriptor: descriptor)
        var info = stat()
        // Another process may have been faster, and be done with it already.
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0, fstat(descriptor, &info) == 0, info.st_nlink > 0,
            info.st_mode & S_IFMT == S_IFREG
        else { return nil }
        file.written = Int(info.st_size)
        file.isSealed = true
        return file
    }

    // MARK: Bytes

    /// Appends whole frames, or nothing.
    ///
    /// - Throws: `internalError` where they cannot be written; then `isSealed` says that the file takes no more.
    func append(_ bytes: UnsafeRawBufferPointer) throws(ParleyError) {
        let count = write(descriptor, bytes.baseAddress, bytes.count)
        guard count != bytes.count else { return }
        if count >= 0 { errno = ENOSPC }
        let error = Self.failure("written", path)
        if count > 0, ftruncate(descriptor, off_t(written)) != 0 { isSealed = true }
        throw error
    }

    /// Waits until what was written is on the disk.
    func sync() { fdatasync(descriptor) }

    /// Whole frames from a place on, as many as make up some hundred calls; nil where there are none any more.
    func chunk(from start: Int, to end: Int) -> JournalChunk? {
        guard start < end else { return nil }
        var chunk = JournalChunk(end: start)
        var size = 4 * JournalFrame.standardSize
        while true {
            guard let bytes = read(start, min(size, end - start)) else {
                chunk.isBroken = true
                return chunk
            }
            chunk.bytes = bytes
            guard let needed = chunk.take(from: start, isLast: end - start <= size) else { return chunk }
            size = needed
        }
    }

    private func read(_ start: Int, _ count: Int) -> [UInt8]? {
        var done = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, length in
            while done < count {
                let next = pread(
                    descriptor, buffer.baseAddress.map { $0 + done }, count - done, off_t(start + done))
                if next < 0, errno == EINTR { continue }
                guard next > 0 else { break }
                done += next
            }
            length = done
        }
        return done == count ? bytes : nil
    }

    /// Deletes the file; once this returns, it does not come back after a power cut.
    func remove() {
        unlink(path)
        guard let slash = path.lastIndex(of: "/") else { return }
        let folder = open(String(path[..<slash]), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { return }
        fsync(folder)
        close(folder)
    }
}

/// Some whole frames of a journal.
struct JournalChunk: Sendable {
    var bytes: [UInt8] = []
    /// Where in the file they end.
    var end: Int
    var calls = 0
    /// Whether what follows is no frame.
    var isBroken = false

    /// How many calls are enough.
    private static let enough = 400

    init(end: Int) {
        self.end = end
    }

    /// Keeps the whole frames of the bytes that were read.
    ///
    /// - Parameter isLast: whether the file has no more bytes than these.
    /// - Returns: how many bytes to read, where the first frame is longer.
    fileprivate mutating func take(from start: Int, isLast: Bool) -> Int? {
        var at = 0
        var needed: Int?
        bytes.withUnsafeBytes { bytes in
            while at < bytes.count, calls < Self.enough {
                let rest = UnsafeRawBufferPointer(rebasing: bytes[at...])
                guard let head = JournalFrame.head(of: rest) else {
                    isBroken = isLast || rest.count >= JournalFrame.headSize
                    break
                }
                let size = JournalFrame.headSize + head.length
                guard size <= rest.count else {
                    isBroken = isLast
                    if !isLast, at == 0 { needed = size }
                    break
                }
                let payload = UnsafeRawBufferPointer(rebasing: rest[JournalFrame.headSize..<size])
                guard JournalFrame.checksum(payload) == head.checksum else {
                    isBroken = true
                    break
                }
                calls += head.calls
                at += size
            }
        }
        if needed != nil { return needed }
        bytes.removeLast(bytes.count - at)
        end = start + at
        return nil
    }
}
