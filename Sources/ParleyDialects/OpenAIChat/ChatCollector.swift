// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore

/// Events to a whole answer.
public struct ChatCollector: AnswerCollector {
    private struct Part {
        var choice: ChatResponse.Choice
        var text: String?
    }

    private var identity = AnswerIdentity()
    private var parts: [Part] = []
    private var usage = Usage()

    /// Nothing collected yet.
    public init() {}

    /// Takes the next event.
    public mutating func add(_ event: Event) {
        switch event {
        case .start(let identity): self.identity = identity
        case .text(let choice, let text):
            let slot = slot(choice)
            parts[slot].text = parts[slot].text ?? ""
            parts[slot].text?.append(text)
        case .refusal(let choice, let text):
            let slot = slot(choice)
            parts[slot].choice.message.refusal = (parts[slot].choice.message.refusal ?? "") + text
        case .reasoning(let choice, let reasoning):
            ReasoningPieces.append(reasoning, to: &parts[slot(choice)].choice.message.reasoning)
        case .toolCall(let choice, _, let call):
            parts[slot(choice)].choice.message.toolCalls.append(call)
        case .arguments(let choice, let index, let text):
            let slot = slot(choice)
            guard parts[slot].choice.message.toolCalls.indices.contains(index) else { return }
            parts[slot].choice.message.toolCalls[index].arguments += text
        case .audio(let choice, let value):
            let slot = slot(choice)
            parts[slot].choice.audio = Self.joined(parts[slot].choice.audio, value)
        case .logprobs(let choice, let value):
            let slot = slot(choice)
            parts[slot].choice.logprobs = Self.joined(parts[slot].choice.logprobs, value)
        case .extra(let choice, let extras): add(extras, to: slot(choice))
        case .finish(let choice, let reason): parts[slot(choice)].choice.finish = reason
        case .usage(let more): usage.merge(more)
        }
    }

    /// The answer so far, its choices by number.
    public func response() -> ChatResponse {
        var choices: [ChatResponse.Choice] = []
        for part in parts {
            var choice = part.choice
            if let text = part.text {
                choice.message.content = [.text(text)]
                choice.message.contentIsText = true
            }
            choices.append(choice)
        }
        choices.sort { $0.index < $1.index }
        return ChatResponse(identity: identity, choices: choices, usage: usage)
    }

    private mutating func slot(_ number: Int) -> Int {
        if let index = parts.firstIndex(where: { $0.choice.index == number }) { return index }
        parts.append(Part(choice: .init(index: number, message: Message(.assistant, []), finish: nil)))
        return parts.count - 1
    }

    private mutating func add(_ extras: Extras, to slot: Int) {
        guard let dialect = extras.dialect else { return }
        var own = parts[slot].choice.message.extras
        guard own.dialect == nil || own.dialect == dialect else { return }
        own.dialect = dialect
        for member in extras.fields.members {
            if case .array(let list)? = own.fields[member.key], case .array(let more) = member.value {
                own.fields[member.key] = .array(list + more)
            } else {
                own.fields[member.key] = member.value
            }
        }
        parts[slot].choice.message.extras = own
    }

    /// Pieces of a streamed object as one: lists and the text of `data` and `transcript` grow, the rest is replaced.
    private static func joined(_ value: JSONValue?, _ more: JSONValue) -> JSONValue {
        guard case .object(var object)? = value, case .object(let news) = more else { return more }
        for member in news.members {
            switch (object[member.key], member.value) {
            case (.array(let list)?, .array(let other)): object[member.key] = .array(list + other)
            case (.string(let text)?, .string(let other)) where ["data", "transcript"].contains(member.key):
                object[member.key] = .string(text + other)
            case (.some, .null): break
            default: object[member.key] = member.value
            }
        }
        return .object(object)
    }
}

/// Joins streamed pieces of reasoning.
enum ReasoningPieces {
    /// Appends a piece: plain text joins plain text, and an element of `reasoning_details` joins the one before it where
    /// both have the same type and index, since that is one element sent in pieces.
    static func append(_ piece: Reasoning, to list: inout [Reasoning]) {
        // Gemini signs texts, too: such a signature stands alone, since it does not belong to the thoughts before it.
        let signsText = piece.text.isEmpty && piece.signature != nil && piece.origin == .gemini
        guard !signsText, var last = list.popLast() else { return list.append(piece) }
        if last.opaque == nil, piece.opaque == nil, last.signature == nil,
            last.origin == nil || piece.origin == nil || last.origin == piece.origin
        {
            last.text += piece.text
            last.signature = piece.signature
            last.origin = last.origin ?? piece.origin
            list.append(last)
        } else if let joined = ReasoningDetails.joined(last, piece) {
            list.append(joined)
        } else {
            list += [last, piece]
        }
    }
}

/// A whole answer to events, so that it can be given to a client that asked for a stream.
public enum EventReplay {
    /// The events of the answer: each choice in one go, reasoning first, usage last.
    public static func events(of response: ChatResponse) -> [Event] {
        var events: [Event] = [.start(response.identity)]
        for choice in response.choices {
            let number = choice.index
            for reasoning in choice.message.reasoning { events.append(.reasoning(choice: number, reasoning)) }
            let text = choice.message.text
            if !text.isEmpty { events.append(.text(choice: number, text)) }
            if let refusal = choice.message.refusal { events.append(.refusal(choice: number, refusal)) }
            for (index, call) in choice.message.toolCalls.enumerated() {
                var head = call
                head.arguments = ""
                events.append(.toolCall(choice: number, index: index, head))
                if !call.arguments.isEmpty {
                    events.append(.arguments(choice: number, index: index, call.arguments))
                }
            }
            if let audio = choice.audio { events.append(.audio(choice: number, audio)) }
            if let logprobs = choice.logprobs { events.append(.logprobs(choice: number, logprobs)) }
            if !choice.message.extras.fields.isEmpty {
                events.append(.extra(choice: number, choice.message.extras))
            }
            events.append(.finish(choice: number, choice.finish ?? finish(of: choice.message)))
        }
        if !response.usage.isEmpty { events.append(.usage(response.usage)) }
        return events
    }

    private static func finish(of message: Message) -> FinishReason {
        FinishWord.reason(nil, calls: message.toolCalls.first?.isLegacy)
    }
}
