// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import NIOCore
import Synchronization
import Testing

@testable import ParleyGateway

@Suite("Where log lines go")
struct LogSinkTests {
    private static let patience = TimeAmount.seconds(30)

    private func write(_ sink: LogSink, _ lines: String...) {
        for line in lines {
            sink.write(ByteBuffer(string: line + "\n"))
            #expect(sink.flush(within: Self.patience))
        }
    }

    @Test("A full file is renamed, and so many old ones are kept as configured")
    func rotation() throws {
        let folder = try TemporaryFolder()
        let sink = try LogSink(.file(path: folder.path("log"), rotate: 10, keep: 2))
        write(sink, "one 1", "two 22", "three", "four 4", "5")
        #expect(try folder.names() == ["log", "log.1", "log.2"])
        #expect(try folder.text("log") == "four 4\n5\n")
        #expect(try folder.text("log.1") == "three\n")
        #expect(try folder.text("log.2") == "two 22\n")
    }

    @Test("With no old files to keep, a full file is emptied")
    func rotationWithoutOldFiles() throws {
        let folder = try TemporaryFolder()
        let sink = try LogSink(.file(path: folder.path("log"), rotate: 10, keep: 0))
        write(sink, "one 1", "two 2", "three")
        #expect(try folder.names() == ["log"])
        #expect(try folder.text("log") == "three\n")
    }

    @Test("A file that was there is continued and counts for its size")
    func continuation() throws {
        let folder = try TemporaryFolder()
        try Data("before\n".utf8).write(to: folder.url.appendingPathComponent("log"))
        let sink = try LogSink(.file(path: folder.path("log"), rotate: 10, keep: 3))
        write(sink, "a", "b", "c")
        #expect(try folder.text("log.1") == "before\na\n")
        #expect(try folder.text("log") == "b\nc\n")
    }

    @Test("A file that cannot be renamed goes on growing and loses nothing")
    func failingRotation() throws {
        let folder = try TemporaryFolder()
        // A folder that is not empty cannot be replaced by a file.
        try FileManager.default.createDirectory(atPath: folder.path("log.1/full"), withIntermediateDirectories: true)
        let sink = try LogSink(.file(path: folder.path("log"), rotate: 4, keep: 1))
        write(sink, "one", "two", "three")
        #expect(try folder.text("log") == "one\ntwo\nthree\n")
        #expect(sink.statistics.failed == 0)
    }

    @Test("After another program moved the file, reopening makes a new one")
    func reopening() throws {
        let folder = try TemporaryFolder()
        let sink = try LogSink(.file(path: folder.path("log"), rotate: 0, keep: 0))
        write(sink, "one")
        try FileManager.default.moveItem(atPath: folder.path("log"), toPath: folder.path("moved"))
        write(sink, "two")
        sink.reopen()
        write(sink, "three")
        #expect(try folder.text("moved") == "one\ntwo\n")
        #expect(try folder.text("log") == "three\n")
    }

    @Test("A file that cannot be opened is an error with its path")
    func missingFolder() throws {
        let folder = try TemporaryFolder()
        let path = folder.path("missing/log")
        #expect(throws: LogSinkError(path: path, reason: "No such file or directory")) {
            try LogSink(.file(path: path, rotate: 0, keep: 0))
        }
    }

    @Test("Lines keep their order, small and large ones mixed")
    func order() throws {
        let written = try lines(.text) { sink in
            for index in 0..<500 {
                let filler = String(repeating: "x", count: index % 50 == 0 ? 70_000 : index)
                sink.write(ByteBuffer(string: "\(index) \(filler)\n"))
            }
        }
        let numbers: [Int?] = written.map { line in Int(line.prefix { $0 != " " }) }
        #expect(numbers == Array(0..<500))
    }

    @Test("Two sinks do not know of each other, and may share a file")
    func twoSinks() throws {
        let folder = try TemporaryFolder()
        let first = try LogSink(.file(path: folder.path("shared"), rotate: 0, keep: 0))
        let second = try LogSink(.file(path: folder.path("shared"), rotate: 0, keep: 0))
        let other = try LogSink(.file(path: folder.path("other"), rotate: 0, keep: 0))
        for index in 0..<200 {
            first.write(ByteBuffer(string: "first \(index)\n"))
            second.write(ByteBuffer(string: "second \(index)\n"))
        }
        write(other, "alone")
        #expect(first.flush(within: Self.patience) && second.flush(within: Self.patience))
        let shared = try folder.text("shared").split(separator: "\n").map(String.init)
        for name in ["first", "second"] {
            let found: [String] = shared.filter { $0.hasPrefix(name) }
            let expected: [String] = (0..<200).map { "\(name) \($0)" }
            #expect(found == expected)
        }
        #expect(try folder.text("other") == "alone\n")
    }

    @Test("A reader that stops reading costs lines, which are counted, and nobody waits", arguments: [false, true])
    func blockedReader(isNonBlocking: Bool) throws {
        let pipe = Pipe()
        let descriptor = pipe.fileHandleForWriting.fileDescriptor
        if isNonBlocking { #expect(fcntl(descriptor, F_SETFL, O_NONBLOCK) == 0) }
        let sink = try LogSink(.descriptor(descriptor), capacity: 200_000)
        let line = ByteBuffer(string: String(repeating: "x", count: 999) + "\n")
        for _ in 0..<1000 { sink.write(line) }
        #expect(!sink.flush(within: .milliseconds(50)))
        let dropped = sink.statistics.dropped
        // The pipe itself may have taken some of the lines that there was room for.
        #expect(dropped > 0 && dropped <= 800)

        let reading = Thread.readAll(pipe.fileHandleForReading)
        #expect(sink.flush(within: Self.patience))
        write(sink, "after")
        try pipe.fileHandleForWriting.close()
        let written = reading.wait().split(separator: "\n").map(String.init)
        #expect(written.count { $0.hasPrefix("x") } == 1000 - dropped)
        let notices = try written.filter { $0.contains("lost") }.map(withoutTime)
        let told = notices.compactMap { Int($0.replacing("warning log lines were lost count=", with: "")) }
        #expect(told.reduce(0, +) == dropped)
        #expect(written.last == "after")
    }

    @Test("A full disk is counted and never fatal")
    func fullDisk() throws {
        let sink = try LogSink(.file(path: "/dev/full", rotate: 0, keep: 0), format: .json)
        write(sink, "one", "two\nthree")
        #expect(sink.statistics == LogSink.Statistics(dropped: 0, failed: 3, bytes: 0))
    }

    @Test("A reader that went away is no signal to die of")
    func brokenPipe() throws {
        let pipe = Pipe()
        let sink = try LogSink(.descriptor(pipe.fileHandleForWriting.fileDescriptor))
        try pipe.fileHandleForReading.close()
        write(sink, "one", "two")
        #expect(sink.statistics.failed == 2)
    }

    @Test("When a destination works again, the log says what is missing, on a line of its own")
    func recovery() throws {
        let destination = TornDestination(room: 6)
        let writer = LogWriter(destination, format: .json, capacity: 1000)
        #expect(writer.start())
        defer { writer.finish() }
        for text in ["one\n", "two\nthree\n", "four\n"] {
            writer.enqueue(ByteBuffer(string: text))
            #expect(writer.flush(within: Self.patience))
        }
        destination.room.withLock { $0 = 1000 }
        writer.enqueue(ByteBuffer(string: "five\n"))
        #expect(writer.flush(within: Self.patience))
        let written = destination.text.withLock { $0 }.split(separator: "\n").map(String.init)
        #expect(written.count == 4)
        #expect(written.first == "one" && written.dropFirst().first == "tw" && written.last == "five")
        let notice = try object(#require(written.dropFirst(2).first))
        #expect(notice["count"] as? Int == 3)
        #expect(writer.statistics.failed == 3)
    }
}

/// Has room for so many bytes, and takes part of what does not fit, as a full disk does.
private final class TornDestination: LogDestination {
    let room: Mutex<Int>
    let text = Mutex("")

    init(room: Int) {
        self.room = Mutex(room)
    }

    func write(_ bytes: UnsafeRawBufferPointer) -> Int {
        let count = room.withLock { room in
            let count = min(room, bytes.count)
            room -= count
            return count
        }
        let piece = String(decoding: bytes.prefix(count), as: UTF8.self)
        text.withLock { $0 += piece }
        return count
    }

    func prepare(for count: Int) {}
    func reopen() {}
}

/// The end of a thread's work.
private final class Reading: Sendable {
    private let done = DispatchSemaphore(value: 0)
    private let text = Mutex("")

    func finish(_ data: Data) {
        text.withLock { $0 = String(decoding: data, as: UTF8.self) }
        done.signal()
    }

    func wait() -> String {
        done.wait()
        return text.withLock { $0 }
    }
}

extension Thread {
    /// Reads a pipe to its end.
    fileprivate static func readAll(_ handle: FileHandle) -> Reading {
        let reading = Reading()
        let descriptor = handle.fileDescriptor
        Thread.detachNewThread {
            reading.finish((try? FileHandle(fileDescriptor: descriptor).readToEnd()) ?? Data())
        }
        return reading
    }
}
