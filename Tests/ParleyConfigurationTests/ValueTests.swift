// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyAccess
import Testing

@testable import ParleyConfiguration

@Suite("Single values")
struct ValueTests {
    @Test(
        "Durations",
        arguments: [
            ("250ms", Duration.milliseconds(250)), ("1.5s", .milliseconds(1500)), ("10m", .seconds(600)),
            ("12h", .seconds(43_200)), ("7d", .seconds(604_800)), ("2y", .seconds(63_072_000)), ("0", .zero),
            ("0ms", .zero),
        ])
    func durations(_ text: String, _ expected: Duration) throws {
        #expect(try ValueParsing.duration(text, positive: false) == expected)
    }

    @Test(
        "Sizes",
        arguments: [
            ("1", 1), ("64KB", 65_536), ("32MB", 33_554_432), ("1GB", 1 << 30), ("1.5KB", 1536), ("2 kb", 2048),
            ("1MiB", 1 << 20), ("5B", 5),
        ])
    func sizes(_ text: String, _ expected: Int) throws {
        #expect(try ValueParsing.size(text) == expected)
    }

    @Test(
        "Dates",
        arguments: [
            ("1970-01-01", Int64(0)), ("2000-02-29", 951_782_400), ("2027-01-01", 1_798_761_600),
            ("2027-01-01T12:00:00Z", 1_798_804_800), ("2027-01-01t12:00:00.25+02:00", 1_798_797_600),
        ])
    func dates(_ text: String, _ expected: Int64) throws {
        #expect(try ValueParsing.date(text) == expected)
    }

    @Test(
        "What is no date", arguments: ["", "2027", "2027-13-01", "2027-01-01T", "2027-01-01T25:00:00Z", "1969-01-01"])
    func noDates(_ text: String) {
        #expect(throws: ValueFault.self) { try ValueParsing.date(text) }
    }

    @Test("Listen addresses")
    func listen() throws {
        #expect(try ValueParsing.listen("[::1]:80") == .tcp(host: "::1", port: 80))
        #expect(try ValueParsing.listen("[::1]:80").description == "[::1]:80")
        #expect(try ValueParsing.listen("localhost:0") == .tcp(host: "localhost", port: 0))
        #expect(try ValueParsing.listen("unix:/run/p.sock") == .unix(path: "/run/p.sock"))
        for text in ["", ":80", "a", "a:b", "[::1", "[::1]x", "[x]:1", "a b:1", "http://a:1"] {
            #expect(throws: ValueFault.self, "\(text)") { try ValueParsing.listen(text) }
        }
    }

    @Test("A proxy's URL may hold a user and a password")
    func proxy() throws {
        let proxy = try ValueParsing.proxy("http://me:p%40ss@proxy.example.com:3128/")
        #expect(proxy.host == "proxy.example.com")
        #expect(proxy.port == 3128)
        #expect(proxy.user == "me")
        #expect(proxy.password == Secret("p@ss"))
        #expect(try ValueParsing.proxy("http://p").port == 80)
    }

    @Test(
        "Numbers keep their text in JSON's grammar",
        arguments: [
            ("5", "5"), ("+5", "5"), ("-0.50", "-0.50"), (".5", "0.5"), ("5.", "5"), ("007", "7"), ("1E+5", "1e+5"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
        ])
    func numbers(_ text: String, _ expected: String) {
        #expect(YAMLScalar.number(text) == expected)
    }

    @Test("What is no number", arguments: ["", ".", "-", "1e", "0x10", "1_000", "five", "1.2.3", "٣"])
    func noNumbers(_ text: String) {
        #expect(YAMLScalar.number(text) == nil)
    }

    @Test("The nearest word is suggested, and none that is far")
    func suggestions() {
        #expect(Suggestion.closest(to: "falback", among: ["fastest", "fallback", "race"]) == "fallback")
        #expect(Suggestion.closest(to: "ofo", among: ["foo"]) == "foo")
        #expect(Suggestion.closest(to: "zzzzzz", among: ["fallback", "race"]) == nil)
        #expect(Suggestion.distance(Array("ab".unicodeScalars), Array("ba".unicodeScalars)) == 1)
        #expect(Suggestion.distance([], Array("abc".unicodeScalars)) == 3)
    }

    @Test("SHA-256 agrees with the standard's examples")
    func digests() {
        #expect(KeyDigest(of: "").hex == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(
            KeyDigest(of: "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq").hex
                == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
    }

    @Test("The most specific wildcard answers")
    func wildcards() {
        let names = ModelNames(["*", "gpt-*", "gpt-4o", "*-mini"])
        #expect(names.match("gpt-4o") == "gpt-4o")
        #expect(names.match("gpt-5") == "gpt-*")
        #expect(names.match("o4-mini") == "*-mini")
        #expect(names.match("claude") == "*")
        #expect(!ModelNames.matches("aba*ba", "aba"))
    }
}
