// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
public import ParleyCore
public import ParleyDialects

/// A provider whose models can embed.
public protocol Embeds: Provider {
    /// How and where `call` reaches `model`; `call.embedding` is the request.
    ///
    /// - Throws: `invalid` where this model does not embed: `ParleyError.noEmbeddings`.
    func embedding(for call: Call, model: String) throws(ParleyError) -> EmbeddingFace
}

/// One way to have a service embed: what is spoken there, and where requests go.
public struct EmbeddingFace: Sendable {
    /// The dialect it speaks.
    public var dialect: any EmbeddingDialect
    /// Where a request goes.
    public var target: Target
    /// The most inputs of one request; nil where there is no limit.
    public var batchLimit: Int?
    /// What reads the service's errors, where it is not the plain dialect of the same id.
    public var failures: (any Dialect)?

    /// A face with the dialect's own limit.
    public init(_ dialect: any EmbeddingDialect, at target: Target) {
        self.dialect = dialect
        self.target = target
        batchLimit = dialect.batchLimit
    }
}

extension ParleyError {
    /// The failure where a model does not embed.
    public static func noEmbeddings(_ model: String) -> ParleyError {
        ParleyError(
            .invalid, "\(model) has no embeddings; ask a model that embeds.", code: "unsupported_operation",
            parameter: "model")
    }
}

/// One attempt at a service that makes vectors: several requests, in order, where the service takes fewer inputs at
/// once than the client sent.
final class EmbeddingAttempt {
    /// The most of one answer that is held.
    private static let answerLimit = 64 << 20
    /// The most requests that one call may become.
    private static let requestLimit = 2048

    private let provider: any Provider
    private let model: String
    private let call: Call
    private let client: any EmbeddingDialect
    private let request: EmbeddingRequest
    private let face: EmbeddingFace
    /// Reads the service's errors.
    private let failures: any Dialect
    private let limits: AttemptLimits
    private var headers = HeaderBlock()
    /// The head of the request that is on its way, as the provider signed it.
    private var signed: ByteBuffer?
    /// The key of that request.
    private var used: Credential?
    /// The key that must be used once more, since what was renewed is that key's alone.
    private var renewed: Credential?
    private var isRenewed = false

    init(_ given: Call, provider: any Provider, model: String) throws(ParleyError) {
        var call = given
        client = try EmbeddingDialects.dialect(call.dialect)
        let request: EmbeddingRequest
        if let known = call.embedding { request = known } else { request = try client.decodeRequest(call.body) }
        call.embedding = request
        guard let embedder = provider as? any Embeds else { throw .noEmbeddings("\(provider.id)/\(model)") }
        let face = try embedder.embedding(for: call, model: model)
        limits = AttemptLimits(call.timeouts, face.target.timeouts, deadline: call.deadline, now: .now())
        failures = face.failures ?? (try? Dialects.dialect(face.dialect.id)) ?? OpenAIChat()
        self.provider = provider
        self.model = model
        self.call = call
        self.request = request
        self.face = face
    }

    func reply() async throws(ParleyError) -> Reply {
        let batches = try batches()
        if batches.count == 1 { return Reply(.client(try await relayedOrWritten()), headers: headers.passedOn) }
        var whole = EmbeddingResponse([])
        whole.vectors.reserveCapacity(request.inputs.count)
        for batch in batches {
            let part = try await answer(to: batch)
            if whole.model.isEmpty { whole.model = part.model }
            whole.vectors += part.vectors
            // Different requests, so that their tokens add up.
            whole.usage.add(part.usage)
        }
        return Reply(.client(written(whole)), headers: headers.passedOn)
    }

    /// The request in pieces that the service takes.
    private func batches() throws(ParleyError) -> [EmbeddingRequest] {
        guard let limit = face.batchLimit, limit > 0, request.inputs.count > limit else { return [request] }
        guard (request.inputs.count - 1) / limit < Self.requestLimit else {
            throw ParleyError(
                .invalid, "Too many inputs: \(provider.id)/\(model) takes \(limit) at once.",
                code: "array_above_max_length", parameter: "input")
        }
        return stride(from: 0, to: request.inputs.count, by: limit).map { start in
            var batch = request
            batch.inputs = Array(request.inputs[start..<min(start + limit, request.inputs.count)])
            batch.isSingle = limit == 1
            return batch
        }
    }

    // MARK: Answers

    /// The one answer: passed on as it is where both sides speak the same and it is what was asked for.
    private func relayedOrWritten() async throws(ParleyError) -> any AnswerBody {
        guard client.id == face.dialect.id, let body = try face.dialect.splice(call.body, model: model) else {
            return written(try await answer(to: request))
        }
        let (reader, answer, isWhole) = try await exchange(body)
        guard isWhole else { return LongVectors(answer, reader: reader, request: call.body.readableBytes) }
        let seen = try face.dialect.inspectResponse(answer, for: request)
        guard seen.isAsAsked else { return written(try decoded(answer, reader, count: request.inputs.count)) }
        var observed = Observation(embedding: seen.usage)
        observed.usage.merge(face.dialect.usage(of: reader.headers))
        return ReadyBody(answer, contentType: "application/json", observed: observed)
    }

    private func answer(to batch: EmbeddingRequest) async throws(ParleyError) -> EmbeddingResponse {
        var dropped: [String] = []
        let body = try face.dialect.encodeRequest(batch, model: model, dropped: &dropped)
        try UpstreamRoute.settle(dropped, of: call, at: "\(provider.id)/\(model)")
        do throws(ParleyError) {
            return try await decoded(body, count: batch.inputs.count)
        } catch {
            // Some say in an answer of status 200 that they refuse the token.
            guard renews(after: error) else { throw error }
            return try await decoded(body, count: batch.inputs.count)
        }
    }

    private func decoded(_ body: ByteBuffer, count: Int) async throws(ParleyError) -> EmbeddingResponse {
        let (reader, answer, isWhole) = try await exchange(body)
        guard isWhole else {
            reader.cancel()
            throw ParleyError(.upstreamUnavailable, "the service's answer is too long to be translated")
        }
        return try decoded(answer, reader, count: count)
    }

    private func decoded(
        _ body: ByteBuffer, _ reader: AnswerReader, count: Int
    ) throws(ParleyError) -> EmbeddingResponse {
        var response = try face.dialect.decodeResponse(body)
        guard response.vectors.count == count else {
            throw ParleyError(
                .upstreamUnavailable, "the service sent \(response.vectors.count) vectors for \(count) inputs")
        }
        response.usage.merge(face.dialect.usage(of: reader.headers))
        return response
    }

    private func written(_ response: EmbeddingResponse) -> ReadyBody {
        let body = client.encodeResponse(response, for: request, AnswerContext(call))
        return ReadyBody(body, contentType: "application/json", observed: Observation(embedding: response.usage))
    }

    // MARK: One request

    private func exchange(
        _ body: ByteBuffer
    ) async throws(ParleyError) -> (reader: AnswerReader, body: ByteBuffer, isWhole: Bool) {
        let credential = renewed ?? provider.credentials.pick(at: .now())
        renewed = nil
        used = credential
        do throws(ParleyError) {
            return try await exchange(body, with: credential)
        } catch {
            if renews(after: error) { return try await exchange(body) }
            throw provider.credentials.note(error, of: credential, at: .now())
        }
    }

    /// Whether the next request can be signed in better than this one, which was refused for that; once for all, and for
    /// the same key.
    private func renews(after failure: ParleyError) -> Bool {
        guard !isRenewed, failure.kind == .unauthenticated, let signed, provider.renews(signed) else { return false }
        isRenewed = true
        renewed = used
        return true
    }

    private func exchange(
        _ body: ByteBuffer, with credential: Credential
    ) async throws(ParleyError) -> (reader: AnswerReader, body: ByteBuffer, isWhole: Bool) {
        let head = try await provider.authorize(face.target, body: body, with: credential, through: call.connector)
        signed = head
        let reader = AnswerReader(try await call.connector.open(request(head, body)), limits: limits)
        headers = reader.headers
        do throws(ParleyError) {
            guard reader.isAccepted else { throw await reader.refusal(in: failures).failure }
            let (answer, isWhole) = try await reader.collect(limit: Self.answerLimit)
            return (reader, answer, isWhole)
        } catch {
            reader.cancel()
            throw error
        }
    }

    private func request(_ signed: ByteBuffer, _ body: ByteBuffer) -> UpstreamRequest {
        var head = signed
        for field in call.headers where HeaderField.isName(field.name) && HeaderField.isSafe(field.value) {
            head.writeString("\(field.name): \(field.value)\r\n")
        }
        return UpstreamRequest(
            endpoint: face.target.endpoint, head: head, body: body, isIdempotent: false,
            connectTimeout: limits.connect, headDeadline: limits.first)
    }
}

/// Vectors that are too long to be held: passed on unseen, their tokens estimated from the request.
private final class LongVectors: AnswerBody {
    private static let bytesPerToken = 4

    let contentType = "application/json"
    private(set) var observed: Observation
    private let reader: AnswerReader
    private var opening: ByteBuffer

    init(_ opening: ByteBuffer, reader: AnswerReader, request size: Int) {
        self.opening = opening
        self.reader = reader
        observed = Observation(embedding: Usage(input: size / Self.bytesPerToken))
        observed.usage.estimated = true
        observed.isComplete = false
    }

    func next(into out: inout ByteBuffer, by deadline: NIODeadline) async throws(ParleyError) -> Bool {
        guard !observed.isComplete else { return false }
        if opening.readableBytes > 0 {
            out.writeBuffer(&opening)
            opening = ByteBuffer()
            return true
        }
        guard let bytes = try await reader.next(by: deadline) else {
            observed.isComplete = true
            return false
        }
        out.writeImmutableBuffer(bytes)
        return true
    }

    func cancel() { reader.cancel() }
}

extension Observation {
    /// A complete answer with vectors.
    init(embedding usage: Usage) {
        self.init()
        self.usage = usage
        isMeaningful = true
        isComplete = true
    }
}

extension Usage {
    /// Adds the tokens of another request.
    fileprivate mutating func add(_ other: Usage) {
        func sum(_ a: Int?, _ b: Int?) -> Int? {
            guard let a, let b else { return a ?? b }
            return a.clampedSum(b)
        }
        // A total that only one of them states is no total of both.
        let total = sum(statedTotal ?? input, other.statedTotal ?? other.input)
        let isStated = statedTotal != nil || other.statedTotal != nil
        input = sum(input, other.input)
        output = sum(output, other.output)
        statedTotal = isStated ? total : nil
        estimated = estimated || other.estimated
    }
}
