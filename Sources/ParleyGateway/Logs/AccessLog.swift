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
    /// How many bytes of a client's text are written.
    private static let limit = 256

    /// An access log that writes to `sink` in the sink's format.
    public init(sink: LogSink) {
        self.sink = sink
    }

    deinit {
        if buffer.readableBytes > 0 { sink.write(buffer) }
    }

    /// Adds a request's line.
    public func append(_ record: AccessRecord) {
        switch sink.format {
        case .text: writeText(record, into: &buffer)
        case .json: writeJSON(record, into: &buffer)
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

    private func writeText(_ record: AccessRecord, into out: inout ByteBuffer) {
        time.write(record.time, into: &out)
        out.writeStaticString(" access ")
        out.writeTextValue(record.method, limit: Self.limit)
        out.writeStaticString(" ")
        out.writeTextValue(record.path.withoutQuery, limit: Self.limit)
        out.writeStaticString(" ")
        out.writeDigits(record.status)
        out.writeStaticString(" outcome=")
        out.writeStaticString(record.outcome.text)
        out.writeText(" id=", record.id, Self.limit)
        out.writeText(" key=", record.key, Self.limit)
        out.writeText(" model=", record.model, Self.limit)
        out.writeText(" upstream=", record.upstream, Self.limit)
        out.writeStaticString(record.stream ? " stream=yes" : " stream=no")
        out.writeNumber(" attempts=", record.attempts)
        out.writeNumber(" in=", record.inputTokens)
        out.writeNumber(" out=", record.outputTokens)
        out.writeNumber(" cached=", record.cachedTokens)
        out.writeNumber(" reasoning=", record.reasoningTokens)
        out.writeMilliseconds(" first_ms=", record.firstEvent)
        out.writeMilliseconds(" total_ms=", record.total)
        out.writeNumber(" received=", record.bytesIn)
        out.writeNumber(" sent=", record.bytesOut)
        out.writeText(" finish=", record.finish, Self.limit)
        out.writeText(" error=", record.error, Self.limit)
        out.writeStaticString("\n")
    }

    private func writeJSON(_ record: AccessRecord, into out: inout ByteBuffer) {
        out.writeStaticString("{\"time\":\"")
        time.write(record.time, into: &out)
        out.writeStaticString("\",\"level\":\"info\",\"message\":\"access\"")
        out.writeJSON(",\"method\":", record.method, Self.limit)
        out.writeJSON(",\"path\":", record.path.withoutQuery, Self.limit)
        out.writeNumber(",\"status\":", record.status)
        out.writeStaticString(",\"outcome\":\"")
        out.writeStaticString(record.outcome.text)
        out.writeStaticString("\"")
        out.writeJSON(",\"id\":", record.id, Self.limit)
        out.writeJSON(",\"key\":", record.key, Self.limit)
        out.writeJSON(",\"model\":", record.model, Self.limit)
        out.writeJSON(",\"upstream\":", record.upstream, Self.limit)
        out.writeStaticString(record.stream ? ",\"stream\":true" : ",\"stream\":false")
        out.writeNumber(",\"attempts\":", record.attempts)
        out.writeNumber(",\"input_tokens\":", record.inputTokens)
        out.writeNumber(",\"output_tokens\":", record.outputTokens)
        out.writeNumber(",\"cached_tokens\":", record.cachedTokens)
        out.writeNumber(",\"reasoning_tokens\":", record.reasoningTokens)
        out.writeMilliseconds(",\"first_ms\":", record.firstEvent)
        out.writeMilliseconds(",\"total_ms\":", record.total)
        out.writeNumber(",\"bytes_in\":", record.bytesIn)
        out.writeNumber(",\"bytes_out\":", record.bytesOut)
        out.writeJSON(",\"finish\":", record.finish, Self.limit)
        out.writeJSON(",\"error\":", record.error, Self.limit)
        out.writeStaticString("}\n")
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

extension ByteBuffer {
    fileprivate mutating func writeText(_ name: StaticString, _ value: String?, _ limit: Int) {
        guard let value else { return }
        writeStaticString(name)
        writeTextValue(value, limit: limit)
    }

    fileprivate mutating func writeJSON(_ name: StaticString, _ value: String?, _ limit: Int) {
        guard let value else { return }
        writeStaticString(name)
        writeQuoted(value, limit: limit)
    }

    fileprivate mutating func writeNumber(_ name: StaticString, _ value: Int?) {
        guard let value else { return }
        writeStaticString(name)
        writeDigits(value)
    }

    /// Appends microseconds as milliseconds with three decimals.
    fileprivate mutating func writeMilliseconds(_ name: StaticString, _ microseconds: Int64?) {
        guard let microseconds else { return }
        writeStaticString(name)
        let (whole, rest) = max(0, microseconds).quotientAndRemainder(dividingBy: 1000)
        writeDigits(Int(whole))
        writeStaticString(".")
        writePadded(rest, width: 3)
    }

    /// Appends a count; none of a record's is ever negative.
    fileprivate mutating func writeDigits(_ value: Int) {
        writePadded(Int64(max(0, value)), width: 1)
    }
}
