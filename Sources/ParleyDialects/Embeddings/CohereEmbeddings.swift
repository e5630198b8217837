// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

/// Cohere's `/v2/embed`, also as Amazon Bedrock offers it.
public struct CohereEmbeddings: EmbeddingDialect {
    private let isOnBedrock: Bool

    /// The dialect at Cohere, or on Bedrock, where the model is in the path.
    public init(onBedrock: Bool = false) {
        isOnBedrock = onBedrock
    }

    /// `cohere`, or `bedrock`, whose errors it has there.
    public var id: DialectID { isOnBedrock ? .bedrock : .cohere }

    /// 96 texts per request (Cohere's reference).
    public var batchLimit: Int? { 96 }

    /// What is lost on the way to Cohere.
    public var losses: [Loss] {
        [
            Loss("user", .dropped, "There is none."),
            Loss("title", .dropped, "There is none."),
            Loss("task", .dropped, "Where Cohere has no word for it; `input_type` is then `search_document`."),
            Loss("input", .refused, "Tokens: only texts are taken."),
        ]
    }

    // MARK: Requests

    /// Reads a client's request.
    ///
    /// - Throws: `invalid`, naming the field by its path: also for images and for types other than float and base64.
    public func decodeRequest(_ body: ByteBuffer) throws(ParleyError) -> EmbeddingRequest {
        var fields = FieldReader(try EmbeddingWire.object(body))
        _ = fields.take("model")
        var request = EmbeddingRequest(try Self.texts(&fields).map { .text($0) })
        guard !request.inputs.isEmpty else { throw RequestFault.empty("texts") }
        if let word = try fields.string("input_type") {
            request.task = EmbeddingTask.neutral(word)
            fields.rest["input_type"] = .string(word)
        }
        request.dimensions = try fields.int("output_dimension")
        if let length = request.dimensions, length < 1 {
            throw RequestFault.below("output_dimension", minimum: 1, got: length)
        }
        if let types = try fields.array("embedding_types") {
            for (index, type) in types.enumerated() where type != "float" && type != "base64" {
                throw ParleyError(
                    .invalid, "Invalid 'embedding_types[\(index)]': only 'float' and 'base64' are available here.",
                    code: "unsupported_value", parameter: "embedding_types[\(index)]")
            }
            request.wantsBase64 = types.contains("base64")
            if types.contains("float"), types.contains("base64") { fields.rest["embedding_types"] = .array(types) }
        }
        if !fields.rest.isEmpty { request.extras = Extras(id, fields.rest) }
        return request
    }

    private static func texts(_ fields: inout FieldReader) throws(ParleyError) -> [String] {
        func unsupported(_ path: String) -> ParleyError {
            ParleyError(
                .invalid, "Invalid '\(path)': only text can be embedded.", code: "unsupported_value", parameter: path)
        }
        if fields.take("images") != nil { throw unsupported("images") }
        var texts: [String] = []
        if let list = try fields.array("texts") {
            for (index, element) in list.enumerated() {
                guard let text = element.string else {
                    throw RequestFault.type("texts[\(index)]", expected: "a string", got: element)
                }
                texts.append(text)
            }
            return texts
        }
        guard let inputs = try fields.array("inputs") else { throw RequestFault.missing("texts") }
        for (index, input) in inputs.enumerated() {
            var text = ""
            for (place, part) in (input["content"]?.array ?? []).enumerated() {
                guard let piece = part["text"]?.string else {
                    throw unsupported("inputs[\(index)].content[\(place)]")
                }
                text += piece
            }
            texts.append(text)
        }
        return texts
    }

    /// Writes a request for an upstream. Vectors are asked for as floats.
    ///
    /// - Throws: `invalid` for tokens.
    public func encodeRequest(
        _ request: EmbeddingRequest, model: String, dropped: inout [String]
    ) throws(ParleyError) -> ByteBuffer {
        let texts = try EmbeddingWire.texts(request)
        var extras = request.extras.of(id)
        _ = extras.remove("embedding_types")
        let own = extras.remove("input_type")?.string
        let word = own ?? request.task.flatMap(EmbeddingTask.cohere)
        var lost: [String] = []
        if request.user != nil { lost.append("user") }
        if request.title != nil { lost.append("title") }
        if request.task != nil, word == nil { lost.append("task") }
        if request.extras.dialect != id { lost += request.extras.fields.members.map(\.key) }
        // Said already, by way of the task.
        for name in lost where name != "input_type" || word == nil {
            if !dropped.contains(name) { dropped.append(name) }
        }
        var object = JSONObject()
        if !isOnBedrock { object["model"] = .string(model) }
        object["texts"] = .array(texts.map { .string($0) })
        // Models since version 3 want to be told; most of what is embedded is there to be found.
        object["input_type"] = .string(word ?? "search_document")
        object["embedding_types"] = ["float"]
        object["output_dimension"] = request.dimensions.map { .int($0) }
        object.members += extras.members
        var out = ByteBuffer()
        out.writeJSON(.object(object))
        return out
    }

    // MARK: Answers

    /// What Bedrock counts, which Cohere's body does not say there.
    public func usage(of headers: HeaderBlock) -> Usage { BedrockEmbeddings.usage(of: headers) }

    /// Reads an answer, by type or as one list of vectors.
    ///
    /// - Throws: the upstream's error where the answer is one; `upstreamUnavailable` where it is unreadable.
    public func decodeResponse(_ body: ByteBuffer) throws(ParleyError) -> EmbeddingResponse {
        try EmbeddingWire.answer(body) { text throws(JSONError) in
            var place: Range<Int>?
            var meta: Range<Int>?
            var members = try text.members()
            while let member = try members.next() {
                if member.isNamed("embeddings", in: text) {
                    place = member.value
                } else if member.isNamed("meta", in: text) {
                    meta = member.value
                }
            }
            try members.expectEnd()
            guard var place else { return nil }
            if text.isObject(place) {
                var typed = try EmbeddingWire.member("float", of: place, in: text)
                if typed == nil { typed = try EmbeddingWire.member("base64", of: place, in: text) }
                guard let typed else { return nil }
                place = typed
            }
            guard let vectors = try EmbeddingWire.vectors(at: place, in: text) else { return nil }
            var billed: Range<Int>?
            if let meta { billed = try EmbeddingWire.member("billed_units", of: meta, in: text) }
            let input = try EmbeddingWire.tokens("input_tokens", of: billed, in: text)
            return EmbeddingResponse(vectors, usage: Usage(input: input))
        }
    }

    /// Writes an answer by type.
    public func encodeResponse(
        _ response: EmbeddingResponse, for request: EmbeddingRequest, _ context: AnswerContext
    ) -> ByteBuffer {
        var out = EmbeddingWire.buffer(for: response)
        out.writeStaticString("{\"id\":")
        out.writeJSONString(context.id)
        out.writeStaticString(",\"embeddings\":{")
        let wantsBoth = request.extras.of(id)["embedding_types"] != nil
        if !request.wantsBase64 || wantsBoth {
            out.writeStaticString("\"float\":")
            EmbeddingWire.write(response.vectors, into: &out)
        }
        if wantsBoth { out.writeStaticString(",") }
        if request.wantsBase64 {
            out.writeStaticString("\"base64\":[")
            for (index, vector) in response.vectors.enumerated() {
                if index > 0 { out.writeStaticString(",") }
                VectorText.writeBase64(vector, into: &out)
            }
            out.writeStaticString("]")
        }
        out.writeStaticString("},\"texts\":[")
        var isFirst = true
        for case .text(let text) in request.inputs {
            if !isFirst { out.writeStaticString(",") }
            isFirst = false
            out.writeJSONString(text)
        }
        out.writeStaticString("],\"meta\":{\"api_version\":{\"version\":\"2\"}")
        if let input = response.usage.input { out.writeString(",\"billed_units\":{\"input_tokens\":\(input)}") }
        out.writeStaticString("},\"response_type\":\"embeddings_by_type\"}")
        return out
    }
}
