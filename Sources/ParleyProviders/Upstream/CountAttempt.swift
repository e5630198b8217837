// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects

/// A provider that counts the tokens of a request itself: the face for `countTokens` leads to where it does.
public protocol CountsRequests: Provider {}

/// Finds out how long a request is: the service is asked where it can tell, else the length is estimated.
struct CountAttempt {
    /// What an estimate is marked with.
    static let estimated = HeaderField("x-parley-estimated", "true")
    private static let answerLimit = 1 << 20

    let provider: any Provider
    let model: String

    func reply(to call: Call) async throws(ParleyError) -> Reply {
        let client = try Self.client(of: call)
        guard provider is any CountsRequests else { return try Self.estimate(call, client) }
        var call = call
        provider.adjust(&call)
        let face = try provider.face(for: call, model: model)
        guard let upstream = face.dialect as? any CountsTokens else { return try Self.estimate(call, client) }
        let answer = try await ask(call, face, try body(call, face, from: client, to: upstream))
        return Reply(.client(Self.answer(try upstream.decodeCount(answer), client)))
    }

    /// The length of a request by our own guess.
    static func estimate(_ call: Call) throws(ParleyError) -> Reply {
        try estimate(call, try client(of: call))
    }

    private static func estimate(_ call: Call, _ client: any CountsTokens) throws(ParleyError) -> Reply {
        var estimate = TokenEstimate()
        estimate.add(try client.decodeCountRequest(call.body))
        return Reply(.client(answer(estimate.count, client)), headers: [estimated])
    }

    private static func client(of call: Call) throws(ParleyError) -> any CountsTokens {
        guard let client = try Dialects.dialect(call.dialect) as? any CountsTokens else {
            throw ParleyError(.internalError, "The dialect \(call.dialect.name) has no way to ask for a length.")
        }
        return client
    }

    private static func answer(_ count: Int, _ client: any CountsTokens) -> ReadyBody {
        var observed = Observation()
        observed.usage.input = count
        observed.isComplete = true
        return ReadyBody(client.encodeCount(count), contentType: "application/json", observed: observed)
    }

    private func body(
        _ call: Call, _ face: Face, from client: any CountsTokens, to upstream: any CountsTokens
    ) throws(ParleyError) -> ByteBuffer {
        var dropped: [String] = []
        defer { call.trace.drop(dropped) }
        if let relaying = face.relaying, relaying.id == call.dialect,
            let body = try relaying.splice(
                call.body, reading: call.reading, model: model, stream: false, overrides: [], dropped: &dropped)
        {
            return body
        }
        var request = try client.decodeCountRequest(call.body)
        request.model = model
        provider.adjust(&request, for: face)
        return try upstream.encodeCountRequest(request, dropped: &dropped)
    }

    private func ask(_ call: Call, _ face: Face, _ body: ByteBuffer) async throws(ParleyError) -> ByteBuffer {
        let now = NIODeadline.now()
        let limits = AttemptLimits(call.timeouts, face.target.timeouts, deadline: call.deadline, now: now)
        let credential = provider.credentials.pick(at: now)
        let head = try await provider.authorize(face.target, body: body, with: credential, through: call.connector)
        let request = UpstreamRequest(
            endpoint: face.target.endpoint, head: head, body: body, isIdempotent: true,
            connectTimeout: limits.connect, headDeadline: limits.first)
        let reader = AnswerReader(try await call.connector.open(request), limits: limits)
        defer { reader.cancel() }
        let answer = try await reader.collect(limit: Self.answerLimit).body
        guard reader.isAccepted else {
            let failure = face.dialect.decodeFailure(status: reader.status, headers: reader.headers, body: answer)
            throw provider.credentials.note(failure, of: credential, at: .now())
        }
        return answer
    }
}
