// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

/// How a vendor's `/embeddings` differs from OpenAI's.
public enum EmbeddingStyle: String, Sendable, CaseIterable {
    /// As OpenAI has it.
    case openAI = "openai"
    /// `output_dimension`, no user (recorded; Mistral's reference).
    case mistral
    /// `output_dimension`, `input_type`, `encoding_format` only for base64 (recorded; Voyage's reference).
    case voyage
    /// `task`, `embedding_type` (Jina's reference).
    case jina
    /// Vectors as base64 of signed bytes, no `encoding_format` of OpenAI's (recorded; Perplexity's reference).
    case perplexity
    /// The vendor has no embeddings.
    case none
}

/// OpenAI's embeddings and those of the vendors compatible with it.
public struct OpenAIEmbeddings: EmbeddingDialect {
    private let style: EmbeddingStyle

    /// The dialect as a vendor of this style speaks it; clients speak OpenAI's.
    public init(style: EmbeddingStyle = .openAI) {
        self.style = style
    }

    /// `openai-chat`, whose errors it has.
    public var id: DialectID { .openAIChat }

    /// OpenAI's 2048, Voyage's 1000, Perplexity's 512, as their references say.
    public var batchLimit: Int? {
        switch style {
        case .openAI: 2048
        case .voyage: 1000
        case .perplexity: 512
        case .mistral, .jina, .none: nil
        }
    }

    /// What is lost on the way to these services.
    public var losses: [Loss] {
        var losses = [Loss("title", .dropped, "Only Gemini has it.")]
        switch style {
        case .openAI: losses.append(Loss("task", .dropped, "OpenAI's vectors are the same for every task."))
        case .mistral, .perplexity:
            losses += [Loss("task", .dropped, "There is none."), Loss("user", .dropped, "There is none.")]
        case .voyage, .jina:
            losses += [
                Loss("task", .dropped, "Where the vendor has no word for it."),
                Loss("user", .dropped, "There is none."),
            ]
        case .none: break
        }
        if style != .openAI { losses.append(Loss("input", .refused, "Tokens: only texts are taken.")) }
        return losses
    }

    // MARK: Requests

    /// Reads a client's request. `input_type`, which OpenAI lacks, says what the vectors are for.
    ///
    /// - Throws: `invalid`, naming the field by its path, in OpenAI's wording.
    public func decodeRequest(_ body: ByteBuffer) throws(ParleyError) -> EmbeddingRequest {
        let scan = try Intake.scan(body)
        guard let input = scan.member(named: "input"), !scan.isNull(input) else { throw RequestFault.missing("input") }
        var request = try EmbeddingInput.read(input, in: scan)
        var rest = JSONObject()
        for member in scan.members {
            let name = scan.name(member)
            guard name != "input", name != "model", let value = try? scan.value(member) else { continue }
            rest[name] = value
        }
        var fields = FieldReader(rest)
        request.dimensions = try fields.int("dimensions")
        if let length = request.dimensions, length < 1 {
            throw RequestFault.below("dimensions", minimum: 1, got: length)
        }
        request.user = try fields.string("user")
        if let format = try fields.string("encoding_format") {
            guard format == "float" || format == "base64" else {
                throw RequestFault.value("encoding_format", format, supported: ["float", "base64"])
            }
            request.wantsBase64 = format == "base64"
        }
        request.task = fields.rest["input_type"]?.string.flatMap(EmbeddingTask.neutral)
        if !fields.rest.isEmpty { request.extras = Extras(.openAIChat, fields.rest) }
        return request
    }

    /// Writes a request for an upstream.
    ///
    /// - Throws: `invalid` for tokens where the vendor takes texts only.
    public func encodeRequest(
        _ request: EmbeddingRequest, model: String, dropped: inout [String]
    ) throws(ParleyError) -> ByteBuffer {
        if style != .openAI { _ = try EmbeddingWire.texts(request) }
        var fields = JSONObject()
        var lost: [String] = request.title == nil ? [] : ["title"]
        put(request, into: &fields, lost: &lost)
        for member in request.extras.of(.openAIChat).members where fields[member.key] == nil {
            fields.members.append(member)
        }
        EmbeddingWire.drop(request, from: .openAIChat, lost, &dropped)
        var out = ByteBuffer()
        out.writeStaticString("{\"model\":")
        out.writeJSONString(model)
        out.writeStaticString(",\"input\":")
        EmbeddingInput.write(request, into: &out)
        for member in fields.members {
            out.writeStaticString(",")
            out.writeJSONString(member.key)
            out.writeStaticString(":")
            out.writeJSON(member.value)
        }
        out.writeStaticString("}")
        return out
    }

    private func put(_ request: EmbeddingRequest, into fields: inout JSONObject, lost: inout [String]) {
        let usesOwnLength = style == .mistral || style == .voyage
        fields[usesOwnLength ? "output_dimension" : "dimensions"] = request.dimensions.map { .int($0) }
        var task: (name: String, word: String?)?
        switch style {
        case .openAI, .none:
            fields["encoding_format"] = request.wantsBase64 ? "base64" : "float"
            fields["user"] = request.user.map { .string($0) }
        case .mistral, .perplexity: break
        case .voyage:
            if request.wantsBase64 { fields["encoding_format"] = "base64" }
            task = ("input_type", request.task.flatMap(EmbeddingTask.voyage))
        case .jina:
            fields["embedding_type"] = request.wantsBase64 ? "base64" : "float"
            task = ("task", request.task.flatMap(EmbeddingTask.jina))
        }
        if let task, let word = task.word { fields[task.name] = .string(word) }
        // A client that says it in `input_type` is passed on in its own word.
        if request.task != nil, task?.word == nil, request.extras.of(.openAIChat)["input_type"] == nil {
            lost.append("task")
        }
        if request.user != nil, fields["user"] == nil { lost.append("user") }
    }

    /// The request with another model's name, where the vendor speaks as OpenAI does.
    public func splice(_ body: ByteBuffer, model: String) throws(ParleyError) -> ByteBuffer? {
        guard style == .openAI else { return nil }
        return try Intake.scan(body).applying([.set("model", json: JSON.text(.string(model)))])
    }

    // MARK: Answers

    /// Reads an answer; vectors in either form.
    ///
    /// - Throws: the upstream's error where the answer is one; `upstreamUnavailable` where it is unreadable.
    public func decodeResponse(_ body: ByteBuffer) throws(ParleyError) -> EmbeddingResponse {
        try EmbeddingWire.answer(body) { text throws(JSONError) in
            let places = try Places(text)
            guard let data = places.data, let vectors = try vectors(at: data, in: text) else { return nil }
            return EmbeddingResponse(
                vectors, model: places.model.flatMap(text.string) ?? "", usage: try places.usage(in: text))
        }
    }

    /// The vectors in the order of their numbers, or of the list where those make no sense.
    private func vectors(at data: Range<Int>, in text: JSONText) throws(JSONError) -> [[Float]]? {
        guard var elements = text.elements(at: data.lowerBound) else { return nil }
        var listed: [[Float]] = []
        var numbers: [Int] = []
        while let element = try elements.next() {
            guard text.isObject(element) else { return nil }
            var vector: Range<Int>?
            var number: Int?
            var members = try text.members(at: element.lowerBound)
            while let member = try members.next() {
                if member.isNamed("embedding", in: text) {
                    vector = member.value
                } else if member.isNamed("index", in: text) {
                    number = text.int(member.value)
                }
            }
            guard let vector,
                let read = style == .perplexity ? VectorText.readInt8(text, vector) : VectorText.read(text, vector)
            else { return nil }
            numbers.append(number ?? listed.count)
            listed.append(read)
        }
        guard numbers != Array(listed.indices), numbers.sorted() == Array(listed.indices) else { return listed }
        var ordered = listed
        for (position, number) in numbers.enumerated() { ordered[number] = listed[position] }
        return ordered
    }

    /// Finds the tokens, and whether the vectors are as the client wants them.
    public func inspectResponse(
        _ body: ByteBuffer, for request: EmbeddingRequest
    ) throws(ParleyError) -> EmbeddingInspection {
        try EmbeddingWire.answer(body) { text throws(JSONError) in
            let places = try Places(text)
            guard let data = places.data, var elements = text.elements(at: data.lowerBound),
                let first = try elements.next(),
                let vector = try EmbeddingWire.member("embedding", of: first, in: text)
            else { return nil }
            let isBase64 = text.first(vector) == UInt8(ascii: "\"")
            return EmbeddingInspection(
                usage: try places.usage(in: text), isAsAsked: isBase64 == request.wantsBase64)
        }
    }

    /// Writes an answer as OpenAI does.
    public func encodeResponse(
        _ response: EmbeddingResponse, for request: EmbeddingRequest, _ context: AnswerContext
    ) -> ByteBuffer {
        var out = EmbeddingWire.buffer(for: response)
        out.writeStaticString("{\"object\":\"list\",\"data\":[")
        for (index, vector) in response.vectors.enumerated() {
            if index > 0 { out.writeStaticString(",") }
            out.writeString("{\"object\":\"embedding\",\"index\":\(index),\"embedding\":")
            if request.wantsBase64 {
                VectorText.writeBase64(vector, into: &out)
            } else {
                VectorText.write(vector, into: &out)
            }
            out.writeStaticString("}")
        }
        out.writeStaticString("],\"model\":")
        out.writeJSONString(response.model.isEmpty ? context.model : response.model)
        // The official clients expect numbers here; where nobody counted, there is nothing to say but zero.
        let input = response.usage.input ?? 0
        out.writeString(
            ",\"usage\":{\"prompt_tokens\":\(input),\"total_tokens\":\(response.usage.statedTotal ?? input)}}")
        return out
    }
}

/// Where the members of an answer are that matter.
private struct Places {
    var data: Range<Int>?
    var model: Range<Int>?
    private var counts: Range<Int>?

    init(_ text: JSONText) throws(JSONError) {
        var members = try text.members()
        while let member = try members.next() {
            if member.isNamed("data", in: text) {
                data = member.value
            } else if member.isNamed("model", in: text) {
                model = member.value
            } else if member.isNamed("usage", in: text) {
                counts = member.value
            }
        }
        try members.expectEnd()
    }

    /// The tokens; some vendors say only the total (Voyage).
    func usage(in text: JSONText) throws(JSONError) -> Usage {
        let total = try EmbeddingWire.tokens("total_tokens", of: counts, in: text)
        var usage = Usage(input: try EmbeddingWire.tokens("prompt_tokens", of: counts, in: text) ?? total)
        if let total, total != usage.input { usage.statedTotal = total }
        return usage
    }
}
