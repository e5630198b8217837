// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@Suite("JSON text survives reading and writing")
struct JSONTextTests {
    @Test(
        "Numbers keep their text",
        arguments: ["0", "-0", "1.0", "0.10", "1e3", "1E+03", "123456789012345678901234567890.5", "1e999999"])
    func numberText(text: String) throws {
        #expect(try JSON.parse(text) == .number(text))
        #expect(JSON.text(.number(text)) == text)
    }

    @Test("Members keep their order and their repetitions")
    func memberOrder() throws {
        let text = #"{"z":1,"a":{"y":[1.50,"x"],"b":null},"z":2,"":true}"#
        #expect(JSON.text(try JSON.parse(text)) == text)
        #expect(try JSON.parse(text)["z"] == 2)
    }

    @Test(
        "Escapes become what they stand for",
        arguments: [
            (#""\" \\ \/ \b \f \n \r \t""#, "\" \\ / \u{8} \u{C} \n \r \t"),
            (#""\u0041\u00E9\u4e2d""#, "Aé中"),
            (#""\uD83D\uDE42!""#, "🙂!"),
            (#""\u0000""#, "\u{0}"),
            (#""\uD83D""#, "\u{FFFD}"),
            (#""\uDE42a""#, "\u{FFFD}a"),
            (#""\uD83Dx\uDE42""#, "\u{FFFD}x\u{FFFD}"),
            (#""\uD83D\uD83D\uDE42""#, "\u{FFFD}🙂"),
            (#""\uD83D\n""#, "\u{FFFD}\n"),
            (#""\uD83D\u0041""#, "\u{FFFD}A"),
        ])
    func escapes(text: String, value: String) throws {
        #expect(try JSON.parse(text) == .string(value))
        let scan = try JSONScan(ByteBuffer(string: "{\(text):\(text)}"))
        let member = try #require(scan.member(value))
        #expect(scan.string(member) == value)
        #expect(scan.name(member) == value)
    }

    @Test("Only what must be escaped is")
    func writing() {
        let text = "a\"b\\c/d\u{8}\u{C}\n\r\t\u{0}\u{1F}\u{7F}é中🙂\u{2028}"
        #expect(JSON.text(.string(text)) == #""a\"b\\c/d\b\f\n\r\t\u0000\u001f"# + "\u{7F}é中🙂\u{2028}\"")
        let value: JSONValue = [nil, true, false, [], [:], ["a": 1, "b": ["c"]]]
        #expect(JSON.text(value) == #"[null,true,false,[],{},{"a":1,"b":["c"]}]"#)
    }

    @Test("Writing appends and leaves what was there")
    func appends() {
        var buffer = ByteBuffer(string: "data: ")
        buffer.writeJSON(["a": ""])
        buffer.writeJSONString("")
        buffer.writeJSONString("\n")
        #expect(String(buffer: buffer) == #"data: {"a":""}"""\n""#)
    }

    @Test("A string is written whole whatever its length and wherever its escape is")
    func everyLength() throws {
        for length in 0..<70 {
            let plain = String(repeating: "x", count: length)
            #expect(JSON.text(.string(plain)) == "\"\(plain)\"")
            for position in 0..<length {
                var scalars = Array(plain)
                scalars[position] = "\n"
                let text = String(scalars)
                let written = JSON.text(.string(text))
                #expect(written == "\"" + text.replacing("\n", with: "\\n") + "\"")
                #expect(try JSON.parse(written) == .string(text))
            }
        }
    }

    @Test("Random values are the same after writing and reading", arguments: 0..<40)
    func roundTrip(seed: UInt64) throws {
        var random = RandomJSON(seed: seed)
        for _ in 0..<25 {
            let value = random.value(depth: 4)
            #expect(try JSON.parse(JSON.text(value)) == value)
            #expect(try JSON.parse(random.spaced(value)) == value)
        }
    }

    @Test("An integer is read from digits, and from a whole number in another form")
    func integers() throws {
        let text = #"{"a":12,"b":5.0,"c":-3,"d":1.5,"e":"7","f":123456789012345678901,"g":null,"h":999999999999999999}"#
        let scan = try JSONScan(ByteBuffer(string: text))
        #expect(scan.int("a") == 12)
        #expect(scan.int("b") == 5)
        #expect(scan.int("c") == -3)
        #expect(scan.int("d") == nil)
        #expect(scan.int("e") == nil)
        #expect(scan.int("f") == nil)
        #expect(scan.int("g") == nil)
        #expect(scan.int("h") == 999_999_999_999_999_999)
        #expect(scan.int("i") == nil)
    }
}
