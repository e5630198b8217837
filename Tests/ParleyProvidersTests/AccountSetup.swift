// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Synchronization

@testable import ParleyProviders

/// Settings of account-backed providers, and what such a service answers before it answers the question.
enum AccountSetup {
    static let organization = "0f4c6a5e-0000-4000-8000-00000000000a"

    /// The answers that come before the one to the question.
    static let steps: [String: [FakeConnector.Script]] = [
        "flowgpt": [.json(#"{"id":"conversation-one"}"#, status: 201)],
        "fitten": [login("access-1")],
        "claude-web": [.json(#"[{"uuid":"\#(organization)"}]"#), .json(#"{"uuid":"made"}"#, status: 201)],
    ]

    static func login(_ access: String, refresh: String = "refresh-1") -> FakeConnector.Script {
        .json(#"{"access_token":"\#(access)","refresh_token":"\#(refresh)","user_info":{"user_id":"user/1"}}"#)
    }

    /// What such a kind cannot do without.
    static func complete(_ setup: inout ProviderSetup) {
        switch setup.kind {
        case "flowgpt":
            setup.options.values = ["token": "secret-token", "device_id": "device-1"]
            if setup.models.isEmpty { setup.models = [.init("gpt-4-free", "prompt-one")] }
        case "fitten": setup.options.values = ["username": "ada", "password": "secret-password"]
        case "claude-web": setup.options.values = ["cookie": "sessionKey=secret-cookie"]
        default: return
        }
        setup.baseURL = "http://up.example:9000"
        setup.apiKeys = []
    }

    /// The model `id` of such a provider, with settings changed.
    static func model(
        _ kind: String, id: String, _ change: (inout ProviderSetup) -> Void = { _ in }
    ) throws -> any Model {
        try makeModel(kind: kind, keys: [], id: id) {
            complete(&$0)
            change(&$0)
        }
    }

    /// A refused configuration's setting.
    static func fault(_ kind: String, _ change: (inout ProviderSetup) -> Void) -> String? {
        var setup = ProviderSetup(name: "a", kind: kind)
        complete(&setup)
        change(&setup)
        do throws(ProviderError) {
            _ = try Registry.make(setup)
            return nil
        } catch {
            return error.setting
        }
    }
}

/// A store of tokens in memory.
final class MemoryCredentials: CredentialStore {
    private let kept = Mutex([String: JSONObject]())

    var all: [String: JSONObject] { kept.withLock { $0 } }

    func load(_ provider: String) async throws(ParleyError) -> JSONObject? { kept.withLock { $0[provider] } }

    func save(_ credentials: JSONObject, for provider: String) async throws(ParleyError) {
        kept.withLock { $0[provider] = credentials }
    }

    func forget(_ provider: String) async throws(ParleyError) { kept.withLock { $0[provider] = nil } }
}

/// A way to upstreams that answers each request by what it asks for, whatever their order.
final class AnsweringConnector: Connector {
    /// What is answered to a request of that method and path.
    typealias Answer = @Sendable (String, String, UpstreamRequest) async -> FakeConnector.Script

    var executor: any TaskExecutor { globalConcurrentExecutor }
    private let answer: Answer
    private let seen = Mutex([String]())

    init(_ answer: @escaping Answer) { self.answer = answer }

    /// The requests so far, as method and path.
    var requests: [String] { seen.withLock { $0 } }

    func count(_ request: String) -> Int { requests.count { $0 == request } }

    func open(_ request: UpstreamRequest) async throws(ParleyError) -> any UpstreamAnswer {
        let words = String(buffer: request.head).split(separator: " ", maxSplits: 2).map(String.init)
        let (method, path) = (words.first ?? "", words.dropFirst().first ?? "")
        seen.withLock { $0.append("\(method) \(path)") }
        return FakeAnswer(await answer(method, path, request), FakeConnector())
    }

    func sleep(_ time: TimeAmount) async throws(ParleyError) {}
}

extension UpstreamRequest {
    /// The value of a header of this request.
    func header(_ name: String) -> String? {
        String(buffer: head).split(separator: "\r\n").first { $0.hasPrefix("\(name): ") }
            .map { String($0.dropFirst(name.count + 2)) }
    }

    /// The body as JSON.
    var json: JSONValue? { body.flatMap { try? JSON.parse($0) } }
}
