// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
public import NIOCore
public import ParleyCore
import ParleyDialects
import Synchronization

/// The built-in model: it answers at once, without a key or a network, so that the first request works anywhere.
public final class DemoModel: Model {
    /// How the demo behaves.
    public struct Settings: Sendable {
        /// Before the first token.
        public var delay = TimeAmount.zero
        /// How fast it talks; zero is as fast as possible.
        public var tokensPerSecond = 0.0
        /// The share of calls that fail before they begin, 0 to 1.
        public var failureShare = 0.0
        /// The share of calls that are cut in the middle, 0 to 1.
        public var cutShare = 0.0
        /// Texts to answer with, in turn; empty for its own words.
        public var replies: [String] = []

        /// The demo at its default: at once, and without a fault.
        public init() {}
    }

    /// `provider/model`.
    public let name: String
    private let settings: Settings
    private let random: @Sendable () -> Double
    private let turn = Atomic<Int>(0)

    /// A demo model; `random` gives numbers from 0 up to 1 and decides about failures and cuts.
    public init(
        name: String, settings: Settings = Settings(),
        random: @escaping @Sendable () -> Double = { Double.random(in: 0..<1) }
    ) {
        self.name = name
        self.settings = settings
        self.random = random
    }

    /// Answers from nothing but the request.
    public func answer(_ call: Call) async throws(ParleyError) -> Reply {
        let number = try call.trace.begin(name)
        do throws(ParleyError) {
            var reply = call.operation == .embed ? try await vectors(for: call) : try await reply(to: call)
            call.trace.commit(number)
            reply.attempt = AttemptReference(call.trace, number)
            return reply
        } catch {
            call.trace.fail(number, error.kind)
            throw error
        }
    }

    private func reply(to call: Call) async throws(ParleyError) -> Reply {
        if case .countTokens = call.operation { return try CountAttempt.estimate(call) }
        if case .pass(let request) = call.operation { throw PassedAttempt.notOffered(request) }
        let dialect = try Dialects.dialect(call.dialect)
        var request: ChatRequest
        if let given = call.request { request = given } else { request = try dialect.decodeRequest(call.body) }
        try request.apply(call.overrides)
        try dialect.prepareForTranslation(&request)
        try await begin(call)
        let isCut = random() < settings.cutShare
        let answer = DemoAnswer(to: request, callID: call.id, replies: settings.replies) {
            turn.wrappingAdd(1, ordering: .relaxed).oldValue
        }
        guard call.stream else {
            let tokens = answer.response.usage.output ?? 0
            if settings.tokensPerSecond > 0 {
                try await call.connector.sleep(Self.time(of: tokens, at: settings.tokensPerSecond))
            }
            if isCut { throw cut() }
            return Reply(.whole(answer.response))
        }
        let source = DemoEvents(
            answer.events, tokensPerSecond: settings.tokensPerSecond, connector: call.connector,
            cut: isCut ? cut() : nil)
        if case .neutral = call.form { return Reply(.events(source)) }
        let context = AnswerContext(call)
        return Reply(.client(EncodedEvents(source: source, encoder: dialect.makeStreamEncoder(context))))
    }

    /// Waits, and fails where it was told to.
    func begin(_ call: Call) async throws(ParleyError) {
        if settings.delay > .zero { try await call.connector.sleep(settings.delay) }
        if random() < settings.failureShare { throw failure() }
    }

    private func failure() -> ParleyError {
        switch Int(random() * 3) {
        case 0: ParleyError(.upstreamUnavailable, "\(name): the demo was told to fail", status: 500)
        case 1: ParleyError(.rateLimited, "\(name): the demo was told to be busy", retryAfter: 1)
        default: ParleyError(.upstreamUnavailable, "\(name): the demo was told to be overloaded", status: 503)
        }
    }

    private func cut() -> ParleyError {
        ParleyError(.upstreamUnavailable, "\(name): the demo was told to cut its answer off")
    }

    /// How long so many tokens take.
    static func time(of tokens: Int, at tokensPerSecond: Double) -> TimeAmount {
        let nanoseconds = Double(tokens) / tokensPerSecond * 1e9
        return .nanoseconds(Int64(exactly: min(nanoseconds, 3.6e12).rounded()) ?? 0)
    }
}

/// The demo's events, paced.
final class DemoEvents: EventSource {
    private let events: [Event]
    private let connector: any Connector
    private let pause: TimeAmount
    private let batch: Int
    private let cut: ParleyError?
    private var position = 0

    init(_ events: [Event], tokensPerSecond: Double, connector: any Connector, cut: ParleyError?) {
        self.events = events
        self.connector = connector
        self.cut = cut
        if tokensPerSecond > 0 {
            // Not more than about fifty pauses per second, whatever the speed.
            batch = max(1, Int(min(tokensPerSecond / 50, 1e6)))
            pause = DemoModel.time(of: batch, at: tokensPerSecond)
        } else {
            batch = .max
            pause = .zero
        }
    }

    func next(into out: inout [Event], by deadline: NIODeadline) async throws(ParleyError) -> Bool {
        if position > 0, pause > .zero {
            let now = NIODeadline.now()
            guard now + pause <= deadline else {
                try await connector.sleep(max(.zero, deadline - now))
                throw ParleyError(.timeout, "the demo was too slow for the time limit")
            }
            try await connector.sleep(pause)
        }
        let end = cut == nil ? events.count : max(events.count / 2, firstMeaningful + 1)
        var spoken = 0
        while position < end {
            let event = events[position]
            if event.isToken {
                guard spoken < batch else { break }
                spoken += 1
            }
            out.append(event)
            position += 1
        }
        if position >= end, let cut { throw cut }
        return position < events.count
    }

    func cancel() {}

    private var firstMeaningful: Int { events.firstIndex { $0.isMeaningful } ?? 0 }
}

extension Event {
    /// Whether it takes time to say.
    fileprivate var isToken: Bool {
        switch self {
        case .text, .reasoning, .arguments: true
        default: false
        }
    }
}
