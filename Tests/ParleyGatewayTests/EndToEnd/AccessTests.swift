// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyTestKit
import Testing

@testable import ParleyGateway

@Suite("Keys and paths")
struct AccessTests {
    @Test(
        "A missing, wrong or expired key is a 401 and nothing goes upstream",
        arguments: [
            ("authorization: -", "missing_api_key"), ("authorization: Bearer sk-wrong", "invalid_api_key"),
            ("authorization: Bearer ", "invalid_api_key"),
            ("authorization: Bearer sk-parley-old-key-0123456789", "invalid_api_key"),
            ("authorization: Basic c2stcGFybGV5", "invalid_api_key"),
        ])
    func unauthenticated(header: String, code: String) async throws {
        var setup = GatewayUnderTest.Setup()
        setup.keys.append("{name: old, key: sk-parley-old-key-0123456789, expires: 2020-01-01}")
        try await GatewayUnderTest.run(setup) { gateway, upstream in
            let answer = try await gateway.post(Bodies.chat(), headers: [header])
            #expect(answer.status == 401)
            #expect(answer.error["code"] as? String == code)
            #expect(answer.error["type"] as? String == "invalid_request_error")
            #expect(!answer.text.contains("sk-"))
            #expect(await upstream.requests().isEmpty)
        }
    }

    @Test(
        "A key is taken from each header that clients use",
        arguments: ["authorization: bearer", "authorization: BEARER", "x-api-key:", "x-goog-api-key:"])
    func headers(start: String) async throws {
        try await GatewayUnderTest.run { gateway, _ in
            let without = start.hasPrefix("x") ? ["authorization: -"] : []
            let answer = try await gateway.post(
                Bodies.chat(), headers: without + ["\(start) \(GatewayUnderTest.key)"])
            #expect(answer.status == 200)
        }
    }

    @Test("A key may use only the models of its list, which is all that it sees")
    func allowList() async throws {
        var setup = GatewayUnderTest.Setup()
        setup.models = ["fast: up/a", "smart: up/b", "gpt-1: up/c"]
        setup.keys = ["{name: test, key: \(GatewayUnderTest.key), models: [fast, \"gpt-*\"]}"]
        try await GatewayUnderTest.run(setup) { gateway, upstream in
            #expect(try await gateway.post(Bodies.chat("fast")).status == 200)
            #expect(try await gateway.post(Bodies.chat("gpt-1")).status == 200)
            for name in ["smart", "up/a", "nothing"] {
                let answer = try await gateway.post(Bodies.chat(name))
                #expect(answer.status == 403)
                #expect(answer.error["type"] as? String == "permission_error")
            }
            #expect(await upstream.requests().map(\.model) == ["a", "c"])
            let list = try await gateway.get("/v1/models")
            let ids = (list.json["data"] as? [[String: Any]] ?? []).compactMap { $0["id"] as? String }
            #expect(ids == ["fast", "gpt-1"])
            #expect(try await gateway.get("/v1/models/fast").status == 200)
            #expect(try await gateway.get("/v1/models/smart").status == 403)
        }
    }

    @Test("A key with a model of its own gets that one whatever it asks for")
    func forcedModel() async throws {
        var setup = GatewayUnderTest.Setup()
        setup.models = ["fast: up/a", "smart: up/b"]
        setup.keys = ["{name: test, key: \(GatewayUnderTest.key), model: fast}"]
        try await GatewayUnderTest.run(setup) { gateway, upstream in
            for asked in ["smart", "nothing", nil] {
                let answer = try await gateway.post(Bodies.chat(asked))
                #expect(answer.status == 200)
                #expect(answer["x-parley-model"] == "fast")
            }
            #expect(await upstream.requests().map(\.model) == ["a", "a", "a"])
        }
    }

    @Test("A * in a key's model is the name that the client asks for, and `models` still says which")
    func openForcedModel() async throws {
        var setup = GatewayUnderTest.Setup()
        setup.models = ["team/fast: up/a", "team/smart: up/b", "fast: up/c"]
        setup.keys = ["{name: test, key: \(GatewayUnderTest.key), model: team/*, models: [team/fast, team/gone]}"]
        try await GatewayUnderTest.run(setup) { gateway, upstream in
            let answer = try await gateway.post(Bodies.chat("fast"))
            #expect(answer.status == 200 && answer["x-parley-model"] == "team/fast")
            #expect(await upstream.requests().map(\.model) == ["a"])
            #expect(try await gateway.post(Bodies.chat("smart")).status == 403)
            #expect(try await gateway.post(Bodies.chat("gone")).status == 404)
            #expect(try await gateway.post(Bodies.chat(nil)).status == 400)
            let list = try await gateway.get("/v1/models")
            let ids = (list.json["data"] as? [[String: Any]] ?? []).compactMap { $0["id"] as? String }
            #expect(ids == ["fast"])
            #expect(try await gateway.get("/v1/models/fast").status == 200)
            #expect(try await gateway.get("/v1/models/smart").status == 403)
        }
    }

    @Test("A client's own request id is kept")
    func keptID() async throws {
        try await GatewayUnderTest.run { gateway, _ async throws in
            #expect(
                try await gateway.get("/health", headers: ["x-request-id: my-id.1:2"])["x-request-id"] == "my-id.1:2")
            #expect(try await gateway.get("/nowhere", headers: ["x-request-id: a"])["x-request-id"] == "a")
        }
    }

    @Test(
        "An id that is missing or cannot be used is made, another one each time",
        arguments: ["", "with space", "ü", String(repeating: "x", count: 129)])
    func madeID(own: String) async throws {
        try await GatewayUnderTest.run { gateway, _ in
            var ids: Set<String> = []
            for path in ["/health", "/v1/models", "/nowhere"] {
                let answer = try await gateway.get(path, headers: own.isEmpty ? [] : ["x-request-id: \(own)"])
                let id = try #require(answer["x-request-id"])
                #expect(id.hasPrefix("req_") && id.utf8.count == 28)
                ids.insert(id)
            }
            #expect(ids.count == 3)
        }
    }

    @Test("An unknown path is a 404 and a wrong method a 405 that names the right ones")
    func pathsAndMethods() async throws {
        try await GatewayUnderTest.run { gateway, _ in
            for path in ["/", "/v2/chat/completions", "/v1/chat/completions/x", "/v1"] {
                let answer = try await gateway.get(path)
                #expect(answer.status == 404)
                #expect(answer.error["code"] as? String == "unknown_url")
            }
            let wrong = try await gateway.get("/v1/chat/completions")
            #expect(wrong.status == 405)
            #expect(wrong["allow"] == "POST")
            #expect(wrong.error["type"] as? String == "invalid_request_error")
            let post = try await gateway.post("{}", path: "/v1/models")
            #expect(post.status == 405)
            #expect(post["allow"] == "GET, HEAD")
            let head = try await gateway.get("/v1/chat/completions", method: "HEAD")
            #expect(head.status == 405 && head.body.isEmpty)
            #expect(try await gateway.get("/health", method: "BREW").status >= 400)
        }
    }

    @Test("Chat works with and without /v1 in front, and in absolute form")
    func targets() async throws {
        try await GatewayUnderTest.run { gateway, _ async throws in
            for path in [
                "/chat/completions", "/v1/chat/completions?x=1", "http://gateway/v1/chat/completions",
                "https://gateway:1/chat/completions",
            ] {
                #expect(try await gateway.post(Bodies.chat(), path: path).status == 200)
            }
        }
    }

    @Test("HEAD has the headers of GET and no body, and the connection goes on")
    func head() async throws {
        try await GatewayUnderTest.run { gateway, _ in
            let whole = try await gateway.get("/v1/models")
            let client = try await gateway.connect()
            client.expectNoBody()
            try await client.send(
                RawClient.get("/v1/models", method: "HEAD") + RawClient.get("/health"))
            let head = try await client.answer()
            #expect(head.status == 200)
            #expect(head["content-length"] == whole["content-length"])
            let next = try await client.answer()
            #expect(next.json["status"] as? String == "ok")
        }
    }

    @Test("A browser's page of an allowed origin may call, one of another may not")
    func crossOrigin() async throws {
        var setup = GatewayUnderTest.Setup()
        setup.server = [#"cors: ["https://app.example.com"]"#]
        try await GatewayUnderTest.run(setup) { gateway, _ in
            let asking = [
                "authorization: -", "access-control-request-method: POST",
                "access-control-request-headers: authorization,x-custom",
            ]
            let allowed = try await gateway.get(
                "/v1/chat/completions", method: "OPTIONS", headers: asking + ["origin: https://app.example.com"])
            #expect(allowed.status == 204)
            #expect(allowed["access-control-allow-origin"] == "https://app.example.com")
            #expect(allowed["access-control-allow-methods"]?.contains("POST") == true)
            #expect(allowed["access-control-allow-headers"] == "authorization,x-custom")
            #expect(allowed["vary"] == "origin")
            let other = try await gateway.get(
                "/v1/chat/completions", method: "OPTIONS", headers: asking + ["origin: https://evil.example"])
            #expect(other["access-control-allow-origin"] == nil)

            let origin = ["origin: https://app.example.com"]
            let good = try await gateway.post(Bodies.chat(), headers: origin)
            #expect(good["access-control-allow-origin"] == "https://app.example.com")
            #expect(good["access-control-expose-headers"]?.contains("x-request-id") == true)
            let stream = try await gateway.post(Bodies.chat(stream: true), headers: origin)
            #expect(stream["access-control-allow-origin"] == "https://app.example.com")
            // Errors too, or the page cannot read why.
            let failed = try await gateway.post(Bodies.chat(), headers: origin + ["authorization: Bearer no"])
            #expect(failed.status == 401)
            #expect(failed["access-control-allow-origin"] == "https://app.example.com")
        }
    }

    @Test("Without cors there are no such headers, and with * any origin is allowed")
    func crossOriginOpen() async throws {
        try await GatewayUnderTest.run { gateway, _ in
            let answer = try await gateway.get("/health", headers: ["origin: https://a.example"])
            #expect(!answer.headers.contains { $0.name.hasPrefix("access-control") })
        }
        var setup = GatewayUnderTest.Setup()
        setup.server = [#"cors: ["*"]"#]
        try await GatewayUnderTest.run(setup) { gateway, _ in
            let answer = try await gateway.get("/health", headers: ["origin: https://a.example"])
            #expect(answer["access-control-allow-origin"] == "*")
        }
    }

    @Test("Health needs no key")
    func health() async throws {
        try await GatewayUnderTest.run { gateway, _ in
            for path in ["/health", "/health/live", "/health/ready", "/v1/health"] {
                let answer = try await gateway.get(path, headers: ["authorization: -"])
                #expect(answer.status == 200)
                #expect(answer.json["status"] as? String == "ok")
            }
        }
    }
}
