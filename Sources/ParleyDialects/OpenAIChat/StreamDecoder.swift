// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Reads a chat completion stream as OpenAI and the compatible vendors send it.
///
/// It copes with what was seen in the field: no or early `[DONE]`, comments, CRLF, fields missing or null, usage in any
/// place, reasoning under any name, defective tool deltas, a cumulative `message` beside the delta, the whole answer
/// once more in the last chunk, and errors in the middle of it all.
struct ChatStreamDecoder: StreamDecoder {
    private let quirks: Quirks
    private var frames = ServerSentEvents()
    private var identity: AnswerIdentity?
    private var choices: [ChoiceDecoder] = []
    private var usage = Usage()
    private(set) var isComplete = false

    init(quirks: Quirks) {
        self.quirks = quirks
    }

    mutating func push(_ bytes: ByteBuffer, into events: inout [Event]) throws(ParleyError) {
        guard !isComplete else { return }
        frames.push(bytes)
        while !isComplete, let frame = try frames.next() { try read(frame, into: &events) }
    }

    mutating func finish(into events: inout [Event]) throws(ParleyError) {
        guard !isComplete else { return }
        if let frame = frames.finish() { try read(frame, into: &events) }
        guard !isComplete else { return }
        guard !choices.isEmpty, choices.allSatisfy(\.isFinished) else {
            throw ParleyError(.upstreamUnavailable, "The upstream's stream ended before its answer was complete.")
        }
        isComplete = true
    }

    private mutating func read(_ frame: ServerSentEvents.Frame, into events: inout [Event]) throws(ParleyError) {
        if frame.data.isTerminator { return try end(into: &events) }
        let value: JSONValue
        do {
            value = try JSON.parse(frame.data)
        } catch {
            if frame.event == "error" { throw UpstreamFailure(body: frame.data).error(quirks) }
            if frame.data.isBlank { return }
            throw ParleyError(.upstreamUnavailable, "The upstream sent a stream event that is not JSON.")
        }
        if frame.event == "error" { throw UpstreamFailure(value).error(quirks) }
        guard let chunk = value.object else {
            throw ParleyError(.upstreamUnavailable, "The upstream sent a stream event that is no object.")
        }
        if let failure = UpstreamFailure(embeddedIn: chunk) { throw failure.error(quirks) }
        try read(chunk, into: &events)
    }

    private mutating func end(into events: inout [Event]) throws(ParleyError) {
        guard !choices.isEmpty else {
            throw ParleyError(.upstreamUnavailable, "The upstream's stream ended without an answer.")
        }
        // The terminator says that all is well, also where a vendor forgot the finish reason.
        for index in choices.indices { choices[index].finish(nil, into: &events) }
        isComplete = true
    }

    private mutating func read(_ chunk: JSONObject, into events: inout [Event]) throws(ParleyError) {
        identify(chunk, into: &events)
        for (position, value) in (chunk["choices"]?.array ?? []).enumerated() {
            guard let choice = value.object else { continue }
            let index = slot(max(0, choice["index"]?.int ?? position))
            let isRepeat = quirks.repeatsAnswer && chunk["object"]?.string == "chat.completion"
            try choices[index].read(choice, isRepeat: isRepeat, into: &events)
        }
        var merged = usage
        WireUsage.merge(from: chunk, into: &merged, quirks: quirks)
        if merged != usage {
            usage = merged
            events.append(.usage(merged))
        }
    }

    private mutating func slot(_ number: Int) -> Int {
        if let index = choices.firstIndex(where: { $0.number == number }) { return index }
        var choice = ChoiceDecoder(number: number, quirks: quirks)
        choice.tools.seed = IdentityFields.seed(identity ?? AnswerIdentity())
        choices.append(choice)
        return choices.count - 1
    }

    /// Begins the answer with its first chunk; later chunks may only add fields.
    private mutating func identify(_ chunk: JSONObject, into events: inout [Event]) {
        guard var known = identity else {
            let identity = IdentityFields.read(chunk)
            self.identity = identity
            events.append(.start(identity))
            return
        }
        var news = JSONObject()
        for member in chunk.members where !IdentityFields.isOwn(member.key) && !member.value.isNull {
            if known.extras.fields[member.key] == nil { news.members.append(member) }
        }
        guard !news.isEmpty else { return }
        known.extras.fields.members += news.members
        identity = known
        events.append(.extra(choice: 0, Extras(.openAIChat, news)))
    }
}

/// The top-level fields of an answer.
enum IdentityFields {
    /// Whether a field has a meaning here, or is noise of the transport.
    static func isOwn(_ name: String) -> Bool {
        switch name {
        case "id", "object", "created", "model", "choices", "usage", "error", "base_resp", "obfuscation", "p",
            "x_groq":
            true
        default: false
        }
    }

    static func read(_ object: JSONObject) -> AnswerIdentity {
        var identity = AnswerIdentity(
            id: object["id"]?.string ?? "", model: object["model"]?.string ?? "",
            created: max(0, object["created"]?.int ?? 0))
        let rest = object.members.filter { !isOwn($0.key) }
        if !rest.isEmpty { identity.extras = Extras(.openAIChat, JSONObject(rest)) }
        return identity
    }

    /// What made-up tool call ids start from: the answer's id, or something new where it has none.
    static func seed(_ identity: AnswerIdentity) -> String {
        identity.id.isEmpty ? String(UInt64.random(in: .min ... .max)) : identity.id
    }
}

/// Reads one choice of a stream.
private struct ChoiceDecoder {
    let number: Int
    var tools: ToolDeltas
    private(set) var isFinished = false
    private let quirks: Quirks
    private var thinking: ThinkSplitter?
    private var hasContent = false
    private var thought = UnsignedThought()
    /// The answer so far, kept only where the vendor may repeat it.
    private var answer = ""

    init(number: Int, quirks: Quirks) {
        self.number = number
        self.quirks = quirks
        tools = ToolDeltas(choice: number)
        if quirks.inlineThinking { thinking = ThinkSplitter() }
    }

    mutating func read(_ choice: JSONObject, isRepeat: Bool, into events: inout [Event]) throws(ParleyError) {
        let finish = FinishWord.read(choice["finish_reason"])
        if var delta = choice["delta"]?.object, !isRepeat || !hasContent {
            readDelta(&delta, isLast: finish != .none, into: &events)
        } else if var message = choice["message"]?.object, choice["delta"]?.object == nil, !hasContent {
            // An upstream that does not stream: its one chunk has a message in place of a delta.
            readDelta(&message, isLast: finish != .none, into: &events)
        }
        if let logprobs = choice["logprobs"], !logprobs.isNull, !isRepeat {
            events.append(.logprobs(choice: number, logprobs))
        }
        switch finish {
        case .none: break
        case .finish(let reason): self.finish(reason, into: &events)
        case .failure(let word): throw FinishWord.failure(word)
        }
    }

    /// Ends the choice, once; without a reason the calls it made tell one.
    mutating func finish(_ reason: FinishReason?, into events: inout [Event]) {
        guard !isFinished else { return }
        isFinished = true
        flushThinking(into: &events)
        tools.finish(into: &events)
        events.append(.finish(choice: number, FinishWord.reason(reason, calls: tools.calledLegacy)))
    }

    private mutating func readDelta(_ delta: inout JSONObject, isLast: Bool, into events: inout [Event]) {
        delta["role"] = nil
        readReasoning(&delta, into: &events)
        if let content = delta.remove("content"), !repeatsAnswer(content, isLast: isLast) {
            readContent(content, into: &events)
        }
        if let refusal = delta.remove("refusal")?.string, !refusal.isEmpty {
            hasContent = true
            events.append(.refusal(choice: number, refusal))
        }
        readTools(&delta, into: &events)
        if let audio = delta.remove("audio"), !audio.isNull {
            hasContent = true
            events.append(.audio(choice: number, audio))
        }
        delta.members.removeAll { $0.value.isNull }
        if !delta.isEmpty { events.append(.extra(choice: number, Extras(.openAIChat, delta))) }
    }

    private mutating func readReasoning(_ delta: inout JSONObject, into events: inout [Event]) {
        // The text in this delta that a signature in it signs too.
        var unsigned: Reasoning?
        for piece in ReasoningFields.take(from: &delta) where piece != Reasoning("") {
            hasContent = true
            var addition = thought.addition(piece)
            if addition != piece, let text = unsigned?.text {
                addition.text = text
                events.removeLast()
            }
            events.append(.reasoning(choice: number, addition))
            unsigned = piece.signature == nil && piece.opaque == nil ? piece : nil
        }
    }

    private mutating func readTools(_ delta: inout JSONObject, into events: inout [Event]) {
        if let calls = delta.remove("tool_calls"), !calls.isNull {
            flushThinking(into: &events)
            tools.push(calls, into: &events)
        }
        if let call = delta.remove("function_call"), !call.isNull {
            flushThinking(into: &events)
            tools.pushLegacy(call, into: &events)
        }
        if !tools.isEmpty { hasContent = true }
    }

    private mutating func readContent(_ content: JSONValue, into events: inout [Event]) {
        let number = number
        var pieces: [Event] = []
        var splitter = thinking
        AnswerContent.read(content) { text, isThinking in
            guard !text.isEmpty else { return }
            func emit(_ text: String, _ isThinking: Bool) {
                pieces.append(
                    isThinking ? .reasoning(choice: number, Reasoning(text)) : .text(choice: number, text))
            }
            if isThinking || splitter == nil {
                emit(text, isThinking)
            } else {
                splitter?.push(text, emit)
            }
            hasContent = true
        }
        thinking = splitter
        if quirks.repeatsAnswer {
            for case .text(_, let text) in pieces { answer += text }
        }
        events += pieces
    }

    /// Whether the last chunk's content is the whole answer once more.
    private func repeatsAnswer(_ content: JSONValue, isLast: Bool) -> Bool {
        guard quirks.repeatsAnswer, isLast, !answer.isEmpty, let text = content.string else { return false }
        return text == answer || (text.hasSuffix(answer) && text.utf8.count > answer.utf8.count)
    }

    private mutating func flushThinking(into events: inout [Event]) {
        guard thinking != nil else { return }
        let number = number
        var pieces: [Event] = []
        thinking?.finish { text, isThinking in
            pieces.append(isThinking ? .reasoning(choice: number, Reasoning(text)) : .text(choice: number, text))
        }
        events += pieces
    }
}

extension ByteBuffer {
    /// Whether this is `[DONE]`, in whatever spelling.
    var isTerminator: Bool {
        guard readableBytes <= 16 else { return false }
        var text = String(buffer: self).lowercased()
        text.removeAll { $0 == " " || $0 == "\r" || $0 == "\n" || $0 == "\"" }
        return text == "[done]"
    }

    /// Whether there is nothing but spaces.
    var isBlank: Bool { readableBytesView.allSatisfy { $0 <= 0x20 } }
}
