// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Writes a completion stream exactly as OpenAI does: the same object in every frame, a last one with the finish reason,
/// the usage frame if it was asked for, `[DONE]`.
struct CompletionsStreamEncoder: StreamEncoder {
    private struct Choice {
        var number: Int
        var offsets = CompletionsLogprobs.Offsets()
        var isFinished = false
    }

    private let context: AnswerContext
    /// The prompt, where it goes before the first text of each choice.
    private let echo: String
    /// `data: {…,"choices":[`, once the answer is known, and what stands behind the choices.
    private var head = ByteBuffer()
    private var tail = ByteBuffer()
    private var choices: [Choice] = []
    private var usage = Usage()
    private var isEnded = false

    init(_ context: AnswerContext, echo: String) {
        self.context = context
        self.echo = echo
    }

    mutating func push(_ event: Event, into out: inout ByteBuffer) {
        switch event {
        case .start(let identity):
            if head.readableBytes == 0 { begin(identity) }
        case .text(let choice, let text), .refusal(let choice, let text):
            guard !text.isEmpty else { return }
            _ = enter(choice, into: &out)
            write(text, choice, into: &out)
        case .logprobs(let choice, let value):
            let slot = enter(choice, into: &out)
            let logprobs = CompletionsLogprobs.encode(value, &choices[slot].offsets)
            write("", choice, logprobs: logprobs, into: &out)
        case .finish(let choice, let reason):
            finish(choice, reason, into: &out)
        case .usage(let more):
            usage.merge(more)
        // There is no place for these.
        case .reasoning, .toolCall, .arguments, .audio, .extra: break
        }
    }

    mutating func finish(into out: inout ByteBuffer) {
        guard !isEnded else { return }
        isEnded = true
        for choice in choices where !choice.isFinished { finish(choice.number, .stop, into: &out) }
        if context.includeUsage, !usage.isEmpty {
            if head.readableBytes == 0 { begin(AnswerIdentity()) }
            out.writeImmutableBuffer(head)
            out.writeImmutableBuffer(tail)
            out.writeStaticString(",\"usage\":")
            WireUsage.write(usage, into: &out)
            out.writeStaticString("}\n\n")
        }
        out.writeStaticString("data: [DONE]\n\n")
    }

    mutating func fail(_ error: ParleyError, into out: inout ByteBuffer) {
        isEnded = true
        OpenAIChat.writeStreamFailure(error, into: &out)
    }

    private mutating func finish(_ choice: Int, _ reason: FinishReason, into out: inout ByteBuffer) {
        let slot = enter(choice, into: &out)
        guard !choices[slot].isFinished else { return }
        choices[slot].isFinished = true
        write("", choice, finish: CompletionsWhole.word(reason), into: &out)
    }

    /// Begins the choice where that was not done, with the prompt if that is wanted.
    private mutating func enter(_ choice: Int, into out: inout ByteBuffer) -> Int {
        if let slot = choices.firstIndex(where: { $0.number == choice }) { return slot }
        var new = Choice(number: choice)
        new.offsets.skip(echo)
        choices.append(new)
        if !echo.isEmpty { write(echo, choice, into: &out) }
        return choices.count - 1
    }

    // MARK: Frames

    private mutating func begin(_ identity: AnswerIdentity) {
        head.writeStaticString("data: {\"id\":")
        head.writeJSONString(CompletionsWhole.id(identity, context))
        head.writeStaticString(",\"object\":\"text_completion\",\"created\":")
        head.writeString(String(identity.created == 0 ? context.created : identity.created))
        head.writeStaticString(",\"choices\":[")
        tail.writeStaticString("],\"model\":")
        tail.writeJSONString(identity.model.isEmpty ? context.model : identity.model)
        for member in identity.extras.of(.openAICompletions).members {
            tail.writeStaticString(",")
            tail.writeJSONString(member.key)
            tail.writeStaticString(":")
            tail.writeJSON(member.value)
        }
    }

    private mutating func write(
        _ text: String, _ choice: Int, logprobs: JSONValue = .null, finish: String? = nil, into out: inout ByteBuffer
    ) {
        if head.readableBytes == 0 { begin(AnswerIdentity()) }
        out.writeImmutableBuffer(head)
        out.writeStaticString("{\"text\":")
        out.writeJSONString(text)
        out.writeStaticString(",\"index\":")
        out.writeString(String(choice))
        out.writeStaticString(",\"logprobs\":")
        out.writeJSON(logprobs)
        out.writeStaticString(",\"finish_reason\":")
        if let finish { out.writeJSONString(finish) } else { out.writeStaticString("null") }
        out.writeStaticString("}")
        out.writeImmutableBuffer(tail)
        if context.includeUsage {
            out.writeStaticString(",\"usage\":null}\n\n")
        } else {
            out.writeStaticString("}\n\n")
        }
    }
}
