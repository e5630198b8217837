// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

/// A dialect that upstreams speak and no client of Parley does: what a client would need answers `notImplemented`.
public protocol OutboundDialect: Dialect {}

extension OutboundDialect {
    /// False.
    public var isSpokenByClients: Bool { false }

    private var outboundOnly: ParleyError {
        ParleyError(.notImplemented, "Parley speaks the dialect \(id.name) to providers only, not to clients.")
    }

    /// - Throws: `notImplemented`, always.
    public func intake(_ body: ByteBuffer) throws(ParleyError) -> Intake { throw outboundOnly }

    /// - Throws: `notImplemented`, always.
    public func decodeRequest(_ body: ByteBuffer) throws(ParleyError) -> ChatRequest { throw outboundOnly }

    /// An encoder whose only word is that there is none.
    public func makeStreamEncoder(_ context: AnswerContext) -> any StreamEncoder {
        NoStreamEncoder(failure: encodeFailure(outboundOnly))
    }

    /// The failure that there is no such encoding.
    public func encodeWhole(_ response: ChatResponse, _ context: AnswerContext) -> ByteBuffer {
        encodeFailure(outboundOnly)
    }

    /// The message under the name both vendors' clients read, `error`.
    public func encodeFailure(_ error: ParleyError) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeJSON(["error": .string(error.message)])
        return buffer
    }

    /// The same, on a line of its own.
    public func encodeStreamFailure(_ error: ParleyError, into out: inout ByteBuffer) {
        out.writeImmutableBuffer(encodeFailure(error))
        out.writeStaticString("\n")
    }
}

/// Writes nothing but a failure, once.
private struct NoStreamEncoder: StreamEncoder {
    private var failure: ByteBuffer?

    init(failure: ByteBuffer) {
        self.failure = failure
    }

    mutating func push(_ event: Event, into out: inout ByteBuffer) {}

    mutating func finish(into out: inout ByteBuffer) {
        guard let failure = failure.take() else { return }
        out.writeImmutableBuffer(failure)
        out.writeStaticString("\n")
    }

    mutating func fail(_ error: ParleyError, into out: inout ByteBuffer) { finish(into: &out) }
}
