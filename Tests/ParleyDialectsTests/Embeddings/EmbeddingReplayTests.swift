// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

/// Helpers of the suites on embeddings.
enum Embedding {
    static let context = AnswerContext(id: "own", model: "asked", created: 99, includeUsage: false)

    /// The dialect of an exchange; nil where it is no embedding.
    static func dialect(of exchange: WireExchange) -> (any EmbeddingDialect)? {
        let path = exchange.path
        switch exchange.provider {
        case "embeddings-openai", "openai-embeddings", "azure":
            return path.contains("/embeddings") ? OpenAIEmbeddings() : nil
        case "embeddings-mistral", "mistral": return style(.mistral, path)
        case "embeddings-voyage", "voyage": return style(.voyage, path)
        case "embeddings-jina": return style(.jina, path)
        case "embeddings-perplexity", "perplexity": return style(.perplexity, path)
        case "embeddings-gemini": return GeminiEmbeddings()
        case "embeddings-vertex": return VertexEmbeddings(model: path)
        case "embeddings-ollama": return OllamaEmbeddings()
        case "embeddings-cohere", "cohere": return path.hasSuffix("/embed") ? CohereEmbeddings() : nil
        case "embeddings-dashscope": return DashScopeEmbeddings(model: "text-embedding-v4")
        case "embeddings-ernie": return ErnieEmbeddings()
        case "embeddings-bedrock": return BedrockEmbeddings.dialect(for: path)
        default: return nil
        }
    }

    private static func style(_ style: EmbeddingStyle, _ path: String) -> OpenAIEmbeddings? {
        path.hasSuffix("/embeddings") ? OpenAIEmbeddings(style: style) : nil
    }

    static func json(_ dialect: any EmbeddingDialect, _ request: EmbeddingRequest, _ dropped: inout [String]) throws
        -> JSONValue
    {
        try JSON.parse(dialect.encodeRequest(request, model: "m", dropped: &dropped))
    }

    static func fault(_ dialect: any EmbeddingDialect, _ body: String) -> ParleyError? {
        do throws(ParleyError) {
            _ = try dialect.decodeRequest(ByteBuffer(string: body))
            return nil
        } catch {
            return error
        }
    }
}

@Suite("Replaying embeddings")
struct EmbeddingReplayTests {
    static let exchanges = WireExchange.all { Embedding.dialect(of: $0) != nil }
    static let answers = exchanges.filter { !$0.isError && $0.expect?["error"] == nil }

    @Test("There is something to replay")
    func count() {
        #expect(Self.exchanges.count >= 26)
        print("embeddings: \(Self.exchanges.count) exchanges replayed")
    }

    @Test("An answer has the vectors and the tokens that are expected", arguments: answers)
    func expected(_ exchange: WireExchange) throws {
        let dialect = try #require(Embedding.dialect(of: exchange))
        var response = try dialect.decodeResponse(ByteBuffer(bytes: exchange.body))
        response.usage.merge(dialect.usage(of: exchange.headers))
        guard let expect = exchange.expect else {
            let inputs = exchange.request["input"]?.array?.count ?? 1
            #expect(response.vectors.count == inputs)
            #expect(response.vectors.allSatisfy { $0.count >= 256 && $0.contains { $0 != 0 } })
            #expect((response.usage.input ?? 0) > 0)
            return
        }
        let vectors = (expect["vectors"]?.array ?? []).map { ($0.array ?? []).map { Float($0.double ?? 0) } }
        #expect(response.vectors == vectors)
        #expect(response.usage.input == expect["usage"]?["prompt"]?.int)
    }

    @Test("An answer written for a client and read again is the same", arguments: answers)
    func rewritten(_ exchange: WireExchange) throws {
        let dialect = try #require(Embedding.dialect(of: exchange))
        let response = try dialect.decodeResponse(ByteBuffer(bytes: exchange.body))
        for client in [OpenAIEmbeddings(), GeminiEmbeddings(), OllamaEmbeddings(), CohereEmbeddings()]
            as [any EmbeddingDialect]
        {
            for isBase64 in [false, true] {
                var request = EmbeddingRequest([.text("One"), .text("Two")])
                request.wantsBase64 = isBase64
                let body = client.encodeResponse(response, for: request, Embedding.context)
                #expect((try? JSON.parse(body)) != nil)
                #expect(try client.decodeResponse(body).vectors == response.vectors)
            }
        }
    }

    @Test("An error is read with its status", arguments: exchanges.filter(\.isError))
    func errors(_ exchange: WireExchange) {
        let failure = OpenAIChat().decodeFailure(
            status: exchange.status, headers: exchange.headers, body: ByteBuffer(bytes: exchange.body))
        #expect(failure.httpStatus == exchange.expect?["error"]?["status"]?.int ?? exchange.status)
        #expect(!failure.message.isEmpty)
    }

    @Test("An error with status 200 is thrown", arguments: exchanges.filter { $0.name == "error-200" })
    func embedded(_ exchange: WireExchange) throws {
        let dialect = try #require(Embedding.dialect(of: exchange))
        #expect(throws: ParleyError.self) { try dialect.decodeResponse(ByteBuffer(bytes: exchange.body)) }
        #expect(throws: ParleyError.self) {
            try dialect.inspectResponse(ByteBuffer(bytes: exchange.body), for: EmbeddingRequest([]))
        }
    }

    @Test(
        "A request of a service whose clients may call is read and written the same",
        arguments: exchanges.filter { ["openai", "gemini", "ollama", "cohere"].contains($0.family) })
    func requests(_ exchange: WireExchange) throws {
        let dialect = try #require(Embedding.dialect(of: exchange))
        guard exchange.name != "old" else { return }
        let request = try dialect.decodeRequest(ByteBuffer(string: JSON.text(exchange.request)))
        let model = exchange.request["model"]?.string ?? "gemini-embedding-001"
        var dropped: [String] = []
        let body = try dialect.encodeRequest(request, model: model, dropped: &dropped)
        #expect(dropped.isEmpty)
        #expect(try dialect.decodeRequest(body).inputs == request.inputs)
        #expect(same(Self.normal(try JSON.parse(body)), Self.normal(exchange.request)))
    }

    /// Null is not said; floats are what OpenAI's clients get when they do not say; Cohere is asked for floats; Gemini
    /// repeats the model in the body.
    private static func normal(_ value: JSONValue) -> JSONValue {
        guard var object = value.object else { return value }
        object.members.removeAll { $0.value.isNull }
        if object["encoding_format"] == "float" { object["encoding_format"] = nil }
        object["embedding_types"] = nil
        if object["content"] != nil { object["model"] = nil }
        return .object(object)
    }
}

extension WireExchange {
    /// Whose clients speak it.
    fileprivate var family: String {
        switch provider {
        case "embeddings-openai", "openai-embeddings", "azure": "openai"
        case "embeddings-cohere", "cohere": "cohere"
        default: provider.replacing("embeddings-", with: "")
        }
    }
}
