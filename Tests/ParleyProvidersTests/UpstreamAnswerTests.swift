// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import Testing

@testable import ParleyProviders

private let cut = ParleyError(.upstreamUnavailable, "the connection was cut")

@Suite("An upstream's answer")
struct UpstreamAnswerTests {
    @Test("A cut after the role and before the first words is thrown by answer, so that others may be tried")
    func cutBeforeCommit() async throws {
        var script = FakeConnector.Script.stream(roleFrame)
        script.reads.append(.failure(cut))
        let call = makeCall(FakeConnector(script))
        let failure = await thrown(by: try makeModel(), call)
        #expect(failure?.kind == .upstreamUnavailable)
        #expect(failure?.message == "a: the connection was cut")
        #expect(call.trace.attempts.map(\.upstream) == ["a/m"])
        #expect(call.trace.attempts.map(\.failure) == [.upstreamUnavailable])
    }

    @Test("A cut after the first words comes after them, whatever was in one read")
    func cutAfterCommit() async throws {
        var script = FakeConnector.Script.stream(roleFrame + frame(#"{"content":"Hi"}"#))
        script.reads.append(.failure(cut))
        let error = #"data: {"error":{"message":"boom","type":"server_error"}}"# + "\n\n"
        let inOneRead = FakeConnector.Script.stream(roleFrame + frame(#"{"content":"Hi"}"#) + error)
        for script in [script, inOneRead] {
            let reply = try await makeModel().answer(makeCall(FakeConnector(script)))
            guard case .client(let body) = reply.content else {
                Issue.record("not relayed")
                return
            }
            var out = ByteBuffer()
            let more = try await body.next(into: &out, by: .distantFuture)
            #expect(more)
            #expect(String(buffer: out) == roleFrame + frame(#"{"content":"Hi"}"#))
            let failure = await thrown(by: body, into: &out)
            #expect(failure != nil)
            // It stays failed.
            let again = await thrown(by: body, into: &out)
            #expect(again != nil)
        }
    }

    @Test("What cannot be read in a stream is told by its place", arguments: [DialectID.openAIChat, .anthropic])
    func placeOfTrouble(client: DialectID) async throws {
        let start = roleFrame + frame(#"{"content":"Hi"}"#)
        var script = FakeConnector.Script.stream(start)
        script.reads.append(.raw(Array("data: {\"secret\n\n".utf8)))
        var call = makeCall(FakeConnector(script))
        if client == .anthropic {
            call.dialect = client
            call.body = ByteBuffer(
                string: #"{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"Hi"}]}"#)
            call.reading = nil
        }
        let reply = try await makeModel().answer(call)
        guard case .client(let body) = reply.content else {
            Issue.record("not relayed")
            return
        }
        var out = ByteBuffer()
        _ = try await body.next(into: &out, by: .distantFuture)
        let failure = await thrown(by: body, into: &out)
        #expect(failure?.kind == .upstreamUnavailable && failure?.offset == start.utf8.count)
        #expect(failure?.message.contains("secret") == false)
    }

    @Test("The same two for events")
    func eventsCut() async throws {
        var early = FakeConnector.Script.stream(roleFrame)
        early.reads.append(.failure(cut))
        var late = FakeConnector.Script.stream(roleFrame + frame(#"{"content":"Hi"}"#))
        late.reads.append(.failure(cut))
        let connector = FakeConnector(early, late)
        var call = makeCall(connector)
        call.form = .neutral
        #expect(await thrown(by: try makeModel(), call) != nil)
        let reply = try await makeModel().answer(call)
        guard case .events(let source) = reply.content else {
            Issue.record("no events")
            return
        }
        var events: [Event] = []
        let more = try await source.next(into: &events, by: .distantFuture)
        #expect(more)
        #expect(events.contains(.text(choice: 0, "Hi")))
        do {
            _ = try await source.next(into: &events, by: .distantFuture)
            Issue.record("no failure")
        } catch {
            #expect(error.kind == .upstreamUnavailable)
        }
    }

    @Test("A stream whose body ends without a finish reason is an error, with one it gets its terminator")
    func endings() async throws {
        let call = makeCall(FakeConnector(.stream(roleFrame)))
        #expect(await thrown(by: try makeModel(), call)?.kind == .upstreamUnavailable)
        let finished = FakeConnector(.stream(frame(#"{"content":"Hi"}"#), frame("{}", finish: "stop")))
        let answer = try await text(of: try await makeModel().answer(makeCall(finished)))
        #expect(answer.hasSuffix(doneFrame))
        let open = FakeConnector(.stream(frame(#"{"content":"Hi"}"#)))
        let reply = try await makeModel().answer(makeCall(open))
        guard case .client(let body) = reply.content else { return }
        var out = ByteBuffer()
        let failure = await thrown(by: body, into: &out)
        #expect(failure?.kind == .upstreamUnavailable)
    }

    @Test("After the terminator the client waits for nothing, and an upstream that goes on is closed")
    func closesAfterDone() async throws {
        var script = FakeConnector.Script.stream(frame(#"{"content":"Hi"}"#, finish: "stop") + doneFrame)
        script.reads.append(.bytes("data: more\n\n"))
        let connector = FakeConnector(script)
        let reply = try await makeModel().answer(makeCall(connector))
        let reads = connector.deadlines.count
        #expect(try await text(of: reply).hasSuffix(doneFrame))
        #expect(connector.deadlines.count == reads)
        #expect(connector.cancelled == 1)
    }

    @Test("Giving a reply up closes its upstream")
    func cancel() async throws {
        let connector = FakeConnector(.stream(frame(#"{"content":"Hi"}"#), frame(#"{"content":"!"}"#)))
        let reply = try await makeModel().answer(makeCall(connector))
        guard case .client(let body) = reply.content else { return }
        #expect(connector.cancelled == 0)
        body.cancel()
        #expect(connector.cancelled == 1)
    }

    @Test("A web page with status 200 is an upstream failure", arguments: [true, false])
    func webPage(stream: Bool) async throws {
        let page = FakeConnector.Script(
            headers: [("Content-Type", "text/html")], reads: [.bytes("\n<!DOCTYPE html><html></html>")])
        let failure = await thrown(by: try makeModel(), makeCall(FakeConnector(page), stream: stream))
        #expect(failure?.kind == .upstreamUnavailable)
        #expect(failure?.message == "a: the service sent a web page in place of an answer")
    }

    @Test(
        "An empty or unreadable whole answer is an upstream failure", arguments: ["", "  ", "hello", "{\"id\":", "{}"])
    func unreadable(body: String) async throws {
        let script = FakeConnector.Script.json(body)
        let failure = await thrown(by: try makeModel(), makeCall(FakeConnector(script), stream: false))
        #expect(failure?.kind == .upstreamUnavailable)
        #expect(failure?.httpStatus == 502)
    }

    @Test("A whole answer is relayed byte for byte, with its usage seen")
    func whole() async throws {
        let connector = FakeConnector(
            .json(
                "  \(wholeAnswer)\n",
                headers: [
                    ("X-Request-Id", "up-1"), ("x-ratelimit-remaining-requests", "9"), ("openai-processing-ms", "12"),
                    ("set-cookie", "a=b"),
                ]))
        let reply = try await makeModel().answer(makeCall(connector, stream: false))
        #expect(
            reply.headers == [
                HeaderField("x-upstream-request-id", "up-1"), HeaderField("x-ratelimit-remaining-requests", "9"),
                HeaderField("openai-processing-ms", "12"),
            ])
        guard case .client(let body) = reply.content else {
            Issue.record("not relayed")
            return
        }
        #expect(body.contentType == "application/json")
        #expect(body.observed.usage == Usage(input: 3, output: 1))
        #expect(try await text(of: reply) == "  \(wholeAnswer)\n")
    }

    @Test("An error with status 200 is an error", arguments: [true, false])
    func errorWith200(stream: Bool) async throws {
        let script = FakeConnector.Script.json(#"{"error":{"message":"Slow down","code":429}}"#)
        let failure = await thrown(by: try makeModel(), makeCall(FakeConnector(script), stream: stream))
        #expect(failure?.message.contains("Slow down") == true)
    }

    @Test("A whole answer to a stream's request becomes a stream")
    func jsonForStream() async throws {
        let connector = FakeConnector(.json(wholeAnswer), .json(wholeAnswer))
        let answer = try await text(of: try await makeModel().answer(makeCall(connector)))
        #expect(answer.hasPrefix("data: {"))
        #expect(answer.contains(#""content":"Hi""#))
        #expect(answer.hasSuffix(doneFrame))
        var call = makeCall(connector)
        call.form = .neutral
        let events = try await allEvents(of: try await makeModel().answer(call))
        #expect(events.contains(.text(choice: 0, "Hi")))
        #expect(events.contains(.finish(choice: 0, .stop)))
    }

    @Test("A stream to a whole answer's request is put together")
    func streamForWhole() async throws {
        let script = FakeConnector.Script.stream(
            roleFrame + frame(#"{"content":"H"}"#), frame(#"{"content":"i"}"#, finish: "stop"), usageFrame, doneFrame)
        let connector = FakeConnector(script, script)
        let answer = try parsed(try await text(of: try await makeModel().answer(makeCall(connector, stream: false))))
        #expect(answer["choices"]?.array?.first?["message"]?["content"] == "Hi")
        #expect(answer["usage"]?["total_tokens"] == 5)
        var call = makeCall(connector, stream: false)
        call.form = .neutral
        guard case .whole(let response) = try await makeModel().answer(call).content else {
            Issue.record("not whole")
            return
        }
        #expect(response.choices.first?.message.text == "Hi")
        #expect(response.usage == Usage(input: 3, output: 2))
    }

    @Test("A whole answer that is too long to be held passes through")
    func long() async throws {
        let piece = String(repeating: "x", count: 700_000)
        var script = FakeConnector.Script.json(#"{"choices":[{"message":{"content":""# + piece)
        script.reads += [.bytes(piece), .bytes(piece), .bytes(#""}}]}"#)]
        let reply = try await makeModel().answer(makeCall(FakeConnector(script), stream: false))
        let answer = try await text(of: reply)
        #expect(answer == #"{"choices":[{"message":{"content":""# + piece + piece + piece + #""}}]}"#)
        guard case .client(let body) = reply.content else { return }
        #expect(body.observed.usage.estimated)
        #expect(body.observed.isComplete)
    }

    @Test("A vendor whose answers are rewritten is decoded and encoded")
    func rewritten() async throws {
        let chunk = frame(#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]}]}"#)
        let connector = FakeConnector(
            .stream(roleFrame + chunk, frame(#"{"content":"Hi"}"#, finish: "stop") + doneFrame))
        let answer = try await text(of: try await makeModel(kind: "mistral").answer(makeCall(connector)))
        #expect(answer.contains(#""reasoning_content":"hm""#))
        #expect(answer.contains(#""content":"Hi""#))
        #expect(answer.hasSuffix(doneFrame))
    }
}
