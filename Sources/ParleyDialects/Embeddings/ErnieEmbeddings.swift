// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

/// The embeddings beside ERNIE's older API, as upstreams answer them: OpenAI's answers to a request of texts alone.
public struct ErnieEmbeddings: EmbeddingDialect {
    /// Embeddings beside ERNIE's older API.
    public init() {}

    /// `ernie`, whose errors they have.
    public var id: DialectID { .ernie }

    /// 16 texts per request (the vendor's reference).
    public var batchLimit: Int? { 16 }

    /// What is lost on the way to Baidu.
    public var losses: [Loss] {
        [
            Loss("title", .dropped, "There is none."),
            Loss("task", .dropped, "There is none."),
            Loss("dimensions", .refused, "Each model's vectors have one length."),
            Loss("input", .refused, "Tokens: only texts are taken."),
        ]
    }

    /// Reads a request as OpenAI's: clients do not speak this one.
    public func decodeRequest(_ body: ByteBuffer) throws(ParleyError) -> EmbeddingRequest {
        try OpenAIEmbeddings().decodeRequest(body)
    }

    /// Writes a request for an upstream; the model is in the path.
    ///
    /// - Throws: `invalid` for tokens and for a length.
    public func encodeRequest(
        _ request: EmbeddingRequest, model: String, dropped: inout [String]
    ) throws(ParleyError) -> ByteBuffer {
        let texts = try EmbeddingWire.texts(request)
        guard request.dimensions == nil else {
            throw RequestFault.unsupported("dimensions", "has vectors of one length only")
        }
        var lost: [String] = []
        if request.title != nil { lost.append("title") }
        if request.task != nil { lost.append("task") }
        lost += request.extras.fields.members.map(\.key).filter { $0 != "input_type" || request.task == nil }
        for name in lost where !dropped.contains(name) { dropped.append(name) }
        var object: JSONObject = ["input": .array(texts.map { .string($0) })]
        object["user_id"] = request.user.map { .string($0) }
        var out = ByteBuffer()
        out.writeJSON(.object(object))
        return out
    }

    /// Reads an answer as OpenAI's.
    ///
    /// - Throws: the upstream's error where the answer is one; `upstreamUnavailable` where it is unreadable.
    public func decodeResponse(_ body: ByteBuffer) throws(ParleyError) -> EmbeddingResponse {
        do throws(ParleyError) {
            return try OpenAIEmbeddings().decodeResponse(body)
        } catch {
            if body.readableBytes < 64 << 10, let value = try? JSON.parse(body), value["error_code"] != nil {
                throw ErnieCodes.failure(value)
            }
            throw error
        }
    }

    /// Writes an answer as OpenAI's.
    public func encodeResponse(
        _ response: EmbeddingResponse, for request: EmbeddingRequest, _ context: AnswerContext
    ) -> ByteBuffer {
        OpenAIEmbeddings().encodeResponse(response, for: request, context)
    }
}
