// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire
import Synchronization
import Testing

@testable import ParleyProviders

/// Answers of Baidu's that only tests know.
private enum Baidu {
    static let whole = FakeConnector.Script.json(answer)
    static let answer =
        #"{"id":"as-1","object":"chat.completion","created":1,"result":"Hi","is_truncated":false,"#
        + #""need_clear_history":false,"finish_reason":"normal","usage":{"prompt_tokens":3,"completion_tokens":1}}"#
    static let stream = FakeConnector.Script.stream(
        "data: \(answer.dropLast()),\"sentence_id\":0,\"is_end\":true}\n\n")
    static let expired = FakeConnector.Script.json(#"{"error_code":111,"error_msg":"Access token expired"}"#)

    static func token(_ token: String, lifetime: Int = 2_592_000) -> FakeConnector.Script {
        .json(#"{"access_token":"\#(token)","expires_in":\#(lifetime),"session_key":"x"}"#)
    }

    static func model(
        keys: [String] = ["AK"], secret: String? = "SK", id: String = "ERNIE-4.0-8K",
        _ change: (inout ProviderSetup) -> Void = { _ in }
    ) throws -> any Model {
        try makeModel(kind: "qianfan", keys: keys, id: id) { setup in
            setup.baseURL = nil
            if let secret { setup.options.values["secret_key"] = .string(secret) }
            change(&setup)
        }
    }

    static func ask(_ model: any Model, _ connector: any Connector, stream: Bool = false) async throws -> String {
        try await text(of: try await model.answer(makeCall(connector, stream: stream)))
    }

    static func embedding(_ connector: any Connector) -> Call {
        Call(
            id: "r", dialect: .openAIChat, operation: .embed, model: "a/m", stream: false, includeUsage: false,
            body: ByteBuffer(string: #"{"model":"a/m","input":"x"}"#), deadline: .now() + .minutes(1),
            connector: connector, trace: CallTrace())
    }
}

/// Keeps in memory what a store would keep on disk.
private final class MemoryStore: CredentialStore {
    private let kept = Mutex<[String: JSONObject]>([:])
    private let failing: Bool

    init(failing: Bool = false) { self.failing = failing }

    var all: [String: JSONObject] { kept.withLock { $0 } }

    func load(_ provider: String) async throws(ParleyError) -> JSONObject? {
        if failing { throw ParleyError(.internalError, "no disk") }
        return kept.withLock { $0[provider] }
    }

    func save(_ credentials: JSONObject, for provider: String) async throws(ParleyError) {
        if failing { throw ParleyError(.internalError, "no disk") }
        kept.withLock { $0[provider] = credentials }
    }

    func forget(_ provider: String) async throws(ParleyError) { kept.withLock { $0[provider] = nil } }
}

/// Baidu, as far as tokens go: gives out `t1`, `t2`, …, and takes none but the last.
private final class TokenService: Connector {
    var executor: any TaskExecutor { globalConcurrentExecutor }
    private let state = Mutex((given: 0, refused: 0, revoked: 0, answered: 0))

    /// How many tokens were given out, chats refused and chats answered.
    var counts: (given: Int, refused: Int, answered: Int) {
        state.withLock { ($0.given, $0.refused, $0.answered) }
    }

    /// From now on no token that was given out is taken.
    func revoke() { state.withLock { $0.revoked = $0.given } }

    func open(_ request: UpstreamRequest) async throws(ParleyError) -> any UpstreamAnswer {
        let head = String(buffer: request.head)
        // Others must have the time to come and wait, too.
        for _ in 0..<50 { await Task.yield() }
        let script = state.withLock { state -> FakeConnector.Script in
            if head.hasPrefix("POST /oauth/") {
                state.given += 1
                return Baidu.token("t\(state.given)")
            }
            guard state.given > state.revoked, head.contains("access_token=t\(state.given) ") else {
                state.refused += 1
                return Baidu.expired
            }
            state.answered += 1
            return Baidu.whole
        }
        return FakeAnswer(script, FakeConnector())
    }

    func connect(_ request: UpstreamRequest) async throws(ParleyError) -> WebSocketOpening {
        throw ParleyError(.upstreamUnavailable, "connection refused")
    }

    func sleep(_ time: TimeAmount) async throws(ParleyError) {}
}

@Suite("The Qianfan provider")
struct QianfanProviderTests {
    @Test("A token is fetched first, kept, and stands in the address of every chat")
    func flow() async throws {
        let connector = FakeConnector(Baidu.token("24.a/b"), Baidu.whole, Baidu.stream)
        let model = try Baidu.model()
        let answer = try JSON.parse(try await Baidu.ask(model, connector))
        #expect(answer["choices"]?.array?.first?["message"]?["content"] == "Hi")
        #expect(try await Baidu.ask(model, connector, stream: true).contains("\"Hi\""))
        #expect(
            connector.heads[0].hasPrefix(
                "POST /oauth/2.0/token?grant_type=client_credentials&client_id=AK&client_secret=SK HTTP/1.1\r\n"
                    + "host: aip.baidubce.com\r\n"))
        #expect(connector.bodies[0].isEmpty && connector.requests[0].body != nil)
        let path = "/rpc/2.0/ai_custom/v1/wenxinworkshop/chat/completions_pro?access_token=24.a%2Fb HTTP/1.1\r\n"
        for head in connector.heads.dropFirst() {
            #expect(head.hasPrefix("POST \(path)") && !head.contains("authorization"))
        }
        #expect(connector.requests.count == 3)
    }

    @Test(
        "A model has the vendor's address, or its own name in lower case",
        arguments: [
            ("ERNIE-4.0-8K", "completions_pro"), ("ERNIE-Bot-4", "completions_pro"), ("ERNIE-3.5-8K", "completions"),
            ("ernie-bot", "completions"), ("ERNIE-Bot-turbo", "eb-instant"), ("ERNIE-Lite-8K-0922", "eb-instant"),
            ("ERNIE-Speed-8K", "ernie_speed"), ("ERNIE-Speed-128K", "ernie-speed-128k"),
            ("ERNIE-Lite-8K-0308", "ernie-lite-8k"), ("ERNIE-Tiny-8K", "ernie-tiny-8k"),
            ("ERNIE-3.5-8K-0205", "ernie-3.5-8k-0205"), ("ERNIE-Bot-8K", "ernie_bot_8k"),
            ("BLOOMZ-7B", "bloomz_7b1"), ("Llama_2_70B", "llama_2_70b"), ("../x?y", "..%2Fx%3Fy"),
        ])
    func paths(model: String, path: String) {
        #expect(QianfanProvider.chatPath(model) == path)
    }

    @Test("A token that is over is fetched anew once and the call made again, whole, in a stream and for vectors")
    func renewal() async throws {
        for stream in [false, true] {
            let connector = FakeConnector(
                Baidu.token("a"), Baidu.expired, Baidu.token("b"), stream ? Baidu.stream : Baidu.whole)
            #expect(try await Baidu.ask(try Baidu.model(), connector, stream: stream).contains("Hi"))
            #expect(connector.heads[3].contains("access_token=b "))
            let always = FakeConnector(
                Baidu.token("a"), Baidu.expired, Baidu.token("b"), Baidu.expired, Baidu.token("c"), Baidu.whole)
            let error = await thrown(by: try Baidu.model(), makeCall(always, stream: stream))
            #expect(error?.kind == .unauthenticated && error?.httpStatus == 401 && always.requests.count == 4)
        }
        let vectors = FakeConnector.Script.json(#"{"data":[{"embedding":[1],"index":0}]}"#)
        let connector = FakeConnector(Baidu.token("a"), Baidu.expired, Baidu.token("b"), vectors)
        _ = try await Baidu.model(id: "bge-large-zh").answer(Baidu.embedding(connector))
        #expect(
            connector.heads[3].hasPrefix(
                "POST /rpc/2.0/ai_custom/v1/wenxinworkshop/embeddings/bge_large_zh?access_token=b HTTP/1.1\r\n"))
        #expect(connector.bodies[3] == #"{"input":["x"]}"#)
    }

    @Test("500 callers fetch one token together, and one more when it is over")
    func stampede() async throws {
        let service = TokenService()
        let model = try Baidu.model()
        func all() async throws {
            try await withThrowingTaskGroup(of: String.self) { group in
                for _ in 0..<500 { group.addTask { try await Baidu.ask(model, service) } }
                for try await text in group { #expect(text.contains("Hi")) }
            }
        }
        try await all()
        #expect(service.counts.given == 1 && service.counts.refused == 0)
        service.revoke()
        try await all()
        #expect(service.counts.given == 2 && service.counts.answered == 1000)
        #expect(service.counts.refused > 0 && service.counts.refused <= 500)
    }

    @Test("A token survives a restart, but not a change of the key pair")
    func restart() async throws {
        let store = MemoryStore()
        func model(secret: String = "SK") throws -> any Model {
            try Baidu.model(secret: secret) { $0.store = CredentialStoreReference(store) }
        }
        let first = FakeConnector(Baidu.token("kept"), Baidu.whole)
        _ = try await Baidu.ask(try model(), first)
        let second = FakeConnector(Baidu.whole)
        _ = try await Baidu.ask(try model(), second)
        #expect(second.requests.count == 1 && second.heads[0].contains("access_token=kept "))
        let other = FakeConnector(Baidu.token("other"), Baidu.whole)
        _ = try await Baidu.ask(try model(secret: "new"), other)
        #expect(other.requests.count == 2)
        #expect(store.all["a"]?["tokens"]?.object?.members.count == 2)
        #expect(!JSON.text(.object(try #require(store.all["a"]))).contains("SK"))
        // What was kept and is refused all the same is replaced.
        let refused = FakeConnector(Baidu.expired, Baidu.token("fresh"), Baidu.whole)
        _ = try await Baidu.ask(try model(), refused)
        let third = FakeConnector(Baidu.whole)
        _ = try await Baidu.ask(try model(), third)
        #expect(third.heads[0].contains("access_token=fresh "))
    }

    @Test("A store that cannot be read or written costs no call")
    func brokenStore() async throws {
        let model = try Baidu.model { $0.store = CredentialStoreReference(MemoryStore(failing: true)) }
        let connector = FakeConnector(Baidu.token("a"), Baidu.whole, Baidu.whole)
        _ = try await Baidu.ask(model, connector)
        _ = try await Baidu.ask(model, connector)
        #expect(connector.requests.count == 3)
    }

    @Test("A token is fetched anew an hour before its end, a short-lived one at half of its life")
    func margin() async throws {
        for (life, good) in [(2_592_000, 2_588_399), (7200, 3599), (60, 29), (-5, -1)] {
            let time = Mutex(1_000_000)
            let setup = ProviderSetup(name: "a", kind: "qianfan")
            let access = try ServiceAccess(setup, base: try BaseURL("http://up.example", setting: "base_url"))
            let tokens = QianfanTokens([QianfanPair(key: "k", secret: "s")], setup: setup, access: access) {
                time.withLock { $0 }
            }
            let connector = FakeConnector(Baidu.token("a", lifetime: life), Baidu.token("b"))
            #expect(try await tokens.value(0, through: connector) == "a")
            if good >= 0 {
                time.withLock { $0 += good }
                #expect(try await tokens.value(0, through: connector) == "a", "\(life)")
                time.withLock { $0 += 1 }
            }
            #expect(try await tokens.value(0, through: connector) == "b", "\(life)")
        }
    }

    @Test("A refused key pair is told by Baidu's word for it alone, and a failing sign-in is no refusal")
    func refusals() async throws {
        let refusal = #"{"error":"invalid_client","error_description":"unknown client id AK"}"#
        for status in [200, 401] {
            let connector = FakeConnector(.json(refusal, status: status), Baidu.whole)
            let thrown = await thrown(by: try Baidu.model(), makeCall(connector, stream: false))
            let error = try #require(thrown)
            #expect(error.kind == .unauthenticated && error.message.contains("invalid_client"))
            #expect(error.message.hasPrefix("a: ") && !error.message.contains("AK") && !error.message.contains("SK"))
            #expect(connector.requests.count == 1)
        }
        for script in [
            FakeConnector.Script.json("{}", status: 503), .json("<html>", status: 502), .json("{}"), .json("garbage"),
            .json(#"{"access_token":"a\r\nb"}"#), .json(#"{"access_token":""}"#),
        ] {
            let error = await thrown(by: try Baidu.model(), makeCall(FakeConnector(script), stream: false))
            #expect(error?.kind == .upstreamUnavailable)
        }
    }

    @Test("Several pairs take turns, each with a token of its own, and a refused one rests")
    func pairs() async throws {
        let connector = FakeConnector(
            Baidu.token("a"), Baidu.whole, Baidu.token("b"), Baidu.whole, Baidu.whole, Baidu.whole)
        let model = try Baidu.model(keys: ["A1|S1,A2|S2"], secret: nil)
        for _ in 0..<4 { _ = try await Baidu.ask(model, connector) }
        #expect(connector.heads[0].contains("client_id=A1&client_secret=S1 "))
        #expect(connector.heads[2].contains("client_id=A2&client_secret=S2 "))
        #expect(connector.heads[4].contains("access_token=a ") && connector.heads[5].contains("access_token=b "))
        let refused = FakeConnector(
            .json(#"{"error":"invalid_client"}"#, status: 401), Baidu.token("b"), Baidu.whole, Baidu.whole)
        let resting = try Baidu.model(keys: ["A1", "A2"], secret: "S1, S2")
        #expect(await thrown(by: resting, makeCall(refused, stream: false))?.kind == .unauthenticated)
        for _ in 0..<2 { _ = try await Baidu.ask(resting, refused) }
        #expect(refused.heads[1].contains("client_id=A2&client_secret=S2 ") && refused.requests.count == 4)
    }

    @Test("What is renewed is used again, whoever's turn it would be")
    func renewedPair() async throws {
        let connector = FakeConnector(
            Baidu.token("a"), Baidu.whole, Baidu.token("b"), Baidu.whole, Baidu.expired, Baidu.token("a2"), Baidu.whole)
        let model = try Baidu.model(keys: ["A1|S1,A2|S2"], secret: nil)
        for _ in 0..<3 { _ = try await Baidu.ask(model, connector) }
        #expect(connector.heads[5].contains("client_id=A1&") && connector.heads[6].contains("access_token=a2 "))
        let vectors = FakeConnector.Script.json(#"{"data":[{"embedding":[1],"index":0}]}"#)
        let second = FakeConnector(Baidu.token("a"), Baidu.expired, Baidu.token("a2"), vectors)
        let embedder = try Baidu.model(keys: ["A1|S1,A2|S2"], secret: nil, id: "bge-large-zh")
        _ = try await embedder.answer(Baidu.embedding(second))
        #expect(second.heads[2].contains("client_id=A1&") && second.heads[3].contains("access_token=a2 "))
    }

    @Test("Settings that cannot work are refused, naming the setting")
    func settings() {
        func fault(_ keys: [String], _ options: JSONObject) -> String? {
            var setup = ProviderSetup(name: "q", kind: "qianfan")
            setup.apiKeys = keys
            setup.options.values = options
            do throws(ProviderError) {
                _ = try Registry.make(setup)
                return nil
            } catch {
                return error.setting
            }
        }
        #expect(fault([], ["secret_key": "s"]) == "api_key")
        #expect(fault(["k"], [:]) == "secret_key")
        #expect(fault(["k", "l"], ["secret_key": "s"]) == "secret_key")
        #expect(fault(["a|b|c"], [:]) == "api_key")
        #expect(fault(["k"], ["api": "v3"]) == "api")
        #expect(fault(["k"], ["api": "v2"]) == nil && fault(["k|s"], [:]) == nil)
    }

    @Test("A pair in the environment is the older API, unless there is a key of the newer one")
    func environment() throws {
        let pair = ["QIANFAN_AK": "k", "QIANFAN_SK": "s"]
        let found = Catalogue.environment(pair)
        #expect(found.map(\.kind) == ["qianfan"] && found.map(\.name) == ["qianfan"])
        _ = try Registry.make(try #require(found.first))
        let newer = Catalogue.environment(pair.merging(["QIANFAN_API_KEY": "b"]) { $1 })
        #expect(newer.map(\.kind) == ["qianfan-v2"])
    }

    @Test("Version 2 is OpenAI's chat with a bearer, and what else is there")
    func version2() async throws {
        let connector = FakeConnector(
            .json(wholeAnswer), .json(#"{"error":{"code":"system_unsafe","message":"no","type":"x"}}"#, status: 403),
            .json(#"{"error":{"code":"invalid_model","message":"no","type":"invalid_request_error"}}"#, status: 400))
        let model = try makeModel(kind: "qianfan", keys: ["bce-v3/ALTAK-x/y"], id: "ernie-4.0-8k") {
            $0.baseURL = nil
            $0.options.values["api"] = "v2"
            $0.headers = [HeaderField("appid", "app-1")]
        }
        _ = try await model.answer(makeCall(connector, stream: false))
        #expect(
            connector.heads[0].hasPrefix("POST /v2/chat/completions HTTP/1.1\r\nhost: qianfan.baidubce.com\r\n"))
        #expect(connector.heads[0].contains("authorization: Bearer bce-v3/ALTAK-x/y\r\n"))
        #expect(connector.heads[0].contains("appid: app-1\r\n"))
        #expect(await thrown(by: model, makeCall(connector, stream: false))?.kind == .contentFiltered)
        #expect(await thrown(by: model, makeCall(connector, stream: false))?.kind == .notFound)
    }
}
