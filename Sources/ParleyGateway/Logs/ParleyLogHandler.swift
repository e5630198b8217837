// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import Logging
import NIOCore

/// Writes swift-log's events as text or JSON lines to a sink.
///
/// Text: `2026-11-21T02:09:56.123Z info  listening address=127.0.0.1:8080`. JSON: an object with `time`, `level`,
/// `logger`, `message` and one member per metadata key. Metadata is sorted by key. Nothing in a message or in metadata
/// can begin a line or a field of its own.
public struct ParleyLogHandler: LogHandler {
    /// The least severe level that is written.
    public var logLevel: Logger.Level
    /// Metadata of every event.
    public var metadata: Logger.Metadata = [:]
    /// A source of more metadata; an event's own wins over it, and it over the handler's.
    public var metadataProvider: Logger.MetadataProvider?

    private let label: String
    private let sink: LogSink

    /// How many bytes of a message or of one metadata value are written; error messages of upstreams can be long.
    private static let limit = 4096

    /// A handler for the logger `label`, writing to `sink` in the sink's format.
    public init(
        label: String = "parley", sink: LogSink, level: Logger.Level = .info,
        metadataProvider: Logger.MetadataProvider? = nil
    ) {
        self.label = label
        self.sink = sink
        self.logLevel = level
        self.metadataProvider = metadataProvider
    }

    /// The handler's metadata by key.
    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// Writes one event.
    public func log(event: LogEvent) {
        var fields = metadata
        if let provided = metadataProvider?.get() { fields.merge(provided) { $1 } }
        if let own = event.metadata { fields.merge(own) { $1 } }
        if let error = event.error, fields["error"] == nil { fields["error"] = .string(String(describing: error)) }
        let sorted = fields.sorted { $0.key < $1.key }

        var line = ByteBuffer()
        var time = TimestampWriter()
        switch sink.format {
        case .text:
            time.write(LogTimestamp.now(), into: &line)
            writeText(event, sorted, into: &line)
        case .json:
            line.writeStaticString("{\"time\":\"")
            time.write(LogTimestamp.now(), into: &line)
            writeJSON(event, sorted, into: &line)
        }
        sink.write(line)
    }

    private func writeText(
        _ event: LogEvent, _ fields: [(key: String, value: Logger.MetadataValue)],
        into line: inout ByteBuffer
    ) {
        line.writeStaticString(" ")
        line.writeString(event.level.rawValue)
        for _ in event.level.rawValue.utf8.count..<max(6, event.level.rawValue.utf8.count + 1) {
            line.writeStaticString(" ")
        }
        line.writeMessage(event.message.description, limit: Self.limit)
        for (key, value) in fields {
            line.writeStaticString(" ")
            line.writeTextValue(key, limit: Self.limit)
            line.writeStaticString("=")
            line.writeTextValue(value.plainText, limit: Self.limit)
        }
        line.writeStaticString("\n")
    }

    private func writeJSON(
        _ event: LogEvent, _ fields: [(key: String, value: Logger.MetadataValue)],
        into line: inout ByteBuffer
    ) {
        line.writeStaticString("\",\"level\":\"")
        line.writeString(event.level.rawValue)
        line.writeStaticString("\",\"logger\":")
        line.writeQuoted(label, limit: Self.limit)
        line.writeStaticString(",\"message\":")
        line.writeQuoted(event.message.description, limit: Self.limit)
        for (key, value) in fields {
            line.writeStaticString(",")
            line.writeQuoted(Self.reserved.contains(key) ? key + "_" : key, limit: Self.limit)
            line.writeStaticString(":")
            line.writeJSON(value, limit: Self.limit)
        }
        line.writeStaticString("}\n")
    }

    /// Members that metadata must not repeat.
    private static let reserved: Set<String> = ["time", "level", "logger", "message"]
}

extension Logger.MetadataValue {
    /// The value on one line; members of a dictionary are sorted by key.
    fileprivate var plainText: String {
        switch self {
        case .string(let text): text
        case .stringConvertible(let value): value.description
        case .array(let values): "[" + values.map(\.plainText).joined(separator: ", ") + "]"
        case .dictionary(let members):
            "["
                + members.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value.plainText)" }
                .joined(separator: ", ") + "]"
        }
    }
}

extension ByteBuffer {
    fileprivate mutating func writeJSON(_ value: Logger.MetadataValue, limit: Int) {
        switch value {
        case .string(let text): writeQuoted(text, limit: limit)
        case .stringConvertible(let value): writeQuoted(value.description, limit: limit)
        case .array(let values):
            writeStaticString("[")
            for (index, value) in values.enumerated() {
                if index > 0 { writeStaticString(",") }
                writeJSON(value, limit: limit)
            }
            writeStaticString("]")
        case .dictionary(let members):
            writeStaticString("{")
            for (index, member) in members.sorted(by: { $0.key < $1.key }).enumerated() {
                if index > 0 { writeStaticString(",") }
                writeQuoted(member.key, limit: limit)
                writeStaticString(":")
                writeJSON(member.value, limit: limit)
            }
            writeStaticString("}")
        }
    }
}
