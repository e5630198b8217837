// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@Suite("JSON texts are accepted and refused as RFC 8259 says")
struct JSONConformanceTests {
    /// A text as bytes: `~XX` stands for the byte with that hexadecimal number.
    private static func bytes(_ text: String) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = Substring(text)
        while let first = rest.first {
            if first == "~", let byte = UInt8(rest.dropFirst().prefix(2), radix: 16) {
                bytes.append(byte)
                rest = rest.dropFirst(3)
            } else {
                bytes += Array(String(first).utf8)
                rest = rest.dropFirst()
            }
        }
        return bytes
    }

    private static let good = [
        "null", "true", "false", "0", "-0", "-1", "1.5", "0.0", "1e1", "1E-2", "1e+2", "123456789012345678901234567890",
        "0e1", "0e+1", "-0.1e-99", "1e999999", "\"\"", "\"a\"", "\"~7F\"", "\" \\\" \\\\ \\/ \\b \\f \\n \\r \\t \"",
        "\"\\u0041\\u00e9\\uD83D\\uDE42\"", "\"\\u0000\"", "\"\\uD800\"", "\"\\uDC00\\uD800\"", "\"\\ud800\\u0041\"",
        "\"é中🙂\"", "\"~C2~80\"", "\"~DF~BF\"", "\"~E0~A0~80\"", "\"~ED~9F~BF\"", "\"~EE~80~80\"", "\"~EF~BF~BF\"",
        "\"~F0~90~80~80\"", "\"~F4~8F~BF~BF\"", "\"\u{2028}\u{2029}\"", "[]", "[ ]", "[1]", "[1,2]", "[[],[[]]]", "{}",
        "{ }", "{\"a\":1}", "{\"\":0}", "{\"a\":1,\"a\":2}", "{\"a\":{\"b\":[{\"c\":null}]}}", " \t\r\n1 \t\r\n",
        "[1 , 2\n,\t3 ]", "{ \"a\" : 1 , \"b\" : [ ] }", "{\"\\u0061\":1}", "[-0,0.5,1e5]", "[\"a\",true,false,null]",
    ]

    private static let bad = [
        "", " ", "nul", "nulll", "True", "NaN", "Infinity", "-Infinity", "-", "+1", "01", "-01", "00", "1.", ".5",
        "1.e1",
        "1e", "1e+", "1e-", "0x10", "1a", "--1", "1 2", "- 1", "1_000", "\"", "\"a", "'a'", "a", "\"\\\"", "\"\\x41\"",
        "\"\\u12\"", "\"\\u12G4\"", "\"\\u\"", "\"\\U0041\"", "\"\\", "\"\\u004", "\"a\nb\"", "\"~00\"", "\"~1F\"",
        "\"\t\"", "\"~80\"", "\"~BF\"", "\"~C0~80\"", "\"~C1~BF\"", "\"~C2\"", "\"~C2~20\"", "\"~E0~80~80\"",
        "\"~E0~9F~BF\"", "\"~E2~82\"", "\"~E2~28~A1\"", "\"~ED~A0~80\"", "\"~ED~BF~BF\"", "\"~F0~80~80~80\"",
        "\"~F0~8F~BF~BF\"", "\"~F0~9F~98\"", "\"~F4~90~80~80\"", "\"~F5~80~80~80\"", "\"~F8~88~80~80~80\"", "\"~FE\"",
        "\"~FF\"", "\"abcdefghijklmnopqrstuvwxyz~FF\"", "\"abcdefghijklmnopqrstuvwxyz~C3", "[", "]", "[1", "[1,",
        "[1,]",
        "[,1]", "[1,,2]", "[1 2]", "[1:2]", "[1}", "[\"a\"", "[[1]", "[1]]", "[1],", "{", "}", "{\"a\"", "{\"a\":",
        "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{,}", "{\"a\" 1}", "{\"a\",1}", "{a:1}", "{1:1}", "{'a':1}", "{\"a\":}",
        "{\"a\":1 \"b\":2}", "{\"a\":1]", "{\"a\":1}}", "{\"a\":1}x", "{\"a\"::1}", "{\"a\":1,,\"b\":2}", "{[]:1}",
        "{null:1}", "[1]//", "/**/1", "[1]#", "~EF~BB~BF{}", "~FE~FF", "~00", "[~00]", "[1~0C]", "[~C2~A0]", "\u{A0}1",
        "*", "[*]", "[tru]", "[truee]", "{\"a\":tru}", "<html>", "undefined", "[1,\n", "{\"a\":[}", "1\u{0}",
    ]

    @Test("Every valid text is read", arguments: good)
    func accepts(text: String) throws {
        let bytes = Self.bytes(text)
        _ = try JSON.parse(ByteBuffer(bytes: bytes))
        _ = try JSONScan(ByteBuffer(bytes: Array("{\"k\":".utf8) + bytes + Array("}".utf8)))
    }

    @Test("Every invalid text is refused, with an offset inside it", arguments: bad)
    func refuses(text: String) throws {
        let bytes = Self.bytes(text)
        let error = try #require(throws: JSONError.self) { try JSON.parse(ByteBuffer(bytes: bytes)) }
        #expect((0...bytes.count).contains(error.offset))
        #expect(throws: JSONError.self) { try JSONScan(ByteBuffer(bytes: Array("{\"k\":[".utf8) + bytes)) }
        // Inside an object some of these are valid after all; scan and tree must say the same.
        for (opening, closing) in [("{\"k\": ", "}"), ("{\"k\":[1,", "]}"), ("{\"k\":{\"j\":", "}}"), ("{\"k\":", "")] {
            let text = ByteBuffer(bytes: Array(opening.utf8) + bytes + Array(closing.utf8))
            #expect(((try? JSON.parse(text)) == nil) == ((try? JSONScan(text)) == nil))
        }
    }

    @Test(
        "An error says where it is",
        arguments: [
            ("[1,,2]", 3), ("{\"a\":1,}", 7), ("\"ab\\x\"", 4), ("[1", 2), ("nulx", 3), ("{\"a\" 1}", 5), ("1 2", 2),
            ("\"a\u{1}\"", 2), ("-x", 1), ("[1.x]", 3), ("{\"a\":[1,{\"b\":?}]}", 13),
        ])
    func offsets(text: String, offset: Int) throws {
        let error = try #require(throws: JSONError.self) { try JSON.parse(text) }
        #expect(error.offset == offset)
        #expect(!error.message.isEmpty)
    }

    @Test("An offset counts from the reader index")
    func offsetFromReaderIndex() throws {
        var buffer = ByteBuffer(string: "garbage[1,,2]")
        buffer.moveReaderIndex(forwardBy: 7)
        let error = try #require(throws: JSONError.self) { try JSON.parse(buffer) }
        #expect(error.offset == 3)
    }

    @Test("128 levels are read and 129 are not", arguments: ["[", "{\"a\":"])
    func depth(opening: String) throws {
        let closing = opening == "[" ? "]" : "}"
        func nested(_ levels: Int) -> String {
            String(repeating: opening, count: levels) + (opening == "[" ? "" : "1")
                + String(repeating: closing, count: levels)
        }
        _ = try JSON.parse(nested(128))
        #expect(throws: JSONError.self) { try JSON.parse(nested(129)) }
        _ = try JSONScan(ByteBuffer(string: "{\"k\":" + nested(127) + "}"))
        #expect(throws: JSONError.self) { try JSONScan(ByteBuffer(string: "{\"k\":" + nested(128) + "}")) }
        #expect(throws: JSONError.self) { try JSON.parse(ByteBuffer(string: nested(4)), maximumDepth: 3) }
        _ = try JSON.parse(ByteBuffer(string: nested(3)), maximumDepth: 3)
    }

    @Test("A hundred thousand open brackets are an error, not a crash", arguments: ["[", "{\"a\":", "[{\"a\":"])
    func hostileDepth(opening: String) {
        let text = String(repeating: opening, count: 100_000)
        #expect(throws: JSONError.self) { try JSON.parse(ByteBuffer(string: text), maximumDepth: .max) }
        #expect(throws: JSONError.self) { try JSONScan(ByteBuffer(string: "{\"k\":" + text)) }
    }

    @Test("A depth of nothing or less refuses arrays and objects only", arguments: [0, -1, .min])
    func noDepth(depth: Int) throws {
        #expect(try JSON.parse(ByteBuffer(string: "1"), maximumDepth: depth) == 1)
        #expect(throws: JSONError.self) { try JSON.parse(ByteBuffer(string: "[]"), maximumDepth: depth) }
    }
}
