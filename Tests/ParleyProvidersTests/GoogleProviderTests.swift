// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Crypto
import CryptoExtras
import Foundation
import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire
import Synchronization
import Testing

@testable import ParleyProviders

/// Answers of Google's and a service account that only tests know.
private enum Google {
    static let key = try? _RSA.Signing.PrivateKey(keySize: .bits2048)

    static var account: String {
        JSON.text([
            "type": "service_account", "project_id": "own", "private_key_id": "kid-1",
            "private_key": .string(key?.pkcs8PEMRepresentation ?? ""), "client_email": "robot@own.example",
            "token_uri": "http://token.example/token",
        ])
    }

    static let answer = FakeConnector.Script.json(
        #"{"candidates":[{"content":{"parts":[{"text":"Hi"}],"role":"model"},"finishReason":"STOP","index":0}],"#
            + #""usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":1,"totalTokenCount":4}}"#)
    static let refused = FakeConnector.Script.json(
        #"{"error":{"code":401,"message":"expired","status":"UNAUTHENTICATED"}}"#, status: 401)

    static func token(_ token: String, lifetime: Int = 3599) -> FakeConnector.Script {
        .json(#"{"access_token":"\#(token)","expires_in":\#(lifetime),"token_type":"Bearer"}"#)
    }

    static func vertex(_ change: (inout ProviderSetup) -> Void = { _ in }) throws -> any Model {
        try makeModel(kind: "vertex", keys: [], id: "gemini-2.5-flash") { setup in
            setup.baseURL = nil
            setup.options.values = ["credentials": .string(account), "project": "p", "location": "europe-west1"]
            change(&setup)
        }
    }

    static func bearer(_ head: String) -> String? {
        head.split(separator: "\r\n").first { $0.hasPrefix("authorization: Bearer ") }.map { String($0.dropFirst(22)) }
    }
}

@Suite("The Gemini provider")
struct GeminiProviderTests {
    private func call(_ connector: any Connector, stream: Bool = false) -> Call {
        var call = makeCall(
            connector, body: #"{ "contents":[{"parts":[{"text":"Hi"}]}] }"#, stream: stream, includeUsage: true)
        call.dialect = .gemini
        return call
    }

    @Test("A call goes to the model's path with the key in a header, and its body as it came")
    func paths() async throws {
        let stream = FakeConnector.Script.stream(
            "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hi\"}]},\"finishReason\":\"STOP\"}]}\r\n\r\n")
        let connector = FakeConnector(Google.answer, stream, Google.answer)
        let model = try makeModel(kind: "gemini", id: "gemini-2.5-flash") { $0.baseURL = nil }
        let answer = try await text(of: try await model.answer(call(connector)))
        #expect(answer.hasPrefix(#"{"candidates":[{"content":"#))
        let streamed = try await text(of: try await model.answer(call(connector, stream: true)))
        #expect(streamed.hasSuffix("\r\n\r\n"))
        #expect(
            connector.heads[0].hasPrefix(
                "POST /v1beta/models/gemini-2.5-flash:generateContent HTTP/1.1\r\n"
                    + "host: generativelanguage.googleapis.com\r\nx-goog-api-key: k1\r\n"))
        #expect(connector.heads[1].hasPrefix("POST /v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse HTTP"))
        #expect(connector.bodies[0] == #"{ "contents":[{"parts":[{"text":"Hi"}]}] }"#)
        let tuned = try makeModel(kind: "gemini", id: "tunedModels/a b/../c?d:e")
        _ = try await tuned.answer(call(connector))
        #expect(
            connector.heads[2].hasPrefix("POST /v1/tunedModels/a%20b%2F..%2Fc%3Fd%3Ae:generateContent HTTP/1.1\r\n"))
    }

    @Test("A client without alt=sse gets one array, though the service sends events")
    func array() async throws {
        let stream = FakeConnector.Script.stream(
            "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hi\"}]}}]}\r\n\r\n",
            "data: {\"candidates\":[{\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":3}}\r\n\r\n")
        var call = call(FakeConnector(stream), stream: true)
        call.asArray = true
        let reply = try await makeModel(kind: "gemini").answer(call)
        let frames = try JSON.parse(try await text(of: reply)).array
        #expect(frames?.count == 2 && frames?.last?["candidates"]?.array?.first?["finishReason"] == "STOP")
    }

    @Test("Tokens are counted by the service")
    func counting() async throws {
        let connector = FakeConnector(.json(#"{"totalTokens":12,"promptTokensDetails":[]}"#))
        var call = call(connector)
        call.operation = .countTokens
        let answer = try await text(of: try await makeModel(kind: "gemini").answer(call))
        #expect(answer == #"{"totalTokens":12}"#)
        #expect(connector.heads[0].hasPrefix("POST /v1/models/m:countTokens HTTP/1.1\r\n"))
    }

    @Test("The list of models is read page by page")
    func list() async throws {
        let first =
            #"{"models":[{"name":"models/a","supportedGenerationMethods":["generateContent"]},"#
            + #"{"name":"models/b","supportedGenerationMethods":["predict"]}],"nextPageToken":"t/2"}"#
        let connector = FakeConnector(.json(first), .json(#"{"models":[{"name":"models/c"}]}"#))
        var setup = ProviderSetup(name: "g", kind: "gemini")
        setup.apiKeys = ["k"]
        let listed = try await Registry.make(setup).discover(connector)
        #expect(listed.map(\.id) == ["a", "c"])
        #expect(connector.heads[1].hasPrefix("GET /v1beta/models?pageSize=1000&pageToken=t%2F2 HTTP/1.1\r\n"))
    }

    @Test("A service that does not know the fields for JSON Schema is asked again with the classic ones")
    func classic() async throws {
        let refusal = FakeConnector.Script.json(
            #"{"error":{"code":400,"message":"Unknown name \"parametersJsonSchema\"","status":"INVALID_ARGUMENT"}}"#,
            status: 400)
        let connector = FakeConnector(refusal, Google.answer)
        let body = """
            {"model":"a/m","messages":[{"role":"user","content":"Hi"}],"tools":[{"type":"function","function":
            {"name":"f","parameters":{"type":"object","properties":{"a":{"type":"string"}}}}}]}
            """
        _ = try await makeModel(kind: "gemini").answer(makeCall(connector, body: body, stream: false))
        #expect(connector.bodies[0].contains("parametersJsonSchema"))
        #expect(connector.bodies[1].contains(#""parameters":{"type":"OBJECT""#))
    }
}

@Suite("The Vertex provider")
struct VertexProviderTests {
    @Test("A signed claim is exchanged for a token, which is used until shortly before its end")
    func signIn() async throws {
        let connector = FakeConnector(Google.token("t1"), Google.answer, Google.answer)
        let model = try Google.vertex()
        for _ in 0..<2 { _ = try await model.answer(makeCall(connector, stream: false)) }
        #expect(
            connector.requests.map(\.endpoint.host) == ["token.example"]
                + [String](repeating: "europe-west1-aiplatform.googleapis.com", count: 2))
        #expect(connector.heads[0].hasPrefix("POST /token HTTP/1.1\r\n"))
        #expect(connector.heads[0].contains("content-type: application/x-www-form-urlencoded\r\n"))
        #expect(
            connector.heads[1].hasPrefix(
                "POST /v1/projects/p/locations/europe-west1/publishers/google/models/gemini-2.5-flash:generateContent ")
        )
        #expect(connector.heads.dropFirst().map(Google.bearer) == ["t1", "t1"])
        try Self.check(claim: connector.bodies[0])
    }

    /// Checks the claim as Google does: with the account's public key.
    private static func check(claim body: String) throws {
        let prefix = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion="
        #expect(body.hasPrefix(prefix))
        let pieces = body.dropFirst(prefix.count).split(separator: ".")
        try #require(pieces.count == 3)
        let signature = try #require(data(pieces[2]))
        let digest = SHA256.hash(data: Array((pieces[0] + "." + pieces[1]).utf8))
        let key = try #require(Google.key?.publicKey)
        #expect(
            key.isValidSignature(
                _RSA.Signing.RSASignature(rawRepresentation: signature), for: digest, padding: .insecurePKCS1v1_5))
        let header = try JSON.parse(ByteBuffer(bytes: try #require(data(pieces[0]))))
        #expect(header["alg"] == "RS256" && header["kid"] == "kid-1")
        let claims = try JSON.parse(ByteBuffer(bytes: try #require(data(pieces[1]))))
        #expect(claims["iss"] == "robot@own.example" && claims["aud"] == "http://token.example/token")
        #expect(claims["scope"] == "https://www.googleapis.com/auth/cloud-platform")
        #expect((claims["exp"]?.int ?? 0) - (claims["iat"]?.int ?? 0) == 3600)
    }

    private static func data(_ text: Substring) -> Data? {
        var text = text.replacing("-", with: "+").replacing("_", with: "/")
        while text.utf8.count % 4 != 0 { text += "=" }
        return Data(base64Encoded: String(text))
    }

    @Test("A refused token is replaced once; a second refusal is the answer")
    func refused() async throws {
        let connector = FakeConnector(
            Google.token("t1"), Google.refused, Google.token("t2"), Google.answer, Google.refused, Google.token("t3"),
            Google.refused)
        let model = try Google.vertex()
        _ = try await model.answer(makeCall(connector, stream: false))
        #expect(connector.heads.compactMap(Google.bearer) == ["t1", "t2"])
        let failure = await thrown(by: model, makeCall(connector, stream: false))
        #expect(failure?.kind == .unauthenticated && failure?.message.hasPrefix("a: ") == true)
        #expect(connector.requests.count == 7)
    }

    @Test("A refusal of an old token leaves a newer one alone")
    func late() async throws {
        let setup = ProviderSetup(name: "v", kind: "vertex")
        let token = try GoogleToken(ServiceAccount(setting: Google.account), setup: setup)
        let connector = FakeConnector(Google.token("t1"), Google.token("t2"))
        #expect(try await token.value(through: connector) == "t1")
        #expect(token.drop(usedIn: ByteBuffer(string: "authorization: Bearer t0\r\n")))
        #expect(try await token.value(through: connector) == "t1")
        #expect(token.drop(usedIn: ByteBuffer(string: "authorization: Bearer t1\r\n")))
        #expect(try await token.value(through: connector) == "t2")
    }

    @Test("All who wait share one exchange")
    func singleFlight() async throws {
        let setup = ProviderSetup(name: "v", kind: "vertex")
        let token = try GoogleToken(ServiceAccount(setting: Google.account), setup: setup)
        let gate = GatedConnector(FakeConnector(Google.token("t1"), Google.token("t2")))
        let tokens = await withTaskGroup(of: String?.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    gate.asked.add(1, ordering: .relaxed)
                    return try? await token.value(through: gate)
                }
            }
            while gate.asked.load(ordering: .relaxed) < 8 || gate.waiting == 0 { await Task.yield() }
            for _ in 0..<100 { await Task.yield() }
            gate.open()
            var tokens: [String?] = []
            for await token in group { tokens.append(token) }
            return tokens
        }
        #expect(tokens == [String?](repeating: "t1", count: 8))
        #expect(gate.inner.requests.count == 1)
    }

    @Test("A failed sign-in names the provider and the reason, never the key, and the next call tries again")
    func failure() async throws {
        let refusal = FakeConnector.Script.json(
            #"{"error":"invalid_grant","error_description":"Invalid JWT Signature for robot@own.example"}"#, status: 400
        )
        let connector = FakeConnector(
            refusal, .json("busy", status: 503), .json("{}"), Google.token("t"), Google.answer)
        let model = try Google.vertex()
        let first = await thrown(by: model, makeCall(connector, stream: false))
        #expect(first?.kind == .unauthenticated)
        #expect(first?.message == "a: Google's sign-in refused the service account (invalid_grant, status 400).")
        let second = await thrown(by: model, makeCall(connector, stream: false))
        #expect(second?.kind == .upstreamUnavailable && second?.httpStatus == 503)
        let third = await thrown(by: model, makeCall(connector, stream: false))
        #expect(third?.kind == .upstreamUnavailable && third?.message.hasPrefix("a: ") == true)
        _ = try await model.answer(makeCall(connector, stream: false))
        #expect(connector.requests.count == 5)
    }

    @Test("The token's place gets neither the provider's headers nor a key")
    func discreet() async throws {
        let connector = FakeConnector(Google.token("t"), Google.answer)
        let model = try Google.vertex { $0.headers = [HeaderField("x-goog-user-project", "billing")] }
        _ = try await model.answer(makeCall(connector, stream: false))
        #expect(!connector.heads[0].contains("x-goog-user-project"))
        #expect(connector.heads[1].contains("x-goog-user-project: billing\r\n"))
    }

    @Test("Express mode has a key, no project and no region")
    func express() async throws {
        let connector = FakeConnector(Google.answer)
        let model = try makeModel(kind: "vertex", keys: ["k"], id: "gemini-2.5-flash") { $0.baseURL = nil }
        _ = try await model.answer(makeCall(connector, stream: false))
        #expect(
            connector.heads[0].hasPrefix(
                "POST /v1/publishers/google/models/gemini-2.5-flash:generateContent HTTP/1.1\r\n"
                    + "host: aiplatform.googleapis.com\r\nx-goog-api-key: k\r\n"))
    }

    @Test("The global location has a host of its own")
    func global() async throws {
        let connector = FakeConnector(Google.token("t"), Google.answer)
        let model = try Google.vertex { $0.options.values["location"] = "global" }
        _ = try await model.answer(makeCall(connector, stream: false))
        #expect(connector.requests[1].endpoint.host == "aiplatform.googleapis.com")
        #expect(connector.heads[1].contains("/v1/projects/p/locations/global/publishers/google/"))
    }

    @Test("Claude is spoken to in Anthropic's words, without a model and with a version in the body")
    func claude() async throws {
        let message = FakeConnector.Script.json(
            #"{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5","#
                + #""content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","#
                + #""usage":{"input_tokens":3,"output_tokens":1}}"#)
        let connector = FakeConnector(Google.token("t"), message, message)
        let model = try makeModel(kind: "vertex", keys: [], id: "claude-sonnet-4-5@20250929") { setup in
            setup.baseURL = nil
            setup.options.values = ["credentials": .string(Google.account), "project": "p", "location": "global"]
        }
        let answer = try await text(of: try await model.answer(makeCall(connector, stream: false)))
        #expect(answer.contains(#""content":"Hi""#))
        var call = makeCall(
            connector, body: #"{"model":"x","max_tokens":5,"messages":[{"role":"user","content":"Hi"}]}"#,
            stream: false)
        call.dialect = .anthropic
        _ = try await model.answer(call)
        let path = "/v1/projects/p/locations/global/publishers/anthropic/models/claude-sonnet-4-5@20250929:rawPredict "
        for index in 1...2 {
            #expect(connector.heads[index].hasPrefix("POST " + path))
            let body = try JSON.parse(connector.bodies[index])
            #expect(body["model"] == nil && body["anthropic_version"] == "vertex-2023-10-16")
            #expect(body["messages"]?.array?.count == 1)
        }
    }

    @Test("Credentials are read from a file, too, and faults name the setting without its content")
    func settings() throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "parley-account-\(UUID()).json")
        try Data(Google.account.utf8).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        _ = try Google.vertex { $0.options.values["credentials"] = .string(file.path) }
        func fault(_ values: JSONObject, keys: [String] = []) -> ProviderError? {
            do throws(ProviderError) {
                var setup = ProviderSetup(name: "v", kind: "vertex")
                setup.options.values = values
                setup.apiKeys = keys
                _ = try Registry.make(setup)
                return nil
            } catch {
                return error
            }
        }
        for bad in [
            "/nowhere.json", "{", #"{"type":"authorized_user"}"#, #"{"client_email":"secret","private_key":"x"}"#,
        ] {
            let error = fault(["credentials": .string(bad), "project": "p"])
            #expect(error?.setting == "credentials" && error?.message.contains("secret") == false)
        }
        #expect(fault(["project": "p"])?.setting == "credentials")
        #expect(fault(["project": "p/../q"], keys: ["k"])?.setting == "project")
        #expect(fault(["location": "x.evil.example/"], keys: ["k"])?.setting == "location")
    }
}

/// Holds requests back until it is opened.
private final class GatedConnector: Connector {
    private struct State {
        var isOpen = false
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    let inner: FakeConnector
    /// How many are about to ask.
    let asked = Atomic<Int>(0)
    private let state = Mutex(State())

    init(_ inner: FakeConnector) { self.inner = inner }

    var executor: any TaskExecutor { inner.executor }
    var waiting: Int { state.withLock { $0.waiting.count } }

    func open() {
        let waiting = state.withLock { state in
            state.isOpen = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    func open(_ request: UpstreamRequest) async throws(ParleyError) -> any UpstreamAnswer {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let isOpen = state.withLock { state in
                if !state.isOpen { state.waiting.append(continuation) }
                return state.isOpen
            }
            if isOpen { continuation.resume() }
        }
        return try await inner.open(request)
    }

    func sleep(_ time: TimeAmount) async throws(ParleyError) { try await inner.sleep(time) }
}
