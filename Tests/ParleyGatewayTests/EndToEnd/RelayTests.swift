// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import ParleyTestKit
import Testing

@testable import ParleyGateway

@Suite("Relaying chat completions")
struct RelayTests {
    @Test("A whole answer reaches the client byte for byte")
    func whole() async throws {
        try await GatewayUnderTest.run(scripts: [.json(Bodies.whole)]) { gateway, upstream in
            let answer = try await gateway.post(Bodies.chat())
            #expect(answer.status == 200)
            #expect(answer.text == Bodies.whole)
            #expect(answer["content-type"] == "application/json")
            #expect(answer["content-length"] == "\(Bodies.whole.utf8.count)")
            #expect(answer["x-parley-model"] == "m")
            #expect(answer["x-parley-upstream"] == "up/m")
            #expect(answer["x-parley-attempts"] == "1")
            let log = await upstream.requests()
            #expect(log.count == 1)
            #expect(log.first?.path == "/v1/chat/completions")
            #expect(log.first?.headers["authorization"] == "Bearer upstream-key")
        }
    }

    @Test("A stream reaches the client byte for byte when it asks for usage")
    func stream() async throws {
        let data = [
            "{\"a\": 1, \"choices\":[]}", Bodies.chunk("Hi"), Bodies.chunk("wörld 🌍"), Bodies.last, Bodies.usage,
        ]
        let script = Script(steps: [
            Bodies.streamHead, .write(": hello\n\nid: 1\nretry: 5\n" + Bodies.frames(data) + "data: [DONE]\n\n"),
        ])
        try await GatewayUnderTest.run(scripts: [script]) { gateway, upstream in
            let asking = Bodies.chat(stream: true, more: #","stream_options":{"include_usage":true}"#)
            let answer = try await gateway.post(asking)
            #expect(answer.status == 200)
            #expect(answer.text == ": hello\n\nid: 1\nretry: 5\n" + Bodies.frames(data) + "data: [DONE]\n\n")
            #expect(answer["content-type"] == "text/event-stream; charset=utf-8")
            #expect(answer["transfer-encoding"] == "chunked")
            #expect(answer["x-accel-buffering"] == "no")
            let log = await upstream.requests()
            #expect(log.first?.bodyText == asking)
        }
    }

    @Test("Usage is asked for upstream always, and its chunk left out unless the client asked")
    func usage() async throws {
        let data = [Bodies.chunk("Hi"), Bodies.last, Bodies.usage]
        try await GatewayUnderTest.run(scripts: [.stream(data)]) { gateway, upstream in
            let answer = try await gateway.post(Bodies.chat(stream: true))
            #expect(answer.text == Bodies.frames(Array(data.prefix(2))) + "data: [DONE]\n\n")
            let sent = try JSONSerialization.jsonObject(with: Data(await upstream.requests()[0].body)) as? [String: Any]
            #expect((sent?["stream_options"] as? [String: Any])?["include_usage"] as? Bool == true)
        }
    }

    @Test(
        "The upstream sees its own name of the model and every other byte as the client wrote it",
        arguments: [
            ("renamed", "deep/model-v1"), ("up/renamed", "deep/model-v1"), ("up/other", "other"), ("alias", "target"),
            ("gpt-9", "gpt-9"), ("route", "inner"),
        ])
    func names(asked: String, sent: String) async throws {
        var setup = GatewayUnderTest.Setup()
        setup.provider = ["models: {renamed: deep/model-v1, target: target, inner: inner, other: other, gpt-9: gpt-9}"]
        setup.models = [
            "renamed: up/renamed", "alias: up/target", #""gpt-*": up/gpt-*"#,
            "route: {route: fallback, of: [up/inner]}",
        ]
        try await GatewayUnderTest.run(setup) { gateway, upstream in
            let before = #"{ "messages" : [{"role":"user","content":"model\": \"x"}],  "model":"#
            let after = #" , "temperature":0.50, "n":1, "metadata":{"model":"not-this"} }"#
            let answer = try await gateway.post(before + "\"\(asked)\"" + after)
            #expect(answer.status == 200)
            let log = await upstream.requests()
            #expect(log.map(\.bodyText) == [before + "\"\(sent)\"" + after])
            #expect(answer["x-parley-model"] == asked)
        }
    }

    @Test("A request that names no model gets the default one, or the only one")
    func noModel() async throws {
        var setup = GatewayUnderTest.Setup()
        setup.defaults = ["model: up/standard"]
        try await GatewayUnderTest.run(setup) { gateway, upstream async throws in
            #expect(try await gateway.post(Bodies.chat(nil)).status == 200)
            #expect(await upstream.requests().map(\.model) == ["standard"])
        }
        setup.defaults = []
        setup.models = ["only: up/single"]
        try await GatewayUnderTest.run(setup) { gateway, upstream async throws in
            #expect(try await gateway.post(Bodies.chat(nil)).status == 200)
            #expect(await upstream.requests().map(\.model) == ["single"])
        }
        setup.models = ["one: up/a", "two: up/b"]
        try await GatewayUnderTest.run(setup) { gateway, _ in
            let answer = try await gateway.post(Bodies.chat(nil))
            #expect(answer.status == 400)
            #expect(answer.message.contains("one") && answer.message.contains("two"))
        }
    }

    @Test("An unknown model is a 404 that suggests the closest names")
    func unknownModel() async throws {
        var setup = GatewayUnderTest.Setup()
        setup.models = ["smart: up/a", "fast: up/b"]
        try await GatewayUnderTest.run(setup) { gateway, upstream in
            let answer = try await gateway.post(Bodies.chat("smrt"))
            #expect(answer.status == 404)
            #expect(answer.error["code"] as? String == "model_not_found")
            #expect(answer.message.contains("smart"))
            #expect(await upstream.requests().isEmpty)
        }
    }

    @Test("Params fill in what the client leaves out, and force overrides what it says")
    func overrides() async throws {
        var setup = GatewayUnderTest.Setup()
        setup.provider = ["params: {temperature: 0.8, top_p: 0.5}", "force: {user: parley}"]
        setup.keys = ["{name: test, key: \(GatewayUnderTest.key), params: {seed: 7}, force: {max_tokens: 5}}"]
        try await GatewayUnderTest.run(setup) { gateway, upstream in
            let more = #","temperature":0.1,"user":"me","max_tokens":1000"#
            #expect(try await gateway.post(Bodies.chat(more: more)).status == 200)
            let data = Data(await upstream.requests()[0].body)
            let sent = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
            #expect(sent["temperature"] as? Double == 0.1)
            #expect(sent["top_p"] as? Double == 0.5)
            #expect(sent["user"] as? String == "parley")
            #expect(sent["seed"] as? Int == 7)
            #expect(sent["max_tokens"] as? Int ?? sent["max_completion_tokens"] as? Int == 5)
        }
    }

    @Test("Limits and ids that the upstream states are passed on")
    func headers() async throws {
        let given = [
            "x-ratelimit-remaining-tokens": "17", "x-request-id": "req_up", "set-cookie": "a=b", "server": "x",
        ]
        try await GatewayUnderTest.run(scripts: [.json(Bodies.whole, headers: given)]) { gateway, _ in
            let answer = try await gateway.post(Bodies.chat(), headers: ["x-request-id: mine"])
            #expect(answer["x-ratelimit-remaining-tokens"] == "17")
            #expect(answer["x-upstream-request-id"] == "req_up")
            #expect(answer["x-request-id"] == "mine")
            #expect(answer["set-cookie"] == nil)
            #expect(answer["server"] != "x")
        }
    }

    @Test("An upstream's error answer keeps its status and its body", arguments: [false, true])
    func upstreamError(stream: Bool) async throws {
        let body = #"{"error":{"message":"Too long.","type":"invalid_request_error","param":"messages","code":"odd"}}"#
        try await GatewayUnderTest.run(scripts: [.json(body, status: 400)]) { gateway, _ in
            let answer = try await gateway.post(Bodies.chat(stream: stream))
            #expect(answer.status == 400)
            #expect(answer.text == body)
            #expect(answer["content-type"] == "application/json")
        }
    }

    @Test("A whole answer too large to be held passes through unchanged")
    func largeWhole() async throws {
        let body = Bodies.whole.replacing("Hi,", with: String(repeating: "word ", count: 800_000))
        try await GatewayUnderTest.run(scripts: [.json(body)]) { gateway, _ in
            let answer = try await gateway.post(Bodies.chat())
            #expect(answer.status == 200)
            #expect(answer.text == body)
        }
    }

    @Test("A request of 5 MB reaches the upstream unchanged")
    func largeRequest() async throws {
        try await GatewayUnderTest.run(scripts: [.json(Bodies.whole)]) { gateway, upstream async throws in
            let body = Bodies.chat(text: String(repeating: "wörd ", count: 1_000_000))
            #expect(try await gateway.post(body).status == 200)
            let log = await upstream.requests()
            #expect(log.first?.body == Array(body.utf8))
        }
    }
}
