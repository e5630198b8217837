// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire
import Testing

@testable import ParleyProviders

@Suite("Azure")
struct AzureProviderTests {
    private static func model(
        _ endpoint: String = "https://res.openai.azure.com/", version: String? = nil, key: String = "secret",
        id: String = "my-mini"
    ) throws -> any Model {
        var setup = ProviderSetup(name: "az", kind: "azure")
        setup.options.values["endpoint"] = .string(endpoint)
        if let version { setup.options.values["api_version"] = .string(version) }
        setup.apiKeys = [key]
        guard let model = try Registry.make(setup).model(id) else { throw ProviderError("no model") }
        return model
    }

    @Test(
        "The address and the version say where chats go, however much was pasted",
        arguments: [
            ("https://res.openai.azure.com/", "", "/openai/v1/chat/completions"),
            ("https://res.openai.azure.com", "v1", "/openai/v1/chat/completions"),
            ("https://res.openai.azure.com", "preview", "/openai/v1/chat/completions?api-version=preview"),
            ("https://res.services.ai.azure.com/openai/v1/", "", "/openai/v1/chat/completions"),
            ("https://res.openai.azure.com/openai/v1", "2024-10-21", "/openai/v1/chat/completions"),
            (
                "https://res.openai.azure.com/", "2024-10-21",
                "/openai/deployments/my-mini/chat/completions?api-version=2024-10-21"
            ),
            (
                "https://res.openai.azure.com/openai/deployments/x/chat/completions?api-version=2024-06-01", "",
                "/openai/deployments/my-mini/chat/completions?api-version=2024-06-01"
            ),
            (
                "https://res.services.ai.azure.com/models", "",
                "/models/chat/completions?api-version=2024-05-01-preview"
            ),
            ("https://gate.example/azure/", "", "/azure/openai/v1/chat/completions"),
        ])
    func places(endpoint: String, version: String, path: String) async throws {
        let connector = FakeConnector(.json(wholeAnswer))
        let version = version.isEmpty ? nil : version
        _ = try await Self.model(endpoint, version: version).answer(makeCall(connector, stream: false))
        #expect(connector.heads.first?.hasPrefix("POST \(path) HTTP/1.1\r\n") == true)
        #expect(try parsed(connector.bodies[0])["model"] == "my-mini")
    }

    @Test("Vectors and Responses have places beside the chats")
    func otherPlaces() throws {
        var setup = ProviderSetup(name: "az", kind: "azure")
        setup.options.values = ["endpoint": "https://r.openai.azure.com", "api_version": "2024-10-21"]
        var call = makeCall(FakeConnector())
        let dated = try AzureProvider(setup)
        #expect(
            try dated.embedding(for: call, model: "vec").target.path
                == "/openai/deployments/vec/embeddings?api-version=2024-10-21")
        setup.options.values["api_version"] = nil
        let current = try AzureProvider(setup)
        #expect(try current.embedding(for: call, model: "vec").target.path == "/openai/v1/embeddings")
        call.dialect = .openAIResponses
        // Where nobody can pass Responses on, they are translated to chats.
        let relays = (try? Dialects.dialect(.openAIResponses)) is any RelayingDialect
        let face = try current.face(for: call, model: "m")
        #expect(face.target.path == (relays ? "/openai/v1/responses" : "/openai/v1/chat/completions"))
        #expect(face.dialect.id == (relays ? .openAIResponses : .openAIChat))
        #expect(try dated.face(for: call, model: "m").dialect.id == .openAIChat)
    }

    @Test("A deployment's name cannot leave its place in the path")
    func names() async throws {
        let connector = FakeConnector(.json(wholeAnswer))
        let model = try Self.model(version: "2024-10-21", id: "a/../b?x")
        _ = try await model.answer(makeCall(connector, stream: false))
        #expect(connector.heads[0].hasPrefix("POST /openai/deployments/a%2F..%2Fb%3Fx/chat/completions?api-version="))
    }

    @Test("A key goes into a header of its own, a token of Entra ID is a bearer, never both")
    func keys() async throws {
        let connector = FakeConnector(.json(wholeAnswer), .json(wholeAnswer))
        _ = try await Self.model().answer(makeCall(connector, stream: false))
        #expect(connector.heads[0].contains("\r\napi-key: secret\r\n") && !connector.heads[0].contains("authorization"))
        let token = "eyJhbGciOi.eyJpc3Mi.c2ln"
        _ = try await Self.model(key: token).answer(makeCall(connector, stream: false))
        #expect(connector.heads[1].contains("\r\nauthorization: Bearer \(token)\r\n"))
        #expect(!connector.heads[1].contains("api-key"))
    }

    @Test("Usage of a stream is asked for where the version knows it, and given up where it is refused")
    func usage() async throws {
        let refusal = #"{"error":{"message":"Unrecognized request argument supplied: stream_options","code":null}}"#
        let stream = FakeConnector.Script.stream(frame(#"{"content":"Hi"}"#, finish: "stop") + doneFrame)
        let connector = FakeConnector(stream, stream, .json(refusal, status: 400), stream)
        _ = try await Self.model(version: "2023-05-15").answer(makeCall(connector))
        #expect(!connector.bodies[0].contains("stream_options"))
        _ = try await Self.model(version: "2024-10-21").answer(makeCall(connector))
        #expect(connector.bodies[1].contains("stream_options"))
        _ = try await Self.model().answer(makeCall(connector))
        #expect(connector.bodies[2].contains("stream_options") && !connector.bodies[3].contains("stream_options"))
    }

    @Test("The first chunk, which has only the filter's results, passes as it is and promises nothing")
    func filterChunk() async throws {
        let first =
            #"data: {"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{}]}"# + "\n\n"
        let words = roleFrame + frame(#"{"content":"Hi"}"#) + frame("{}", finish: "stop") + doneFrame
        let connector = FakeConnector(
            .stream(first, words),
            FakeConnector.Script(
                headers: [("content-type", "text/event-stream")],
                reads: [.bytes(first), .failure(ParleyError(.upstreamUnavailable, "cut"))]))
        let model = try Self.model()
        #expect(try await text(of: model.answer(makeCall(connector))) == first + words)
        // Nothing was promised by it, so the call may be tried elsewhere.
        #expect(await thrown(by: model, makeCall(connector))?.kind == .upstreamUnavailable)
    }

    @Test("A refusal of the content filter reaches the client with all its details")
    func filtered() async throws {
        let body = """
            {"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content \
            management policy.","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":\
            "ResponsibleAIPolicyViolation","content_filter_result":{"violence":{"filtered":true,"severity":"high"}}}}}
            """
        let connector = FakeConnector(.json(body, status: 400))
        let model = try Self.model()
        let failure = try #require(await thrown(by: model, makeCall(connector)))
        #expect(failure.kind == .contentFiltered)
        #expect(failure.httpStatus == 400)
        #expect(failure.relayed.map { String(decoding: $0.body, as: UTF8.self) } == body)
    }

    @Test("What Azure says in its own way is understood")
    func failures() async throws {
        let busy = #"{"error":{"code":"429","message":"Exceeded token rate limit. Please retry after 6 seconds."}}"#
        let source = #"{"error":{"code":"failed_dependency","message":"The data source did not answer."}}"#
        let connector = FakeConnector(.json(busy, status: 429), .json(source, status: 424))
        let model = try Self.model()
        #expect(await thrown(by: model, makeCall(connector))?.retryAfter == 6)
        let dependency = await thrown(by: model, makeCall(connector))
        #expect(dependency?.kind == .upstreamUnavailable && dependency?.httpStatus == 502)
        #expect(AzureChat.seconds(in: "Retry after 99999999999999999999 seconds") == nil)
        #expect(AzureChat.seconds(in: "no hint") == nil)
    }

    @Test("Models are listed where the surface has a list, and only those that chat")
    func models() async throws {
        let list = """
            {"data":[{"id":"gpt-4.1","capabilities":{"chat_completion":true}},{"id":"tts","capabilities":\
            {"chat_completion":false}},{"id":"plain"}]}
            """
        func listed(_ endpoint: String, _ version: String?, _ connector: FakeConnector) async throws -> [String] {
            var setup = ProviderSetup(name: "az", kind: "azure")
            setup.options.values["endpoint"] = .string(endpoint)
            if let version { setup.options.values["api_version"] = .string(version) }
            return try await Registry.make(setup).discover(connector).map(\.id)
        }
        let connector = FakeConnector(.json(list), .json(list))
        #expect(try await listed("https://r.openai.azure.com", nil, connector) == ["gpt-4.1", "plain"])
        #expect(try await listed("https://r.openai.azure.com", "2024-10-21", connector).count == 2)
        #expect(connector.heads[0].hasPrefix("GET /openai/v1/models HTTP/1.1\r\n"))
        #expect(connector.heads[1].hasPrefix("GET /openai/models?api-version=2024-10-21 HTTP/1.1\r\n"))
        #expect(try await listed("https://r.services.ai.azure.com/models", nil, FakeConnector()).isEmpty)
    }

    @Test("Settings that cannot work are refused; the environment makes a provider")
    func settings() throws {
        #expect(throws: ProviderError("must be given", setting: "endpoint")) {
            try Registry.make(ProviderSetup(name: "az", kind: "azure"))
        }
        #expect(throws: ProviderError.self) { _ = try Self.model("res.openai.azure.com") }
        #expect(throws: ProviderError.self) { _ = try Self.model(version: "2024 x&y=1") }
        #expect(Catalogue.environment(["AZURE_OPENAI_API_KEY": "k"]).isEmpty)
        let found = Catalogue.environment([
            "AZURE_OPENAI_AD_TOKEN": "eyJ.a.b", "AZURE_OPENAI_ENDPOINT": "https://r.openai.azure.com/",
            "OPENAI_API_VERSION": "2024-10-21",
        ])
        #expect(found.map(\.kind) == ["azure"])
        #expect(found.first?.options.values["api_version"] == "2024-10-21")
        for setup in found { _ = try Registry.make(setup) }
    }
}
