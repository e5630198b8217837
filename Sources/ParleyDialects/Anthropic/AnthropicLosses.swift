// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

extension Anthropic {
    /// What Anthropic's API cannot be told, and what becomes of it.
    static let declaredLosses: [Loss] = dropped + Loss.unknown(to: "Anthropic's API") + refused + emulated

    private static let dropped: [Loss] = [
        Loss("frequency_penalty", .dropped, "There are no penalties."),
        Loss("presence_penalty", .dropped, "There are no penalties."),
        Loss("logprobs", .dropped, "There are no log probabilities."),
        Loss("top_logprobs", .dropped, "There are no log probabilities."),
        Loss("seed", .dropped, "Sampling has no seed."),
        Loss("stop", .dropped, "A stop sequence of white space only is refused by the API; others are sent."),
        Loss(
            "temperature", .dropped,
            "Left out while a model thinks, unless it is 1, and for models that take no sampling settings (4.7 on)."),
        Loss(
            "top_p", .dropped,
            "Left out beside `temperature` (4.1 on), below 0.95 while a model thinks, and from 4.7 on."),
        Loss("top_k", .dropped, "Left out while a model thinks, and from 4.7 on."),
        Loss(
            "reasoning_effort", .dropped,
            "Left out for models that do not think, beside a tool that must be called, where `max_tokens` leaves no "
                + "room, and in a tool loop whose thinking the client did not keep."),
        Loss("messages[].name", .dropped, "Speakers have no names."),
        Loss(
            "messages[].reasoning_content", .dropped,
            "Reasoning goes back only with Claude's own signature; any other is left out."),
        Loss("image_url.detail", .dropped, "Images have no level of detail."),
        Loss("tools[].function.strict", .dropped, "Left out for models without structured output (before 4.5)."),
        Loss("tool_choice", .dropped, "A choice that only another vendor knows is left to the model."),
        Loss("parallel_tool_calls", .dropped, "Says nothing where there are no tools or none may be called."),
    ]

    private static let refused: [Loss] = [
        Loss("n", .refused, "There is one choice only."),
        Loss("messages[].content[].input_audio", .refused, "Claude hears no audio."),
        Loss("messages[].content[].image_url", .refused, "Only JPEG, PNG, GIF and WebP, inline or by http address."),
        Loss("messages[].content[].file", .refused, "Only PDF, plain text and images, or a file of Anthropic's own."),
        Loss("messages[].content[]", .refused, "A part that only another vendor knows."),
        Loss("tools[]", .refused, "A tool of another vendor's, or one whose schema is no object."),
        Loss(
            "tools[].function.name", .refused, "Names are 1 to 128 letters, digits, underscores and hyphens."),
        Loss("response_format", .refused, "A format that only another vendor knows."),
        Loss("modalities", .refused, "Audio as an answer."),
    ]

    private static let emulated: [Loss] = [
        Loss("max_tokens", .emulated, "Must be said: 4,096 to 16,384 by model, and more than a thinking budget."),
        Loss("messages[].role", .emulated, "A system message behind the first turn becomes text of a user's turn."),
        Loss("messages", .emulated, "Turns of one role in a row are one turn; tool results come first in theirs."),
        Loss("messages[0]", .emulated, "A conversation that an assistant begins gets a user's turn before it."),
        Loss(
            "messages[].tool_calls", .emulated,
            "An id that the API refuses is replaced in the call and its result; arguments that are no object are sent "
                + "as `input`; Gemini's signatures are left out."),
        Loss(
            "response_format", .emulated,
            "Native from 4.5 on; before, and for `json_object`, an instruction in the system prompt."),
        Loss(
            "reasoning_effort", .emulated,
            "A thinking budget of 1,024 to 32,768 tokens, or adaptive thinking with an effort from 4.6 on."),
        Loss("temperature", .emulated, "Above 1 it is 1."),
    ]
}
