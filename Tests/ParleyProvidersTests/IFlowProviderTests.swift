// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import Synchronization
import Testing

@testable import ParleyProviders

@Suite struct IFlowProviderTests {
    /// A store in memory that notes what it was asked.
    private final class Memory: CredentialStore {
        let kept = Mutex<JSONObject?>(nil)
        let saves = Mutex<[JSONObject]>([])
        let failure = Mutex<ParleyError?>(nil)

        init(_ object: JSONObject? = nil) { kept.withLock { $0 = object } }

        func load(_ provider: String) async throws(ParleyError) -> JSONObject? { kept.withLock { $0 } }

        func save(_ credentials: JSONObject, for provider: String) async throws(ParleyError) {
            if let failure = failure.withLock({ $0 }) { throw failure }
            kept.withLock { $0 = credentials }
            saves.withLock { $0.append(credentials) }
        }

        func forget(_ provider: String) async throws(ParleyError) { kept.withLock { $0 = nil } }
    }

    private static func setup(store: Memory? = nil, _ options: JSONObject = [:]) -> ProviderSetup {
        var setup = ProviderSetup(name: "a", kind: "iflow")
        setup.baseURL = "http://up.example:9000/v1"
        setup.options.values = ["mode": "api", "client_id": "c", "client_secret": "s"]
        for member in options.members { setup.options.values[member.key] = member.value }
        setup.store = store.map { CredentialStoreReference($0) }
        return setup
    }

    private static func account(_ store: Memory) throws -> IFlowAccount {
        try #require(try IFlowProvider(setup(store: store)).account)
    }

    private static let expired = IFlowLogin(
        apiKey: "k1", accessToken: "a1", refreshToken: "r1", expires: 0, name: nil
    ).object
    private static let newTokens = #"{"access_token":"a2","refresh_token":"r2","expires_in":3600}"#
    private static let user = #"{"success":true,"data":{"apiKey":"k2","nickName":"Ada"}}"#

    @Test func `five hundred callers of an expired login cause one refresh, kept before it is used`() async throws {
        let store = Memory(Self.expired)
        let account = try Self.account(store)
        let connector = FakeConnector(.json(Self.newTokens), .json(Self.user))
        let keys = await withTaskGroup(of: String?.self) { group in
            for _ in 0..<500 { group.addTask { try? await account.key(through: connector).text } }
            var keys: [String?] = []
            for await key in group { keys.append(key) }
            return keys
        }
        #expect(keys.count == 500 && keys.allSatisfy { $0 == "k2" })
        #expect(connector.requests.count == 2)
        #expect(store.saves.withLock { $0.map { $0["apiKey"]?.string } } == ["k1", "k2"])
        #expect(store.kept.withLock { $0?["oauth_refresh_token"]?.string } == "r2")
    }

    @Test func `tokens that cannot be kept are not used, and are kept by the next one who can`() async throws {
        let store = Memory(Self.expired)
        let account = try Self.account(store)
        let connector = FakeConnector(.json(Self.newTokens), .json(Self.user))
        store.failure.withLock { $0 = ParleyError(.internalError, "full") }
        await #expect(throws: ParleyError(.internalError, "full")) { try await account.key(through: connector) }
        store.failure.withLock { $0 = nil }
        #expect(try await account.key(through: connector).text == "k2")
        #expect(connector.requests.count == 2)
    }

    @Test func `the token endpoint gets the client in the header and in the form`() async throws {
        let store = Memory(Self.expired)
        let connector = FakeConnector(.json(Self.newTokens), .json(Self.user))
        _ = try await Self.account(store).key(through: connector)
        let head = connector.heads[0]
        #expect(head.hasPrefix("POST /oauth/token HTTP/1.1\r\nhost: up.example:9000\r\n"))
        #expect(head.contains("authorization: Basic Yzpz\r\n"))
        #expect(head.contains("content-type: application/x-www-form-urlencoded\r\n"))
        #expect(head.contains("accept: application/json\r\n"))
        #expect(head.contains("user-agent: iFlow-Cli\r\n"))
        #expect(connector.bodies[0] == "grant_type=refresh_token&refresh_token=r1&client_id=c&client_secret=s")
        #expect(connector.heads[1].hasPrefix("GET /api/oauth/getUserInfo?accessToken=a2 HTTP/1.1\r\n"))
    }

    @Test(arguments: [
        (#"{}"#, "https://apis.iflow.cn/v1", "https://iflow.cn/oauth?client_id=c"),
        (#"{}"#, "http://h:1/x/v1", "http://h:1/x/oauth?client_id=c"),
        (#"{"url":"https://login.example"}"#, "http://h:1/v1", "https://login.example/oauth?client_id=c"),
    ])
    func `the page to sign in at is iFlow's, or where the base URL or the setting says`(
        _ options: String, _ base: String, _ page: String
    ) throws {
        var setup = Self.setup(options.contains("url") ? ["url": "https://login.example"] : [:])
        setup.baseURL = base
        let made = try IFlowProvider(setup).signInPage(redirect: "http://g/oauth/callback", state: "s~1")
        #expect(made == page + "&loginMethod=phone&type=phone&redirect=http%3A%2F%2Fg%2Foauth%2Fcallback&state=s~1")
    }

    /// Settings, and the one of them that is refused.
    struct Settings: Sendable {
        var options: JSONObject = [:]
        var keys: [String] = []
        var refused: String?
    }

    @Test(arguments: [
        Settings(options: [:]), Settings(options: ["client_id": ""], refused: "api_key"),
        Settings(options: ["client_id": ""], keys: ["k"]),
        Settings(options: ["client_secret": ""], refused: "client_secret"),
        Settings(keys: ["k"], refused: "client_id"), Settings(options: ["mode": "none"], refused: "mode"),
    ])
    func `settings that do not fit together are named`(_ settings: Settings) {
        var setup = Self.setup(settings.options)
        setup.apiKeys = settings.keys
        do throws(ProviderError) {
            _ = try Registry.make(setup)
            #expect(settings.refused == nil)
        } catch {
            #expect(error.setting == settings.refused)
        }
    }

    // MARK: - Verdicts

    private static func verdict(_ status: Int, _ body: String) -> (Int, String) {
        let verdict = IFlowVerdict(status: status, body: ByteBuffer(string: body))
        return (verdict.status, String(buffer: verdict.body))
    }

    @Test(arguments: [
        (200, #"{"status":"439","msg":"over","body":null}"#, 401), (200, #"{"status":434,"msg":"bad"}"#, 401),
        (200, #"{"status":"449","msg":"slow"}"#, 429), (400, #"{"status":"435","msg":"what"}"#, 404),
        (200, #"{"status":"500","msg":"oh"}"#, 502), (200, #"{"msg":"oh"}"#, 502), (500, "{}", 502),
        (503, #"{"error":"busy"}"#, 503), (401, "{}", 401), (200, #"{"error":{"message":"x"}}"#, 502),
        (200, #"{"status":"99999999999999999999","msg":"x"}"#, 502), (418, #"{"status":"200"}"#, 418),
    ])
    func `the service's numbers mean what others say with a status`(_ http: Int, _ body: String, _ status: Int) {
        #expect(Self.verdict(http, body).0 == status)
    }

    @Test func `a message is found wherever it is`() {
        #expect(Self.verdict(200, #"{"status":"449","msg":"slow"}"#).1 == #"{"error":{"message":"slow"}}"#)
        #expect(Self.verdict(500, #"{"error":"broken"}"#).1 == #"{"error":{"message":"broken"}}"#)
        #expect(Self.verdict(500, "{}").1 == #"{"error":{"message":"iFlow API Error"}}"#)
        #expect(Self.verdict(502, "<html>").1 == "<html>")
    }

    @Test func `an answer stays as it is, but for usage that is missing`() {
        let whole = #"{"id":1.0, "choices":[],"usage":{"x":1}}"#
        #expect(Self.verdict(200, whole) == (200, whole))
        let zeros = #""usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#
        #expect(Self.verdict(200, #"{"choices":[]}"#).1.contains(zeros))
        #expect(Self.verdict(200, #"{"choices":[],"usage":null}"#).1.contains(zeros))
    }
}
