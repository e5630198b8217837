// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// Writes Amazon's binary messages (`application/vnd.amazon.eventstream`), as an upstream would.
///
/// It shares nothing with the reader, so that a fault of one shows in the other.
public enum EventStreamWriter {
    /// A header as its name, the number of its type and the bytes of its value.
    public struct Header: Sendable {
        /// The name.
        public var name: String
        /// The number of the type, e.g. 7 for text.
        public var type: UInt8
        /// The value as it is sent, its length included where the type has one.
        public var value: [UInt8]

        /// A header of any type.
        public init(_ name: String, type: UInt8, value: [UInt8]) {
            self.name = name
            self.type = type
            self.value = value
        }

        /// A header of text.
        public init(_ name: String, _ text: String) {
            self.init(name, type: 7, value: EventStreamWriter.bytes(UInt16(text.utf8.count)) + Array(text.utf8))
        }
    }

    /// A message.
    public static func message(_ headers: [Header], _ payload: [UInt8]) -> [UInt8] {
        let head = headers.flatMap { [UInt8($0.name.utf8.count)] + Array($0.name.utf8) + [$0.type] + $0.value }
        let prelude = bytes(UInt32(16 + head.count + payload.count)) + bytes(UInt32(head.count))
        let body = prelude + bytes(checksum(prelude)) + head + payload
        return body + bytes(checksum(body))
    }

    /// An event with a JSON payload.
    public static func event(_ type: String, _ json: String) -> [UInt8] {
        message(
            [
                Header(":event-type", type), Header(":content-type", "application/json"),
                Header(":message-type", "event"),
            ], Array(json.utf8))
    }

    /// An exception, which ends a stream.
    public static func exception(_ type: String, _ json: String) -> [UInt8] {
        message(
            [
                Header(":exception-type", type), Header(":content-type", "application/json"),
                Header(":message-type", "exception"),
            ], Array(json.utf8))
    }

    /// The CRC-32 of zlib, bit by bit.
    public static func checksum(_ bytes: [UInt8]) -> UInt32 {
        var value = UInt32.max
        for byte in bytes {
            value ^= UInt32(byte)
            for _ in 0..<8 { value = value & 1 == 1 ? (value >> 1) ^ 0xEDB8_8320 : value >> 1 }
        }
        return ~value
    }

    /// A number's bytes, the most significant one first.
    public static func bytes<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
        stride(from: Number.bitWidth - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: number >> Number($0)) }
    }
}
