// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Reads the messages of one turn: the agent's updates and, at the end, the result of the prompt.
struct AgentStreamDecoder: StreamDecoder {
    private var lines = JSONLines()
    /// Where the next line begins in the stream, near enough to find it in a recording.
    private var received = 0
    private var isStarted = false
    private var activity: AgentActivity?
    private(set) var isComplete = false

    init(showsTools: Bool) {
        activity = showsTools ? AgentActivity() : nil
    }

    mutating func push(_ bytes: ByteBuffer, into events: inout [Event]) throws(ParleyError) {
        guard !isComplete else { return }
        received = received.clampedSum(bytes.readableBytes)
        lines.push(bytes)
        while !isComplete, let line = try lines.next() { try read(line, into: &events) }
    }

    mutating func finish(into events: inout [Event]) throws(ParleyError) {
        guard !isComplete else { return }
        if let line = lines.finish() { try read(line, into: &events) }
        guard isComplete else {
            throw AgentFailure.failed("the agent's turn broke off before its end")
        }
    }

    private mutating func read(_ line: ByteBuffer, into events: inout [Event]) throws(ParleyError) {
        let value: JSONValue
        do {
            value = try JSON.parse(line)
        } catch {
            throw AgentFailure.failed(
                "the agent sent a line that is not JSON (before byte \(received): \(error.message))")
        }
        guard let message = value.object else {
            throw AgentFailure.failed("the agent sent a line that is no object (before byte \(received))")
        }
        if let error = message["error"]?.object { throw AgentFailure.error(error) }
        if let update = message["params"]?["update"]?.object {
            start(&events)
            read(update, into: &events)
        } else if let result = message["result"]?.object {
            start(&events)
            try end(result, into: &events)
        }
    }

    private mutating func start(_ events: inout [Event]) {
        guard !isStarted else { return }
        isStarted = true
        events.append(.start(AnswerIdentity()))
    }

    private mutating func read(_ update: JSONObject, into events: inout [Event]) {
        switch update["sessionUpdate"]?.string {
        case "agent_message_chunk"?:
            let text = Self.text(update["content"])
            if !text.isEmpty { events.append(.text(choice: 0, text)) }
        case "agent_thought_chunk"?:
            let text = Self.text(update["content"])
            if !text.isEmpty { events.append(.reasoning(choice: 0, Reasoning(text))) }
        default:
            guard let told = activity?.tell(update) else { return }
            events.append(.reasoning(choice: 0, Reasoning(told)))
        }
    }

    /// A content block in words; pictures and sounds have none.
    private static func text(_ block: JSONValue?) -> String {
        switch block?["type"]?.string {
        case "text"?: return block?["text"]?.string ?? ""
        case "resource"?: return block?["resource"]?["text"]?.string ?? ""
        case "resource_link"?:
            guard let uri = block?["uri"]?.string else { return "" }
            return "[\(block?["name"]?.string ?? uri)](\(uri))"
        default: return ""
        }
    }

    private mutating func end(_ result: JSONObject, into events: inout [Event]) throws(ParleyError) {
        guard let word = result["stopReason"]?.string else {
            throw AgentFailure.failed("the agent ended its turn without a stop reason")
        }
        guard word != "cancelled" else {
            throw AgentFailure.failed("the agent cancelled the turn")
        }
        events.append(.finish(choice: 0, Self.reason(word)))
        if let usage = result["usage"]?.object.flatMap({ Self.usage($0) }) { events.append(.usage(usage)) }
        isComplete = true
    }

    private static func reason(_ word: String) -> FinishReason {
        switch word {
        case "max_tokens", "max_turn_requests": .length
        case "refusal": .contentFilter
        default: .stop
        }
    }

    /// The turn's tokens. The total tells whether cached and thought tokens stand beside the input and the output.
    private static func usage(_ object: JSONObject) -> Usage? {
        func count(_ name: String) -> Int? { object[name]?.int.flatMap { $0 >= 0 ? $0 : nil } }
        guard let input = count("inputTokens"), let output = count("outputTokens") else { return nil }
        let (read, written, thought) = (
            count("cachedReadTokens"), count("cachedWriteTokens"), count("thoughtTokens")
        )
        var usage = Usage(input: input, output: output)
        usage.cacheRead = read
        usage.cacheWrite = written
        usage.reasoning = thought
        let cached = (read ?? 0).clampedSum(written ?? 0)
        let sum = input.clampedSum(output)
        let beside = (count("totalTokens") ?? sum) > sum ? (count("totalTokens") ?? sum) - sum : 0
        if beside > 0, beside == thought ?? 0 || beside >= cached.clampedSum(thought ?? 0) {
            usage.output = output.clampedSum(thought ?? 0)
        }
        if cached > 0, beside == cached || beside >= cached.clampedSum(thought ?? 0) {
            usage.input = input.clampedSum(cached)
        }
        return usage
    }
}
