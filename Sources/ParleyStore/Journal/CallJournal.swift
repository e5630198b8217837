// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
import NIOCore
import ParleyAccess
import ParleyCore

/// The journal of a process: calls go into memory, and a few milliseconds later, many at a time, to the end of a file. A
/// thread of its own does that, so that neither an event loop nor a task waits for a disk.
///
/// Safe to share: `state` is only read or changed while `monitor` is held, `current` only by the thread, and the rest
/// never changes.
final class CallJournal: @unchecked Sendable {
    struct Settings: Sendable {
        /// How long calls are gathered before they are appended.
        var gathering = TimeAmount.milliseconds(15)
        /// How often the disk has to have everything.
        var syncing = TimeAmount.seconds(1)
        /// The most bytes that wait in memory.
        var memory = 16 << 20
        /// A file that is as long is followed by another one; a few that are written in turn keep few pages hot.
        var fileSize = 4 << 20
        /// How many files whose calls the store has are kept to be written over.
        var spares = 2
        /// The most bytes in files that the store does not have yet.
        var capacity = 1 << 30
        /// The pause after a failure; it doubles up to a minute.
        var pause = TimeAmount.seconds(1)
    }

    private struct State {
        var active = CallBuffer()
        /// What is being appended, while `isAppending`.
        var leaving = CallBuffer()
        var isAppending = false
        /// The oldest first; only the last one is appended to.
        var files: [JournalFile] = []
        /// Those that can be written over.
        var spares: [JournalFile] = []
        var settled = 0
        var finished = 0
        var lost = 0
        /// Whether the thread sleeps until somebody wakes it; so it is, too, before there is one.
        var isAsleep = true
        var isRunning = false
        var isUrgent = false
        var isClosing = false
        /// When the disk has to have what was appended; nil where it has it.
        var syncDue: NIODeadline?
    }

    private enum Step {
        case append
        case sync
        case end
    }

    private let settings: Settings
    private let folder: @Sendable () throws(ParleyError) -> String
    private let onAppend: @Sendable () -> Void
    private let onFailure: @Sendable (String?) -> Void
    private let monitor = Monitor()
    private var state = State()
    private var current: JournalFile?

    /// A journal in a folder.
    ///
    /// - Parameters:
    ///   - onAppend: told that a file has more than before.
    ///   - onFailure: told why nothing can be appended, and nil where something was.
    init(
        _ settings: Settings, folder: @escaping @Sendable () throws(ParleyError) -> String,
        onAppend: @escaping @Sendable () -> Void, onFailure: @escaping @Sendable (String?) -> Void
    ) {
        self.settings = settings
        self.folder = folder
        self.onAppend = onAppend
        self.onFailure = onFailure
    }

    // MARK: From outside

    /// Takes over a call. While the thread has anything to do it is not woken.
    func append(_ call: UnsafeRawBufferPointer) {
        monitor.with {
            let waiting = state.active.count + state.leaving.count
            guard waiting + call.count < settings.memory, call.count <= JournalFrame.longestCall else {
                state.lost += 1
                return
            }
            state.active.append(call)
            state.settled += 1
            if state.isAsleep { rouse() }
        }
    }

    /// Sees to it that what was taken over is appended soon. Called by who waits for it.
    func hurry() {
        monitor.with {
            state.isUrgent = true
            if state.isRunning { monitor.wake() }
        }
    }

    /// Appends what is left, as far as it can be, and ends.
    func close() {
        monitor.with {
            state.isClosing = true
            if state.isRunning { monitor.wake() }
        }
    }

    struct Progress {
        /// How many calls were ever taken over.
        var settled: Int
        /// How many of them the store has, or will never have.
        var finished: Int
        /// How many are in memory only.
        var unwritten: Int
        var lost: Int
    }

    var progress: Progress {
        monitor.with {
            Progress(
                settled: state.settled, finished: state.finished, unwritten: state.active.calls + state.leaving.calls,
                lost: state.lost)
        }
    }

    /// Whether the thread has ended, or was never needed.
    var isAtRest: Bool { monitor.with { !state.isRunning } }

    /// The last call of that id that the store may not have yet.
    func find(_ id: String) -> CallRecord? {
        let (found, parts) = monitor.with { () -> (CallRecord?, [(JournalFile, JournalPart)]) in
            if let found = Self.last(id, in: state.active.bytes) ?? Self.last(id, in: state.leaving.bytes) {
                return (found, [])
            }
            return (nil, state.files.map { ($0, $0.part) })
        }
        if let found { return found }
        for (file, part) in parts.reversed() {
            var found: CallRecord?
            var part = part
            // A file that is meanwhile written over has no such frames any more; then the store has its calls.
            while let chunk = file.chunk(part), !chunk.bytes.isEmpty {
                found = chunk.bytes.withUnsafeBytes { Self.last(id, in: $0) } ?? found
                part.start = chunk.end
            }
            if let found { return found }
        }
        return nil
    }

    private static func last(_ id: String, in bytes: UnsafeRawBufferPointer) -> CallRecord? {
        var id = id
        return id.withUTF8 { id in
            var found: UnsafeRawBufferPointer?
            JournalFrame.calls(in: bytes) { call in
                if let head = CallReader.head(of: call), head.id.elementsEqual(id) { found = call }
            }
            return found.flatMap { try? CallRecord($0) }
        }
    }

    // MARK: For the store

    /// The oldest file that has what the store has not, and that part of it.
    func next() -> (file: JournalFile, part: JournalPart)? {
        monitor.with { state.files.first { $0.imported < $0.written }.map { ($0, $0.part) } }
    }

    /// Notes that the store has a file up to there.
    func advance(_ file: JournalFile, to end: Int, calls: Int) {
        monitor.with {
            file.imported = end
            let own = min(calls, file.waiting)
            file.waiting -= own
            state.finished += own
        }
    }

    /// Notes that the store will not have the rest of a file, which cannot be read.
    func abandon(_ file: JournalFile) {
        monitor.with {
            file.imported = file.written
            file.isDamaged = true
            state.finished += file.waiting
            state.lost += file.waiting
            file.waiting = 0
        }
    }

    /// The files whose calls the store has.
    var finished: [JournalFile] {
        monitor.with { state.files.filter { $0.isSealed && $0.imported >= $0.written } }
    }

    /// Keeps a finished file to write over it, if it is needed for that.
    ///
    /// The store must have noted for good, with the file's generation, that it has all calls of it.
    func keep(_ file: JournalFile) -> Bool {
        monitor.with {
            // Those that became long while the store was behind are given back to the disk.
            guard !state.isClosing, state.spares.count < settings.spares, file.written / 2 <= settings.fileSize,
                file.beginAgain()
            else { return false }
            state.files.removeAll { $0 === file }
            state.spares.append(file)
            return true
        }
    }

    /// Notes that a file is gone.
    func forget(_ file: JournalFile) { monitor.with { state.files.removeAll { $0 === file } } }

    /// Whether the store has everything that is in files, and none is left that is not needed.
    var isImported: Bool { monitor.with { !state.files.contains { $0.imported < $0.written || $0.isSealed } } }
}

// MARK: The thread

extension CallJournal {
    /// Wakes the thread, or makes it. Called with the monitor held.
    private func rouse() {
        guard !state.isClosing || state.isRunning else { return }
        if state.isRunning {
            state.isAsleep = false
            monitor.wake()
            return
        }
        // Where there is none, the next call tries again; this one waits in memory.
        guard BackgroundThread.start({ self.run() }) else { return }
        state.isAsleep = false
        state.isRunning = true
    }

    private func run() {
        var pause = settings.pause
        while true {
            switch nextStep() {
            case .append:
                do throws(ParleyError) {
                    try append()
                    pause = settings.pause
                    onFailure(nil)
                    onAppend()
                } catch {
                    onFailure(error.message)
                    guard rest(pause) else { return end() }
                    pause = min(pause + pause, .seconds(60))
                }
            case .sync:
                current?.sync()
            case .end:
                current?.sync()
                return end()
            }
        }
    }

    private func end() {
        monitor.with {
            current?.isSealed = true
            // Empty, and so finished: whoever deletes files deletes them.
            for spare in state.spares { spare.isSealed = true }
            state.files += state.spares
            state.spares = []
            state.isRunning = false
            state.isAsleep = true
        }
        current = nil
        onAppend()
    }

    /// Waits after a failure; whether to go on.
    private func rest(_ pause: TimeAmount) -> Bool {
        let end = NIODeadline.now() + pause
        return monitor.with {
            while !state.isClosing {
                let left = end - .now()
                guard left > .zero else { return true }
                monitor.wait(atMost: left)
            }
            return false
        }
    }

    /// Waits for something to do.
    private func nextStep() -> Step {
        monitor.with {
            while !state.isAppending, state.active.calls == 0 {
                if state.isClosing { return .end }
                state.isAsleep = true
                if let due = state.syncDue {
                    let left = due - .now()
                    if left <= .zero {
                        (state.isAsleep, state.syncDue) = (false, nil)
                        return .sync
                    }
                    monitor.wait(atMost: left)
                } else {
                    monitor.wait()
                }
            }
            state.isAsleep = false
            guard !state.isAppending else { return .append }
            // More calls are on their way; nobody is woken for them.
            let end = NIODeadline.now() + settings.gathering
            while !state.isUrgent, !state.isClosing {
                let left = end - .now()
                guard left > .zero else { break }
                monitor.wait(atMost: left)
            }
            state.isUrgent = false
            let full = state.active
            state.active = state.leaving
            state.leaving = full
            state.isAppending = true
            return .append
        }
    }

    /// Appends what is leaving; what cannot be appended stays.
    private func append() throws(ParleyError) {
        try makeRoom()
        let file = try writable()
        let buffer = monitor.with { state.leaving }
        buffer.seal(generation: file.generation)
        try file.append(buffer.bytes)
        let isDue = monitor.with {
            file.written += buffer.count
            file.waiting += buffer.calls
            buffer.clear()
            state.isAppending = false
            let now = NIODeadline.now()
            let due = state.syncDue ?? now + settings.syncing
            state.syncDue = due <= now ? nil : due
            return due <= now
        }
        if isDue { file.sync() }
        guard file.written >= longest else { return }
        file.sync()
        monitor.with {
            file.isSealed = true
            state.syncDue = nil
        }
        current = nil
    }

    /// How long the file may become. While the store is far behind, files become longer instead of ever more.
    private var longest: Int {
        monitor.with { state.files.count > 8 ? max(settings.fileSize, 32 << 20) : settings.fileSize }
    }

    private func makeRoom() throws(ParleyError) {
        let waiting = monitor.with { state.files.reduce(0) { $0 + $1.written - $1.imported } }
        guard waiting < settings.capacity else {
            throw ParleyError(
                .internalError, "The journal of calls is full: the store has not taken \(waiting) bytes of it.")
        }
    }

    private func writable() throws(ParleyError) -> JournalFile {
        // One that failed stays, too: see `JournalFile.append`.
        if let current { return current }
        // The spare that was written last is the one whose pages are still in memory.
        let spare = monitor.with { state.spares.popLast() }
        let file: JournalFile
        if let spare, spare.isInPlace { file = spare } else { file = try JournalFile.create(in: try folder()) }
        monitor.with { state.files.append(file) }
        current = file
        return file
    }
}
