// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore

/// One inner call, from its opening to its record in the account.
///
/// `@unchecked Sendable`: it is used by one task at a time. A child task that opens or reads it has ended before the
/// task that started the child looks at it again.
final class ReasonLeg: @unchecked Sendable {
    private enum State {
        case new
        case open(Reply)
        case over
    }

    /// What one reading gave.
    struct Chunk: Sendable {
        /// Which leg was read.
        var place = 0
        var events: [Event] = []
        var isOver = false
        var failure: ParleyError?
    }

    /// Called the same in logs as the model that is asked.
    let model: any Model
    private let request: InnerRequest
    private let parent: Call
    private let trace: CallTrace
    private let number: Int
    private let deadline: NIODeadline
    private let forms: any NeutralForms
    private let began = NIODeadline.now()
    private var state = State.new
    private var collector: any AnswerCollector
    private var whole: ChatResponse?
    private var seen = Observation()
    /// Why it ended, where it failed.
    private(set) var failure: ParleyError?
    /// How many calls were made: two where the first was refused for what we had added.
    private(set) var calls = 1
    /// From its beginning to its end.
    private(set) var elapsed = TimeAmount.zero

    /// An inner call of `call`, to be over by `deadline`.
    init(
        _ purpose: String, _ request: InnerRequest, to model: any Model, of call: Call, _ forms: any NeutralForms,
        by deadline: NIODeadline
    ) {
        self.model = model
        self.request = request
        self.forms = forms
        self.deadline = min(deadline, call.deadline)
        parent = call
        collector = forms.makeCollector()
        (trace, number) = call.trace.child(purpose, model: model.name)
    }

    /// Whether it was opened and is not over.
    var isOpen: Bool {
        if case .open = state { return true }
        return false
    }

    /// What it used, as far as known.
    var usage: Usage { seen.usage }

    /// The upstream that answered or failed last.
    var upstream: String { trace.upstream ?? model.name }

    /// What was said; nil where the call failed.
    var response: ChatResponse? {
        guard failure == nil, case .over = state else { return nil }
        var response = whole ?? collector.response()
        response.usage = seen.usage
        return response
    }

    /// Asks the model, and asks again without what we added where it refuses that. Failing is its end.
    func open() async {
        do throws(ParleyError) {
            state = .open(try await ask())
        } catch {
            close(error)
        }
    }

    private func ask() async throws(ParleyError) -> Reply {
        do throws(ParleyError) {
            return try await model.answer(inner(request.request))
        } catch {
            guard let plain = request.plain, plain != request.request, Self.mayBeOurs(error) else { throw error }
            calls += 1
            return try await model.answer(inner(plain))
        }
    }

    /// Whether the model may have refused what we added: a mode, a temperature, the spelling of a bound.
    private static func mayBeOurs(_ error: ParleyError) -> Bool {
        switch error.kind {
        case .invalid, .upstreamRejected: [400, 422].contains(error.httpStatus)
        default: false
        }
    }

    private func inner(_ request: ChatRequest) -> Call {
        var call = parent
        call.replaceRequest(with: request)
        call.form = .neutral
        call.stream = request.stream
        call.includeUsage = true
        call.reading = nil
        call.trace = trace
        call.deadline = deadline
        return call
    }

    /// Reads what has come, waiting where nothing has.
    func read(by limit: NIODeadline) async -> Chunk {
        guard case .open(let reply) = state else { return Chunk(isOver: true, failure: failure) }
        var chunk = Chunk()
        do throws(ParleyError) {
            switch reply.content {
            case .events(let source):
                chunk.isOver = try await !source.next(into: &chunk.events, by: min(limit, deadline))
            case .whole(let response):
                chunk.events = forms.events(of: response)
                chunk.isOver = true
                whole = response
                seen.usage = response.usage
            case .client(let body):
                body.cancel()
                throw ParleyError(.internalError, "An inner call was answered in the client's form.")
            }
        } catch {
            chunk.failure = error
            chunk.isOver = true
        }
        for event in chunk.events { note(event) }
        if chunk.isOver {
            if chunk.failure != nil, case .events(let source) = reply.content { source.cancel() }
            close(chunk.failure)
        }
        return chunk
    }

    private func note(_ event: Event) {
        collector.add(event)
        if event.isMeaningful { seen.isMeaningful = true }
        switch event {
        case .usage(let more): seen.usage.merge(more)
        case .finish(_, let reason): if seen.finish == nil { seen.finish = reason.rawValue }
        default: break
        }
    }

    /// Closes what is open: nobody wants the rest.
    func giveUp() {
        guard case .open(let reply) = state else { return close(ParleyError(.cancelled, "It was not needed.")) }
        switch reply.content {
        case .events(let source): source.cancel()
        case .client(let body): body.cancel()
        case .whole(let response): seen.usage = response.usage
        }
        close(ParleyError(.cancelled, "It was not needed."))
    }

    private func close(_ error: ParleyError?) {
        if case .over = state { return }
        if case .open(let reply) = state {
            seen.isComplete = error == nil
            reply.end(seen, error)
        }
        state = .over
        failure = error
        elapsed = .now() - began
        parent.trace.end(number, usage: seen.usage, failure: error?.kind)
    }
}

extension TimeAmount {
    /// In seconds.
    var seconds: Double { Double(nanoseconds) / 1e9 }
}
