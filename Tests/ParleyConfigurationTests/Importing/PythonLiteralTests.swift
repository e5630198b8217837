// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyConfiguration
import Testing

@Suite struct PythonLiteralTests {
    /// Reads a value by way of a member that is sent on as it is.
    private static func forced(_ literal: String, more: [String: String] = [:]) throws -> SettingValue? {
        let text = """
            import os
            # MODEL_CONFIGS = ["not this one"]
            '''nor MODEL_CONFIGS = [ this one'''
            MODEL_CONFIGS: list = [
                {"token": "t", "type": "openai", "config": {"api_key": "k", "x": \(literal)},},  # a comma too many
            ]
            def f(): return MODEL_CONFIGS
            """
        return try Imports.read(text, more: more).settings.keys.first?.force["x"]
    }

    @Test(
        "Texts in every form Python has",
        arguments: [
            (#""a\"b'c""#, "a\"b'c"), (#"'a\'b"c'"#, "a'b\"c"), (#"r"a\nb""#, #"a\nb"#), (#"R'\''"#, #"\'"#),
            (#"u'ü'"#, "ü"), (#""\a\b\f\n\r\t\v\\""#, "\u{7}\u{8}\u{C}\n\r\t\u{B}\\"), (#""\x41\101\0""#, "AA\0"),
            (#""\u00e9\U0001F600""#, "é😀"), (#""\N{EURO SIGN}\N{latin small letter a}""#, "€a"),
            (#""\d\8""#, #"\d\8"#),
            ("\"\"\"a\n\"b\" 'c'\"\"\"", "a\n\"b\" 'c'"), ("'''it's'''", "it's"), ("\"a\\\nb\"", "ab"),
            (#""a" 'b' "c""#, "abc"), (#"("a"\#n  "b")"#, "ab"), (#""a" + "b""#, "ab"), ("''", ""),
            ("\"# no comment, // neither\"", "# no comment, // neither"), (#""${A} $${B}""#, "${A} $${B}"),
        ])
    func texts(literal: String, value: String) throws {
        #expect(try Self.forced(literal) == .string(value))
    }

    @Test(
        "Numbers become JSON's",
        arguments: [
            ("0", "0"), ("-1", "-1"), ("+1", "1"), ("1_000", "1000"), ("0x1F", "31"), ("0o17", "15"), ("0b101", "5"),
            ("0.8", "0.8"), (".5", "0.5"), ("5.", "5"), ("1e-3", "1e-3"), ("1E5", "1e5"), ("- 2", "-2"),
        ])
    func numbers(literal: String, value: String) throws {
        #expect(try Self.forced(literal) == .number(value))
    }

    @Test("Words, lists, tuples and dictionaries")
    func others() throws {
        #expect(try Self.forced("True") == .bool(true))
        #expect(try Self.forced("false") == .bool(false))
        #expect(try Self.forced("None") == .null)
        #expect(try Self.forced("[1, 'a', [], {},]") == .list([.number("1"), .string("a"), .list([]), .map([:])]))
        #expect(try Self.forced("(1, 2)") == .list([.number("1"), .number("2")]))
        #expect(try Self.forced("(1,)") == .list([.number("1")]))
        #expect(try Self.forced("(1)") == .number("1"))
        #expect(try Self.forced("{'a': 1, 'b': {'c': None}}") == .map(["a": .number("1"), "b": .map(["c": .null])]))
    }

    @Test(
        "Look-ups in the environment stay look-ups",
        arguments: [
            (#"os.getenv("X")"#, "value"), (#"os.environ["X"]"#, "value"), (#"os.environ.get('X')"#, "value"),
            (#"getenv("X", "d")"#, "value"), (#"os.getenv("NONE_SUCH", "d")"#, "d"),
            (#"os.getenv("NONE_SUCH") or "d""#, "d"), (#""Bearer " + os.environ["X"]"#, "Bearer value"),
            (#"os.getenv("X", None)"#, "value"),
        ])
    func environment(literal: String, value: String) throws {
        var variables = ["X": "value"]
        if literal.contains("NONE_SUCH") { variables["NONE_SUCH"] = "" }
        #expect(try Self.forced(literal, more: variables) == .string(value))
    }

    @Test(
        "Nothing is run: what is no literal is a fault with its line",
        arguments: [
            ("f()", "and \"f\" is none"), ("f'{x}'", "it would have to be run"), ("b'x'", "are no text"),
            ("[x for x in y]", "\"x\" is none"), ("__import__('os').system('true')", "is none"),
            ("1 + 2", "cannot be joined"), ("lambda: 1", "is none"), ("\"a", "not closed"), ("'\\x4'", "no character"),
            ("'\\ud83d'", "no character"), ("'\\N{NO SUCH THING}'", "no character"), ("1j", "no number"),
            ("0x", "no number"),
            ("1__0", "no number"), ("{1: 2, 1: 3}", "already set"), ("{[]: 1}", "a key must be text"),
            ("os.getenv(f())", "is none"), ("os.getenv()", "takes the variable's name"),
            ("os.environ['A B']", "not a variable's name"), ("os.getenv", "expected the variable's name"),
            ("[1 2]", "comma"),
            ("[", "expected a value"), ("{'a'}", "expected :"), ("a.b", "is none"), ("1 if x else 2", "comma"),
        ])
    func faults(literal: String, message: String) throws {
        let fault = Imports.fault("MODEL_CONFIGS = [\n\n{'token': 't', 'type': 'openai', 'config': {'x': \(literal)}}]")
        #expect(fault?.hasPrefix("f:3: error: ") == true || fault?.hasPrefix("f:1: error: ") == true)
        #expect(fault?.contains(message) == true, "\(fault ?? "none")")
    }

    @Test("JSON with comments is read as the literal it nearly is")
    func comments() throws {
        let result = try Imports.read(
            "[ // the models\n{\"token\": \"t\", \"type\": \"openai\", // own\n\"config\": {\"api_key\": \"k\"}}]",
            .openAIStyle)
        #expect(result.settings.keys.count == 1)
    }

    @Test("The last assignment counts, and what happens to the list later is said")
    func later() throws {
        let entry = "{'token': 'T', 'type': 'openai', 'config': {'api_key': 'k'}}"
        let result = try Imports.read(
            "MODEL_CONFIGS = []\nif MODEL_CONFIGS == []: pass\nMODEL_CONFIGS = [\(entry)]\nMODEL_CONFIGS.append(1)")
        #expect(result.settings.keys.count == 1)
        #expect(result.notes.filter { $0.contains("nothing is run") }.map { $0.prefix(9) } == ["source:4:"])
    }
}
