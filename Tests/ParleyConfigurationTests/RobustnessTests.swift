// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import ParleyConfiguration
import Testing

@Suite("Hostile files")
struct RobustnessTests {
    /// A small generator with a seed, so that a failure can be repeated.
    struct Random: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = state
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return mixed ^ (mixed >> 31)
        }
    }

    static let pieces: [String] = [
        "{", "}", "[", "]", ":", ": ", "- ", "? ", "\"", "'", "#", "&a ", "*a", "<<: *a", "!x ", "|\n", ">\n", "%", "@",
        "\t", "\r", "\n", "\u{0}", "\u{85}", "\u{2028}", "\u{FEFF}", "${", "${X}", "${file:/dev/zero}", "}", "---\n",
        "...\n", "99999999999999999999999", "-1", ".nan", ".inf", "1e999", "\u{1F600}", "e\u{301}", "~", "null", "\\x",
        "*", "/", "route: race", "  ", "        ",
    ]

    static func mutated(_ text: [UInt8], _ random: inout Random) -> [UInt8] {
        var bytes = text
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            guard !bytes.isEmpty else { break }
            let start = Int.random(in: 0..<bytes.count, using: &random)
            let end = min(bytes.count, start + Int.random(in: 1...40, using: &random))
            switch Int.random(in: 0..<6, using: &random) {
            case 0: bytes.removeSubrange(start..<end)
            case 1:
                bytes.insert(contentsOf: Array(pieces.randomElement(using: &random).map(\.utf8) ?? "".utf8), at: start)
            case 2: bytes[start] = UInt8.random(in: 0...255, using: &random)
            case 3: bytes.insert(contentsOf: bytes[start..<end], at: Int.random(in: 0...bytes.count, using: &random))
            case 4: bytes.removeSubrange(start...)
            default: bytes.replaceSubrange(start..<end, with: Array((pieces.randomElement(using: &random) ?? "").utf8))
            }
        }
        return bytes
    }

    @Test("2,000 mutations of the example never crash, and every position is within the file")
    func mutations() throws {
        let example = Array(try Samples.example().utf8)
        let seed: UInt64 = 20_270_101
        var random = Random(state: seed)
        var refused = 0
        for round in 0..<2000 {
            let text = String(decoding: Self.mutated(example, &random), as: UTF8.self)
            let result = Samples.load(text)
            if result.settings == nil { refused += 1 }
            #expect((result.settings == nil) == result.diagnostics.contains { $0.severity == .error })
            check(result, within: text, "seed \(seed), round \(round)")
        }
        #expect(refused > 500)
        #expect(refused < 2000)
    }

    private func check(_ result: LoadResult, within text: String, _ comment: String) {
        var lines: [Int] = [0]
        var previous: Unicode.Scalar = " "
        for scalar in text.unicodeScalars {
            if scalar == "\n", previous == "\r" {
                lines[lines.count - 2] += 1
            } else if scalar == "\n" || scalar == "\r" {
                lines.append(0)
            } else {
                lines[lines.count - 1] += 1
            }
            previous = scalar
        }
        var last = (0, 0)
        for diagnostic in result.diagnostics {
            let inside =
                (1...lines.count).contains(diagnostic.line)
                && (1...(lines[diagnostic.line - 1] + 2)).contains(diagnostic.column)
            #expect(inside, "\(comment): \(diagnostic)")
            #expect(last <= (diagnostic.line, diagnostic.column), "\(comment): \(diagnostic)")
            last = (diagnostic.line, diagnostic.column)
        }
    }

    @Test(
        "Nesting without end is refused",
        arguments: [
            String(repeating: "[", count: 200_000), String(repeating: "{a: ", count: 200_000),
            String(repeating: "- ", count: 200_000), String(repeating: "? ", count: 50_000),
            "a: " + String(repeating: "[", count: 500) + String(repeating: "]", count: 500),
            (0..<2000).map { String(repeating: " ", count: $0) + "a:\n" }.joined(),
        ])
    func nesting(_ text: String) {
        let result = Samples.load(text)
        #expect(result.settings == nil)
        check(result, within: text, "nesting")
    }

    @Test("Aliases that multiply are refused quickly")
    func bomb() {
        for (open, close) in [("[", "]"), ("{k: ", "}")] {
            _ = close
            var text = "a0: &a0 [x, x]\n"
            for level in 1...40 { text += "a\(level): &a\(level) [*a\(level - 1), *a\(level - 1)]\n" }
            // The same thing as a key, which is compared when keys are told apart.
            text += "? \(open)*a40\n: b\n"
            let result = Samples.load(text)
            #expect(result.settings == nil)
            #expect(result.diagnostics.contains { $0.message.contains("aliases repeat") })
        }
    }

    @Test("A chain of models as long as a file allows is walked")
    func chain() throws {
        var text = "providers: {p: {kind: demo}}\nmodels:\n  m0: p/x\n"
        for index in 1...20_000 { text += "  m\(index): m\(index - 1)\n" }
        #expect(try #require(Samples.load(text).settings).models.count == 20_001)
    }

    @Test("Thousands of wildcards are told apart")
    func manyWildcards() throws {
        var text = "providers: {a: {kind: demo}}\nmodels:\n"
        for index in 0..<10_000 { text += "  m\(index)-*: a/x\n  n\(index): m\(index)-y\n" }
        #expect(try #require(Samples.load(text).settings).models.count == 20_000)
    }

    @Test("Thousands of faults are reported up to a bound")
    func faults() {
        let text = (0..<5000).map { "x\($0): 1\n" }.joined()
        let result = Samples.load(text)
        #expect(result.settings == nil)
        #expect(result.diagnostics.count == 500)
    }

    @Test("A file that is too large is refused")
    func size() {
        let result = Samples.load(String(repeating: "#\n", count: 3 << 20))
        #expect(result.diagnostics.map(\.message) == ["larger than 4MB"])
    }

    @Test(
        "Numbers that fit nowhere are refused", arguments: ["99999999999999999999", "1e999", ".nan", "-.inf", "0x7f"])
    func numbers(_ text: String) {
        for setting in [
            "server: {max_connections: ", "defaults: {retry: {attempts: ", "prices: {a: {output: 1, input: ",
        ] {
            let closed = setting + text + String(repeating: "}", count: setting.count { $0 == "{" })
            #expect(Samples.load(closed).settings == nil, "\(closed)")
        }
    }
}
