// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
import ParleyCore
import Synchronization

/// Looks at a file twice a second, so that every kind of change on every kind of file system is seen.
enum FileWatch {
    private final class Flag: Sendable {
        let isSet = Atomic(false)
    }

    /// Microseconds between two looks.
    private static let interval: UInt32 = 500_000

    /// Tells of every change of a file from now on, as long as somebody listens.
    ///
    /// A thread of its own, since a task that sleeps wakes three of them each time, all day long.
    static func changes(of path: String) -> AsyncStream<Void> {
        let (changes, teller) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let isOver = Flag()
        teller.onTermination = { _ in isOver.isSet.store(true, ordering: .relaxed) }
        let first = FileStamp(path)
        let isStarted = BackgroundThread.start {
            var known = first
            while !isOver.isSet.load(ordering: .relaxed) {
                usleep(interval)
                // A file that is being replaced may be missing for a moment.
                guard let stamp = FileStamp(path), stamp != known else { continue }
                known = stamp
                teller.yield()
            }
        }
        if !isStarted { teller.finish() }
        return changes
    }
}

/// What tells one version of a file from another.
struct FileStamp: Equatable, Sendable {
    private let device: UInt
    private let inode: UInt
    private let size: Int
    private let seconds: Int
    private let nanoseconds: Int

    /// The stamp of the file at `path`; nil where there is none.
    init?(_ path: String) {
        var info = stat()
        guard stat(path, &info) == 0 else { return nil }
        device = UInt(info.st_dev)
        inode = UInt(info.st_ino)
        size = Int(info.st_size)
        seconds = info.st_mtim.tv_sec
        nanoseconds = info.st_mtim.tv_nsec
    }
}
