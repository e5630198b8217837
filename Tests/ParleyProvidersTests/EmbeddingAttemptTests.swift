// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire
import Testing

@testable import ParleyProviders

private func makeCall(
    _ connector: any Connector, _ body: String, dialect: DialectID = .openAIChat, strict: Bool = false
) -> Call {
    var call = Call(
        id: "req_1", dialect: dialect, operation: .embed, model: "a/m", stream: false, includeUsage: false,
        body: ByteBuffer(string: body), deadline: .now() + .minutes(1), connector: connector, trace: CallTrace())
    call.isStrict = strict
    return call
}

private func answer(_ vectors: [[Float]], tokens: Int = 3) -> String {
    let data = vectors.enumerated().map { #"{"object":"embedding","index":\#($0.offset),"embedding":\#($0.element)}"# }
    return #"{"object":"list","data":[\#(data.joined(separator: ","))],"model":"up","#
        + #""usage":{"prompt_tokens":\#(tokens),"total_tokens":\#(tokens)}}"#
}

/// A provider whose models embed in a given dialect.
private struct Embedder: Embeds {
    let id = "a"
    let credentials = Credentials(["k"])
    let overrides: [FieldOverride] = []
    let dialect: any EmbeddingDialect
    let target = Target(
        endpoint: Endpoint(host: "up", port: 80, isSecure: false), method: "POST", path: "/embed",
        timeouts: TimeoutOverrides())

    func face(for call: Call, model: String) throws(ParleyError) -> Face { Face(relaying: OpenAIChat(), at: target) }

    func embedding(for call: Call, model: String) throws(ParleyError) -> EmbeddingFace {
        EmbeddingFace(dialect, at: target)
    }

    func authorize(
        _ target: Target, body: ByteBuffer?, with credential: Credential, through connector: any Connector
    ) async throws(ParleyError) -> ByteBuffer { ByteBuffer(string: "POST \(target.path) HTTP/1.1\r\n") }
}

@Suite("An attempt to embed")
struct EmbeddingAttemptTests {
    @Test("Between OpenAI's the request is spliced and the answer passed on byte for byte, its tokens seen")
    func relay() async throws {
        let upstream = answer([[0.10, 1]]).replacing(",", with: " , ")
        let connector = FakeConnector(.json(upstream, headers: [("x-request-id", "r1")]))
        let model = try makeModel(id: "text-embedding-3-small")
        let body = #"{ "input" : "é\u00e9", "model":"a/m", "x": 1.50 }"#
        let reply = try await model.answer(makeCall(connector, body))
        #expect(connector.bodies == [body.replacing("a/m", with: "text-embedding-3-small")])
        #expect(connector.heads.first?.hasPrefix("POST /v1/embeddings HTTP/1.1\r\n") == true)
        #expect(connector.heads.first?.contains("authorization: Bearer k1\r\n") == true)
        guard case .client(let content) = reply.content else { return }
        #expect(content.observed.usage == Usage(input: 3) && content.observed.isComplete)
        #expect(try await text(of: reply) == upstream)
        #expect(reply.headers == [HeaderField("x-upstream-request-id", "r1")])
    }

    @Test("A service that sends numbers where base64 was asked for is translated, and the other way round")
    func formats() async throws {
        let vector: [Float] = [0.5, -2]
        var out = ByteBuffer()
        out.writeString(answer([vector]))
        let encoded = OpenAIEmbeddings().encodeResponse(
            EmbeddingResponse([vector], model: "up", usage: Usage(input: 3)),
            for: try OpenAIEmbeddings().decodeRequest(ByteBuffer(string: #"{"input":"a","encoding_format":"base64"}"#)),
            AnswerContext(id: "", model: "", created: 0, includeUsage: false))
        for (upstream, format) in [(String(buffer: out), "base64"), (String(buffer: encoded), "float")] {
            let connector = FakeConnector(.json(upstream))
            let body = #"{"input":"a","encoding_format":"\#(format)"}"#
            let got = try await text(of: try await makeModel().answer(makeCall(connector, body)))
            #expect((try JSON.parse(got)["data"]?.array?.first?["embedding"]?.string != nil) == (format == "base64"))
            #expect(try OpenAIEmbeddings().decodeResponse(ByteBuffer(string: got)).vectors == [vector])
        }
    }

    @Test("Too many inputs become several requests in order, and their tokens add up")
    func batches() async throws {
        let inputs = (0..<201).map { #""\#($0)""# }.joined(separator: ",")
        func values(_ range: Range<Int>) -> String {
            let list = range.map { #"{"values":[\#($0)]}"# }.joined(separator: ",")
            return #"{"embeddings":[\#(list)],"usageMetadata":{"promptTokenCount":\#(range.count)}}"#
        }
        let connector = FakeConnector(
            .json(values(0..<100)), .json(values(100..<200)), .json(values(200..<201)))
        let model = Upstream(provider: Embedder(dialect: GeminiEmbeddings()), model: "g", name: "a/m")
        let reply = try await model.answer(makeCall(connector, #"{"input":[\#(inputs)]}"#))
        let body = try await text(of: reply)
        let response = try OpenAIEmbeddings().decodeResponse(ByteBuffer(string: body))
        #expect(response.vectors == (0..<201).map { [Float($0)] })
        #expect(response.usage.input == 201)
        #expect(connector.requests.count == 3)
        #expect(try JSON.parse(connector.bodies[2])["requests"]?.array?.count == 1)
    }

    @Test("Titan is asked once for each text")
    func titan() async throws {
        let connector = FakeConnector(
            .json(#"{"embedding":[1],"inputTextTokenCount":2}"#), .json(#"{"embedding":[2],"inputTextTokenCount":3}"#))
        let model = Upstream(provider: Embedder(dialect: TitanEmbeddings()), model: "t", name: "a/m")
        let reply = try await model.answer(makeCall(connector, #"{"input":["x","y"],"user":"u"}"#))
        #expect(try await text(of: reply).contains(#""prompt_tokens":5"#))
        #expect(connector.bodies == [#"{"inputText":"x"}"#, #"{"inputText":"y"}"#])
    }

    @Test("A Gemini client at an OpenAI service gets Gemini's shape")
    func gemini() async throws {
        let connector = FakeConnector(.json(answer([[1, 2]])))
        let body = #"{"content":{"parts":[{"text":"Hi"}]},"taskType":"RETRIEVAL_QUERY","outputDimensionality":2}"#
        let call = makeCall(connector, body, dialect: .gemini)
        let reply = try await makeModel(id: "up").answer(call)
        #expect(
            connector.bodies
                == [#"{"model":"up","input":"Hi","dimensions":2,"encoding_format":"float"}"#])
        #expect(
            try await text(of: reply)
                == #"{"embedding":{"values":[1.0,2.0]},"usageMetadata":{"promptTokenCount":3,"totalTokenCount":3}}"#)
        let strict = makeCall(FakeConnector(), body, dialect: .gemini, strict: true)
        let refusal = await thrown(by: try makeModel(), strict)
        #expect(refusal?.kind == .invalid && refusal?.parameter == "task")
    }

    @Test("Who has no embeddings says so")
    func none() async throws {
        let call = makeCall(FakeConnector(), #"{"input":"a"}"#)
        for kind in ["deepseek", "groq"] {
            let refusal = await thrown(by: try makeModel(kind: kind), call)
            #expect(refusal?.kind == .invalid && refusal?.code == "unsupported_operation")
            #expect(refusal?.message == "a/m has no embeddings; ask a model that embeds.")
        }
        let anthropic = makeCall(FakeConnector(), "{}", dialect: .anthropic)
        #expect(await thrown(by: try makeModel(), anthropic)?.code == "unsupported_operation")
    }

    @Test(
        "Failures are of the upstream, and named",
        arguments: [
            ("{}", 200, ParleyError.Kind.upstreamUnavailable), ("<html>", 200, .upstreamUnavailable),
            (#"{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}"#, 429, .rateLimited),
            (#"{"detail":"no such model"}"#, 404, .notFound), ("", 503, .upstreamUnavailable),
        ])
    func failures(body: String, status: Int, kind: ParleyError.Kind) async throws {
        let connector = FakeConnector(.json(body, status: status))
        let failure = await thrown(by: try makeModel(), makeCall(connector, #"{"input":"a"}"#))
        #expect(failure?.kind == kind && failure?.message.hasPrefix("a: ") == true)
    }

    @Test("A vector for each input, or none at all")
    func count() async throws {
        let connector = FakeConnector(.json(answer([[1]])))
        let body = #"{"content":{"parts":[{"text":"Hi"}]}}"#
        let batch = #"{"requests":[\#(body),\#(body)]}"#
        let failure = await thrown(by: try makeModel(), makeCall(connector, batch, dialect: .gemini))
        #expect(failure?.message == "a: the service sent 1 vectors for 2 inputs")
    }

    @Test("The demo's vectors are the same each time, of length one, and near where words are shared")
    func demo() async throws {
        func vectors(_ body: String) async throws -> [[Float]] {
            let model = try #require(try Registry.make(ProviderSetup(name: "demo", kind: "demo")).model("demo"))
            let reply = try await model.answer(makeCall(FakeConnector(), body))
            return try OpenAIEmbeddings().decodeResponse(ByteBuffer(string: try await text(of: reply))).vectors
        }
        let body = #"{"input":["The quick brown fox","a quick brown fox!","Entirely other words here",""]}"#
            .replacing(#","""#, with: "")
        let first = try await vectors(body)
        #expect(try await vectors(body) == first)
        #expect(first.count == 3 && first.allSatisfy { $0.count == 64 })
        func product(_ a: [Float], _ b: [Float]) -> Float { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
        for vector in first { #expect(abs(product(vector, vector) - 1) < 0.0001) }
        #expect(product(first[0], first[1]) > product(first[0], first[2]) + 0.3)
        #expect(try await vectors(#"{"input":"?","dimensions":3,"encoding_format":"base64"}"#) == [[1, 0, 0]])
    }
}
