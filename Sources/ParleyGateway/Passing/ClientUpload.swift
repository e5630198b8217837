// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// The body of a client's request as an upstream takes it: what has arrived, and the rest as it comes.
///
/// `@unchecked Sendable`: used only on the event loop of the client's connection, where the call runs too.
final class ClientUpload: RequestUpload, @unchecked Sendable {
    private(set) var length: Int?
    private(set) var isStarted = false
    /// Why nothing more may be sent.
    private var fault: ParleyError?
    private unowned let client: ClientConnection
    private let request: Request
    /// How long the client's body is, where that is known.
    private let declared: Int?
    /// What had arrived when it was changed, and what became of it.
    private var original = ByteBuffer()
    private var opening: ByteBuffer?
    /// The form, as far as it was read, where no other model may be named in the rest.
    private var guarded: MultipartForm?
    /// Bytes at the front that were read as a form before.
    private var known: Int
    private var listener: (@Sendable () -> Void)?

    /// What is left of a request's body.
    ///
    /// - Parameters:
    ///   - form: the parts of a form, up to where the body was read.
    ///   - isGuarded: whether no model may be named in what follows.
    init(_ request: Request, of client: ClientConnection, form: MultipartForm?, isGuarded: Bool) {
        self.client = client
        self.request = request
        guarded = isGuarded ? form : nil
        known = form?.count ?? 0
        declared = request.head.contentLength
        length = declared
    }

    func edit(_ change: (ByteBuffer) -> ByteBuffer) {
        guard !isStarted else { return }
        // An attempt that could not begin leaves it to the next one to change all of it.
        original.writeImmutableBuffer(taken())
        let after = change(original)
        opening = after
        length = declared.map { $0 - original.readableBytes + after.readableBytes }
    }

    func read() -> UploadPiece {
        isStarted = true
        if let failure = request.failure ?? client.abortion ?? fault { return .failed(failure) }
        if client.isClosed { return .failed(ParleyError(.cancelled, "The client left.")) }
        if let opening {
            self.opening = nil
            original = ByteBuffer()
            if opening.readableBytes > 0 { return .bytes(opening) }
        }
        let bytes = taken()
        if let fault { return .failed(fault) }
        guard bytes.readableBytes > 0 else { return request.isComplete ? .end : .nothing }
        return .bytes(bytes)
    }

    func listen(_ listener: (@Sendable () -> Void)?) {
        self.listener = listener
    }

    /// More has arrived, or nothing more will.
    func changed() {
        listener?()
    }

    /// Everything that has arrived; the client may send more then.
    private func taken() -> ByteBuffer {
        let bytes = request.takeBody()
        client.adjustReading()
        let seen = min(known, bytes.readableBytes)
        known -= seen
        guard let before = guarded?.models.count, bytes.readableBytes > seen,
            let fresh = bytes.getSlice(at: bytes.readerIndex + seen, length: bytes.readableBytes - seen)
        else { return bytes }
        // A key that may use some models only must not name another one behind the file.
        do throws(ParleyError) {
            try guarded?.read(fresh)
            if let after = guarded?.models.count, after > before { fault = ModelChoice.sendFirst }
        } catch {
            fault = error
        }
        return bytes
    }
}
