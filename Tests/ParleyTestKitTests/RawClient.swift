// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.
import Glibc
import NIOCore
import NIOPosix
import NIOSSL
import ParleyTestKit
import Synchronization

/// A TCP (or TLS) connection whose bytes are all kept: what the tests look at is exactly what was sent.
final class RawClient: Sendable {
    /// What has come in so far.
    struct Received: Sendable {
        var bytes: [UInt8] = []
        var reads: [Int] = []
        var isClosed = false
        var isReset = false
        var text: String { String(decoding: bytes, as: UTF8.self) }
        /// What follows the head.
        var body: String { text.split(separator: "\r\n\r\n", maxSplits: 1).last.map(String.init) ?? "" }
    }

    struct WaitedTooLong: Error {
        let text: String
    }

    private let channel: any Channel
    private let received: Collected

    private init(channel: any Channel, received: Collected) {
        self.channel = channel
        self.received = received
    }

    static func connect(to port: Int, trusting certificate: TestCertificate? = nil, reads: Bool = true) async throws
        -> RawClient
    {
        let received = Collected()
        let tls = try certificate.map { certificate in
            var configuration = TLSConfiguration.makeClientConfiguration()
            configuration.trustRoots = .certificates(
                try NIOSSLCertificate.fromPEMBytes(Array(certificate.certificatePEM.utf8)))
            return try NIOSSLContext(configuration: configuration)
        }
        let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.autoRead, value: reads)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        let handler = try NIOSSLClientHandler(context: tls, serverHostname: "localhost")
                        try channel.pipeline.syncOperations.addHandler(handler)
                    }
                    try channel.pipeline.syncOperations.addHandler(Collector(received))
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
        return RawClient(channel: channel, received: received)
    }

    func send(_ text: String) async throws {
        try await channel.writeAndFlush(ByteBuffer(string: text)).get()
    }

    /// Sends a POST to the chat completions path.
    func post(_ body: String, path: String = "/v1/chat/completions", headers: String = "") async throws {
        try await send(
            "POST \(path) HTTP/1.1\r\nhost: upstream\r\n\(headers)content-length: \(body.utf8.count)\r\n\r\n\(body)")
    }

    func close() async {
        try? await channel.close().get()
    }

    /// Waits until what has come in satisfies a condition.
    @discardableResult
    func wait(_ condition: (Received) -> Bool) async throws -> Received {
        let deadline = ContinuousClock.now + .seconds(60)
        while true {
            let now = received.value.withLock { $0 }
            if condition(now) { return now }
            guard ContinuousClock.now < deadline else { throw WaitedTooLong(text: now.text) }
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    @discardableResult
    func wait(until suffix: String) async throws -> Received {
        try await wait { $0.text.hasSuffix(suffix) }
    }

    @discardableResult
    func waitForClose() async throws -> Received {
        try await wait { $0.isClosed }
    }
}

private final class Collected: Sendable {
    let value = Mutex(RawClient.Received())
}

private final class Collector: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let received: Collected

    init(_ received: Collected) {
        self.received = received
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = Array(unwrapInboundIn(data).readableBytesView)
        received.value.withLock {
            $0.bytes += bytes
            $0.reads.append(bytes.count)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        let isReset = (error as? IOError)?.errnoCode == ECONNRESET
        received.value.withLock { if isReset { $0.isReset = true } }
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        received.value.withLock { $0.isClosed = true }
    }
}
