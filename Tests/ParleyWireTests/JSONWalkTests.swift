// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@Suite("Lent JSON is walked without keeping anything")
struct JSONWalkTests {
    private func names(_ text: String) throws(JSONError) -> [String] {
        try ByteBuffer(string: text).withUnsafeReadableBytes { raw throws(JSONError) in
            var walk = try JSONText(raw).members()
            var names: [String] = []
            while let member = try walk.next() {
                names.append(String(decoding: raw[member.key], as: UTF8.self))
            }
            try walk.expectEnd()
            return names
        }
    }

    @Test("Members come in order, repeated ones too")
    func members() throws {
        #expect(try names(#" { "a" : 1 , "b":{"x":[1,{}]},"a":"}" } "#) == ["a", "b", "a"])
        #expect(try names("{}") == [])
    }

    @Test(
        "What is no object is refused",
        arguments: ["", "[]", "{", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{\"a\":1 \"b\":2}", "{\"a\":1}x", "{,}"])
    func malformed(text: String) {
        #expect(throws: JSONError.self) { try names(text) }
    }

    @Test("A name is compared without its escapes")
    func escapes() throws {
        try ByteBuffer(string: #"{"m\u006fdel":1}"#).withUnsafeReadableBytes { raw in
            let text = JSONText(raw)
            var walk = try text.members()
            let member = try #require(try walk.next())
            #expect(member.hasEscapes)
            #expect(member.isNamed("model", in: text))
            #expect(!member.isNamed("modes", in: text))
            #expect(!member.isNamed("m", in: text))
        }
    }

    @Test("The objects of an array are found, the other elements counted")
    func objects() throws {
        try ByteBuffer(string: #"[1, {"a":[{}]} ,"x",{"b":2}, null]"#).withUnsafeReadableBytes { raw in
            let text = JSONText(raw)
            var elements = try #require(text.elements(at: 0))
            var count = 0
            var keys: [Int] = []
            while let start = try elements.nextObject(&count) {
                var members = try text.members(at: start)
                while let member = try members.next() { keys.append(member.key.lowerBound) }
                elements.resume(at: members.position)
            }
            #expect(count == 5)
            #expect(keys == [6, 22])
            #expect(text.elements(at: 1) == nil)
            #expect(text.elements(at: 99) == nil)
        }
    }

    @Test("A scan belongs to the bytes it was made of and to no others")
    func belongs() throws {
        let body = ByteBuffer(string: #"{"model":"m"}"#)
        let scan = try JSONScan(body)
        #expect(try JSONScan.of(body, known: scan) === scan)
        #expect(try JSONScan.of(ByteBuffer(string: #"{"model":"m"}"#), known: scan) !== scan)
        var changed = body
        changed.setInteger(UInt8(ascii: "n"), at: 10)
        #expect(try JSONScan.of(changed, known: scan) !== scan)
        var shorter = body
        shorter.moveWriterIndex(to: 12)
        #expect(throws: JSONError.self) { try JSONScan.of(shorter, known: scan) }
    }

    @Test("A word is found wherever it stands, also across the edges of blocks")
    func words() {
        for length in 0..<70 {
            for place in 0..<max(1, length) {
                var text = Array(repeating: UInt8(ascii: "e"), count: length)
                text.insert(contentsOf: "\"error\"".utf8, at: place)
                #expect(ByteBuffer(bytes: text).contains("\"error\""))
                text[place + 3] = UInt8(ascii: "x")
                #expect(!ByteBuffer(bytes: text).contains("\"error\""))
            }
        }
        #expect(ByteBuffer(string: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaab").contains("aab"))
        #expect(!ByteBuffer(string: "ab").contains("abc"))
        #expect(!ByteBuffer().contains("a"))
    }
}
