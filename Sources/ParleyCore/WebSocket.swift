// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore

/// A WebSocket to a service. Used on the event loop of its connector, from one task, or from two of which one only reads
/// and the other only sends.
public protocol WebSocket: AnyObject {
    /// Sends a text message; returns when the connection has room for the next one.
    ///
    /// - Throws: `upstreamUnavailable` when the connection is gone, `timeout` when the service has not taken the message
    ///   by `deadline`, `cancelled`.
    func send(_ text: ByteBuffer, by deadline: NIODeadline) async throws(ParleyError)

    /// The next whole text message, waiting where there is none; nil when the service closed the socket in order.
    ///
    /// Pings are answered on the way, and fragments put together.
    /// - Throws: `upstreamUnavailable` when the connection broke, was closed with a code of failure, or a message is too
    ///   long or not text; `timeout` when nothing came by `deadline` (it may be called again); `cancelled`, and then the
    ///   connection is closed.
    func next(by deadline: NIODeadline) async throws(ParleyError) -> ByteBuffer?

    /// Closes the socket, in order where that is still possible, without waiting. Whoever has a socket calls this in the
    /// end, unless it ended by itself.
    func close()
}

/// How a service took the wish for a WebSocket.
public enum WebSocketOpening {
    /// It is open.
    case open(any WebSocket)
    /// The service answered with a status that is neither `101` nor one of success.
    case refused(any UpstreamAnswer)
}

extension Connector {
    /// A connector without WebSockets.
    ///
    /// - Throws: `notImplemented`, always.
    public func connect(_ request: UpstreamRequest) async throws(ParleyError) -> WebSocketOpening {
        throw ParleyError(.notImplemented, "There are no WebSockets here.")
    }
}
