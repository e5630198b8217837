// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Writes a chat completion stream exactly as OpenAI does: one chunk per event, a role chunk first in each choice, a
/// finish chunk with an empty delta, the usage chunk if it was asked for, `[DONE]`.
///
/// What is the same in every chunk is prepared once; an event is written without a tree.
struct ChatStreamEncoder: StreamEncoder {
    /// What the deltas of a call look like after its first.
    private enum Form { case function, custom, legacy }

    private struct Choice {
        var number: Int
        var forms: [Form] = []
        var thought = UnsignedThought()
        /// How many elements of `reasoning_details` were written.
        var details = 0
        var isFinished = false
    }

    private let context: AnswerContext
    /// `data: {…,"choices":[`, once the answer is known.
    private var head = ByteBuffer()
    private var firstExtras = JSONObject()
    private var choices: [Choice] = []
    private var usage = Usage()
    private var isEnded = false

    init(_ context: AnswerContext) {
        self.context = context
    }

    mutating func fail(_ error: ParleyError, into out: inout ByteBuffer) {
        isEnded = true
        OpenAIChat.writeStreamFailure(error, into: &out)
    }

    mutating func push(_ event: Event, into out: inout ByteBuffer) {
        switch event {
        case .start(let identity):
            if head.readableBytes == 0 { begin(identity) }
        case .text(let choice, let text):
            writeText("\"content\":", text, choice, into: &out)
        case .refusal(let choice, let text):
            writeText("\"refusal\":", text, choice, into: &out)
        case .reasoning(let choice, let reasoning):
            write(reasoning, choice, into: &out)
        case .toolCall(let choice, let index, let call):
            write(call, index, choice, into: &out)
        case .arguments(let choice, let index, let text):
            writeArguments(text, index, choice, into: &out)
        case .audio(let choice, let value):
            openDelta(choice, into: &out)
            out.writeStaticString("\"audio\":")
            out.writeJSON(value)
            closeDelta(into: &out)
        case .logprobs(let choice, let value):
            openDelta(choice, into: &out)
            out.writeStaticString("},\"logprobs\":")
            out.writeJSON(value)
            out.writeStaticString(",\"finish_reason\":null}]")
            closeChunk(into: &out)
        case .extra(let choice, let extras):
            let fields = extras.of(.openAIChat)
            guard !fields.isEmpty else { return }
            openDelta(choice, into: &out)
            writeMembers(fields, isFirst: true, into: &out)
            closeDelta(into: &out)
        case .finish(let choice, let reason):
            finish(choice, reason, into: &out)
        case .usage(let more):
            usage.merge(more)
        }
    }

    mutating func finish(into out: inout ByteBuffer) {
        guard !isEnded else { return }
        isEnded = true
        for choice in choices where !choice.isFinished {
            finish(choice.number, choice.forms.isEmpty ? .stop : .toolCalls, into: &out)
        }
        if context.includeUsage, !usage.isEmpty {
            writeHead(into: &out)
            out.writeStaticString("],\"usage\":")
            WireUsage.write(usage, into: &out)
            out.writeStaticString("}\n\n")
        }
        out.writeStaticString("data: [DONE]\n\n")
    }

    // MARK: - Events

    private mutating func writeText(
        _ field: StaticString, _ text: String, _ choice: Int, into out: inout ByteBuffer
    ) {
        guard !text.isEmpty else { return }
        openDelta(choice, into: &out)
        out.writeStaticString(field)
        out.writeJSONString(text)
        closeDelta(into: &out)
    }

    private mutating func write(_ reasoning: Reasoning, _ choice: Int, into out: inout ByteBuffer) {
        guard reasoning != Reasoning("") else { return }
        let slot = enter(choice, into: &out)
        let detail = ReasoningDetails.element(
            choices[slot].thought.complete(reasoning), index: choices[slot].details)
        guard !reasoning.text.isEmpty || detail != nil else { return }
        if detail != nil { choices[slot].details += 1 }
        openDelta(choice, into: &out)
        if !reasoning.text.isEmpty {
            out.writeStaticString("\"reasoning_content\":")
            out.writeJSONString(reasoning.text)
        }
        if let detail {
            out.writeStaticString(reasoning.text.isEmpty ? "\"reasoning_details\":[" : ",\"reasoning_details\":[")
            out.writeJSON(detail)
            out.writeStaticString("]")
        }
        closeDelta(into: &out)
    }

    private mutating func write(_ call: ToolCall, _ index: Int, _ choice: Int, into out: inout ByteBuffer) {
        let form: Form = call.isLegacy ? .legacy : call.isCustom ? .custom : .function
        openDelta(choice, into: &out)
        note(form, index, choice)
        if form == .legacy {
            out.writeStaticString("\"function_call\":{\"name\":")
            out.writeJSONString(call.name)
            out.writeStaticString(",\"arguments\":\"\"}")
        } else {
            out.writeStaticString("\"tool_calls\":[{\"index\":")
            out.writeString(String(index))
            out.writeStaticString(",\"id\":")
            out.writeJSONString(call.id)
            out.writeStaticString(
                form == .custom
                    ? ",\"type\":\"custom\",\"custom\":{\"name\":" : ",\"type\":\"function\",\"function\":{\"name\":")
            out.writeJSONString(call.name)
            out.writeStaticString(form == .custom ? ",\"input\":\"\"}" : ",\"arguments\":\"\"}")
            writeMembers(ThoughtSignature.fields(of: call), isFirst: false, into: &out)
            out.writeStaticString("}]")
        }
        closeDelta(into: &out)
        if !call.arguments.isEmpty { writeArguments(call.arguments, index, choice, into: &out) }
    }

    private mutating func writeArguments(_ text: String, _ index: Int, _ choice: Int, into out: inout ByteBuffer) {
        guard !text.isEmpty else { return }
        openDelta(choice, into: &out)
        switch form(index, choice) {
        case .legacy:
            out.writeStaticString("\"function_call\":{\"arguments\":")
            out.writeJSONString(text)
            out.writeStaticString("}")
        case .custom:
            out.writeStaticString("\"tool_calls\":[{\"index\":")
            out.writeString(String(index))
            out.writeStaticString(",\"custom\":{\"input\":")
            out.writeJSONString(text)
            out.writeStaticString("}}]")
        case .function:
            out.writeStaticString("\"tool_calls\":[{\"index\":")
            out.writeString(String(index))
            out.writeStaticString(",\"function\":{\"arguments\":")
            out.writeJSONString(text)
            out.writeStaticString("}}]")
        }
        closeDelta(into: &out)
    }

    private mutating func finish(_ choice: Int, _ reason: FinishReason, into out: inout ByteBuffer) {
        let slot = enter(choice, into: &out)
        guard !choices[slot].isFinished else { return }
        choices[slot].isFinished = true
        writeHead(into: &out)
        out.writeStaticString("{\"index\":")
        out.writeString(String(choice))
        out.writeStaticString(",\"delta\":{},\"logprobs\":null,\"finish_reason\":")
        out.writeJSONString(reason.rawValue)
        out.writeStaticString("}]")
        closeChunk(into: &out)
    }

    private mutating func note(_ form: Form, _ index: Int, _ choice: Int) {
        guard index >= 0, index < 4096, let slot = choices.firstIndex(where: { $0.number == choice }) else { return }
        while choices[slot].forms.count <= index { choices[slot].forms.append(.function) }
        choices[slot].forms[index] = form
    }

    private func form(_ index: Int, _ choice: Int) -> Form {
        guard let found = choices.first(where: { $0.number == choice }), found.forms.indices.contains(index) else {
            return .function
        }
        return found.forms[index]
    }

    // MARK: - Chunks

    private mutating func begin(_ identity: AnswerIdentity) {
        head.writeStaticString("data: {\"id\":")
        head.writeJSONString(identity.id.isEmpty ? "chatcmpl-\(context.id)" : identity.id)
        head.writeStaticString(",\"object\":\"chat.completion.chunk\",\"created\":")
        head.writeString(String(identity.created == 0 ? context.created : identity.created))
        head.writeStaticString(",\"model\":")
        head.writeJSONString(identity.model.isEmpty ? context.model : identity.model)
        // These two are in every chunk of OpenAI's; what else came with the answer is said once.
        for member in identity.extras.of(.openAIChat).members {
            if member.key == "service_tier" || member.key == "system_fingerprint" {
                writeMembers([member.key: member.value], isFirst: false, into: &head)
            } else {
                firstExtras.members.append(member)
            }
        }
    }

    private mutating func writeHead(into out: inout ByteBuffer) {
        if head.readableBytes == 0 { begin(AnswerIdentity()) }
        out.writeImmutableBuffer(head)
        if !firstExtras.isEmpty {
            writeMembers(firstExtras, isFirst: false, into: &out)
            firstExtras = JSONObject()
        }
        out.writeStaticString(",\"choices\":[")
    }

    /// Begins the choice where that was not done, with its role chunk.
    private mutating func enter(_ choice: Int, into out: inout ByteBuffer) -> Int {
        if let slot = choices.firstIndex(where: { $0.number == choice }) { return slot }
        choices.append(Choice(number: choice))
        writeHead(into: &out)
        out.writeStaticString("{\"index\":")
        out.writeString(String(choice))
        out.writeStaticString(",\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null")
        closeDelta(into: &out)
        return choices.count - 1
    }

    private mutating func openDelta(_ choice: Int, into out: inout ByteBuffer) {
        _ = enter(choice, into: &out)
        writeHead(into: &out)
        out.writeStaticString("{\"index\":")
        out.writeString(String(choice))
        out.writeStaticString(",\"delta\":{")
    }

    private func closeDelta(into out: inout ByteBuffer) {
        out.writeStaticString("},\"logprobs\":null,\"finish_reason\":null}]")
        closeChunk(into: &out)
    }

    private func closeChunk(into out: inout ByteBuffer) {
        if context.includeUsage {
            out.writeStaticString(",\"usage\":null}\n\n")
        } else {
            out.writeStaticString("}\n\n")
        }
    }

    private func writeMembers(_ object: JSONObject, isFirst: Bool, into out: inout ByteBuffer) {
        var needsComma = !isFirst
        for member in object.members {
            if needsComma { out.writeStaticString(",") }
            needsComma = true
            out.writeJSONString(member.key)
            out.writeStaticString(":")
            out.writeJSON(member.value)
        }
    }
}
