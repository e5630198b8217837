// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@Suite("Server-sent events are read wherever they are split")
struct ServerSentEventsTests {
    private struct Read: Equatable {
        var event: String?
        var data: String

        init(_ data: String, event: String? = nil) {
            self.event = event
            self.data = data
        }
    }

    private func read(_ pieces: [ArraySlice<UInt8>], budget: Int = 32 << 20) throws -> [Read] {
        var reader = ServerSentEvents(budget: budget)
        var frames: [Read] = []
        for piece in pieces {
            reader.push(ByteBuffer(bytes: piece))
            while let frame = try reader.next() { frames.append(Read(String(buffer: frame.data), event: frame.event)) }
        }
        if let frame = reader.finish() { frames.append(Read(String(buffer: frame.data), event: frame.event)) }
        return frames
    }

    private func checkEverySplit(_ text: String, _ expected: [Read]) throws {
        let bytes = Array(text.utf8)
        #expect(try read([bytes[...]]) == expected)
        #expect(try read(bytes.indices.map { bytes[$0...$0] }) == expected)
        for split in 0...bytes.count {
            #expect(try read([bytes[..<split], bytes[split...]]) == expected, "split at \(split)")
        }
    }

    private static let lines = [
        ": comment", "", "data: {\"a\":1}", "", "event: ping", "data:", "", "event: content_block", "data: x", "id: 7",
        "",
        "data:  two", "data:lines é🙂", "", "", "", "retry: 5", "event:named", "", "data", "data: after empty", "",
        "database: no", "dat", "event: first", "event: second", "data: last wins", "", ":", "data: [DONE]", "",
    ]
    private static let expected = [
        Read("{\"a\":1}"), Read("x", event: "content_block"), Read(" two\nlines é🙂"), Read("\nafter empty"),
        Read("last wins", event: "second"), Read("[DONE]"),
    ]

    @Test("LF, CRLF and CR end lines, with and without a byte order mark", arguments: ["\n", "\r\n", "\r"])
    func lineEnds(lineEnd: String) throws {
        let text = Self.lines.joined(separator: lineEnd) + lineEnd
        try checkEverySplit(text, Self.expected)
        try checkEverySplit("\u{FEFF}" + text, Self.expected)
    }

    @Test("Line ends may be mixed")
    func mixedLineEnds() throws {
        try checkEverySplit(
            "data: a\r\n\ndata: b\n\r\ndata: c\r\rdata: d\r\n\r\ndata: e\n\rdata: f\r\n\r",
            ["a", "b", "c", "d", "e", "f"].map { Read($0) })
    }

    @Test(
        "A last frame without its end is handed out at the end of the stream",
        arguments: ["data: a\n\ndata: b", "data: a\n\ndata: b\n", "data: a\r\n\r\ndata: b\r\n"])
    func unterminated(text: String) throws {
        try checkEverySplit(text, [Read("a"), Read("b")])
    }

    @Test("Nothing comes of an empty stream, comments and marks", arguments: ["", "\n\n", ": x\n\n", "\u{FEFF}"])
    func nothing(text: String) throws {
        try checkEverySplit(text, [])
        #expect(try read([[0xEF, 0xBB]]).isEmpty)
    }

    @Test("A frame over the budget is an error, complete or not, and one within it is not")
    func budget() throws {
        let frame = Array(("data: " + String(repeating: "x", count: 92) + "\n\n").utf8)
        #expect(try read([frame[...], frame[...]], budget: 100).count == 2)
        let failure = #expect(throws: ParleyError.self) { try read([frame[...]], budget: 99) }
        #expect(failure?.kind == .upstreamUnavailable)
        #expect(throws: ParleyError.self) { try read([frame[..<98]], budget: 97) }
        #expect(throws: ParleyError.self) { try read(frame.indices.map { frame[$0...$0] }, budget: 99) }
    }

    @Test("An event of eight megabytes in small reads is read whole")
    func largeEvent() throws {
        let payload = [UInt8](repeating: UInt8(ascii: "x"), count: 8 << 20)
        let bytes = Array("data: small\n\ndata: ".utf8) + payload + Array("\n\ndata: after\n\n".utf8)
        let pieces = stride(from: 0, to: bytes.count, by: 16_384).map { bytes[$0..<min($0 + 16_384, bytes.count)] }
        let frames = try read(pieces)
        #expect(frames.map(\.data.utf8.count) == [5, 8 << 20, 5])
    }

    @Test("Frames that were handed out do not change when more is pushed")
    func framesKeep() throws {
        var reader = ServerSentEvents()
        reader.push(ByteBuffer(string: "data: one\n\ndata: t"))
        let first = try #require(try reader.next())
        reader.push(ByteBuffer(string: "wo\n\ndata: three\n\nda"))
        let second = try #require(try reader.next())
        reader.push(ByteBuffer(string: "ta: four\n\n"))
        #expect(String(buffer: first.data) == "one")
        #expect(String(buffer: second.data) == "two")
        #expect(String(buffer: try #require(try reader.next()).data) == "three")
        #expect(String(buffer: try #require(try reader.next()).data) == "four")
        #expect(try reader.next() == nil)
    }

    @Test("A vendor's own field is read where it is asked for, also in a frame without data")
    func ownField() throws {
        let text =
            ["event:add\ndata:a", "event:finish\ndata:\nmeta:{\"a\":1}", "event:end", "meta:x", "metadata:y\ndata:z"]
            .map { $0 + "\n\n" }.joined()
        let bytes = Array(text.utf8)
        let expected = ["add|a|-", "finish||{\"a\":1}", "end||-", "-|z|-"]
        for split in 0...bytes.count {
            var reader = ServerSentEvents(ownField: "meta")
            var frames: [String] = []
            for piece in [bytes[..<split], bytes[split...]] {
                reader.push(ByteBuffer(bytes: piece))
                while let frame = try reader.next() {
                    let own = frame.own.map { String(buffer: $0) } ?? "-"
                    frames.append("\(frame.event ?? "-")|\(String(buffer: frame.data))|\(own)")
                }
            }
            #expect(frames == expected, "split at \(split)")
        }
        let plain = try read([bytes[...]])
        #expect(plain == [Read("a", event: "add"), Read("z")], "nobody else sees such frames")
    }
}
