// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

extension OpenAIChat {
    /// What OpenAI documents for chats and the neutral form has no member for.
    public var ownFields: [String] {
        [
            "audio", "logit_bias", "metadata", "modalities", "moderation", "prediction", "prompt_cache_key",
            "prompt_cache_options", "prompt_cache_retention", "safety_identifier", "service_tier", "store",
            "stream_options", "verbosity", "web_search_options",
        ]
    }
}

extension OpenAIResponses {
    /// What Responses and no other dialect have, and what they share with Chat, in Chat's words.
    public var ownFields: [String] {
        ["context_management", "max_tool_calls", "truncation", "verbosity"] + ResponsesExtras.shared.sorted()
    }
}

extension OpenAICompletions {
    /// What is left of it for a chat; the rest is refused or emulated.
    public var ownFields: [String] { ["logit_bias"] }
}

extension Anthropic {
    /// The fields of the Messages API without a neutral meaning; of `metadata` what is not `user_id`, of `thinking` and
    /// `output_config` what is neither a budget, an effort nor a format.
    public var ownFields: [String] {
        [
            "container", "context_management", "inference_geo", "mcp_servers", "metadata", "output_config",
            "service_tier", "speed", "thinking",
        ]
    }
}

extension Gemini {
    /// The fields of the Gemini API without a neutral meaning; of `generationConfig` and `toolConfig` the members that
    /// have none.
    public var ownFields: [String] {
        ["cachedContent", "generationConfig", "labels", "safetySettings", "serviceTier", "store", "toolConfig"]
    }
}
