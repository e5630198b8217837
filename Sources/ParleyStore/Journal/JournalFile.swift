// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
import ParleyCore

/// One file of a journal. As long as its process lives it is locked, so that others leave it alone.
///
/// It is written from its start to some length, and when the store has all of that, from its start again: pages and blocks
/// that are there are written over at a fraction of what new ones cost. Every such use has a generation, which its frames
/// say; what lies behind them is of former uses, and never read.
///
/// Safe to share: what changes is only read or changed under the monitor of the journal that it belongs to, or by the one
/// task that takes over what a dead process left.
final class JournalFile: @unchecked Sendable {
    let name: String
    private let path: String
    private let descriptor: CInt
    /// Which use it is in.
    private(set) var generation: UInt32 = 0
    /// How many of its bytes are whole frames of this use; of one that was taken over, how many it has.
    var written = 0
    /// How many of them the store has.
    var imported = 0
    /// How many calls are in what the store has not, where this process wrote them.
    var waiting = 0
    /// Whether nothing will be appended any more in this use.
    var isSealed = false
    /// Whether some of it could not be read.
    var isDamaged = false

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
            let descriptor = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0o600)
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
        // Uses begin at the start: the first frame says which was the last one to get there.
        let start = file.read(0, min(JournalFrame.headSize, file.written)) ?? []
        file.generation = start.withUnsafeBytes { JournalFrame.head(of: $0)?.generation } ?? 0
        return file
    }

    // MARK: Uses

    /// What the store does not have yet of this use.
    var part: JournalPart { JournalPart(generation: generation, start: imported, end: written) }

    /// Begins the next use; whether there can be one.
    ///
    /// All that is in the file must be in the store for good, and noted there with this generation: until the first frame
    /// of the next use is on the disk, those of this one are found at the start.
    func beginAgain() -> Bool {
        guard !isDamaged, generation < .max else { return false }
        generation += 1
        (written, imported, waiting) = (0, 0, 0)
        isSealed = false
        return true
    }

    /// Whether the file still lies in its folder. Nobody would find what is written into one that was deleted.
    var isInPlace: Bool {
        var info = stat()
        return fstat(descriptor, &info) == 0 && info.st_nlink > 0
    }

    // MARK: Bytes

    /// Writes whole frames of this use behind those that are there.
    ///
    /// - Throws: `internalError` where they cannot be written, or not all of them. The same bytes must then be written again,
    ///   into the same file: some of their frames may be there already, and whoever takes the file over reads them.
    func append(_ bytes: UnsafeRawBufferPointer) throws(ParleyError) {
        var done = 0
        while done < bytes.count {
            let count = pwrite(
                descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done, off_t(written + done))
            if count < 0, errno == EINTR { continue }
            if count == 0 { errno = ENOSPC }
            guard count > 0 else { throw Self.failure("written", path) }
            done += count
        }
    }

    /// Waits until what was written is on the disk.
    func sync() { fdatasync(descriptor) }

    /// The first whole frames of a part, as many as make up some hundred calls; nil where it is empty.
    func chunk(_ part: JournalPart) -> JournalChunk? {
        guard part.start < part.end else { return nil }
        var chunk = JournalChunk(end: part.start)
        var size = 4 * JournalFrame.standardSize
        while true {
            guard let bytes = read(part.start, min(size, part.end - part.start)) else {
                chunk.next = .noFrame
                return chunk
            }
            chunk.bytes = bytes
            guard let needed = chunk.take(part, isLast: part.end - part.start <= size) else { return chunk }
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
