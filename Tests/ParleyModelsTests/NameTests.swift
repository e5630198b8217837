// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Testing

@testable import ParleyModels

@Suite struct NameTests {
    @Test(
        "A pattern covers what its one star can stand for",
        arguments: [
            ("gpt-4o", "gpt-4o", ""), ("gpt-4o", "gpt-4", nil), ("*", "anything/at-all", "anything/at-all"),
            ("*", "", ""), ("gpt-*", "gpt-4o", "4o"), ("gpt-*", "gpt-", ""), ("gpt-*", "gpt", nil),
            ("*-latest", "x-latest", "x"), ("a*a", "a", nil), ("a*a", "aa", ""), ("a*a", "aba", "b"),
            ("claude/*", "claude/x", "x"), ("claude/*", "openai/x", nil), ("ä*", "äß", "ß"), ("*ß", "äß", "ä"),
            ("a*b*", "axb*", "x"), ("a*b*", "axbx", nil), ("", "", ""), ("", "a", nil), ("GPT-*", "gpt-4o", nil),
        ] as [(String, String, String?)])
    func matching(pattern: String, name: String, star: String?) {
        #expect(NamePattern(pattern).match(name).map { String($0) } == star)
        #expect(NamePattern(pattern).matches(name) == (star != nil))
    }

    @Test("The star's text goes where the target's star is")
    func substitution() {
        #expect(NamePattern.substitute("4o", in: "openai/gpt-*") == "openai/gpt-4o")
        #expect(NamePattern.substitute("4o", in: "openai/gpt") == "openai/gpt")
        #expect(NamePattern.substitute("é", in: "ü*ö") == "üéö")
    }

    @Test("A key's patterns allow names; no list allows all, an empty list nothing")
    func allowing() {
        #expect(Directory.allowed("fast", patterns: nil))
        #expect(!Directory.allowed("fast", patterns: []))
        #expect(Directory.allowed("fast", patterns: ["*"]))
        #expect(Directory.allowed("fast", patterns: ["smart", "fast"]))
        #expect(Directory.allowed("claude/x", patterns: ["smart", "claude/*"]))
        #expect(!Directory.allowed("openai/x", patterns: ["smart", "claude/*"]))
        #expect(!Directory.allowed("Fast", patterns: ["fast"]))
    }

    @Test(
        "Close names are suggested, also by what follows the provider",
        arguments: [
            ("gpt-4o", ["openai/gpt-4o", "openai/gpt-4.1"]), ("FAST", ["fast"]), ("fsat", ["fast"]),
            ("smrt", ["smart"]),
            ("opnai/gpt-4o", ["openai/gpt-4o", "openai/gpt-4.1"]), ("something-else", []), ("x", []),
        ])
    func suggestions(name: String, expected: [String]) {
        let entries = ["fast", "smart"].map { Blueprint.Entry($0, .alias("openai/gpt-4o")) }
        let lists = [ProviderList(provider: "openai", ids: ["gpt-4.1", "gpt-4o"])]
        let (directory, _) = Directory.build(
            Blueprint(entries), sources: [ScriptedSource(name: "openai", ids: ["gpt-4o", "gpt-4.1"])], lists: lists)
        #expect(unknown(directory, name) == expected)
    }

    @Test("Names a key may not use are not suggested to it")
    func discretion() {
        let entries = ["fast", "fest"].map { Blueprint.Entry($0, .alias("openai/gpt-4o")) }
        let (directory, _) = Directory.build(Blueprint(entries), sources: [ScriptedSource(name: "openai")])
        #expect(unknown(directory, "fost") == ["fast", "fest"])
        #expect(unknown(directory, "fost", patterns: ["fest"]) == ["fest"])
    }

    @Test("A name that is empty or very long is just unknown")
    func hostile() {
        let (directory, _) = Directory.build(
            Blueprint([.init("*", .alias("openai/*"))]), sources: [ScriptedSource(name: "openai")])
        #expect(unknown(directory, "") == [])
        #expect(unknown(directory, String(repeating: "a", count: 512)) == nil)
        #expect(unknown(directory, String(repeating: "a", count: 513)) == [])
        #expect(unknown(directory, String(repeating: "ü", count: 300)) == [])
    }

    /// The suggestions for a name that is not there; nil where it is.
    private func unknown(_ directory: Directory, _ name: String, patterns: [String]? = nil) -> [String]? {
        guard case .unknown(let suggestions) = directory.resolve(name, patterns: patterns) else { return nil }
        return suggestions
    }
}
