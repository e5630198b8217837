// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import NIOHTTP1
import NIOWebSocket
import ParleyCore

/// A client's side of the handshake of RFC 6455 section 4.1. No extension is offered.
struct WebSocketHandshake {
    /// Used for the key and its answer only: the connection has its own HTTP.
    private let upgrader = NIOWebSocketClientUpgrader(automaticErrorHandling: false) { channel, _ in
        channel.eventLoop.makeSucceededVoidFuture()
    }

    /// Appends the headers that ask for a WebSocket.
    func write(to head: inout ByteBuffer) {
        var headers = HTTPHeaders([("connection", "Upgrade"), ("upgrade", "websocket")])
        upgrader.addCustom(upgradeRequestHeaders: &headers)
        for (name, value) in headers { head.writeString("\(name): \(value)\r\n") }
    }

    /// Checks the headers of an answer of 101.
    ///
    /// - Throws: `upstreamUnavailable` where they do not answer this handshake.
    func check(_ headers: HeaderBlock) throws(ParleyError) {
        let fields = headers.fields { name in
            name.equals("sec-websocket-accept") || name.equals("sec-websocket-extensions") || name.equals("upgrade")
        }
        var response = HTTPResponseHead(version: .http1_1, status: .switchingProtocols)
        for field in fields { response.headers.add(name: field.name, value: field.value) }
        guard response.headers["upgrade"].first?.lowercased() == "websocket" else {
            throw Self.refusal("switched to something else than a WebSocket")
        }
        guard upgrader.shouldAllowUpgrade(upgradeResponse: response) else {
            throw Self.refusal("did not prove that it speaks WebSocket")
        }
        guard response.headers["sec-websocket-extensions"].isEmpty else {
            throw Self.refusal("uses a WebSocket extension that nobody offered")
        }
    }

    private static func refusal(_ what: String) -> ParleyError {
        ParleyError(.upstreamUnavailable, "The upstream \(what).")
    }
}

/// What stands between an upstream's bytes and a WebSocket's messages.
enum WebSocketPipeline {
    /// The longest message.
    static let messageLimit = 10 << 20
    /// Pieces of a message, so that empty ones cannot pile up.
    private static let fragmentLimit = 1 << 16

    /// The handlers, the one next to the network first.
    static func handlers(ending socket: UpstreamSocket) -> [any ChannelHandler] {
        [
            WebSocketFrameEncoder(), ByteToMessageHandler(WebSocketFrameDecoder(maxFrameSize: messageLimit)),
            ServerFrameRules(),
            NIOWebSocketFrameAggregator(
                minNonFinalFragmentSize: 0, maxAccumulatedFrameCount: fragmentLimit,
                maxAccumulatedFrameSize: messageLimit),
            socket,
        ]
    }
}

/// What of RFC 6455 the decoder leaves to whoever knows the extensions and which side the peer is.
private final class ServerFrameRules: ChannelInboundHandler {
    typealias InboundIn = WebSocketFrame
    typealias InboundOut = WebSocketFrame

    private var isBroken = false

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isBroken else { return }
        guard Self.isProper(unwrapInboundIn(data)) else {
            isBroken = true
            context.fireErrorCaught(ServerFrameError())
            return
        }
        context.fireChannelRead(data)
    }

    private static func isProper(_ frame: WebSocketFrame) -> Bool {
        // Reserved bits belong to extensions; a server's frames are not masked (section 5.1).
        guard frame.reservedBits.isEmpty, frame.maskKey == nil else { return false }
        switch frame.opcode {
        case .continuation, .text, .binary, .connectionClose, .ping, .pong: return true
        default: return false
        }
    }
}

/// A frame that a server must not send.
struct ServerFrameError: Error {}
