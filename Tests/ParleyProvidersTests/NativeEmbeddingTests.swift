// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire
import Testing

@testable import ParleyProviders

@Suite("Embeddings of providers with an API of their own")
struct NativeEmbeddingTests {
    private static let gemini = #"{"embeddings":[{"values":[1,2]},{"values":[3,4]}]}"#
    private static let two = #"{"model":"a/m","input":["x","y"]}"#

    private static func call(
        _ connector: any Connector, _ body: String = two, dialect: DialectID = .openAIChat
    ) -> Call {
        Call(
            id: "req_1", dialect: dialect, operation: .embed, model: "a/m", stream: false, includeUsage: false,
            body: ByteBuffer(string: body), deadline: .now() + .minutes(1), connector: connector, trace: CallTrace())
    }

    private static func vectors(_ model: any Model, _ connector: FakeConnector) async throws -> [[Float]] {
        let reply = try await model.answer(call(connector))
        return try OpenAIEmbeddings().decodeResponse(ByteBuffer(string: try await text(of: reply))).vectors
    }

    @Test("Gemini is asked for one or for many, whoever asks")
    func gemini() async throws {
        let connector = FakeConnector(
            .json(Self.gemini), .json(#"{"embedding":{"values":[5]}}"#), .json(#"{"embeddings":[{"values":[5]}]}"#))
        let model = try makeModel(kind: "gemini", id: "gemini-embedding-001") { $0.baseURL = nil }
        #expect(try await Self.vectors(model, connector) == [[1, 2], [3, 4]])
        #expect(
            connector.heads[0].hasPrefix(
                "POST /v1beta/models/gemini-embedding-001:batchEmbedContents HTTP/1.1\r\n"
                    + "host: generativelanguage.googleapis.com\r\nx-goog-api-key: k1\r\n"))
        let first = try JSON.parse(connector.bodies[0])["requests"]?.array?.first
        #expect(first?["model"] == "models/gemini-embedding-001")
        let content = #"{"content":{"parts":[{"text":"x"}]}}"#
        let single = try await model.answer(Self.call(connector, content, dialect: .gemini))
        #expect(try JSON.parse(try await text(of: single))["embedding"]?["values"]?.array?.count == 1)
        #expect(connector.heads[1].contains(":embedContent HTTP/1.1\r\n"))
        _ = try await model.answer(Self.call(connector, #"{"requests":[\#(content)]}"#, dialect: .gemini))
        #expect(connector.heads[2].contains(":batchEmbedContents HTTP/1.1\r\n"))
    }

    @Test("Vertex AI predicts vectors, and Claude has none")
    func vertex() async throws {
        let connector = FakeConnector(
            .json(#"{"predictions":[{"embeddings":{"values":[1]}},{"embeddings":{"values":[2]}}]}"#))
        let model = try makeModel(kind: "vertex", id: "text-embedding-005") { $0.baseURL = nil }
        #expect(try await Self.vectors(model, connector) == [[1], [2]])
        #expect(
            connector.heads[0].hasPrefix("POST /v1/publishers/google/models/text-embedding-005:predict HTTP/1.1\r\n"))
        #expect(try JSON.parse(connector.bodies[0])["instances"]?.array?.count == 2)
        let claude = try makeModel(kind: "vertex", id: "claude-sonnet-4") { $0.baseURL = nil }
        let refused = await thrown(by: claude, Self.call(connector))
        #expect(refused?.code == "unsupported_operation" && connector.heads.count == 1)
    }

    @Test("Ollama and Cohere embed at paths of their own")
    func ownPaths() async throws {
        let answers = [
            ("ollama", "/api/embed", #"{"model":"m","embeddings":[[1],[2]],"prompt_eval_count":2}"#),
            ("cohere", "/v2/embed", #"{"id":"a","embeddings":{"float":[[1],[2]]}}"#),
        ]
        for (kind, path, answer) in answers {
            let connector = FakeConnector(.json(answer))
            #expect(try await Self.vectors(try makeModel(kind: kind), connector) == [[1], [2]])
            #expect(connector.heads[0].hasPrefix("POST \(path) HTTP/1.1\r\n"))
            #expect(try JSON.parse(connector.bodies[0])["model"] == "m")
        }
    }

    @Test("Bedrock's models embed in their makers' words, one text at a time where they must; others have none")
    func bedrock() async throws {
        func model(_ id: String) throws -> any Model {
            try makeModel(kind: "bedrock", id: id) {
                $0.baseURL = nil
                $0.options.values["region"] = "us-east-1"
            }
        }
        let titan = FakeConnector(
            .json(#"{"embedding":[1],"inputTextTokenCount":1}"#), .json(#"{"embedding":[2],"inputTextTokenCount":1}"#))
        #expect(try await Self.vectors(try model("amazon.titan-embed-text-v2:0"), titan) == [[1], [2]])
        #expect(
            titan.heads.allSatisfy { $0.hasPrefix("POST /model/amazon.titan-embed-text-v2%3A0/invoke HTTP/1.1\r\n") })
        #expect(titan.heads[0].contains("authorization: Bearer k1\r\n"))
        let cohere = FakeConnector(.json(#"{"embeddings":{"float":[[1],[2]]}}"#))
        #expect(try await Self.vectors(try model("cohere.embed-english-v3"), cohere) == [[1], [2]])
        #expect(try JSON.parse(cohere.bodies[0])["model"] == nil)
        let refused = await thrown(by: try model("us.amazon.nova-micro-v1:0"), Self.call(cohere))
        #expect(refused?.code == "unsupported_operation")
    }
}

@Suite("Headers that a client may send on")
struct VendorHeaderTests {
    @Test("A vendor's header reaches services of its dialect only")
    func vendors() async throws {
        let answers = [
            ("openai-compatible", wholeAnswer, "openai-beta"),
            (
                "gemini",
                #"{"candidates":[{"content":{"parts":[{"text":"Hi"}],"role":"model"},"finishReason":"STOP"}]}"#, ""
            ),
        ]
        for (kind, answer, expected) in answers {
            let connector = FakeConnector(.json(answer))
            var call = makeCall(connector, stream: false)
            call.headers = [HeaderField("anthropic-beta", "a"), HeaderField("openai-beta", "b")]
            _ = try await makeModel(kind: kind).answer(call)
            for name in ["anthropic-beta", "openai-beta"] {
                #expect(connector.heads[0].contains("\(name): ") == (name == expected), "\(kind) \(name)")
            }
        }
    }
}
