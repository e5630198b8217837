// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
import NIOCore
import NIOPosix
import NIOSSL
import ParleyTestKit
import Synchronization

/// A client's connection on which any bytes can be sent, and what comes back is read as HTTP.
final class RawClient: Sendable {
    private let channel: any Channel
    private let inbox: Inbox

    private init(channel: any Channel, inbox: Inbox) {
        self.channel = channel
        self.inbox = inbox
    }

    /// Connects to a port of this machine.
    ///
    /// - Parameters:
    ///   - certificate: speaks TLS and trusts this certificate alone.
    ///   - receiveBuffer: the size of the socket's receive buffer, in bytes.
    ///   - keepsBodies: false only counts the bytes of bodies.
    static func connect(
        port: Int, trusting certificate: TestCertificate? = nil, receiveBuffer: Int? = nil, keepsBodies: Bool = true
    ) async throws -> RawClient {
        let inbox = Inbox(keepsBodies: keepsBodies)
        let tls = try certificate.map { certificate in
            var configuration = TLSConfiguration.makeClientConfiguration()
            configuration.trustRoots = .certificates(
                try NIOSSLCertificate.fromPEMBytes(Array(certificate.certificatePEM.utf8)))
            return try NIOSSLContext(configuration: configuration)
        }
        var bootstrap = bootstrap(inbox, tls).channelOption(.tcpOption(.tcp_nodelay), value: 1)
        if let receiveBuffer {
            bootstrap = bootstrap.channelOption(.socketOption(.so_rcvbuf), value: .init(receiveBuffer))
        }
        return RawClient(channel: try await bootstrap.connect(host: "127.0.0.1", port: port).get(), inbox: inbox)
    }

    /// Connects to a Unix-domain socket.
    static func connect(path: String) async throws -> RawClient {
        let inbox = Inbox(keepsBodies: true)
        let channel = try await bootstrap(inbox, nil).connect(unixDomainSocketPath: path).get()
        return RawClient(channel: channel, inbox: inbox)
    }

    private static func bootstrap(_ inbox: Inbox, _ tls: NIOSSLContext?) -> ClientBootstrap {
        ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        let handler = try NIOSSLClientHandler(context: tls, serverHostname: "localhost")
                        try channel.pipeline.syncOperations.addHandler(handler)
                    }
                    try channel.pipeline.syncOperations.addHandler(InboxHandler(inbox))
                }
            }
    }

    // MARK: Sending

    /// A POST with a length.
    static func post(_ body: String, path: String = "/v1/chat/completions", headers: [String] = []) -> String {
        let length = "content-length: \(body.utf8.count)"
        return head("POST", path, headers + ["content-type: application/json", length]) + body
    }

    /// A request without a body.
    static func get(_ path: String, method: String = "GET", headers: [String] = []) -> String {
        head(method, path, headers)
    }

    /// A head: with the usual key unless another `authorization` is given, and a host unless one is given.
    static func head(_ method: String, _ path: String, _ headers: [String], version: String = "1.1") -> String {
        var all = headers
        func has(_ name: String) -> Bool { headers.contains { $0.lowercased().hasPrefix(name) } }
        if !has("host:") { all.insert("host: gateway", at: 0) }
        if !has("authorization:") { all.append("authorization: Bearer \(GatewayUnderTest.key)") }
        all.removeAll { $0.hasSuffix(": -") }
        return "\(method) \(path) HTTP/\(version)\r\n" + all.map { $0 + "\r\n" }.joined() + "\r\n"
    }

    /// Sends text.
    func send(_ text: String) async throws {
        try await channel.writeAndFlush(ByteBuffer(string: text)).get()
    }

    /// Sends bytes.
    func send(_ bytes: [UInt8]) async throws {
        try await channel.writeAndFlush(ByteBuffer(bytes: bytes)).get()
    }

    /// Stops or goes on reading.
    func setReading(_ isReading: Bool) async throws {
        try await channel.setOption(.autoRead, value: isReading).get()
    }

    /// Closes in good order.
    func close() {
        channel.close(promise: nil)
    }

    /// Closes with a reset.
    func reset() async throws {
        if let socket = channel as? any SocketOptionProvider {
            try await socket.setSoLinger(linger(l_onoff: 1, l_linger: 0)).get()
        }
        channel.close(promise: nil)
    }

    // MARK: Receiving

    /// The next answer has no body whatever its headers say, because `HEAD` was asked.
    func expectNoBody() {
        inbox.parser.withLock { $0.bodiless += 1 }
    }

    /// What has come in so far.
    var received: AnswerParser { inbox.parser.withLock { $0 } }

    /// The next complete answer.
    func answer(within bound: Duration = .seconds(30)) async throws -> ClientAnswer {
        var taken: ClientAnswer?
        try await wait("complete answer", within: bound) { parser in
            if let fault = parser.fault { throw WaitedTooLong(description: "an answer that is not HTTP: \(fault)") }
            guard !parser.answers.isEmpty else {
                if parser.isClosed {
                    throw WaitedTooLong(description: "the connection closed: \(parser.summary)")
                }
                return false
            }
            taken = parser.answers.removeFirst()
            return true
        }
        guard let taken else { throw WaitedTooLong(description: "no answer") }
        return taken
    }

    /// Waits until the answer in progress (or a complete one) has this text in its body.
    func waitForBody(_ text: String, within bound: Duration = .seconds(30)) async throws {
        try await wait("body with \(text)", within: bound) { parser in
            parser.current.text.contains(text) || parser.answers.contains { $0.text.contains(text) }
        }
    }

    /// Waits until the server has closed the connection.
    func waitForClose(within bound: Duration = .seconds(10)) async throws {
        try await wait("end of the connection", within: bound) { $0.isClosed }
    }

    /// Waits until what came in satisfies a condition.
    func wait(
        _ what: String, within bound: Duration = .seconds(30), _ condition: (inout AnswerParser) throws -> Bool
    ) async throws {
        let deadline = ContinuousClock.now + bound
        while try !inbox.parser.withLock({ try condition(&$0) }) {
            guard ContinuousClock.now < deadline else {
                let found = inbox.parser.withLock { $0.summary }
                throw WaitedTooLong(description: "no \(what) within \(bound), but \(found)")
            }
            try await Task.sleep(for: .milliseconds(4))
        }
    }
}

private final class Inbox: Sendable {
    let parser: Mutex<AnswerParser>

    init(keepsBodies: Bool) {
        parser = Mutex(AnswerParser(keepsBodies: keepsBodies))
    }
}

private final class InboxHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let inbox: Inbox

    init(_ inbox: Inbox) {
        self.inbox = inbox
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        inbox.parser.withLock { $0.feed(bytes) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if (error as? IOError)?.errnoCode == ECONNRESET { inbox.parser.withLock { $0.isReset = true } }
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        inbox.parser.withLock { $0.close() }
    }
}
