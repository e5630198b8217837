// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// Request fields that only OpenAI's two dialects have.
enum ResponsesExtras {
    /// Fields that mean the same in both.
    static let shared: Set<String> = [
        "metadata", "service_tier", "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options",
        "safety_identifier", "moderation",
    ]

    /// What matters to the gateway or to the answer's form only, and so is no loss at another vendor.
    private static let ours: Set<String> = [
        "store", "include", "stream_options", "reasoning", "previous_response_id", "conversation", "background",
    ]

    /// What a chat request can say of these fields.
    static func forChat(_ fields: JSONObject, dropped: inout [String]) -> JSONObject {
        var extras = JSONObject()
        for member in fields.members {
            if shared.contains(member.key) {
                extras.members.append(member)
            } else if member.key == "text" {
                if let verbosity = member.value["verbosity"] { extras["verbosity"] = verbosity }
            } else if !ours.contains(member.key), member.value != "disabled", !dropped.contains(member.key) {
                dropped.append(member.key)
            }
        }
        return extras
    }

    /// The fields that a chat request cannot say.
    static let lossesInChat = [
        Loss("truncation", .dropped, "Chat Completions never leaves turns out by itself."),
        Loss("max_tool_calls", .dropped, "The vendor's own tools are not there."),
        Loss("context_management", .dropped, "Chat Completions does not compact a conversation."),
    ]
}
