// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

extension Bedrock {
    /// What Converse cannot say.
    public var losses: [Loss] { Self.losses }

    /// OpenAI's fields that mean nothing to Converse; what only another API knows fares the same.
    private static let unknown = [
        "audio", "metadata", "modalities", "moderation", "prediction", "prompt_cache_key", "prompt_cache_options",
        "prompt_cache_retention", "safety_identifier", "service_tier", "store", "verbosity", "web_search_options",
    ]

    private static let losses: [Loss] = declared + unknown.map { Loss($0, .dropped, "Converse has none.") }

    private static let declared: [Loss] = [
        Loss("frequency_penalty", .dropped, "Converse has none."),
        Loss("presence_penalty", .dropped, "Converse has none."),
        Loss("logprobs", .dropped, "Converse reports none."),
        Loss("top_logprobs", .dropped, "Converse reports none."),
        Loss("logit_bias", .dropped, "Converse has none."),
        Loss("seed", .dropped, "Converse has none."),
        Loss("user", .dropped, "Converse has no place for it."),
        Loss("parallel_tool_calls", .dropped, "`false` cannot be said; models call as many tools as they like."),
        Loss("tool_choice", .dropped, "`required` and a named tool, where the model cannot be made to call one."),
        Loss("top_k", .dropped, "Models that know none, and Claude while it thinks."),
        Loss("temperature", .dropped, "Claude while it thinks."),
        Loss("top_p", .dropped, "Claude while it thinks, and beside a temperature from version 4.5 on."),
        Loss(
            "reasoning_effort", .dropped,
            "Models that cannot be told; Claude where a tool is demanded, where `max_tokens` leaves no room, and in a "
                + "tool loop that began without thinking."),
        Loss("messages[].reasoning_content", .dropped, "Reasoning that Claude did not sign, and all for other models."),
        Loss("image_url.detail", .dropped, "Images have no level of detail."),
        Loss("messages[].name", .dropped, "Turns have no names."),
        Loss("cache_control", .dropped, "Models without a prompt cache; Nova's tools."),
        Loss("n", .refused, "Above 1: there is one choice."),
        Loss("messages[].content[].image_url", .refused, "A web address: Bedrock does not fetch; an unknown format."),
        Loss("messages[].content[].file", .refused, "A file by id or web address; an unknown format."),
        Loss("messages[].content[].input_audio", .refused, "In a tool's result; an unknown format."),
        Loss("messages[].tool_calls[].function.arguments", .refused, "Arguments that are no JSON object."),
        Loss("messages", .refused, "No turn with anything in it."),
        Loss("tools", .refused, "Tools that only another API has."),
        Loss("response_format", .emulated, "An instruction in the system prompt; native for Claude from 4.5 on."),
        Loss(
            "tool_choice: none", .emulated,
            "No tools are sent; where earlier turns have calls, Bedrock wants them, and an instruction "
                + "forbids their use."
        ),
        Loss("messages[0]", .emulated, "A conversation that the assistant begins gets a short turn before it."),
        Loss("messages[].role: system", .emulated, "Later system turns are moved into the system prompt."),
        Loss("messages[].is_error", .emulated, "A sentence before the result, where the model knows no status."),
        Loss(
            "messages[].content[].file.filename", .emulated,
            "Only letters, digits, spaces, hyphens and brackets are kept, and no name comes twice."),
        Loss("messages[].tool_call_id", .emulated, "An id that Bedrock refuses is replaced by one made from it."),
    ]
}
