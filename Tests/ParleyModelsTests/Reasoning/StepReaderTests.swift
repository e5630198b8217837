// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Testing

@testable import ParleyModels

@Suite struct StepReaderTests {
    private static let awkward = #"""
        Here is {my} step:
        ```json
        {"title": "Say \"hi\" \\ \u00e9", "extra": {"a": [1, "}"]}, "n": -1.5e3, "content": "one\ntwo \ud83d\ude00 — 日本", "next_action": "continue",}
        ``` and more {"title": "no"}
        """#

    private func read(_ pieces: [String]) -> (title: String, content: String, step: Step?) {
        var reader = StepReader()
        var (title, content) = ("", "")
        for piece in pieces {
            for found in reader.push(piece) {
                switch found {
                case .title(let text): title += text
                case .content(let text): content += text
                }
            }
        }
        return (title, content, try? reader.step())
    }

    @Test func `what has come is the same wherever the text is cut`() {
        let expected = Step(title: "Say \"hi\" \\ é", content: "one\ntwo 😀 — 日本", isFinal: false)
        let scalars = Array(Self.awkward.unicodeScalars)
        func text(_ part: ArraySlice<Unicode.Scalar>) -> String {
            var out = String.UnicodeScalarView()
            out.append(contentsOf: part)
            return String(out)
        }
        for cut in 0...scalars.count {
            let found = read([text(scalars[..<cut]), text(scalars[cut...])])
            #expect(found.step == expected, "cut at \(cut)")
            #expect(found.title == expected.title && found.content == expected.content, "cut at \(cut)")
        }
        let single = read(scalars.map { String($0) })
        #expect(single.step == expected && single.content == expected.content)
    }

    @Test func `content is there before the step is complete`() {
        var reader = StepReader()
        #expect(reader.push(#"{"title":"A st"#) == [.title("A st")])
        #expect(reader.push(#"ep","content":"So fa"#) == [.title("ep"), .content("So fa")])
        #expect(reader.push("r") == [.content("r")])
        #expect(!reader.isDone)
    }

    @Test(
        "An answer that is no step says why",
        arguments: [
            ("I think it is 42.", StepFault.noObject), ("", .noObject), ("{'title': 'no'}", .noObject),
            (#"{"title": "a", "content": "b"#, .cut), (#"{"title":"a","next_action":"continue"}"#, .lacks("content")),
            (#"{"content":"a","next_action":"continue"}"#, .lacks("title")),
            (#"{"title":"a","content":"b"}"#, .lacks("next_action")),
            (#"{"title":1,"content":"b","next_action":"continue"}"#, .lacks("title")),
            (#"{"answer": 42}"#, .noObject),
        ])
    func faults(text: String, fault: StepFault) {
        var reader = StepReader()
        _ = reader.push(text)
        #expect(throws: fault) { try reader.step() }
    }

    @Test(
        "Only the final answer's own word ends a chain",
        arguments: [
            ("final_answer", true), ("Final Answer", true), ("continue", false), ("", false),
            ("not final_answer yet", false),
        ])
    func action(word: String, isFinal: Bool) throws {
        var reader = StepReader()
        _ = reader.push(Thinking.step("t", "c", word))
        #expect(try reader.step().isFinal == isFinal)
    }

    @Test(
        "A final answer in the form of a step shows as its content, cut anywhere; another passes as it is",
        arguments: [
            (#"{"title": "A", "content": "It is \"42\"\nso", "next_action": "final_answer"}"#, "It is \"42\"\nso"),
            ("```json\n{\"content\":\"42\"}\n```", "42"), ("It is 42.", "It is 42."), ("{\"a\": 1}", "{\"a\": 1}"),
            ("  {\"titles\": []}", "  {\"titles\": []}"), ("```swift\nlet a = 1\n```", "```swift\nlet a = 1\n```"),
            ("{", "{"), ("", ""), ("{\"title\": \"only\"}", "{\"title\": \"only\"}"),
            ("{\"title\": 4}", "{\"title\": 4}"), ("`x`", "`x`"),
        ])
    func unwrapping(text: String, shown: String) {
        for cut in 0...text.count {
            var reader = FinalReader()
            let out = reader.push(String(text.prefix(cut))) + reader.push(String(text.dropFirst(cut)))
            #expect(out + reader.finish() == shown, "cut at \(cut)")
        }
    }
}
