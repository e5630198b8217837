// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

/// Ollama's `/api/embed`, and the older `/api/embeddings` for clients that still ask it.
public struct OllamaEmbeddings: EmbeddingDialect {
    /// The dialect.
    public init() {}

    /// `ollama`.
    public var id: DialectID { .ollama }

    /// What is lost on the way to Ollama.
    public var losses: [Loss] {
        [
            Loss("user", .dropped, "There is none."),
            Loss("task", .dropped, "There is none: models want a prefix in the text."),
            Loss("title", .dropped, "There is none."),
            Loss("input", .refused, "Tokens: only texts are taken."),
        ]
    }

    /// Reads a client's request; one with `prompt` in place of `input` is the older API's.
    ///
    /// - Throws: `invalid`, naming the field by its path.
    public func decodeRequest(_ body: ByteBuffer) throws(ParleyError) -> EmbeddingRequest {
        var fields = FieldReader(try EmbeddingWire.object(body))
        _ = fields.take("model")
        var request = EmbeddingRequest([])
        switch fields.take("input") {
        case .string(let text)?:
            request.inputs = [.text(text)]
            request.isSingle = true
        case .array(let list)?:
            for (index, element) in list.enumerated() {
                guard let text = element.string else {
                    throw RequestFault.type("input[\(index)]", expected: "a string", got: element)
                }
                request.inputs.append(.text(text))
            }
        case nil:
            guard let prompt = try fields.string("prompt") else { throw RequestFault.missing("input") }
            request.inputs = [.text(prompt)]
            request.isSingle = true
            fields.rest["prompt"] = true
        case let other?:
            throw RequestFault.type("input", expected: "one of a string or an array of strings", got: other)
        }
        request.dimensions = try fields.int("dimensions")
        if let length = request.dimensions, length < 1 {
            throw RequestFault.below("dimensions", minimum: 1, got: length)
        }
        if !fields.rest.isEmpty { request.extras = Extras(.ollama, fields.rest) }
        return request
    }

    /// Writes a request for `/api/embed`.
    ///
    /// - Throws: `invalid` for tokens.
    public func encodeRequest(
        _ request: EmbeddingRequest, model: String, dropped: inout [String]
    ) throws(ParleyError) -> ByteBuffer {
        let texts = try EmbeddingWire.texts(request)
        let said = [("user", request.user), ("task", request.task), ("title", request.title)]
        EmbeddingWire.drop(request, from: .ollama, said.filter { $0.1 != nil }.map(\.0), &dropped)
        var object: JSONObject = ["model": .string(model)]
        if request.isSingle, let only = texts.first, texts.count == 1 {
            object["input"] = .string(only)
        } else {
            object["input"] = .array(texts.map { .string($0) })
        }
        object["dimensions"] = request.dimensions.map { .int($0) }
        for member in request.extras.of(.ollama).members where member.key != "prompt" { object.members.append(member) }
        var out = ByteBuffer()
        out.writeJSON(.object(object))
        return out
    }

    /// Reads an answer of either API.
    ///
    /// - Throws: the upstream's error where the answer is one; `upstreamUnavailable` where it is unreadable.
    public func decodeResponse(_ body: ByteBuffer) throws(ParleyError) -> EmbeddingResponse {
        try EmbeddingWire.answer(body) { text throws(JSONError) in
            var vectors: [[Float]]?
            var response = EmbeddingResponse([])
            var members = try text.members()
            while let member = try members.next() {
                if member.isNamed("embeddings", in: text) {
                    vectors = try EmbeddingWire.vectors(at: member.value, in: text)
                } else if member.isNamed("embedding", in: text) {
                    vectors = VectorText.read(text, member.value).map { [$0] }
                } else if member.isNamed("model", in: text) {
                    response.model = text.string(member.value) ?? ""
                } else if member.isNamed("prompt_eval_count", in: text) {
                    response.usage.input = text.int(member.value).flatMap { $0 >= 0 ? $0 : nil }
                }
            }
            try members.expectEnd()
            guard let vectors else { return nil }
            response.vectors = vectors
            return response
        }
    }

    /// Writes an answer of the API that was asked.
    public func encodeResponse(
        _ response: EmbeddingResponse, for request: EmbeddingRequest, _ context: AnswerContext
    ) -> ByteBuffer {
        var out = EmbeddingWire.buffer(for: response)
        if request.extras.of(.ollama)["prompt"] != nil {
            out.writeStaticString("{\"embedding\":")
            VectorText.write(response.vectors.first ?? [], into: &out)
            out.writeStaticString("}")
            return out
        }
        out.writeStaticString("{\"model\":")
        out.writeJSONString(response.model.isEmpty ? context.model : response.model)
        out.writeStaticString(",\"embeddings\":")
        EmbeddingWire.write(response.vectors, into: &out)
        out.writeString(
            ",\"total_duration\":0,\"load_duration\":0,\"prompt_eval_count\":\(response.usage.input ?? 0)}")
        return out
    }
}
