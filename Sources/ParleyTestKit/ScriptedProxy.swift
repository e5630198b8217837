// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.
import NIOCore
import NIOPosix
import Synchronization

/// An HTTP proxy for tests: it answers CONNECT, by a tunnel or by a refusal, and remembers who asked for what.
public final class ScriptedProxy: Sendable {
    /// What the proxy says to CONNECT.
    public enum Answer: Sendable, Hashable {
        /// It connects and passes bytes both ways.
        case tunnel
        /// It tunnels if `proxy-authorization` has exactly this value, and answers 407 otherwise.
        case tunnelIfAuthorized(String)
        /// It refuses with this status, such as 407 or 502.
        case refuse(Int)
    }

    /// A CONNECT that came in.
    public struct Connect: Sendable, Hashable {
        /// Host and port, as sent.
        public var authority: String
        /// The value of `proxy-authorization`.
        public var authorization: String?
        /// The status it was answered with.
        public var status: Int
    }

    /// The port that was bound.
    public let port: Int

    private let group: MultiThreadedEventLoopGroup
    private let log: ProxyLog

    /// The proxy's address, as a proxy setting takes it.
    public var url: String { "http://127.0.0.1:\(port)" }

    private init(port: Int, group: MultiThreadedEventLoopGroup, log: ProxyLog) {
        self.port = port
        self.group = group
        self.log = log
    }

    /// Starts a proxy on a free loopback port.
    ///
    /// - Throws: The system's error if no port can be bound.
    public static func start(_ answer: Answer = .tunnel) async throws -> ScriptedProxy {
        let log = ProxyLog()
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        do {
            let listener = try await ServerBootstrap(group: group)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(ConnectHandler(answer: answer, log: log))
                    }
                }
                .bind(host: "127.0.0.1", port: 0).get()
            return ScriptedProxy(port: listener.localAddress?.port ?? 0, group: group, log: log)
        } catch {
            try? await group.shutdownGracefully()
            throw error
        }
    }

    /// The CONNECTs so far, oldest first.
    public func connects() async -> [Connect] {
        log.connects.withLock { $0 }
    }

    /// Closes the listener and every tunnel.
    public func stop() async {
        try? await group.shutdownGracefully()
    }
}

private final class ProxyLog: Sendable {
    let connects = Mutex<[ScriptedProxy.Connect]>([])
}

/// Reads the CONNECT's head, answers it, and becomes one end of the tunnel.
private final class ConnectHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum Phase {
        case head
        case connecting
        case tunnel(any Channel)
        case refused
    }

    private static let longestHead = 65_536

    private let answer: ScriptedProxy.Answer
    private let log: ProxyLog
    private var phase = Phase.head
    private var received = ByteBuffer()

    init(answer: ScriptedProxy.Answer, log: ProxyLog) {
        self.answer = answer
        self.log = log
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var part = unwrapInboundIn(data)
        switch phase {
        case .tunnel(let far): far.writeAndFlush(part, promise: nil)
        case .refused: break
        case .connecting: received.writeBuffer(&part)
        case .head:
            received.writeBuffer(&part)
            headArrived(context: context)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        if case .tunnel(let far) = phase { far.close(promise: nil) }
        phase = .refused
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private func headArrived(context: ChannelHandlerContext) {
        guard let length = Self.headLength(received.readableBytesView) else {
            if received.readableBytes > Self.longestHead { context.close(promise: nil) }
            return
        }
        let lines = (received.readString(length: length) ?? "").split(separator: "\r\n")
        let words = (lines.first ?? "").split(separator: " ")
        guard words.count == 3, words[0] == "CONNECT" else {
            return refuse(405, authority: "", authorization: nil, context: context)
        }
        let authority = String(words[1])
        let authorization = lines.dropFirst().lazy
            .map { $0.split(separator: ":", maxSplits: 1) }
            .first { $0.first?.lowercased() == "proxy-authorization" }
            .flatMap { $0.last.map { String($0.drop { $0 == " " }) } }
        switch answer {
        case .refuse(let status): refuse(status, authority: authority, authorization: authorization, context: context)
        case .tunnelIfAuthorized(let wanted) where authorization != wanted:
            refuse(407, authority: authority, authorization: authorization, context: context)
        case .tunnel, .tunnelIfAuthorized: connect(to: authority, authorization: authorization, context: context)
        }
    }

    private func connect(to authority: String, authorization: String?, context: ChannelHandlerContext) {
        let parts = authority.split(separator: ":")
        guard parts.count == 2, let port = Int(parts[1]) else {
            return refuse(400, authority: authority, authorization: authorization, context: context)
        }
        phase = .connecting
        let near = context.channel
        ClientBootstrap(group: context.eventLoop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(TunnelHandler(near: near))
                }
            }
            .connect(host: String(parts[0]), port: port)
            .assumeIsolated()
            .whenComplete { result in
                switch result {
                case .failure:
                    self.refuse(502, authority: authority, authorization: authorization, context: context)
                case .success(let far):
                    guard case .connecting = self.phase else { return far.close(promise: nil) }
                    self.note(200, authority: authority, authorization: authorization)
                    let established = ByteBuffer(string: "HTTP/1.1 200 Connection established\r\n\r\n")
                    context.writeAndFlush(self.wrapOutboundOut(established), promise: nil)
                    self.phase = .tunnel(far)
                    if self.received.readableBytes > 0 { far.writeAndFlush(self.received, promise: nil) }
                    self.received.clear()
                }
            }
    }

    private func refuse(_ status: Int, authority: String, authorization: String?, context: ChannelHandlerContext) {
        phase = .refused
        note(status, authority: authority, authorization: authorization)
        let challenge = status == 407 ? "proxy-authenticate: Basic realm=\"proxy\"\r\n" : ""
        let text = "HTTP/1.1 \(status) Refused\r\n\(challenge)content-length: 0\r\nconnection: close\r\n\r\n"
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
        context.close(promise: nil)
    }

    private func note(_ status: Int, authority: String, authorization: String?) {
        let connect = ScriptedProxy.Connect(authority: authority, authorization: authorization, status: status)
        log.connects.withLock { $0.append(connect) }
    }

    /// The length of a head with its empty line, once that is there.
    private static func headLength(_ bytes: ByteBufferView) -> Int? {
        let end = Array("\r\n\r\n".utf8)
        var place = bytes.startIndex
        while bytes.endIndex - place >= end.count {
            if bytes[place..<place + end.count].elementsEqual(end) { return place + end.count - bytes.startIndex }
            place += 1
        }
        return nil
    }
}

/// The far end of a tunnel: passes what the target says back to the client.
private final class TunnelHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let near: any Channel

    init(near: any Channel) {
        self.near = near
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        near.writeAndFlush(unwrapInboundIn(data), promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        near.close(promise: nil)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
