// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

/// Which of Amazon Bedrock's models embed, and how they are asked (`InvokeModel`).
public enum BedrockEmbeddings {
    /// The dialect of `model`; nil where it does not embed texts.
    public static func dialect(for model: String) -> (any EmbeddingDialect)? {
        if model.contains("titan-embed-text") || model.contains("titan-embed-g1") { return TitanEmbeddings() }
        if model.contains("cohere.embed") { return CohereEmbeddings(onBedrock: true) }
        return nil
    }

    /// Bedrock counts tokens in a header.
    static func usage(of headers: HeaderBlock) -> Usage {
        guard let text = headers.first("x-amzn-bedrock-input-token-count"), let count = Int(text), count >= 0 else {
            return Usage()
        }
        return Usage(input: count)
    }
}

/// Amazon's Titan text embeddings on Bedrock: one text per request.
public struct TitanEmbeddings: EmbeddingDialect {
    /// The dialect.
    public init() {}

    /// `bedrock`, whose errors it has.
    public var id: DialectID { .bedrock }

    /// One text per request (Amazon's reference of `inputText`).
    public var batchLimit: Int? { 1 }

    /// What is lost on the way to Titan.
    public var losses: [Loss] {
        [
            Loss("user", .dropped, "There is none."),
            Loss("task", .dropped, "There is none."),
            Loss("title", .dropped, "There is none."),
            Loss("input", .refused, "Tokens: only texts are taken."),
        ]
    }

    /// Reads a client's request.
    ///
    /// - Throws: `invalid`, naming the field by its path.
    public func decodeRequest(_ body: ByteBuffer) throws(ParleyError) -> EmbeddingRequest {
        var fields = FieldReader(try EmbeddingWire.object(body))
        var request = EmbeddingRequest([.text(try fields.required("inputText"))])
        request.isSingle = true
        request.dimensions = try fields.int("dimensions")
        if !fields.rest.isEmpty { request.extras = Extras(.bedrock, fields.rest) }
        return request
    }

    /// Writes a request for an upstream.
    ///
    /// - Throws: `invalid` for tokens, and for more than one text.
    public func encodeRequest(
        _ request: EmbeddingRequest, model: String, dropped: inout [String]
    ) throws(ParleyError) -> ByteBuffer {
        let texts = try EmbeddingWire.texts(request)
        guard let text = texts.first, texts.count == 1 else {
            throw ParleyError(
                .invalid, "Invalid 'input': this model takes one text per request.", code: "unsupported_value",
                parameter: "input")
        }
        let said = [("user", request.user), ("task", request.task), ("title", request.title)]
        EmbeddingWire.drop(request, from: .bedrock, said.filter { $0.1 != nil }.map(\.0), &dropped)
        var object: JSONObject = ["inputText": .string(text)]
        object["dimensions"] = request.dimensions.map { .int($0) }
        object.members += request.extras.of(.bedrock).members
        var out = ByteBuffer()
        out.writeJSON(.object(object))
        return out
    }

    /// What Bedrock counts.
    public func usage(of headers: HeaderBlock) -> Usage { BedrockEmbeddings.usage(of: headers) }

    /// Reads an answer.
    ///
    /// - Throws: the upstream's error where the answer is one; `upstreamUnavailable` where it is unreadable.
    public func decodeResponse(_ body: ByteBuffer) throws(ParleyError) -> EmbeddingResponse {
        try EmbeddingWire.answer(body) { text throws(JSONError) in
            var vector: [Float]?
            var input: Int?
            var members = try text.members()
            while let member = try members.next() {
                if member.isNamed("embedding", in: text) {
                    vector = VectorText.read(text, member.value)
                } else if member.isNamed("inputTextTokenCount", in: text) {
                    input = text.int(member.value).flatMap { $0 >= 0 ? $0 : nil }
                }
            }
            try members.expectEnd()
            guard let vector else { return nil }
            return EmbeddingResponse([vector], usage: Usage(input: input))
        }
    }

    /// Writes an answer.
    public func encodeResponse(
        _ response: EmbeddingResponse, for request: EmbeddingRequest, _ context: AnswerContext
    ) -> ByteBuffer {
        var out = EmbeddingWire.buffer(for: response)
        out.writeStaticString("{\"embedding\":")
        VectorText.write(response.vectors.first ?? [], into: &out)
        out.writeString(",\"inputTextTokenCount\":\(response.usage.input ?? 0)}")
        return out
    }
}
