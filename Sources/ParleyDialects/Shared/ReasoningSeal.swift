// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Carries what binds reasoning and calls of other vendors to their origin through a client, in the one field that
/// clients send back unread: `encrypted_content` of Responses, `thoughtSignature` of Gemini.
///
/// The text is `parley.<origin>.{…}`, in base64 for Gemini, whose field holds bytes; the ids of items that Parley made
/// for Responses begin with `rs_parley_`. None of it may reach an upstream, which would refuse it.
enum ReasoningSeal {
    static let prefix = "parley."
    static let itemPrefix = "rs_parley_"

    /// What base64 of `prefix` begins with.
    private static let bytesPrefix = "cGFybGV5L"

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

    /// Whether a request has a seal in a field for bytes.
    static func occursAsBytes(in body: ByteBuffer) -> Bool { body.contains("\"cGFybGV5L") }

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

    /// A seal for a field that holds bytes.
    static func sealAsBytes(_ content: Content) -> String { Base64Text.encode(seal(content)) }

    /// What is in a seal from a field that holds bytes; nil for anything else.
    static func openBytes(_ text: String) -> Content? {
        guard text.hasPrefix(bytesPrefix) else { return nil }
        return Base64Text.decode(text).flatMap(open)
    }
}
