// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import Testing

@testable import ParleyProviders

@Suite("Requests that are passed on, at a provider")
struct PassedAttemptTests {
    private static func call(
        _ connector: FakeConnector, _ request: PassedRequest, _ body: String = #"{"model":"a/m"}"#
    ) -> Call {
        var call = makeCall(connector, body: body, stream: false)
        call.operation = .pass(request)
        return call
    }

    private static let rerank = PassedRequest(
        .rerank, method: "POST", path: "/rerank", query: "?x=1", contentType: "application/json")

    @Test(
        "Each vendor gets the request where it has it",
        arguments: [
            ("openai-compatible", "/v1/rerank?x=1"), ("cohere-compatible", "/v2/rerank?x=1"),
            ("qianfan-v2", "/v1/rerankers?x=1"),
        ])
    func paths(kind: String, path: String) async throws {
        let connector = FakeConnector(.json("{}"))
        _ = try await makeModel(kind: kind).answer(Self.call(connector, Self.rerank))
        #expect(connector.heads[0].hasPrefix("POST \(path) HTTP/1.1\r\n"))
        #expect(connector.heads[0].contains("authorization: Bearer k1\r\n"))
        #expect(connector.heads[0].contains("accept: */*\r\n"))
        #expect(connector.bodies == [#"{"model":"m"}"#])
    }

    @Test("A query of the base URL comes first")
    func query() async throws {
        let connector = FakeConnector(.json("{}"))
        let model = try makeModel { $0.baseURL = "http://up.example/v1?api-version=2" }
        _ = try await model.answer(Self.call(connector, Self.rerank))
        #expect(connector.heads[0].hasPrefix("POST /v1/rerank?api-version=2&x=1 HTTP/1.1\r\n"))
    }

    @Test("Requests without a body have no type and no length")
    func withoutBody() async throws {
        let connector = FakeConnector(.json("{}"))
        let request = PassedRequest(.files, method: "GET", path: "/files/f/content")
        _ = try await makeModel().answer(Self.call(connector, request, ""))
        #expect(connector.heads[0].hasPrefix("GET /v1/files/f/content HTTP/1.1\r\n"))
        #expect(!connector.heads[0].contains("content-type"))
        #expect(connector.requests[0].body == nil)
    }

    @Test(
        "Usage is read in each of its spellings, from answers that may have it",
        arguments: [
            (#"{"usage":{"input_tokens":3,"output_tokens":4}}"#, 3, 4),
            (#"{"usage":{"prompt_tokens":5,"completion_tokens":6}}"#, 5, 6),
            (#"{"usage":{"total_tokens":7}}"#, 7, nil), (#"{"usage":"none"}"#, nil, nil), ("[", nil, nil),
        ] as [(String, Int?, Int?)])
    func usage(body: String, input: Int?, output: Int?) async throws {
        let reply = try await makeModel().answer(Self.call(FakeConnector(.json(body)), Self.rerank))
        #expect(try await text(of: reply) == body)
        guard case .client(let answer) = reply.content else { return }
        #expect(answer.observed.usage.input == input)
        #expect(answer.observed.usage.output == output)
    }

    @Test("A service's own code for a refusal is kept")
    func code() async throws {
        let error = #"{"error":{"message":"No.","type":"invalid_request_error","code":"content_policy_violation"}}"#
        let connector = FakeConnector(.json(error, status: 400))
        let failure = await thrown(by: try makeModel(), Self.call(connector, Self.rerank))
        #expect(failure?.code == "content_policy_violation")
        #expect(failure?.httpStatus == 400)
    }

    @Test("Every service that is asked without a model is one that can be asked")
    func offered() throws {
        var setup = ProviderSetup(name: "a", kind: "groq")
        setup.apiKeys = ["k"]
        let groq = try Registry.make(setup)
        #expect(groq.passing(PassedRequest(.audio, method: "POST", path: "/audio/speech")) != nil)
        #expect(groq.passing(PassedRequest(.rerank, method: "POST", path: "/rerank")) == nil)
        let demo = try Registry.make(ProviderSetup(name: "d", kind: "demo"))
        #expect(demo.passing(PassedRequest(.audio, method: "POST", path: "/audio/speech")) == nil)
    }
}

@Suite("What Azure and Cohere have beside chats")
struct PassingProviderTests {
    @Test(
        "Azure has OpenAI's paths below its own, with the version where one is asked for",
        arguments: [("", "/openai/v1/files?a=b"), ("preview", "/openai/v1/files?api-version=preview&a=b")])
    func azure(version: String, path: String) throws {
        var setup = ProviderSetup(name: "az", kind: "azure")
        setup.options.values = ["endpoint": "https://r.openai.azure.com", "api_version": .string(version)]
        let provider = try AzureProvider(setup)
        let files = PassedRequest(.files, method: "GET", path: "/files", query: "?a=b")
        #expect(provider.passes(files) && provider.target(for: files, model: nil).path == path)
        #expect(!provider.passes(PassedRequest(.rerank, method: "POST", path: "/rerank")))
        setup.options.values["api_version"] = "2024-10-21"
        #expect(try !AzureProvider(setup).passes(files))
    }

    @Test("Cohere reranks by its own version")
    func cohere() throws {
        let provider = try CohereProvider(ProviderSetup(name: "c", kind: "cohere"))
        let request = PassedRequest(.rerank, method: "POST", path: "/rerank")
        #expect(provider.passes(request) && provider.target(for: request, model: "m").path == "/v2/rerank")
        #expect(!provider.passes(PassedRequest(.files, method: "GET", path: "/files")))
    }
}
