// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// Elements of `reasoning_details`: reasoning with what binds it to its origin, on its way through a client of OpenAI's
/// dialect.
///
/// The shape is OpenRouter's: `type`, `format`, `index`, and `text` with `signature`, or encrypted `data`. An element
/// of a known format becomes the origin's own reasoning; any other is kept whole. What an element of that shape cannot
/// say, the origin's own object, is in a member of its own, `opaque`, and only where it does not follow from the rest.
enum ReasoningDetails {
    private static let formats: [(name: String, origin: DialectID)] = [
        ("anthropic-claude-v1", .anthropic), ("google-gemini-v1", .gemini),
        ("openai-responses-v1", .openAIResponses), ("amazon-bedrock-v1", .bedrock),
    ]

    /// The dialect whose reasoning an element is; nil where its format is unknown.
    static func origin(_ element: JSONValue) -> DialectID? {
        guard let format = element["format"]?.string else { return nil }
        return formats.first { $0.name == format }?.origin
    }

    private static func format(_ origin: DialectID?) -> String? {
        formats.first { $0.origin == origin }?.name
    }

    // MARK: - Reading

    /// The reasoning that an element is.
    static func reasoning(_ element: JSONValue) -> Reasoning {
        let text = element["text"]?.string ?? element["summary"]?.string ?? ""
        let isEncrypted = element["type"]?.string == "reasoning.encrypted"
        let signature = element["signature"]?.string ?? (isEncrypted ? element["data"]?.string : nil)
        if let origin = origin(element), signature != nil || element["opaque"] != nil {
            let opaque = element["opaque"] ?? (isEncrypted ? object(origin, element) : nil)
            return Reasoning(text, signature: signature, opaque: opaque, origin: origin)
        }
        if element["type"] == "redacted_thinking", let data = element["data"]?.string {
            // Claude's own block, from clients that keep it as Anthropic wrote it.
            return Reasoning("", signature: data, opaque: element, origin: .anthropic)
        }
        if let signature, element == unnamed(text, signature) { return Reasoning(text, signature: signature) }
        return Reasoning(text, signature: signature, opaque: element)
    }

    /// The origin's own object for encrypted reasoning; nil where there is none beside the ciphertext.
    private static func object(_ origin: DialectID, _ element: JSONValue) -> JSONValue? {
        guard let data = element["data"] else { return nil }
        if origin == .anthropic { return ["type": "redacted_thinking", "data": data] }
        guard origin == .openAIResponses else { return nil }
        var item: JSONObject = ["type": "reasoning"]
        if let id = element["id"], !id.isNull { item["id"] = id }
        item["summary"] = []
        item["encrypted_content"] = data
        return .object(item)
    }

    // MARK: - Writing

    /// The element for a piece of reasoning; nil where its text says all there is.
    ///
    /// - Parameter index: the element's number, by which clients join pieces.
    static func element(_ reasoning: Reasoning, index: Int) -> JSONValue? {
        guard let format = format(reasoning.origin) else {
            if let opaque = reasoning.opaque { return opaque }
            return reasoning.signature.map { unnamed(reasoning.text, $0) }
        }
        guard reasoning.signature != nil || reasoning.opaque != nil else { return nil }
        let text = reasoning.text
        var element = JSONObject()
        if let signature = reasoning.signature {
            let isEncrypted = reasoning.opaque != nil || (text.isEmpty && reasoning.origin == .gemini)
            element["type"] = isEncrypted ? "reasoning.encrypted" : "reasoning.text"
            if !isEncrypted || !text.isEmpty { element["text"] = .string(text) }
            element[isEncrypted ? "data" : "signature"] = .string(signature)
        } else {
            element["type"] = "reasoning.summary"
            element["summary"] = .string(text)
        }
        if let id = reasoning.opaque?["id"] { element["id"] = id }
        element["format"] = .string(format)
        element["index"] = .int(index)
        if let opaque = reasoning.opaque, self.reasoning(.object(element)).opaque != opaque {
            element["opaque"] = opaque
        }
        return .object(element)
    }

    /// The element for signed reasoning of which nobody knows the origin.
    private static func unnamed(_ text: String, _ signature: String) -> JSONValue {
        ["type": "reasoning.text", "text": .string(text), "signature": .string(signature)]
    }

    // MARK: - Streams

    /// One element sent in pieces, as far as these two belong together; nil where they do not.
    static func joined(_ last: Reasoning, _ piece: Reasoning) -> Reasoning? {
        guard case .object(var object)? = last.opaque else { return nil }
        if piece.opaque == nil, piece.text.isEmpty, let signature = piece.signature, let origin = piece.origin,
            last.signature == nil, last.origin == nil, Self.origin(.object(object)) == origin,
            object["type"] == "reasoning.text"
        {
            return Reasoning(last.text, signature: signature, origin: origin)
        }
        guard case .object(let news)? = piece.opaque, let index = object["index"], index == news["index"],
            object["type"] == news["type"],
            object["id"] == nil || news["id"] == nil || object["id"] == news["id"]
        else { return nil }
        for member in news.members where !member.value.isNull {
            if ["text", "summary", "data"].contains(member.key), let text = object[member.key]?.string,
                let more = member.value.string
            {
                object[member.key] = .string(text + more)
            } else {
                object[member.key] = member.value
            }
        }
        return reasoning(.object(object))
    }
}

/// The text of a turn's reasoning since its last signature: a signature that comes behind its text signs all of it, and
/// a client that keeps only `reasoning_details` must find the text there.
struct UnsignedThought {
    private var text = ""

    /// What to write for a piece in a stream: a signed one is given the text that came before it.
    mutating func complete(_ piece: Reasoning) -> Reasoning {
        guard piece.opaque == nil else {
            text = ""
            return piece
        }
        // Gemini signs texts, too: such a signature stands alone.
        if piece.origin == .gemini, piece.text.isEmpty { return piece }
        guard piece.signature != nil else {
            text += piece.text
            return piece
        }
        var whole = piece
        whole.text = text + piece.text
        text = ""
        return whole
    }

    /// What a piece in a stream adds: a signed one may say the text before it once more.
    mutating func addition(_ piece: Reasoning) -> Reasoning {
        guard piece.opaque == nil else {
            text = ""
            return piece
        }
        // Gemini signs texts, too: such a signature stands alone.
        if piece.origin == .gemini, piece.text.isEmpty { return piece }
        guard piece.signature != nil else {
            text += piece.text
            return piece
        }
        defer { text = "" }
        guard !text.isEmpty, piece.text == text else { return piece }
        var addition = piece
        addition.text = ""
        return addition
    }
}
