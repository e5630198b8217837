// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("The preamble before FlowGPT's answers")
struct PreambleFilterTests {
    /// What comes out of pieces that go in, piece by piece, and at the end.
    private static func run(_ pieces: [String]) -> (given: [String], rest: String) {
        var filter = PreambleFilter()
        let given = pieces.map { filter.push($0) }
        return (given, filter.finish())
    }

    @Test("A short answer is held back until its end, and is then unchanged")
    func short() {
        let out = Self.run([" Hi", " there\n"])
        #expect(out.given == ["", ""] && out.rest == " Hi there\n")
        #expect(Self.run([]).rest.isEmpty)
    }

    @Test("After 150 characters an answer is plain, and each piece passes as it comes")
    func plain() {
        let exactly = String(repeating: "🐟", count: 150)
        #expect(Self.run([exactly]).given == [""] && Self.run([exactly]).rest == exactly)
        let out = Self.run([exactly, "x", "y", " Response:** z"])
        #expect(out.given == ["", exactly + "x", "y", " Response:** z"] && out.rest.isEmpty)
    }

    @Test("What is before the first mark goes, with the blanks behind it; nothing is said twice")
    func prefixed() {
        let out = Self.run(["**A** Resp", "onse:*", "*", " \n", "\t", " Hello", " there Response:** x", "!"])
        #expect(out.given == ["", "", "", "", "", "Hello", " there Response:** x", "!"] && out.rest.isEmpty)
        #expect(Self.run(["a Response:** b Response:** c"]).given == ["b Response:** c"])
        #expect(Self.run(["a Response:**"]).given == [""] && Self.run(["a Response:**"]).rest.isEmpty)
    }

    @Test("A piece that goes over the limit with the mark in it is still cleaned")
    func late() {
        let out = Self.run([String(repeating: "x", count: 149), String(repeating: "y", count: 80) + "Response:** z"])
        #expect(out.given == ["", "z"])
    }

    @Test("A combining character behind the mark does not hide it")
    func combining() {
        #expect(Self.run(["Response:**\u{301}a"]).given == ["\u{301}a"])
    }

    @Test("The same comes out however an answer is cut")
    func cuts() {
        let answers = [
            "short", "**T** text Response:** \n\n Hello Response:** you", String(repeating: "long ", count: 60),
            String(repeating: "x", count: 145) + "Response:** y",
        ]
        for answer in answers {
            let whole = Self.run([answer])
            for size in 1...7 {
                var rest = answer[...]
                var pieces: [String] = []
                while !rest.isEmpty {
                    pieces.append(String(rest.prefix(size)))
                    rest = rest.dropFirst(size)
                }
                let out = Self.run(pieces)
                // A mark that comes after the decision stays; then only the length of the pieces tells.
                let isLate = answer.hasPrefix("xxx")
                let text = out.given.joined() + out.rest
                #expect(text == whole.given.joined() + whole.rest || (isLate && text == answer), "\(size)")
            }
        }
    }
}

@Suite("What account-backed services are asked")
struct AccountRequestTests {
    @Test("FlowGPT gets both bodies; the temperature is 0.7 unless somebody says otherwise")
    func flowGPT() throws {
        let body = #"{"model":"p","messages":[{"role":"assistant","content":"a"},{"role":"user","content":"b"}]}"#
        let written = try Native.encoded(body, FlowGPT())
        #expect(written["create"]?["messages"]?.array?.count == 2 && written["chat"]?["question"] == "b")
        #expect(written["chat"]?["temperature"]?.double == 0.7 && written["chat"]?["promptId"] == "p")
        let cold = try Native.encoded(body.replacing("{\"model\"", with: "{\"temperature\":0,\"model\""), FlowGPT())
        #expect(cold["chat"]?["temperature"]?.double == 0)
    }

    @Test("Tokens of any name are broken up, everything else stays as it is")
    func neutralised() {
        let cases = [
            ("<|end|>", "<\u{200B}|end|>"), ("<|END|><|a_b|>", "<\u{200B}|END|><\u{200B}|a_b|>"),
            ("<<|user|>>", "<<\u{200B}|user|>>"), ("x <| y |> z", "x <| y |> z"), ("<||>", "<||>"),
            ("f <| g", "f <| g"), ("<|é|>", "<|é|>"), ("<|", "<|"), ("", ""), ("<|end|", "<|end|"),
        ]
        for (text, expected) in cases { #expect(FittenPrompt.neutralised(text) == expected, "\(text)") }
    }

    @Test("A limit's end is told from seconds and thousandths, and hostile numbers do no harm")
    func limits() {
        func wait(_ time: String) -> Double? {
            let inner = #"{\"resetsAt\":\#(time)}"#
            let body = #"{"error":{"type":"rate_limit_error","message":"\#(inner)"}}"#
            let failure = ClaudeWeb().decodeFailure(
                status: 429, headers: HeaderBlock(), body: ByteBuffer(string: body))
            #expect(failure.kind == .rateLimited)
            return failure.retryAfter
        }
        let now = RetryAfter.now()
        for time in ["\(now + 100)", "\((now + 100) * 1000)"] {
            #expect((90...100).contains(wait(time) ?? 0))
        }
        #expect(wait("1") == 0 && wait("\(Int.max)") == 30 * 86_400)
        for time in ["-5", "1e400", "null", "{}"] { #expect(wait(time) == nil) }
    }
}
