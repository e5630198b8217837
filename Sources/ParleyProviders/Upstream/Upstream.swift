// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
public import ParleyCore
import ParleyDialects

/// One model at one provider: the leaf of every model.
///
/// It makes one attempt and never repeats it, but for one case: a service that refuses a field which Parley itself
/// added is asked once more without it.
public struct Upstream: Model {
    /// `provider/model`, as the configuration calls it.
    public let name: String
    private let provider: any Provider
    private let model: String

    /// The model that `provider` knows as `model`.
    public init(provider: any Provider, model: String, name: String) {
        self.provider = provider
        self.model = model
        self.name = name
    }

    /// Makes one attempt at the service.
    public func answer(_ call: Call) async throws(ParleyError) -> Reply {
        call.trace.begin(name)
        do throws(ParleyError) {
            return try await attempt(call)
        } catch {
            let named = error.named(provider.id)
            call.trace.fail(name, named.kind)
            throw named
        }
    }

    private func attempt(_ call: Call) async throws(ParleyError) -> Reply {
        var call = call
        provider.adjust(&call)
        let target = provider.target(call.operation, model: model)
        let limits = AttemptLimits(
            call.timeouts.filled(from: target.timeouts), deadline: call.deadline, now: .now())
        var mayRepeat = true
        while true {
            let credential = provider.credentials.pick(at: .now())
            let (route, body) = try UpstreamRoute.prepare(call, provider: provider, model: model)
            let reader = try await open(call, target, credential, body, limits)
            if (200..<300).contains(reader.status) {
                return try await accept(reader, call, route, credential, limits)
            }
            let (failure, errorBody) = await refusal(reader, credential)
            let isComplaint = failure.httpStatus == 400 || failure.httpStatus == 422
            guard mayRepeat, isComplaint, provider.learn(from: failure, body: errorBody) else { throw failure }
            mayRepeat = false
        }
    }

    private func open(
        _ call: Call, _ target: Target, _ credential: Credential, _ body: ByteBuffer, _ limits: AttemptLimits
    ) async throws(ParleyError) -> AnswerReader {
        var head = try await provider.authorize(target, with: credential)
        for field in call.headers where HeaderField.isName(field.name) && HeaderField.isSafe(field.value) {
            head.writeString("\(field.name): \(field.value)\r\n")
        }
        let request = UpstreamRequest(
            endpoint: target.endpoint, head: head, body: body, isIdempotent: false, connectTimeout: limits.connect,
            headDeadline: limits.first)
        return AnswerReader(try await call.connector.open(request), limits: limits)
    }

    /// Reads the answer up to the commit point.
    private func accept(
        _ reader: AnswerReader, _ call: Call, _ route: UpstreamRoute, _ credential: Credential, _ limits: AttemptLimits
    ) async throws(ParleyError) -> Reply {
        do throws(ParleyError) {
            let content = try await AnswerOpening(reader: reader, call: call, route: route).content()
            return Reply(content, headers: reader.headers.passedOn)
        } catch {
            reader.cancel()
            provider.credentials.note(error, of: credential, at: .now())
            throw error
        }
    }

    /// The most of an error's body that is read.
    private static let errorLimit = 256 << 10

    /// What a status other than 2xx means. The body may be cut or late: then the status says it alone.
    private func refusal(_ reader: AnswerReader, _ credential: Credential) async -> (ParleyError, ByteBuffer) {
        defer { reader.cancel() }
        var body = ByteBuffer()
        do throws(ParleyError) {
            body = try await reader.collect(limit: Self.errorLimit).body
        } catch {
            if error.kind == .cancelled { return (error, body) }
        }
        var failure = provider.dialect.decodeFailure(status: reader.status, headers: reader.headers, body: body)
        if (300..<400).contains(reader.status) {
            failure = ParleyError(
                .upstreamUnavailable,
                "the service answered with a redirect (\(reader.status)); check base_url")
        }
        provider.credentials.note(failure, of: credential, at: .now())
        return (failure, body)
    }
}

extension HeaderBlock {
    /// The headers of an upstream that a client wants to see.
    var passedOn: [HeaderField] {
        fields { name in
            switch name {
            case "retry-after", "retry-after-ms", "openai-processing-ms", "openai-version", "openai-organization",
                "x-request-id":
                true
            default:
                name.hasPrefix("x-ratelimit-")
            }
        }.map { $0.name == "x-request-id" ? HeaderField("x-upstream-request-id", $0.value) : $0 }
    }
}
