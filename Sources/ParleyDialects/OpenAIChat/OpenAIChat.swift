// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

/// OpenAI's Chat Completions, as clients speak it and as OpenAI and the vendors compatible with it answer it.
public struct OpenAIChat: Dialect {
    /// What the vendor does differently; for clients there are no quirks.
    public var quirks: Quirks { box.quirks }

    /// In a box, so that handing a dialect on copies one word.
    private final class Box: Sendable {
        let quirks: Quirks

        init(_ quirks: Quirks) {
            self.quirks = quirks
        }
    }

    private let box: Box

    /// The dialect as a vendor with these quirks speaks it.
    public init(quirks: Quirks = Quirks()) {
        box = Box(quirks)
    }

    /// `openai-chat`.
    public var id: DialectID { .openAIChat }

    /// What OpenAI's chat, or the vendor with these quirks, has no words for.
    public var losses: [Loss] {
        let known: [Loss] = [
            Loss("messages[].content[]", .refused, "A part that only another vendor knows is refused."),
            Loss("messages[].content[].file", .refused, "Files go by id or content; an address alone is refused."),
            Loss("tools", .refused, "A tool that only another vendor has is refused."),
            Loss("response_format", .refused, "A format that only another vendor knows is refused."),
            Loss("tool_choice", .dropped, "A choice that only another vendor knows."),
            Loss("top_k", .dropped, "Sent where the vendor's `known_fields` name it."),
            Loss("reasoning_effort", .dropped, "A budget of no tokens, for which not every model has a word."),
            Loss("reasoning_effort", .emulated, "A budget in tokens is the nearest word."),
            Loss("messages[].is_error", .dropped, "A tool's failure is told by its text alone."),
            Loss("cache_control", .dropped, "Marks of other dialects; sent where the vendor takes `cache_control`."),
            Loss(
                "messages[].content[].image_url", .emulated,
                "What a tool's result shows follows in a user's turn behind the results."),
            Loss("messages[].content[].file", .emulated, "A file of plain text is a text part."),
        ]
        let choices = [Loss("n", .refused, "The vendor gives one choice; n above 1 is refused.")]
        return known + ResponsesExtras.lossesInChat + (quirks.singleChoice ? choices : [])
            + quirks.droppedFields.sorted().map { Loss($0, .dropped, "The vendor refuses it.") }
            + (quirks.acceptsReasoningBack
                ? [] : [Loss("messages[].reasoning_content", .dropped, "The vendor refuses it in earlier turns.")])
    }

    /// Scans and checks a body, without building a tree.
    ///
    /// - Throws: `invalid`, naming the field or the byte at fault.
    public func intake(_ body: ByteBuffer) throws(ParleyError) -> Intake {
        let scan = try Intake.scan(body)
        try OpenAIChat.validate(scan: scan)
        let intake = Intake(body, scan)
        if intake.stream { intake.includeUsage = Self.asksForUsage(scan) }
        intake.conversation = try Self.conversation(scan)
        return intake
    }

    /// Reads a client's request; what only this dialect knows goes to `extras`.
    ///
    /// - Throws: `invalid`, naming the field by its path, in OpenAI's wording.
    public func decodeRequest(_ body: ByteBuffer) throws(ParleyError) -> ChatRequest {
        let value: JSONValue
        do {
            value = try JSON.parse(body)
        } catch {
            throw Self.unreadable(error)
        }
        guard case .object(let object) = value else { throw Self.notAnObject }
        return try ChatRequestDecoder.decode(object)
    }

    /// Writes a request for an upstream, as its quirks want it. Streams always ask for usage.
    ///
    /// - Throws: `invalid` where something that matters cannot be carried.
    public func encodeRequest(_ request: ChatRequest, dropped: inout [String]) throws(ParleyError) -> ByteBuffer {
        var encoder = ChatRequestEncoder(quirks: quirks)
        let object = try encoder.encode(request)
        dropped += encoder.dropped
        var buffer = ByteBuffer()
        buffer.writeJSON(.object(object))
        return buffer
    }

    /// A decoder for one upstream stream.
    public func makeStreamDecoder() -> any StreamDecoder {
        ChatStreamDecoder(quirks: quirks)
    }

    /// An encoder for one stream to a client.
    public func makeStreamEncoder(_ context: AnswerContext) -> any StreamEncoder {
        ChatStreamEncoder(context)
    }

    /// Reads an upstream's whole answer, also when it came as a stream.
    ///
    /// - Throws: the upstream's error where the answer is one; `upstreamUnavailable` where it is unreadable.
    public func decodeWhole(_ body: ByteBuffer) throws(ParleyError) -> ChatResponse {
        try WholeDecoder(quirks: quirks).decode(body)
    }

    /// Writes a whole answer for a client.
    public func encodeWhole(_ response: ChatResponse, _ context: AnswerContext) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeJSON(.object(WholeEncoder(context: context).encode(response)))
        return buffer
    }

    /// Reads an upstream's error in any shape; with a status below 400 the error inside an answer or a stream.
    ///
    /// A refused credential is the gateway's own and becomes a 401 of type `authentication_error`.
    public func decodeFailure(status: Int, headers: HeaderBlock, body: ByteBuffer) -> ParleyError {
        var failure = UpstreamFailure(body: body)
        // In an answer with status 200 the error itself may say the status it would have had.
        if status >= 400 { failure.status = status }
        var error = failure.error(quirks)
        error.retryAfter = RetryAfter.seconds(headers, now: RetryAfter.now())
        return error
    }

    /// OpenAI's error envelope; an empty `code` is written as null. A relayed body is passed on as it is.
    public func encodeFailure(_ error: ParleyError) -> ByteBuffer {
        if let relayed = error.relayed { return ByteBuffer(bytes: relayed.body) }
        var buffer = ByteBuffer()
        FailureEnvelope(error).write(into: &buffer)
        return buffer
    }

    /// The envelope as the last frame of a stream.
    public func encodeStreamFailure(_ error: ParleyError, into out: inout ByteBuffer) {
        Self.writeStreamFailure(error, into: &out)
    }

    /// The envelope as a frame.
    static func writeStreamFailure(_ error: ParleyError, into out: inout ByteBuffer) {
        out.writeStaticString("data: ")
        FailureEnvelope(error).write(into: &out)
        out.writeStaticString("\n\n")
    }
}

extension OpenAIChat {
    /// Whether a request asks for usage at the end of its stream.
    static func asksForUsage(_ scan: JSONScan) -> Bool {
        guard let options = scan.member(named: "stream_options"), let value = try? scan.value(options) else {
            return false
        }
        return value["include_usage"]?.bool ?? false
    }

    private static func conversation(_ scan: JSONScan) throws(ParleyError) -> String? {
        guard let member = scan.member(named: "conversation_id"), !scan.isNull(member) else { return nil }
        guard let id = scan.string(member) else {
            let value = (try? scan.value(member)) ?? .null
            throw RequestFault.type("conversation_id", expected: "a string", got: value)
        }
        return id
    }

    /// The failure for a body that is not JSON.
    static func unreadable(_ error: JSONError) -> ParleyError {
        ParleyError(
            .invalid,
            "We could not parse the JSON body of your request: \(error.message) (at byte \(error.offset)).", code: "")
    }

    /// The failure for a body that is JSON but no object.
    static var notAnObject: ParleyError {
        ParleyError(.invalid, "Invalid body: expected a JSON object.", code: "invalid_type")
    }
}
