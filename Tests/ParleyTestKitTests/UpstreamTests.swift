// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.
import Foundation
import ParleyTestKit
import Testing

@Suite("The upstream as a whole")
struct UpstreamTests {
    @Test("The first live script that matches answers, and a spent one gives way")
    func matching() async throws {
        let scripts: [Script] = [
            .json("1", match: .init(model: "m1"), times: 1),
            .json("2", match: .init(path: "/v1/other")),
            .json("3", match: .init(header: ["Authorization": "Bearer x"])),
            .json("4", match: .init(model: "m1")),
        ]
        try await ScriptedUpstream.with(scripts: scripts) { upstream in
            let client = try await RawClient.connect(to: upstream.port)
            let asks: [(body: String, path: String, headers: String, answer: String)] = [
                (#"{"messages":[{"model":"no"}],"stream":false,"model" : "m1"}"#, "/v1/chat/completions", "", "1"),
                (#"{"model":"m1"}"#, "/v1/chat/completions", "", "4"),
                (#"{"model":"m1"}"#, "/v1/other?q=1", "", "2"),
                (#"{"model":"m2"}"#, "/v1/x", "authorization: Bearer x\r\n", "3"),
                (#"{"x":"\"model\":\"m1\""}"#, "/v1/nowhere", "", "}"),
            ]
            for ask in asks {
                try await client.post(ask.body, path: ask.path, headers: ask.headers)
                try await client.wait {
                    $0.text.hasSuffix("\r\n\r\n\(ask.answer)") || $0.text.hasSuffix(ask.answer + "}")
                }
            }
            let log = await upstream.requests()
            #expect(log.map(\.model) == ["m1", "m1", "m1", "m2", nil])
            await client.close()
        }
    }

    @Test("The log has every request with its headers, body and fate")
    func log() async throws {
        try await ScriptedUpstream.with(scripts: [.json("{}", times: 1)]) { upstream in
            let client = try await RawClient.connect(to: upstream.port)
            try await client.post(#"{"model":"m1","x":"ü"}"#, path: "/p?q=1", headers: "X-Twice: a\r\nx-twice: b\r\n")
            let received = try await client.wait(until: "{}")
            await upstream.add(Script(steps: [.cut(.rst)]))
            try await client.post("")
            try await client.waitForClose()
            let log = await upstream.requests()
            let first = try #require(log.first)
            #expect(first.id == 1)
            #expect(first.method == "POST")
            #expect(first.path == "/p?q=1")
            #expect(first.headers["x-twice"] == "a, b")
            #expect(first.bodyText == #"{"model":"m1","x":"ü"}"#)
            #expect(first.model == "m1")
            #expect(first.state == .complete)
            #expect(first.bytesWritten == received.bytes.count)
            #expect(log.last?.state == .cut)
            #expect(log.last?.millisecondsToClose == nil)
            await upstream.clear()
            #expect(await upstream.requests().isEmpty)
        }
    }

    @Test("Requests sent early are answered in order")
    func pipelining() async throws {
        try await ScriptedUpstream.with(
            scripts: [Script(times: 1, steps: [.write("slow"), .sleep(milliseconds: 20), .end]), .json("fast")]
        ) { upstream in
            let client = try await RawClient.connect(to: upstream.port)
            let request = "POST /v1/x HTTP/1.1\r\nhost: u\r\ncontent-length: 0\r\n\r\n"
            try await client.send(request + request)
            let text = try await client.wait(until: "fast").text
            let slow = try #require(text.range(of: "slow\r\n0\r\n\r\n"))
            #expect(text[slow.upperBound...].hasPrefix("HTTP/1.1 200 OK"))
            await client.close()
        }
    }

    @Test("A client's close is noticed while paced events are being sent")
    func closeDuringPacedEvents() async throws {
        let endless = Script(steps: [.repeat(.init(1_000_000, write: "tick ", everyMilliseconds: 5))])
        try await ScriptedUpstream.with(scripts: [endless]) { upstream in
            let client = try await RawClient.connect(to: upstream.port)
            try await client.post("{}")
            try await client.wait { $0.text.contains("tick") }
            await client.close()
            try await upstream.waitForRequest(toBe: .clientClosed)
            try await upstream.waitForOpenConnections(0)
        }
    }

    @Test("A client that resets the connection is one that closed it, one that talks nonsense is not")
    func resetsAndNonsense() async throws {
        try await ScriptedUpstream.with(scripts: [Script(steps: [.head(.init()), .write("unread"), .hang])]) {
            upstream in
            // Closing a socket with unread bytes in it sends a reset.
            let resetting = try await RawClient.connect(to: upstream.port, reads: false)
            try await resetting.post("{}")
            try await upstream.wait(for: "a written head") { ($0.first?.bytesWritten ?? 0) > 0 }
            await resetting.close()
            let request = try await upstream.waitForRequest(0, toBe: .clientClosed)
            #expect(request.millisecondsToClose != nil)
            let babbling = try await RawClient.connect(to: upstream.port)
            try await babbling.post("{}")
            try await babbling.wait(until: "unread\r\n")
            try await babbling.send("nonsense\r\n\r\n")
            try await babbling.waitForClose()
            #expect(try await upstream.waitForRequest(1, toBe: .cut).millisecondsToClose == nil)
        }
    }

    @Test("Waiting has a bound and says what there was instead")
    func boundedWaiting() async throws {
        try await ScriptedUpstream.with { upstream in
            await #expect(throws: ScriptedUpstream.WaitedTooLong.self) {
                try await upstream.waitForRequests(count: 1, within: .milliseconds(20))
            }
        }
    }

    @Test("TLS is spoken with a certificate that a client can trust, and a cut skips the goodbye")
    func tls() async throws {
        try await ScriptedUpstream.with(
            scripts: [Script(times: 1, steps: [.write("secret")]), Script(steps: [.write("half"), .cut(.fin)])],
            tls: .localhost
        ) { upstream in
            #expect(upstream.baseURL == "https://127.0.0.1:\(upstream.port)/v1")
            let client = try await RawClient.connect(to: upstream.port, trusting: .localhost)
            try await client.post("{}")
            try await client.wait(until: "6\r\nsecret\r\n0\r\n\r\n")
            try await client.post("{}")
            let cut = try await client.waitForClose()
            #expect(cut.text.hasSuffix("4\r\nhalf\r\n"))
            let stranger = try await RawClient.connect(to: upstream.port)
            try await stranger.post("{}")
            try await stranger.waitForClose()
            #expect(await upstream.requests().count == 2)
        }
    }

    @Test("The control API takes scripts, tells the log and the counts, and is in neither")
    func control() async throws {
        try await ScriptedUpstream.with { upstream in
            let control = try await RawClient.connect(to: upstream.port)
            let script = Script(match: .init(model: "m1"), times: 1, steps: [.head(.init(418)), .write("teapot")])
            let json = String(decoding: try JSONEncoder().encode([script]), as: UTF8.self)
            try await control.post(json, path: "/__script")
            try await control.wait(until: #"{"ok":true}"#)
            let client = try await RawClient.connect(to: upstream.port)
            try await client.post(#"{"model":"m1"}"#)
            #expect(try await client.wait(until: "0\r\n\r\n").text.hasPrefix("HTTP/1.1 418 "))
            try await control.send("GET /__log HTTP/1.1\r\nhost: u\r\n\r\n")
            let log = try await control.wait(until: "]").text
            let list = try #require(log.range(of: "[{", options: .backwards))
            let entries = try JSONDecoder().decode([LoggedRequest].self, from: Data(log[list.lowerBound...].utf8))
            #expect(entries == (await upstream.requests()))
            #expect(await upstream.stats().openConnections == 1)
            #expect(await upstream.stats().requests == 1)
            try await control.post(#"[{"steps":[{"wirte":"x"}]}]"#, path: "/__script")
            #expect(try await control.wait { $0.text.contains("HTTP/1.1 400") }.isClosed == false)
            try await control.send("DELETE /__script HTTP/1.1\r\nhost: u\r\n\r\n")
            try await control.wait(until: #"{"ok":true}"#)
            #expect(await upstream.requests().isEmpty)
            await control.close()
            await client.close()
        }
    }

    @Test("A script survives JSON")
    func scriptCoding() throws {
        let steps: [Script.Step] = [
            .head(.init(200, headers: ["a": "b"], framing: .declaredLength(3))), .head(.init(framing: .close)),
            .head(.init(framing: .length)), .write("x"), .writeBytes([0, 255]), .writeFile("f"),
            .sse(.init(["{}"], done: false, crlf: true)), .repeat(.init(3, write: "$i", everyMilliseconds: 2)),
            .split(.size(1)), .split(.random(seed: 7, max: 64)), .sleep(milliseconds: 5), .hang, .cut(.fin), .cut(.rst),
            .end, .close, .raw("r"), .refuse,
        ]
        let script = Script(match: .init(model: "m", path: "/p", header: ["h": "v"]), times: 2, steps: steps)
        #expect(try JSONDecoder().decode(Script.self, from: JSONEncoder().encode(script)) == script)
        let written = #"{"steps":[{"head":{}},{"split":{"seed":7,"max":64}},{"sse":["a"]},{"write_base64":"AP8="}]}"#
        let read = try JSONDecoder().decode(Script.self, from: Data(written.utf8))
        #expect(
            read
                == Script(steps: [
                    .head(.init()), .split(.random(seed: 7, max: 64)), .sse(.init(["a"])), .writeBytes([0, 255]),
                ]))
        for wrong in [
            #"[{"hang":false}]"#, #"[{"split":0}]"#, #"[{"write":"a","raw":"b"}]"#, #"[{"cut":"maybe"}]"#,
            #"[{"head":{"header":{}}}]"#,
        ] {
            #expect(throws: DecodingError.self) {
                try JSONDecoder().decode(Script.self, from: Data(#"{"steps":\#(wrong)}"#.utf8))
            }
        }
    }
}

@Suite("Answers without a script")
struct BuiltInAnswerTests {
    private func answer(_ body: String, headers: String = "", until suffix: String) async throws -> String {
        try await ScriptedUpstream.with { upstream in
            let client = try await RawClient.connect(to: upstream.port)
            try await client.post(body, headers: headers)
            let text = try await client.wait(until: suffix).body
            await client.close()
            return text
        }
    }

    private struct Whole: Decodable {
        struct Choice: Decodable {
            struct Message: Decodable { var content: String? }
            var message: Message
        }
        var model: String
        var choices: [Choice]
    }

    @Test("A whole answer, a stream with usage, a tool call and an error look like OpenAI's")
    func shapes() async throws {
        let whole = try await answer(#"{"model":"a \" b","messages":[]}"#, until: "}")
        let decoded = try JSONDecoder().decode(Whole.self, from: Data(whole.utf8))
        #expect(decoded.model == "a \" b")
        #expect(decoded.choices.first?.message.content == "Hello from upstream.")
        let stream = try await answer(
            #"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#, until: "0\r\n\r\n")
        #expect(stream.contains(#""choices":[],"usage":{"prompt_tokens":11"#))
        #expect(stream.hasSuffix("data: [DONE]\n\n\r\n0\r\n\r\n"))
        let bare = try await answer(#"{"model":"m","stream":true}"#, until: "0\r\n\r\n")
        #expect(!bare.contains("usage"))
        let tool = #"[{"type":"function","function":{"name":"go"}}]"#
        let call = try await answer(
            #"{"model":"m","tools":\#(tool),"messages":[{"role":"user","content":[{"type":"text","text":"call tool"}]}]}"#,
            until: "}")
        #expect(call.contains(#""name":"go""#))
        #expect(call.contains(#""finish_reason":"tool_calls""#))
        let wrong = try await answer("{}", headers: "authorization: Bearer wrong\r\n", until: "}}")
        #expect(wrong.contains("invalid_api_key"))
    }

    @Test("The benchmark models answer with fixed bytes and stay out of the log")
    func benchmarks() async throws {
        let json = try await answer(#"{"model":"bench-json"}"#, until: "}")
        #expect(json.utf8.count == 500)
        #expect((try? JSONDecoder().decode(Whole.self, from: Data(json.utf8)))?.model == "bench-json")
        let stream = try await answer(#"{"model":"bench-stream"}"#, until: "0\r\n\r\n")
        #expect(stream.components(separatedBy: "data: ").count - 1 == 103)
        try await ScriptedUpstream.with { upstream in
            let client = try await RawClient.connect(to: upstream.port)
            try await client.post(#"{"model":"bench-paced"}"#)
            try await client.wait { $0.text.components(separatedBy: "data: ").count - 1 >= 2 }
            #expect(await upstream.requests().isEmpty)
            #expect(await upstream.stats().requests == 1)
            await client.close()
            try await upstream.waitForOpenConnections(0)
        }
    }
}
