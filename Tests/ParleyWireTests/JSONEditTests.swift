// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@Suite("Edits change what they name and nothing else")
struct JSONEditTests {
    private func edited(_ text: String, _ edits: [JSONEdit]) throws -> String {
        String(buffer: try JSONScan(ByteBuffer(string: text)).applying(edits))
    }

    @Test("Untouched bytes are copied as they are")
    func verbatim() throws {
        let text = " {\n \"a\" :1.50 ,\t\"m\\u006fdel\": \"x\" , \"b\":[ 1 ] }\r\n"
        #expect(try edited(text, []) == text)
        #expect(try edited(text, [.set("model", json: "\"y\"")]) == text.replacing("\"x\"", with: "\"y\""))
        #expect(try edited(text, [.rename("a", to: "c\"")]) == text.replacing("\"a\"", with: "\"c\\\"\""))
        #expect(try edited(text, [.remove("none"), .rename("none", to: "a"), .setDefault("b", json: "2")]) == text)
    }

    @Test(
        "Commas stay right wherever a member goes",
        arguments: [
            (["a"], "{ \"b\":2 , \"c\":3 }"), (["b"], "{ \"a\":1 , \"c\":3 }"), (["c"], "{ \"a\":1 , \"b\":2 }"),
            (["a", "b"], "{ \"c\":3 }"), (["b", "c"], "{ \"a\":1 }"), (["a", "c"], "{ \"b\":2 }"),
            (["a", "b", "c"], "{  }"),
        ])
    func removing(names: [String], result: String) throws {
        let text = "{ \"a\":1 , \"b\":2 , \"c\":3 }"
        #expect(try edited(text, names.map { .remove($0) }) == result)
        #expect(try edited(text, names.reversed().map { .remove($0) }) == result)
        let added = try edited(text, names.map { .remove($0) } + [.set("d", json: "4")])
        #expect(try JSON.parse(added)["d"] == 4)
        #expect(try JSON.parse(added).object?.members.count == 4 - names.count)
    }

    @Test("Members are added to an empty object and behind others")
    func adding() throws {
        #expect(try edited("{}", [.set("a", json: "1")]) == "{\"a\":1}")
        #expect(try edited(" { } ", [.set("a", json: "1"), .setDefault("b", json: "2")]) == " {\"a\":1,\"b\":2 } ")
        #expect(try edited("{\"x\":0}", [.setDefault("a", json: "1")]) == "{\"x\":0,\"a\":1}")
        #expect(try edited("{\"x\":null}", [.setDefault("x", json: "1")]) == "{\"x\":null}")
    }

    @Test("Every repetition of a key is changed")
    func repetitions() throws {
        let text = #"{"model":"a","x":1,"m\u006fdel":"b"}"#
        #expect(try edited(text, [.set("model", json: "0")]) == #"{"model":0,"x":1,"m\u006fdel":0}"#)
        #expect(try edited(text, [.remove("model")]) == #"{"x":1}"#)
        #expect(try edited(text, [.rename("model", to: "y")]) == #"{"y":"a","x":1,"y":"b"}"#)
    }

    @Test("A name that is taken is not given again")
    func takenName() throws {
        #expect(try edited(#"{"max_tokens":1,"b":2}"#, [.rename("max_tokens", to: "b")]) == #"{"b":2}"#)
        #expect(try edited(#"{"a":1}"#, [.rename("a", to: "a")]) == #"{"a":1}"#)
    }

    @Test("Edits see what the edits before them left")
    func sequence() throws {
        let edits: [JSONEdit] = [
            .set("b", json: "2"), .rename("b", to: "c"), .set("c", json: "3"), .remove("a"),
            .setDefault("a", json: "9"), .remove("c"), .set("d", json: "4"), .set("d", json: "5"),
        ]
        #expect(try edited(#"{"a":1}"#, edits) == #"{"a":9,"d":5}"#)
    }

    @Test("Room that was asked for is there")
    func capacity() throws {
        let out = try JSONScan(ByteBuffer(string: "{}")).applying([], extraCapacity: 500)
        #expect(out.writableBytes >= 500)
        #expect(try JSONScan(ByteBuffer(string: "{}")).applying([], extraCapacity: .min).readableBytes == 2)
    }

    /// The same edits on the members of a tree.
    private func apply(_ edits: [JSONEdit], to members: inout [JSONObject.Member]) throws {
        for edit in edits {
            switch edit {
            case .set(let name, let json):
                let value = try JSON.parse(json)
                if !members.contains(where: { $0.key == name }) { members.append(.init(name, value)) }
                for index in members.indices where members[index].key == name { members[index].value = value }
            case .setDefault(let name, let json):
                if !members.contains(where: { $0.key == name }) { members.append(.init(name, try JSON.parse(json))) }
            case .remove(let name):
                members.removeAll { $0.key == name }
            case .rename(let name, let new) where name == new:
                break
            case .rename(let name, let new):
                if members.contains(where: { $0.key == new }) {
                    members.removeAll { $0.key == name }
                }
                for index in members.indices where members[index].key == name { members[index].key = new }
            }
        }
    }

    @Test("Edits of the text and of the tree agree", arguments: 0..<40)
    func agreement(seed: UInt64) throws {
        var random = RandomJSON(seed: 3000 + seed)
        let names = ["model", "stream", "a", "é\n", "", "max_tokens", "new", "other \"name\""]
        for _ in 0..<20 {
            let object = random.object(depth: 2)
            let edits = (0..<random.number(below: 6)).map { _ -> JSONEdit in
                let name = names[random.number(below: names.count)]
                switch random.number(below: 4) {
                case 0: return .set(name, json: random.spaced(random.value(depth: 1)))
                case 1: return .setDefault(name, json: JSON.text(random.value(depth: 1)))
                case 2: return .remove(name)
                default: return .rename(name, to: names[random.number(below: names.count)])
                }
            }
            var expected = object.members
            try apply(edits, to: &expected)
            let text = random.spaced(.object(object))
            let result = try JSONScan(ByteBuffer(string: text)).applying(edits)
            #expect(try JSON.parse(result).object?.members == expected, "\(text) \(edits)")
        }
    }
}
