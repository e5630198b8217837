// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import ParleyProviders

/// An answer of Responses on its way to the client that is kept once it is whole.
///
/// Every piece that could be the end goes through `next`, so that it does not pass unseen; and the last one leaves only when the answer is kept,
/// so that the client may go on from it at once.
final class CapturedBody: AnswerBody {
    private let inner: any AnswerBody
    private let isStream: Bool
    private let keep: (ByteBuffer) async -> Void
    private var capture = ResponseCapture()
    private var isFirst = true
    private var isKept = false

    /// - Parameter keep: takes the response as JSON; called once at most.
    init(_ inner: any AnswerBody, isStream: Bool, keep: @escaping (ByteBuffer) async -> Void) {
        self.inner = inner
        self.isStream = isStream
        self.keep = keep
    }

    var contentType: String { inner.contentType }
    var observed: Observation { inner.observed }

    func next(into out: inout ByteBuffer, by deadline: NIODeadline) async throws(ParleyError) -> Bool {
        // Bytes before, not an index: a buffer that is empty may be replaced.
        let before = out.readableBytes
        let isOpen = try await inner.next(into: &out, by: deadline)
        let isWhole = isFirst && !isOpen
        isFirst = false
        guard !isKept, let response = response(in: out, behind: before, isWhole: isWhole) else { return isOpen }
        isKept = true
        await keep(response)
        return isOpen
    }

    /// The response that ends with this piece, as bytes of its own; nil where there is none yet.
    private func response(in out: ByteBuffer, behind before: Int, isWhole: Bool) -> ByteBuffer? {
        let length = out.readableBytes - before
        guard length > 0, let piece = out.getSlice(at: out.readerIndex + before, length: length) else { return nil }
        guard isStream else { return isWhole ? ByteBuffer(bytes: piece.readableBytesView) : nil }
        capture.note(piece)
        return capture.response
    }

    func fail(_ error: ParleyError, into out: inout ByteBuffer) {
        inner.fail(error, into: &out)
    }

    func cancel() { inner.cancel() }

    /// Events of a composition may pass by: the piece with the response, the last one, never comes that way.
    func forward(to sink: any AnswerSink) {
        if inner is EncodedEvents { inner.forward(to: sink) }
    }
}
