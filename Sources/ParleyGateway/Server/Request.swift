// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore

/// A request as it arrives on a client connection. Used only on the connection's event loop.
final class Request {
    /// The head; a request that could not be read has an empty one, and so has one whose head was let go of.
    var head: RequestHead { knownHead ?? RequestHead() }
    private var knownHead: RequestHead?
    /// When its first byte was noticed.
    let arrived = NIODeadline.now()
    /// The body so far.
    private(set) var body = ByteBuffer()
    /// Body bytes seen, stored or not.
    private(set) var bodyBytes = 0
    /// Whether everything arrived.
    var isComplete = false
    /// Why the request cannot be answered as asked; it then ends the connection.
    private(set) var failure: ParleyError?
    /// Whether the client waits to be asked for the body.
    var expectsContinue: Bool
    /// Whether the body is sent on while it arrives: it has no limit then, and is not gathered.
    let isUpload: Bool

    /// Unread bytes of an upload above which the client is not read.
    private static let highWater = 64 << 10

    /// Whether unread bytes are piling up.
    var isFull: Bool { isUpload && body.readableBytes > Self.highWater }

    init(_ head: RequestHead, limit: Int) {
        knownHead = head
        self.limit = limit
        expectsContinue = head.expectsContinue
        isUpload = PassedPath.isUpload(head)
        failure = head.failure
        if failure == nil, !isUpload, let length = head.contentLength, length > limit { failure = Self.tooLarge(limit) }
    }

    /// What stands for a request that could not be read.
    init(failure: ParleyError) {
        limit = 0
        expectsContinue = false
        isUpload = false
        isComplete = true
        self.failure = failure
    }

    /// Lets go of the head once it was answered.
    func forgetHead() {
        knownHead = nil
    }

    /// The most that a body may have.
    private let limit: Int

    private static let reservedAtMost = 1 << 20

    /// Keeps body bytes up to the limit; nothing is stored beyond it.
    func append(_ bytes: ByteBuffer) {
        bodyBytes = bodyBytes.clampedSum(bytes.readableBytes)
        guard failure == nil else { return }
        guard isUpload || bodyBytes <= limit else {
            fail(Self.tooLarge(limit))
            return
        }
        guard body.readableBytes > 0 else {
            body = bytes
            return
        }
        if !isUpload, let declared = knownHead?.contentLength, body.readableBytes + body.writableBytes < declared {
            // Once, and not for a length that is only claimed.
            body.reserveCapacity(min(declared, Self.reservedAtMost))
        }
        body.writeImmutableBuffer(bytes)
    }

    /// Marks the request as one that cannot be answered as asked.
    func fail(_ error: ParleyError) {
        guard failure == nil else { return }
        failure = error
        body = ByteBuffer()
    }

    /// Hands the body over; the request keeps nothing, so that it is freed as soon as it was sent on.
    func takeBody() -> ByteBuffer {
        let taken = body
        body = ByteBuffer()
        return taken
    }

    static func tooLarge(_ limit: Int) -> ParleyError {
        ParleyError(
            .tooLarge, "The request body is larger than the \(limit) bytes that server.body_limit allows.",
            code: "request_too_large")
    }
}
