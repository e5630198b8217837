// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// A client for the commands that talk to a running server: one request, one connection.
struct HTTPClient: Sendable {
    /// What comes back, in order: one head, then the body as it arrives.
    enum Piece {
        case head(HTTPResponseHead)
        case body(ByteBuffer)
    }

    let address: ServerAddress

    private typealias AsyncChannel = NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>

    /// Sends a request and hands over the answer piece by piece.
    ///
    /// Cancelling the task closes the connection at once. There is no time limit once connected: how long an answer
    /// may take is the server's to decide.
    /// - Parameter path: begins with a slash; the address's prefix is put before it.
    /// - Throws: `ClientError`, `CancellationError`, or what `receive` throws.
    func exchange(
        _ method: HTTPMethod, _ path: String, headers: HTTPHeaders, body: ByteBuffer? = nil,
        receive: (Piece) throws -> Void
    ) async throws {
        var headers = headers
        headers.replaceOrAdd(name: "host", value: address.authority)
        headers.replaceOrAdd(name: "connection", value: "close")
        headers.replaceOrAdd(name: "user-agent", value: "parley")
        if let body { headers.replaceOrAdd(name: "content-length", value: String(body.readableBytes)) }
        let head = HTTPRequestHead(version: .http1_1, method: method, uri: address.prefix + path, headers: headers)

        let channel = try await connect()
        var isComplete = false
        do {
            try await channel.executeThenClose { inbound, outbound in
                // At once: a server may answer the head of a request without a body, and close, before its end is written.
                var parts: [HTTPClientRequestPart] = [.head(head)]
                if let body { parts.append(.body(.byteBuffer(body))) }
                try await outbound.write(contentsOf: parts + [.end(nil)])
                for try await part in inbound {
                    switch part {
                    case .head(let head) where head.status.code < 200: continue
                    case .head(let head): try receive(.head(head))
                    case .body(let bytes): try receive(.body(bytes))
                    case .end: isComplete = true
                    }
                    if isComplete { break }
                }
            }
        } catch let error as ClientError {
            throw error
        } catch {
            try Task.checkCancellation()
            // How the connection ends matters only while something is still to come.
            if !isComplete { throw failure(error) }
        }
        try Task.checkCancellation()
        guard isComplete else {
            throw ClientError("the connection to \(address) was closed before the answer was complete")
        }
    }

    private func connect() async throws -> AsyncChannel {
        try Task.checkCancellation()
        let tls = try address.isTLS ? Self.tlsContext() : nil
        let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton).connectTimeout(.seconds(5))
        let endpoint = address.endpoint
        let initialize: @Sendable (any Channel) -> EventLoopFuture<AsyncChannel> = { channel in
            channel.eventLoop.makeCompletedFuture {
                let pipeline = channel.pipeline.syncOperations
                if let tls, case .host(let host, _) = endpoint {
                    // An address in numbers cannot be named in the handshake.
                    let name = host.contains(":") || host.allSatisfy { $0.isNumber || $0 == "." } ? nil : host
                    try pipeline.addHandler(NIOSSLClientHandler(context: tls, serverHostname: name))
                }
                try pipeline.addHTTPClientHandlers()
                return try AsyncChannel(wrappingChannelSynchronously: channel)
            }
        }
        do {
            switch endpoint {
            case .host(let host, let port):
                return try await bootstrap.connect(host: host, port: port, channelInitializer: initialize)
            case .socket(let path):
                return try await bootstrap.connect(unixDomainSocketPath: path, channelInitializer: initialize)
            }
        } catch {
            throw ClientError(
                "no server answers at \(address) (\(Self.reason(error))). "
                    + "Start one with `parley serve`, or name another with --url or PARLEY_URL.")
        }
    }

    /// Trusts what the system trusts, and the certificates in the file that `SSL_CERT_FILE` names.
    private static func tlsContext() throws(ClientError) -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        let file = environment("SSL_CERT_FILE")
        if let file { configuration.additionalTrustRoots = [.file(file)] }
        do {
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw ClientError("TLS cannot be set up" + (file.map { "; is \($0) a certificate in PEM?" } ?? ""))
        }
    }

    private func failure(_ error: any Error) -> ClientError {
        switch error {
        case HTTPParserError.invalidEOFState:
            ClientError("the connection to \(address) was closed before the answer was complete")
        case is HTTPParserError:
            ClientError("what answers at \(address) does not speak HTTP; is the address right?")
        case is NIOSSLError, is BoringSSLError:
            // The library's own text is for its developers.
            ClientError(
                String(describing: error).contains("CERTIFICATE_VERIFY_FAILED")
                    ? "the certificate of \(address) is not trusted here; SSL_CERT_FILE can name one that is"
                    : "no secure connection to \(address); does it speak TLS?")
        default:
            ClientError("the connection to \(address) failed: \(Self.reason(error))")
        }
    }

    /// The cause in few words; a connection error of NIO's lists one per address tried.
    private static func reason(_ error: any Error) -> String {
        switch error {
        case let error as NIOConnectionError:
            if let last = error.connectionErrors.last { return reason(last.error) }
            return "the name \(error.host) is not known"
        case let error as IOError:
            return String(cString: strerror(error.errnoCode))
        case ChannelError.connectTimeout:
            return "no connection within 5 seconds"
        default:
            return String(describing: error)
        }
    }
}
