// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire
import Synchronization
import Testing

@testable import ParleyProviders

/// Claude's web site as far as conversations go.
private final class Site: Sendable {
    private struct State {
        var conversations: Set<String> = []
        var isOld = false
    }

    static let root = "/api/organizations/\(AccountSetup.organization)/chat_conversations"
    static let create = "POST \(root)"
    static let refused = FakeConnector.Script.json(
        #"{"type":"error","error":{"type":"permission_error","message":"secret-cookie"}}"#, status: 403)
    static let gone = FakeConnector.Script.json("{}", status: 404)
    static let organizations = FakeConnector.Script.json(
        #"[{"uuid":"\#(AccountSetup.organization)"},{"uuid":"other"}]"#)
    static let answer = FakeConnector.Script.stream(
        "data: {\"completion\":\"Hi\",\"stop_reason\":\"stop_sequence\"}\n\n")

    private let state: Mutex<State>

    init(isOld: Bool = false) { state = Mutex(State(isOld: isOld)) }

    func loseAll() { state.withLock { $0.conversations = [] } }
    var kept: Set<String> { state.withLock { $0.conversations } }

    func connector() -> AnsweringConnector {
        AnsweringConnector { method, path, request in
            guard request.header("cookie") == "sessionKey=secret-cookie" else { return Self.refused }
            return self.state.withLock { state in
                if path == "/api/organizations" { return Self.organizations }
                if method == "POST", path == Self.root {
                    let id = request.json?["uuid"]?.string ?? ""
                    state.conversations.insert(id)
                    return .json(#"{"uuid":"\#(id)"}"#, status: 201)
                }
                let last = String(path.dropFirst(Self.root.count + 1))
                if method == "DELETE" {
                    state.conversations.remove(last)
                    return .json("", status: 204)
                }
                let id =
                    path == "/api/append_message"
                    ? request.json?["conversation_uuid"]?.string ?? "" : String(last.dropLast("/completion".count))
                let isKnown = state.conversations.contains(id) && state.isOld == (path == "/api/append_message")
                return isKnown ? Self.answer : Self.gone
            }
        }
    }
}

@Suite("The provider of Claude's web site")
struct ClaudeWebProviderTests {
    private static func model(
        _ id: String = "claude-web", _ change: (inout ProviderSetup) -> Void = { _ in }
    ) throws -> any Model {
        try AccountSetup.model("claude-web", id: id, change)
    }

    private static func ask(
        _ model: any Model, _ connector: any Connector, stream: Bool = true
    ) async throws -> String {
        try await text(of: try await model.answer(makeCall(connector, stream: stream)))
    }

    /// Waits for what is done behind an answer.
    private static func settle(_ isSettled: () -> Bool) async {
        for _ in 0..<5000 where !isSettled() { try? await Task.sleep(nanoseconds: 1_000_000) }
    }

    @Test("Each call has a conversation of its own, deleted behind the answer; the organisation is looked up once")
    func each() async throws {
        let site = Site()
        let connector = site.connector()
        let model = try Self.model()
        for stream in [true, false] { #expect(try await Self.ask(model, connector, stream: stream).contains("Hi")) }
        await Self.settle { connector.requests.count >= 7 }
        #expect(connector.count("GET /api/organizations") == 1 && connector.count(Site.create) == 2)
        #expect(connector.requests.count { $0.hasPrefix("DELETE \(Site.root)/") } == 2)
        #expect(connector.requests.count { $0.hasSuffix("/completion") } == 2)
        await Self.settle { site.kept.isEmpty }
        #expect(site.kept.isEmpty)
    }

    @Test("What is sent has what the site looks at, and nothing that pretends to be a browser")
    func heads() async throws {
        let connector = FakeConnector(
            Site.organizations, .json(#"{"uuid":"given"}"#, status: 201), Site.answer)
        let model = try Self.model("claude-x") { $0.options.values["conversation"] = "keep" }
        let body = #"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#
        let reply = try await model.answer(makeCall(connector, body: body, stream: false))
        #expect(reply.headers.contains(HeaderField("x-parley-estimated", "true")))
        let requests = connector.requests
        for request in requests {
            #expect(request.header("cookie") == "sessionKey=secret-cookie")
            #expect(request.header("referer") == "https://claude.ai/chats")
            #expect(request.header("user-agent")?.hasPrefix("parley/") == true)
            let head = String(buffer: request.head)
            #expect(!head.contains("sec-") && !head.contains("dnt:") && !head.contains("te:"))
        }
        #expect(requests[0].header("origin") == nil && requests[0].body == nil)
        #expect(requests.dropFirst().allSatisfy { $0.header("origin") == "https://claude.ai" })
        let made = try #require(requests[1].json?["uuid"]?.string)
        #expect(made.wholeMatch(of: /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/) != nil)
        #expect(connector.heads[2].hasPrefix("POST \(Site.root)/given/completion HTTP/1.1\r\n"))
        #expect(
            connector.bodies[2]
                == #"{"prompt":"Hi","timezone":"UTC","attachments":[],"files":[],"rendering_mode":"messages","#
                + #""model":"claude-x"}"#)
        #expect(requests.count == 3, "a conversation that is kept is not deleted")
    }

    @Test("Claude-web's prompt template: the last message and the history as JSON; one message alone is its content")
    func template() async throws {
        let history = #"{"role":"system","content":"Be {newMessage}."},{"role":"assistant","content":"\"yes\""},"#
        let last = #"{"role":"user","content":"And {history}?"}"#
        let asJSON = #"[{"role":"system","content":"Be {newMessage}."},{"role":"assistant","content":"\"yes\""}]"#
        let cases = [
            (last, "{newMessage} after {history}", "And {history}?"),
            (history + last, "{x} {newMessage}\n{history} {", "{x} And {history}?\n\(asJSON) {"),
            (history + last, "{newMessage}", "And {history}?"), (history + last, nil, "And {history}? \n \(asJSON)"),
        ]
        for (messages, template, expected) in cases as [(String, String?, String)] {
            let connector = FakeConnector(scripts: (AccountSetup.steps["claude-web"] ?? []) + [Site.answer])
            let model = try Self.model { $0.options.values["prompt"] = template.map { .string($0) } }
            let body = #"{"model":"m","messages":[\#(messages)]}"#
            _ = try await model.answer(makeCall(connector, body: body, stream: false))
            let prompt = try #require(connector.requests[2].json?["prompt"]?.string)
            #expect(template == nil ? prompt.hasSuffix(expected) : prompt == expected)
        }
    }

    @Test("One conversation for all calls is made when it is first needed, or is the one that the settings name")
    func single() async throws {
        let site = Site()
        let connector = site.connector()
        let model = try Self.model { $0.options.values["conversation"] = "single" }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<50 {
                group.addTask {
                    let answer = try await Self.ask(model, connector)
                    #expect(answer.contains("Hi"))
                }
            }
            try await group.waitForAll()
        }
        #expect(connector.count(Site.create) == 1 && connector.count("GET /api/organizations") == 1)
        let id = try #require(site.kept.first)
        let named = site.connector()
        let other = try Self.model { $0.options.values["conversation"] = .string(id) }
        _ = try await Self.ask(other, named)
        #expect(named.requests == ["GET /api/organizations", "POST \(Site.root)/\(id)/completion"])
        site.loseAll()
        #expect(try await Self.ask(other, named).contains("Hi"))
        #expect(try await Self.ask(other, named).contains("Hi"))
        #expect(named.count(Site.create) == 1 && site.kept.count == 1)
    }

    @Test("A site with the way of 2023 only is asked so from then on")
    func older() async throws {
        let connector = Site(isOld: true).connector()
        let model = try Self.model { $0.options.values["conversation"] = "keep" }
        for _ in 0..<2 { #expect(try await Self.ask(model, connector).contains("Hi")) }
        #expect(connector.requests.count { $0.hasSuffix("/completion") } == 2)
        #expect(connector.count("POST /api/append_message") == 2)
        #expect(connector.requests.last == "POST /api/append_message")
    }

    @Test("A conversation that is not there twice is an error")
    func gone() async throws {
        let made = FakeConnector.Script.json("{}", status: 201)
        let connector = FakeConnector(Site.organizations, made, Site.gone, made, Site.gone, Site.gone)
        let failure = await thrown(by: try Self.model(), makeCall(connector))
        #expect(failure?.kind == .upstreamUnavailable && connector.requests.count >= 6)
        #expect(connector.heads[5].hasPrefix("POST /api/append_message "))
        #expect(connector.requests[5].json?["completion"]?["prompt"] == connector.requests[5].json?["text"])
    }

    @Test("What goes wrong in any step has its own status and says nothing of the cookie", arguments: [true, false])
    func failures(stream: Bool) async throws {
        let page = FakeConnector.Script(
            status: 403, headers: [("content-type", "text/html")], reads: [.bytes("<html>secret-cookie</html>")])
        let made = FakeConnector.Script.json("{}", status: 201)
        let limit = FakeConnector.Script.json(
            #"{"error":{"type":"rate_limit_error","message":"{\"type\":\"exceeded_limit\",\"resetsAt\":99999999999}"}}"#,
            status: 429)
        let cases: [([FakeConnector.Script], Int, String)] = [
            ([Site.refused], 401, "renew `cookie`"), ([page], 502, "web page"), ([.json("[]")], 502, "no organisation"),
            ([Site.organizations, Site.refused], 401, "renew `cookie`"),
            ([Site.organizations, made, Site.refused], 401, "renew `cookie`"),
            ([Site.organizations, made, page], 502, "renew `cookie`"),
            ([Site.organizations, made, limit], 429, "limit"),
            ([Site.organizations, made, .json("{}", status: 500)], 503, "overloaded"),
            ([Site.organizations, .json("<html>")], 502, "web page"),
            ([Site.organizations, made, .json(#"{"error":{"type":"overloaded_error"}}"#)], 503, "overloaded"),
        ]
        for (scripts, status, words) in cases {
            let connector = FakeConnector(scripts: scripts)
            let failure = await thrown(by: try Self.model(), makeCall(connector, stream: stream))
            #expect(failure?.httpStatus == status && failure?.message.contains(words) == true, "\(words)")
            #expect(failure?.message.contains("secret") == false)
            if status == 429 { #expect(failure?.retryAfter == 2_592_000.0) }
        }
    }

    @Test("A refused cookie rests, and the next one has an organisation of its own")
    func rotation() async throws {
        let model = try Self.model {
            $0.options.values = ["cookie": ["sessionKey=old", "secret-cookie"], "conversation": "keep"]
        }
        let connector = Site().connector()
        let failure = await thrown(by: model, makeCall(connector))
        #expect(failure?.kind == .unauthenticated)
        for _ in 0..<3 { #expect(try await Self.ask(model, connector).contains("Hi")) }
        #expect(connector.count("GET /api/organizations") == 2)
    }

    @Test("Deletion keeps within bounds, and goes on when something is done")
    func bounds() async throws {
        let cleaner = ConversationCleaner()
        let (gate, open) = AsyncStream.makeStream(of: Void.self)
        let done = Mutex(0)
        let waiting = SharedValue<Bool>()
        for index in 0..<ConversationCleaner.atOnce + ConversationCleaner.waiting + 10 {
            let isTaken = cleaner.add(on: globalConcurrentExecutor) {
                _ = try? await waiting.value(through: FakeConnector()) { () async throws(ParleyError) -> Bool in
                    for await _ in gate { break }
                    return true
                }
                done.withLock { $0 += 1 }
            }
            #expect(isTaken == (index < ConversationCleaner.atOnce + ConversationCleaner.waiting))
        }
        #expect(done.withLock { $0 } == 0)
        open.yield()
        await Self.settle { done.withLock { $0 } == ConversationCleaner.atOnce + ConversationCleaner.waiting }
        #expect(done.withLock { $0 } == ConversationCleaner.atOnce + ConversationCleaner.waiting)
    }

    @Test("Settings that cannot work are refused by name")
    func settings() {
        #expect(AccountSetup.fault("claude-web") { $0.options.values["cookie"] = nil } == "cookie")
        #expect(AccountSetup.fault("claude-web") { $0.options.values["cookie"] = "a\nb" } == "cookie")
        #expect(AccountSetup.fault("claude-web") { $0.options.values["prompt"] = "{history}" } == "prompt")
        #expect(AccountSetup.fault("claude-web") { $0.options.values["conversation"] = "" } == "conversation")
        let several: (inout ProviderSetup) -> Void = {
            $0.options.values = ["cookie": ["a=1", "b=2"], "conversation": "some-id"]
        }
        #expect(AccountSetup.fault("claude-web", several) == "conversation")
    }
}
