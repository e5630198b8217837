// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyConfiguration
import Testing

@Suite struct HostileImportTests {
    struct Case: CustomTestStringConvertible, Sendable {
        var name: String
        var kind: ImportKind?
        var text: String
        var fault: String

        var testDescription: String { name }
    }

    private static func deep(_ open: String, _ close: String = "") -> String {
        String(repeating: open, count: 5000) + String(repeating: close, count: 5000)
    }

    @Test(
        "What cannot be read is said with its line",
        arguments: [
            Case(
                name: "deep JSON", kind: .oneAPI, text: deep("[", "]"),
                fault: "f:1: error: is not JSON: nested too deeply"),
            Case(
                name: "JSON of 100 levels", kind: .oneAPI,
                text: String(repeating: "[", count: 100) + String(repeating: "]", count: 100),
                fault: "f:1: error: nested deeper than 64 levels"),
            Case(
                name: "deep YAML", kind: .liteLLM, text: deep("[", "]"),
                fault: "f:1: error: nested deeper than 64 levels"),
            Case(
                name: "deep YAML blocks", kind: .liteLLM, text: deep("- "), fault: "f:1: error: nested deeper than 64"),
            Case(
                name: "deep Python", kind: .openAIStyle, text: "MODEL_CONFIGS = " + deep("["),
                fault: "f:1: error: nested deeper than 64 levels"),
            Case(
                name: "deep parentheses", kind: .openAIStyle, text: "MODEL_CONFIGS = " + deep("("),
                fault: "f:1: error: nested deeper than 64 levels"),
            Case(
                name: "an anchor within itself", kind: .liteLLM, text: "a: &a [*a]",
                fault: "f:1: error: an alias without an anchor before it"),
            Case(
                name: "aliases that grow", kind: .liteLLM,
                text: "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
                    + (1..<9).map {
                        "a\($0): &a\($0) ["
                            + Array(repeating: "*a\($0 > 1 ? "\($0 - 1)" : "")", count: 10).joined(separator: ",")
                            + "]\n"
                    }
                    .joined(),
                fault: "f:5: error: more than 100000 values"),
            Case(
                name: "a name twice in YAML", kind: .o1, text: "a: 1\nb: 2\na: 3",
                fault: "f:3: error: \"a\" is already set on line 1"),
            Case(
                name: "a name twice in JSON", kind: .oneAPI, text: "[{\"type\": 1,\n\"type\": 2}]",
                fault: "f:2: error: \"type\" is already set on line 1"),
            Case(
                name: "a name twice in .env", kind: .flowGPT, text: "A=1\nA=2",
                fault: "f:2: error: \"A\" is already set on line 1"),
            Case(
                name: "a name twice in .ini", kind: .fitten, text: "[Main]\na=1\nA=2",
                fault: "f:3: error: \"a\" is already set on line 2"),
            Case(name: "a section twice", kind: .fitten, text: "[Main]\na=1\n[Main]\nb=2", fault: "already set"),
            Case(
                name: "no section", kind: .fitten, text: "a=1", fault: "f:1: error: a value before the first"),
            Case(name: "no value", kind: .flowGPT, text: "A=1\nB", fault: "f:2: error: expected KEY=value"),
            Case(
                name: "an open quote", kind: .flowGPT, text: "A=1\nB=\"x\n\n",
                fault: "f:2: error: the quote is not closed"),
            Case(name: "a zero byte", kind: .flowGPT, text: "A=1\nB=\0", fault: "f:2: error: holds a zero byte"),
            Case(
                name: "cut JSON", kind: .oneAPI, text: "[{\"type\":\n 1",
                fault: "f:2: error: is not JSON: unexpected end"),
            Case(
                name: "half a list", kind: .openAIStyle, text: "MODEL_CONFIGS = [\n{",
                fault: "f:2: error: this { is not closed"),
            Case(
                name: "no list", kind: .openAIStyle, text: "print(1)",
                fault: "f: error: there is no MODEL_CONFIGS = [...] in it"),
            Case(
                name: "a wrong list", kind: .openAIStyle, text: "MODEL_CONFIGS = 1",
                fault: "f:1: error: expected a list"),
            Case(name: "wrong YAML", kind: .liteLLM, text: "a: [", fault: "error: "),
            Case(name: "a list for a mapping", kind: .liteLLM, text: "- a", fault: "f:1: error: expected a mapping"),
            Case(name: "a list for o1", kind: .o1, text: "- a", fault: "f:1: error: expected a mapping"),
            Case(
                name: "text for channels", kind: .oneAPI, text: "{\"data\": \"x\"}",
                fault: "f:1: error: expected a list of channels"),
            Case(
                name: "a wrong model map", kind: .flowGPT, text: "A=1\nMODEL_MAP='{\"a\": }'",
                fault: "f:2: error: MODEL_MAP: is not JSON"),
            Case(
                name: "a wrong mapping of models", kind: .oneAPI,
                text: "[{\"type\": 1, \"key\": \"k\",\n\"models\": \"m\", \"model_mapping\": \"{\"}]",
                fault: "f:2: error: [0].model_mapping: is not JSON"),
            Case(
                name: "a long name", kind: .openAIStyle,
                text: "[{\"token\": \"t\", \"type\": \"openai\", \"config\":\n{\"" + String(repeating: "x", count: 2000)
                    + "\": 1}}]",
                fault: "f:2: error: a name longer than 1000 characters"),
            Case(
                name: "nothing", kind: nil, text: "",
                fault: "f: error: cannot tell what kind of file this is: say --from"),
            Case(name: "something else", kind: nil, text: "hello: world", fault: "cannot tell what kind of file"),
        ])
    func faults(of one: Case) {
        let fault = Imports.fault(one.text, one.kind)
        #expect(fault?.contains(one.fault) == true, "\(fault?.prefix(300) ?? "none")")
    }

    @Test("What is no UTF-8 is said with its line, whatever kind it should be", arguments: ImportKind.allCases)
    func notText(kind: ImportKind) {
        #expect(Imports.fault([0x61, 0x0A, 0x62, 0xFF, 0x0A], kind) == "f:2: error: is not UTF-8 text")
        #expect(Imports.fault(Array("ä\n".utf8.dropLast(2)) + [0x0A], kind) == "f:1: error: is not UTF-8 text")
    }

    @Test("A file that is too large is refused, and one that just fits is read", arguments: ImportKind.allCases)
    func large(kind: ImportKind) {
        let fits = String(repeating: "x", count: Importer.limit)
        #expect(Imports.fault(fits + "x", kind) == "f: error: larger than 4MB")
        #expect(Imports.fault(fits, kind)?.contains("larger") != true)
    }

    @Test(
        "Many values are refused, and neither crash nor hang", arguments: [ImportKind.oneAPI, .openAIStyle, .liteLLM])
    func many(kind: ImportKind) {
        let list = "[" + String(repeating: "1,", count: 150_000) + "1]"
        let text = kind == .openAIStyle ? "MODEL_CONFIGS = " + list : list
        #expect(Imports.fault(text, kind)?.contains("more than 100000 values") == true)
    }

    @Test("No beginning of a file crashes, nor does one with a byte changed", arguments: ImportKind.allCases)
    func cut(kind: ImportKind) {
        let sample = Array(ImportFormatTests.samples[kind]?.utf8 ?? "".utf8)
        #expect(sample.count > 20)
        for end in stride(from: 0, to: sample.count, by: max(1, sample.count / 150)) {
            _ = Imports.fault(Array(sample[..<end]), kind)
            _ = Imports.fault(Array(sample[..<end]))
            for byte: UInt8 in [0x22, 0x7B, 0x5B, 0x0A, 0x2A, 0x26, 0x24, 0x00, 0xFF] {
                var changed = sample
                changed[end] = byte
                _ = Imports.fault(changed, kind)
            }
        }
    }

    @Test("Names that are used twice get numbers, and none is lost")
    func names() throws {
        let channel =
            #"{"type": 1, "key": "K", "name": "Same / name!", "models": "m N", "base_url": "https://hN.example"}"#
        let channels = (1...30).map { channel.replacing("K", with: "k\($0)").replacing("N", with: "\($0)") }
        let result = try Imports.read("[" + channels.joined(separator: ",") + "]", .oneAPI)
        #expect(Set(result.settings.providers.map(\.name)).count == 30)
        #expect(result.provider("same-name-2") != nil)
        #expect(Set(result.settings.models.map(\.name)).count == 30)
        #expect(result.hasNote("renamed to \"m-7\""))
    }

    @Test("Control characters in names reach neither the comments nor the terminal")
    func control() throws {
        let result = try Imports.read(
            "[{\"type\": 1, \"key\": \"k\", \"name\": \"a\\u001b[31m\\nproviders: {}\\u2028x\", \"models\": \"m\", "
                + "\"\\u0007x\": 1}]",
            .oneAPI)
        #expect(!result.yaml.unicodeScalars.contains { $0.value < 0x20 && $0 != "\n" })
        #expect(result.settings.providers.count == 1)
        #expect(result.notes.allSatisfy { note in !note.unicodeScalars.contains { $0.value < 0x20 } })
    }
}
