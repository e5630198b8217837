// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
public import ParleyCore

/// A model that remembers: the turns of one conversation are put before what the client says, and the turn is kept when
/// its answer is complete, before the client sees the end of it.
///
/// A turn that fails, or whose client leaves, is not kept.
public struct Conversing: Model {
    /// Which conversation, and how it is kept.
    public struct Terms: Sendable {
        /// The conversation's id.
        public var id: String
        /// Where conversations are kept.
        public var store: any ConversationStore
        /// How long an unused conversation is kept, in seconds.
        public var idle: Int
        /// The most turns.
        public var maxTurns: Int
        /// How many tokens history and question may have together; nil where nobody knows.
        public var tokens: Int?
        /// Seconds since 1970.
        public var now: @Sendable () -> Int

        /// The terms of a conversation.
        public init(
            id: String, store: any ConversationStore, idle: Int = 86_400, maxTurns: Int = 200, tokens: Int? = nil,
            now: @escaping @Sendable () -> Int
        ) {
            self.id = id
            self.store = store
            self.idle = idle
            self.maxTurns = maxTurns
            self.tokens = tokens
            self.now = now
        }
    }

    /// The name of the model that answers.
    public var name: String { model.name }

    private let model: any Model
    private let terms: Terms

    /// Lets `model` go on with a conversation. Whoever makes it sees to it that turns come one after the other
    /// (``ConversationGate``).
    public init(_ model: any Model, _ terms: Terms) {
        self.model = model
        self.terms = terms
    }

    /// Answers with the history in mind.
    public func answer(_ call: Call) async throws(ParleyError) -> Reply {
        let now = terms.now()
        let record = try await terms.store.conversation(terms.id, key: call.caller, usedSince: now - terms.idle)
        var request = try call.neutralRequest()
        request.extras.fields["conversation_id"] = nil
        var history = ConversationHistory(record, request.messages)
        if let tokens = terms.tokens { history.shrink(toTokens: tokens) }
        let turn = Turn(terms, call, history)
        while true {
            request.messages = history.messages
            do throws(ParleyError) {
                return try await turn.kept(try await model.answer(inner(call, request)), call)
            } catch {
                guard error.kind == .contextExceeded, history.canShrink, call.deadline > .now() else { throw error }
                history.halve()
                call.trace.decide(name, name, "history shortened")
            }
        }
    }

    private func inner(_ call: Call, _ request: ChatRequest) -> Call {
        var inner = call
        inner.replaceRequest(with: request)
        inner.form = .neutral
        var affinity = call.affinity ?? Affinity()
        affinity.conversation = terms.id
        inner.affinity = affinity
        return inner
    }

    /// What is kept of a call once its answer is there.
    private struct Turn {
        let terms: Terms
        let caller: String
        let model: String
        let system: [Message]
        let said: [Message]

        init(_ terms: Terms, _ call: Call, _ history: ConversationHistory) {
            self.terms = terms
            caller = call.caller
            model = call.model
            system = history.system
            said = history.new
        }

        /// The reply, kept before its end is told.
        func kept(_ reply: Reply, _ call: Call) async throws(ParleyError) -> Reply {
            switch reply.content {
            case .client: return reply
            case .whole(let answer):
                try await keep(answer)
                return reply
            case .events(let source):
                guard let collector = call.forms?.makeCollector() else { return reply }
                var reply = reply
                reply.content = .events(
                    RecordedEvents(source, collector) { answer throws(ParleyError) in try await keep(answer) })
                return reply
            }
        }

        func keep(_ answer: ChatResponse) async throws(ParleyError) {
            guard let message = answer.choices.first?.message else { return }
            let now = terms.now()
            let turn = ConversationRecord.Turn(said + [message], model: model, created: now)
            try await terms.store.append(
                turn, to: terms.id, key: caller, system: system, limit: terms.maxTurns, usedSince: now - terms.idle)
        }
    }
}
