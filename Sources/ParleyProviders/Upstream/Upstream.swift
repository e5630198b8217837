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

    /// What is asked for beside an answer.
    @inline(never)
    private func other(_ call: Call) async throws(ParleyError) -> Reply {
        switch call.operation {
        case .countTokens: try await CountAttempt(provider: provider, model: model).reply(to: call)
        case .embed: try await EmbeddingAttempt(call, provider: provider, model: model).reply()
        case .pass(let request):
            try await PassedAttempt(provider: provider, model: model, request: request).reply(to: call)
        case .chat: try await UpstreamAttempt(call, provider: provider, model: model).reply()
        }
    }

    /// Makes one attempt at the service.
    public func answer(_ call: Call) async throws(ParleyError) -> Reply {
        let number = try call.trace.begin(name)
        do throws(ParleyError) {
            var reply: Reply
            if case .chat = call.operation {
                reply = try await attempt(call).reply()
            } else {
                reply = try await other(call)
            }
            call.trace.commit(number)
            reply.attempt = AttemptReference(call.trace, number)
            return reply
        } catch {
            throw failed(error, number, call)
        }
    }

    // Apart from `answer`: a call is large, and the frame of a function that waits is held for long.
    @inline(never)
    private func attempt(_ call: Call) throws(ParleyError) -> UpstreamAttempt {
        try UpstreamAttempt(call, provider: provider, model: model)
    }

    @inline(never)
    private func failed(_ error: ParleyError, _ attempt: Int, _ call: Call) -> ParleyError {
        let named = error.named(provider.id)
        call.trace.fail(attempt, named.kind)
        return named
    }
}

extension HeaderBlock {
    /// The headers of an upstream that a client wants to see.
    var passedOn: [HeaderField] {
        var fields = fields { name in
            switch name.initial {
            case UInt8(ascii: "x"): name.equals("x-request-id") || name.hasPrefix("x-ratelimit-")
            case UInt8(ascii: "r"):
                name.equals("retry-after") || name.equals("retry-after-ms") || name.equals("request-id")
            case UInt8(ascii: "o"):
                name.equals("openai-processing-ms") || name.equals("openai-version")
                    || name.equals("openai-organization")
            case UInt8(ascii: "a"): name.hasPrefix("anthropic-ratelimit-")
            default: false
            }
        }
        for index in fields.indices where fields[index].name == "x-request-id" {
            fields[index].name = "x-upstream-request-id"
        }
        return fields
    }
}
