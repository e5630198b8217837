// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

/// DashScope's own `text-embedding`, as upstreams answer it.
public struct DashScopeEmbeddings: EmbeddingDialect {
    /// Ten texts per request, 25 with the first two versions (the vendor's reference).
    public let batchLimit: Int?

    /// The dialect as it is for `model`.
    public init(model: String) {
        batchLimit = Self.batchLimit(of: model)
    }

    /// The most texts that `model` takes at once.
    public static func batchLimit(of model: String) -> Int {
        model.hasSuffix("-v1") || model.hasSuffix("-v2") ? 25 : 10
    }

    /// `dashscope`, whose errors it has.
    public var id: DialectID { .dashscope }

    /// What is lost on the way to DashScope.
    public var losses: [Loss] {
        [
            Loss("user", .dropped, "There is none."),
            Loss("title", .dropped, "There is none."),
            Loss("task", .dropped, "Where DashScope has no word for it: it knows queries and documents."),
            Loss("input", .refused, "Tokens: only texts are taken."),
        ]
    }

    /// Reads a request as OpenAI's: clients do not speak this one.
    public func decodeRequest(_ body: ByteBuffer) throws(ParleyError) -> EmbeddingRequest {
        try OpenAIEmbeddings().decodeRequest(body)
    }

    /// Writes a request for an upstream.
    ///
    /// - Throws: `invalid` for tokens.
    public func encodeRequest(
        _ request: EmbeddingRequest, model: String, dropped: inout [String]
    ) throws(ParleyError) -> ByteBuffer {
        let texts = try EmbeddingWire.texts(request)
        // The words are Voyage's, too.
        let word = request.task.flatMap(EmbeddingTask.voyage)
        var lost: [String] = []
        if request.user != nil { lost.append("user") }
        if request.title != nil { lost.append("title") }
        if request.task != nil, word == nil { lost.append("task") }
        lost += request.extras.fields.members.map(\.key).filter { $0 != "input_type" || word == nil }
        for name in lost where !dropped.contains(name) { dropped.append(name) }
        var parameters = JSONObject()
        parameters["dimension"] = request.dimensions.map { .int($0) }
        parameters["text_type"] = word.map { .string($0) }
        var object: JSONObject = [
            "model": .string(model), "input": ["texts": .array(texts.map { .string($0) })],
        ]
        if !parameters.isEmpty { object["parameters"] = .object(parameters) }
        var out = ByteBuffer()
        out.writeJSON(.object(object))
        return out
    }

    /// Reads an answer; its vectors are in the order of the texts.
    ///
    /// - Throws: the upstream's error where the answer is one; `upstreamUnavailable` where it is unreadable.
    public func decodeResponse(_ body: ByteBuffer) throws(ParleyError) -> EmbeddingResponse {
        try EmbeddingWire.answer(body) { text throws(JSONError) in
            var output: Range<Int>?
            var counts: Range<Int>?
            var members = try text.members()
            while let member = try members.next() {
                if member.isNamed("output", in: text) {
                    output = member.value
                } else if member.isNamed("usage", in: text) {
                    counts = member.value
                }
            }
            try members.expectEnd()
            guard let output, let place = try EmbeddingWire.member("embeddings", of: output, in: text),
                let vectors = try EmbeddingWire.vectors(at: place, inside: "embedding", in: text)
            else { return nil }
            let input = try EmbeddingWire.tokens("total_tokens", of: counts, in: text)
            return EmbeddingResponse(vectors, usage: Usage(input: input))
        }
    }

    /// Writes an answer as OpenAI's.
    public func encodeResponse(
        _ response: EmbeddingResponse, for request: EmbeddingRequest, _ context: AnswerContext
    ) -> ByteBuffer {
        OpenAIEmbeddings().encodeResponse(response, for: request, context)
    }
}
