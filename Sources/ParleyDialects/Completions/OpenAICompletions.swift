// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

/// OpenAI's legacy Completions: a prompt in, its continuation out.
public struct OpenAICompletions: Dialect {
    /// What the vendor does differently; for clients there are no quirks.
    let quirks: Quirks
    /// Whether answers come from services that cannot `echo`, so that it is done here.
    let addsEcho: Bool

    /// The dialect as clients speak it.
    public init() {
        quirks = Quirks()
        addsEcho = true
    }

    /// The dialect as a vendor with these quirks speaks it.
    public init(quirks: Quirks) {
        var quirks = quirks
        quirks.lengthField = .maxTokens
        // The lists of known fields are of the chat API.
        quirks.refusesUnknownFields = false
        self.quirks = quirks
        addsEcho = false
    }

    /// `openai-completions`.
    public var id: DialectID { .openAICompletions }

    /// What a request in this dialect loses at an upstream that only chats, and what a chat loses here.
    public var losses: [Loss] {
        [
            Loss("messages", .refused, "Anything but one user turn of text: there are no roles."),
            Loss("tools", .refused, "There are none."),
            Loss("response_format", .refused, "There is none; `text` is left out."),
            Loss("tool_choice", .dropped, "Nothing to choose from."),
            Loss("parallel_tool_calls", .dropped, "Nothing to call."),
            Loss("reasoning_effort", .dropped, "These models do not reason."),
            Loss("top_k", .dropped, "There is none."),
            Loss("messages[].name", .dropped, "The prompt has no speaker."),
            Loss("cache_control", .dropped, "There is none."),
            Loss("prompt", .refused, "Tokens or several prompts, where the upstream only chats."),
            Loss("suffix", .refused, "Where the upstream only chats."),
            Loss("best_of", .refused, "Above 1, where the upstream only chats."),
            Loss("echo", .emulated, "Where the upstream only chats, the prompt is written before the answer."),
            Loss("logprobs", .emulated, "Written in this API's shape, with offsets counted along the answer."),
        ] + Self.chatOnly.map { Loss($0, .dropped, "Only chats have it.") }
    }

    private static let chatOnly = [
        "audio", "function_call", "functions", "metadata", "modalities", "moderation", "prediction",
        "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "safety_identifier", "service_tier",
        "store", "stream_options", "verbosity", "web_search_options",
    ]

    /// Scans a body, without building a tree.
    ///
    /// - Throws: `invalid`, naming the byte at fault.
    public func intake(_ body: ByteBuffer) throws(ParleyError) -> Intake {
        let scan = try Intake.scan(body)
        let intake = Intake(body, scan)
        if intake.stream { intake.includeUsage = OpenAIChat.asksForUsage(scan) }
        return intake
    }

    /// Reads a client's request; what has no neutral meaning goes to `extras`, a prompt that is not one text whole.
    ///
    /// - Throws: `invalid`, naming the field by its path.
    public func decodeRequest(_ body: ByteBuffer) throws(ParleyError) -> ChatRequest {
        let value: JSONValue
        do {
            value = try JSON.parse(body)
        } catch {
            throw OpenAIChat.unreadable(error)
        }
        guard case .object(let object) = value else { throw OpenAIChat.notAnObject }
        return try CompletionsRequest.decode(object)
    }

    /// Writes a request for an upstream. Streams always ask for usage where the vendor's quirks allow it.
    ///
    /// - Throws: `invalid` where something that matters cannot be carried.
    public func encodeRequest(_ request: ChatRequest, dropped: inout [String]) throws(ParleyError) -> ByteBuffer {
        let object = try CompletionsRequest.encode(request, quirks: quirks, dropped: &dropped)
        var buffer = ByteBuffer()
        buffer.writeJSON(.object(object))
        return buffer
    }

    /// Makes a request ready for another API: refuses what only this one has, and says what it leaves unsaid.
    ///
    /// - Throws: `invalid` for several prompts, tokens, `suffix` and `best_of`.
    public func prepareForTranslation(_ request: inout ChatRequest) throws(ParleyError) {
        try CompletionsRequest.prepareForTranslation(&request)
    }

    /// A decoder for one upstream stream.
    public func makeStreamDecoder() -> any StreamDecoder {
        CompletionsStreamDecoder(quirks: quirks)
    }

    /// An encoder for one stream to a client.
    public func makeStreamEncoder(_ context: AnswerContext) -> any StreamEncoder {
        CompletionsStreamEncoder(context, echo: echo(context))
    }

    /// Reads an upstream's whole answer, also when it came as a stream.
    ///
    /// - Throws: the upstream's error where the answer is one; `upstreamUnavailable` where it is unreadable.
    public func decodeWhole(_ body: ByteBuffer) throws(ParleyError) -> ChatResponse {
        try CompletionsWhole.decode(body, quirks: quirks)
    }

    /// Writes a whole answer for a client.
    public func encodeWhole(_ response: ChatResponse, _ context: AnswerContext) -> ByteBuffer {
        CompletionsWhole.encode(response, context, echo: echo(context))
    }

    /// Reads an upstream's error in any shape, as Chat Completions does.
    public func decodeFailure(status: Int, headers: HeaderBlock, body: ByteBuffer) -> ParleyError {
        OpenAIChat().decodeFailure(status: status, headers: headers, body: body)
    }

    /// OpenAI's error envelope.
    public func encodeFailure(_ error: ParleyError) -> ByteBuffer {
        OpenAIChat().encodeFailure(error)
    }

    /// The envelope as the last frame of a stream.
    public func encodeStreamFailure(_ error: ParleyError, into out: inout ByteBuffer) {
        OpenAIChat.writeStreamFailure(error, into: &out)
    }

    /// The prompt that must be written before an answer; empty where none must.
    private func echo(_ context: AnswerContext) -> String {
        guard addsEcho, let body = context.request, body.contains("echo"), let scan = try? JSONScan(body),
            let member = scan.member(named: "echo"), scan.bool(member) == true,
            let prompt = scan.member(named: "prompt")
        else { return "" }
        if let text = scan.string(prompt) { return text }
        return (try? scan.value(prompt))?.array?.first?.string ?? ""
    }
}
