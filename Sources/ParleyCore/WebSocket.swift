// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore

/// A WebSocket to a service. Used from one task, on the event loop of its connector.
public protocol WebSocket: AnyObject {
    /// Sends a text message.
    ///
    /// - Throws: `upstreamUnavailable` when the connection is gone, `cancelled`.
    func send(_ text: ByteBuffer) async throws(ParleyError)

    /// The next whole text message, waiting where there is none; nil when the service closed the socket in order.
    ///
    /// Pings are answered on the way, and fragments put together.
    /// - Throws: `upstreamUnavailable` when the connection broke or a message is too long, `timeout` when nothing came
    ///   by `deadline` (it may be called again), `cancelled`.
    func next(by deadline: NIODeadline) async throws(ParleyError) -> ByteBuffer?

    /// Closes the socket, in order where that is still possible, without waiting.
    func close()
}

/// How a service took the wish for a WebSocket.
public enum WebSocketOpening {
    /// It is open.
    case open(any WebSocket)
    /// The service answered with something else than `101`.
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
