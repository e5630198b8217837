// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// What a stream and a whole answer of Cohere have in common.
enum CohereParts {
    /// The objects of a value that is an object in a stream and a list in a whole answer.
    static func list(_ value: JSONValue?) -> [JSONObject] {
        switch value {
        case .object(let object)?: [object]
        case .array(let list)?: list.compactMap(\.object)
        default: []
        }
    }

    /// Citations, for clients of OpenAI's dialect as Cohere wrote them: they have no neutral meaning.
    static func citations(_ list: [JSONValue]) -> Extras {
        Extras(.openAIChat, ["citations": .array(list)])
    }

    /// Why the answer ended.
    ///
    /// - Throws: `upstreamUnavailable` where it broke off.
    static func finish(_ value: JSONValue?) throws(ParleyError) -> FinishReason {
        let word = value?.string ?? ""
        switch word {
        case "MAX_TOKENS": return .length
        case "TOOL_CALL": return .toolCalls
        case "ERROR_TOXIC": return .contentFilter
        case "ERROR", "TIMEOUT", "ERROR_LIMIT", "USER_CANCEL": throw FinishWord.failure(word)
        // COMPLETE, STOP_SEQUENCE, and whatever comes next.
        default: return .stop
        }
    }

    /// Tokens: `tokens` is what the model saw, `billed_units` leaves out what Cohere itself put before the prompt.
    static func usage(_ value: JSONValue?) -> Usage {
        func count(_ value: JSONValue?) -> Int? {
            guard let number = value?.double, number >= 0 else { return nil }
            return Int(exactly: number.rounded(.down))
        }
        let tokens = value?["tokens"]?.object ?? value?["billed_units"]?.object ?? [:]
        var usage = Usage(input: count(tokens["input_tokens"]), output: count(tokens["output_tokens"]))
        // Images are counted beside the text.
        if let images = count(tokens["image_tokens"]), images > 0 {
            usage.input = (usage.input ?? 0).clampedSum(images)
        }
        usage.reasoning = count(tokens["reasoning_tokens"])
        usage.cacheRead = count(value?["cached_tokens"])
        return usage
    }
}

/// Reads a whole answer of Cohere.
enum CohereWholeDecoder {
    static func decode(_ body: ByteBuffer) throws(ParleyError) -> ChatResponse {
        let value: JSONValue
        do {
            value = try JSON.parse(body.trimmed)
        } catch {
            if body.looksLikeEvents { return try collect(body) }
            throw ParleyError(
                .upstreamUnavailable, "The upstream's answer is not JSON (byte \(error.offset): \(error.message)).")
        }
        // An error's `message` is text, an answer's an object.
        guard let message = value["message"]?.object else { throw UpstreamFailure(value).error() }
        let id = value["id"]?.string ?? ""
        var turn = Message(.assistant, [])
        read(message, seed: id.isEmpty ? String(UInt64.random(in: .min ... .max)) : id, into: &turn)
        let reason = try CohereParts.finish(value["finish_reason"])
        let finish = FinishWord.reason(reason, calls: turn.toolCalls.isEmpty ? nil : false)
        return ChatResponse(
            identity: AnswerIdentity(id: id), choices: [.init(index: 0, message: turn, finish: finish)],
            usage: CohereParts.usage(value["usage"]))
    }

    private static func read(_ message: JSONObject, seed: String, into turn: inout Message) {
        var text = ""
        var thoughts = message["tool_plan"]?.string ?? ""
        if let content = message["content"] {
            AnswerContent.read(content) { piece, isThinking in
                if isThinking { thoughts += piece } else { text += piece }
            }
        }
        if !text.isEmpty {
            turn.content = [.text(text)]
            turn.contentIsText = true
        }
        if !thoughts.isEmpty { turn.reasoning = [Reasoning(thoughts)] }
        turn.toolCalls = ToolDeltas.calls(message["tool_calls"], seed: seed, choice: 0)
        if let citations = message["citations"]?.array, !citations.isEmpty {
            turn.extras = CohereParts.citations(citations)
        }
    }

    /// Reads a stream that came where a whole answer was asked for.
    private static func collect(_ body: ByteBuffer) throws(ParleyError) -> ChatResponse {
        var decoder = CohereStreamDecoder()
        var events: [Event] = []
        try decoder.push(body, into: &events)
        try decoder.finish(into: &events)
        var collector = ChatCollector()
        for event in events { collector.add(event) }
        return collector.response()
    }
}
