// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire
import Testing

@testable import ParleyProviders

@Suite("Spark")
struct SparkProviderTests {
    private static let last = #"""
        {"header":{"code":0,"message":"Success","sid":"cht1","status":2},"payload":{"choices":{"status":2,"seq":0,
        "text":[{"content":"Hi","role":"assistant","index":0}]},
        "usage":{"text":{"question_tokens":1,"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}}}
        """#

    private static func model(
        _ id: String = "v3.5", base: String? = nil, keys: [String] = ["k1"],
        _ options: JSONObject = ["app_id": "app1", "api_secret": "s1"],
        _ change: (inout ProviderSetup) -> Void = { _ in }
    ) throws -> any Model {
        try makeModel(kind: "spark", keys: keys, id: id) {
            $0.baseURL = base
            $0.options.values = options
            change(&$0)
        }
    }

    @Test("The signed query is the one of the documentation")
    func vector() {
        let credential = SparkCredential(appID: "a", key: "MyAPIKey", secret: "MyAPISecret")
        // Fri, 05 May 2023 10:43:39 GMT
        let query = credential.query(host: "spark-api.xf-yun.com", path: "/v3.5/chat", at: 1_683_283_419)
        #expect(
            query
                == "authorization=YXBpX2tleT0iTXlBUElLZXkiLCBhbGdvcml0aG09ImhtYWMtc2hhMjU2IiwgaGVhZGVycz0iaG9zdCBkYXRlIH"
                + "JlcXVlc3QtbGluZSIsIHNpZ25hdHVyZT0iNW1xQnBBTGRBWUloeGpWRFhNNElEUUIzakxTTlJnaWRKV2NqTjNNWHV0Zz0i"
                + "&date=Fri%2C+05+May+2023+10%3A43%3A39+GMT&host=spark-api.xf-yun.com")
    }

    @Test("A host with a port is signed with it, and everything in the query is escaped")
    func port() {
        let credential = SparkCredential(appID: "a", key: "k", secret: "s")
        let query = credential.query(host: "127.0.0.1:8080", path: "/v1/x1", at: 0)
        #expect(query.hasSuffix("&date=Thu%2C+01+Jan+1970+00%3A00%3A00+GMT&host=127.0.0.1%3A8080"))
        #expect(!query.contains("=="))
    }

    @Test(
        "One connection, one frame with the application's id, and the frames up to the last", arguments: [true, false])
    func answer(stream: Bool) async throws {
        let connector = FakeConnector(.socket(Self.last, "never read"))
        let reply = try await Self.model().answer(makeCall(connector, stream: stream))
        #expect(try await text(of: reply).contains("Hi"))
        let head = try #require(connector.heads.first)
        #expect(head.hasPrefix("GET /v3.5/chat?authorization="))
        #expect(head.contains("\r\nhost: spark-api.xf-yun.com\r\n"))
        #expect(!head.contains("content-type") && !head.contains("\r\nauthorization"))
        #expect(connector.requests[0].endpoint.isSecure && connector.requests[0].endpoint.port == 443)
        let frame = try JSON.parse(try #require(connector.sent.first))
        #expect(frame["header"]?["app_id"] == "app1")
        #expect(frame["parameter"]?["chat"]?["domain"] == "generalv3.5")
        #expect(connector.sent.count == 1 && connector.closed == 1)
    }

    @Test("Addresses with and without TLS, and one with a path, which is for whatever model is asked for")
    func addresses() async throws {
        for (base, place, secure) in [
            ("ws://up.example:9000", "/v4.0/chat", false), ("wss://up.example:9000/", "/v4.0/chat", true),
            ("https://up.example:9000", "/v4.0/chat", true), ("ws://up.example:9000/v1.1/chat", "/v1.1/chat", false),
        ] {
            let connector = FakeConnector(.socket(Self.last))
            _ = try await Self.model("v4.0", base: base).answer(makeCall(connector, stream: false))
            let head = try #require(connector.heads.first)
            #expect(head.hasPrefix("GET \(place)?authorization="))
            #expect(head.contains("host=up.example%3A9000 HTTP/1.1\r\nhost: up.example:9000\r\n"))
            #expect(connector.requests[0].endpoint.isSecure == secure)
        }
        let tuned = FakeConnector(.socket(Self.last))
        let model = try Self.model("xtuned", base: "wss://maas.example/v1.1/chat") {
            $0.overrides = [FieldOverride(name: "patch_id", json: #"["p1"]"#, force: false)]
        }
        _ = try await model.answer(makeCall(tuned, stream: false))
        let frame = try JSON.parse(try #require(tuned.sent.first))
        #expect(frame["header"] == ["app_id": "app1", "patch_id": ["p1"]])
        #expect(frame["parameter"]?["chat"]?["domain"] == "xtuned")
        let unknown = try Self.model("v9")
        #expect(await thrown(by: unknown, makeCall(FakeConnector()))?.kind == .notFound)
        #expect(throws: ProviderError.self) { try Self.model(base: "ftp://up.example") }
    }

    @Test("Every connection is signed for itself")
    func signedEachTime() async throws {
        let connector = FakeConnector(.socket(Self.last), .socket(Self.last))
        let model = try Self.model()
        for _ in 0..<2 { _ = try await model.answer(makeCall(connector, stream: false)) }
        #expect(connector.requests.count == 2 && connector.closed == 2)
    }

    @Test("Credentials are lists of equal length that rotate together")
    func rotation() async throws {
        let connector = FakeConnector(.socket(Self.last), .socket(Self.last), .socket(Self.last))
        let model = try Self.model(
            keys: ["k1,k2", "k3"], ["app_id": ["a1", "a2", "a3"], "api_secret": "s1, s2,s3"])
        for _ in 0..<3 { _ = try await model.answer(makeCall(connector, stream: false)) }
        let ids = try connector.sent.map { try JSON.parse($0)["header"]?["app_id"]?.string }
        #expect(ids == ["a1", "a2", "a3"])
        for options: JSONObject in [
            ["app_id": "a1", "api_secret": ["s1", "s2"]], ["app_id": ["a1", "a2"], "api_secret": "s1"],
            ["app_id": "a1"], ["api_secret": "s1"], [:],
        ] {
            #expect(throws: ProviderError.self) { try Self.model(keys: ["k1", "k2"], options) }
        }
        #expect(throws: ProviderError.self) { try Self.model(keys: []) }
        #expect(throws: ProviderError.self) { try Self.model(keys: ["k\"1"]) }
    }

    @Test("A refused handshake is an error of its class, and no secret is in it")
    func refused() async throws {
        for (status, body, kind) in [
            (401, #"{"message":"HMAC signature does not match"}"#, ParleyError.Kind.unauthenticated),
            (403, #"{"message":"Your IP address is not allowed"}"#, .forbidden), (404, "not here", .notFound),
            (500, "", .upstreamUnavailable),
        ] {
            let connector = FakeConnector(.json(body, status: status))
            let model = try Self.model(keys: ["topsecret"], ["app_id": "a", "api_secret": "hush"])
            let error = try #require(await thrown(by: model, makeCall(connector)))
            #expect(error.kind == kind, "\(status)")
            #expect(!error.message.contains("topsecret") && !error.message.contains("hush"))
        }
    }

    @Test("A socket that closes, breaks or goes silent before the last frame is no clean end, and is closed")
    func cut() async throws {
        let first =
            #"{"header":{"code":0,"sid":"s","status":0},"payload":{"choices":{"status":0,"text":[{"content":"a"}]}}}"#
        for end: [FakeConnector.Read] in [
            [], [.failure(ParleyError(.upstreamUnavailable, "cut"))], [.failure(ParleyError(.timeout, "late"))],
        ] {
            let connector = FakeConnector(.init(reads: [.bytes(first)] + end, isSocket: true))
            let reply = try await Self.model().answer(makeCall(connector))
            guard case .client(let body) = reply.content else {
                Issue.record("no body")
                return
            }
            var out = ByteBuffer()
            #expect(await thrown(by: body, into: &out) != nil)
            #expect(String(buffer: out).contains("\"a\""))
            body.cancel()
            #expect(connector.closed == (end.isEmpty ? 0 : 1))
        }
    }

    @Test("Frames with line feeds between their members are read all the same")
    func pretty() async throws {
        let pretty = Self.last.replacing(",", with: ",\n ")
        let connector = FakeConnector(.socket(pretty))
        let reply = try await Self.model().answer(makeCall(connector, stream: false))
        #expect(try await text(of: reply).contains("Hi"))
    }

    @Test("The versions are known without asking, under the names of both ways")
    func list() async throws {
        var setup = ProviderSetup(name: "s", kind: "spark")
        setup.apiKeys = ["k"]
        setup.options.values = ["app_id": "a", "api_secret": "s"]
        setup.models = [.init("mine", "v3.5")]
        #expect(try Registry.make(setup).listedModels == ["mine"] + SparkModel.domains)
        setup.discover = false
        let closed = try Registry.make(setup)
        #expect(closed.listedModels == ["mine"] && closed.model("v3.5") == nil && closed.model("mine") != nil)
        setup.discover = true
        setup.options.values["transport"] = "http"
        #expect(try Registry.make(setup).listedModels?.contains("generalv2") == false)
    }

    @Test("Over HTTP the version is told by its domain, X1 at its own address, with the password or key and secret")
    func http() async throws {
        for (options, bearer): (JSONObject, String) in [
            (["transport": "http"], "k1"), (["transport": "http", "api_secret": "s1"], "k1:s1"),
        ] {
            for (id, domain, path) in [
                ("v3.5", "generalv3.5", "/v1/chat/completions"), ("4.0Ultra", "4.0Ultra", "/v1/chat/completions"),
                ("x1", "x1", "/v2/chat/completions"), ("mine", "lite", "/v1/chat/completions"),
            ] {
                for base in [nil, "http://up.example:9000", "http://up.example:9000/v1/"] {
                    let answer = #"{"code":0,"sid":"s","choices":[{"message":{"content":"Hi"}}]}"#
                    let connector = FakeConnector(.json(answer))
                    let model = try Self.model(id, base: base, options) { $0.models = [.init("mine", "lite")] }
                    let reply = try await model.answer(makeCall(connector, stream: false))
                    let said = try JSON.parse(try await text(of: reply))
                    #expect(said["choices"]?.array?.first?["finish_reason"] == "stop")
                    let head = try #require(connector.heads.first)
                    #expect(head.hasPrefix("POST \(path) HTTP/1.1\r\n"))
                    #expect(head.contains("authorization: Bearer \(bearer)\r\n"))
                    let body = try JSON.parse(try #require(connector.bodies.first))
                    #expect(body["model"]?.string == domain && body["tool_calls_switch"] == true)
                }
            }
        }
        #expect(throws: ProviderError.self) {
            try Self.model(keys: ["k1", "k2"], ["transport": "http", "api_secret": "s1"])
        }
    }
}
