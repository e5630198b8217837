// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Reads the events of a Cohere chat.
struct CohereStreamDecoder: StreamDecoder {
    private var frames = ServerSentEvents()
    private var received = 0
    private var isStarted = false
    private var seed = ""
    /// The wire's indices of the calls so far, in order.
    private var calls: [Int] = []
    private(set) var isComplete = false

    mutating func push(_ bytes: ByteBuffer, into events: inout [Event]) throws(ParleyError) {
        guard !isComplete else { return }
        received = received.clampedSum(bytes.readableBytes)
        frames.push(bytes)
        while !isComplete, let frame = try frames.next() { try read(frame, into: &events) }
    }

    mutating func finish(into events: inout [Event]) throws(ParleyError) {
        guard !isComplete else { return }
        if let frame = frames.finish() { try read(frame, into: &events) }
        guard isComplete else {
            throw ParleyError(.upstreamUnavailable, "The upstream's stream ended before its answer was complete.")
        }
    }

    private mutating func read(_ frame: ServerSentEvents.Frame, into events: inout [Event]) throws(ParleyError) {
        let value: JSONValue
        do {
            value = try JSON.parse(frame.data)
        } catch {
            // What follows the last event is `[DONE]`; before it, it ends an answer that is not complete.
            throw ParleyError(
                .upstreamUnavailable,
                "The upstream sent a stream event that is not JSON (before byte \(received): \(error.message)).")
        }
        guard let object = value.object else {
            throw ParleyError(
                .upstreamUnavailable, "The upstream sent a stream event that is no object (before byte \(received)).")
        }
        let type = object["type"]?.string ?? frame.event ?? ""
        if type == "error" || (type.isEmpty && (object["message"] != nil || object["error"] != nil)) {
            throw UpstreamFailure(value).error()
        }
        try read(object, type, into: &events)
    }

    private mutating func read(
        _ object: JSONObject, _ type: String, into events: inout [Event]
    ) throws(ParleyError) {
        if type != "message-start", !isStarted { start([:], into: &events) }
        let message = object["delta"]?["message"]
        switch type {
        case "message-start": if !isStarted { start(object, into: &events) }
        case "content-start", "content-delta":
            if let content = message?["content"]?.object { read(content, into: &events) }
        case "tool-plan-delta":
            if let plan = message?["tool_plan"]?.string, !plan.isEmpty {
                events.append(.reasoning(choice: 0, Reasoning(plan)))
            }
        case "tool-call-start", "tool-call-delta":
            for call in CohereParts.list(message?["tool_calls"]) {
                read(call, object["index"]?.int, isStart: type == "tool-call-start", into: &events)
            }
        case "citation-start":
            let citations = CohereParts.list(message?["citations"])
            if !citations.isEmpty {
                events.append(.extra(choice: 0, CohereParts.citations(citations.map { .object($0) })))
            }
        case "message-end": try end(object["delta"]?.object ?? [:], into: &events)
        default: break
        }
    }

    private mutating func start(_ object: JSONObject, into events: inout [Event]) {
        isStarted = true
        let id = object["id"]?.string ?? ""
        seed = id.isEmpty ? String(UInt64.random(in: .min ... .max)) : id
        events.append(.start(AnswerIdentity(id: id)))
    }

    private func read(_ content: JSONObject, into events: inout [Event]) {
        if let thinking = content["thinking"]?.string, !thinking.isEmpty {
            events.append(.reasoning(choice: 0, Reasoning(thinking)))
        }
        if let text = content["text"]?.string, !text.isEmpty { events.append(.text(choice: 0, text)) }
    }

    private mutating func read(_ call: JSONObject, _ wireIndex: Int?, isStart: Bool, into events: inout [Event]) {
        let function = call["function"]?.object ?? [:]
        if isStart {
            var id = call["id"]?.string ?? ""
            if id.isEmpty { id = ToolDeltas.madeUpID(seed, 0, calls.count) }
            let head = ToolCall(id: id, name: function["name"]?.string ?? "", arguments: "")
            events.append(.toolCall(choice: 0, index: calls.count, head))
            calls.append(wireIndex ?? calls.count)
        }
        guard let arguments = function["arguments"]?.string, !arguments.isEmpty, !calls.isEmpty else { return }
        let index = calls.lastIndex { $0 == wireIndex } ?? calls.count - 1
        events.append(.arguments(choice: 0, index: index, arguments))
    }

    private mutating func end(_ delta: JSONObject, into events: inout [Event]) throws(ParleyError) {
        if let error = delta["error"]?.string, !error.isEmpty { throw UpstreamFailure(.object(delta)).error() }
        let reason = try CohereParts.finish(delta["finish_reason"])
        events.append(.finish(choice: 0, FinishWord.reason(reason, calls: calls.isEmpty ? nil : false)))
        let usage = CohereParts.usage(delta["usage"])
        if !usage.isEmpty { events.append(.usage(usage)) }
        isComplete = true
    }
}
