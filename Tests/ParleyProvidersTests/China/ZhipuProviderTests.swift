// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Crypto
import Foundation
import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire
import Synchronization
import Testing

@testable import ParleyProviders

/// Answers of Zhipu's that only tests know.
private enum GLM {
    static let whole = FakeConnector.Script.json(
        #"{"code":200,"msg":"ok","success":true,"data":{"request_id":"r1","task_status":"SUCCESS","#
            + #""choices":[{"role":"assistant","content":"Hi"}],"usage":{"prompt_tokens":3,"completion_tokens":1}}}"#)
    static let stream = FakeConnector.Script.stream(
        "event:add\nid:1\ndata:Hi\n\nevent:finish\nid:1\ndata:\nmeta:{\"usage\":{\"prompt_tokens\":3}}\n\n")
    static let expired = FakeConnector.Script.json(#"{"code":1003,"msg":"expired","success":false}"#)

    static func model(
        _ api: String, keys: [String] = ["abc.s3cret"], id: String = "chatglm_turbo",
        _ change: (inout ProviderSetup) -> Void = { _ in }
    ) throws -> any Model {
        try makeModel(kind: "zhipu", keys: keys, id: id) { setup in
            setup.baseURL = nil
            setup.options.values = ["api": .string(api)]
            change(&setup)
        }
    }

    static func authorization(_ head: String) -> String? {
        head.split(separator: "\r\n").first { $0.hasPrefix("authorization: ") }.map { String($0.dropFirst(15)) }
    }

    /// The claims of a token whose signature is right.
    static func claims(_ token: String, secret: String = "s3cret") throws -> JSONValue {
        let parts = token.split(separator: ".").map(String.init)
        try #require(parts.count == 3)
        let code = HMAC<SHA256>.authenticationCode(
            for: Array("\(parts[0]).\(parts[1])".utf8), using: SymmetricKey(data: Array(secret.utf8)))
        let signature = Data(code).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_")
        #expect(signature.replacing("=", with: "") == parts[2])
        func decoded(_ part: String) throws -> JSONValue {
            let text = part.replacing("-", with: "+").replacing("_", with: "/")
            let padded = text + String(repeating: "=", count: (4 - text.count % 4) % 4)
            return try JSON.parse(ByteBuffer(bytes: try #require(Data(base64Encoded: padded))))
        }
        #expect(try decoded(parts[0]) == ["alg": "HS256", "sign_type": "SIGN"])
        return try decoded(parts[1])
    }
}

@Suite("Zhipu's tokens")
struct ZhipuTokenTests {
    @Test("A token is the one of the vector, byte for byte")
    func vector() throws {
        let key = try ZhipuKey("abc.s3cret")
        #expect(
            key.token(at: 1_700_000_000_000, until: 1_700_000_180_000)
                == "eyJhbGciOiJIUzI1NiIsInNpZ25fdHlwZSI6IlNJR04ifQ.eyJhcGlfa2V5IjoiYWJjIiwiZXhwIjoxNzAwMDAwMTgwMDAwL"
                + "CJ0aW1lc3RhbXAiOjE3MDAwMDAwMDAwMDB9.qqshtlHIpC2jWIGbUNPQpcnhLTP5MyMi4KpKFCfiaM4")
    }

    @Test("A key has exactly one dot and something on both sides", arguments: ["abc", "a.b.c", ".s", "a.", ""])
    func keys(_ text: String) {
        #expect(throws: ProviderError.self) { try ZhipuKey(text) }
        var setup = ProviderSetup(name: "z", kind: "zhipu")
        setup.apiKeys = ["good.key", text.isEmpty ? "." : text]
        for api in ["v3", "v4"] {
            setup.options.values = ["api": .string(api)]
            #expect(throws: ProviderError.self) { try Registry.make(setup) }
        }
    }

    @Test("A token is signed once for its life, counts milliseconds, and is good a little longer")
    func life() throws {
        let time = Mutex(1_700_000_000_000)
        let tokens = ZhipuTokens([try ZhipuKey("abc.s3cret"), try ZhipuKey("d.e")]) { time.withLock { $0 } }
        let first = try #require(tokens.value(for: Credential(index: 0, secret: nil)))
        let claims = try GLM.claims(first)
        #expect(claims["api_key"] == "abc" && claims["timestamp"]?.int == 1_700_000_000_000)
        #expect(claims["exp"]?.int == 1_700_000_210_000)
        time.withLock { $0 += 179_999 }
        #expect(tokens.value(for: Credential(index: 0, secret: nil)) == first)
        let other = try #require(tokens.value(for: Credential(index: 1, secret: nil)))
        #expect(try GLM.claims(other, secret: "e")["api_key"] == "d")
        time.withLock { $0 += 1 }
        let second = try #require(tokens.value(for: Credential(index: 0, secret: nil)))
        #expect(second != first)
        #expect(tokens.drop(usedIn: ByteBuffer(string: "authorization: \(first)\r\n")))
        #expect(tokens.value(for: Credential(index: 0, secret: nil)) == second, "a newer one stays")
        time.withLock { $0 -= 3_600_000 }
        #expect(tokens.value(for: Credential(index: 0, secret: nil)) != second, "a clock that was set back")
    }

    @Test("A thousand tasks get one token")
    func concurrent() async throws {
        let tokens = ZhipuTokens([try ZhipuKey("abc.s3cret")])
        let all = await withTaskGroup(of: String?.self) { group in
            for _ in 0..<1000 { group.addTask { tokens.value(for: Credential(index: 0, secret: nil)) } }
            return await group.reduce(into: Set<String?>()) { $0.insert($1) }
        }
        #expect(all.count == 1)
    }
}

@Suite("The Zhipu provider")
struct ZhipuProviderTests {
    @Test("Version 3 has the model and the verb in its path, and the token without a word before it")
    func version3() async throws {
        let connector = FakeConnector(GLM.whole, GLM.stream)
        let model = try GLM.model("v3")
        let answer = try JSON.parse(try await text(of: try await model.answer(makeCall(connector, stream: false))))
        #expect(answer["id"] == "chatcmpl-r1")
        #expect(answer["choices"]?.array?.first?["finish_reason"] == "stop")
        _ = try await text(of: try await model.answer(makeCall(connector)))
        #expect(
            connector.heads[0].hasPrefix(
                "POST /api/paas/v3/model-api/chatglm_turbo/invoke HTTP/1.1\r\nhost: open.bigmodel.cn\r\n"))
        #expect(connector.heads[1].hasPrefix("POST /api/paas/v3/model-api/chatglm_turbo/sse-invoke HTTP/1.1\r\n"))
        #expect(connector.heads[0].contains("content-type: application/json; charset=UTF-8\r\n"))
        let tokens = connector.heads.compactMap(GLM.authorization)
        #expect(tokens.count == 2 && Set(tokens).count == 1)
        #expect(try GLM.claims(try #require(tokens.first))["api_key"] == "abc")
        #expect(!connector.heads.joined().contains("s3cret"))
    }

    @Test("A token that version 3 refuses with status 200 is signed anew once, whole and in a stream")
    func renewal() async throws {
        for stream in [false, true] {
            let connector = FakeConnector(GLM.expired, stream ? GLM.stream : GLM.whole)
            let reply = try await GLM.model("v3").answer(makeCall(connector, stream: stream))
            #expect(try await text(of: reply).contains("Hi") && connector.requests.count == 2)
            let always = FakeConnector(GLM.expired, GLM.expired, GLM.whole)
            let error = await thrown(by: try GLM.model("v3"), makeCall(always, stream: stream))
            #expect(error?.kind == .unauthenticated && error?.httpStatus == 401 && always.requests.count == 2)
        }
    }

    @Test("Version 4 sends the key itself, or a token that stands for it; the list of models, too")
    func version4() async throws {
        for (signIn, isToken) in [("key", false), ("jwt", true)] {
            let connector = FakeConnector(.json(wholeAnswer), .json(#"{"data":[{"id":"glm-4.6"}]}"#))
            var setup = ProviderSetup(name: "z", kind: "zhipu")
            setup.apiKeys = ["abc.s3cret"]
            setup.options.values = ["token": .string(signIn)]
            let source = try Registry.make(setup)
            let model = try #require(source.model("glm-4.6"))
            _ = try await model.answer(makeCall(connector, stream: false))
            #expect(try await source.discover(connector).map(\.id) == ["glm-4.6"])
            #expect(
                connector.heads[0].hasPrefix(
                    "POST /api/paas/v4/chat/completions HTTP/1.1\r\nhost: open.bigmodel.cn\r\n"))
            for head in connector.heads {
                let said = try #require(GLM.authorization(head))
                #expect(said.hasPrefix("Bearer "))
                let token = String(said.dropFirst(7))
                #expect((token == "abc.s3cret") == !isToken)
                if isToken { #expect(try GLM.claims(token)["api_key"] == "abc") }
            }
        }
    }

    @Test("A token that version 4 says is over is signed anew once; a key is not sent twice")
    func expired() async throws {
        let refusal = FakeConnector.Script.json(#"{"error":{"code":"1003","message":"expired"}}"#, status: 401)
        for (signIn, requests) in [("jwt", 2), ("key", 1)] {
            let connector = FakeConnector(refusal, .json(wholeAnswer))
            let model = try GLM.model("v4") { $0.options.values["token"] = .string(signIn) }
            let error = await thrown(by: model, makeCall(connector, stream: false))
            #expect((error == nil) == (signIn == "jwt") && connector.requests.count == requests)
        }
    }

    @Test("Version 4 gets what it takes: no stream options, a user's id, and what was dropped is named")
    func fields() async throws {
        let connector = FakeConnector(.stream(roleFrame, frame(#"{"content":"Hi"}"#, finish: "stop"), doneFrame))
        let body =
            #"{"model":"a/m","stream":true,"stream_options":{"include_usage":true},"user":"u","max_completion_tokens":5,"#
            + #""presence_penalty":1,"parallel_tool_calls":true,"messages":[{"role":"developer","content":"S"},"#
            + #"{"role":"user","content":"Hi"}]}"#
        let call = makeCall(connector, body: body)
        _ = try await text(of: try await GLM.model("v4").answer(call))
        let sent = try JSON.parse(connector.bodies[0])
        #expect(sent["stream_options"] == nil && sent["user_id"] == "u" && sent["user"] == nil)
        #expect(sent["max_tokens"] == 5 && sent["presence_penalty"] == nil && sent["parallel_tool_calls"] == nil)
        #expect(sent["messages"]?.array?.first?["role"] == "system")
        #expect(Set(call.trace.dropped) == ["presence_penalty", "parallel_tool_calls"])
    }

    @Test("What version 4 ends with is said in OpenAI's words, or is a failure")
    func finishes() async throws {
        for (word, said) in [("sensitive", "content_filter"), ("model_context_window_exceeded", "length")] {
            let answer = wholeAnswer.replacing(#""finish_reason":"stop""#, with: #""finish_reason":"\#(word)""#)
            let reply = try await GLM.model("v4").answer(makeCall(FakeConnector(.json(answer)), stream: false))
            let choice = try JSON.parse(try await text(of: reply))["choices"]?.array?.first
            #expect(choice?["finish_reason"]?.string == said)
        }
        let broken = wholeAnswer.replacing(#""finish_reason":"stop""#, with: #""finish_reason":"network_error""#)
        let error = await thrown(by: try GLM.model("v4"), makeCall(FakeConnector(.json(broken)), stream: false))
        #expect(error?.httpStatus == 502 && error?.kind == .upstreamUnavailable)
    }

    @Test(
        "Every code of version 4 has its meaning, as an answer and inside a stream",
        arguments: [
            ("1000", 401, 401), ("1001", 401, 401), ("1002", 401, 401), ("1003", 401, 401), ("1004", 401, 401),
            ("1110", 401, 403), ("1111", 403, 403), ("1112", 403, 403), ("1121", 403, 403), ("1113", 429, 429),
            ("1120", 500, 502), ("1230", 500, 502), ("1234", 500, 502), ("1210", 400, 400), ("1213", 400, 400),
            ("1214", 400, 400), ("1215", 400, 400), ("1211", 400, 404), ("1212", 400, 400), ("1220", 403, 403),
            ("1221", 404, 404), ("1222", 404, 404), ("1231", 400, 400), ("1261", 400, 400), ("1300", 400, 400),
            ("1301", 400, 400), ("1302", 429, 429), ("1303", 429, 429), ("1304", 429, 429), ("1308", 429, 429),
            ("1309", 429, 429), ("1310", 429, 429), ("1305", 429, 429), ("500", 500, 502),
        ])
    func codes(code: String, status: Int, said: Int) async throws {
        let body = #"{"error":{"code":"\#(code)","message":"no"}}"#
        let error = await thrown(
            by: try GLM.model("v4"), makeCall(FakeConnector(.json(body, status: status)), stream: false))
        #expect(error?.httpStatus == said)
        let inside = await thrown(by: try GLM.model("v4"), makeCall(FakeConnector(.stream("data: \(body)\n\n"))))
        #expect(inside?.httpStatus == said)
        #expect(inside?.kind == error?.kind)
        #expect((error?.kind == .quota) == ["1113", "1304", "1308", "1309", "1310"].contains(code))
        #expect((error?.kind == .contextExceeded) == (code == "1261"))
        #expect((error?.kind == .contentFiltered) == ["1300", "1301"].contains(code))
    }

    @Test("Version 4 embeds; version 3 does not")
    func embeddings() async throws {
        func call(_ connector: any Connector) -> Call {
            Call(
                id: "r", dialect: .openAIChat, operation: .embed, model: "a/m", stream: false, includeUsage: false,
                body: ByteBuffer(string: #"{"model":"a/m","input":"x"}"#), deadline: .now() + .minutes(1),
                connector: connector, trace: CallTrace())
        }
        let connector = FakeConnector(.json(#"{"data":[{"embedding":[1],"index":0}],"usage":{"prompt_tokens":1}}"#))
        _ = try await GLM.model("v4", id: "embedding-3").answer(call(connector))
        #expect(connector.heads[0].hasPrefix("POST /api/paas/v4/embeddings HTTP/1.1\r\n"))
        let poor = FakeConnector(.json(#"{"error":{"code":"1113","message":"no"}}"#, status: 429))
        let refused = await thrown(by: try GLM.model("v4", id: "embedding-3"), call(poor))
        #expect(refused?.kind == .quota)
        let error = await thrown(by: try GLM.model("v3"), call(FakeConnector()))
        #expect(error?.code == "unsupported_operation")
    }

    @Test("The template of the system prompt must have a place for it")
    func template() throws {
        #expect(throws: ProviderError.self) { try GLM.model("v3") { $0.options.values["prompt"] = "obey" } }
        #expect(throws: ProviderError.self) { try GLM.model("v5") }
        #expect(throws: ProviderError.self) { try GLM.model("v4") { $0.options.values["token"] = "cookie" } }
    }
}
