// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

/// Gemini's `:embedContent` and `:batchEmbedContents`, as clients speak them and as Google answers them.
public struct GeminiEmbeddings: EmbeddingDialect {
    /// The dialect.
    public init() {}

    /// `gemini`.
    public var id: DialectID { .gemini }

    /// A batch has at most 100 requests (Google's reference).
    public var batchLimit: Int? { 100 }

    /// What is lost on the way to Gemini.
    public var losses: [Loss] {
        [
            Loss("user", .dropped, "There is none."),
            Loss("title", .dropped, "For anything but documents, where Google refuses it."),
            Loss("input", .refused, "Tokens: only texts are taken."),
        ]
    }

    /// The method that `encodeRequest` writes for, behind the colon of the path.
    public static func method(for request: EmbeddingRequest) -> String {
        request.isSingle && request.inputs.count == 1 ? "embedContent" : "batchEmbedContents"
    }

    // MARK: Requests

    /// Reads a client's request: of one content, or of a batch. The model is in the path.
    ///
    /// - Throws: `invalid`, naming the field by its path.
    public func decodeRequest(_ body: ByteBuffer) throws(ParleyError) -> EmbeddingRequest {
        var fields = FieldReader(try EmbeddingWire.object(body))
        guard let batch = try fields.array("requests") else {
            var request = try Self.single(fields.rest, path: "")
            request.isSingle = true
            return request
        }
        guard !batch.isEmpty else { throw RequestFault.empty("requests") }
        var whole: EmbeddingRequest?
        for (index, element) in batch.enumerated() {
            let path = "requests[\(index)]"
            guard let object = element.object else {
                throw RequestFault.type(path, expected: "an object", got: element)
            }
            let one = try Self.single(object, path: path)
            guard var sum = whole else {
                whole = one
                continue
            }
            try Self.check(one, fits: sum, path: path)
            sum.inputs += one.inputs
            whole = sum
        }
        return whole ?? EmbeddingRequest([])
    }

    /// The neutral form has one task, length and title for all texts.
    private static func check(
        _ request: EmbeddingRequest, fits first: EmbeddingRequest, path: String
    ) throws(ParleyError) {
        let field: String
        if request.task != first.task {
            field = "taskType"
        } else if request.dimensions != first.dimensions {
            field = "outputDimensionality"
        } else if request.title != first.title {
            field = "title"
        } else {
            return
        }
        throw ParleyError(
            .invalid, "Invalid '\(path).\(field)': all requests of a batch must have the same.",
            code: "unsupported_value", parameter: "\(path).\(field)")
    }

    private static func single(_ object: JSONObject, path: String) throws(ParleyError) -> EmbeddingRequest {
        var fields = FieldReader(object, path: path)
        _ = fields.take("model")
        guard let content = fields.take("content") else { throw RequestFault.missing(fields.name("content")) }
        var request = EmbeddingRequest([.text(try text(content, path: fields.name("content")))])
        request.task = try either(&fields, "taskType", "task_type")
        if request.task == "TASK_TYPE_UNSPECIFIED" { request.task = nil }
        request.title = try fields.string("title")
        request.dimensions = try fields.int("outputDimensionality")
        if request.dimensions == nil { request.dimensions = try fields.int("output_dimensionality") }
        if let length = request.dimensions, length < 1 {
            throw RequestFault.below(fields.name("outputDimensionality"), minimum: 1, got: length)
        }
        if !fields.rest.isEmpty { request.extras = Extras(.gemini, fields.rest) }
        return request
    }

    /// Google reads both spellings of a name.
    private static func either(
        _ fields: inout FieldReader, _ name: String, _ other: String
    ) throws(ParleyError) -> String? {
        if let word = try fields.string(name) { return word }
        return try fields.string(other)
    }

    private static func text(_ content: JSONValue, path: String) throws(ParleyError) -> String {
        if let text = content.string { return text }
        guard let object = content.object else { throw RequestFault.type(path, expected: "an object", got: content) }
        var fields = FieldReader(object, path: path)
        let parts: [JSONValue]
        if let single = object["parts"]?.object {
            parts = [.object(single)]
        } else {
            guard let list = try fields.array("parts") else { throw RequestFault.missing(path + ".parts") }
            parts = list
        }
        var text = ""
        for (index, part) in parts.enumerated() {
            guard let piece = part["text"]?.string else {
                throw ParleyError(
                    .invalid, "Invalid '\(path).parts[\(index)]': only text can be embedded.",
                    code: "unsupported_value", parameter: "\(path).parts[\(index)]")
            }
            text += piece
        }
        return text
    }

    /// Writes a request for an upstream: see `method`.
    ///
    /// - Throws: `invalid` for tokens.
    public func encodeRequest(
        _ request: EmbeddingRequest, model: String, dropped: inout [String]
    ) throws(ParleyError) -> ByteBuffer {
        let texts = try EmbeddingWire.texts(request)
        EmbeddingWire.drop(request, from: .gemini, request.user == nil ? [] : ["user"], &dropped)
        let name = model.hasPrefix("models/") || model.hasPrefix("publishers/") ? model : "models/\(model)"
        var shared = JSONObject()
        shared["taskType"] = request.task.map { .string($0) }
        // Google refuses a title for anything but documents.
        if request.task == nil || request.task == "RETRIEVAL_DOCUMENT" {
            shared["title"] = request.title.map { .string($0) }
        } else if request.title != nil, !dropped.contains("title") {
            dropped.append("title")
        }
        shared["outputDimensionality"] = request.dimensions.map { .int($0) }
        shared.members += request.extras.of(.gemini).members
        let requests = texts.map { text -> JSONValue in
            var object: JSONObject = ["model": .string(name), "content": ["parts": [["text": .string(text)]]]]
            object.members += shared.members
            return .object(object)
        }
        var out = ByteBuffer()
        let isSingle = Self.method(for: request) == "embedContent"
        out.writeJSON(isSingle ? requests.first ?? [:] : ["requests": .array(requests)])
        return out
    }

    // MARK: Answers

    /// Reads an answer of either method.
    ///
    /// - Throws: the upstream's error where the answer is one; `upstreamUnavailable` where it is unreadable.
    public func decodeResponse(_ body: ByteBuffer) throws(ParleyError) -> EmbeddingResponse {
        try EmbeddingWire.answer(body) { text throws(JSONError) in
            var vectors: [[Float]]?
            var counts: Range<Int>?
            var members = try text.members()
            while let member = try members.next() {
                if member.isNamed("embeddings", in: text) {
                    vectors = try EmbeddingWire.vectors(at: member.value, inside: "values", in: text)
                } else if member.isNamed("embedding", in: text) {
                    guard let place = try EmbeddingWire.member("values", of: member.value, in: text),
                        let vector = VectorText.read(text, place)
                    else { return nil }
                    vectors = [vector]
                } else if member.isNamed("usageMetadata", in: text) {
                    counts = member.value
                }
            }
            try members.expectEnd()
            guard let vectors else { return nil }
            let input = try EmbeddingWire.tokens("promptTokenCount", of: counts, in: text)
            return EmbeddingResponse(vectors, usage: Usage(input: input))
        }
    }

    /// Writes an answer of the method that was asked.
    public func encodeResponse(
        _ response: EmbeddingResponse, for request: EmbeddingRequest, _ context: AnswerContext
    ) -> ByteBuffer {
        var out = EmbeddingWire.buffer(for: response)
        if request.isSingle {
            out.writeStaticString("{\"embedding\":{\"values\":")
            VectorText.write(response.vectors.first ?? [], into: &out)
            out.writeStaticString("}")
        } else {
            out.writeStaticString("{\"embeddings\":[")
            for (index, vector) in response.vectors.enumerated() {
                out.writeStaticString(index > 0 ? ",{\"values\":" : "{\"values\":")
                VectorText.write(vector, into: &out)
                out.writeStaticString("}")
            }
            out.writeStaticString("]")
        }
        if let input = response.usage.input {
            out.writeString(",\"usageMetadata\":{\"promptTokenCount\":\(input),\"totalTokenCount\":\(input)}")
        }
        out.writeStaticString("}")
        return out
    }
}
