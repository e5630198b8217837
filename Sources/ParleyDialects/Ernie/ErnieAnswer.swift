// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// What a stream's event and a whole answer of ERNIE have in common.
enum ErnieParts {
    /// Whether an object is an answer, not an error.
    static func isAnswer(_ object: JSONObject) -> Bool {
        guard object["error_code"] == nil || object["error_code"]?.int == 0 else { return false }
        return object["result"] != nil || object["function_call"]?.object != nil
    }

    /// Why the answer ended.
    static func finish(_ object: JSONObject) -> FinishReason {
        let word = object["finish_reason"]?.string ?? ""
        // What must be cleared broke a rule; `ban_round` then says where.
        if word == "content_filter" || object["need_clear_history"]?.bool == true { return .contentFilter }
        if word == "length" || object["is_truncated"]?.bool == true { return .length }
        return word == "function_call" ? .toolCalls : .stop
    }
}

/// Reads the objects of one answer.
struct ErnieAnswerReader {
    private var isStarted = false
    private var seed = ""
    private var hasCall = false
    private var usage = Usage()

    mutating func read(_ object: JSONObject, into events: inout [Event]) {
        if !isStarted {
            isStarted = true
            let id = object["id"]?.string ?? ""
            seed = id.isEmpty ? String(UInt64.random(in: .min ... .max)) : id
            events.append(.start(AnswerIdentity(id: id, created: max(0, object["created"]?.int ?? 0))))
        }
        if let call = object["function_call"]?.object { read(call: call, into: &events) }
        if let text = object["result"]?.string, !text.isEmpty { events.append(.text(choice: 0, text)) }
        var merged = usage
        merged.merge(WireUsage.read(object["usage"], quirks: Quirks()))
        if merged != usage {
            usage = merged
            events.append(.usage(merged))
        }
    }

    /// A call comes whole, with what led to it, and is the only one of its turn.
    private mutating func read(call: JSONObject, into events: inout [Event]) {
        guard !hasCall, let name = call["name"]?.string, !name.isEmpty else { return }
        hasCall = true
        if let thoughts = call["thoughts"]?.string, !thoughts.isEmpty {
            events.append(.reasoning(choice: 0, Reasoning(thoughts)))
        }
        let id = ToolDeltas.madeUpID(seed, 0, 0)
        events.append(.toolCall(choice: 0, index: 0, ToolCall(id: id, name: name, arguments: "")))
        let arguments: String =
            switch call["arguments"] {
            case nil, .null?: "{}"
            case .string(let text)?: text
            case let value?: JSON.text(value)
            }
        if !arguments.isEmpty { events.append(.arguments(choice: 0, index: 0, arguments)) }
    }

    func end(_ object: JSONObject, into events: inout [Event]) {
        events.append(.finish(choice: 0, FinishWord.reason(ErnieParts.finish(object), calls: hasCall ? false : nil)))
    }
}

/// Reads the events of ERNIE's stream, which ends with `is_end` and no terminator.
struct ErnieStreamDecoder: StreamDecoder {
    private var frames = ServerSentEvents()
    private var received = 0
    private var reader = ErnieAnswerReader()
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
            throw ParleyError(
                .upstreamUnavailable,
                "The upstream sent a stream event that is not JSON (before byte \(received): \(error.message)).")
        }
        guard let object = value.object, ErnieParts.isAnswer(object) else { throw ErnieCodes.failure(value) }
        reader.read(object, into: &events)
        guard object["is_end"]?.bool == true else { return }
        reader.end(object, into: &events)
        isComplete = true
    }
}
