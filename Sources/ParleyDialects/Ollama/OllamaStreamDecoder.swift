// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Reads Ollama's answer line by line; a whole answer is one line that is done.
struct OllamaStreamDecoder: StreamDecoder {
    private var lines = JSONLines()
    /// Where the next line begins in the stream, near enough to find it in a recording.
    private var received = 0
    private var isStarted = false
    /// What the ids of calls start from, where the server gives none.
    private var seed = ""
    private var calls = 0
    private(set) var isComplete = false

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
            throw ParleyError(.upstreamUnavailable, "The upstream's stream ended before its answer was complete.")
        }
    }

    private mutating func read(_ line: ByteBuffer, into events: inout [Event]) throws(ParleyError) {
        let value: JSONValue
        do {
            value = try JSON.parse(line)
        } catch {
            throw ParleyError(
                .upstreamUnavailable,
                "The upstream sent a line that is not JSON (before byte \(received): \(error.message)).")
        }
        guard let object = value.object else {
            throw ParleyError(
                .upstreamUnavailable, "The upstream sent a line that is no object (before byte \(received)).")
        }
        // Errors come in the middle of a stream, with status 200.
        if object["error"] != nil, object["error"] != .null { throw UpstreamFailure(value).error() }
        guard object["message"]?.object != nil || object["done"]?.bool != nil else {
            throw UpstreamFailure(value).error()
        }
        if !isStarted { start(object, into: &events) }
        if let message = object["message"]?.object { read(message, into: &events) }
        if let logprobs = object["logprobs"]?.array, !logprobs.isEmpty {
            events.append(.logprobs(choice: 0, ["content": .array(logprobs)]))
        }
        if object["done"]?.bool == true { end(object, into: &events) }
    }

    private mutating func start(_ object: JSONObject, into events: inout [Event]) {
        isStarted = true
        let time = object["created_at"]?.string ?? ""
        // An answer has no id; the nanosecond in which it began tells it from others.
        seed = time.isEmpty ? String(UInt64.random(in: .min ... .max)) : time
        events.append(
            .start(
                AnswerIdentity(
                    id: "", model: object["model"]?.string ?? "", created: max(0, Timestamp.seconds(time) ?? 0))))
    }

    private mutating func read(_ message: JSONObject, into events: inout [Event]) {
        if let thinking = message["thinking"]?.string, !thinking.isEmpty {
            events.append(.reasoning(choice: 0, Reasoning(thinking)))
        }
        if let text = message["content"]?.string, !text.isEmpty { events.append(.text(choice: 0, text)) }
        // A call comes whole; its `index`, where there is one, restarts or stays at zero in some versions.
        for element in message["tool_calls"]?.array ?? [] {
            guard let function = element["function"]?.object, let name = function["name"]?.string else { continue }
            var id = element["id"]?.string ?? ""
            if id.isEmpty { id = ToolDeltas.madeUpID(seed, 0, calls) }
            events.append(.toolCall(choice: 0, index: calls, ToolCall(id: id, name: name, arguments: "")))
            let arguments: String =
                switch function["arguments"] {
                case nil, .null?: "{}"
                case .string(let text)?: text
                case let value?: JSON.text(value)
                }
            if !arguments.isEmpty { events.append(.arguments(choice: 0, index: calls, arguments)) }
            calls += 1
        }
    }

    private mutating func end(_ object: JSONObject, into events: inout [Event]) {
        // `load` and `unload` answer requests without messages: nothing is missing there either.
        let reason: FinishReason = object["done_reason"]?.string == "length" ? .length : .stop
        events.append(.finish(choice: 0, FinishWord.reason(reason, calls: calls > 0 ? false : nil)))
        func count(_ name: String) -> Int? { object[name]?.int.flatMap { $0 >= 0 ? $0 : nil } }
        // A prompt that was cached as a whole is not counted.
        let usage = Usage(input: count("prompt_eval_count"), output: count("eval_count"))
        if !usage.isEmpty { events.append(.usage(usage)) }
        isComplete = true
    }
}
