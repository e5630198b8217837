// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore

/// A model whose answers are kept for a while: the same question of the same caller gets the same answer.
///
/// What is kept is the neutral form, so that an answer serves every dialect, whole and streamed.
public struct Cached: Model {
    /// The response header that says where an answer comes from: `hit`, `miss` or `coalesced`.
    public static let header = "x-parley-cache"

    /// The name it has.
    public var name: String { model.name }

    let model: any Model
    private let cache: AnswerCache
    let ttl: TimeAmount

    /// Keeps answers of `model` in `cache` for as long as `ttl`.
    public init(_ model: any Model, in cache: AnswerCache, ttl: TimeAmount) {
        self.model = model
        self.cache = cache
        self.ttl = ttl
    }

    /// Answers with what was kept, with what another call of the same kind is just getting, or with a new answer.
    public func answer(_ call: Call) async throws(ParleyError) -> Reply {
        guard case .chat = call.operation, call.caching != .none, call.upload == nil else {
            return try await model.answer(call)
        }
        let request = try call.neutralRequest()
        let key = CacheKey(call, model: name, request)
        var anew = call.caching == .anew
        while true {
            try stopIfCancelled()
            switch cache.look(key, anew: anew, now: .now()) {
            case .hit(let answer): return reply(answer, to: call, "hit")
            case .lead(let lead): return try await ask(call, request, lead)
            case .wait(let ticket):
                // Whoever is asking is getting a new answer, too.
                anew = false
                switch await cache.wait(ticket) {
                case .answer(let answer): return reply(answer, to: call, "coalesced")
                case .failure(let error): throw error
                case .unknown: break
                }
            }
        }
    }

    /// Asks the model on behalf of all who wait.
    private func ask(_ call: Call, _ request: ChatRequest, _ lead: AnswerCache.Lead) async throws(ParleyError) -> Reply
    {
        var inner = call
        inner.replaceRequest(with: request)
        inner.form = .neutral
        var reply: Reply
        do throws(ParleyError) {
            reply = try await model.answer(inner)
        } catch {
            // A client that leaves may show as any failure; it is nobody else's.
            lead.settle(Task.isCancelled || error.kind == .cancelled ? .unknown : .failure(error))
            throw error
        }
        reply.headers.append(HeaderField(Self.header, "miss"))
        switch reply.content {
        case .whole(let answer): settle(lead, answer)
        case .events(let source):
            guard let collector = call.forms?.makeCollector() else { break }
            reply.content = .events(
                RecordedEvents(source, collector, broken: { lead.settle(.unknown) }, whole: { settle(lead, $0) }))
        case .client: lead.settle(.unknown)
        }
        return reply
    }

    private func settle(_ lead: AnswerCache.Lead, _ answer: ChatResponse) {
        lead.settle(.answer(answer), keep: Self.isWorthKeeping(answer) ? ttl : nil)
    }

    /// Whether an answer is what a model meant to say, to its end or to the length that was asked for.
    static func isWorthKeeping(_ answer: ChatResponse) -> Bool {
        !answer.choices.isEmpty && answer.choices.allSatisfy { $0.finish != nil && $0.finish != .contentFilter }
    }

    private func reply(_ answer: ChatResponse, to call: Call, _ word: String) -> Reply {
        var answer = answer
        // Two answers do not share an id: what is kept under it is another matter.
        answer.identity.id = ""
        let headers = [HeaderField(Self.header, word)]
        guard call.stream, let forms = call.forms else { return Reply(.whole(answer), headers: headers) }
        return Reply(.events(ReadyEvents(forms.events(of: answer))), headers: headers)
    }
}
