// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
public import ParleyWire

/// What a vendor that speaks OpenAI's chat wants changed in the values of a request, which quirks cannot say.
public protocol ChatAdjustment: Sendable {
    /// What is lost by it.
    var losses: [Loss] { get }

    /// Whether a request has something to change, so that it must be written anew.
    ///
    /// - Parameter scan: the members of the client's request.
    func concerns(_ scan: JSONScan, model: String, stream: Bool, overrides: [FieldOverride]) -> Bool

    /// Changes a request.
    ///
    /// - Parameter dropped: gains the names of fields that are left out.
    /// - Returns: further fields of the vendor's own, for the top of the request.
    /// - Throws: `invalid` where something that matters cannot be carried.
    func adjust(_ request: inout ChatRequest, dropped: inout [String]) throws(ParleyError) -> JSONObject

    /// Whether a model is to be asked by chats alone, where the vendor has Responses or completions too.
    func isChatOnly(_ model: String) -> Bool
}

extension ChatAdjustment {
    /// None is.
    public func isChatOnly(_ model: String) -> Bool { false }
}

/// OpenAI's chat as a vendor takes it that wants values changed.
public struct AdjustedChat: RelayingDialect {
    private let chat: OpenAIChat
    private let adjustment: any ChatAdjustment

    /// The dialect `chat`, its requests changed by `adjustment`.
    public init(_ chat: OpenAIChat, _ adjustment: any ChatAdjustment) {
        self.chat = chat
        self.adjustment = adjustment
    }

    /// `openai-chat`.
    public var id: DialectID { chat.id }
    /// The chat's, and the adjustment's.
    public var losses: [Loss] { chat.losses + adjustment.losses }
    /// What the chat says.
    public var relaysAnswers: Bool { chat.relaysAnswers }
    /// What the chat says.
    public var asksForUsage: Bool { chat.asksForUsage }

    /// What the chat finds.
    public func intake(_ body: ByteBuffer) throws(ParleyError) -> Intake { try chat.intake(body) }

    /// What the chat reads.
    public func decodeRequest(_ body: ByteBuffer) throws(ParleyError) -> ChatRequest { try chat.decodeRequest(body) }

    /// Writes a request as the vendor wants it.
    ///
    /// - Throws: `invalid` where something that matters cannot be carried.
    public func encodeRequest(_ request: ChatRequest, dropped: inout [String]) throws(ParleyError) -> ByteBuffer {
        var request = request
        var lost: [String] = []
        let more = try adjustment.adjust(&request, dropped: &lost)
        var body = try chat.encodeRequest(request, dropped: &lost)
        for name in lost where !dropped.contains(name) { dropped.append(name) }
        guard !more.isEmpty, let scan = try? JSONScan(body) else { return body }
        body = scan.applying(more.members.map { .set($0.key, json: JSON.text($0.value)) })
        return body
    }

    /// What the chat does.
    public func prepareForTranslation(_ request: inout ChatRequest) throws(ParleyError) {
        try chat.prepareForTranslation(&request)
    }

    /// The request with its top level changed; nil where a value must change.
    public func splice(
        _ body: ByteBuffer, reading: (any RequestReading)?, model: String, stream: Bool, overrides: [FieldOverride],
        dropped: inout [String]
    ) throws(ParleyError) -> ByteBuffer? {
        guard let scan = try? JSONScan.of(body, known: reading),
            !adjustment.concerns(scan, model: model, stream: stream, overrides: overrides)
        else { return nil }
        return try chat.splice(
            body, reading: reading, model: model, stream: stream, overrides: overrides, dropped: &dropped)
    }

    /// The chat's decoder.
    public func makeStreamDecoder() -> any StreamDecoder { chat.makeStreamDecoder() }

    /// The chat's encoder.
    public func makeStreamEncoder(_ context: AnswerContext) -> any StreamEncoder { chat.makeStreamEncoder(context) }

    /// The chat's tap.
    public func makeStreamRelay(stripUsage: Bool) -> any StreamRelay { chat.makeStreamRelay(stripUsage: stripUsage) }

    /// What the chat finds.
    public func inspectWhole(_ body: ByteBuffer) throws(ParleyError) -> Observation { try chat.inspectWhole(body) }

    /// What the chat reads.
    public func decodeWhole(_ body: ByteBuffer) throws(ParleyError) -> ChatResponse { try chat.decodeWhole(body) }

    /// What the chat writes.
    public func encodeWhole(_ response: ChatResponse, _ context: AnswerContext) -> ByteBuffer {
        chat.encodeWhole(response, context)
    }

    /// What the chat reads.
    public func decodeFailure(status: Int, headers: HeaderBlock, body: ByteBuffer) -> ParleyError {
        chat.decodeFailure(status: status, headers: headers, body: body)
    }

    /// What the chat writes.
    public func encodeFailure(_ error: ParleyError) -> ByteBuffer { chat.encodeFailure(error) }

    /// What the chat writes.
    public func encodeStreamFailure(_ error: ParleyError, into out: inout ByteBuffer) {
        chat.encodeStreamFailure(error, into: &out)
    }
}

extension JSONScan {
    /// Whether a member says something, i.e. is there and not null.
    func says(_ name: String) -> Bool {
        guard let member = member(name) else { return false }
        return !isNull(member)
    }

    /// The number of a member.
    func number(_ name: String) -> Double? { member(name).flatMap { try? value($0).double } }
}
