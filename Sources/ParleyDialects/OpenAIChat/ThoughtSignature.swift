// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// Gemini's signature of a tool call, as Google's own OpenAI face carries it:
/// `"extra_content": {"google": {"thought_signature": "…"}}`.
enum ThoughtSignature {
    private static let field = "extra_content"

    /// Takes the signature out of a call's other fields.
    static func take(from extras: inout JSONObject) -> String? {
        guard case .object(var content)? = extras[field], case .object(var google)? = content["google"],
            let signature = google["thought_signature"]?.string
        else { return nil }
        google["thought_signature"] = nil
        content["google"] = google.isEmpty ? nil : .object(google)
        extras[field] = content.isEmpty ? nil : .object(content)
        return signature
    }

    /// A call's other fields, with its signature where it is Gemini's.
    static func fields(of call: ToolCall) -> JSONObject {
        var extras = call.extras.of(.openAIChat)
        guard let signature = call.signature, call.origin == .gemini else { return extras }
        var content = extras[field]?.object ?? [:]
        var google = content["google"]?.object ?? [:]
        google["thought_signature"] = .string(signature)
        content["google"] = .object(google)
        extras[field] = .object(content)
        return extras
    }
}

extension ToolCall {
    /// Sets the fields beside a call's own, the signature among them.
    mutating func take(extras: JSONObject) {
        var extras = extras
        if let signature = ThoughtSignature.take(from: &extras) {
            self.signature = signature
            origin = .gemini
        }
        if !extras.isEmpty { self.extras = Extras(.openAIChat, extras) }
    }
}
