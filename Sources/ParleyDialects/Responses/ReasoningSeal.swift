// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Carries what binds reasoning and calls of other vendors to their origin through a client of Responses, in the one
/// field such clients send back unread: `encrypted_content`.
///
/// The text is `parley.<origin>.{…}`; the ids of items that Parley made begin with `rs_parley_`. Neither may reach an
/// upstream of Responses, which would refuse it.
enum ReasoningSeal {
    static let prefix = "parley."
    static let itemPrefix = "rs_parley_"

    /// What was sealed.
    struct Content: Equatable {
        var origin: DialectID?
        var signature: String?
        var opaque: JSONValue?
        /// The id of the tool call that the signature belongs to; nil where it is the reasoning's own.
        var call: String?
    }

    /// Whether a request has sealed content or items of our own making somewhere.
    static func occurs(in body: ByteBuffer) -> Bool {
        body.contains("\"parley.") || body.contains("\"rs_parley_")
    }

    static func seal(_ content: Content) -> String {
        var object = JSONObject()
        if let signature = content.signature { object["signature"] = .string(signature) }
        if let opaque = content.opaque { object["opaque"] = opaque }
        if let call = content.call { object["call"] = .string(call) }
        return prefix + (content.origin?.name ?? "") + "." + JSON.text(.object(object))
    }

    /// What is in a seal; nil for anything else, such as another vendor's ciphertext.
    static func open(_ text: String) -> Content? {
        guard text.hasPrefix(prefix), let brace = text.firstIndex(of: "{"),
            case .object(let object)? = try? JSON.parse(String(text[brace...]))
        else { return nil }
        let name = text[..<brace].dropFirst(prefix.count).dropLast()
        return Content(
            origin: name.isEmpty ? nil : DialectID(String(name)), signature: object["signature"]?.string,
            opaque: object["opaque"], call: object["call"]?.string)
    }
}

/// A reasoning item, read.
enum ReasoningItem {
    /// What a reader can see of it: the summary's parts, then the content's, with an empty line between two.
    static func text(_ item: JSONObject) -> String {
        texts(item).filter { !$0.isEmpty }.joined(separator: separator)
    }

    /// What stands between two parts.
    static let separator = "\n\n"

    private static func texts(_ item: JSONObject) -> [String] {
        ((item["summary"]?.array ?? []) + (item["content"]?.array ?? [])).map { $0["text"]?.string ?? "" }
    }

    /// An earlier turn's item. What Parley made itself is what it was before; anything else is kept whole.
    static func read(_ item: JSONObject) -> (reasoning: Reasoning, call: ReasoningSeal.Content?) {
        let text = text(item)
        let cipher = item["encrypted_content"]?.string
        if let cipher, let content = ReasoningSeal.open(cipher) {
            let reasoning = Reasoning(
                text, signature: content.signature, opaque: content.opaque, origin: content.origin)
            return content.call == nil ? (reasoning, nil) : (Reasoning(text), content)
        }
        var item = item
        if item["id"]?.string?.hasPrefix(ReasoningSeal.itemPrefix) == true {
            guard cipher != nil else { return (Reasoning(text), nil) }
            // A ciphertext is taken without an id, but not with one of ours.
            item["id"] = nil
        }
        return (Reasoning(text, signature: cipher, opaque: .object(item), origin: .openAIResponses), nil)
    }

    /// The item for a piece of reasoning that an upstream of Responses made; nil for what is of another origin.
    ///
    /// Clients of Chat send a piece back without saying where it is from: its type tells.
    static func replay(_ reasoning: Reasoning) -> JSONObject? {
        guard reasoning.origin == nil || reasoning.origin == .openAIResponses else { return nil }
        if case .object(var item)? = reasoning.opaque, item["type"] == "reasoning" {
            for name in ["format", "index"] { item[name] = nil }
            if item["summary"] == nil { item["summary"] = .array([]) }
            return item
        }
        guard reasoning.origin == .openAIResponses, let cipher = reasoning.signature else { return nil }
        return ["type": "reasoning", "summary": .array(summary(reasoning.text)), "encrypted_content": .string(cipher)]
    }

    /// Text as a summary.
    static func summary(_ text: String) -> [JSONValue] {
        text.isEmpty ? [] : [["type": "summary_text", "text": .string(text)]]
    }
}
