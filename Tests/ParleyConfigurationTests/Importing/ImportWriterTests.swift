// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyConfiguration
import Testing

@Suite struct ImportWriterTests {
    /// Texts that readers of YAML, or of what stands in its comments and names, have stumbled over.
    static let awkward: [String] = [
        "", " ", "a b", " a ", "true", "True", "no", "On", "null", "~", "1", "-1", "1.0", "1e3", "0x1F", "0o7", ".5",
        ".inf",
        "-.INF", ".nan", "2024-10-21", "12:30:45", "a: b", "a:", "a #b", "#a", "- a", "-", "--- a", "...", "? a", "[a]",
        "{a}",
        "a, b", "&a", "*a", "!a", "!!str a", "|", ">", "%a", "@a", "`a`", "\"a\"", "'a'", "it's", "a\\b", "\\n", "a\nb",
        "a\n",
        "\n", "a\r\nb", "\ta", "a\tb", "\u{0}", "\u{7}", "\u{1B}[31m", "\u{7F}", "\u{85}", "\u{A0}", "\u{2028}",
        "\u{2029}",
        "\u{FEFF}a", "\u{FFFE}", "\u{FFFF}", "ü", "渠道", "😀", "e\u{301}", "\u{202E}abc", "${A}", "$${A}",
        "$$${A}", "$",
        "${",
        "a}b", "${file:/etc/passwd}", "<<", "=", "y", "n", "key: value\nother: 1", String(repeating: "x", count: 900),
        "500s", "1:2",
        "0.0.0.0:80", "https://host/v1", "a-b_c.d/e",
    ]

    /// The text as JSON.
    private static func json(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            if scalar == "\"" || scalar == "\\" || scalar.value < 0x20 {
                let hex = String(scalar.value, radix: 16)
                out += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            } else {
                out.unicodeScalars.append(scalar)
            }
        }
        return out + "\""
    }

    @Test("Every text reads back as it was, as a value, in a list, and as a name", arguments: awkward)
    func texts(text: String) throws {
        let quoted = Self.json(text)
        let result = try Imports.read(
            """
            [{"token": "t", "type": "openai", "config": {"api_key": "k",
              "v": \(quoted), "l": [\(quoted), {\(quoted): 1}]}}]
            """, .openAIStyle)
        let force = try #require(result.settings.keys.first?.force)
        #expect(force["v"] == .string(text))
        #expect(force["l"] == .list([.string(text), .map(SettingMap([.init(name: text, value: .number("1"))]))]))
    }

    @Test("Secrets read back as they were by way of their variables", arguments: awkward)
    func secrets(text: String) throws {
        guard !text.isEmpty, !text.contains(","),
            !text.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F }),
            text == text.trimmingSpaces
        else { return }
        let result = try Imports.read(
            #"[{"token": "t", "type": "proxy", "#
                + #""config": {"api_base": "http://h/v1", "api_key": \#(Self.json(text))}}]"#,
            .openAIStyle)
        #expect(result.settings.providers.first?.apiKeys == [Secret(text)])
    }

    @Test("No secret stands in the result unless it is asked for")
    func hidden() throws {
        let text = """
            [{"token": "tok-secret", "type": "claude-web",
              "config": {"cookie": "cookie-secret", "proxies": {"https": "http://u:proxy-secret@h:1"}}},
             {"token": "tok-secret-2", "type": "xunfei-spark-api",
              "config": {"app_id": "a", "api_key": "key-secret", "api_secret": "api-secret"}}]
            """
        let imported = try Importer.read(Array(text.utf8), file: "f.json")
        #expect(!imported.yaml().contains("secret\"") && !imported.yaml().contains("-secret"))
        #expect(!imported.notes.contains { $0.description.contains("-secret") })
        let shown = imported.yaml(showsSecrets: true)
        for secret in ["tok-secret", "cookie-secret", "proxy-secret", "tok-secret-2", "key-secret", "api-secret"] {
            #expect(shown.contains(secret), "\(secret)")
            #expect(imported.environmentFile.contains(secret), "\(secret)")
        }
    }

    @Test("What stands in for a variable, beside it, in a URL or under a telling name is as secret")
    func hiddenElsewhere() throws {
        let text = """
            MODEL_CONFIGS = [
              {"token": os.getenv("TOKEN", "default-secret"), "type": "proxy", "config": {
                "api_base": "https://u:url-secret@h/v1", "api_key": "left-secret" + os.environ["K"],
                "extra_headers": {"Authorization": "Bearer header-secret"}, "x_api_key": "field-secret",
                "max_tokens": 5, "region": os.getenv("REGION", "eu")}},
            ]
            """
        let imported = try Importer.read(Array(text.utf8), file: "f.py")
        #expect(!imported.yaml().contains("-secret"), "\(imported.yaml())")
        #expect(imported.yaml().contains("max_tokens: 5") && imported.yaml().contains("${REGION:-eu}"))
        let values = imported.variables.compactMap(\.value)
        for secret in [
            "default-secret", "https://u:url-secret@h/v1", "left-secret", "Bearer header-secret", "field-secret",
        ] {
            #expect(values.contains(secret), "\(secret)")
        }
        #expect(imported.variables.first { $0.name == "TOKEN" }?.value == "default-secret")
        #expect(imported.yaml().contains("}${K}\""))
    }

    @Test("Names of variables are valid, unique, and one for each secret")
    func variables() throws {
        let text = """
            MODEL_CONFIGS = [
              {"token": "a", "type": "openai", "config": {"api_key": "one"}},
              {"token": "b", "type": "openai", "config": {"api_key": "two"}},
              {"token": "c", "type": "openai", "config": {"api_key": "one", "temperature": 1}},
              {"token": "d", "type": "openai", "config": {"api_key": os.getenv("OPENAI_API_KEY")}},
              {"token": "e", "type": "proxy", "config": {"api_base": "https://1.2.3.4:5/v1", "api_key": "one"}},
              {"token": "f", "type": "proxy", "config": {"api_base": "https://360.cn/v1", "api_key": "three"}},
            ]
            """
        let result = try Imports.read(text)
        let names = result.imported.variables.map(\.name)
        #expect(Set(names).count == names.count)
        #expect(names.allSatisfy { $0.wholeMatch(of: /[A-Z_][A-Z0-9_]*/) != nil })
        #expect(
            names.contains("OPENAI_API_KEY") && names.contains("OPENAI_API_KEY_2") && names.contains("N360_API_KEY"))
        // The variable that the source reads keeps its name, so the secrets take others.
        #expect(result.imported.variables.first { $0.name == "OPENAI_API_KEY" }?.value == nil)
        #expect(result.imported.variables.filter { $0.value == "one" }.count == 1)
        #expect(result.settings.providers.count == 5)
    }

    @Test(
        "Shells read the variables' file back",
        arguments: ["plain", "it's", "a b", "$HOME `x` \"y\"", "ü", "a\\b", "#x"])
    func environmentFile(value: String) throws {
        let text = "[{\"token\": \"t\", \"type\": \"openai\", \"config\": {\"api_key\": \(Self.json(value))}}]"
        let imported = try Importer.read(Array(text.utf8), file: "f", kind: .openAIStyle)
        let quoted =
            value.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber) }
            ? value : "'" + value.replacing("'", with: #"'\''"#) + "'"
        #expect(imported.environmentFile.contains("OPENAI_API_KEY=\(quoted)\n"))
    }
}

extension String {
    fileprivate var trimmingSpaces: String {
        var rest = Substring(self)
        while rest.first?.isWhitespace == true { rest.removeFirst() }
        while rest.last?.isWhitespace == true { rest.removeLast() }
        return String(rest)
    }
}
