// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Writes a stream as Gemini does: every frame an answer with more of the text, the last one with the finish reason and
/// the usage; as server-sent events with CRLF, or as one array.
///
/// Calls are whole in Gemini's streams, so they are kept until their choice ends.
struct GeminiStreamEncoder: StreamEncoder {
    private struct Choice {
        var number: Int
        var calls: [ToolCall] = []
        var finish: FinishReason?
        /// What a candidate has beside its content, written with its end.
        var extras = JSONObject()
    }

    private let context: AnswerContext
    private var identity = AnswerIdentity()
    /// `,"modelVersion":…,"responseId":…}` and the frame's end.
    private var tail = ByteBuffer()
    private var choices: [Choice] = []
    private var usage = Usage()
    private var hasBegun = false
    private var isEnded = false

    init(_ context: AnswerContext) {
        self.context = context
    }

    mutating func push(_ event: Event, into out: inout ByteBuffer) {
        guard !isEnded else { return }
        switch event {
        case .start(let identity): begin(identity)
        case .text(let choice, let text), .refusal(let choice, let text):
            guard !text.isEmpty else { return }
            writeText(text, choice, into: &out)
        case .reasoning(let choice, let reasoning):
            guard let part = GeminiWhole.part(of: reasoning) else { return }
            write(part, choice, into: &out)
        case .toolCall(let choice, let index, let call):
            let slot = slot(choice)
            guard index == choices[slot].calls.count else { return }
            choices[slot].calls.append(call)
        case .arguments(let choice, let index, let text):
            let slot = slot(choice)
            guard choices[slot].calls.indices.contains(index) else { return }
            choices[slot].calls[index].arguments += text
        case .audio(let choice, let value):
            for part in GeminiWhole.parts(ofAudio: value) { write(part, choice, into: &out) }
        case .logprobs(let choice, let value):
            guard let result = GeminiLogprobs.write(value) else { return }
            write(["text": ""], choice, more: ["logprobsResult": result], into: &out)
        case .extra(let choice, let extras):
            let (parts, fields) = GeminiWhole.split(extras)
            for part in parts { write(part, choice, into: &out) }
            let slot = slot(choice)
            for member in fields.members { choices[slot].extras[member.key] = member.value }
        case .finish(let choice, let reason):
            let slot = slot(choice)
            writeCalls(slot, into: &out)
            if choices[slot].finish == nil { choices[slot].finish = reason }
        case .usage(let more): usage.merge(more)
        }
    }

    mutating func finish(into out: inout ByteBuffer) {
        guard !isEnded else { return }
        for slot in choices.indices { writeCalls(slot, into: &out) }
        if choices.isEmpty { _ = slot(0) }
        open(into: &out)
        out.writeStaticString("{\"candidates\":")
        out.writeJSON(.array(choices.sorted { $0.number < $1.number }.map(Self.last)))
        if !usage.isEmpty {
            out.writeStaticString(",\"usageMetadata\":")
            out.writeJSON(GeminiUsage.write(usage))
        }
        close(into: &out)
        if context.asArray { out.writeStaticString("]") }
        isEnded = true
    }

    mutating func fail(_ error: ParleyError, into out: inout ByteBuffer) {
        guard !isEnded else { return }
        isEnded = true
        open(into: &out)
        out.writeJSON(GeminiFailure.envelope(error))
        out.writeStaticString(context.asArray ? "]" : "\r\n\r\n")
    }

    /// A choice's last candidate.
    private static func last(_ choice: Choice) -> JSONValue {
        let reason = choice.finish ?? .stop
        var object: JSONObject = [
            "content": ["parts": [["text": ""]], "role": "model"],
            "finishReason": .string(GeminiFinish.word(reason)), "index": .int(choice.number),
        ]
        object.members += choice.extras.members
        return .object(object)
    }

    // MARK: - Frames

    private mutating func begin(_ identity: AnswerIdentity) {
        guard tail.readableBytes == 0 else { return }
        tail.writeStaticString(",\"modelVersion\":")
        tail.writeJSONString(identity.model.isEmpty ? context.model : identity.model)
        tail.writeStaticString(",\"responseId\":")
        tail.writeJSONString(identity.id.isEmpty ? context.id : identity.id)
        for member in identity.extras.of(.gemini).members {
            tail.writeStaticString(",")
            tail.writeJSONString(member.key)
            tail.writeStaticString(":")
            tail.writeJSON(member.value)
        }
        tail.writeStaticString("}")
        if !context.asArray { tail.writeStaticString("\r\n\r\n") }
    }

    /// What comes before a frame.
    private mutating func open(into out: inout ByteBuffer) {
        if context.asArray {
            out.writeStaticString(hasBegun ? ",\r\n" : "[")
        } else {
            out.writeStaticString("data: ")
        }
        hasBegun = true
    }

    private mutating func close(into out: inout ByteBuffer) {
        if tail.readableBytes == 0 { begin(AnswerIdentity()) }
        out.writeImmutableBuffer(tail)
    }

    private mutating func writeText(_ text: String, _ choice: Int, into out: inout ByteBuffer) {
        _ = slot(choice)
        open(into: &out)
        out.writeStaticString("{\"candidates\":[{\"content\":{\"parts\":[{\"text\":")
        out.writeJSONString(text)
        closeCandidate(choice, into: &out)
    }

    private mutating func closeCandidate(_ choice: Int, into out: inout ByteBuffer) {
        out.writeStaticString("}],\"role\":\"model\"},\"index\":")
        out.writeString(String(choice))
        out.writeStaticString("}]")
        close(into: &out)
    }

    private mutating func write(
        _ part: JSONObject, _ choice: Int, more: JSONObject = [:], into out: inout ByteBuffer
    ) {
        _ = slot(choice)
        var candidate: JSONObject = [
            "content": ["parts": [.object(part)], "role": "model"], "index": .int(choice),
        ]
        candidate.members += more.members
        open(into: &out)
        out.writeStaticString("{\"candidates\":")
        out.writeJSON([.object(candidate)])
        close(into: &out)
    }

    private mutating func writeCalls(_ slot: Int, into out: inout ByteBuffer) {
        let calls = choices[slot].calls
        choices[slot].calls = []
        for call in calls { write(GeminiWhole.part(of: call), choices[slot].number, into: &out) }
    }

    private mutating func slot(_ number: Int) -> Int {
        if let index = choices.firstIndex(where: { $0.number == number }) { return index }
        choices.append(Choice(number: number))
        return choices.count - 1
    }
}
