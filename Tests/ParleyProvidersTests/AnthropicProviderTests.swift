// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire
import Testing

@testable import ParleyProviders

@Suite("Anthropic's own API")
struct AnthropicProviderTests {
    private static let answer =
        #"{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"Hi"}],"#
        + #""stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":1}}"#

    private static func call(_ connector: FakeConnector, operation: Call.Operation = .chat) -> Call {
        var call = makeCall(connector, stream: false)
        call.dialect = .anthropic
        call.operation = operation
        call.body = ByteBuffer(
            string: #"{"model":"a/m","max_tokens":5,"messages":[{"role":"user","content":"Hi"}],"x":1.50}"#)
        return call
    }

    @Test(
        "The address is read as people write it",
        arguments: ["http://h", "http://h/", "http://h/v1", "http://h/v1/messages", "http://h/v1/"])
    func addresses(url: String) async throws {
        let connector = FakeConnector(.json(Self.answer))
        let model = try makeModel(kind: "anthropic") { $0.baseURL = url }
        _ = try await model.answer(Self.call(connector))
        #expect(connector.heads[0].hasPrefix("POST /v1/messages HTTP/1.1\r\nhost: h\r\n"))
    }

    @Test("A key goes as x-api-key with the version; betas of both sides are one header")
    func headers() async throws {
        let connector = FakeConnector(.json(Self.answer))
        let model = try makeModel(kind: "anthropic") {
            $0.options.values = ["beta": ["one", "two"], "version": "2099-01-01"]
            $0.headers = [HeaderField("Anthropic-Beta", "three")]
        }
        var call = Self.call(connector)
        call.headers = [HeaderField("anthropic-beta", "two, four"), HeaderField("openai-beta", "x")]
        _ = try await model.answer(call)
        let head = connector.heads[0]
        #expect(head.contains("x-api-key: k1\r\n") && !head.contains("authorization"))
        #expect(head.contains("anthropic-version: 2099-01-01\r\n"))
        #expect(head.contains("anthropic-beta: one,two,three,four\r\n"))
        #expect(head.components(separatedBy: "anthropic-beta").count == 2 && !head.contains("openai-beta"))
    }

    @Test("A token of a sign-in is a bearer's")
    func token() async throws {
        let connector = FakeConnector(.json(Self.answer))
        let model = try makeModel(kind: "anthropic", keys: ["sk-ant-oat01-x"])
        _ = try await model.answer(Self.call(connector))
        let head = connector.heads[0]
        #expect(head.contains("authorization: Bearer sk-ant-oat01-x\r\n") && !head.contains("x-api-key"))
        #expect(head.contains("anthropic-beta: oauth-2025-04-20\r\n"))
        #expect(head.contains("anthropic-version: 2023-06-01\r\n"))
    }

    @Test("A client of the same dialect is relayed, both ways")
    func relay() async throws {
        let script = FakeConnector.Script.json(
            Self.answer, headers: [("request-id", "req_9"), ("anthropic-ratelimit-tokens-limit", "5")])
        let connector = FakeConnector(script)
        let reply = try await makeModel(kind: "anthropic").answer(Self.call(connector))
        #expect(
            connector.bodies[0]
                == #"{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"Hi"}],"x":1.50}"#)
        #expect(try await text(of: reply) == Self.answer)
        #expect(
            reply.headers == [
                HeaderField("request-id", "req_9"), HeaderField("anthropic-ratelimit-tokens-limit", "5"),
            ])
    }

    @Test("A client of another dialect is translated, both ways")
    func translation() async throws {
        let connector = FakeConnector(.json(Self.answer))
        let reply = try await makeModel(kind: "anthropic") {
            $0.overrides = [FieldOverride(name: "max_tokens", json: "77", force: false)]
        }.answer(makeCall(connector, stream: false))
        let sent = try JSON.parse(connector.bodies[0])
        #expect(sent["max_tokens"] == 77 && sent["stream"] == nil && sent["model"] == "m")
        let answer = try JSON.parse(try await text(of: reply))
        #expect(answer["choices"]?.array?[0]["message"]?["content"] == "Hi")
        #expect(answer["usage"]?["prompt_tokens"] == 3)
    }

    @Test("Tokens are counted at their own path, without the configuration's fields")
    func counting() async throws {
        let connector = FakeConnector(.json(#"{"input_tokens":9}"#))
        let model = try makeModel(kind: "anthropic") {
            $0.overrides = [FieldOverride(name: "temperature", json: "1", force: true)]
        }
        let reply = try await model.answer(Self.call(connector, operation: .countTokens))
        #expect(try await text(of: reply) == #"{"input_tokens":9}"#)
        try #require(connector.heads.count == 1)
        #expect(connector.heads[0].hasPrefix("POST /v1/messages/count_tokens HTTP/1.1\r\n"))
        #expect(connector.heads[0].contains("x-api-key: k1\r\n"))
        #expect(!connector.bodies[0].contains("temperature"))
        let embed = await thrown(by: model, Self.call(FakeConnector(), operation: .embed))
        #expect(embed?.kind == .invalid)
    }

    @Test("The list is read page by page")
    func pages() async throws {
        let connector = FakeConnector(
            .json(
                #"{"data":[{"type":"model","id":"a b","created_at":"2025-02-19T21:20:00Z"}],"has_more":true,"#
                    + #""first_id":"a b","last_id":"a b"}"#),
            .json(#"{"data":[{"type":"model","id":"c"}],"has_more":true,"last_id":"c"}"#),
            .json(#"{"data":[{"type":"model","id":"c"}],"has_more":true,"last_id":"c"}"#))
        var setup = ProviderSetup(name: "p", kind: "anthropic")
        setup.apiKeys = ["k"]
        let listed = try await Registry.make(setup).discover(connector)
        #expect(
            listed == [
                ListedModel(id: "a b", created: 1_740_000_000, ownedBy: "anthropic"),
                ListedModel(id: "c", ownedBy: "anthropic"),
            ])
        #expect(connector.heads[0].hasPrefix("GET /v1/models?limit=1000 HTTP/1.1\r\nhost: api.anthropic.com\r\n"))
        #expect(connector.heads[1].hasPrefix("GET /v1/models?limit=1000&after_id=a%20b HTTP/1.1\r\n"))
        #expect(connector.heads.count == 3)
        let broken = try Registry.make(setup)
        for script in [FakeConnector.Script.json("{}"), .json("<html>"), .json("{}", status: 401)] {
            #expect(await thrown(by: broken, FakeConnector(script)) != nil)
        }
    }

    @Test("The environment's variables are those of Anthropic's SDK")
    func environment() throws {
        let key = Catalogue.environment(["ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "http://b"])
        #expect(key.map(\.kind) == ["anthropic"] && key[0].apiKeys == ["k"] && key[0].baseURL == "http://b")
        let token = Catalogue.environment(["ANTHROPIC_AUTH_TOKEN": "sk-ant-oat01-x"])
        #expect(token[0].apiKeys == ["sk-ant-oat01-x"])
        let other = Catalogue.environment(["ANTHROPIC_AUTH_TOKEN": "mine"])
        #expect(other[0].apiKeys.isEmpty && other[0].headers == [HeaderField("authorization", "Bearer mine")])
        #expect(Catalogue.environment(["ANTHROPIC_BASE_URL": "http://b"]).isEmpty)
    }

    @Test("Settings that no header can have are refused")
    func settings() {
        for (name, value) in [("version", "a\nb"), ("beta", "a\u{7}b")] {
            var setup = ProviderSetup(name: "p", kind: "anthropic")
            setup.options.values[name] = .string(value)
            #expect(throws: ProviderError.self) { try Registry.make(setup) }
        }
    }
}
