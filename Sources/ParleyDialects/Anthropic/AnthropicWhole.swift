// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Whole answers, read and written.
enum AnthropicWhole {
    /// The member of an answer's extras that holds blocks only Anthropic knows, where they came in a stream.
    static let blocks = "blocks"

    static func decode(_ body: ByteBuffer) throws(ParleyError) -> ChatResponse {
        let value: JSONValue
        do {
            value = try JSON.parse(body.trimmed)
        } catch {
            if body.looksLikeEvents { return try collect(body) }
            throw ParleyError(.upstreamUnavailable, "The upstream's answer is not JSON (at byte \(error.offset)).")
        }
        guard let object = value.object else {
            throw ParleyError(.upstreamUnavailable, "The upstream's answer is no object.")
        }
        guard object["type"] != "error", object["error"]?.object == nil else {
            throw AnthropicFailure.inStream(body)
        }
        guard let content = object["content"]?.array else {
            throw ParleyError(.upstreamUnavailable, "The upstream's answer has no content.")
        }
        return try response(object, content)
    }

    private static func response(_ object: JSONObject, _ content: [JSONValue]) throws(ParleyError) -> ChatResponse {
        var turn = TurnBuilder(.assistant, isAnswer: true)
        for (index, block) in content.enumerated() {
            do throws(ParleyError) {
                try turn.add(BlockReader(block, "content[\(index)]"))
            } catch {
                // A peer's fault is not the client's.
                throw ParleyError(
                    .upstreamUnavailable, "The upstream's answer has an unreadable block: \(error.message)")
            }
        }
        var message = turn.finished()
        let extras = StopReason.extras(object)
        for member in extras.members { message.extras.fields[member.key] = member.value }
        if !message.extras.fields.isEmpty { message.extras.dialect = .anthropic }
        let finish = StopReason.read(object["stop_reason"]?.string, calls: !message.toolCalls.isEmpty)
        if finish == .contentFilter, let why = object["stop_details"]?["explanation"]?.string, !why.isEmpty {
            message.refusal = why
        }
        var usage = AnthropicUsage()
        usage.merge(object["usage"])
        let choice = ChatResponse.Choice(index: 0, message: message, finish: finish)
        return ChatResponse(identity: identity(object), choices: [choice], usage: usage.neutral)
    }

    /// Reads a stream that came where a whole answer was asked for.
    private static func collect(_ body: ByteBuffer) throws(ParleyError) -> ChatResponse {
        var decoder = AnthropicStreamDecoder()
        var events: [Event] = []
        try decoder.push(body, into: &events)
        try decoder.finish(into: &events)
        var collector = ChatCollector()
        for event in events { collector.add(event) }
        return collector.response()
    }

    /// What an answer calls itself; members with no neutral meaning are kept.
    static func identity(_ message: JSONObject) -> AnswerIdentity {
        var identity = AnswerIdentity(id: message["id"]?.string ?? "", model: message["model"]?.string ?? "")
        let own = [
            "id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "stop_details", "usage",
            "container", "context_management",
        ]
        let rest = message.members.filter { !own.contains($0.key) && !$0.value.isNull }
        if !rest.isEmpty { identity.extras = Extras(.anthropic, JSONObject(rest)) }
        return identity
    }

    // MARK: - Writing

    static func encode(_ response: ChatResponse, _ context: AnswerContext) -> JSONObject {
        let identity = response.identity
        let choice = response.choices.first { $0.index == 0 } ?? response.choices.first
        let message = choice?.message ?? Message(.assistant, [])
        let own = message.extras.of(.anthropic)
        let finish = choice?.finish ?? (message.toolCalls.isEmpty ? .stop : .toolCalls)
        var usage = ByteBuffer()
        AnthropicUsage.write(response.usage, hasDetails: true, into: &usage)
        var object: JSONObject = [
            "id": .string(id(identity, context)), "type": "message", "role": "assistant",
            "model": .string(identity.model.isEmpty ? context.model : identity.model),
            "content": .array(content(message)),
            "stop_reason": stopReason(finish, own), "stop_sequence": own["stop_sequence"] ?? .null,
        ]
        for name in ["stop_details", "container", "context_management"] {
            if let value = own[name] { object[name] = value }
        }
        object["usage"] = (try? JSON.parse(usage)) ?? .null
        object.members += identity.extras.of(.anthropic).members
        return object
    }

    /// The id, where it looks like Anthropic's; else one made of the call's.
    static func id(_ identity: AnswerIdentity, _ context: AnswerContext) -> String {
        identity.id.hasPrefix("msg_") ? identity.id : "msg_\(context.id)"
    }

    /// The stop reason: Anthropic's own word where there is one that means the same.
    static func stopReason(_ reason: FinishReason, _ own: JSONObject) -> JSONValue {
        if let word = own[StopReason.own]?.string, StopReason.read(word, calls: reason == .toolCalls) == reason {
            return .string(word)
        }
        return .string(StopReason.word(reason))
    }

    /// The blocks of an answer: as they came where that is known, else reasoning, text, the server's blocks, calls.
    private static func content(_ message: Message) -> [JSONValue] {
        let own = message.extras.of(.anthropic)
        var lists: [Character: [JSONValue?]] = ["r": message.reasoning.map(block), "c": text(message, own)]
        lists["t"] = message.toolCalls.map { call in
            var block: JSONObject = [
                "type": "tool_use", "id": .string(call.id), "name": .string(call.name),
                "input": .object(AnthropicTurnEncoder.input(call)),
            ]
            block.members += call.extras.of(.anthropic).members
            return .object(block)
        }
        var blocks = AnthropicTurnEncoder.ordered(lists, own, between: own[Self.blocks]?.array ?? [])
        if let refusal = message.refusal, !refusal.isEmpty, own["stop_details"] == nil {
            blocks.append(["type": "text", "text": .string(refusal)])
        }
        return blocks
    }

    private static func text(_ message: Message, _ own: JSONObject) -> [JSONValue?] {
        let extras = own[AnthropicTurnDecoder.partExtras]?.array ?? []
        var isFirst = true
        return message.content.enumerated().map { index, part -> JSONValue? in
            if case .opaque(.anthropic, let value) = part { return value }
            guard case .text(let text) = part, !text.isEmpty else { return nil }
            var block: JSONObject = ["type": "text", "text": .string(text)]
            if index < extras.count, let fields = extras[index].object { block.members += fields.members }
            if isFirst, let citations = own["citations"], block["citations"] == nil { block["citations"] = citations }
            isFirst = false
            return .object(block)
        }
    }

    /// A piece of reasoning: whoever wrote it, a client may read it.
    private static func block(_ reasoning: Reasoning) -> JSONValue? {
        if let own = AnthropicTurnEncoder.block(reasoning) { return own }
        guard !reasoning.text.isEmpty else { return nil }
        return ["type": "thinking", "thinking": .string(reasoning.text), "signature": ""]
    }
}
