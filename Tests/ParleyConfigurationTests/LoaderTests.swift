// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyConfiguration
import Testing

@Suite("Loading")
struct LoaderTests {
    @Test(
        "An empty file is the default settings", arguments: ["", "\n", "# only a comment\n", "---\n", "~", "server:\n"])
    func empty(_ text: String) {
        let result = Samples.load(text)
        #expect(result.diagnostics == [])
        #expect(result.settings == Settings())
    }

    @Test("Several errors are reported together, in the order of the file")
    func together() {
        let text = """
            keys:
              - {name: a}
            server:
              idle: never
              lisen: x
            log: {level: loud}
            models: {x: nothing, y: y}
            """
        #expect(
            Samples.load(text).diagnostics.map(\.description) == [
                "parley.yaml:2:5: error: keys[0]: needs `key` or `sha256`; what is given is empty or absent",
                "parley.yaml:4:9: error: server.idle: must be a duration such as 250ms, 5s, 10m, 12h or 7d",
                "parley.yaml:5:3: error: server.lisen: unknown setting \"lisen\"; did you mean \"listen\"?",
                "parley.yaml:6:14: error: log.level: unknown level \"loud\"; known: "
                    + "trace, debug, info, notice, warning, error",
                "parley.yaml:7:13: error: models.x: unknown model \"nothing\"",
                "parley.yaml:7:22: error: models.y: leads back to itself: y -> y",
            ])
    }

    @Test("A syntax error has a line and a column")
    func syntax() throws {
        let diagnostic = try #require(Samples.load("server:\n  idle: [5s\nlog: {}\n").diagnostics.first)
        #expect(diagnostic.severity == .error)
        #expect(diagnostic.line == 3)
        #expect(diagnostic.column >= 1)
        let tab = try #require(Samples.load("server:\n\tidle: 5s\n").diagnostics.first)
        #expect((tab.line, tab.column) == (2, 1))
        let unquoted = try #require(Samples.load("log: {level: ${LEVEL}}").diagnostics.first)
        #expect(unquoted.column == 15)
        #expect(unquoted.message.contains("quotes"))
    }

    @Test("Anchors, aliases and merges work")
    func anchors() throws {
        let text = """
            defaults: {timeout: &slow {first: 90s, total: 20m}}
            providers:
              a: &base {kind: demo, timeout: *slow, delay: 1s}
              b: {<<: *base, delay: 2s}
            """
        let settings = try #require(Samples.load(text).settings)
        #expect(settings.defaults.timeout.first == .seconds(90))
        #expect(settings.providers[0].timeout.total == .seconds(1200))
        #expect(settings.providers[1].kind == "demo")
        #expect(settings.providers[1].options["delay"] == .duration(.seconds(2)))
    }

    @Test("Columns count Unicode scalars and lines end at line feeds only")
    func columns() {
        let text = "models: {\"né\": nope}\r\n# a\u{2028}\nserver: {idle: x}"
        let places = Samples.load(text).diagnostics.map { "\($0.line):\($0.column)" }
        #expect(places == ["1:16", "3:16"])
    }

    @Test("Variables and files are expanded in strings, numbers and free values")
    func expansion() throws {
        let text = """
            server: {listen: "${HOST:-0.0.0.0}:${PORT}", max_connections: "${MANY}", body_limit: "${MB}MB"}
            providers:
              a:
                kind: ${KIND}
                api_key: "${KEYS}"
                base_url: ${URL:-}
                params:
                  temperature: ${T}
                  stop: "${T}"
                  note: $${T} costs $5
                  prompt: ${file:p.txt}
            """
        let environment = ["PORT": "9000", "MANY": "12", "MB": "3", "KIND": "openai", "KEYS": " a, b ,,", "T": "0.5"]
        let context = Samples.context(files: ["conf/p.txt": "two\nlines: [\r\n"])
        let result = SettingsLoader.load(
            text: text, file: "conf/parley.yaml", environment: environment, context: context)
        #expect(result.diagnostics == [])
        let settings = try #require(result.settings)
        #expect(settings.server.listen == [.tcp(host: "0.0.0.0", port: 9000)])
        #expect(settings.server.maxConnections == 12)
        #expect(settings.server.bodyLimit == 3 << 20)
        #expect(settings.providers[0].apiKeys == [Secret("a"), Secret("b")])
        #expect(settings.providers[0].baseURL == nil)
        #expect(
            settings.providers[0].params.json
                == #"{"temperature":0.5,"stop":"0.5","note":"${T} costs $5","prompt":"two\nlines: ["}"#)
    }

    @Test("What is put in is not expanded again")
    func once() throws {
        let result = Samples.load(
            "models: {a: {route: fallback, of: [d/x], params: {s: \"${A}\"}}}\nproviders: {d: {kind: demo}}",
            environment: ["A": "${B}"])
        guard case .route(let route) = result.settings?.models.first?.body else {
            Issue.record("no route")
            return
        }
        #expect(route.params["s"] == .string("${B}"))
    }

    @Test("A secret never appears in a diagnostic or a description")
    func secrets() throws {
        let secret = "Zq8vKp2sWn5x"
        let text = """
            server: {listen: "${S}", idle: "${S}"}
            log: {level: "${S}"}
            store: "postgress://u:\(secret)@h/d"
            providers:
              a: {kind: "${S}", api_key: "\(secret)", base_url: "http://u:\(secret)@h", proxy: "ftp://\(secret)@p"}
              b: {kind: demo, api_key: {x: "\(secret)"}, headers: {A: ["\(secret)"]}}
            keys:
              - {name: x, key: "\(secret)"}
              - {name: y, key: "\(secret)"}
              - {name: z, sha256: "\(secret)"}
            """
        let result = Samples.load(text, environment: ["S": secret])
        #expect(result.diagnostics.count >= 8)
        for diagnostic in result.diagnostics { #expect(!diagnostic.description.contains(secret)) }
        for text in ["admin: {key: *\(secret)}", "admin: {key: !\(secret)}", "admin: {key: \"a${\(secret)!}\"}"] {
            let result = Samples.load(text)
            #expect(result.settings == nil)
            for diagnostic in result.diagnostics { #expect(!diagnostic.description.contains(secret)) }
        }
        var dumped = ""
        dump(Secret(secret), to: &dumped)
        #expect(!(dumped + "\(Secret(secret))" + String(reflecting: [Secret(secret)])).contains(secret))
        let good = Samples.load("providers: {a: {kind: openai, api_key: \(secret), headers: {X: \(secret)}}}")
        var settings = ""
        dump(try #require(good.settings), to: &settings)
        #expect(!settings.contains(secret))
        #expect(good.settings?.providers[0].apiKeys == [Secret(secret)])
    }

    @Test("Allow-list entries that allow nothing give a warning")
    func allowLists() {
        let text = """
            providers: {claude: {kind: demo}}
            models: {fast: claude/x, "gpt-*": claude/*}
            keys: [{name: k, key: abc, models: [fast, "claude/*", "f*", "gpt-4o", "*", claude/y, fats, "grok-*"]}]
            """
        #expect(
            Samples.warnings(text) == [
                "3:86: keys[0].models[6]: allows nothing: unknown model \"fats\"; did you mean \"fast\"?",
                "3:92: keys[0].models[7]: allows nothing: unknown model \"grok-*\"",
            ])
    }

    @Test("Without models of its own, a file may name what only a provider's list has")
    func listed() {
        let text = "providers: {p: {kind: demo}}\ndefaults: {model: gpt-4o}\nkeys: [{name: k, key: abc, model: any}]"
        #expect(Samples.load(text).diagnostics == [])
        #expect(Samples.warnings("providers: {openai: {}}\ndefaults: {model: opnai/x}").count == 1)
    }

    @Test("A provider's name is its kind when it gives none")
    func kindByName() throws {
        let settings = try #require(Samples.load("providers: {groq: {api_key: k}, demo: }").settings)
        #expect(settings.providers.map(\.kind) == ["groq", "demo"])
    }

    @Test("A provider that is not built gives a warning, routes and chains none")
    func unbuiltModels() {
        let text = """
            providers: {p: {kind: demo}, c: {kind: vertex}}
            models:
              a: {route: fastest, of: [p/x]}
              b: {reason: vote, with: p/x, samples: 3, caps: {calls: 2}}
              d: {route: round-robin, of: [p/x]}
              e: {route: random, of: [p/x]}
              f: {route: weighted, of: [{model: p/x, weight: 2}]}
            """
        #expect(
            Samples.warnings(text) == [
                "1:40: providers.c.kind: vertex is not built yet; calls answer 501"
            ])
    }

    @Test("A provider's own settings have the table's defaults")
    func optionDefaults() throws {
        let settings = try #require(
            Samples.load("providers: {demo: {delay: 1s}, vertex: {project: p}}").settings)
        #expect(
            settings.providers[0].options == [
                "delay": .duration(.seconds(1)), "tokens_per_second": .number("60"), "fail": .number("0"),
                "cut": .number("0"),
            ])
        #expect(settings.providers[1].options["location"] == .string("us-central1"))
        for row in SettingsTable.rows where !row.kinds.isEmpty && row.fallback != nil {
            let kind = row.kinds[0]
            let text = "providers: {\(kind): {base_url: \"http://h\"}}"
            let loaded = SettingsLoader.load(text: text, context: LoadContext(kinds: [kind: .init(built: true)]))
            // A kind that needs more than a URL is refused; its defaults are covered where it is complete.
            if let provider = loaded.settings?.providers.first {
                #expect(provider.options[row.name] != nil, "\(row.path)")
            }
        }
    }

    @Test("A wildcard that leads to a provider's model is no cycle, one that leads to itself is")
    func wildcardCycles() {
        let good = "providers: {p: {kind: demo}}\nmodels: {\"*\": p/x, a: b, \"b*\": p/*}"
        #expect(Samples.load(good).diagnostics == [])
        let bad = "providers: {p: {kind: demo}}\nmodels: {\"g-*\": fast, fast: g-4}"
        #expect(Samples.errors(bad) == ["2:10: models.g-*: leads back to itself: g-* -> fast -> g-*"])
    }

    @Test("Route members come by priority, then by file order")
    func priorities() throws {
        let text = """
            providers: {p: {kind: demo}}
            models: {a: {route: fallback, of: [{model: p/3, priority: 2}, p/1, {model: p/2, priority: 0}]}}
            """
        guard case .route(let route) = Samples.load(text).settings?.models.first?.body else {
            Issue.record("no route")
            return
        }
        #expect(route.ordered.map(\.model) == ["p/1", "p/2", "p/3"])
    }
}
