// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import NIOSSL
import ParleyCore

/// Asks an HTTP proxy for a tunnel, then makes way for the connection that uses it.
///
/// The proxy's answer is small and comes before anything else, so it is collected whole (RFC 9110 section 9.3.6).
final class ProxyTunnel: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let proxy: ProxyAddress
    private let endpoint: Endpoint
    private let tls: NIOSSLContext?
    private let connection: UpstreamConnection
    private let ready: EventLoopPromise<Void>
    private var framing = ResponseFraming()
    private var isOpen = false

    init(
        _ proxy: ProxyAddress, to endpoint: Endpoint, tls: NIOSSLContext?, connection: UpstreamConnection,
        ready: EventLoopPromise<Void>
    ) {
        self.proxy = proxy
        self.endpoint = endpoint
        self.tls = tls
        self.connection = connection
        self.ready = ready
    }

    func channelActive(context: ChannelHandlerContext) {
        let host = endpoint.host.contains(":") ? "[\(endpoint.host)]" : endpoint.host
        var request = "CONNECT \(host):\(endpoint.port) HTTP/1.1\r\nhost: \(host):\(endpoint.port)\r\n"
        if let authorization = proxy.authorization { request += "proxy-authorization: \(authorization)\r\n" }
        request += "\r\n"
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: request)), promise: nil)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isOpen else {
            context.fireChannelRead(data)
            return
        }
        var arrival = Arrival()
        do {
            try framing.read(unwrapInboundIn(data), into: &arrival)
        } catch {
            fail("did not answer in HTTP", context)
            return
        }
        guard let status = arrival.status else { return }
        guard (200...299).contains(status) else {
            fail(status == 407 ? "wants another user or password" : "answered with status \(status)", context)
            return
        }
        isOpen = true
        do {
            try Dialer.install(connection, endpoint, tls, ready, in: context.pipeline.syncOperations)
        } catch {
            ready.fail(error)
            context.close(promise: nil)
            return
        }
        if tls == nil { ready.succeed(()) }
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        if !isOpen { fail("closed the connection", context) }
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        ready.fail(error)
        context.close(promise: nil)
    }

    private func fail(_ what: String, _ context: ChannelHandlerContext) {
        ready.fail(ParleyError(.upstreamUnavailable, "The proxy \(proxy.host):\(proxy.port) \(what)."))
        context.close(promise: nil)
    }
}
