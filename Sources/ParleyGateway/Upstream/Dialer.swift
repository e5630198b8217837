// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import NIOPosix
import NIOSSL
import NIOTLS
import ParleyCore
import Synchronization

/// Makes upstream connections: TCP or a Unix-domain socket, then an HTTP proxy's `CONNECT` where one is set, then TLS.
enum Dialer {
    /// Connects; the future completes on `loop` when the connection can take a request.
    static func connect(
        _ endpoint: Endpoint, pool: Pool, on loop: any EventLoop, timeout: TimeAmount, contexts: TLSContexts
    ) -> EventLoopFuture<UpstreamConnection> {
        guard endpoint.isSecure else {
            return open(endpoint, pool: pool, on: loop, timeout: timeout, context: nil)
        }
        return contexts.client(trusting: endpoint.certificateAuthority, on: loop).flatMap { context in
            open(endpoint, pool: pool, on: loop, timeout: timeout, context: context)
        }
    }

    private static func open(
        _ endpoint: Endpoint, pool: Pool, on loop: any EventLoop, timeout: TimeAmount, context: NIOSSLContext?
    ) -> EventLoopFuture<UpstreamConnection> {
        let ready = loop.makePromise(of: Void.self)
        let connection = UpstreamConnection(pool: pool)
        let host = endpoint.proxy?.host ?? endpoint.host
        let port = endpoint.proxy?.port ?? endpoint.port
        let bootstrap = ClientBootstrap(group: loop)
            .connectTimeout(timeout)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            // A connection keeps one buffer while it waits; a single event fits into the smallest.
            .channelOption(.recvAllocator, value: ReadSize(first: 1024))
            // And only one: it would keep as many as it may read at once.
            .channelOption(.maxMessagesPerRead, value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    if let proxy = endpoint.proxy {
                        try pipeline.addHandler(
                            ProxyTunnel(proxy, to: endpoint, tls: context, connection: connection, ready: ready))
                    } else {
                        try install(connection, endpoint, context, ready, in: pipeline)
                    }
                }
            }
        let timer = loop.scheduleTask(in: timeout) { ready.fail(ChannelError.connectTimeout(timeout)) }
        let connected =
            if let path = endpoint.socketPath {
                bootstrap.connect(unixDomainSocketPath: path)
            } else {
                bootstrap.connect(host: host, port: port)
            }
        connected.whenSuccess { channel in
            if context == nil, endpoint.proxy == nil { ready.succeed(()) }
            ready.futureResult.whenFailure { _ in channel.close(promise: nil) }
        }
        connected.whenFailure { ready.fail($0) }
        return ready.futureResult.always { _ in timer.cancel() }.map {
            connection.begin()
            return connection
        }
    }

    /// Puts TLS, where wanted, and the connection itself into a pipeline whose transport stands.
    static func install(
        _ connection: UpstreamConnection, _ endpoint: Endpoint, _ context: NIOSSLContext?,
        _ ready: EventLoopPromise<Void>, in pipeline: ChannelPipeline.SynchronousOperations
    ) throws {
        if let context {
            // An address cannot be named in SNI; the certificate is then checked against the address itself.
            let isAddress = (try? SocketAddress(ipAddress: endpoint.host, port: 0)) != nil
            try pipeline.addHandler(
                NIOSSLClientHandler(context: context, serverHostname: isAddress ? nil : endpoint.host))
            try pipeline.addHandler(HandshakeWatch(ready))
        }
        try pipeline.addHandler(connection)
    }
}

/// Says when a TLS handshake is over, then goes away.
private final class HandshakeWatch: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    private let ready: EventLoopPromise<Void>

    init(_ ready: EventLoopPromise<Void>) {
        self.ready = ready
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? TLSUserEvent, case .handshakeCompleted = event {
            ready.succeed(())
            context.pipeline.syncOperations.removeHandler(self, promise: nil)
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        ready.fail(error)
        context.fireErrorCaught(error)
    }

    func channelInactive(context: ChannelHandlerContext) {
        ready.fail(ChannelError.eof)
        context.fireChannelInactive()
    }
}

/// TLS settings by trust root, made once each, off the event loops: reading the system's roots takes a while.
final class TLSContexts: Sendable {
    private let made = Mutex<[String: NIOSSLContext]>([:])

    /// The client settings that trust the system's roots, or only those in a PEM file.
    func client(trusting authority: String?, on loop: any EventLoop) -> EventLoopFuture<NIOSSLContext> {
        let key = authority ?? ""
        if let context = made.withLock({ $0[key] }) { return loop.makeSucceededFuture(context) }
        return NIOThreadPool.singleton.runIfActive(eventLoop: loop) {
            if let context = self.made.withLock({ $0[key] }) { return context }
            var configuration = TLSConfiguration.makeClientConfiguration()
            configuration.applicationProtocols = ["http/1.1"]
            if let authority { configuration.trustRoots = .file(authority) }
            let context: NIOSSLContext
            do {
                context = try NIOSSLContext(configuration: configuration)
            } catch {
                throw ParleyError(
                    .upstreamUnavailable,
                    "The certificate authority file could not be read; see tls.ca of the provider.")
            }
            self.made.withLock { $0[key] = context }
            return context
        }
    }
}
