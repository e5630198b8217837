// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import ParleyTestKit
import ParleyWire
import Testing

@testable import ParleyProviders

@Suite("Providers with an API of their own: Ollama and Cohere")
struct NativeProviderTests {
    private static let ollama = #"""
        {"model":"m","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":"Hi"},"done":true,
        "done_reason":"stop","prompt_eval_count":3,"eval_count":1}
        """#.replacing("\n", with: "")
    private static let cohere = #"""
        {"id":"a","message":{"role":"assistant","content":[{"type":"text","text":"Hi"}]},"finish_reason":"COMPLETE"}
        """#

    @Test(
        "Any address of the server will do, and the key is sent where there is one",
        arguments: ["http://up.example:9000", "http://up.example:9000/v1", "http://up.example:9000/"])
    func addresses(base: String) async throws {
        for (kind, path, body) in [("ollama", "/api/chat", Self.ollama), ("cohere", "/v2/chat", Self.cohere)] {
            for keys in [[], ["k1"]] {
                let connector = FakeConnector(.json(body))
                let model = try makeModel(kind: kind, keys: keys) { $0.baseURL = base }
                let reply = try await model.answer(makeCall(connector, stream: false))
                #expect(try JSON.parse(try await text(of: reply))["object"] == "chat.completion")
                let head = try #require(connector.heads.first)
                #expect(head.hasPrefix("POST \(path) HTTP/1.1\r\nhost: up.example:9000\r\n"))
                #expect(head.contains("authorization: Bearer k1") == !keys.isEmpty)
                #expect(head.contains("content-type: application/json"))
            }
        }
    }

    @Test("The standard addresses are used where none is given")
    func standard() async throws {
        for (kind, authority) in [("ollama", "127.0.0.1:11434"), ("cohere", "api.cohere.com")] {
            let connector = FakeConnector(.json(kind == "ollama" ? Self.ollama : Self.cohere))
            let model = try makeModel(kind: kind) { $0.baseURL = nil }
            _ = try await model.answer(makeCall(connector, stream: false))
            #expect(connector.heads.first?.contains("host: \(authority)\r\n") == true)
        }
    }

    @Test("Models are listed")
    func models() async throws {
        var setup = ProviderSetup(name: "o", kind: "ollama")
        let tags = FakeConnector(.json(#"{"models":[{"name":"q:8b","model":"q:8b","size":1,"details":{}}]}"#))
        #expect(try await Registry.make(setup).discover(tags).map(\.id) == ["q:8b"])
        #expect(tags.heads[0].hasPrefix("GET /api/tags HTTP/1.1\r\n") && !tags.heads[0].contains("content-type"))
        setup.kind = "cohere"
        let list = FakeConnector(.json(#"{"models":[{"name":"command-a","endpoints":["chat"]}]}"#))
        #expect(try await Registry.make(setup).discover(list).map(\.id) == ["command-a"])
        #expect(list.heads[0].hasPrefix("GET /v1/models?endpoint=chat&page_size=1000 HTTP/1.1\r\n"))
    }

    @Test("What the configuration sets reaches the service in its own words, top_k too")
    func overrides() async throws {
        let connector = FakeConnector(.json(Self.ollama))
        let model = try makeModel(kind: "ollama") {
            $0.overrides = [
                FieldOverride(name: "keep_alive", json: #""10m""#, force: false),
                FieldOverride(name: "num_ctx", json: "8192", force: false),
                FieldOverride(name: "top_k", json: "20", force: true),
                FieldOverride(name: "max_tokens", json: "7", force: false),
            ]
        }
        _ = try await model.answer(makeCall(connector, stream: false))
        let body = try JSON.parse(try #require(connector.requests.first?.body))
        #expect(body["keep_alive"] == "10m" && body["stream"] == false && body["model"] == "m")
        let options = body["options"]
        #expect(options?["num_ctx"] == 8192 && options?["top_k"] == 20 && options?["num_predict"] == 7)
    }

    @Test("Cohere's key makes a provider of its own API, wherever the compatible one lives")
    func environment() throws {
        let found = Catalogue.environment([
            "CO_API_KEY": "c", "CO_BASE_URL": "https://proxy.example/compatibility/v1",
        ])
        #expect(found.map(\.kind) == ["cohere"] && found.map(\.name) == ["cohere"])
        _ = try Registry.make(try #require(found.first))
    }
}

@Suite("Recorded answers of the catalogue's vendors")
struct RecordedVendorTests {
    private static let kinds = [
        "cerebras": "cerebras", "dashscope": "dashscope-compatible", "deepseek": "deepseek",
        "gemini-openai-compat": "gemini-openai", "gpustack": "gpustack", "groq": "groq",
        "huggingface": "huggingface", "mistral": "mistral", "moonshot": "moonshot", "ollama": "ollama-openai",
        "openrouter": "openrouter", "perplexity": "perplexity", "together": "together", "writer": "writer",
        "xai": "xai", "xunfei-spark": "spark-http", "zai": "zai",
    ]

    private static func quirks(_ transcript: Transcript) -> Quirks? {
        let path = transcript.request.path
        guard path.contains("/chat/completions") || (transcript.provider == "writer" && path.contains("/chat")) else {
            return nil
        }
        return kinds[transcript.provider].flatMap { Catalogue.vendor($0)?.quirks }
    }

    private static func events(_ pieces: [[UInt8]], _ quirks: Quirks) throws -> [Event] {
        var decoder = OpenAIChat(quirks: quirks).makeStreamDecoder()
        var events: [Event] = []
        for piece in pieces { try decoder.push(ByteBuffer(bytes: piece), into: &events) }
        try decoder.finish(into: &events)
        return events
    }

    private static func response(_ events: [Event]) -> ChatResponse {
        var collector = ChatCollector()
        for event in events { collector.add(event) }
        return collector.response()
    }

    @Test("With the row's own quirks each is the same in any pieces, and again after it was written for a client")
    func replay() throws {
        var count = 0
        for transcript in try Transcript.recordings() {
            guard let quirks = Self.quirks(transcript), transcript.response.status == 200 else { continue }
            let body = transcript.response.body
            var events: [Event]
            if transcript.bodyKind == "sse" {
                if transcript.name.contains("error") { continue }
                events = try Self.events([body], quirks)
                for plan in [Splits.bytewise(forBytes: body.count)]
                    + (0..<8).map({ Splits.manyPart(forBytes: body.count, seed: $0) })
                {
                    #expect(try Self.events(plan.pieces(of: body), quirks) == events, "\(transcript) \(plan)")
                }
            } else {
                guard let whole = try? OpenAIChat(quirks: quirks).decodeWhole(ByteBuffer(bytes: body)) else { continue }
                events = EventReplay.events(of: whole)
            }
            let response = Self.response(events)
            var encoder = OpenAIChat().makeStreamEncoder(
                AnswerContext(id: "own", model: "asked", created: 9, includeUsage: true))
            var out = ByteBuffer()
            for event in events { encoder.push(event, into: &out) }
            encoder.finish(into: &out)
            let again = Self.response(try Self.events([Array(buffer: out)], Quirks()))
            #expect(again.choices == response.choices, "\(transcript)")
            #expect(again.usage == response.usage, "\(transcript)")
            count += 1
        }
        print("Vendors: \(count) recorded answers replayed")
    }
}
