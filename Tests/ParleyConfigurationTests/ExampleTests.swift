// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyConfiguration
import Testing

@Suite("The example file")
struct ExampleTests {
    @Test("The example loads without an error")
    func loads() throws {
        let result = Samples.load(try Samples.example())
        #expect(result.diagnostics.filter { $0.severity == .error }.map(\.description) == [])
        let settings = try #require(result.settings)
        #expect(settings.providers.count == 19)
        #expect(settings.providers.prefix(3).map(\.name) == ["openai", "proxied", "azure"])
        #expect(settings.models.map(\.name) == ["fast", "smart", "o1", "committee", "sampled", "gpt-*", "*"])
        #expect(settings.keys.map(\.name) == ["laptop", "widget"])
        #expect(settings.models[1].position == SourcePosition(file: "parley.yaml", line: 87, column: 3))
    }

    @Test("Server and log settings arrive typed")
    func server() throws {
        let settings = try #require(Samples.load(try Samples.example()).settings)
        #expect(settings.server.listen == [.tcp(host: "127.0.0.1", port: 8080)])
        #expect(settings.server.tls == .init(certificate: "cert.pem", key: "key.pem"))
        #expect(settings.server.cors == ["https://app.example.com"])
        #expect(settings.server.bodyLimit == 33_554_432)
        #expect(settings.server.idle == .seconds(75))
        #expect(settings.server.compatibility == [.billing])
        #expect(settings.log.file?.rotate == 104_857_600)
        #expect(settings.store == .sqlite(path: "parley.db"))
        #expect(settings.retention == RetentionSettings())
        #expect(settings.telemetry.otlp?.endpoint == "http://127.0.0.1:4318")
    }

    @Test("Provider settings arrive typed and in order")
    func providers() throws {
        let settings = try #require(Samples.load(try Samples.example()).settings)
        let proxied = try #require(settings.provider(named: "proxied"))
        #expect(proxied.apiKeys.map { $0.reveal() } == ["value-of-KEY_A", "value-of-KEY_B"])
        #expect(proxied.baseURL == "https://gateway.example.com/v1")
        #expect(proxied.headers == [HeaderSettings(name: "X-Team", value: Secret("research"))])
        #expect(proxied.proxy == .init(host: "127.0.0.1", port: 7890))
        #expect(proxied.params == ["temperature": .number("0.8")])
        #expect(proxied.force == ["user": .string("parley")])
        #expect(proxied.timeout.connect == .seconds(3))
        #expect(proxied.timeout.total == nil)
        #expect(proxied.limits.concurrent == 200)
        #expect(proxied.certificateAuthority == "corporate.pem")
        #expect(proxied.quirks == ["stream_options": .bool(false)])
        #expect(proxied.renames == [.init(name: "gpt-4o", upstream: "my-gpt-4o-deployment")])
        let demo = try #require(settings.provider(named: "demo"))
        #expect(demo.options["delay"]?.durationValue == .milliseconds(20))
        #expect(demo.options["tokens_per_second"]?.intValue == 60)
        #expect(demo.options["fail"]?.doubleValue == 0)
        #expect(demo.options["replies"] == .list([.string("Hello from Parley.")]))
        let vertex = try #require(settings.provider(named: "vertex"))
        #expect(vertex.options["credentials"]?.secretValue?.reveal() == "{\"type\":\"service_account\"}")
        let bedrock = try #require(settings.provider(named: "bedrock"))
        #expect(bedrock.options.names == ["region", "access_key", "secret_key"])
        let agent = try #require(settings.provider(named: "agent"))
        #expect(agent.options["command"] == .list([.string("gemini"), .string("--experimental-acp")]))
    }

    @Test("Models, keys and the rest arrive typed")
    func models() throws {
        let settings = try #require(Samples.load(try Samples.example()).settings)
        #expect(settings.models[0].body == .alias("openai/gpt-4o-mini"))
        guard case .route(let smart) = settings.models[1].body else { throw Unexpected() }
        #expect(smart.strategy == .fallback)
        #expect(smart.of.map(\.model) == ["claude/claude-sonnet-4-5", "openai/gpt-4o"])
        #expect(smart.of[1].weight == 2)
        #expect(smart.retry.attempts == 2)
        #expect(smart.retry.on == nil)
        #expect(settings.defaults.retry.applying(smart.retry).maxWait == .seconds(20))
        #expect(smart.hedge?.budget == 0.05)
        #expect(smart.onContentFilter == "fast")
        #expect(smart.cacheTTL == .seconds(600))
        guard case .reason(let chain) = settings.models[2].body else { throw Unexpected() }
        #expect(chain.strategy == .steps)
        #expect(chain.stepPrompt == "Think.")
        #expect(chain.caps == ReasonSettings.Caps())
        let laptop = settings.keys[0]
        #expect(laptop.models == ["fast", "smart", "claude/*"])
        #expect(laptop.expires == 1_798_761_600)
        #expect(laptop.budget == BudgetSettings(usd: 20, per: .month))
        #expect(laptop.limits.models.first?.rpm == 5)
        #expect(settings.keys[1].force == ["max_tokens": .number("500")])
        #expect(settings.prices.first?.cacheRead == 1.25)
        #expect(settings.jwt?.teamClaim == "team")
    }

    @Test("Each part that is not built gives one warning, which strictness makes an error")
    func notBuilt() throws {
        let text = try Samples.example()
        let warned = Samples.load(text).diagnostics.map(\.path)
        for path in [
            "telemetry", "capture", "providers.proxied.limits.rpm", "providers.vertex.kind", "keys[0].budget", "teams",
            "jwt",
        ] {
            #expect(warned.filter { $0 == path }.count == 1, "\(path)")
        }
        #expect(!warned.contains { ["admin", "console", "store"].contains($0.prefix { $0 != "." }) })
        #expect(!warned.contains { $0.hasPrefix("server") || $0.hasPrefix("log") || $0.hasPrefix("models.o1.caps") })
        let strict = Samples.load(text, strict: true)
        #expect(strict.settings == nil)
        #expect(strict.diagnostics.count == warned.count)
        #expect(strict.diagnostics.allSatisfy { $0.severity == .error })
    }

    struct Unexpected: Error {}
}
