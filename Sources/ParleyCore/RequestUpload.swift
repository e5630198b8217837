// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore

/// A request's body that is sent on while it arrives. Used only on the event loop of its call.
public protocol RequestUpload: AnyObject, Sendable {
    /// How long the body is, where that is known; else it is sent in chunks.
    var length: Int? { get }

    /// Whether some of it was read: what is gone cannot be sent again.
    var isStarted: Bool { get }

    /// Changes what has arrived so far, before the first `read`; the rest follows as it comes.
    func edit(_ change: (ByteBuffer) -> ByteBuffer)

    /// Takes everything that has arrived since the last call.
    func read() -> UploadPiece

    /// Whom to tell, on the call's event loop, that `read` may give something else than before; nil for nobody.
    func listen(_ listener: (@Sendable () -> Void)?)
}

/// What a look at an upload gave.
public enum UploadPiece: Sendable {
    /// Bytes, at least one.
    case bytes(ByteBuffer)
    /// Nothing at the moment.
    case nothing
    /// The body is complete.
    case end
    /// The rest will not come, or must not be sent.
    case failed(ParleyError)
}

/// An upload as a connection takes it, with its time limits.
public struct UpstreamUpload: Sendable {
    /// The body.
    public var source: any RequestUpload
    /// How long nothing of it may move.
    public var idle: TimeAmount
    /// How long the head of the answer may take once all of it was sent.
    public var head: TimeAmount

    /// An upload.
    public init(_ source: any RequestUpload, idle: TimeAmount, head: TimeAmount) {
        self.source = source
        self.idle = idle
        self.head = head
    }
}
