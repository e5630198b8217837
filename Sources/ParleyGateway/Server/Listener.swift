// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
import NIOCore
import NIOPosix
import NIOSSL
import ParleyConfiguration

/// Takes client connections and hands each to the shard of its event loop.
struct Listener {
    let group: MultiThreadedEventLoopGroup
    let shards: [ObjectIdentifier: Shard]
    let settings: ServerSettings
    let tls: NIOSSLContext?
    let state: GatewayState

    /// Starts to listen on one address.
    ///
    /// - Throws: `ListenError`, in words that say what to do.
    func listen(on address: ListenAddress) async throws -> any Channel {
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 4096)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            // Small to begin with: most requests are, and an idle connection should hold little.
            .childChannelOption(.recvAllocator, value: ReadSize(first: 2048))
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try install(on: channel) }
            }
        do {
            switch address {
            case .tcp(let host, let port):
                return try await bootstrap.childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                    .bind(host: host, port: port).get()
            case .unix(let path):
                return try await bootstrap.bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true).get()
            }
        } catch {
            throw ListenError(address, error)
        }
    }

    private func install(on channel: any Channel) throws {
        guard let shard = shards[ObjectIdentifier(channel.eventLoop)], state.connections < settings.maxConnections
        else {
            channel.close(promise: nil)
            return
        }
        let pipeline = channel.pipeline.syncOperations
        if let tls { try pipeline.addHandler(NIOSSLServerHandler(context: tls)) }
        try pipeline.addHandler(
            ClientConnection(shard: shard, headLimit: settings.headerLimit, isPlain: tls == nil))
    }

    /// The server's certificate and key, from PEM files.
    ///
    /// - Throws: `ListenError` naming the setting.
    static func tls(_ settings: ServerSettings.TLS?) throws -> NIOSSLContext? {
        guard let settings else { return nil }
        do {
            let chain = try NIOSSLCertificate.fromPEMFile(settings.certificate).map {
                NIOSSLCertificateSource.certificate($0)
            }
            let key = try NIOSSLPrivateKey(file: settings.key, format: .pem)
            var configuration = TLSConfiguration.makeServerConfiguration(
                certificateChain: chain, privateKey: .privateKey(key))
            configuration.applicationProtocols = ["http/1.1"]
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw ListenError(
                "server.tls: the certificate \(settings.certificate) or the key \(settings.key) cannot be read: "
                    + "both must be PEM files that fit together.")
        }
    }
}

/// Why an address cannot be listened on, and what to do about it.
public struct ListenError: Error, CustomStringConvertible, Sendable {
    /// One or two sentences.
    public let description: String

    init(_ description: String) {
        self.description = description
    }

    init(_ address: ListenAddress, _ cause: any Error) {
        switch ((cause as? IOError)?.errnoCode, address) {
        case (EADDRINUSE?, .tcp(_, let port)):
            let holder = PortHolder.find(port).map { " by \($0)" } ?? ""
            description =
                "\(address) is in use\(holder). Stop that program, or choose another address with "
                + "--listen, e.g. --listen 127.0.0.1:\(port < 65_535 ? port + 1 : 8080)."
        case (EACCES?, .tcp(_, let port)) where port < 1024:
            description = "\(address): ports below 1024 need special rights. Choose another with --listen."
        case (EADDRNOTAVAIL?, _):
            description = "\(address) is not an address of this machine. Choose another with --listen."
        case (let code?, _):
            description = "Cannot listen on \(address): \(String(cString: strerror(code)))."
        case (nil, _):
            description = "Cannot listen on \(address): \(cause)."
        }
    }
}
