// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore
import ParleyWire

/// One item of an answer on its way: what of it was told already.
struct ResponsesItemState {
    /// What is told of an item as it comes. Items of any other kind are told when they are done.
    enum Kind: Hashable {
        case message, reasoning, call, customCall
        case other

        init(_ item: JSONObject) {
            switch item["type"]?.string {
            case "message": self = .message
            case "reasoning": self = .reasoning
            case "function_call": self = .call
            case "custom_tool_call": self = .customCall
            default: self = .other
            }
        }

        /// The kind that an event is about; nil for one that says nothing of the answer.
        init?(event: String) {
            if event.hasPrefix("response.output_text.") || event.hasPrefix("response.refusal.") {
                self = .message
            } else if event.hasPrefix("response.reasoning_") {
                self = .reasoning
            } else if event.hasPrefix("response.function_call_arguments.") {
                self = .call
            } else if event.hasPrefix("response.custom_tool_call_input.") {
                self = .customCall
            } else {
                return nil
            }
        }
    }

    /// A part of the item, with the bytes of it that were told.
    private struct Part {
        enum Kind { case text, refusal, summary, reasoning }
        var kind: Kind
        var index: Int
        var told = 0
        var annotations = 0
    }

    let index: Int
    let kind: Kind
    private var parts: [Part] = []
    /// The neutral number of the call, once it was told.
    private var call: Int?
    private var arguments = 0
    /// Arguments that came before the call's name.
    private var waiting = ""
    private var isDone = false

    init(index: Int, kind: Kind) {
        self.index = index
        self.kind = kind
    }

    /// The item was announced.
    mutating func begin(_ item: JSONObject, _ calls: inout Int, into events: inout [Event]) {
        guard kind == .call || kind == .customCall, item["name"]?.string?.isEmpty == false else { return }
        tell(item, &calls, into: &events)
    }

    /// The item is whole.
    mutating func complete(_ item: JSONObject, _ calls: inout Int, into events: inout [Event]) {
        switch kind {
        case .message:
            for (index, part) in (item["content"]?.array ?? []).enumerated() {
                if let text = part["text"]?.string { tellRest(.text, index, text, into: &events) }
                if let text = part["refusal"]?.string { tellRest(.refusal, index, text, into: &events) }
                let told = parts[slot(.text, index)].annotations
                for annotation in (part["annotations"]?.array ?? []).dropFirst(told) {
                    annotate(annotation, index, into: &events)
                }
            }
        case .reasoning:
            completeReasoning(item, into: &events)
        case .call, .customCall:
            tell(item, &calls, into: &events)
            tellRest(arguments: item[kind == .customCall ? "input" : "arguments"], into: &events)
        case .other:
            guard !isDone else { break }
            events.append(.extra(choice: 0, Extras(.openAIResponses, ["output_items": [.object(item)]])))
        }
        isDone = true
    }

    private mutating func completeReasoning(_ item: JSONObject, into events: inout [Event]) {
        for (index, part) in (item["summary"]?.array ?? []).enumerated() {
            if let text = part["text"]?.string { tellRest(.summary, index, text, into: &events) }
        }
        for (index, part) in (item["content"]?.array ?? []).enumerated() {
            if let text = part["text"]?.string { tellRest(.reasoning, index, text, into: &events) }
        }
        guard !isDone, let cipher = item["encrypted_content"]?.string, !cipher.isEmpty else { return }
        var reasoning = Reasoning("", signature: cipher, opaque: .object(item), origin: .openAIResponses)
        if let content = ReasoningSeal.open(cipher) {
            guard content.call == nil else { return }
            reasoning = Reasoning("", signature: content.signature, opaque: content.opaque, origin: content.origin)
        }
        events.append(.reasoning(choice: 0, reasoning))
    }

    /// Nothing more comes: a call that never got a name is told all the same.
    mutating func end(_ calls: inout Int, into events: inout [Event]) {
        guard call == nil, !waiting.isEmpty else { return }
        tell([:], &calls, into: &events)
    }

    // MARK: - Events

    mutating func read(_ event: JSONObject, _ type: String, _ calls: inout Int, into events: inout [Event]) {
        let part = event["content_index"]?.int ?? event["summary_index"]?.int ?? 0
        let delta = event["delta"]?.string
        let text = event["text"]?.string ?? event["refusal"]?.string ?? event["part"]?["text"]?.string
        switch type {
        case "response.output_text.delta":
            if let delta { tell(.text, part, delta, into: &events) }
            if let logprobs = event["logprobs"]?.array, !logprobs.isEmpty {
                events.append(.logprobs(choice: 0, ["content": .array(logprobs)]))
            }
        case "response.output_text.done": if let text { tellRest(.text, part, text, into: &events) }
        case "response.output_text.annotation.added":
            if let annotation = event["annotation"], !annotation.isNull { annotate(annotation, part, into: &events) }
        case "response.refusal.delta": if let delta { tell(.refusal, part, delta, into: &events) }
        case "response.refusal.done": if let text { tellRest(.refusal, part, text, into: &events) }
        case "response.reasoning_summary_text.delta": if let delta { tell(.summary, part, delta, into: &events) }
        case "response.reasoning_summary_text.done", "response.reasoning_summary_part.done":
            if let text { tellRest(.summary, part, text, into: &events) }
        case "response.reasoning_text.delta": if let delta { tell(.reasoning, part, delta, into: &events) }
        case "response.reasoning_text.done": if let text { tellRest(.reasoning, part, text, into: &events) }
        case "response.function_call_arguments.delta", "response.custom_tool_call_input.delta":
            if let delta { tell(arguments: delta, into: &events) }
        case "response.function_call_arguments.done", "response.custom_tool_call_input.done":
            tellRest(arguments: event["arguments"] ?? event["input"], into: &events)
        default: break
        }
    }

    private mutating func slot(_ kind: Part.Kind, _ index: Int) -> Int {
        if let slot = parts.lastIndex(where: { $0.kind == kind && $0.index == index }) { return slot }
        parts.append(Part(kind: kind, index: index))
        return parts.count - 1
    }

    private mutating func tell(_ kind: Part.Kind, _ index: Int, _ text: String, into events: inout [Event]) {
        guard !text.isEmpty else { return }
        let slot = slot(kind, index)
        let isNew = parts[slot].told == 0
        parts[slot].told += text.utf8.count
        switch kind {
        case .text: events.append(.text(choice: 0, text))
        case .refusal: events.append(.refusal(choice: 0, text))
        case .summary, .reasoning:
            if isNew, parts.contains(where: { $0.told > 0 && ($0.kind != kind || $0.index != index) }) {
                events.append(.reasoning(choice: 0, Reasoning(ReasoningItem.separator)))
            }
            events.append(.reasoning(choice: 0, Reasoning(text)))
        }
    }

    /// Tells what is new in a part that is whole.
    private mutating func tellRest(_ kind: Part.Kind, _ index: Int, _ text: String, into events: inout [Event]) {
        let told = parts[slot(kind, index)].told
        guard text.utf8.count > told else { return }
        tell(kind, index, told == 0 ? text : String(decoding: text.utf8.dropFirst(told), as: UTF8.self), into: &events)
    }

    private mutating func annotate(_ annotation: JSONValue, _ index: Int, into events: inout [Event]) {
        parts[slot(.text, index)].annotations += 1
        events.append(.extra(choice: 0, Extras(.openAIResponses, ["annotations": [annotation]])))
    }

    // MARK: - Calls

    private mutating func tell(_ item: JSONObject, _ calls: inout Int, into events: inout [Event]) {
        guard call == nil else { return }
        let id = item["call_id"]?.string ?? item["id"]?.string ?? "call_\(calls)"
        var head = ToolCall(id: id, name: item["name"]?.string ?? "", arguments: "")
        head.isCustom = kind == .customCall
        call = calls
        events.append(.toolCall(choice: 0, index: calls, head))
        calls += 1
        let held = waiting
        waiting = ""
        if !held.isEmpty { tell(arguments: held, into: &events) }
    }

    private mutating func tell(arguments text: String, into events: inout [Event]) {
        guard !text.isEmpty else { return }
        guard let call else {
            waiting += text
            return
        }
        arguments += text.utf8.count
        events.append(.arguments(choice: 0, index: call, text))
    }

    private mutating func tellRest(arguments value: JSONValue?, into events: inout [Event]) {
        guard let text = value?.string ?? value?.object.map({ JSON.text(.object($0)) }) else { return }
        let told = call == nil ? waiting.utf8.count : arguments
        guard text.utf8.count > told else { return }
        tell(arguments: told == 0 ? text : String(decoding: text.utf8.dropFirst(told), as: UTF8.self), into: &events)
    }
}
