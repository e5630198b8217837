// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import ParleyTestKit
import Testing

@testable import ParleyGateway

@Suite("Responses that are kept")
struct KeptResponsesTests {
    private static let path = "/v1/responses"
    private static let chat = Script.json(Bodies.whole)

    private static var native: GatewayUnderTest.Setup {
        var setup = GatewayUnderTest.Setup()
        setup.provider = ["quirks: {responses: true}"]
        setup.keys.append("{name: other, key: sk-parley-other-0123456789abcdefghij}")
        return setup
    }

    private static let other = ["authorization: Bearer sk-parley-other-0123456789abcdefghij"]

    private static func response(_ id: String, status: String = "completed", text: String = "Hi") -> String {
        #"{"id":"\#(id)","object":"response","created_at":5,"status":"\#(status)","model":"m","output":[{"type":"#
            + #""message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","#
            + #""text":"\#(text)","annotations":[]}]}],"usage":{"input_tokens":1,"output_tokens":1,"total_tokens":2}}"#
    }

    private static func body(_ input: String, _ more: String = "") -> String {
        #"{"model":"m","input":"\#(input)"\#(more)}"#
    }

    private static func body(_ input: String, after id: Any?) -> String {
        body(input, #","previous_response_id":"\#(id as? String ?? "")""#)
    }

    /// What the upstream's request number `index` says, as `role: text`.
    private static func turns(_ upstream: ScriptedUpstream, _ index: Int) async throws -> [String] {
        let seen = try #require(await upstream.requests().dropFirst(index).first)
        let json = try JSONSerialization.jsonObject(with: Data(seen.body)) as? [String: Any]
        let items = (json?["messages"] ?? json?["input"]) as? [[String: Any]] ?? []
        return items.map { item in
            let parts = item["content"] as? [[String: Any]] ?? []
            let text = item["content"] as? String ?? parts.compactMap { $0["text"] as? String }.joined()
            return "\(item["role"] ?? "?"): \(text)"
        }
    }

    @Test("A request goes on from one before, though its upstream knows nothing of it")
    func goesOn() async throws {
        try await GatewayUnderTest.run(scripts: [Self.chat]) { gateway, upstream async throws in
            let first = try await gateway.post(Self.body("One"), path: Self.path)
            let second = try await gateway.post(Self.body("Two", after: first.json["id"]), path: Self.path)
            #expect(second.json["previous_response_id"] as? String == first.json["id"] as? String)
            _ = try await gateway.post(Self.body("Three", after: second.json["id"]), path: Self.path)
            let said = "assistant: Hi, wörld. 🌍"
            #expect(try await Self.turns(upstream, 1) == ["user: One", said, "user: Two"])
            #expect(try await Self.turns(upstream, 2) == ["user: One", said, "user: Two", said, "user: Three"])
        }
    }

    @Test("A kept response is shown, its input listed, and forgotten when asked")
    func shown() async throws {
        try await GatewayUnderTest.run(scripts: [Self.chat]) { gateway, upstream async throws in
            let first = try await gateway.post(Self.body("One"), path: Self.path)
            let id = try #require(first.json["id"] as? String)
            let shown = try await gateway.get("\(Self.path)/\(id)?include=x")
            #expect(shown.status == 200 && shown.text == first.text)
            #expect(shown["content-type"] == "application/json")
            let items = try await gateway.get("/responses/\(id)/input_items?limit=5")
            #expect(items.json["object"] as? String == "list")
            #expect((items.json["data"] as? [[String: Any]])?.first?["role"] as? String == "user")
            #expect(
                try await gateway.get("\(Self.path)/\(id)/input_items?limit=0").error["param"] as? String == "limit")
            let cancelled = try await gateway.post("", path: "\(Self.path)/\(id)/cancel")
            #expect(cancelled.status == 400 && cancelled.message == "Cannot cancel a synchronous response.")
            let deleted = try await gateway.get("\(Self.path)/\(id)", method: "DELETE")
            #expect(deleted.json["deleted"] as? Bool == true && deleted.json["id"] as? String == id)
            for (path, method) in [("", "GET"), ("", "DELETE"), ("/input_items", "GET"), ("/cancel", "POST")] {
                let headers = method == "POST" ? ["content-length: 0"] : []
                let gone = try await gateway.get("\(Self.path)/\(id)\(path)", method: method, headers: headers)
                #expect(gone.status == 404 && gone.message == "Response with id '\(id)' not found.")
                #expect(gone.error["type"] as? String == "invalid_request_error")
            }
            let refused = try await gateway.post(Self.body("Two", after: id), path: Self.path)
            #expect(refused.status == 400 && refused.error["code"] as? String == "previous_response_not_found")
            #expect(await upstream.requests().count == 1)
        }
    }

    @Test("Streams are kept before their end reaches the client, translated and relayed", arguments: [false, true])
    func streams(isNative: Bool) async throws {
        let begin = #"{"type":"response.created","response":{"id":"resp_up","object":"response","output":[]}}"#
        let delta = #"{"type":"response.output_text.delta","item_id":"msg_1","output_index":0,"delta":"Hi"}"#
        let end = #"{"type":"response.completed","response":\#(Self.response("resp_up"))}"#
        let events = isNative ? [begin, delta, end] : [Bodies.chunk("Hi"), Bodies.last]
        // Apart, so that the later ones arrive while the gateway waits.
        var steps = [Bodies.streamHead]
        for event in events { steps += [Bodies.events([event]), .sleep(milliseconds: 30)] }
        if !isNative { steps.append(.write("data: [DONE]\n\n")) }
        steps.append(.end)
        let setup = isNative ? Self.native : GatewayUnderTest.Setup()
        let scripts = [Script(times: 1, steps: steps), isNative ? .json(Self.response("resp_2")) : Self.chat]
        try await GatewayUnderTest.run(setup, scripts: scripts) { gateway, upstream async throws in
            let answer = try await gateway.post(Self.body("One", #","stream":true"#), path: Self.path)
            let last = try #require(answer.events.last { $0.contains("response.completed") })
            let event = try JSONSerialization.jsonObject(with: Data(last.utf8)) as? [String: Any]
            let id = try #require((event?["response"] as? [String: Any])?["id"] as? String)
            #expect((id == "resp_up") == isNative)
            let shown = try await gateway.get("\(Self.path)/\(id)")
            #expect(shown.json["status"] as? String == "completed")
            _ = try await gateway.post(Self.body("Two", after: id), path: Self.path)
            #expect(try await Self.turns(upstream, 1) == ["user: One", "assistant: Hi", "user: Two"])
        }
    }

    @Test("What is not to be stored is not kept, nor what broke off")
    func notKept() async throws {
        let cut = Script(
            times: 1,
            steps: [Bodies.streamHead, Bodies.events([Bodies.chunk("Hi")]), .sleep(milliseconds: 30), .cut(.fin)])
        try await GatewayUnderTest.run(scripts: [cut, Self.chat]) { gateway, _ async throws in
            let broken = try await gateway.post(Self.body("One", #","stream":true"#), path: Self.path)
            let created = try #require(broken.events.first)
            let event = try JSONSerialization.jsonObject(with: Data(created.utf8)) as? [String: Any]
            let id = try #require((event?["response"] as? [String: Any])?["id"] as? String)
            #expect(try await gateway.get("\(Self.path)/\(id)").status == 404)
            let answer = try await gateway.post(Self.body("One", #","store":false"#), path: Self.path)
            let other = try #require(answer.json["id"] as? String)
            #expect(try await gateway.get("\(Self.path)/\(other)").status == 404)
        }
    }

    @Test("An id that only an upstream of Responses can know goes there unchanged; another key's goes nowhere")
    func unknown() async throws {
        let scripts = [Script.json(Self.response("resp_own"))]
        try await GatewayUnderTest.run(Self.native, scripts: scripts) { gateway, upstream async throws in
            let body = Self.body("Two", after: "resp_elsewhere")
            let first = try await gateway.post(body, path: Self.path)
            #expect(first.status == 200)
            #expect(await upstream.requests().first?.bodyText == body)
            // Its history is not here, but the upstream has it.
            let next = Self.body("Three", after: "resp_own")
            #expect(try await gateway.post(next, path: Self.path).status == 200)
            #expect(await upstream.requests().last?.bodyText == next)
            let stolen = try await gateway.post(next, path: Self.path, headers: Self.other)
            #expect(stolen.status == 400 && stolen.error["code"] as? String == "previous_response_not_found")
            for (method, part) in [("GET", ""), ("DELETE", ""), ("GET", "/input_items")] {
                let path = "\(Self.path)/resp_own\(part)"
                #expect(try await gateway.get(path, method: method, headers: Self.other).status == 404)
            }
            #expect(await upstream.requests().count == 2)
            #expect(try await gateway.get("\(Self.path)/resp_own").status == 200)
        }
    }

    @Test("What is said under the name of a conversation is collected there, for its key alone")
    func conversation() async throws {
        try await GatewayUnderTest.run(
            Self.native, scripts: [.json(Self.response("resp_1"), times: 1), .json(Self.response("resp_2"))]
        ) {
            gateway, upstream async throws in
            let more = #","conversation":{"id":"conv_1"},"store":false"#
            for (text, headers) in [("One", []), ("Two", []), ("Mine", Self.other)] {
                let answer = try await gateway.post(Self.body(text, more), path: Self.path, headers: headers)
                #expect(answer.status == 200)
            }
            #expect(try await Self.turns(upstream, 1) == ["user: One", "assistant: Hi", "user: Two"])
            #expect(try await Self.turns(upstream, 2) == ["user: Mine"])
            #expect(await upstream.requests().allSatisfy { !$0.bodyText.contains("conv_1") })
        }
    }

    @Test("The length of a request counts what it goes on from")
    func lengths() async throws {
        try await GatewayUnderTest.run(scripts: [Self.chat]) { gateway, upstream async throws in
            let path = Self.path + "/input_tokens"
            let alone = try await gateway.post(Self.body("Two"), path: path)
            #expect(alone.json["object"] as? String == "response.input_tokens")
            let first = try await gateway.post(Self.body("One, and a lot more of it"), path: Self.path)
            let both = try await gateway.post(Self.body("Two", after: first.json["id"]), path: path)
            #expect((both.json["input_tokens"] as? Int ?? 0) > (alone.json["input_tokens"] as? Int ?? .max))
            #expect(await upstream.requests().count == 1)
        }
    }

    @Test("What nobody could follow is refused")
    func refused() async throws {
        try await GatewayUnderTest.run(Self.native) { gateway, upstream async throws in
            let background = try await gateway.post(Self.body("One", #","background":true"#), path: Self.path)
            #expect(background.status == 400 && background.error["param"] as? String == "background")
            let both = #","previous_response_id":"a","conversation":"b""#
            #expect(try await gateway.post(Self.body("One", both), path: Self.path).status == 400)
            #expect(try await gateway.get("\(Self.path)/x", method: "PUT").status == 405)
            #expect(try await gateway.get("\(Self.path)/x/cancel").status == 405)
            #expect(try await gateway.get("/v1/conversations/x").status == 404)
            #expect(await upstream.requests().isEmpty)
        }
    }
}
