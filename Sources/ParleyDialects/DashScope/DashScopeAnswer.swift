// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Reads the objects of one answer of DashScope's, one whole or the events of a stream.
struct DashScopeAnswerReader {
    /// One of the answer's choices.
    private struct Choice {
        var tools: ToolDeltas
        var text = GrowingText()
        var reasoning = GrowingText()
        /// The arguments so far, by the call's place.
        var arguments: [Int: GrowingText] = [:]
        var finish: FinishReason?
    }

    private let isCumulative: Bool
    private var isStarted = false
    private var seed = ""
    /// By their numbers; an answer has four at most.
    private var choices: [(number: Int, state: Choice)] = []
    private var usage = Usage()

    init(isCumulative: Bool) {
        self.isCumulative = isCumulative
    }

    /// Whether every choice that was begun has ended.
    var isFinished: Bool { !choices.isEmpty && choices.allSatisfy { $0.state.finish != nil } }

    mutating func read(_ value: JSONValue, into events: inout [Event]) throws(ParleyError) {
        guard let output = value["output"]?.object else { throw DashScopeCodes.failure(value) }
        if !isStarted {
            isStarted = true
            let id = value["request_id"]?.string ?? ""
            seed = id.isEmpty ? String(UInt64.random(in: .min ... .max)) : id
            events.append(.start(AnswerIdentity(id: id)))
        }
        if let list = output["choices"]?.array {
            for (position, element) in list.enumerated() {
                guard let choice = element.object else { continue }
                try read(choice, number: max(0, choice["index"]?.int ?? position), into: &events)
            }
        } else if output["text"] != nil {
            // As it is without `result_format: message`.
            let message: JSONValue = ["content": output["text"] ?? .null]
            let choice: JSONObject = ["message": message, "finish_reason": output["finish_reason"] ?? .null]
            try read(choice, number: 0, into: &events)
        } else {
            throw DashScopeCodes.failure(value)
        }
        var merged = usage
        merged.merge(WireUsage.read(value["usage"], quirks: Quirks()))
        if merged != usage {
            usage = merged
            events.append(.usage(merged))
        }
    }

    /// The answer is over: says why each choice ended.
    mutating func finish(into events: inout [Event]) {
        for index in choices.indices {
            choices[index].state.tools.finish(into: &events)
            let reason = choices[index].state.finish ?? .stop
            let calls = choices[index].state.tools.isEmpty ? nil : false
            events.append(.finish(choice: choices[index].number, FinishWord.reason(reason, calls: calls)))
        }
    }

    private mutating func read(
        _ choice: JSONObject, number: Int, into events: inout [Event]
    ) throws(ParleyError) {
        let index = slot(number)
        let message = choice["message"]?.object ?? choice["delta"]?.object ?? [:]
        if let thought = message["reasoning_content"]?.string, !thought.isEmpty {
            let piece = isCumulative ? choices[index].state.reasoning.addition(thought) : thought
            if !piece.isEmpty { events.append(.reasoning(choice: number, Reasoning(piece))) }
        }
        var text = ""
        if let content = message["content"] { AnswerContent.read(content) { piece, _ in text += piece } }
        if !text.isEmpty {
            let piece = isCumulative ? choices[index].state.text.addition(text) : text
            if !piece.isEmpty { events.append(.text(choice: number, piece)) }
        }
        if let calls = message["tool_calls"]?.array, !calls.isEmpty { read(calls, of: index, into: &events) }
        if let logprobs = choice["logprobs"], !logprobs.isNull {
            events.append(.logprobs(choice: number, logprobs))
        }
        switch FinishWord.read(choice["finish_reason"]) {
        case .none: break
        case .finish(let reason): choices[index].state.finish = reason
        case .failure(let word): throw FinishWord.failure(word)
        }
    }

    private mutating func read(_ calls: [JSONValue], of index: Int, into events: inout [Event]) {
        guard isCumulative else { return choices[index].state.tools.push(.array(calls), into: &events) }
        var new: [JSONValue] = []
        for (position, element) in calls.enumerated() {
            guard var call = element.object, var function = call["function"]?.object else { continue }
            let place = call["index"]?.int ?? position
            let said = function["arguments"]?.string ?? ""
            var growing = choices[index].state.arguments[place] ?? GrowingText()
            function["arguments"] = .string(growing.addition(said))
            choices[index].state.arguments[place] = growing
            call["index"] = .int(place)
            call["function"] = .object(function)
            new.append(.object(call))
        }
        choices[index].state.tools.push(.array(new), into: &events)
    }

    private mutating func slot(_ number: Int) -> Int {
        if let index = choices.firstIndex(where: { $0.number == number }) { return index }
        var choice = Choice(tools: ToolDeltas(choice: number))
        choice.tools.seed = seed
        choices.append((number, choice))
        return choices.count - 1
    }
}

/// Reads the events of DashScope's stream, which has no terminator: it ends with its body.
struct DashScopeStreamDecoder: StreamDecoder {
    private var frames = ServerSentEvents()
    private var received = 0
    private var reader: DashScopeAnswerReader
    private(set) var isComplete = false

    init(isCumulative: Bool) {
        reader = DashScopeAnswerReader(isCumulative: isCumulative)
    }

    mutating func push(_ bytes: ByteBuffer, into events: inout [Event]) throws(ParleyError) {
        guard !isComplete else { return }
        received = received.clampedSum(bytes.readableBytes)
        frames.push(bytes)
        while let frame = try frames.next() { try read(frame, into: &events) }
    }

    mutating func finish(into events: inout [Event]) throws(ParleyError) {
        guard !isComplete else { return }
        if let frame = frames.finish() { try read(frame, into: &events) }
        guard reader.isFinished else {
            throw ParleyError(.upstreamUnavailable, "The upstream's stream ended before its answer was complete.")
        }
        reader.finish(into: &events)
        isComplete = true
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
        if frame.event == "error" { throw DashScopeCodes.failure(value) }
        try reader.read(value, into: &events)
    }
}
