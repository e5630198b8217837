// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyTestKit
import ParleyWire
import Testing

@Suite("Amazon's binary messages are read wherever they are split")
struct EventStreamTests {
    private typealias Header = EventStreamWriter.Header

    private static let headers = [
        Header("yes", type: 0, value: []), Header("no", type: 1, value: []),
        Header("byte", type: 2, value: EventStreamWriter.bytes(Int8(-2))),
        Header("short", type: 3, value: EventStreamWriter.bytes(Int16(-300))),
        Header("int", type: 4, value: EventStreamWriter.bytes(Int32(70_000))),
        Header("long", type: 5, value: EventStreamWriter.bytes(Int64.min)),
        Header("bytes", type: 6, value: [0, 3, 0xFF, 0, 1]), Header("text", "é🙂"),
        Header("time", type: 8, value: EventStreamWriter.bytes(Int64(1_751_200_000_123))),
        Header("uuid", type: 9, value: Array(0..<16)),
    ]
    private static let values: [EventStreamHeader] = [
        .init("yes", .bool(true)), .init("no", .bool(false)), .init("byte", .int8(-2)), .init("short", .int16(-300)),
        .init("int", .int32(70_000)), .init("long", .int64(.min)), .init("bytes", .bytes([0xFF, 0, 1])),
        .init("text", .string("é🙂")), .init("time", .timestamp(1_751_200_000_123)), .init("uuid", .uuid(Array(0..<16))),
    ]

    private static func read(_ pieces: [[UInt8]], budget: Int = 25 << 20) throws -> [EventStream.Message] {
        var reader = EventStream(budget: budget)
        var messages: [EventStream.Message] = []
        for piece in pieces {
            reader.push(ByteBuffer(bytes: piece))
            while let message = try reader.next() { messages.append(message) }
        }
        return messages
    }

    private static func failure(_ bytes: [UInt8], budget: Int = 25 << 20) -> ParleyError? {
        var reader = EventStream(budget: budget)
        reader.push(ByteBuffer(bytes: bytes))
        do throws(ParleyError) {
            while try reader.next() != nil {}
            return nil
        } catch {
            return error
        }
    }

    private static func corrected(_ bytes: [UInt8]) -> [UInt8] {
        let prelude = Array(bytes[..<8])
        var all = prelude + EventStreamWriter.bytes(EventStreamWriter.checksum(prelude)) + Array(bytes[12...])
        all.removeLast(4)
        return all + EventStreamWriter.bytes(EventStreamWriter.checksum(all))
    }

    @Test("The checksum is zlib's")
    func checksum() {
        let digits = Array("123456789".utf8)
        #expect(digits.withUnsafeBytes { CRC32.of($0) } == 0xCBF4_3926)
        #expect([UInt8]().withUnsafeBytes { CRC32.of($0) } == 0)
        #expect(EventStreamWriter.checksum(digits) == 0xCBF4_3926)
    }

    @Test("A message that AWS's own library takes is read as it stands")
    func known() throws {
        // The empty message of the event stream's specification: no headers, no payload.
        let empty: [UInt8] = [0, 0, 0, 16, 0, 0, 0, 0, 0x05, 0xC2, 0x48, 0xEB, 0x7D, 0x98, 0xC8, 0xFF]
        let message = try #require(try Self.read([empty]).first)
        #expect(message.headers.isEmpty && message.payload.readableBytes == 0)
        #expect(EventStreamWriter.message([], []) == empty)
    }

    @Test("Every type of header is read")
    func types() throws {
        let message = try #require(try Self.read([EventStreamWriter.message(Self.headers, [1, 2, 3])]).first)
        #expect(message.headers == Self.values)
        #expect(Array(message.payload.readableBytesView) == [1, 2, 3])
        #expect(message.string("text") == "é🙂")
        #expect(message.string("int") == nil)
        #expect(message.string("none") == nil)
    }

    @Test("Messages come out the same in any pieces")
    func splits() throws {
        let bytes =
            EventStreamWriter.event("messageStart", #"{"role":"assistant"}"#) + EventStreamWriter.message([], [])
            + EventStreamWriter.message(Self.headers, Array("päyload".utf8))
            + EventStreamWriter.exception("throttlingException", #"{"message":"slow"}"#)
        let whole = try Self.read([bytes])
        #expect(whole.count == 4)
        #expect(whole[0].string(":event-type") == "messageStart")
        #expect(whole[3].string(":exception-type") == "throttlingException")
        for plan in Splits.plans(forBytes: bytes.count) {
            #expect(try Self.read(plan.pieces(of: bytes)) == whole, "\(plan)")
        }
    }

    @Test("An incomplete message is waited for, and the reader says so")
    func incomplete() throws {
        let bytes = EventStreamWriter.event("messageStop", #"{"stopReason":"end_turn"}"#)
        for length in 1..<bytes.count {
            var reader = EventStream()
            reader.push(ByteBuffer(bytes: bytes[..<length]))
            #expect(try reader.next() == nil)
            #expect(reader.isInsideMessage)
            reader.push(ByteBuffer(bytes: bytes[length...]))
            #expect(try reader.next() != nil)
            #expect(!reader.isInsideMessage)
        }
    }

    @Test("Any single wrong bit is found")
    func damage() throws {
        let first = EventStreamWriter.event("a", "{}")
        let bytes = EventStreamWriter.event("contentBlockDelta", #"{"delta":{"text":"Hi"}}"#)
        for index in bytes.indices {
            for bit in 0..<8 {
                var wrong = bytes
                wrong[index] ^= 1 << UInt8(bit)
                let failure = Self.failure(first + wrong)
                #expect(failure?.kind == .upstreamUnavailable, "byte \(index), bit \(bit)")
                #expect(
                    failure?.message.contains("at byte \(first.count + (index < 12 ? 8 : bytes.count - 4))") == true)
            }
        }
    }

    @Test("Impossible lengths are refused before anything is kept for them")
    func lengths() {
        func prelude(_ total: UInt32, _ headers: UInt32) -> [UInt8] {
            let lengths = EventStreamWriter.bytes(total) + EventStreamWriter.bytes(headers)
            return lengths + EventStreamWriter.bytes(EventStreamWriter.checksum(lengths))
        }
        let wrong: [(UInt32, UInt32)] = [
            (0, 0), (15, 0), (.max, 0), (26 << 20, 0), (16, 1), (100, 85), (100, .max), (1 << 20, 1 << 19),
        ]
        for (total, headers) in wrong {
            #expect(Self.failure(prelude(total, headers))?.kind == .upstreamUnavailable, "\(total), \(headers)")
        }
        #expect(Self.failure(prelude(100, 84)) == nil)
        #expect(Self.failure(prelude(1000, 10), budget: 999)?.kind == .upstreamUnavailable)
        #expect(Self.failure(prelude(1000, 10), budget: 1000) == nil)
    }

    @Test("Headers that do not fit their own lengths are refused")
    func headers() {
        let wrong: [[Header]] = [
            [Header("", "x")], [Header("a", type: 10, value: [])], [Header("a", type: 5, value: [1, 2, 3])],
            [Header("a", type: 7, value: [0, 9, 65])], [Header("a", type: 7, value: [0, 1, 0xFF])],
            [Header("a", type: 9, value: [1])], [Header("a", type: 6, value: [1])],
            [Header("ok", "x"), Header("a", type: 255, value: [])],
        ]
        for headers in wrong {
            let failure = Self.failure(EventStreamWriter.message(headers, []))
            #expect(failure?.kind == .upstreamUnavailable, "\(headers)")
            #expect(failure?.message.contains("header") == true)
        }
        // A name that is longer than what is left.
        var bytes = EventStreamWriter.message([Header("abc", "x")], [])
        bytes[12] = 200
        #expect(Self.failure(Self.corrected(bytes))?.kind == .upstreamUnavailable)
    }

    @Test("Random bytes never give a message and never end the process")
    func noise() {
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<2_000 {
            let count = Int.random(in: 0...80, using: &generator)
            let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
            var reader = EventStream()
            reader.push(ByteBuffer(bytes: bytes))
            let message = try? reader.next()
            #expect(message == nil)
        }
    }
}
