// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire

/// OpenAI's Chat Completions as Azure answers it: the same but for what its errors say.
struct AzureChat: RelayingDialect {
    private let chat: OpenAIChat

    init(_ chat: OpenAIChat) {
        self.chat = chat
    }

    var id: DialectID { chat.id }
    var losses: [Loss] { chat.losses }
    var relaysAnswers: Bool { chat.relaysAnswers }
    var asksForUsage: Bool { chat.asksForUsage }

    func intake(_ body: ByteBuffer) throws(ParleyError) -> Intake { try chat.intake(body) }

    func decodeRequest(_ body: ByteBuffer) throws(ParleyError) -> ChatRequest { try chat.decodeRequest(body) }

    func encodeRequest(_ request: ChatRequest, dropped: inout [String]) throws(ParleyError) -> ByteBuffer {
        try chat.encodeRequest(request, dropped: &dropped)
    }

    func prepareForTranslation(_ request: inout ChatRequest) throws(ParleyError) {
        try chat.prepareForTranslation(&request)
    }

    func splice(
        _ body: ByteBuffer, reading: (any RequestReading)?, model: String, stream: Bool, overrides: [FieldOverride],
        dropped: inout [String]
    ) throws(ParleyError) -> ByteBuffer? {
        try chat.splice(
            body, reading: reading, model: model, stream: stream, overrides: overrides, dropped: &dropped)
    }

    func makeStreamDecoder() -> any StreamDecoder { chat.makeStreamDecoder() }

    func makeStreamEncoder(_ context: AnswerContext) -> any StreamEncoder { chat.makeStreamEncoder(context) }

    func makeStreamRelay(stripUsage: Bool) -> any StreamRelay { chat.makeStreamRelay(stripUsage: stripUsage) }

    func inspectWhole(_ body: ByteBuffer) throws(ParleyError) -> Observation { try chat.inspectWhole(body) }

    func decodeWhole(_ body: ByteBuffer) throws(ParleyError) -> ChatResponse { try chat.decodeWhole(body) }

    func encodeWhole(_ response: ChatResponse, _ context: AnswerContext) -> ByteBuffer {
        chat.encodeWhole(response, context)
    }

    /// Reads an error as OpenAI's, and what Azure says besides.
    ///
    /// A refusal of its content filter is passed on as it came, for what `innererror` says about the categories.
    func decodeFailure(status: Int, headers: HeaderBlock, body: ByteBuffer) -> ParleyError {
        var error = chat.decodeFailure(status: status, headers: headers, body: body)
        if status == 424 { error.kind = .upstreamUnavailable }
        if error.kind == .upstreamUnavailable, status == 424 { error.status = nil }
        if error.kind == .rateLimited, error.retryAfter == nil { error.retryAfter = Self.seconds(in: error.message) }
        if error.kind == .contentFiltered, let value = try? JSON.parse(body), value["error"]?["innererror"] != nil {
            error.relayed = RelayedFailure(body: Array(body.readableBytesView), contentType: "application/json")
        }
        return error
    }

    /// The number in `Please retry after 6 seconds.`, which some answers have in place of a header.
    static func seconds(in message: String) -> Double? {
        guard let range = message.lowercased().firstRange(of: "retry after ") else { return nil }
        let digits = message.lowercased()[range.upperBound...].prefix { $0.isASCII && $0.isNumber }
        return digits.count < 7 ? Double(digits) : nil
    }

    func encodeFailure(_ error: ParleyError) -> ByteBuffer { chat.encodeFailure(error) }

    func encodeStreamFailure(_ error: ParleyError, into out: inout ByteBuffer) {
        chat.encodeStreamFailure(error, into: &out)
    }
}
