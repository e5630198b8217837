// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@Suite("A scan finds the members that a tree has")
struct JSONScanTests {
    private static let request = #"""
        { "model" : "gpt-4o", "messages":[{"role":"user","content":"a \"quoted\" }{][ , : \\ 中🙂"}],
          "stream":true, "n":false,"temperature":0.70,"stop":null,"m\u006fdel":"last" ,"nested":{"model":"inner"}}
        """#

    @Test("Members are found with their values, the last of a repeated key, escaped or not")
    func members() throws {
        let scan = try JSONScan(ByteBuffer(string: Self.request))
        #expect(scan.members.count == 8)
        let model = try #require(scan.member("model"))
        #expect(scan.string(model) == "last")
        #expect(scan.string(scan.members[0]) == "gpt-4o")
        let stream = try #require(scan.member("stream"))
        #expect(scan.bool(stream) == true)
        #expect(scan.string(stream) == nil)
        #expect(scan.bool(try #require(scan.member("n"))) == false)
        #expect(scan.bool(model) == nil)
        #expect(scan.isNull(try #require(scan.member("stop"))))
        #expect(try scan.value(try #require(scan.member("temperature"))) == .number("0.70"))
        #expect(scan.member("inner") == nil)
        #expect(scan.member("mode") == nil)
        #expect(scan.object("nested")?.member("model") != nil)
        #expect(scan.elements("messages")?.count == 1)
        #expect(scan.elements("nested") == nil)
        #expect(scan.object("messages") == nil)
    }

    @Test("Offsets count from the reader index")
    func readerIndex() throws {
        var buffer = ByteBuffer(string: "xyz{\"a\": 12 }")
        buffer.moveReaderIndex(forwardBy: 3)
        let scan = try JSONScan(buffer)
        #expect(scan.members[0].key == 2..<3)
        #expect(scan.members[0].value == 6..<8)
        #expect(try scan.value(scan.members[0]) == 12)
    }

    @Test("Only an object is scanned", arguments: ["[]", "1", "\"a\"", "null", "", " ", "{} {}", "{}x"])
    func onlyObjects(text: String) {
        #expect(throws: JSONError.self) { try JSONScan(ByteBuffer(string: text)) }
    }

    @Test("A member of another scan is refused, not read out of bounds")
    func foreignMember() throws {
        let long = try JSONScan(ByteBuffer(string: "{\"a\":1,\"bcdefghijklmnop\":\"qrstuvwxyz\"}"))
        let short = try JSONScan(ByteBuffer(string: "{}"))
        let member = long.members[1]
        #expect(short.string(member) == nil)
        #expect(short.bool(member) == nil)
        #expect(short.slice(member) == nil)
        #expect(short.name(member) == "")
        #expect(short.object(member.value) == nil)
        #expect(short.isBlank(member))
        #expect(throws: JSONError.self) { try short.value(member) }
    }

    @Test(
        "Null and what is empty is blank",
        arguments: [
            ("null", true), ("\"\"", true), ("[]", true), ("{ }", true), ("[\n]", true), ("\" \"", false),
            ("0", false), ("false", false), ("[0]", false), ("{\"a\":1}", false), ("\"null\"", false),
        ])
    func blank(json: String, isBlank: Bool) throws {
        let scan = try JSONScan(ByteBuffer(string: "{\"a\":\(json)}"))
        #expect(scan.isBlank(scan.members[0]) == isBlank)
    }

    @Test("Scan and tree agree on random objects", arguments: 0..<40)
    func agreement(seed: UInt64) throws {
        var random = RandomJSON(seed: 1000 + seed)
        for _ in 0..<20 {
            let object = random.object(depth: 3)
            let text = random.spaced(.object(object))
            let scan = try JSONScan(ByteBuffer(string: text))
            let found = try scan.members.map { JSONObject.Member(scan.name($0), try scan.value($0)) }
            #expect(found == object.members)
            for member in object.members {
                let last = try #require(scan.member(member.key))
                #expect(try scan.value(last) == object[member.key])
                let elements = scan.elements(member.key)
                #expect(elements?.count == object[member.key]?.array?.count)
            }
        }
    }

    @Test("A text cut off anywhere is refused by scan and tree")
    func truncation() throws {
        let bytes = Array(Self.request.utf8)
        for length in 0..<bytes.count {
            let cut = ByteBuffer(bytes: bytes[..<length])
            #expect(throws: JSONError.self) { try JSONScan(cut) }
            let error = try #require(throws: JSONError.self) { try JSON.parse(cut) }
            #expect(error.offset <= length)
        }
    }

    @Test("Scan and tree agree on texts with bytes changed at random", arguments: 0..<20)
    func mutation(seed: UInt64) throws {
        var random = RandomJSON(seed: 2000 + seed)
        let interesting = Array("\"\\{}[],:0-eu tfn\n".utf8) + [0x00, 0x80, 0xC3, 0xE2, 0xED, 0xF0, 0xFF]
        for _ in 0..<150 {
            var bytes = Array(random.spaced(.object(random.object(depth: 3))).utf8)
            for _ in 0...random.number(below: 3) {
                bytes[random.number(below: bytes.count)] = interesting[random.number(below: interesting.count)]
            }
            let buffer = ByteBuffer(bytes: bytes)
            let tree = try? JSON.parse(buffer)
            let scan = try? JSONScan(buffer)
            #expect((tree?.object != nil) == (scan != nil), "\(bytes)")
            if let tree { #expect(try JSON.parse(JSON.text(tree)) == tree) }
        }
    }
}
