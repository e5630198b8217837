// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Requests for embeddings")
struct EmbeddingRequestTests {
    @Test("OpenAI's four kinds of input")
    func inputs() throws {
        func read(_ input: String) throws -> EmbeddingRequest {
            try OpenAIEmbeddings().decodeRequest(ByteBuffer(string: #"{"input":\#(input),"model":"m"}"#))
        }
        #expect(try read(#""a\nb""#).inputs == [.text("a\nb")])
        #expect(try read(#""a""#).isSingle)
        #expect(try read(#"["a","b"]"#) == EmbeddingRequest([.text("a"), .text("b")]))
        #expect(try read("[1,2]").inputs == [.tokens([1, 2])])
        #expect(try read("[1,2]").isSingle)
        #expect(try read("[[1],[2,3]]") == EmbeddingRequest([.tokens([1]), .tokens([2, 3])]))
    }

    @Test(
        "What is wrong with a request is named by its path",
        arguments: [
            ("{}", "input"), (#"{"input":null}"#, "input"), (#"{"input":5}"#, "input"), (#"{"input":[]}"#, "input"),
            (#"{"input":""}"#, "input"), (#"{"input":["a",""]}"#, "input[1]"), (#"{"input":["a",1]}"#, "input[1]"),
            (#"{"input":[1,"a"]}"#, "input[1]"), (#"{"input":[1.5]}"#, "input[0]"),
            (#"{"input":[[]]}"#, "input[0]"), (#"{"input":[[1],2]}"#, "input[1]"),
            (#"{"input":[[1,null]]}"#, "input[0][1]"), (#"{"input":[{}]}"#, "input[0]"),
            (#"{"input":"a","dimensions":0}"#, "dimensions"), (#"{"input":"a","dimensions":"3"}"#, "dimensions"),
            (#"{"input":"a","encoding_format":"int8"}"#, "encoding_format"), (#"{"input":"a","user":1}"#, "user"),
        ])
    func faults(body: String, path: String) {
        let fault = Embedding.fault(OpenAIEmbeddings(), body)
        #expect(fault?.kind == .invalid && fault?.parameter == path)
    }

    @Test(
        "Other dialects name theirs too",
        arguments: [
            ("gemini", "{}", "content"), ("gemini", #"{"content":{"parts":[{"inlineData":{}}]}}"#, "content.parts[0]"),
            ("gemini", #"{"requests":[]}"#, "requests"), ("gemini", #"{"requests":[1]}"#, "requests[0]"),
            (
                "gemini", #"{"requests":[{"content":"a","taskType":"X"},{"content":"b","taskType":"Y"}]}"#,
                "requests[1].taskType"
            ),
            ("ollama", "{}", "input"), ("ollama", #"{"input":[1]}"#, "input[0]"),
            ("cohere", "{}", "texts"), ("cohere", #"{"texts":[]}"#, "texts"),
            ("cohere", #"{"texts":["a"],"embedding_types":["int8"]}"#, "embedding_types[0]"),
            ("cohere", #"{"images":["data:"]}"#, "images"),
            ("bedrock", "{}", "inputText"),
        ])
    func otherFaults(dialect: String, body: String, path: String) {
        let dialects: [String: any EmbeddingDialect] = [
            "gemini": GeminiEmbeddings(), "ollama": OllamaEmbeddings(), "cohere": CohereEmbeddings(),
            "bedrock": TitanEmbeddings(),
        ]
        guard let dialect = dialects[dialect] else { return }
        let fault = Embedding.fault(dialect, body)
        #expect(fault?.kind == .invalid && fault?.parameter == path)
        for garbage in ["", "[]", "{", "1"] { #expect(Embedding.fault(dialect, garbage)?.kind == .invalid) }
    }

    /// Everything a request can say.
    private static let full: EmbeddingRequest = {
        var request = EmbeddingRequest([.text("One"), .text("Two")])
        request.dimensions = 8
        request.task = "RETRIEVAL_QUERY"
        request.title = "T"
        request.user = "u"
        return request
    }()

    @Test("Each service is told what it knows, and the rest is named")
    func services() throws {
        let texts: JSONValue = ["One", "Two"]
        let cases: [(any EmbeddingDialect, JSONValue, [String])] = [
            (
                OpenAIEmbeddings(),
                ["model": "m", "input": texts, "dimensions": 8, "encoding_format": "float", "user": "u"],
                ["title", "task"]
            ),
            (
                OpenAIEmbeddings(style: .mistral), ["model": "m", "input": texts, "output_dimension": 8],
                ["title", "task", "user"]
            ),
            (
                OpenAIEmbeddings(style: .voyage),
                ["model": "m", "input": texts, "output_dimension": 8, "input_type": "query"], ["title", "user"]
            ),
            (
                OpenAIEmbeddings(style: .jina),
                ["model": "m", "input": texts, "dimensions": 8, "embedding_type": "float", "task": "retrieval.query"],
                ["title", "user"]
            ),
            (
                OpenAIEmbeddings(style: .perplexity), ["model": "m", "input": texts, "dimensions": 8],
                ["title", "task", "user"]
            ),
            (
                GeminiEmbeddings(),
                [
                    "requests": .array(
                        ["One", "Two"].map {
                            [
                                "model": "models/m", "content": ["parts": [["text": .string($0)]]],
                                "taskType": "RETRIEVAL_QUERY", "outputDimensionality": 8,
                            ]
                        })
                ], ["user", "title"]
            ),
            (
                OllamaEmbeddings(), ["model": "m", "input": texts, "dimensions": 8], ["user", "task", "title"]
            ),
            (
                CohereEmbeddings(),
                [
                    "model": "m", "texts": texts, "input_type": "search_query", "embedding_types": ["float"],
                    "output_dimension": 8,
                ], ["user", "title"]
            ),
        ]
        for (dialect, body, names) in cases {
            var dropped: [String] = []
            #expect(same(try Embedding.json(dialect, Self.full, &dropped), body), "\(dialect)")
            #expect(Set(dropped) == Set(names), "\(dialect)")
            #expect(dropped.allSatisfy { name in dialect.losses.contains { $0.field == name } }, "\(dialect)")
        }
    }

    @Test("Everything that can be dropped or refused is declared")
    func losses() throws {
        let dialects: [any EmbeddingDialect] =
            EmbeddingStyle.allCases.map { OpenAIEmbeddings(style: $0) } + [
                GeminiEmbeddings(), OllamaEmbeddings(), CohereEmbeddings(), TitanEmbeddings(),
                VertexEmbeddings(model: "x"),
            ]
        for dialect in dialects {
            var request = Self.full
            request.inputs = [.text("One")]
            request.task = "CODE_RETRIEVAL_QUERY"
            var dropped: [String] = []
            _ = try dialect.encodeRequest(request, model: "m", dropped: &dropped)
            let declared = dialect.losses.filter { $0.fate == .dropped }.map(\.field)
            #expect(Set(dropped).isSubset(of: declared + ["title", "task", "user"]))
            request.inputs = [.tokens([1])]
            let isRefused = dialect.losses.contains { $0.field == "input" && $0.fate == .refused }
            let failure: ParleyError?
            do throws(ParleyError) {
                _ = try dialect.encodeRequest(request, model: "m", dropped: &dropped)
                failure = nil
            } catch {
                failure = error
            }
            #expect((failure != nil) == isRefused && (failure == nil || failure?.parameter == "input"))
        }
    }

    @Test("OpenAI's clients say what vectors are for in input_type, and only services that know it are told")
    func inputType() throws {
        let request = try OpenAIEmbeddings().decodeRequest(
            ByteBuffer(string: #"{"model":"m","input":"a","input_type":"document"}"#))
        #expect(request.task == "RETRIEVAL_DOCUMENT")
        var dropped: [String] = []
        #expect(try Embedding.json(CohereEmbeddings(), request, &dropped)["input_type"] == "search_document")
        #expect(dropped.isEmpty)
        #expect(try Embedding.json(OpenAIEmbeddings(style: .voyage), request, &dropped)["input_type"] == "document")
        #expect(try Embedding.json(OpenAIEmbeddings(style: .jina), request, &dropped)["task"] == "retrieval.passage")
        let gemini = try Embedding.json(GeminiEmbeddings(), request, &dropped)
        #expect(gemini["taskType"] == "RETRIEVAL_DOCUMENT" && gemini["requests"] == nil)
        #expect(GeminiEmbeddings.method(for: request) == "embedContent")
    }

    @Test("Bedrock's models are told apart, and take what they take")
    func bedrock() throws {
        #expect(BedrockEmbeddings.dialect(for: "us.anthropic.claude-sonnet-4-5") == nil)
        #expect(BedrockEmbeddings.dialect(for: "amazon.titan-embed-text-v2:0")?.batchLimit == 1)
        let cohere = try #require(BedrockEmbeddings.dialect(for: "cohere.embed-multilingual-v3"))
        #expect(cohere.id == .bedrock && cohere.batchLimit == 96)
        var dropped: [String] = []
        #expect(try Embedding.json(cohere, Self.full, &dropped)["model"] == nil)
        #expect(throws: ParleyError.self) { try Embedding.json(TitanEmbeddings(), Self.full, &dropped) }
    }

    @Test("Answers that are no vectors are failures of the upstream, and are not quoted")
    func unreadable() {
        let dialects: [any EmbeddingDialect] = [
            OpenAIEmbeddings(), GeminiEmbeddings(), OllamaEmbeddings(), CohereEmbeddings(), TitanEmbeddings(),
            VertexEmbeddings(model: "x"),
        ]
        let bodies = [
            "", "{", "secret", "[]", "{}", #"{"data":5,"embeddings":5,"embedding":5,"predictions":5}"#,
            #"{"data":[{"embedding":["secret"]}],"embeddings":[["secret"]],"embedding":["secret"]}"#,
            #"{"data":[1],"embeddings":[{"values":5}],"embedding":{},"predictions":[1]}"#,
        ]
        for dialect in dialects {
            for body in bodies {
                do throws(ParleyError) {
                    _ = try dialect.decodeResponse(ByteBuffer(string: body))
                    Issue.record("\(dialect) read \(body)")
                } catch {
                    #expect(error.kind == .upstreamUnavailable && !error.message.contains("secret"))
                }
            }
        }
    }

    @Test("Ollama's older path gets its own shape")
    func older() throws {
        let request = try OllamaEmbeddings().decodeRequest(ByteBuffer(string: #"{"model":"m","prompt":"a"}"#))
        let body = OllamaEmbeddings().encodeResponse(EmbeddingResponse([[1, 2]]), for: request, Embedding.context)
        #expect(String(buffer: body) == #"{"embedding":[1.0,2.0]}"#)
        var dropped: [String] = []
        #expect(same(try Embedding.json(OllamaEmbeddings(), request, &dropped), ["model": "m", "input": "a"]))
    }
}
