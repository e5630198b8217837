// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import Testing

@testable import ParleyProviders

@Suite("An upstream's request")
struct UpstreamRequestTests {
    @Test("The head has the request line, the key and the fixed headers, and no content-length")
    func head() async throws {
        let connector = FakeConnector(.json(wholeAnswer))
        let model = try makeModel { $0.headers = [HeaderField("X-Team", "research")] }
        var call = makeCall(connector, stream: false)
        call.headers = [HeaderField("x-title", "app"), HeaderField("bad", "a\r\nb: c")]
        _ = try await model.answer(call)
        #expect(
            connector.heads == [
                """
                POST /v1/chat/completions HTTP/1.1\r
                host: up.example:9000\r
                authorization: Bearer k1\r
                user-agent: parley/\(Parley.version)\r
                x-team: research\r
                content-type: application/json\r
                accept: application/json, text/event-stream\r
                accept-encoding: identity\r
                x-title: app\r\n
                """
            ])
        #expect(connector.requests.first?.endpoint.host == "up.example")
        #expect(connector.requests.first?.endpoint.port == 9000)
        #expect(connector.requests.first?.endpoint.isSecure == false)
    }

    @Test("The body is spliced: only the model changes, unknown fields, spaces and numbers stay")
    func splice() async throws {
        let connector = FakeConnector(.json(wholeAnswer))
        let body =
            #"{ "model" : "a/m", "messages":[{"role":"user","content":"é\u00e9"}], "temperature": 1.50, "x":{"b":1,"a":2} }"#
        _ = try await makeModel(id: "gpt-x").answer(makeCall(connector, body: body, stream: false))
        #expect(connector.bodies == [body.replacing(#""a/m""#, with: #""gpt-x""#)])
    }

    @Test("A stream asks for usage, and the chunk with it is kept from a client that did not")
    func stripsUsage() async throws {
        let stream = FakeConnector.Script.stream(
            roleFrame, frame(#"{"content":"Hi"}"#), frame("{}", finish: "stop") + usageFrame + doneFrame)
        let connector = FakeConnector(stream, stream)
        let model = try makeModel()
        let reply = try await model.answer(makeCall(connector))
        #expect(connector.bodies[0].contains(#""stream_options":{"include_usage":true}"#))
        let answer = try await text(of: reply)
        #expect(!answer.contains("usage"))
        #expect(answer.hasSuffix(doneFrame))
        guard case .client(let body) = reply.content else { return }
        #expect(body.observed.usage == Usage(input: 3, output: 2))
        #expect(body.observed.finish == "stop")

        let wanted = try await text(of: try await model.answer(makeCall(connector, includeUsage: true)))
        #expect(
            wanted == roleFrame + frame(#"{"content":"Hi"}"#) + frame("{}", finish: "stop") + usageFrame + doneFrame)
    }

    @Test("params fill what the client left open, force wins, a rename goes upstream")
    func overrides() async throws {
        let connector = FakeConnector(.json(wholeAnswer))
        let model = try makeModel(id: "nice") {
            $0.models = [.init("nice", "ugly-7b")]
            $0.overrides = [
                FieldOverride(name: "temperature", json: "0.8", force: false),
                FieldOverride(name: "top_p", json: "0.5", force: false),
                FieldOverride(name: "user", json: "\"parley\"", force: true),
            ]
        }
        let body = #"{"model":"a/nice","messages":[],"temperature":0.1,"user":"me"}"#
        let call = makeCall(connector, body: body, stream: false)
        _ = try await model.answer(call)
        let sent = try #require(try? parsed(connector.bodies[0]))
        #expect(sent["temperature"] == .number("0.1"))
        #expect(sent["top_p"] == .number("0.5"))
        #expect(sent["user"] == "parley")
        #expect(sent["model"] == "ugly-7b")
        #expect(call.trace.upstream == "a/nice")
    }

    @Test("A request that a composition changed is written from its neutral form, with the overrides")
    func neutralRequest() async throws {
        let connector = FakeConnector(.json(wholeAnswer))
        var call = makeCall(connector, stream: false)
        call.request = ChatRequest(
            model: "x", messages: [Message(.system, text: "Be kind."), Message(.user, text: "Hi")])
        call.overrides = [
            FieldOverride(name: "max_tokens", json: "500", force: true),
            FieldOverride(name: "verbosity", json: "\"low\"", force: false),
        ]
        _ = try await makeModel().answer(call)
        let sent = try #require(try? parsed(connector.bodies[0]))
        #expect(sent["model"] == "m")
        #expect(sent["messages"]?.array?.count == 2)
        #expect(sent["max_tokens"] == 500)
        #expect(sent["verbosity"] == "low")
    }

    @Test("A default that comes later does not undo what something weaker forced")
    func forceStays() throws {
        var request = ChatRequest(model: "m", messages: [])
        try request.apply([
            FieldOverride(name: "temperature", json: "0", force: true),
            FieldOverride(name: "temperature", json: "1", force: false),
            FieldOverride(name: "tools", json: #"[{"type":"function","function":{"name":"f"}}]"#, force: false),
        ])
        #expect(request.temperature == 0)
        #expect(request.tools.map(\.name) == ["f"])
    }

    @Test("developer becomes system for vendors that do not know it, and only then is the request rewritten")
    func developer() async throws {
        let connector = FakeConnector(.json(wholeAnswer), .json(wholeAnswer))
        let model = try makeModel(kind: "together")
        let plain = #"{"model":"a/m",  "messages":[{"role":"user","content":"Hi"}]}"#
        _ = try await model.answer(makeCall(connector, body: plain, stream: false))
        #expect(connector.bodies[0].contains("  "))
        let body =
            #"{"model":"a/m","messages":[{"role":"developer","content":"Be kind."},{"role":"user","content":"Hi"}]}"#
        _ = try await model.answer(makeCall(connector, body: body, stream: false))
        let sent = try #require(try? parsed(connector.bodies[1]))
        #expect(sent["messages"]?.array?.first?["role"] == "system")
    }

    @Test("The service's stream_options complaint is answered by one try without, and remembered")
    func learnsStreamOptions() async throws {
        let complaint = FakeConnector.Script.json(
            #"{"error":{"message":"Unrecognized request argument supplied: stream_options"}}"#, status: 400)
        let stream = FakeConnector.Script.stream(frame(#"{"content":"Hi"}"#, finish: "stop") + doneFrame)
        let connector = FakeConnector(complaint, stream, stream, complaint)
        var setup = ProviderSetup(name: "a", kind: "openai-compatible")
        setup.baseURL = "http://h/v1"
        let source = try Registry.make(setup)
        let model = try #require(source.model("m"))
        let call = makeCall(connector)
        _ = try await model.answer(call)
        #expect(connector.bodies.map { $0.contains("stream_options") } == [true, false])
        #expect(call.trace.attemptCount == 1)
        _ = try await source.model("other")?.answer(makeCall(connector))
        #expect(connector.bodies.count == 3)
        #expect(!connector.bodies[2].contains("stream_options"))
        // Complaining on and on does not make it go round for ever.
        let failure = await thrown(by: model, makeCall(connector))
        #expect(failure != nil)
        #expect(connector.bodies.count <= 5)
    }

    @Test("Deadlines: connect and first for the head, first until the first words, idle after, never past the call's")
    func deadlines() async throws {
        let connector = FakeConnector(
            .stream(": ping\n\n", roleFrame, frame(#"{"content":"Hi"}"#), frame("{}", finish: "stop") + doneFrame))
        let model = try makeModel { $0.timeouts = TimeoutOverrides(connect: .seconds(3), idle: .seconds(7)) }
        var call = makeCall(connector)
        call.timeouts = TimeoutOverrides(first: .seconds(20))
        let start = NIODeadline.now()
        _ = try await text(of: try await model.answer(call))
        let request = try #require(connector.requests.first)
        #expect(request.connectTimeout == .seconds(3))
        #expect(request.headDeadline >= start + .seconds(20))
        // One and the same for the head, the comment and the role.
        #expect(connector.deadlines.prefix(3).allSatisfy { $0 == request.headDeadline })
        #expect(connector.deadlines[3] < request.headDeadline)

        let short = FakeConnector(.stream(frame(#"{"content":"Hi"}"#, finish: "stop") + doneFrame))
        let end = NIODeadline.now() + .seconds(1)
        _ = try await text(of: try await model.answer(makeCall(short, deadline: end)))
        #expect(short.requests[0].headDeadline == end)
    }
}
