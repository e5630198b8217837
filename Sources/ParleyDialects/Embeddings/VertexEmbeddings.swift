// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

/// Vertex AI's `:predict` for Google's embedding models, as upstreams answer it.
public struct VertexEmbeddings: EmbeddingDialect {
    /// 250 texts per request; one for `gemini-embedding-…` (Google's reference of the text embeddings API).
    public let batchLimit: Int?

    /// The dialect as it is for `model`.
    public init(model: String) {
        batchLimit = model.contains("gemini-embedding") ? 1 : 250
    }

    /// `gemini`, whose errors it has.
    public var id: DialectID { .gemini }

    /// What is lost on the way to Vertex AI.
    public var losses: [Loss] { GeminiEmbeddings().losses }

    /// Reads a request as Gemini's: clients do not speak this one.
    public func decodeRequest(_ body: ByteBuffer) throws(ParleyError) -> EmbeddingRequest {
        try GeminiEmbeddings().decodeRequest(body)
    }

    /// Writes a request for an upstream; the model is in the path.
    ///
    /// - Throws: `invalid` for tokens.
    public func encodeRequest(
        _ request: EmbeddingRequest, model: String, dropped: inout [String]
    ) throws(ParleyError) -> ByteBuffer {
        let texts = try EmbeddingWire.texts(request)
        let lost = (request.user == nil ? [] : ["user"]) + request.extras.fields.members.map(\.key)
        EmbeddingWire.drop(request, from: .gemini, lost, &dropped)
        let instances = texts.map { text -> JSONValue in
            var instance: JSONObject = ["content": .string(text)]
            instance["task_type"] = request.task.map { .string($0) }
            instance["title"] = request.title.map { .string($0) }
            return .object(instance)
        }
        var object: JSONObject = ["instances": .array(instances)]
        if let length = request.dimensions { object["parameters"] = ["outputDimensionality": .int(length)] }
        var out = ByteBuffer()
        out.writeJSON(.object(object))
        return out
    }

    /// Reads an answer; the tokens of its vectors are added up.
    ///
    /// - Throws: the upstream's error where the answer is one; `upstreamUnavailable` where it is unreadable.
    public func decodeResponse(_ body: ByteBuffer) throws(ParleyError) -> EmbeddingResponse {
        try EmbeddingWire.answer(body) { text throws(JSONError) in
            let whole = 0..<text.bytes.count
            guard let place = try EmbeddingWire.member("predictions", of: whole.trimmed(in: text), in: text),
                var elements = text.elements(at: place.lowerBound)
            else { return nil }
            var response = EmbeddingResponse([])
            while let element = try elements.next() {
                guard let embeddings = try EmbeddingWire.member("embeddings", of: element, in: text),
                    let values = try EmbeddingWire.member("values", of: embeddings, in: text),
                    let vector = VectorText.read(text, values)
                else { return nil }
                response.vectors.append(vector)
                let counts = try EmbeddingWire.member("statistics", of: embeddings, in: text)
                if let tokens = try EmbeddingWire.tokens("token_count", of: counts, in: text) {
                    response.usage.input = (response.usage.input ?? 0).clampedSum(tokens)
                }
            }
            return response
        }
    }

    /// Writes an answer as Gemini's.
    public func encodeResponse(
        _ response: EmbeddingResponse, for request: EmbeddingRequest, _ context: AnswerContext
    ) -> ByteBuffer {
        GeminiEmbeddings().encodeResponse(response, for: request, context)
    }
}

extension Range<Int> {
    /// Without the white space at its start.
    fileprivate func trimmed(in text: JSONText) -> Range<Int> {
        var start = lowerBound
        while start < upperBound, text.bytes[start] <= 0x20 { start += 1 }
        return start..<upperBound
    }
}
