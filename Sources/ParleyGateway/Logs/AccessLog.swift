// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore

/// Writes one line per request, batched, for one event loop; not to be shared between loops.
///
/// Lines are formatted into a buffer of the loop's own, and the sink gets it when it is large or when `tick` is called.
public final class AccessLog {
    private let sink: LogSink
    private var buffer = ByteBuffer()
    private var time = TimestampWriter()

    /// The size in bytes at which lines are handed over without waiting for a tick.
    private static let batch = 32 << 10
    /// The room for everything in a line but its texts.
    private static let fixedRoom = 1024

    /// An access log that writes to `sink` in the sink's format.
    public init(sink: LogSink) {
        self.sink = sink
    }

    deinit {
        if buffer.readableBytes > 0 { sink.write(buffer) }
    }

    /// Adds a request's line.
    public func append(_ record: AccessRecord) {
        let path = record.path.withoutQuery
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: Self.fixedRoom + record.room) { bytes in
            var line = LineWriter(bytes)
            switch sink.format {
            case .text: writeText(record, path, into: &line)
            case .json: writeJSON(record, path, into: &line)
            }
            return line.count
        }
        if buffer.readableBytes > Self.batch { tick() }
    }

    /// Hands over what there is; called from the loop's sweep, every 250 ms, and before a flush of the sink.
    public func tick() {
        guard buffer.readableBytes > 0 else { return }
        sink.write(buffer)
        // A loop that filled this one will fill the next one, too; an idle one keeps no memory.
        let isBusy = buffer.readableBytes > Self.batch
        buffer = isBusy ? ByteBufferAllocator().buffer(capacity: Self.batch + 4096) : ByteBuffer()
    }

    private func writeText(_ record: AccessRecord, _ path: String, into line: inout LineWriter) {
        time.write(record.time, into: &line)
        line.write(" access ")
        line.writeValue(record.method)
        line.write(" ")
        line.writeValue(path)
        line.write(" ")
        line.write(record.status)
        line.write(" outcome=")
        line.write(record.outcome.text)
        line.writeText(" id=", record.id)
        line.writeText(" key=", record.key)
        line.writeText(" model=", record.model)
        line.writeText(" upstream=", record.upstream)
        line.write(record.stream ? " stream=yes" : " stream=no")
        line.writeNumber(" attempts=", record.attempts)
        line.writeNumber(" in=", record.inputTokens)
        line.writeNumber(" out=", record.outputTokens)
        line.writeNumber(" cached=", record.cachedTokens)
        line.writeNumber(" reasoning=", record.reasoningTokens)
        line.writeMilliseconds(" first_ms=", record.firstEvent)
        line.writeMilliseconds(" total_ms=", record.total)
        line.writeNumber(" received=", record.bytesIn)
        line.writeNumber(" sent=", record.bytesOut)
        line.writeText(" finish=", record.finish)
        line.writeText(" error=", record.error)
        line.writeNumber(" error_at=", record.errorOffset)
        line.writeMoney(" cost=", record.cost)
        if !record.degraded.isEmpty { line.writeText(" degraded=", record.degraded.joined(separator: ", ")) }
        if !record.attemptDetails.isEmpty { writeTried(record.attemptDetails, into: &line) }
        line.write("\n")
    }

    private func writeJSON(_ record: AccessRecord, _ path: String, into line: inout LineWriter) {
        line.write("{\"time\":\"")
        time.write(record.time, into: &line)
        line.write("\",\"level\":\"info\",\"message\":\"access\"")
        line.writeJSON(",\"method\":", record.method)
        line.writeJSON(",\"path\":", path)
        line.writeNumber(",\"status\":", record.status)
        line.write(",\"outcome\":\"")
        line.write(record.outcome.text)
        line.write("\"")
        line.writeJSON(",\"id\":", record.id)
        line.writeJSON(",\"key\":", record.key)
        line.writeJSON(",\"model\":", record.model)
        line.writeJSON(",\"upstream\":", record.upstream)
        line.write(record.stream ? ",\"stream\":true" : ",\"stream\":false")
        line.writeNumber(",\"attempts\":", record.attempts)
        line.writeNumber(",\"input_tokens\":", record.inputTokens)
        line.writeNumber(",\"output_tokens\":", record.outputTokens)
        line.writeNumber(",\"cached_tokens\":", record.cachedTokens)
        line.writeNumber(",\"reasoning_tokens\":", record.reasoningTokens)
        line.writeMilliseconds(",\"first_ms\":", record.firstEvent)
        line.writeMilliseconds(",\"total_ms\":", record.total)
        line.writeNumber(",\"bytes_in\":", record.bytesIn)
        line.writeNumber(",\"bytes_out\":", record.bytesOut)
        line.writeJSON(",\"finish\":", record.finish)
        line.writeJSON(",\"error\":", record.error)
        line.writeNumber(",\"error_at\":", record.errorOffset)
        line.writeMoney(",\"cost_usd\":", record.cost)
        if !record.degraded.isEmpty {
            line.writeJSON(",\"degraded\":", record.degraded.joined(separator: ", "))
        }
        if !record.attemptDetails.isEmpty { writeDetails(record.attemptDetails, into: &line) }
        line.write("}\n")
    }

    /// Each attempt as upstream, what became of it, how long it took, and what led to it: `a/b:timeout:213ms:first,…`.
    @inline(never)
    private func writeTried(_ attempts: [AccessRecord.Attempt], into line: inout LineWriter) {
        line.write(" tried=")
        for (index, attempt) in attempts.enumerated() {
            if index > 0 { line.write(",") }
            line.writeValue(attempt.upstream)
            line.write(":")
            line.writeValue(attempt.failure ?? (attempt.elapsed == nil ? "open" : "ok"))
            line.write(":")
            line.write(Int(max(0, attempt.elapsed ?? 0) / 1000))
            line.write("ms")
            if let why = attempt.why {
                line.write(":")
                line.writeValue(why)
            }
        }
    }

    @inline(never)
    private func writeDetails(_ attempts: [AccessRecord.Attempt], into line: inout LineWriter) {
        line.write(",\"attempts_detail\":[")
        for (index, attempt) in attempts.enumerated() {
            line.write(index > 0 ? ",{" : "{")
            line.writeJSON("\"upstream\":", attempt.upstream)
            line.writeJSON(",\"why\":", attempt.why)
            line.writeJSON(",\"failure\":", attempt.failure)
            line.writeMilliseconds(",\"ms\":", attempt.elapsed)
            line.write("}")
        }
        line.write("]")
    }
}

extension AccessRecord.Outcome {
    fileprivate var text: StaticString {
        switch self {
        case .ok: "ok"
        case .failed: "failed"
        case .cancelled: "cancelled"
        }
    }
}

extension String {
    /// A path up to its query: that of a Gemini client carries its key.
    fileprivate var withoutQuery: String {
        let end = utf8.withContiguousStorageIfAvailable { bytes in
            bytes.firstIndex { $0 == UInt8(ascii: "?") || $0 == UInt8(ascii: "#") } ?? bytes.count
        }
        guard let end else { return split(separator: "?", maxSplits: 1).first.map(String.init) ?? "" }
        return end == utf8.count ? self : String(decoding: utf8.prefix(end), as: UTF8.self)
    }
}

extension AccessRecord {
    /// The most room that the record's texts can take.
    fileprivate var room: Int {
        LineWriter.room(for: method) + LineWriter.room(for: path) + LineWriter.room(for: id)
            + LineWriter.room(for: key) + LineWriter.room(for: model) + LineWriter.room(for: upstream)
            + LineWriter.room(for: finish) + LineWriter.room(for: error) + rareRoom
    }
}

extension AccessRecord {
    /// The room of what few records have.
    private var rareRoom: Int {
        guard !attemptDetails.isEmpty || !degraded.isEmpty else { return 0 }
        // A text that is cut is at most as long as its parts.
        let missing = degraded.reduce(0) { $0 + LineWriter.room(for: $1) + 16 }
        return attemptDetails.reduce(missing) { room, attempt in
            room + LineWriter.room(for: attempt.upstream) + LineWriter.room(for: attempt.failure)
                + LineWriter.room(for: attempt.why) + 128
        }
    }
}

extension LineWriter {
    /// Appends nanodollars as US dollars with all nine places.
    fileprivate mutating func writeMoney(_ name: StaticString, _ nanodollars: Int?) {
        guard let nanodollars else { return }
        write(name)
        let (whole, rest) = max(0, nanodollars).quotientAndRemainder(dividingBy: 1_000_000_000)
        write(whole)
        write(".")
        write(rest, width: 9)
    }

    fileprivate mutating func writeText(_ name: StaticString, _ value: String?) {
        guard let value else { return }
        write(name)
        writeValue(value)
    }

    fileprivate mutating func writeJSON(_ name: StaticString, _ value: String?) {
        guard let value else { return }
        write(name)
        writeQuoted(value)
    }

    fileprivate mutating func writeNumber(_ name: StaticString, _ value: Int?) {
        guard let value else { return }
        write(name)
        write(value)
    }

    /// Appends microseconds as milliseconds with three decimals.
    fileprivate mutating func writeMilliseconds(_ name: StaticString, _ microseconds: Int64?) {
        guard let microseconds else { return }
        write(name)
        let (whole, rest) = max(0, microseconds).quotientAndRemainder(dividingBy: 1000)
        write(Int(whole))
        write(".")
        write(Int(rest), width: 3)
    }
}
