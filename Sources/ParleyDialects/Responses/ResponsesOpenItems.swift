// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// A message on its way to a client.
struct ResponsesOpenMessage {
    private struct Part {
        let isRefusal: Bool
        let place: ResponsesPlace
        var text = ""
        var annotations: [JSONValue] = []
        var logprobs: [JSONValue] = []

        var json: JSONValue {
            if isRefusal { return ["type": "refusal", "refusal": .string(text)] }
            return [
                "type": "output_text", "annotations": .array(annotations), "logprobs": .array(logprobs),
                "text": .string(text),
            ]
        }
    }

    let index: Int
    private let id: String
    private var parts: [JSONValue] = []
    private var open: Part?

    init(id: String, index: Int, _ frames: inout ResponsesFrames, into out: inout ByteBuffer) {
        self.id = id
        self.index = index
        frames.writeItem(item("in_progress"), index: index, isDone: false, into: &out)
    }

    /// The item as it stands.
    func item(_ status: String) -> JSONValue {
        var content = parts
        if let open { content.append(open.json) }
        return [
            "id": .string(id), "type": "message", "status": .string(status), "role": "assistant",
            "content": .array(content),
        ]
    }

    mutating func writeText(
        _ text: String, _ logprobs: [JSONValue], _ frames: inout ResponsesFrames, into out: inout ByteBuffer
    ) {
        openPart(isRefusal: false, &frames, into: &out)
        open?.text += text
        open?.logprobs += logprobs
        frames.begin("response.output_text.delta", into: &out)
        open?.place.write(into: &out)
        out.writeStaticString(",\"delta\":")
        out.writeJSONString(text)
        out.writeStaticString(",\"logprobs\":")
        out.writeJSON(.array(logprobs))
        frames.end(into: &out)
    }

    mutating func writeRefusal(_ text: String, _ frames: inout ResponsesFrames, into out: inout ByteBuffer) {
        openPart(isRefusal: true, &frames, into: &out)
        open?.text += text
        frames.begin("response.refusal.delta", into: &out)
        open?.place.write(into: &out)
        out.writeStaticString(",\"delta\":")
        out.writeJSONString(text)
        frames.end(into: &out)
    }

    mutating func write(
        annotation: JSONValue, _ frames: inout ResponsesFrames, into out: inout ByteBuffer
    ) {
        openPart(isRefusal: false, &frames, into: &out)
        frames.begin("response.output_text.annotation.added", into: &out)
        open?.place.write(into: &out)
        out.writeStaticString(",\"annotation_index\":")
        out.writeString(String(open?.annotations.count ?? 0))
        out.writeStaticString(",\"annotation\":")
        out.writeJSON(annotation)
        frames.end(into: &out)
        open?.annotations.append(annotation)
    }

    /// Ends the message.
    ///
    /// - Returns: the whole item.
    mutating func close(
        _ status: String, _ frames: inout ResponsesFrames, into out: inout ByteBuffer
    ) -> JSONValue {
        closePart(&frames, into: &out)
        return item(status)
    }

    private mutating func openPart(
        isRefusal: Bool, _ frames: inout ResponsesFrames, into out: inout ByteBuffer
    ) {
        if let open, open.isRefusal == isRefusal { return }
        closePart(&frames, into: &out)
        let place = ResponsesPlace(item: id, output: index, part: ("content_index", parts.count))
        let part = Part(isRefusal: isRefusal, place: place)
        open = part
        write(part, "response.content_part.added", &frames, into: &out)
    }

    private func write(
        _ part: Part, _ type: StaticString, _ frames: inout ResponsesFrames, into out: inout ByteBuffer
    ) {
        frames.begin(type, into: &out)
        part.place.write(into: &out)
        out.writeStaticString(",\"part\":")
        out.writeJSON(part.json)
        frames.end(into: &out)
    }

    private mutating func closePart(_ frames: inout ResponsesFrames, into out: inout ByteBuffer) {
        guard let part = open else { return }
        open = nil
        frames.begin(part.isRefusal ? "response.refusal.done" : "response.output_text.done", into: &out)
        part.place.write(into: &out)
        out.writeStaticString(part.isRefusal ? ",\"refusal\":" : ",\"text\":")
        out.writeJSONString(part.text)
        if !part.isRefusal {
            out.writeStaticString(",\"logprobs\":")
            out.writeJSON(.array(part.logprobs))
        }
        frames.end(into: &out)
        write(part, "response.content_part.done", &frames, into: &out)
        parts.append(part.json)
    }
}

/// Reasoning on its way to a client, told as one part of a summary.
struct ResponsesOpenReasoning {
    let index: Int
    private let id: String
    private let place: ResponsesPlace
    private var text = ""
    /// The upstream's own item, or what Parley seals into one.
    private var bound: JSONObject = [:]

    init(id: String, index: Int, _ frames: inout ResponsesFrames, into out: inout ByteBuffer) {
        self.id = id
        self.index = index
        place = ResponsesPlace(item: id, output: index, part: ("summary_index", 0))
        frames.writeItem(item, index: index, isDone: false, into: &out)
    }

    /// The item as it stands.
    var item: JSONValue {
        var object: JSONObject = [
            "id": .string(id), "type": "reasoning", "summary": .array(ReasoningItem.summary(text)),
        ]
        object.members += bound.members
        return .object(object)
    }

    /// Takes in what the origin wants back.
    mutating func bind(_ piece: Reasoning) {
        if piece.origin == .openAIResponses {
            let cipher = piece.signature ?? piece.opaque?["encrypted_content"]?.string
            if let cipher { bound["encrypted_content"] = .string(cipher) }
        } else {
            let content = ReasoningSeal.Content(
                origin: piece.origin, signature: piece.signature, opaque: piece.opaque)
            bound["encrypted_content"] = .string(ReasoningSeal.seal(content))
        }
    }

    mutating func write(_ piece: String, _ frames: inout ResponsesFrames, into out: inout ByteBuffer) {
        guard !piece.isEmpty else { return }
        if text.isEmpty { writePart("response.reasoning_summary_part.added", &frames, into: &out) }
        text += piece
        frames.begin("response.reasoning_summary_text.delta", into: &out)
        place.write(into: &out)
        out.writeStaticString(",\"delta\":")
        out.writeJSONString(piece)
        frames.end(into: &out)
    }

    /// Ends the reasoning.
    ///
    /// - Returns: the whole item.
    mutating func close(_ frames: inout ResponsesFrames, into out: inout ByteBuffer) -> JSONValue {
        guard !text.isEmpty else { return item }
        frames.begin("response.reasoning_summary_text.done", into: &out)
        place.write(into: &out)
        out.writeStaticString(",\"text\":")
        out.writeJSONString(text)
        frames.end(into: &out)
        writePart("response.reasoning_summary_part.done", &frames, into: &out)
        return item
    }

    private func writePart(_ type: StaticString, _ frames: inout ResponsesFrames, into out: inout ByteBuffer) {
        frames.begin(type, into: &out)
        place.write(into: &out)
        out.writeStaticString(",\"part\":")
        out.writeJSON(["type": "summary_text", "text": .string(text)])
        frames.end(into: &out)
    }
}

/// A tool call on its way to a client.
struct ResponsesOpenCall {
    /// The call's neutral number.
    let number: Int
    let index: Int
    private let id: String
    private let call: ToolCall
    private let place: ResponsesPlace
    private var arguments = ""
    private var balance = ArgumentBalance()
    private(set) var isOpen = true

    init(
        _ call: ToolCall, number: Int, id: String, index: Int, _ frames: inout ResponsesFrames,
        into out: inout ByteBuffer
    ) {
        self.call = call
        self.number = number
        self.id = id
        self.index = index
        place = ResponsesPlace(item: id, output: index)
        frames.writeItem(item("in_progress"), index: index, isDone: false, into: &out)
    }

    /// Whether there is nothing to wait for: a whole JSON value, or any free text.
    var isWhole: Bool { !arguments.isEmpty && (call.isCustom || !balance.isOpen) }

    /// The item as it stands.
    func item(_ status: String) -> JSONValue {
        [
            "id": .string(id), "type": call.isCustom ? "custom_tool_call" : "function_call",
            "status": .string(status), (call.isCustom ? "input" : "arguments"): .string(arguments),
            "call_id": .string(call.id), "name": .string(call.name),
        ]
    }

    mutating func write(_ piece: String, _ frames: inout ResponsesFrames, into out: inout ByteBuffer) {
        guard isOpen else { return }
        arguments += piece
        balance.add(piece)
        frames.begin(
            call.isCustom ? "response.custom_tool_call_input.delta" : "response.function_call_arguments.delta",
            into: &out)
        place.write(into: &out)
        out.writeStaticString(",\"delta\":")
        out.writeJSONString(piece)
        frames.end(into: &out)
    }

    /// Ends the call.
    ///
    /// - Returns: the whole item.
    mutating func close(
        _ status: String, _ frames: inout ResponsesFrames, into out: inout ByteBuffer
    ) -> JSONValue {
        isOpen = false
        frames.begin(
            call.isCustom ? "response.custom_tool_call_input.done" : "response.function_call_arguments.done",
            into: &out)
        place.write(into: &out)
        out.writeStaticString(call.isCustom ? ",\"input\":" : ",\"arguments\":")
        out.writeJSONString(arguments)
        if !call.isCustom {
            out.writeStaticString(",\"name\":")
            out.writeJSONString(call.name)
        }
        frames.end(into: &out)
        return item(status)
    }
}
