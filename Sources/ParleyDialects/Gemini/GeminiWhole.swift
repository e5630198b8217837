// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Whole answers, and the parts of answers that whole ones and streams have in common.
enum GeminiWhole {
    /// Reads a whole answer; one that came as an array is put together.
    static func decode(_ body: ByteBuffer) throws(ParleyError) -> ChatResponse {
        var events: [Event] = []
        if let object = (try? JSON.parse(body.trimmed))?.object {
            var reader = GeminiAnswerReader()
            try reader.read(object, into: &events)
            reader.end(into: &events)
        } else {
            var decoder = GeminiStreamDecoder()
            try decoder.push(body, into: &events)
            try decoder.finish(into: &events)
        }
        var collector = ChatCollector()
        for event in events { collector.add(event) }
        let response = collector.response()
        guard !response.choices.isEmpty else {
            throw ParleyError(.upstreamUnavailable, "The upstream's answer has no candidates.")
        }
        return response
    }

    /// Writes a whole answer.
    static func encode(_ response: ChatResponse, _ context: AnswerContext) -> JSONObject {
        let identity = response.identity
        var object: JSONObject = ["candidates": .array(response.choices.map(encode))]
        if !response.usage.isEmpty { object.members.append(.init("usageMetadata", GeminiUsage.write(response.usage))) }
        object.members.append(
            .init("modelVersion", .string(identity.model.isEmpty ? context.model : identity.model)))
        object.members.append(.init("responseId", .string(identity.id.isEmpty ? context.id : identity.id)))
        object.members += identity.extras.of(.gemini).members
        return object
    }

    private static func encode(_ choice: ChatResponse.Choice) -> JSONValue {
        let message = choice.message
        var parts: [JSONObject] = []
        for reasoning in message.reasoning where !reasoning.text.isEmpty || reasoning.origin != .gemini {
            if let part = part(of: reasoning) { parts.append(part) }
        }
        if !message.text.isEmpty { parts.append(["text": .string(message.text)]) }
        for reasoning in message.reasoning where reasoning.text.isEmpty && reasoning.origin == .gemini {
            if let part = part(of: reasoning) { parts.append(part) }
        }
        if let refusal = message.refusal, !refusal.isEmpty { parts.append(["text": .string(refusal)]) }
        if let audio = choice.audio { parts += self.parts(ofAudio: audio) }
        let (others, fields) = split(message.extras)
        parts += others
        parts += message.toolCalls.map(part)
        var object: JSONObject = [
            "content": ["parts": .array(parts.map { .object($0) }), "role": "model"],
            "finishReason": .string(GeminiFinish.word(choice.finish ?? .stop)), "index": .int(choice.index),
        ]
        if let logprobs = choice.logprobs, let result = GeminiLogprobs.write(logprobs) {
            object.members.append(.init("logprobsResult", result))
        }
        object.members += fields.members
        return .object(object)
    }

    // MARK: - Parts

    /// A thought, or the signature of a text on an empty part behind it. Another vendor's signature is sealed, on a
    /// thought, so that it comes back with it.
    static func part(of reasoning: Reasoning) -> JSONObject? {
        var signature = reasoning.signature
        if let origin = reasoning.origin, origin != .gemini, signature != nil || reasoning.opaque != nil {
            signature = ReasoningSeal.sealAsBytes(
                .init(origin: origin, signature: reasoning.signature, opaque: reasoning.opaque))
        } else if reasoning.origin != .gemini {
            signature = nil
        } else if reasoning.text.isEmpty {
            guard let signature else { return nil }
            return ["text": "", "thoughtSignature": .string(signature)]
        }
        guard !reasoning.text.isEmpty || signature != nil else { return nil }
        var part: JSONObject = ["text": .string(reasoning.text), "thought": true]
        if let signature { part.members.append(.init("thoughtSignature", .string(signature))) }
        return part
    }

    static func part(of call: ToolCall) -> JSONObject {
        var arguments = JSONObject()
        if call.isCustom {
            arguments = ["input": .string(call.arguments)]
        } else if !call.arguments.isEmpty {
            arguments = (try? JSON.parse(call.arguments))?.object ?? ["input": .string(call.arguments)]
        }
        var function: JSONObject = ["name": .string(call.name), "args": .object(arguments)]
        if !call.id.isEmpty, !GeminiCallID.isMadeUp(call.id) { function.members.append(.init("id", .string(call.id))) }
        var part: JSONObject = ["functionCall": .object(function)]
        if call.origin == .gemini, let signature = call.signature {
            part.members.append(.init("thoughtSignature", .string(signature)))
        }
        return part
    }

    /// Audio as a part of its own; its transcript as text.
    static func parts(ofAudio value: JSONValue) -> [JSONObject] {
        var parts: [JSONObject] = []
        if let text = value["transcript"]?.string, !text.isEmpty { parts.append(["text": .string(text)]) }
        if let data = value["data"]?.string, !data.isEmpty {
            let type = value["mime_type"]?.string ?? "audio/wav"
            parts.append(["inlineData": ["mimeType": .string(type), "data": .string(data)]])
        }
        return parts
    }

    /// Extras as parts and as members of a candidate.
    static func split(_ extras: Extras) -> (parts: [JSONObject], fields: JSONObject) {
        var fields = extras.of(.gemini)
        var parts = (fields.remove("parts")?.array ?? []).compactMap(\.object)
        for image in extras.of(.openAIChat)["images"]?.array ?? [] {
            guard let url = image["image_url"]?["url"]?.string, let data = DataURL(url) else { continue }
            parts.append(["inlineData": ["mimeType": .string(data.mediaType), "data": .string(data.base64)]])
        }
        return (parts, fields)
    }
}
