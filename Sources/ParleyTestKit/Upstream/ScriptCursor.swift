// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.
import FoundationEssentials
import NIOCore

/// Turns a script's steps into operations on a connection, one at a time and without knowing the connection.
///
/// Repetitions are unrolled as they are asked for, so that a script may write for ever without filling memory.
struct ScriptCursor {
    /// What the connection does next.
    enum Operation: Equatable {
        /// Hand these bytes to the connection; they need not leave yet.
        case write(ByteBuffer)
        /// Let everything written leave, then give other connections their turn.
        case yield
        /// Let everything written leave, then wait this many milliseconds.
        case sleep(Int)
        /// Wait for the peer to close.
        case hang
        /// Drop the connection.
        case cut(Script.Cut)
        /// The answer is complete; more operations may follow.
        case end
        /// Close the connection in good order, after everything written has left.
        case close
        /// There is nothing left to do.
        case finished
    }

    /// A repetition that is being unrolled.
    private struct Unrolling {
        let fragments: [[UInt8]]
        let count: Int
        let everyMilliseconds: Int
        var done = 0
    }

    /// About how much of an unpaced repetition goes into one write.
    private static let batchBytes = 262_144

    private let steps: [Script.Step]
    private let files: [String: [UInt8]]
    private let keepAlive: Bool
    private var position = 0
    private var framing: Script.Framing?
    private var split: Script.Split?
    private var generator = SeededGenerator(seed: 0)
    private var pending: [Operation] = []
    private var pendingPosition = 0
    private var unrolling: Unrolling?
    private var ended = false

    /// Creates a cursor at the first step; reads the files that the steps name.
    ///
    /// - Parameter keepAlive: Whether the request lets the connection live on; if not the head says so.
    /// - Throws: The file system's error for a file that cannot be read.
    init(steps: [Script.Step], keepAlive: Bool) throws {
        self.steps = steps
        self.keepAlive = keepAlive
        var files: [String: [UInt8]] = [:]
        for case .writeFile(let path) in steps where files[path] == nil {
            files[path] = [UInt8](try Data(contentsOf: URL(filePath: path)))
        }
        self.files = files
    }

    /// The next operation; `finished` for ever after the last.
    mutating func next() -> Operation {
        while true {
            if pendingPosition < pending.count {
                defer { pendingPosition += 1 }
                return pending[pendingPosition]
            }
            pending.removeAll(keepingCapacity: true)
            pendingPosition = 0
            if unrolling != nil {
                unroll()
            } else if position < steps.count {
                position += 1
                take(steps[position - 1])
            } else if !ended {
                finish()
            } else {
                return .finished
            }
        }
    }

    private mutating func take(_ step: Script.Step) {
        switch step {
        case .head(let head): write(head)
        case .write(let text): write(Array(text.utf8))
        case .writeBytes(let bytes): write(bytes)
        case .writeFile(let path): write(files[path] ?? [])
        case .sse(let events):
            for frame in Self.frames(of: events) { write(frame) }
        case .repeat(let repetition):
            unrolling = Unrolling(
                fragments: Self.fragments(of: repetition.write), count: repetition.count,
                everyMilliseconds: repetition.everyMilliseconds)
        case .split(let split):
            self.split = split
            if case .random(let seed, _) = split { generator = SeededGenerator(seed: seed) }
        case .sleep(let milliseconds): pending.append(.sleep(milliseconds))
        case .hang: pending.append(.hang)
        case .cut(let cut): pending.append(.cut(cut))
        case .end: if !ended { finish() }
        case .close:
            if !ended { finish() }
            pending.append(.close)
        case .raw(let text): emit(Array(text.utf8), framing: nil)
        case .refuse: pending.append(.cut(.fin))
        }
    }

    /// Ends the body as its framing asks.
    private mutating func finish() {
        ended = true
        if framing == .chunked { pending.append(.write(ByteBuffer(string: "0\r\n\r\n"))) }
        pending.append(.end)
        if framing == .close { pending.append(.close) }
    }

    private mutating func write(_ bytes: [UInt8]) {
        // An empty chunk would end a chunked body.
        guard !ended, !bytes.isEmpty else { return }
        emit(bytes, framing: ensuredFraming())
    }

    /// The framing in force; a body without a head gets a plain one.
    private mutating func ensuredFraming() -> Script.Framing {
        if let framing { return framing }
        write(Script.Head())
        return .chunked
    }

    private mutating func emit(_ bytes: [UInt8], framing: Script.Framing?) {
        guard let split else {
            pending.append(.write(Self.framed(bytes[...], framing)))
            return
        }
        var rest = bytes[...]
        while !rest.isEmpty {
            let size: Int
            switch split {
            case .size(let fixed): size = max(1, fixed)
            case .random(_, let most): size = Int.random(in: 1...max(1, most), using: &generator)
            }
            pending.append(.write(Self.framed(rest.prefix(size), framing)))
            pending.append(.yield)
            rest = rest.dropFirst(size)
        }
    }

    /// Appends the next part of a repetition: one round if it is paced or split, else a batch.
    private mutating func unroll() {
        guard var current = unrolling else { return }
        defer { unrolling = current.done < current.count ? current : nil }
        guard !ended, current.done < current.count else {
            current.done = current.count
            return
        }
        if current.everyMilliseconds > 0 || split != nil {
            write(Self.text(current.fragments, number: current.done))
            current.done += 1
            if current.everyMilliseconds > 0, current.done < current.count {
                pending.append(.sleep(current.everyMilliseconds))
            }
            return
        }
        let framing = ensuredFraming()
        var batch = ByteBuffer()
        while current.done < current.count, batch.readableBytes < Self.batchBytes {
            let bytes = Self.text(current.fragments, number: current.done)
            if !bytes.isEmpty { Self.append(bytes[...], framing, to: &batch) }
            current.done += 1
        }
        pending.append(.write(batch))
    }
}

// MARK: - Bytes

extension ScriptCursor {
    private mutating func write(_ head: Script.Head) {
        framing = head.framing
        let later = steps[min(position, steps.count)...]
        let closes = head.framing == .close || !keepAlive || later.contains(.close)
        var text = "HTTP/1.1 \(head.status) \(Self.reason(head.status))\r\n"
        for (name, value) in head.headers.sorted(by: { $0.key < $1.key }) {
            text += "\(name): \(value)\r\n"
        }
        let given = Set(head.headers.keys.map { $0.lowercased() })
        switch head.framing {
        case .chunked: if !given.contains("transfer-encoding") { text += "transfer-encoding: chunked\r\n" }
        case .length:
            if !given.contains("content-length") { text += "content-length: \(bodyLength(of: later))\r\n" }
        case .declaredLength(let length): text += "content-length: \(length)\r\n"
        case .close: break
        }
        if closes, !given.contains("connection") { text += "connection: close\r\n" }
        pending.append(.write(ByteBuffer(string: text + "\r\n")))
    }

    /// How many body bytes these steps write.
    private func bodyLength(of steps: ArraySlice<Script.Step>) -> Int {
        var total = 0
        for step in steps {
            switch step {
            case .write(let text): total += text.utf8.count
            case .writeBytes(let bytes): total += bytes.count
            case .writeFile(let path): total += files[path]?.count ?? 0
            case .sse(let events): total += Self.frames(of: events).reduce(0) { $0 + $1.count }
            case .repeat(let repetition):
                let fragments = Self.fragments(of: repetition.write)
                let places = fragments.count - 1
                let fixed = fragments.reduce(0) { $0 + $1.count }
                for number in 0..<max(0, repetition.count) { total += fixed + places * String(number).utf8.count }
            case .end, .close: return total
            default: break
            }
        }
        return total
    }

    private static func framed(_ bytes: ArraySlice<UInt8>, _ framing: Script.Framing?) -> ByteBuffer {
        var buffer = ByteBuffer()
        append(bytes, framing, to: &buffer)
        return buffer
    }

    private static func append(_ bytes: ArraySlice<UInt8>, _ framing: Script.Framing?, to buffer: inout ByteBuffer) {
        guard framing == .chunked else {
            buffer.writeBytes(bytes)
            return
        }
        buffer.writeString(String(bytes.count, radix: 16))
        buffer.writeString("\r\n")
        buffer.writeBytes(bytes)
        buffer.writeString("\r\n")
    }

    private static func frames(of events: Script.Events) -> [[UInt8]] {
        let ending = events.crlf ? "\r\n\r\n" : "\n\n"
        return (events.data + (events.done ? ["[DONE]"] : [])).map { Array("data: \($0)\(ending)".utf8) }
    }

    /// The text between the places of the counter.
    private static func fragments(of template: String) -> [[UInt8]] {
        var fragments: [[UInt8]] = [[]]
        var rest = Array(template.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "$"), rest.first == UInt8(ascii: "i") {
                rest.removeFirst()
                fragments.append([])
            } else {
                fragments[fragments.count - 1].append(byte)
            }
        }
        return fragments
    }

    private static func text(_ fragments: [[UInt8]], number: Int) -> [UInt8] {
        Array(fragments.joined(separator: Array(String(number).utf8)))
    }

    /// A reason phrase; peers must not care, so only the common ones are told apart.
    private static func reason(_ status: Int) -> String {
        let phrases = [
            200: "OK", 202: "Accepted", 204: "No Content", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden",
            404: "Not Found", 408: "Request Timeout", 413: "Content Too Large", 422: "Unprocessable Content",
            429: "Too Many Requests", 500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable",
            504: "Gateway Timeout",
        ]
        return phrases[status] ?? "Status"
    }
}
