// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyProviders

@Suite("Providers that have Responses")
struct ResponsesFaceTests {
    private static let answer = #"""
        {"id":"resp_1","object":"response","created_at":7,"status":"completed","model":"up","output":[{"id":"msg_1",
        "type":"message","role":"assistant","content":[{"type":"output_text","text":"Hi"}]}],
        "usage":{"input_tokens":3,"output_tokens":1,"total_tokens":4}}
        """#

    private func call(_ connector: FakeConnector, _ body: String, dialect: DialectID = .openAIResponses) -> Call {
        var call = makeCall(connector, body: body, stream: false)
        call.dialect = dialect
        return call
    }

    @Test("A client of Responses is relayed where the vendor has them")
    func relayed() async throws {
        let connector = FakeConnector(.json(Self.answer))
        let body = #"{"model":"a/m","input":"Hi", "odd":1.0}"#
        let reply = try await makeModel(kind: "openai").answer(call(connector, body))
        #expect(connector.heads[0].hasPrefix("POST /v1/responses HTTP/1.1\r\n"))
        #expect(connector.heads[0].contains("authorization: Bearer k1\r\n"))
        #expect(connector.bodies[0] == #"{"model":"m","input":"Hi", "odd":1.0}"#)
        #expect(try await text(of: reply) == Self.answer)
    }

    @Test("A client of Responses is translated for where there are none, and can be switched either way")
    func translated() async throws {
        let connector = FakeConnector(.json(wholeAnswer))
        let body = #"{"model":"a/m","input":"Hi","metadata":{"a":"b"},"store":false}"#
        let call = call(connector, body)
        let reply = try await makeModel().answer(call)
        #expect(connector.heads[0].hasPrefix("POST /v1/chat/completions "))
        #expect(try parsed(connector.bodies[0])["metadata"]?["a"] == "b")
        #expect(call.trace.dropped.isEmpty)
        let answer = try parsed(try await text(of: reply))
        #expect(answer["object"] == "response" && answer["metadata"]?["a"] == "b")
        let on = FakeConnector(.json(Self.answer))
        _ = try await makeModel { $0.quirks = ["responses": true] }.answer(self.call(on, body))
        #expect(on.heads[0].hasPrefix("POST /v1/responses "))
        let off = FakeConnector(.json(wholeAnswer))
        _ = try await makeModel(kind: "openai") { $0.quirks = ["responses": false] }.answer(self.call(off, body))
        #expect(off.heads[0].hasPrefix("POST /v1/chat/completions "))
        let refused = await thrown(
            by: try makeModel(), self.call(FakeConnector(), #"{"model":"a/m","input":"Hi","background":true}"#))
        #expect(refused?.parameter == "background")
    }

    @Test("An answer repeats the request as the client sent it")
    func original() async throws {
        let connector = FakeConnector(.json(wholeAnswer))
        var call = call(connector, #"{"model":"a/m","input":[{"role":"user","content":"Hi"}]}"#)
        call.original = ByteBuffer(string: #"{"model":"a/m","input":"Hi","previous_response_id":"resp_0"}"#)
        let answer = try parsed(try await text(of: try await makeModel().answer(call)))
        #expect(answer["previous_response_id"] == "resp_0")
    }

    @Test(
        "A client of Chat reaches models that only Responses have",
        arguments: [
            ("o1-pro", true), ("o3-pro-2025-06-10", true), ("gpt-5-pro", true), ("gpt-5.2-pro", true),
            ("gpt-5-codex", true), ("gpt-5.1-codex-max", true), ("codex-mini-latest", true),
            ("computer-use-preview", true), ("o4-mini-deep-research", true), ("gpt-5", false), ("o3", false),
            ("gpt-4o", false), ("omni-pro", false),
        ])
    func onlyThere(model: String, isOnlyThere: Bool) async throws {
        #expect(ResponsesModels.isOnlyThere(model) == isOnlyThere)
        let connector = FakeConnector(.json(isOnlyThere ? Self.answer : wholeAnswer))
        let body = #"{"model":"a/m","messages":[{"role":"user","content":"Hi"}]}"#
        let reply = try await makeModel(kind: "openai", id: model).answer(
            call(connector, body, dialect: .openAIChat))
        #expect(connector.heads[0].contains("/responses ") == isOnlyThere)
        let answer = try parsed(try await text(of: reply))
        #expect(answer["choices"]?.array?.first?["message"]?["content"] == "Hi")
        guard isOnlyThere else { return }
        #expect(try parsed(connector.bodies[0])["store"] == false)
    }
}
