// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire
import Testing

@testable import ParleyProviders

private func makeCall(_ connector: any Connector, _ body: String, includeUsage: Bool = false) throws -> Call {
    let buffer = ByteBuffer(string: body)
    let intake = try OpenAICompletions().intake(buffer)
    var call = Call(
        id: "req_1", dialect: .openAICompletions, operation: .chat, model: "a/m", stream: intake.stream,
        includeUsage: includeUsage, body: buffer, deadline: .now() + .minutes(1), connector: connector,
        trace: CallTrace())
    call.reading = intake.reading
    return call
}

private func part(_ text: String, finish: String = "null") -> String {
    #"data: {"id":"cmpl-1","object":"text_completion","created":1,"choices":[{"text":"\#(text)","index":0,"#
        + #""logprobs":null,"finish_reason":\#(finish)}],"model":"up"}"# + "\n\n"
}

@Suite("Completions at an upstream")
struct CompletionsUpstreamTests {
    private let stream = #"{"model":"a/m","prompt":[1,2],"suffix":"z","stream":true}"#

    @Test("A service that completes is asked as the client asked, and its stream passes byte for byte")
    func relay() async throws {
        let usage =
            #"data: {"id":"cmpl-1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#
            + "\n\n"
        let script = FakeConnector.Script.stream(part("Hel"), part("lo", finish: "\"stop\"") + usage, doneFrame)
        let connector = FakeConnector(script, script)
        let model = try makeModel(id: "up")
        let reply = try await model.answer(try makeCall(connector, stream))
        #expect(connector.heads.first?.hasPrefix("POST /v1/completions HTTP/1.1\r\n") == true)
        #expect(
            connector.bodies.first
                == #"{"model":"up","prompt":[1,2],"suffix":"z","stream":true,"stream_options":{"include_usage":true}}"#)
        #expect(try await text(of: reply) == part("Hel") + part("lo", finish: "\"stop\"") + doneFrame)
        guard case .client(let body) = reply.content else { return }
        #expect(body.observed.usage == Usage(input: 3, output: 2) && body.observed.finish == "stop")
        let asked = try makeCall(connector, stream, includeUsage: true)
        #expect(try await text(of: try await model.answer(asked)).contains(usage))
    }

    @Test("A model that only Responses have is asked there")
    func responses() async throws {
        let answer =
            #"{"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"o3-pro","output":[{"type""#
            + #":"message","role":"assistant","content":[{"type":"output_text","text":"Hi"}]}]}"#
        let connector = FakeConnector(.json(answer))
        let model = try makeModel(kind: "openai", id: "o3-pro")
        let reply = try await model.answer(try makeCall(connector, #"{"model":"a/m","prompt":"Say"}"#))
        #expect(connector.heads.first?.hasPrefix("POST /v1/responses HTTP/1.1\r\n") == true)
        #expect(try JSON.parse(try await text(of: reply))["choices"]?.array?.first?["text"] == "Hi")
    }

    @Test("One that only chats is asked as a chat, and answers as a completion")
    func translated() async throws {
        let connector = FakeConnector(
            .stream(roleFrame, frame(#"{"content":"Hi"}"#), frame("{}", finish: "length") + usageFrame + doneFrame))
        let model = try makeModel(kind: "groq")
        let body = #"{"model":"a/m","prompt":"Say","stream":true,"echo":true}"#
        let got = try await text(of: try await model.answer(try makeCall(connector, body, includeUsage: true)))
        let sent = try JSON.parse(connector.bodies[0])
        #expect(sent["messages"] == [["role": "user", "content": "Say"]] && sent["max_tokens"] == 16)
        #expect(sent["echo"] == nil && sent["prompt"] == nil)
        #expect(got.contains(#"{"text":"Say","index":0"#) && got.contains(#"{"text":"Hi","index":0"#))
        #expect(got.contains(#""finish_reason":"length""#) && got.contains(#""usage":{"prompt_tokens":3"#))
        #expect(got.hasSuffix(doneFrame))
    }

    @Test("A whole answer is translated too, and configuration may set a length")
    func whole() async throws {
        let connector = FakeConnector(.json(wholeAnswer))
        let model = try makeModel(kind: "groq") {
            $0.overrides = [FieldOverride(name: "max_tokens", json: "99", force: false)]
        }
        let call = try makeCall(connector, #"{"model":"a/m","prompt":"Say"}"#)
        let got = try JSON.parse(try await text(of: try await model.answer(call)))
        #expect(got["object"] == "text_completion" && got["choices"]?.array?.first?["text"] == "Hi")
        #expect(got["id"] == "cmpl-req_1")
        #expect(try JSON.parse(connector.bodies[0])["max_tokens"] == 99)
    }

    @Test("What a chat cannot keep is refused before anything is sent")
    func refused() async throws {
        let connector = FakeConnector()
        let refusal = await thrown(by: try makeModel(kind: "groq"), try makeCall(connector, stream))
        #expect(refusal?.kind == .invalid && refusal?.parameter == "prompt")
        #expect(connector.requests.isEmpty)
    }

    @Test("The quirk decides, and DeepSeek completes under its beta path")
    func quirk() async throws {
        let off = FakeConnector(.json(wholeAnswer))
        let model = try makeModel { $0.quirks = ["completions": false] }
        _ = try await model.answer(try makeCall(off, #"{"model":"a/m","prompt":"Say"}"#))
        #expect(off.heads.first?.hasPrefix("POST /v1/chat/completions ") == true)
        let on = FakeConnector(.json(#"{"id":"cmpl-1","choices":[{"text":"Hi","index":0,"finish_reason":"stop"}]}"#))
        let deepseek = try makeModel(kind: "deepseek") { $0.baseURL = "https://api.deepseek.com" }
        _ = try await deepseek.answer(try makeCall(on, #"{"model":"a/m","prompt":"Say"}"#))
        #expect(on.heads.first?.hasPrefix("POST /beta/completions ") == true)
    }

    @Test("The demo completes, and refuses what it cannot")
    func demo() async throws {
        let model = try #require(try Registry.make(ProviderSetup(name: "demo", kind: "demo")).model("demo"))
        let body = #"{"prompt":"Say","max_tokens":3,"stream":true,"logprobs":0}"#
        let got = try await text(of: try await model.answer(try makeCall(FakeConnector(), body)))
        #expect(got.contains("text_completion") && got.contains("token_logprobs") && got.hasSuffix(doneFrame))
        let refusal = await thrown(by: model, try makeCall(FakeConnector(), #"{"prompt":["a","b"]}"#))
        #expect(refusal?.parameter == "prompt")
    }
}
