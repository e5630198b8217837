// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Whole completions, read and written.
enum CompletionsWhole {
    static func decode(_ body: ByteBuffer, quirks: Quirks) throws(ParleyError) -> ChatResponse {
        let value: JSONValue
        do {
            value = try JSON.parse(body.trimmed)
        } catch {
            if body.looksLikeEvents { return try collect(body, quirks: quirks) }
            throw ParleyError(.upstreamUnavailable, "The upstream's answer is not JSON.")
        }
        guard let object = value.object else { throw UpstreamFailure(value).error() }
        if let failure = UpstreamFailure(embeddedIn: object) { throw failure.error() }
        var response = ChatResponse(identity: identity(object), choices: [])
        for (position, value) in (object["choices"]?.array ?? []).enumerated() {
            guard let choice = value.object else { continue }
            response.choices.append(try decode(choice, position: position))
        }
        guard !response.choices.isEmpty else {
            throw ParleyError(.upstreamUnavailable, "The upstream's answer has no choices.")
        }
        WireUsage.merge(from: object, into: &response.usage, quirks: quirks)
        return response
    }

    private static func collect(_ body: ByteBuffer, quirks: Quirks) throws(ParleyError) -> ChatResponse {
        var decoder = CompletionsStreamDecoder(quirks: quirks)
        var events: [Event] = []
        try decoder.push(body, into: &events)
        try decoder.finish(into: &events)
        var collector = ChatCollector()
        for event in events { collector.add(event) }
        return collector.response()
    }

    private static func decode(_ object: JSONObject, position: Int) throws(ParleyError) -> ChatResponse.Choice {
        let message = Message(.assistant, text: object["text"]?.string ?? "")
        var choice = ChatResponse.Choice(
            index: max(0, object["index"]?.int ?? position), message: message, finish: nil)
        choice.logprobs = CompletionsLogprobs.decode(object["logprobs"])
        switch FinishWord.read(object["finish_reason"]) {
        case .none: break
        case .finish(let reason): choice.finish = reason
        case .failure(let word): throw FinishWord.failure(word)
        }
        return choice
    }

    /// What an answer calls itself.
    static func identity(_ object: JSONObject) -> AnswerIdentity {
        var identity = IdentityFields.read(object)
        let fields = identity.extras.fields.members.filter { !$0.value.isNull }
        identity.extras = fields.isEmpty ? Extras() : Extras(.openAICompletions, JSONObject(fields))
        return identity
    }

    /// The answer's id: the upstream's where it looks like one of this API.
    static func id(_ identity: AnswerIdentity, _ context: AnswerContext) -> String {
        identity.id.hasPrefix("cmpl-") ? identity.id : "cmpl-\(context.id)"
    }

    /// The finish reason in this API's words, which has none for calls.
    static func word(_ reason: FinishReason) -> String {
        switch reason {
        case .length: "length"
        case .contentFilter: "content_filter"
        case .stop, .toolCalls, .functionCall: "stop"
        }
    }

    static func encode(_ response: ChatResponse, _ context: AnswerContext, echo: String) -> ByteBuffer {
        let identity = response.identity
        var out = ByteBuffer()
        out.writeStaticString("{\"id\":")
        out.writeJSONString(id(identity, context))
        out.writeStaticString(",\"object\":\"text_completion\",\"created\":")
        out.writeString(String(identity.created == 0 ? context.created : identity.created))
        out.writeStaticString(",\"model\":")
        out.writeJSONString(identity.model.isEmpty ? context.model : identity.model)
        out.writeStaticString(",\"choices\":[")
        for (position, choice) in response.choices.enumerated() {
            if position > 0 { out.writeStaticString(",") }
            write(choice, echo: echo, into: &out)
        }
        out.writeStaticString("]")
        if !response.usage.isEmpty {
            out.writeStaticString(",\"usage\":")
            WireUsage.write(response.usage, into: &out)
        }
        for member in identity.extras.of(.openAICompletions).members {
            out.writeStaticString(",")
            out.writeJSONString(member.key)
            out.writeStaticString(":")
            out.writeJSON(member.value)
        }
        out.writeStaticString("}")
        return out
    }

    private static func write(_ choice: ChatResponse.Choice, echo: String, into out: inout ByteBuffer) {
        var offsets = CompletionsLogprobs.Offsets()
        offsets.skip(echo)
        out.writeStaticString("{\"text\":")
        out.writeJSONString(echo + choice.message.text + (choice.message.refusal ?? ""))
        out.writeStaticString(",\"index\":")
        out.writeString(String(choice.index))
        out.writeStaticString(",\"logprobs\":")
        out.writeJSON(choice.logprobs.map { CompletionsLogprobs.encode($0, &offsets) } ?? .null)
        out.writeStaticString(",\"finish_reason\":")
        out.writeJSONString(word(choice.finish ?? .stop))
        out.writeStaticString("}")
    }
}
