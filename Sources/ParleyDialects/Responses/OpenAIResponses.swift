// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

/// OpenAI's Responses, as clients speak it and as OpenAI and the vendors that took it over answer it.
public struct OpenAIResponses: Dialect {
    /// The dialect.
    public init() {}

    /// `openai-responses`.
    public var id: DialectID { .openAIResponses }

    /// What an upstream of Responses cannot be told.
    public var losses: [Loss] { Self.declaredLosses }

    /// Scans a body and checks what a relayed request is not checked for later.
    ///
    /// - Throws: `invalid`, naming the field or the byte at fault.
    public func intake(_ body: ByteBuffer) throws(ParleyError) -> Intake {
        let scan: JSONScan
        do {
            scan = try JSONScan(body)
        } catch {
            throw OpenAIChat.unreadable(error)
        }
        try Self.check(scan)
        let intake = Intake(body, scan)
        intake.includeUsage = true
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
            throw OpenAIChat.unreadable(error)
        }
        guard case .object(let object) = value else { throw OpenAIChat.notAnObject }
        return try ResponsesRequestDecoder.decode(object)
    }

    /// Writes a request for an upstream. What comes from another dialect is not stored there, and its reasoning comes
    /// back encrypted.
    ///
    /// - Throws: `invalid` where something that matters cannot be carried.
    public func encodeRequest(_ request: ChatRequest, dropped: inout [String]) throws(ParleyError) -> ByteBuffer {
        var encoder = ResponsesRequestEncoder()
        let object = try encoder.encode(request)
        for name in encoder.dropped where !dropped.contains(name) { dropped.append(name) }
        var buffer = ByteBuffer()
        buffer.writeJSON(.object(object))
        return buffer
    }

    /// A decoder for one upstream stream.
    public func makeStreamDecoder() -> any StreamDecoder { ResponsesStreamDecoder() }

    /// An encoder for one stream to a client.
    public func makeStreamEncoder(_ context: AnswerContext) -> any StreamEncoder { ResponsesStreamEncoder(context) }

    /// Reads an upstream's whole answer, also when it came as a stream.
    ///
    /// - Throws: the upstream's error where the answer is one; `upstreamUnavailable` where it is unreadable.
    public func decodeWhole(_ body: ByteBuffer) throws(ParleyError) -> ChatResponse {
        var events: [Event] = []
        let text = body.trimmed
        if let value = try? JSON.parse(text) {
            try Self.read(value, into: &events)
        } else {
            guard text.looksLikeEvents else {
                throw ParleyError(.upstreamUnavailable, "The upstream's answer is not JSON.")
            }
            var decoder = ResponsesStreamDecoder()
            try decoder.push(text, into: &events)
            try decoder.finish(into: &events)
        }
        var collector = ChatCollector()
        for event in events { collector.add(event) }
        return collector.response()
    }

    private static func read(_ value: JSONValue, into events: inout [Event]) throws(ParleyError) {
        guard let object = value.object, object["output"]?.array != nil else {
            guard let object = value.object, UpstreamFailure(embeddedIn: object) == nil else {
                throw ResponsesFailure.read(value)
            }
            throw ParleyError(.upstreamUnavailable, "The upstream's answer is not a response.")
        }
        var answer = ResponsesAnswer()
        try answer.read(whole: object, ending: "completed", into: &events)
    }

    /// Writes a whole answer for a client.
    public func encodeWhole(_ response: ChatResponse, _ context: AnswerContext) -> ByteBuffer {
        var encoder = ResponsesStreamEncoder(context)
        var frames = ByteBuffer()
        for event in Self.events(of: response) {
            encoder.push(event, into: &frames)
            frames.clear()
        }
        encoder.finish(into: &frames)
        var out = ByteBuffer()
        encoder.writeResponse(into: &out)
        return out
    }

    /// The events of the first choice, in the order in which OpenAI has its items.
    private static func events(of response: ChatResponse) -> [Event] {
        var events: [Event] = [.start(response.identity)]
        guard let choice = response.choices.min(by: { $0.index < $1.index }) else { return events }
        let message = choice.message
        events += message.reasoning.map { .reasoning(choice: 0, $0) }
        var extras = message.extras
        let annotations = extras.fields.remove("annotations")
        if !extras.fields.isEmpty { events.append(.extra(choice: 0, extras)) }
        events.append(.text(choice: 0, message.text))
        if let logprobs = choice.logprobs { events.append(.logprobs(choice: 0, logprobs)) }
        if let annotations {
            events.append(.extra(choice: 0, Extras(extras.dialect, ["annotations": annotations])))
        }
        if let refusal = message.refusal { events.append(.refusal(choice: 0, refusal)) }
        for (index, call) in message.toolCalls.enumerated() {
            events.append(.toolCall(choice: 0, index: index, call))
        }
        events.append(.finish(choice: 0, choice.finish ?? .stop))
        events.append(.usage(response.usage))
        return events
    }

    /// Reads an upstream's error in any shape.
    public func decodeFailure(status: Int, headers: HeaderBlock, body: ByteBuffer) -> ParleyError {
        OpenAIChat().decodeFailure(status: status, headers: headers, body: body)
    }

    /// OpenAI's error envelope, the same as in Chat.
    public func encodeFailure(_ error: ParleyError) -> ByteBuffer { OpenAIChat().encodeFailure(error) }

    /// An `error` event; without a response there is none that could have failed.
    public func encodeStreamFailure(_ error: ParleyError, into out: inout ByteBuffer) {
        var frames = ResponsesFrames()
        frames.writeError(ResponsesFailureWords(error), into: &out)
    }
}

extension OpenAIResponses {
    private static let declaredLosses = [
        Loss("n", .refused, "Responses gives one answer; `n: 1` is left out."),
        Loss("modalities", .refused, "Responses answers in text only."),
        Loss("audio", .refused, "Responses answers in text only."),
        Loss("stop", .dropped, "There are no stop sequences."),
        Loss("frequency_penalty", .dropped, "There are no penalties."),
        Loss("presence_penalty", .dropped, "There are no penalties."),
        Loss("logit_bias", .dropped, "There is no bias."),
        Loss("seed", .dropped, "There is no seed."),
        Loss("top_k", .dropped, "Sampling has no `top_k`."),
        Loss("prediction", .dropped, "There are no predicted outputs."),
        Loss("web_search_options", .dropped, "Web search is a tool of its own."),
        Loss("stream_options", .dropped, "Usage always comes; the other options have no equivalent."),
        Loss("store", .dropped, "Answers to translated calls are never stored at the vendor."),
        Loss("messages[].name", .dropped, "Items have no speaker's name."),
        Loss("messages[].is_error", .dropped, "A tool's failure is told by its text alone."),
        Loss("messages[].reasoning_content", .dropped, "Only reasoning with its own ciphertext may come back."),
        Loss("cache_control", .dropped, "Caching is automatic."),
    ]

    /// The few checks that spare a relayed request a round trip.
    private static func check(_ scan: JSONScan) throws(ParleyError) {
        for (name, isRight, expected) in [
            ("model", { $0.string != nil }, "a string"), ("stream", { $0.bool != nil }, "a boolean"),
            ("input", { $0.string != nil || $0.array != nil }, "one of a string or an array"),
        ] as [(String, (JSONValue) -> Bool, String)] {
            guard let member = scan.member(name), !scan.isNull(member), let value = scan.shallow(member) else {
                continue
            }
            guard isRight(value) else { throw RequestFault.type(name, expected: expected, got: value) }
        }
    }
}

extension JSONScan {
    /// A value of the member's type, without what is in it.
    fileprivate func shallow(_ member: JSONMember) -> JSONValue? {
        guard let slice = slice(member), let first = slice.getInteger(at: slice.readerIndex, as: UInt8.self) else {
            return nil
        }
        switch first {
        case UInt8(ascii: "\""): return .string("")
        case UInt8(ascii: "["): return .array([])
        case UInt8(ascii: "{"): return .object([:])
        case UInt8(ascii: "t"), UInt8(ascii: "f"): return .bool(true)
        default: return .number(String(buffer: slice))
        }
    }
}
