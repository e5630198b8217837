// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects

/// One attempt at a service.
///
/// An object rather than arguments: what an attempt needs is large, and the frames of the functions that wait are kept
/// for as long as an answer is relayed. So they hold this and little else, and it goes when the answer has begun.
final class UpstreamAttempt {
    private let provider: any Provider
    private let model: String
    private var face: Face
    private let limits: AttemptLimits
    private let credential: Credential
    private var body: ByteBuffer?
    /// The head of the request that is on its way, as the provider signed it.
    private var signed: ByteBuffer?
    /// The call, with what the provider's configuration asks for.
    let call: Call
    /// The way of the answer.
    private(set) var route: UpstreamRoute
    /// Set where the service does not say how many tokens an answer has.
    private(set) var estimate: EstimatedUsage?

    /// Writes the request.
    @inline(never)
    init(_ call: consuming Call, provider: any Provider, model: String) throws(ParleyError) {
        provider.adjust(&call)
        let now = NIODeadline.now()
        self.provider = provider
        self.model = model
        face = try provider.face(for: call, model: model)
        limits = AttemptLimits(call.timeouts, face.target.timeouts, deadline: call.deadline, now: now)
        credential = provider.credentials.pick(at: now)
        let prepared = try UpstreamRoute.prepare(call, provider: provider, face: face, model: model)
        route = prepared.route
        body = prepared.body
        estimate = prepared.estimate
        self.call = consume call
    }

    func reply() async throws(ParleyError) -> Reply {
        if let reply = try await attempt(isLast: false) { return reply }
        // Once more, the way the service has just said it wants it.
        try rewrite()
        guard let reply = try await attempt(isLast: true) else {
            throw ParleyError(.internalError, "An attempt ended without an answer.")
        }
        return reply
    }

    /// One request and the beginning of its answer.
    ///
    /// - Returns: nil where the same call is worth another try; never for the last one.
    private func attempt(isLast: Bool) async throws(ParleyError) -> Reply? {
        do throws(ParleyError) {
            let reader = try await open()
            return try await reader.isAccepted ? opened(reader, isLast) : refused(reader, isLast)
        } catch {
            throw provider.credentials.note(error, of: credential, at: .now())
        }
    }

    private func opened(_ reader: AnswerReader, _ isLast: Bool) async throws(ParleyError) -> Reply? {
        do throws(ParleyError) {
            let opening = AnswerOpening(reader: reader, attempt: self, route: route)
            if let content = try opening.contentAtOnce() { return reply(content, reader) }
            return reply(try await opening.content(), reader)
        } catch {
            reader.cancel()
            // Some say in an answer of status 200 that they refuse the token.
            if !isLast, renews(after: error) { return nil }
            throw error
        }
    }

    // Apart from `opened`, whose frame is as deep as a call goes.
    @inline(never)
    private func reply(_ content: Reply.Content, _ reader: AnswerReader) -> Reply {
        let marks = estimate != nil && content.isEstimated ? [CountAttempt.estimated] : []
        return Reply(content, headers: reader.headers.passedOn + marks)
    }

    private func refused(_ reader: AnswerReader, _ isLast: Bool) async throws(ParleyError) -> Reply? {
        let (failure, body) = await reader.refusal(in: face.dialect)
        if !isLast, learns(from: failure, body) { return nil }
        throw failure
    }

    /// Writes the request anew, for the same key: what was learnt or renewed may be that key's alone.
    private func rewrite() throws(ParleyError) {
        face = try provider.face(for: call, model: model)
        let prepared = try UpstreamRoute.prepare(call, provider: provider, face: face, model: model)
        route = prepared.route
        body = prepared.body
        estimate = prepared.estimate
    }

    /// A decoder of the answer, which guesses what the service does not say.
    func makeStreamDecoder() -> any StreamDecoder {
        let decoder = route.upstream.makeStreamDecoder()
        guard let estimate else { return decoder }
        return EstimatingDecoder(decoder, estimate)
    }

    private func open() async throws(ParleyError) -> AnswerReader {
        if let opener = face.opener { return try await open(by: opener) }
        signed = face.head(for: credential)
        if signed == nil {
            signed = try await provider.authorize(face.target, body: body, with: credential, through: call.connector)
        }
        return AnswerReader(try await call.connector.open(request()), limits: limits)
    }

    @inline(never)
    private func open(by opener: any AnswerOpener) async throws(ParleyError) -> AnswerReader {
        signed = nil
        do throws(ParleyError) {
            return AnswerReader(try await opener.open(openerRequest()), limits: limits)
        } catch {
            throw provider.credentials.note(error, of: credential, at: .now())
        }
    }

    @inline(never)
    private func openerRequest() -> OpenerRequest {
        defer { body = nil }
        return OpenerRequest(
            target: face.target, model: model, body: body ?? ByteBuffer(), credential: credential, stream: call.stream,
            callID: call.id, caller: call.caller, connectTimeout: limits.connect, first: limits.first,
            total: limits.total, connector: call.connector)
    }

    @inline(never)
    private func request() -> UpstreamRequest {
        var head = signed ?? ByteBuffer()
        // Hardly any request has some.
        let headers = call.headers
        if !headers.isEmpty { write(headers, into: &head) }
        return UpstreamRequest(
            endpoint: face.target.endpoint, head: head, body: body.take(), isIdempotent: false,
            connectTimeout: limits.connect, headDeadline: limits.first)
    }

    private func write(_ headers: [HeaderField], into head: inout ByteBuffer) {
        for field in headers where HeaderField.isName(field.name) && HeaderField.isSafe(field.value) {
            guard face.dialect.id.understands(header: field.name) else { continue }
            head.writeString("\(field.name): \(field.value)\r\n")
        }
    }

    // MARK: Refusals

    /// Lets the provider learn from a refusal.
    ///
    /// - Returns: whether the same call is worth another try.
    private func learns(from failure: ParleyError, _ body: ByteBuffer) -> Bool {
        if renews(after: failure) { return true }
        let isComplaint = failure.httpStatus == 400 || failure.httpStatus == 422
        return isComplaint && provider.learn(from: failure, body: body)
    }

    /// Whether the next request can be signed in better than this one, which was refused for that.
    private func renews(after failure: ParleyError) -> Bool {
        guard failure.kind == .unauthenticated, let signed else { return false }
        return provider.renews(signed)
    }
}

extension DialectID {
    /// Whether a client's header means something to a service of this dialect: what begins with a vendor's name is for
    /// that vendor's API alone.
    fileprivate func understands(header name: String) -> Bool {
        if name.hasPrefix("anthropic-") { return self == .anthropic }
        guard name.hasPrefix("openai-") else { return true }
        return [.openAIChat, .openAIResponses, .openAICompletions].contains(self)
    }
}
