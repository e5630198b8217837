// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// What a vendor does differently from OpenAI, as data: one value per catalogue row.
///
/// What the tolerant decoder copes with everywhere (missing terminators, comments, CRLF, defective tool deltas, every
/// error shape, every name of the reasoning field, every place of usage) needs no entry here.
public struct Quirks: Sendable, Equatable {
    /// Whose table says what an error's code means.
    public enum ErrorCodes: String, Sendable, CaseIterable {
        /// OpenAI's words, and what others say in their place.
        case openAI = "openai"
        /// Zhipu's numbers, as text.
        case zhipu
    }

    /// The field for the answer's length.
    public enum LengthField: Sendable, Equatable {
        /// Whatever the client used.
        case asSent
        /// `max_tokens` only.
        case maxTokens
        /// `max_completion_tokens` only.
        case maxCompletionTokens
    }

    /// False where `stream_options` is refused; usage then comes unasked or not at all.
    public var streamOptions = true
    /// The field for the answer's length.
    public var lengthField = LengthField.asSent
    /// Top-level fields under another name, e.g. `seed` as `random_seed`.
    public var renamedFields: [String: String] = [:]
    /// Top-level fields the vendor refuses and that do not matter: left out, and said in `x-parley-dropped`.
    public var droppedFields: Set<String> = []
    /// True where only OpenAI's own documented fields may be sent.
    public var refusesUnknownFields = false
    /// Further top-level fields the vendor knows, where it refuses unknown ones.
    public var knownFields: Set<String> = []
    /// False where the deprecated `functions` and `function_call` are unknown: they are sent as tools.
    public var legacyFunctions = true
    /// True where `developer` is unknown and must be sent as `system`.
    public var developerIsSystem = false
    /// True where tool call ids must be exactly nine letters or digits.
    public var shortToolIDs = false
    /// How `tool_choice: required` is called, where not so.
    public var requiredToolChoice: String?
    /// True where `n` must be one.
    public var singleChoice = false
    /// False where earlier turns must not carry `reasoning_content` back.
    public var acceptsReasoningBack = true
    /// False where `reasoning_details` of another vendor's model must not be sent: its signatures mean nothing there.
    public var foreignReasoning = true
    /// The field for the reasoning of earlier turns.
    public var reasoningField = "reasoning_content"
    /// True where `cache_control` may stand on content parts and tools.
    public var cacheControl = false
    /// True where a tool call's `extra_content` must carry Gemini's signature back.
    public var thoughtSignatures = false
    /// True where a document is a part of type `document_url`, with an address or a `data:` URL.
    public var documentURLs = false
    /// True where reasoning arrives inline as `<think>…</think>` and must be told apart from the answer.
    public var inlineThinking = false
    /// True where every chunk also carries the whole `message` so far; only the delta counts.
    public var cumulativeMessage = false
    /// True where a stream's last chunk repeats the whole answer.
    public var repeatsAnswer = false
    /// True where `completion_tokens` does not contain the reasoning tokens.
    public var reasoningOutsideOutput = false
    /// True where answers are decoded and written anew, since clients of OpenAI could not read them as they are.
    public var rewritesAnswers = false
    /// True where requests are decoded and written anew, since top-level changes are not enough.
    public var rewritesRequests = false

    /// True where the legacy `/completions` is offered too, for clients that speak it.
    public var completions = false
    /// True where Responses are offered too, for clients that speak them.
    public var responses = false
    /// Whose error codes the vendor has.
    public var errorCodes = ErrorCodes.openAI
    /// How the vendor's embeddings differ, or that it has none.
    public var embeddings = EmbeddingStyle.openAI

    /// No difference from OpenAI.
    public init() {}
}
