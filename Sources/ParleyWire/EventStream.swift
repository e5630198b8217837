// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore

/// Reads Amazon's binary messages (`application/vnd.amazon.eventstream`) from bytes that may be split anywhere.
///
/// A message is a prelude of 12 bytes (total length, length of the headers, CRC-32 of both), headers, payload, and the
/// CRC-32 of everything before it; all numbers are big-endian. Both checksums are verified before anything is used.
public struct EventStream {
    /// One message.
    public struct Message: Sendable, Equatable {
        /// The headers in order.
        public var headers: [EventStreamHeader]
        /// The payload as it came.
        public var payload: ByteBuffer

        /// A message of these headers and this payload.
        public init(headers: [EventStreamHeader], payload: ByteBuffer) {
            self.headers = headers
            self.payload = payload
        }

        /// The text of the first header called `name`; nil where there is none or it is no text.
        public func string(_ name: String) -> String? {
            for header in headers where header.name == name {
                if case .string(let text) = header.value { return text }
            }
            return nil
        }
    }

    /// Both checksums, the lengths and nothing else.
    static let overhead = 16
    /// The length of the prelude, its checksum included.
    static let prelude = 12
    /// The most bytes that Amazon allows for a message's headers.
    static let headerLimit = 128 << 10

    private var held = ByteBuffer()
    /// How many bytes of the stream were read as whole messages.
    private var offset = 0
    private let budget: Int

    /// A reader of a new stream.
    ///
    /// - Parameter budget: the most bytes one message may have; Amazon allows 24 MiB of payload.
    public init(budget: Int = 25 << 20) {
        self.budget = budget
    }

    /// Takes bytes; `next` then reads them.
    public mutating func push(_ bytes: ByteBuffer) {
        guard bytes.readableBytes > 0 else { return }
        if held.readableBytes == 0 {
            held = bytes
        } else {
            // What was read already would otherwise be kept for as long as the stream lasts.
            if held.readerIndex > held.readableBytes { held.discardReadBytes() }
            held.writeImmutableBuffer(bytes)
        }
    }

    /// Whether a message has begun that is not whole yet.
    public var isInsideMessage: Bool { held.readableBytes > 0 }

    /// The next complete message; nil when more bytes are needed.
    ///
    /// - Throws: `upstreamUnavailable` where a length, a checksum or a header is wrong, naming the byte.
    public mutating func next() throws(ParleyError) -> Message? {
        guard let (total, headerLength) = try lengths(), held.readableBytes >= total,
            let message = held.getSlice(at: held.readerIndex, length: total),
            let checksum = message.getInteger(at: message.readerIndex + total - 4, as: UInt32.self)
        else { return nil }
        guard Self.checksum(message, length: total - 4) == checksum else {
            throw damaged("a message with a wrong checksum", at: total - 4)
        }
        var headers: [EventStreamHeader] = []
        var rest = message.getSlice(at: message.readerIndex + Self.prelude, length: headerLength) ?? ByteBuffer()
        while rest.readableBytes > 0 {
            let at = Self.prelude + headerLength - rest.readableBytes
            guard let header = EventStreamHeader(from: &rest) else {
                throw damaged("a message with an unreadable header", at: at)
            }
            headers.append(header)
        }
        let start = Self.prelude + headerLength
        let payload = message.getSlice(at: message.readerIndex + start, length: total - start - 4) ?? ByteBuffer()
        held.moveReaderIndex(forwardBy: total)
        offset = offset.clampedSum(total)
        return Message(headers: headers, payload: payload)
    }

    /// The lengths that the next message's prelude says; nil while it is not there.
    private func lengths() throws(ParleyError) -> (total: Int, headers: Int)? {
        guard held.readableBytes >= Self.prelude,
            let total = held.getInteger(at: held.readerIndex, as: UInt32.self),
            let headers = held.getInteger(at: held.readerIndex + 4, as: UInt32.self),
            let checksum = held.getInteger(at: held.readerIndex + 8, as: UInt32.self)
        else { return nil }
        guard Self.checksum(held, length: 8) == checksum else {
            throw damaged("a message whose lengths have a wrong checksum", at: 8)
        }
        guard total >= UInt32(Self.overhead), Int(total) <= budget else {
            throw damaged("a message of an impossible length", at: 0)
        }
        guard headers <= total - UInt32(Self.overhead), Int(headers) <= Self.headerLimit else {
            throw damaged("a message with headers of an impossible length", at: 4)
        }
        return (Int(total), Int(headers))
    }

    private func damaged(_ what: String, at place: Int) -> ParleyError {
        ParleyError(.upstreamUnavailable, "The upstream sent \(what) (at byte \(offset.clampedSum(place))).")
    }

    private static func checksum(_ bytes: ByteBuffer, length: Int) -> UInt32 {
        bytes.withUnsafeReadableBytes { CRC32.of(UnsafeRawBufferPointer(rebasing: $0.prefix(length))) }
    }
}

/// A header of one of Amazon's binary messages.
public struct EventStreamHeader: Sendable, Equatable {
    /// A header's value: its types are numbered on the wire in this order, `bool` taking the first two numbers.
    public enum Value: Sendable, Equatable {
        case bool(Bool)
        case int8(Int8)
        case int16(Int16)
        case int32(Int32)
        case int64(Int64)
        case bytes([UInt8])
        case string(String)
        /// Milliseconds since 1970.
        case timestamp(Int64)
        /// Sixteen bytes.
        case uuid([UInt8])
    }

    /// The name, e.g. `:event-type`.
    public var name: String
    /// The value.
    public var value: Value

    /// A header.
    public init(_ name: String, _ value: Value) {
        self.name = name
        self.value = value
    }

    /// Reads a header off the front; nil where the bytes are none.
    init?(from bytes: inout ByteBuffer) {
        guard let length = bytes.readInteger(as: UInt8.self), length > 0,
            let name = bytes.readBytes(length: Int(length)), let type = bytes.readInteger(as: UInt8.self),
            let text = String(validating: name, as: UTF8.self), let value = Self.value(type, from: &bytes)
        else { return nil }
        self.init(text, value)
    }

    private static func value(_ type: UInt8, from bytes: inout ByteBuffer) -> Value? {
        func counted() -> [UInt8]? {
            bytes.readInteger(as: UInt16.self).flatMap { bytes.readBytes(length: Int($0)) }
        }
        switch type {
        case 0: return .bool(true)
        case 1: return .bool(false)
        case 2: return bytes.readInteger().map { .int8($0) }
        case 3: return bytes.readInteger().map { .int16($0) }
        case 4: return bytes.readInteger().map { .int32($0) }
        case 5: return bytes.readInteger().map { .int64($0) }
        case 6: return counted().map { .bytes($0) }
        case 7: return counted().flatMap { String(validating: $0, as: UTF8.self) }.map { .string($0) }
        case 8: return bytes.readInteger().map { .timestamp($0) }
        case 9: return bytes.readBytes(length: 16).map { .uuid($0) }
        default: return nil
        }
    }
}

/// The checksum of zlib and Ethernet (IEEE 802.3).
public enum CRC32 {
    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 1 ? value >> 1 ^ 0xEDB8_8320 : value >> 1 }
    }

    /// The checksum of these bytes.
    public static func of(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        table.withUnsafeBufferPointer { table in
            var value = UInt32.max
            for byte in bytes { value = value >> 8 ^ table[Int(UInt8(truncatingIfNeeded: value) ^ byte)] }
            return ~value
        }
    }
}
