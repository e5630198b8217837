// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

/// OpenAI's Chat Completions, as clients speak it and as OpenAI and the vendors compatible with it answer it.
public struct OpenAIChat: Dialect {
    /// What the vendor does differently; for clients there are no quirks.
    public var quirks: Quirks

    /// The dialect as a vendor with these quirks speaks it.
    public init(quirks: Quirks = Quirks()) {
        self.quirks = quirks
    }

    public var id: DialectID { .openAIChat }

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

    public func encodeRequest(_ request: ChatRequest, dropped: inout [String]) throws(ParleyError) -> ByteBuffer {
        var encoder = ChatRequestEncoder(quirks: quirks)
        let object = try encoder.encode(request)
        dropped += encoder.dropped
        var buffer = ByteBuffer()
        buffer.writeJSON(.object(object))
        return buffer
    }

    public func makeStreamDecoder() -> any StreamDecoder {
        ChatStreamDecoder(quirks: quirks)
    }

    public func makeStreamEncoder(_ context: AnswerContext) -> any StreamEncoder {
        ChatStreamEncoder(context)
    }

    public func decodeWhole(_ body: ByteBuffer) throws(ParleyError) -> ChatResponse {
        try WholeDecoder(quirks: quirks).decode(body)
    }

    public func encodeWhole(_ response: ChatResponse, _ context: AnswerContext) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeJSON(.object(WholeEncoder(context: context).encode(response)))
        return buffer
    }

    public func decodeFailure(status: Int, headers: HeaderBlock, body: ByteBuffer) -> ParleyError {
        var failure = UpstreamFailure(body: body)
        // In an answer with status 200 the error itself may say the status it would have had.
        if status >= 400 { failure.status = status }
        var error = failure.error()
        error.retryAfter = RetryAfter.seconds(headers, now: RetryAfter.now())
        return error
    }

    public func encodeFailure(_ error: ParleyError) -> ByteBuffer {
        if let relayed = error.relayed { return ByteBuffer(bytes: relayed.body) }
        var buffer = ByteBuffer()
        FailureEnvelope(error).write(into: &buffer)
        return buffer
    }

    public func encodeStreamFailure(_ error: ParleyError, into out: inout ByteBuffer) {
        out.writeStaticString("data: ")
        FailureEnvelope(error).write(into: &out)
        out.writeStaticString("\n\n")
    }
}

extension OpenAIChat {
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
