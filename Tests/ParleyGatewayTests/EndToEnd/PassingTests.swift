// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOHTTP1
import ParleyTestKit
import Testing

@testable import ParleyGateway

@Suite("Requests that are passed on")
struct PassingTests {
    private static let body = #"{ "input":"x", "model" : "scribe","nested":{"model":"scribe"},"n":1.50}"#

    private static var setup: GatewayUnderTest.Setup {
        var setup = GatewayUnderTest.Setup()
        setup.models = ["scribe: up/whisper-1", #""*": up/*"#]
        return setup
    }

    private static func two(_ keys: [String]? = nil) -> GatewayUnderTest.Setup {
        var setup = Self.setup
        setup.providers = ["other: {kind: openai-compatible, base_url: \"http://127.0.0.1:9/v1\", discover: false}"]
        if let keys { setup.keys = keys }
        return setup
    }

    @Test(
        "Only the model's name changes, whatever the path",
        arguments: [
            ("/v1/moderations", "/v1/moderations"), ("/moderations", "/v1/moderations"),
            ("/v1/images/generations", "/v1/images/generations"), ("/v1/images/edits", "/v1/images/edits"),
            ("/v1/audio/speech", "/v1/audio/speech"), ("/v1/rerank", "/v1/rerank"), ("/v2/rerank", "/v1/rerank"),
            ("/rerank?a=b&key=k&api_key=k&c", "/v1/rerank?a=b&c"),
        ])
    func paths(asked: String, upstreamPath: String) async throws {
        let script = Script.json(#"{ "ok" : 1 }"#, headers: ["x-ratelimit-remaining-requests": "5"])
        try await GatewayUnderTest.run(Self.setup, scripts: [script]) { gateway, upstream async throws in
            let answer = try await gateway.post(Self.body, path: asked)
            #expect(answer.status == 200)
            #expect(answer.text == #"{ "ok" : 1 }"#)
            #expect(answer["x-ratelimit-remaining-requests"] == "5")
            #expect(answer["x-parley-upstream"] == "up/whisper-1")
            let seen = try #require(await upstream.requests().first)
            #expect(seen.path == upstreamPath)
            #expect(seen.bodyText == Self.body.replacing(#""model" : "scribe""#, with: #""model" : "whisper-1""#))
            #expect(seen.headers["content-type"] == "application/json")
        }
    }

    @Test("Nothing that the client signs in with reaches the upstream")
    func credentials() async throws {
        try await GatewayUnderTest.run(Self.setup, scripts: [.json("{}")]) { gateway, upstream async throws in
            let headers = ["x-api-key: secret-1", "x-goog-api-key: secret-2", "cookie: secret-3", "x-other: secret-4"]
            _ = try await gateway.post(Self.body, path: "/v1/moderations?key=secret-5", headers: headers)
            let seen = try #require(await upstream.requests().first)
            #expect(seen.headers["authorization"] == "Bearer upstream-key")
            let all = seen.path + seen.headers.map { "\($0): \($1)" }.joined() + seen.bodyText
            #expect(!all.contains("secret") && !all.contains(GatewayUnderTest.key))
        }
    }

    @Test("Answers of any type pass byte for byte, with their length or without", arguments: [true, false])
    func binary(isSized: Bool) async throws {
        let bytes = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        let headers = ["content-type": "audio/mpeg", "content-disposition": "attachment; filename=\"a.mp3\""]
        let script = Script(steps: [
            .head(.init(200, headers: headers, framing: isSized ? .length : .chunked)), .writeBytes(bytes),
        ])
        try await GatewayUnderTest.run(Self.setup, scripts: [script]) { gateway, _ async throws in
            let answer = try await gateway.post(Self.body, path: "/v1/audio/speech")
            #expect(answer.body == bytes)
            #expect(answer["content-type"] == "audio/mpeg")
            #expect(answer["content-length"] == (isSized ? "300000" : nil))
            #expect(answer["content-disposition"] == headers["content-disposition"])
        }
    }

    @Test("Audio reaches the client as it is made")
    func streamed() async throws {
        let steps: [Script.Step] = [.head(.init(200, headers: ["content-type": "audio/pcm"])), .write("first"), .hang]
        try await GatewayUnderTest.run(Self.setup, scripts: [Script(steps: steps)]) { gateway, upstream async throws in
            let client = try await gateway.connect()
            try await client.send(RawClient.post(Self.body, path: "/v1/audio/speech"))
            try await client.waitForBody("first")
            client.close()
            try await upstream.waitForRequest(toBe: .clientClosed)
            try await gateway.waitForRunning(0)
        }
    }

    @Test("An answer that is cut is cut for the client, too", arguments: [true, false])
    func cut(isSized: Bool) async throws {
        let framing = isSized ? Script.Framing.declaredLength(1_000) : .chunked
        let steps: [Script.Step] = [
            .head(.init(200, headers: ["content-type": "audio/pcm"], framing: framing)), .write("first"),
            .sleep(milliseconds: 50), .cut(.fin),
        ]
        try await GatewayUnderTest.run(Self.setup, scripts: [Script(steps: steps)]) { gateway, _ async throws in
            let client = try await gateway.connect()
            try await client.send(RawClient.post(Self.body, path: "/v1/audio/speech"))
            try await client.waitForClose()
            #expect(client.received.answers.isEmpty)
            #expect(client.received.current.text == "first")
        }
    }

    @Test("An upstream's refusal keeps its status and its words", arguments: [400, 404, 413, 429])
    func refusals(status: Int) async throws {
        let error = #"{"error":{"message":"Not so.","type":"invalid_request_error","param":"input","code":"no"}}"#
        let script = Script.json(error, status: status, headers: ["retry-after": "7"])
        try await GatewayUnderTest.run(Self.setup, scripts: [script]) { gateway, _ async throws in
            let answer = try await gateway.post(Self.body, path: "/v1/moderations")
            #expect(answer.status == status)
            #expect(answer.message.contains("Not so."))
            if status == 429 { #expect(answer["retry-after"] == "7") }
        }
    }

    @Test("A held request is tried again, and moves on along a route")
    func retried() async throws {
        var setup = Self.setup
        setup.models = ["scribe: {route: fallback, of: [up/a, up/whisper-1], retry: {attempts: 2, backoff: 1ms}}"]
        let scripts = [
            Script.json("{}", status: 500, match: .init(model: "a")),
            Script.json(#"{"done":true}"#, match: .init(model: "whisper-1")),
        ]
        try await GatewayUnderTest.run(setup, scripts: scripts) { gateway, upstream async throws in
            let answer = try await gateway.post(Self.body, path: "/v1/moderations")
            #expect(answer.text == #"{"done":true}"#)
            #expect(await upstream.requests().map(\.model) == ["a", "a", "whisper-1"])
        }
    }

    @Test(
        "Unknown paths below are a 404",
        arguments: [
            "/v1/images", "/v1/images/x", "/v1/audio/speech/x", "/v1/files/a/b", "/v1/files/../models",
            "/v1/batches/a/b",
            "/v1/files/a/content/b", "/v1/moderations/x", "/v2/moderations", "/v1/files/%2e%2e/content",
        ])
    func unknown(path: String) async throws {
        try await GatewayUnderTest.run(Self.setup) { gateway, upstream async throws in
            #expect(try await gateway.get(path).status == 404)
            #expect(await upstream.requests().isEmpty)
        }
    }

    @Test(
        "Wrong methods are a 405 that names the right ones",
        arguments: [
            ("/v1/moderations", "GET", "POST"), ("/v1/files", "DELETE", "GET, POST"),
            ("/v1/files/f", "POST", "GET, DELETE"),
            ("/v1/files/f/content", "DELETE", "GET"), ("/v1/batches/b/cancel", "GET", "POST"),
            ("/v1/rerank", "PUT", "POST"),
        ])
    func methods(path: String, method: String, allowed: String) async throws {
        try await GatewayUnderTest.run(Self.setup) { gateway, _ async throws in
            let answer = try await gateway.get(path, method: method)
            #expect(answer.status == 405)
            #expect(answer["allow"] == allowed)
            #expect(answer.error["code"] as? String == "method_not_allowed")
        }
    }

    @Test(
        "Files and batches go to the only provider there is",
        arguments: [
            ("GET", "/v1/files?purpose=batch&limit=3"), ("GET", "/v1/files/file-1"),
            ("GET", "/v1/files/file-1/content"),
            ("DELETE", "/v1/files/file-1"), ("GET", "/v1/batches"), ("GET", "/v1/batches/b_1"),
            ("POST", "/v1/batches/b_1/cancel"),
        ])
    func stored(method: String, path: String) async throws {
        try await GatewayUnderTest.run(Self.setup, scripts: [.json("{}")]) { gateway, upstream async throws in
            let headers = method == "POST" ? ["content-length: 0"] : []
            let answer = try await gateway.get(path, method: method, headers: headers)
            #expect(answer.status == 200)
            #expect(answer["x-parley-upstream"] == "up")
            let seen = try #require(await upstream.requests().first)
            #expect(seen.method == method)
            #expect(seen.path == path)
            #expect(seen.headers["content-length"] == (method == "POST" ? "0" : nil))
        }
    }

    @Test("A batch's body stays as it is, the word model in it included")
    func batch() async throws {
        let body = #"{"input_file_id":"file-1","endpoint":"/v1/chat/completions","model":"scribe"}"#
        try await GatewayUnderTest.run(Self.setup, scripts: [.json("{}")]) { gateway, upstream async throws in
            #expect(try await gateway.post(body, path: "/v1/batches").status == 200)
            #expect(await upstream.requests().first?.bodyText == body)
        }
    }

    @Test("Where several providers have it the request must choose")
    func ambiguous() async throws {
        try await GatewayUnderTest.run(Self.two(), scripts: [.json("{}")]) { gateway, upstream async throws in
            let open = try await gateway.get("/v1/files")
            #expect(open.status == 400)
            #expect(open.message.contains("up, other"))
            #expect(open.error["code"] as? String == "provider_ambiguous")
            #expect(try await gateway.get("/v1/files?provider=none").status == 404)
            #expect(try await gateway.get("/v1/files?provider=up&limit=2").status == 200)
            #expect(try await gateway.get("/v1/files", headers: ["x-parley-provider: up"]).status == 200)
            #expect(try await gateway.get("/v1/files", headers: ["x-parley-model: scribe"]).status == 200)
            #expect(await upstream.requests().map(\.path) == ["/v1/files?limit=2", "/v1/files", "/v1/files"])
        }
    }

    @Test("A key for some models reaches no files, and nothing that names no model")
    func restricted() async throws {
        let rules = ["models: [scribe]", "models: [\"up/whisper-*\", scribe]", "model: scribe"]
        for rule in rules {
            let keys = ["{name: test, key: \(GatewayUnderTest.key), \(rule)}"]
            try await GatewayUnderTest.run(Self.two(keys), scripts: [.json("{}")]) { gateway, upstream async throws in
                for path in ["/v1/files?provider=up", "/v1/batches?provider=up"] {
                    #expect(try await gateway.get(path).status == 403, "\(rule) \(path)")
                    #expect(try await gateway.get(path, headers: ["x-parley-model: scribe"]).status == 403)
                }
                let answer = try await gateway.post(#"{"input":"x"}"#, path: "/v1/moderations?provider=up")
                #expect(answer.status == (rule.hasPrefix("model:") ? 200 : 403))
                #expect(try await gateway.post(Self.body, path: "/v1/moderations").status == 200)
                #expect(await upstream.requests().allSatisfy { $0.model == "whisper-1" })
            }
        }
        let keys = ["{name: test, key: \(GatewayUnderTest.key), models: [\"up/*\"]}"]
        try await GatewayUnderTest.run(Self.two(keys), scripts: [.json("{}")]) { gateway, _ async throws in
            #expect(try await gateway.get("/v1/files?provider=up").status == 200)
            #expect(try await gateway.get("/v1/files?provider=other").status == 403)
        }
    }

    @Test("A model whose provider has no such thing says so")
    func notOffered() async throws {
        var setup = Self.setup
        setup.providers = ["toy: {kind: demo}"]
        try await GatewayUnderTest.run(setup) { gateway, upstream async throws in
            let answer = try await gateway.post(#"{"input":"x","model":"toy/demo"}"#, path: "/v1/moderations")
            #expect(answer.status == 404)
            #expect(answer.error["code"] as? String == "unsupported_operation")
            #expect(await upstream.requests().isEmpty)
        }
    }

    @Test("A body that is no JSON object goes nowhere", arguments: ["[1]", "{", #"{"model":1}"#])
    func malformed(body: String) async throws {
        try await GatewayUnderTest.run(Self.setup) { gateway, upstream async throws in
            #expect(try await gateway.post(body, path: "/v1/moderations").status == 400)
            #expect(await upstream.requests().isEmpty)
        }
    }

    @Test("JSON bodies have the usual limit")
    func tooLarge() async throws {
        var setup = Self.setup
        setup.server = ["body_limit: 1KB"]
        try await GatewayUnderTest.run(setup) { gateway, upstream async throws in
            let body = #"{"model":"scribe","input":"\#(String(repeating: "x", count: 2_000))"}"#
            #expect(try await gateway.post(body, path: "/v1/moderations").status == 413)
            #expect(await upstream.requests().isEmpty)
        }
    }

    @Test(
        "A request without a key is refused on every path",
        arguments: [
            ("POST", "/v1/moderations"), ("GET", "/v1/files"), ("GET", "/v1/batches/b"), ("POST", "/v1/audio/speech"),
        ])
    func withoutKey(method: String, path: String) async throws {
        try await GatewayUnderTest.run(Self.setup) { gateway, upstream async throws in
            let headers = ["authorization: -"] + (method == "POST" ? ["content-length: 0"] : [])
            #expect(try await gateway.get(path, method: method, headers: headers).status == 401)
            #expect(await upstream.requests().isEmpty)
        }
    }
}
