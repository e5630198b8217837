// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Reads a whole chat completion, with the tolerances of the stream.
struct WholeDecoder {
    let quirks: Quirks

    func decode(_ body: ByteBuffer) throws(ParleyError) -> ChatResponse {
        let value: JSONValue
        do {
            value = try JSON.parse(body.trimmed)
        } catch {
            if body.looksLikeEvents { return try collect(body) }
            throw ParleyError(.upstreamUnavailable, "The upstream's answer is not JSON.")
        }
        guard let object = value.object else {
            throw UpstreamFailure(value).error(quirks)
        }
        if let failure = UpstreamFailure(embeddedIn: object) { throw failure.error(quirks) }
        let identity = IdentityFields.read(object)
        var response = ChatResponse(identity: identity, choices: [])
        let seed = IdentityFields.seed(identity)
        for (position, value) in (object["choices"]?.array ?? []).enumerated() {
            guard let choice = value.object else { continue }
            response.choices.append(try decode(choice, position: position, seed: seed))
        }
        guard !response.choices.isEmpty else {
            throw ParleyError(.upstreamUnavailable, "The upstream's answer has no choices.")
        }
        WireUsage.merge(from: object, into: &response.usage, quirks: quirks)
        return response
    }

    /// Reads a stream that came where a whole answer was asked for.
    private func collect(_ body: ByteBuffer) throws(ParleyError) -> ChatResponse {
        var decoder = ChatStreamDecoder(quirks: quirks)
        var events: [Event] = []
        try decoder.push(body, into: &events)
        try decoder.finish(into: &events)
        var collector = ChatCollector()
        for event in events { collector.add(event) }
        return collector.response()
    }

    private func decode(
        _ object: JSONObject, position: Int, seed: String
    ) throws(ParleyError) -> ChatResponse.Choice {
        let number = max(0, object["index"]?.int ?? position)
        var message = Message(.assistant, [])
        var fields = object["message"]?.object ?? object["delta"]?.object ?? [:]
        fields["role"] = nil
        message.reasoning = ReasoningFields.take(from: &fields).filter { $0 != Reasoning("") }
        if let content = fields.remove("content") { readContent(content, into: &message) }
        message.refusal = fields.remove("refusal")?.string
        message.name = fields.remove("name")?.string
        message.toolCalls = ToolDeltas.calls(fields.remove("tool_calls"), seed: seed, choice: number)
        if let call = fields.remove("function_call")?.object, message.toolCalls.isEmpty {
            message.toolCalls = [ToolDeltas.legacyCall(call, seed: seed, choice: number)]
        }
        let audio = fields.remove("audio")
        fields.members.removeAll { $0.value.isNull }
        if !fields.isEmpty { message.extras = Extras(.openAIChat, fields) }
        var choice = ChatResponse.Choice(index: number, message: message, finish: nil)
        if let audio, !audio.isNull { choice.audio = audio }
        if let logprobs = object["logprobs"], !logprobs.isNull { choice.logprobs = logprobs }
        switch FinishWord.read(object["finish_reason"]) {
        case .none: break
        case .finish(let reason): choice.finish = FinishWord.reason(reason, calls: message.toolCalls.first?.isLegacy)
        case .failure(let word): throw FinishWord.failure(word)
        }
        return choice
    }

    private func readContent(_ content: JSONValue, into message: inout Message) {
        if content.isNull { return }
        var text = ""
        var thoughts = ""
        var splitter = quirks.inlineThinking ? ThinkSplitter() : nil
        func emit(_ piece: String, _ isThinking: Bool) {
            if isThinking { thoughts += piece } else { text += piece }
        }
        AnswerContent.read(content) { piece, isThinking in
            if isThinking || splitter == nil {
                emit(piece, isThinking)
            } else {
                splitter?.push(piece, emit)
            }
        }
        splitter?.finish(emit)
        if !thoughts.isEmpty { message.reasoning.append(Reasoning(thoughts)) }
        message.content = [.text(text)]
        message.contentIsText = true
    }
}

/// Writes a whole chat completion for a client.
struct WholeEncoder {
    let context: AnswerContext

    func encode(_ response: ChatResponse) -> JSONObject {
        let identity = response.identity
        var object: JSONObject = [
            "id": .string(identity.id.isEmpty ? "chatcmpl-\(context.id)" : identity.id),
            "object": "chat.completion",
            "created": .int(identity.created == 0 ? context.created : identity.created),
            "model": .string(identity.model.isEmpty ? context.model : identity.model),
            "choices": .array(response.choices.map(encode)),
        ]
        if !response.usage.isEmpty {
            var buffer = ByteBuffer()
            WireUsage.write(response.usage, into: &buffer)
            object.members.append(.init("usage", (try? JSON.parse(buffer)) ?? .null))
        }
        object.members += identity.extras.of(.openAIChat).members
        return object
    }

    private func encode(_ choice: ChatResponse.Choice) -> JSONValue {
        let message = choice.message
        var object: JSONObject = ["role": "assistant"]
        let text = message.text
        let hasOther = !message.toolCalls.isEmpty || message.refusal != nil || choice.audio != nil
        let isAbsent = hasOther && text.isEmpty && !message.contentIsText
        object.members.append(.init("content", isAbsent ? .null : .string(text)))
        object.members.append(.init("refusal", message.refusal.map { .string($0) } ?? .null))
        ReasoningFields.put(message.reasoning, into: &object, name: "reasoning_content")
        if let call = message.toolCalls.first, call.isLegacy {
            object.members.append(
                .init("function_call", ["name": .string(call.name), "arguments": .string(call.arguments)]))
        } else if !message.toolCalls.isEmpty {
            object.members.append(.init("tool_calls", .array(message.toolCalls.map(encode))))
        }
        if let audio = choice.audio { object.members.append(.init("audio", audio)) }
        for member in message.extras.of(.openAIChat).members where object[member.key] == nil {
            object.members.append(member)
        }
        let finish = choice.finish ?? FinishWord.reason(nil, calls: message.toolCalls.first?.isLegacy)
        return [
            "index": .int(choice.index), "message": .object(object), "logprobs": choice.logprobs ?? .null,
            "finish_reason": .string(finish.rawValue),
        ]
    }

    private func encode(_ call: ToolCall) -> JSONValue {
        let type = call.isCustom ? "custom" : "function"
        var object: JSONObject = [
            "id": .string(call.id), "type": .string(type),
            type: ["name": .string(call.name), (call.isCustom ? "input" : "arguments"): .string(call.arguments)],
        ]
        object.members += ThoughtSignature.fields(of: call).members
        return .object(object)
    }
}

extension ByteBuffer {
    /// The text without spaces, empty lines or a byte order mark before it: OpenRouter keeps a waiting client's
    /// connection busy with blank lines.
    var trimmed: ByteBuffer {
        var rest = self
        if rest.readableBytesView.starts(with: [0xEF, 0xBB, 0xBF]) { rest.moveReaderIndex(forwardBy: 3) }
        let blank = rest.readableBytesView.prefix { $0 <= 0x20 }.count
        rest.moveReaderIndex(forwardBy: blank)
        return rest
    }

    /// Whether the body is server-sent events.
    var looksLikeEvents: Bool {
        let start = trimmed.readableBytesView.prefix(6)
        return ["data:", "event:", "id:", ":"].contains { start.starts(with: $0.utf8) }
    }
}
