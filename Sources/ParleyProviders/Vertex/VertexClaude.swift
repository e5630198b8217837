// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire

/// Anthropic's Messages as Vertex AI takes them: the version is in the body, and the model in the path.
///
/// Facts: Anthropic's SDK for Vertex AI.
struct VertexClaude: RelayingDialect {
    static let version = "vertex-2023-10-16"

    private static let edits: [JSONEdit] = [
        .remove("model"), .setDefault("anthropic_version", json: "\"\(version)\""),
    ]

    private let inner = Anthropic()

    var id: DialectID { inner.id }
    var framing: StreamFraming { inner.framing }
    var keepAlive: StaticString { inner.keepAlive }
    var losses: [Loss] { inner.losses }
    var relaysAnswers: Bool { inner.relaysAnswers }
    var asksForUsage: Bool { inner.asksForUsage }

    func intake(_ body: ByteBuffer) throws(ParleyError) -> Intake { try inner.intake(body) }

    func decodeRequest(_ body: ByteBuffer) throws(ParleyError) -> ChatRequest { try inner.decodeRequest(body) }

    func checkTranslatable(_ request: ChatRequest) throws(ParleyError) { try inner.checkTranslatable(request) }

    func prepareForTranslation(_ request: inout ChatRequest) throws(ParleyError) {
        try inner.prepareForTranslation(&request)
    }

    func encodeRequest(_ request: ChatRequest, dropped: inout [String]) throws(ParleyError) -> ByteBuffer {
        try Self.edited(try inner.encodeRequest(request, dropped: &dropped))
    }

    func splice(
        _ body: ByteBuffer, reading: (any RequestReading)?, model: String, stream: Bool, overrides: [FieldOverride],
        dropped: inout [String]
    ) throws(ParleyError) -> ByteBuffer? {
        let spliced = try inner.splice(
            body, reading: reading, model: model, stream: stream, overrides: overrides, dropped: &dropped)
        guard let spliced else { return nil }
        return try Self.edited(spliced)
    }

    private static func edited(_ body: ByteBuffer) throws(ParleyError) -> ByteBuffer {
        try Intake.scan(body).applying(edits)
    }

    func makeStreamRelay(stripUsage: Bool) -> any StreamRelay { inner.makeStreamRelay(stripUsage: stripUsage) }

    func inspectWhole(_ body: ByteBuffer) throws(ParleyError) -> Observation { try inner.inspectWhole(body) }

    func makeStreamDecoder() -> any StreamDecoder { inner.makeStreamDecoder() }

    func makeStreamEncoder(_ context: AnswerContext) -> any StreamEncoder { inner.makeStreamEncoder(context) }

    func decodeWhole(_ body: ByteBuffer) throws(ParleyError) -> ChatResponse { try inner.decodeWhole(body) }

    func encodeWhole(_ response: ChatResponse, _ context: AnswerContext) -> ByteBuffer {
        inner.encodeWhole(response, context)
    }

    /// Reads Anthropic's envelope, or Google's where the service itself refused.
    func decodeFailure(status: Int, headers: HeaderBlock, body: ByteBuffer) -> ParleyError {
        let value = try? JSON.parse(body)
        let isGoogles = (value?.array?.first ?? value)?["error"]?["status"]?.string != nil
        if isGoogles { return Gemini().decodeFailure(status: status, headers: headers, body: body) }
        return inner.decodeFailure(status: status, headers: headers, body: body)
    }

    func encodeFailure(_ error: ParleyError) -> ByteBuffer { inner.encodeFailure(error) }

    func encodeStreamFailure(_ error: ParleyError, into out: inout ByteBuffer) {
        inner.encodeStreamFailure(error, into: &out)
    }
}

extension VertexClaude {
    /// Where a call to `model` goes, and what is spoken there.
    ///
    /// - Throws: `invalid` for what this API has no method for.
    static func face(
        _ access: ServiceAccess, publishers: String, model: String, call: Call
    ) throws(ParleyError) -> Face {
        let models = "\(publishers)anthropic/models/"
        switch call.operation {
        case .chat:
            let method = call.stream ? "streamRawPredict" : "rawPredict"
            let path = "\(models)\(PercentEncoding.segment(model)):\(method)"
            return Face(relaying: VertexClaude(), at: access.target("POST", path))
        case .countTokens:
            // Here the model is in the body, as Anthropic's own API has it.
            return Face(relaying: Anthropic(), at: access.target("POST", models + "count-tokens:rawPredict"))
        case .embed, .pass:
            throw ParleyError(
                .invalid, "The model \(call.model) belongs to a provider that does not offer this.",
                code: "unsupported_operation")
        }
    }
}
