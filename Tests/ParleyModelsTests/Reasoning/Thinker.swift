// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyModels
import Synchronization

/// A model that plays one line per call, the last one for ever, and remembers what it was asked.
final class Thinker: Model {
    enum Line: Sendable {
        /// Says these pieces, one per reading.
        case say([String], Usage)
        case fail(ParleyError)
        /// Says these pieces, then breaks off.
        case breakOff([String])
        /// Calls a tool.
        case call(ToolCall, Usage)
        /// Says this much, then waits until it is given up.
        case hang([String])

        static func say(_ text: String, _ input: Int = 10, _ output: Int = 5) -> Line {
            .say([text], Usage(input: input, output: output))
        }
    }

    let name: String
    private let lines: [Line]
    private let seen = Mutex<[Call]>([])
    private let closed = Atomic<Int>(0)

    init(_ name: String, _ lines: Line...) {
        self.name = name
        self.lines = lines
    }

    /// What it was asked, in order.
    var calls: [Call] { seen.withLock { $0 } }
    var requests: [ChatRequest] { calls.compactMap(\.request) }
    /// How many of its answers were given up.
    var givenUp: Int { closed.load(ordering: .acquiring) }

    func noteGivenUp() { _ = closed.add(1, ordering: .acquiringAndReleasing) }

    func answer(_ call: Call) async throws(ParleyError) -> Reply {
        _ = try call.trace.begin(name)
        let index = seen.withLock { seen in
            seen.append(call)
            return seen.count - 1
        }
        let line = lines[min(index, lines.count - 1)]
        if case .fail(let error) = line { throw error }
        let source = ThinkerEvents(line, self)
        guard !call.stream else { return Reply(.events(source)) }
        var collector = ThinkerForms.shared.makeCollector()
        var isOpen = true
        while isOpen {
            var events: [Event] = []
            isOpen = try await source.next(into: &events, by: .distantFuture)
            for event in events { collector.add(event) }
        }
        return Reply(.whole(collector.response()))
    }
}

/// What a thinker says, piece by piece.
private final class ThinkerEvents: EventSource {
    private var batches: [[Event]] = []
    private let end: Thinker.Line
    private let owner: Thinker
    private var isOver = false

    init(_ line: Thinker.Line, _ owner: Thinker) {
        self.owner = owner
        end = line
        let start = Event.start(AnswerIdentity(id: "inner", model: owner.name, created: 1))
        switch line {
        case .say(let pieces, let usage):
            batches = pieces.map { [.text(choice: 0, $0)] } + [[.finish(choice: 0, .stop), .usage(usage)]]
        case .breakOff(let pieces), .hang(let pieces): batches = pieces.map { [.text(choice: 0, $0)] }
        case .call(let call, let usage):
            batches = [[.toolCall(choice: 0, index: 0, call)], [.finish(choice: 0, .toolCalls), .usage(usage)]]
        case .fail: break
        }
        batches.insert([start], at: 0)
    }

    func next(into events: inout [Event], by deadline: NIODeadline) async throws(ParleyError) -> Bool {
        if !batches.isEmpty {
            events += batches.removeFirst()
            if batches.isEmpty {
                switch end {
                case .breakOff, .hang: return true
                default: isOver = true
                }
            }
            return !isOver
        }
        if case .hang = end {
            try? await Task.sleep(for: .seconds(60))
            throw ParleyError(.cancelled, "cancelled")
        }
        throw ParleyError(.upstreamUnavailable, "The stream broke off.")
    }

    func cancel() {
        if !isOver { owner.noteGivenUp() }
        isOver = true
    }
}

/// Neutral forms without dialects.
final class ThinkerForms: NeutralForms {
    static let shared = ThinkerForms()

    func request(of call: Call) throws(ParleyError) -> ChatRequest {
        guard let request = call.request else { throw ParleyError(.invalid, "There is no request.") }
        return request
    }

    func makeCollector() -> any AnswerCollector { Collector() }

    func events(of response: ChatResponse) -> [Event] {
        var events: [Event] = [.start(response.identity)]
        for choice in response.choices {
            for piece in choice.message.reasoning { events.append(.reasoning(choice: choice.index, piece)) }
            let text = choice.message.text
            if !text.isEmpty { events.append(.text(choice: choice.index, text)) }
            for (index, call) in choice.message.toolCalls.enumerated() {
                events.append(.toolCall(choice: choice.index, index: index, call))
            }
            events.append(.finish(choice: choice.index, choice.finish ?? .stop))
        }
        return events + [.usage(response.usage)]
    }

    func text(of value: JSONValue) -> String {
        switch value {
        case .null: return "null"
        case .bool(let value): return "\(value)"
        case .number(let text): return text
        case .string(let text): return Self.quoted(text)
        case .array(let list): return "[" + list.map { text(of: $0) }.joined(separator: ",") + "]"
        case .object(let object):
            let members = object.members.map { "\(Self.quoted($0.key)):\(text(of: $0.value))" }
            return "{" + members.joined(separator: ",") + "}"
        }
    }

    static func quoted(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out + "\""
    }

    private struct Collector: AnswerCollector {
        private var identity = AnswerIdentity()
        private var message = Message(.assistant, [])
        private var text = ""
        private var reasoning = ""
        private var finish: FinishReason?
        private var usage = Usage()

        mutating func add(_ event: Event) {
            switch event {
            case .start(let identity): self.identity = identity
            case .text(_, let more): text += more
            case .reasoning(_, let more): reasoning += more.text
            case .toolCall(_, _, let call): message.toolCalls.append(call)
            case .finish(_, let reason): finish = reason
            case .usage(let more): usage.merge(more)
            default: break
            }
        }

        func response() -> ChatResponse {
            var message = message
            if !text.isEmpty { message.content = [.text(text)] }
            if !reasoning.isEmpty { message.reasoning = [Reasoning(reasoning)] }
            return ChatResponse(
                identity: identity, choices: [.init(index: 0, message: message, finish: finish)], usage: usage)
        }
    }
}

/// One call of a model that reasons, and what came of it.
struct Thinking {
    var events: [Event] = []
    var failure: ParleyError?
    var trace = CallTrace()
    var connector = SleepyConnector()

    var texts: [String] {
        events.compactMap {
            if case .text(_, let text) = $0 { text } else { nil }
        }
    }
    var text: String { texts.joined() }
    var reasoning: String {
        events.map {
            if case .reasoning(_, let piece) = $0 { piece.text } else { "" }
        }.joined()
    }
    var usage: Usage? {
        events.compactMap {
            if case .usage(let usage) = $0 { usage } else { nil }
        }.last
    }

    static func rules(
        _ strategy: ReasonRules.Strategy, _ change: (inout ReasonRules) -> Void = { _ in }
    ) -> ReasonRules {
        var rules = ReasonRules(strategy)
        change(&rules)
        return rules
    }

    static func call(
        stream: Bool, _ connector: any Connector = SleepyConnector(), _ change: (inout ChatRequest) -> Void = { _ in }
    ) -> Call {
        var request = ChatRequest(model: "o1", messages: [Message(.user, text: "What is 6 times 7?")])
        request.stream = stream
        change(&request)
        var call = makeCall(connector)
        call.stream = stream
        call.request = request
        call.forms = ThinkerForms.shared
        return call
    }

    /// Asks for a stream and reads it to its end.
    static func stream(
        _ model: any Model, _ change: (inout ChatRequest) -> Void = { _ in }
    ) async -> Thinking {
        var result = Thinking()
        var call = call(stream: true, result.connector, change)
        call.trace = result.trace
        do throws(ParleyError) {
            guard case .events(let source) = try await model.answer(call).content else { return result }
            var isOpen = true
            while isOpen { isOpen = try await source.next(into: &result.events, by: .distantFuture) }
        } catch {
            result.failure = error
        }
        return result
    }

    static func step(_ title: String, _ content: String, _ action: String = "continue") -> String {
        let value: JSONValue = ["title": .string(title), "content": .string(content), "next_action": .string(action)]
        return ThinkerForms.shared.text(of: value)
    }
}
