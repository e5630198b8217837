// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire
import Testing

@testable import ParleyProviders

@Suite("The FlowGPT provider")
struct FlowGPTProviderTests {
    private static let answer = FakeConnector.Script(
        headers: [("content-type", "application/x-ndjson")],
        reads: [.bytes("{\"data\":\"Hel\"}\n{\"da"), .bytes("ta\":\"lo\"}\n")])
    private static let created = FakeConnector.Script.json(#"{"id":"conversation-one"}"#, status: 201)

    private static func model(
        _ id: String = "gpt-4-free", _ change: (inout ProviderSetup) -> Void = { _ in }
    ) throws -> any Model {
        try AccountSetup.model("flowgpt", id: id, change)
    }

    @Test("The signature is the one of the vector")
    func vector() {
        let signed = FlowGPTSignature(
            timestamp: "1700000000", nonce: "0123456789abcdef0123456789abcdef", device: "device-1")
        #expect(signed.signature == "8ddc7c08f93afbe13563b5b5a1229bff")
        let made = FlowGPTSignature(device: "device-1")
        let again = FlowGPTSignature(timestamp: made.timestamp, nonce: made.nonce, device: "device-1")
        #expect(made.signature == again.signature && made.nonce.count == 32)
        #expect(made.nonce.allSatisfy { $0.isHexDigit && !$0.isUppercase } && Int(made.timestamp) != nil)
    }

    @Test("A conversation is made of all the messages, and the last one is asked in it, signed")
    func steps() async throws {
        let connector = FakeConnector(Self.created, Self.answer)
        let body = """
            {"model":"a/m","temperature":0.2,"messages":[{"role":"developer","content":"Be brief."},
            {"role":"user","content":[{"type":"text","text":"Hi "},{"type":"text","text":"there"}]}]}
            """
        let reply = try await Self.model().answer(makeCall(connector, body: body, stream: false))
        let answer = try JSON.parse(try await text(of: reply))
        #expect(answer["choices"]?.array?.first?["message"]?["content"] == "Hello")
        #expect(reply.headers.contains(HeaderField("x-parley-estimated", "true")))
        #expect(connector.heads[0].hasPrefix("POST /conversation/create HTTP/1.1\r\nhost: up.example:9000\r\n"))
        #expect(
            connector.bodies[0]
                == #"{"promptId":"prompt-one","location":"CHAT_PAGE","messages":["#
                + #"{"role":"system","content":"Be brief."},{"role":"user","content":"Hi there"}]}"#)
        #expect(connector.heads[1].hasPrefix("POST /v3/chat HTTP/1.1\r\n"))
        #expect(
            connector.bodies[1]
                == #"{"model":"FlowGPT-Ares","nsfw":false,"question":"Hi there","temperature":0.2,"userId":"","#
                + #""promptId":"prompt-one","conversationId":"conversation-one","documentIds":[],"#
                + #""generateImage":false,"generateAudio":false}"#)
        Self.check(connector.requests)
    }

    private static func check(_ requests: [UpstreamRequest]) {
        for request in requests {
            #expect(request.header("authorization") == "Bearer secret-token")
            #expect(request.header("origin") == "https://flowgpt.com")
            #expect(request.header("referer") == "https://flowgpt.com/")
            #expect(request.header("x-flow-device-id") == "device-1" && request.header("x-flow-language") == "en")
            #expect(request.header("accept") == "*/*" && request.header("content-type") == "application/json")
            #expect(request.header("user-agent")?.hasPrefix("parley/") == true)
        }
        #expect(requests[0].header("x-signature") == nil)
        let signed = FlowGPTSignature(
            timestamp: requests[1].header("x-timestamp") ?? "", nonce: requests[1].header("x-nonce") ?? "",
            device: "device-1")
        #expect(requests[1].header("x-signature") == signed.signature)
    }

    @Test("FlowGPT's alias -> prompt-id map with a default: an unknown alias has the default's prompt")
    func aliases() async throws {
        let models: [ProviderSetup.Rename] = [.init("first", "prompt-one"), .init("second", "prompt-two")]
        let cases = [
            ("first", nil, "prompt-one"), ("second", nil, "prompt-two"), ("unknown", nil, "prompt-one"),
            ("unknown", "second", "prompt-two"), ("default", "second", "prompt-two"), ("first", "second", "prompt-one"),
        ]
        for (alias, standard, prompt) in cases as [(String, String?, String)] {
            let connector = FakeConnector(Self.created, Self.answer)
            let model = try Self.model(alias) {
                $0.models = models
                $0.options.values["default_model"] = standard.map { .string($0) }
            }
            _ = try await model.answer(makeCall(connector))
            #expect(connector.requests.map { ($0.json?["promptId"]?.string) } == [prompt, prompt], "\(alias)")
        }
        var setup = ProviderSetup(name: "a", kind: "flowgpt")
        AccountSetup.complete(&setup)
        setup.models = models
        #expect(try Registry.make(setup).listedModels == ["first", "second"])
    }

    @Test("A token with its scheme is sent as it is, and several tokens rotate with their devices")
    func tokens() async throws {
        let model = try Self.model {
            $0.options.values = ["token": ["bEaReR one", "two"], "device_id": ["d1", "d2"]]
        }
        let refused = FakeConnector.Script.json(#"{"message":"jwt expired"}"#, status: 401)
        let connector = FakeConnector(refused, Self.created, Self.answer, Self.created, Self.answer)
        let failure = await thrown(by: model, makeCall(connector))
        #expect(failure?.kind == .unauthenticated && failure?.message.contains("renew `token`") == true)
        for _ in 0..<2 { _ = try await model.answer(makeCall(connector)) }
        #expect(
            connector.requests.map { $0.header("authorization") } == ["bEaReR one"]
                + [String](repeating: "Bearer two", count: 4))
        #expect(connector.requests.map { $0.header("x-flow-device-id") } == ["d1", "d2", "d2", "d2", "d2"])
    }

    @Test("What goes wrong in either step has its own status, and says nothing of the token")
    func failures() async throws {
        let page = FakeConnector.Script(
            status: 403, headers: [("content-type", "text/html")], reads: [.bytes("<!DOCTYPE html><title>x</title>")])
        let cases: [([FakeConnector.Script], Int, String)] = [
            ([.json(#"{"message":"secret-token"}"#, status: 401)], 401, "renew `token`"),
            ([.json("{}", status: 403)], 401, "clock"), ([page], 502, "web page"),
            ([.json("{}")], 502, "made no conversation"), ([.json("<html>")], 502, "web page"),
            ([.json(#"{"message":"no"}"#, status: 500)], 502, "no"), ([Self.created, page], 502, "web page"),
            ([Self.created, .json("{}", status: 403)], 401, "renew `token`"),
            ([Self.created, .json("<html>")], 502, "renew `token`"), ([Self.created, .json("")], 502, "empty"),
            ([Self.created, .json("{}", status: 429, headers: [("retry-after", "7")])], 429, ""),
        ]
        for (scripts, status, words) in cases {
            for stream in [false, true] {
                let connector = FakeConnector(scripts: scripts)
                let failure = await thrown(by: try Self.model(), makeCall(connector, stream: stream))
                #expect(failure?.httpStatus == status && failure?.message.contains(words) == true, "\(words)")
                #expect(failure?.message.contains("secret") == false && failure?.message.contains("device-1") == false)
                if status == 429 { #expect(failure?.retryAfter == 7) }
            }
        }
    }

    @Test("Tools, images and several answers are refused before anything is sent")
    func refused() async throws {
        let image = #"[{"type":"image_url","image_url":{"url":"https://e.x/a.png"}}]"#
        let cases = [
            (#","tools":[{"type":"function","function":{"name":"f"}}]"#, #""Hi""#, "tools"),
            (#","n":2"#, #""Hi""#, "n"), ("", image, "messages[0].content[0].image_url"),
            (#","response_format":{"type":"json_object"}"#, #""Hi""#, "response_format"),
        ]
        for (more, content, parameter) in cases {
            let connector = FakeConnector()
            let body = #"{"model":"a/m","messages":[{"role":"user","content":\#(content)}]\#(more)}"#
            let failure = await thrown(by: try Self.model(), makeCall(connector, body: body, stream: false))
            #expect(failure?.kind == .invalid && failure?.parameter == parameter)
            #expect(connector.requests.isEmpty)
        }
    }

    @Test("Settings that cannot work are refused by name")
    func settings() {
        #expect(AccountSetup.fault("flowgpt") { $0.options.values["token"] = nil } == "token")
        #expect(AccountSetup.fault("flowgpt") { $0.options.values["device_id"] = "" } == "device_id")
        #expect(AccountSetup.fault("flowgpt") { $0.options.values["device_id"] = ["a", "b"] } == "device_id")
        #expect(AccountSetup.fault("flowgpt") { $0.options.values["token"] = "a\r\nx: y" } == "token")
        #expect(AccountSetup.fault("flowgpt") { $0.options.values["default_model"] = "other" } == "default_model")
        #expect(AccountSetup.fault("flowgpt") { $0.models = [] } == "models")
        #expect(AccountSetup.fault("flowgpt") { _ in } == nil)
    }

    @Test("Two hundred streams at once keep to themselves")
    func mixing() async throws {
        let connector = AnsweringConnector { _, path, request in
            if path == "/conversation/create" {
                let question = request.json?["messages"]?.array?.last?["content"]?.string ?? ""
                return .json(#"{"id":"for \#(question)"}"#)
            }
            let id = request.json?["conversationId"]?.string ?? ""
            let pieces = ["thoughts Resp", "onse:", "** ", id] + (0..<30).map { "|\($0)" }
            return FakeConnector.Script(reads: pieces.map { .bytes("{\"data\":\"\($0)\"}\n") })
        }
        let model = try Self.model()
        try await withThrowingTaskGroup(of: (Int, String).self) { group in
            for number in 0..<200 {
                group.addTask {
                    let body = #"{"model":"a/m","stream":true,"messages":[{"role":"user","content":"no \#(number)"}]}"#
                    var call = makeCall(connector, body: body)
                    call.form = .neutral
                    var said = ""
                    let events = try await allEvents(of: try await model.answer(call))
                    for case .text(_, let text) in events { said += text }
                    return (number, said)
                }
            }
            let rest = (0..<30).map { "|\($0)" }.joined()
            for try await (number, said) in group { #expect(said == "for no \(number)" + rest) }
        }
        #expect(connector.requests.count == 400)
    }
}
