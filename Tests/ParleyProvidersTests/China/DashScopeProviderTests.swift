// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire
import Testing

@testable import ParleyProviders

@Suite("The DashScope provider")
struct DashScopeProviderTests {
    private static let message =
        #""output":{"choices":[{"finish_reason":"stop","message":{"role":"assistant","content":"Hi"}}]},"#
        + #""usage":{"input_tokens":3,"output_tokens":1,"total_tokens":4},"request_id":"r""#
    private static let whole = FakeConnector.Script.json("{\(message)}")
    private static let stream = FakeConnector.Script.stream(
        "id:1\nevent:result\n:HTTP_STATUS/200\ndata:{\(message)}\n\n")

    private func model(
        _ api: String?, id: String = "qwen-plus", base: String? = nil,
        _ change: (inout ProviderSetup) -> Void = { _ in }
    ) throws -> any Model {
        try makeModel(kind: "dashscope", id: id) { setup in
            setup.baseURL = base
            if let api { setup.options.values["api"] = .string(api) }
            change(&setup)
        }
    }

    private func embedding(_ connector: any Connector, count: Int) -> Call {
        let inputs = (0..<count).map { "\"t\($0)\"" }.joined(separator: ",")
        return Call(
            id: "r", dialect: .openAIChat, operation: .embed, model: "a/m", stream: false, includeUsage: false,
            body: ByteBuffer(string: #"{"model":"a/m","input":[\#(inputs)]}"#), deadline: .now() + .minutes(1),
            connector: connector, trace: CallTrace())
    }

    @Test("Its own API has a place for text and one for what sees and hears; a stream is asked for by a header")
    func native() async throws {
        let connector = FakeConnector(Self.whole, Self.stream, Self.whole)
        _ = try await model("native").answer(makeCall(connector, stream: false))
        let streamed = try await text(of: try await model("native").answer(makeCall(connector)))
        #expect(streamed.contains("\"Hi\"") && streamed.contains("[DONE]"))
        _ = try await model("native", id: "qwen2.5-vl-72b-instruct").answer(makeCall(connector, stream: false))
        let root = "POST /api/v1/services/aigc"
        #expect(
            connector.heads[0].hasPrefix(
                "\(root)/text-generation/generation HTTP/1.1\r\nhost: dashscope.aliyuncs.com\r\n"))
        #expect(connector.heads[0].contains("authorization: Bearer k1\r\n"))
        #expect(!connector.heads[0].contains("x-dashscope-sse"))
        #expect(connector.heads[1].contains("x-dashscope-sse: enable\r\n"))
        #expect(connector.heads[1].contains("accept: text/event-stream\r\n"))
        #expect(connector.heads[2].hasPrefix("\(root)/multimodal-generation/generation HTTP/1.1\r\n"))
        #expect(try JSON.parse(connector.bodies[1])["parameters"]?["incremental_output"] == true)
    }

    @Test(
        "Models that see or hear are told by their names",
        arguments: [
            ("qwen-vl-max", true), ("qwen2.5-vl-7b-instruct", true), ("qwen3-vl-plus", true), ("qvq-max", true),
            ("qwen-audio-turbo", true), ("qwen-vl-ocr", true), ("qwen3-omni-flash", true), ("qwen-plus", false),
            ("qwen3-max", false), ("deepseek-r1", false), ("qwen-mt-plus", false),
        ])
    func multimodal(model: String, sees: Bool) {
        #expect(DashScopeProvider.isMultimodal(model) == sees)
    }

    @Test("Any address of the region will do for either API")
    func addresses() async throws {
        let host = "https://dashscope-intl.aliyuncs.com"
        for base in [host, host + "/api/v1", host + "/compatible-mode/v1"] {
            let connector = FakeConnector(Self.whole, .json(wholeAnswer), .json(wholeAnswer))
            _ = try await model("native", base: base).answer(makeCall(connector, stream: false))
            #expect(connector.heads[0].hasPrefix("POST /api/v1/services/aigc/text-generation/generation HTTP"))
            for api in ["compatible", nil] {
                _ = try await model(api, base: base).answer(makeCall(connector, stream: false))
                #expect(
                    connector.heads.last?.hasPrefix(
                        "POST /compatible-mode/v1/chat/completions HTTP/1.1\r\nhost: dashscope-intl.aliyuncs.com\r\n")
                        == true)
            }
        }
        #expect(throws: ProviderError.self) { try model("v2") }
    }

    @Test("A whole answer of a model that only streams is put together from a stream, in compatible mode")
    func streamOnly() async throws {
        let connector = FakeConnector(
            .stream(roleFrame, frame(#"{"content":"Hi"}"#, finish: "stop"), usageFrame, doneFrame))
        let reply = try await model(nil, id: "qwq-plus").answer(makeCall(connector, stream: false))
        let answer = try JSON.parse(try await text(of: reply))
        #expect(answer["object"] == "chat.completion" && answer["usage"]?["total_tokens"] == 5)
        #expect(answer["choices"]?.array?.first?["message"]?["content"] == "Hi")
        let sent = try JSON.parse(connector.bodies[0])
        #expect(sent["stream"] == true && sent["stream_options"]?["include_usage"] == true)
    }

    @Test("The configuration may ask for events that hold the answer so far")
    func cumulative() async throws {
        func event(_ text: String, _ finish: String) -> String {
            #"data:{"output":{"choices":[{"finish_reason":"\#(finish)","message":{"content":"\#(text)"}}]}}"# + "\n\n"
        }
        let connector = FakeConnector(.stream(event("Bre", "null"), event("Brest", "stop")))
        let model = try model("native") {
            $0.overrides = [FieldOverride(name: "incremental_output", json: "false", force: false)]
        }
        var call = makeCall(connector)
        call.form = .neutral
        let events = try await allEvents(of: try await model.answer(call))
        let texts = events.compactMap { if case .text(_, let text) = $0 { text } else { nil } }
        #expect(texts == ["Bre", "st"])
        #expect(try JSON.parse(connector.bodies[0])["parameters"]?["incremental_output"] == false)
    }

    @Test("Vectors are asked for ten texts at a time, in either API")
    func embeddings() async throws {
        func vectors(_ count: Int) -> String { (0..<count).map { _ in #"{"embedding":[1]}"# }.joined(separator: ",") }
        let native = FakeConnector(
            .json(#"{"output":{"embeddings":[\#(vectors(10))]},"usage":{"total_tokens":10}}"#),
            .json(#"{"output":{"embeddings":[\#(vectors(2))]},"usage":{"total_tokens":2}}"#))
        let reply = try await model("native", id: "text-embedding-v4").answer(embedding(native, count: 12))
        let answer = try JSON.parse(try await text(of: reply))
        #expect(answer["data"]?.array?.count == 12 && answer["usage"]?["prompt_tokens"] == 12)
        #expect(
            native.heads[0].hasPrefix("POST /api/v1/services/embeddings/text-embedding/text-embedding HTTP/1.1\r\n"))
        let compatible = FakeConnector(.json(#"{"data":[\#(vectors(10))]}"#), .json(#"{"data":[\#(vectors(2))]}"#))
        _ = try await model(nil, id: "text-embedding-v4").answer(embedding(compatible, count: 12))
        #expect(compatible.requests.count == 2)
        #expect(compatible.heads[0].hasPrefix("POST /compatible-mode/v1/embeddings HTTP/1.1\r\n"))
    }

    @Test("The list of models is that of the compatible mode")
    func list() async throws {
        for api in ["native", "compatible"] {
            var setup = ProviderSetup(name: "q", kind: "dashscope")
            setup.apiKeys = ["k"]
            setup.options.values = ["api": .string(api)]
            let connector = FakeConnector(.json(#"{"data":[{"id":"qwen-plus"}]}"#))
            #expect(try await Registry.make(setup).discover(connector).map(\.id) == ["qwen-plus"])
            #expect(connector.heads[0].hasPrefix("GET /compatible-mode/v1/models HTTP/1.1\r\n"))
        }
    }
}
